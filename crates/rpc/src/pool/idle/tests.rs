//! The bookkeeping against a naive list of everything that is idle.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::budget::Budget;
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};

const PURPOSES: [Purpose; 2] = [Purpose("one"), Purpose("other")];

fn connection() -> Open<DuplexStream> {
    Box::new(Connection::new(duplex(1).0, &Budget::unlimited()))
}

fn serials(connections: &[Open<DuplexStream>]) -> Vec<u64> {
    connections.iter().map(|it| it.serial()).collect()
}

fn limits(max_open: usize) -> PoolLimits {
    PoolLimits {
        max_open,
        max_idle_time: Duration::from_secs(3_600),
        ..PoolLimits::default()
    }
}

fn check(state: &State<DuplexStream>) {
    let idle: usize = state.slots.iter().map(|(_, slot)| slot.idle.len()).sum();
    let lent: usize = state.slots.iter().map(|(_, slot)| slot.lent).sum();
    assert_eq!((state.idle, state.lent), (idle, lent));
    assert_eq!(state.places.len(), state.slots.len());
    for (place, age) in state.ages.iter().enumerate() {
        let slot = state.slots.get(place);
        assert_eq!(*age, slot.and_then(Slot::age));
        assert!(
            slot.is_none_or(|slot| slot.lent > 0 || age.is_some()),
            "unused"
        );
    }
}

proptest! {
    // K-1
    #[test]
    fn it_lends_and_closes_what_a_list_by_age_does(
        most in 1..6usize,
        steps in prop::collection::vec((0..8u8, 0..4u16, 0..2usize, any::<bool>()), 0..200),
    ) {
        let limits = limits(most);
        let mut state = State::default();
        // (address, purpose, serial), the one idle for longest first
        let mut list: Vec<(u16, usize, u64)> = Vec::new();
        let start = Instant::now();
        let mut lent: Vec<(Ticket, u16, usize, bool)> = Vec::new();
        for (n, (verb, at, purpose, keeps)) in steps.into_iter().enumerate() {
            let now = start + Duration::from_micros(n as u64);
            let to = HostPort::new("host", at + 1);
            match verb {
                0 => {
                    let mut closed = serials(&state.close(&to));
                    closed.sort_unstable();
                    let gone = list.extract_if(.., |(of, ..)| *of == at);
                    let mut gone: Vec<u64> = gone.map(|(.., serial)| serial).collect();
                    gone.sort_unstable();
                    prop_assert_eq!(closed, gone);
                    lent.iter_mut().for_each(|(_, of, _, taken)| *taken &= *of != at);
                }
                1..4 if !lent.is_empty() => {
                    let (ticket, at, purpose, taken) = lent.remove(0);
                    let kept = keeps.then(connection);
                    let serial = kept.as_ref().map(|it| it.serial());
                    let closed = state.give_back(now, ticket, kept, &limits);
                    let taken = taken && lent.len() < most;
                    let mut gone: Vec<u64> = serial.into_iter().filter(|_| !taken).collect();
                    list.extend(serial.filter(|_| taken).map(|serial| (at, purpose, serial)));
                    while !list.is_empty() && list.len() + lent.len() > most {
                        gone.push(list.remove(0).2);
                    }
                    prop_assert_eq!(serials(&closed), gone);
                }
                _ => {
                    let (ticket, idle, closed) = state.lend(&to, PURPOSES[purpose], &limits);
                    let last = list.iter().rposition(|it| (it.0, it.1) == (at, purpose));
                    let last = last.map(|i| list.remove(i).2);
                    prop_assert_eq!(idle.map(|it| it.serial()), last);
                    lent.push((ticket, at, purpose, true));
                    let mut gone = Vec::new();
                    while last.is_none() && !list.is_empty() && list.len() + lent.len() > most {
                        gone.push(list.remove(0).2);
                    }
                    prop_assert_eq!(serials(&closed), gone);
                }
            }
            for (i, purpose) in PURPOSES.into_iter().enumerate() {
                let in_use = lent.iter().filter(|it| it.2 == i).count();
                let total = in_use + list.iter().filter(|it| it.1 == i).count();
                prop_assert_eq!(state.usage(purpose), Usage { in_use, total });
            }
            check(&state);
        }
        state.close_all();
        prop_assert_eq!(state.idle, 0);
    }
}

/// So many addresses with one idle connection each, a microsecond apart.
fn idle(many: u16, start: Instant) -> State<DuplexStream> {
    let mut state = State::default();
    let limits = limits(usize::MAX);
    let lend = |port| {
        let to = HostPort::new("host", port);
        state.lend(&to, PURPOSES[0], &limits).0
    };
    let tickets: Vec<Ticket> = (1..=many).map(lend).collect();
    for (n, ticket) in tickets.into_iter().enumerate() {
        let now = start + Duration::from_micros(n as u64);
        state.give_back(now, ticket, Some(connection()), &limits);
    }
    state
}

#[test]
fn of_very_many_some_of_the_oldest_go_a_few_with_each_call() {
    let start = Instant::now();
    let mut state = idle(1_000, start);
    let (to, limits) = (HostPort::new("other", 1), limits(900));
    let mut calls = 0;
    while state.idle > 899 {
        calls += 1;
        let (ticket, _, closed) = state.lend(&to, PURPOSES[0], &limits);
        assert!(closed.len() <= CLOSES);
        let closed = state.give_back(start, ticket, None, &limits);
        assert!(closed.len() <= CLOSES);
        check(&state);
    }
    assert!((12..=26).contains(&calls), "{calls}");
    let kept: Vec<Instant> = state.ages.iter().flatten().copied().collect();
    let is_old = |age: &&Instant| age.duration_since(start) < Duration::from_micros(500);
    let old = kept.iter().filter(is_old).count();
    assert!(old < 450, "{old} of the 500 oldest are left");
}

#[test]
fn nothing_is_kept_where_all_is_in_use_and_the_rest_goes() {
    let mut state = idle(10, Instant::now());
    let limits = limits(3);
    let to = HostPort::new("other", 1);
    let lend = |state: &mut State<DuplexStream>| state.lend(&to, PURPOSES[0], &limits);
    let mut calls = Vec::new();
    for idle in [6, 2, 0, 0] {
        calls.push(lend(&mut state).0);
        assert_eq!(state.idle, idle);
    }
    for idle in [0, 1, 2, 3] {
        let ticket = calls.pop().unwrap();
        state.give_back(Instant::now(), ticket, Some(connection()), &limits);
        assert_eq!(state.idle, idle);
    }
    check(&state);
}

#[test]
fn what_has_been_idle_for_too_long_goes_with_later_calls() {
    let start = Instant::now();
    let mut state = idle(20, start);
    let short = PoolLimits {
        max_idle_time: Duration::from_micros(10),
        ..PoolLimits::default()
    };
    let mut closed = 0;
    for _ in 0..=20 / LOOKS {
        let (ticket, ..) = state.lend(&HostPort::new("other", 1), PURPOSES[0], &short);
        let now = start + Duration::from_micros(20);
        closed += state.give_back(now, ticket, None, &short).len();
    }
    // Those that became idle 10 us before and later stay.
    assert_eq!((closed, state.idle, state.slots.len()), (10, 10, 10));
    check(&state);
}
