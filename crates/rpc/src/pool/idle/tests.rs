//! The bookkeeping against a naive list of everything that is idle.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::budget::Budget;
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};

const PURPOSES: [Purpose; 2] = [Purpose("one"), Purpose("other")];

fn connection() -> Box<Connection<DuplexStream>> {
    Box::new(Connection::new(duplex(1).0, &Budget::unlimited()))
}

fn serials(connections: &[Box<Connection<DuplexStream>>]) -> Vec<u64> {
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
        let mut lent: Vec<(Ticket, u16, usize, bool)> = Vec::new();
        for (verb, at, purpose, keeps) in steps {
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
                    let closed = state.give_back(ticket, kept, &limits);
                    let mut gone: Vec<u64> = serial.into_iter().filter(|_| !taken).collect();
                    list.extend(serial.filter(|_| taken).map(|serial| (at, purpose, serial)));
                    while !list.is_empty() && list.len() + lent.len() > most {
                        gone.push(list.remove(0).2);
                    }
                    prop_assert_eq!(serials(&closed), gone);
                }
                _ => {
                    let (ticket, idle) = state.lend(&to, PURPOSES[purpose]);
                    let last = list.iter().rposition(|it| (it.0, it.1) == (at, purpose));
                    let last = last.map(|i| list.remove(i).2);
                    prop_assert_eq!(idle.map(|it| it.serial()), last);
                    lent.push((ticket, at, purpose, true));
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

#[test]
fn of_very_many_one_of_the_oldest_goes() {
    let mut state = State::default();
    let mut calls = Vec::new();
    for port in 1..=1_000 {
        let to = HostPort::new("host", port);
        calls.push(state.lend(&to, PURPOSES[0]).0);
    }
    for ticket in calls {
        state.give_back(ticket, Some(connection()), &limits(1_000));
    }
    let to = HostPort::new("host", 1_001);
    for _ in 0..100 {
        let (ticket, idle) = state.lend(&to, PURPOSES[0]);
        let kept = idle.unwrap_or_else(connection);
        let closed = state.give_back(ticket, Some(kept), &limits(900));
        assert!(closed.len() <= 101);
        assert!(state.idle <= 900);
        check(&state);
    }
}

#[test]
fn what_has_been_idle_for_too_long_goes_with_later_calls() {
    let mut state = State::default();
    let short = PoolLimits {
        max_idle_time: Duration::ZERO,
        ..PoolLimits::default()
    };
    let tickets: Vec<_> = (1..=20)
        .map(|port| state.lend(&HostPort::new("host", port), PURPOSES[0]).0)
        .collect();
    for ticket in tickets {
        state.give_back(ticket, Some(connection()), &limits(100));
    }
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_micros(1) {
        std::hint::spin_loop(); // the clock goes on
    }
    let mut closed = 0;
    for _ in 0..=20 / LOOKS {
        let (ticket, _) = state.lend(&HostPort::new("other", 1), PURPOSES[0]);
        closed += state.give_back(ticket, None, &short).len();
    }
    assert_eq!((closed, state.idle, state.slots.len()), (20, 0, 0));
}
