//! The bookkeeping against a naive list of everything that is idle.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::budget::Budget;
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};

const PURPOSES: [Purpose; 2] = [Purpose("one"), Purpose("other")];

/// One whose peer is gone.
fn connection() -> Connection<DuplexStream> {
    pair().0
}

fn pair() -> (Connection<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(1);
    (Connection::new(near, &Budget::unlimited()), far)
}

fn serials(connections: &[Connection<DuplexStream>]) -> Vec<u64> {
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
    let lent: u32 = state.slots.iter().map(|(_, slot)| slot.lent).sum();
    assert_eq!((state.idle, state.lent), (idle, lent as usize));
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

/// The bookkeeping, and a list that is to do the same.
struct Both {
    state: State<DuplexStream>,
    limits: PoolLimits,
    /// What is idle: whose, and its serial; the one idle for longest first.
    list: Vec<(Key, u64)>,
    /// What is lent; false once its address was closed.
    lent: Vec<(Ticket, Key, bool)>,
    /// Places as they were when last asked for, some of them out of date.
    places: HashMap<Key, Place>,
    /// The peers, who say nothing and stay.
    far: Vec<DuplexStream>,
}

/// An address and a purpose.
type Key = (u16, usize);

fn to((at, _): Key) -> HostPort {
    HostPort::new("host", at + 1)
}

impl Both {
    fn new(limits: PoolLimits) -> Self {
        Self {
            state: State::default(),
            limits,
            list: Vec::new(),
            lent: Vec::new(),
            places: HashMap::new(),
            far: Vec::new(),
        }
    }

    fn close(&mut self, key: Key) {
        let mut closed = serials(&self.state.close(&to(key)));
        closed.sort_unstable();
        let gone = self.list.extract_if(.., |(of, _)| of.0 == key.0);
        let mut gone: Vec<u64> = gone.map(|(_, serial)| serial).collect();
        gone.sort_unstable();
        assert_eq!(closed, gone);
        for (_, of, taken) in &mut self.lent {
            *taken &= of.0 != key.0;
        }
    }

    /// Ends the oldest call.
    fn give_back(&mut self, now: Instant, keeps: bool) {
        let (ticket, key, taken) = self.lent.remove(0);
        let kept = keeps.then(pair).map(|(near, far)| {
            self.far.push(far);
            near
        });
        let serial = kept.as_ref().map(|it| it.serial());
        let closed = self.state.give_back(now, ticket, kept, &self.limits);
        let taken = taken && self.lent.len() < self.limits.max_open;
        let mut gone: Vec<u64> = serial.into_iter().filter(|_| !taken).collect();
        let taken = serial.filter(|_| taken);
        self.list.extend(taken.map(|serial| (key, serial)));
        gone.extend(self.too_many());
        assert_eq!(serials(&closed), gone);
    }

    fn lend(&mut self, key: Key) {
        let (ticket, idle, closed) = self.state.lend(&to(key), PURPOSES[key.1], &self.limits);
        let last = self.last(key);
        assert_eq!(idle.as_ref().map(|it| it.serial()), last);
        assert!(idle.is_none_or(|mut it| it.is_fresh()));
        self.lent.push((ticket, key, true));
        let gone = match last {
            Some(_) => Vec::new(),
            None => self.too_many(),
        };
        assert_eq!(serials(&closed), gone);
    }

    /// Lends by the place that is known, then by the one that is right.
    fn lend_at(&mut self, key: Key) {
        let is_used =
            self.list.iter().any(|it| it.0 == key) || self.lent.iter().any(|it| it.1 == key);
        let known = self.places.get(&key).copied().unwrap_or_default();
        let place = self.state.place(&to(key), PURPOSES[key.1]);
        assert_eq!(place.is_some(), is_used);
        if place != Some(known) {
            assert!(self.state.lend_at(known).is_none(), "out of date");
        }
        let place = place.unwrap_or_default();
        self.places.insert(key, place);
        let (ticket, idle) = self.state.lend_at(place).unzip();
        assert_eq!(idle.as_ref().map(|it| it.serial()), self.last(key));
        assert!(idle.is_none_or(|mut it| it.is_fresh()));
        self.lent.extend(ticket.map(|ticket| (ticket, key, true)));
    }

    /// Takes the one used last out of the list.
    fn last(&mut self, key: Key) -> Option<u64> {
        let last = self.list.iter().rposition(|it| it.0 == key)?;
        Some(self.list.remove(last).1)
    }

    /// Takes those out that are too many.
    fn too_many(&mut self) -> Vec<u64> {
        let many = self.list.len() + self.lent.len();
        let many = many.saturating_sub(self.limits.max_open);
        let gone = self.list.drain(..many.min(self.list.len()));
        gone.map(|(_, serial)| serial).collect()
    }

    fn check(&self) {
        for (i, purpose) in PURPOSES.into_iter().enumerate() {
            let in_use = self.lent.iter().filter(|it| it.1.1 == i).count();
            let total = in_use + self.list.iter().filter(|it| it.0.1 == i).count();
            assert_eq!(self.state.usage(purpose), Usage { in_use, total });
        }
        check(&self.state);
    }
}

proptest! {
    // K-1
    #[test]
    fn it_lends_and_closes_what_a_list_by_age_does(
        most in 1..6usize,
        steps in prop::collection::vec((0..11u8, 0..4u16, 0..2usize, any::<bool>()), 0..200),
    ) {
        let mut both = Both::new(limits(most));
        let start = Instant::now();
        for (n, (verb, at, purpose, keeps)) in steps.into_iter().enumerate() {
            let now = start + Duration::from_micros(n as u64);
            let key = (at, purpose);
            match verb {
                0 => both.close(key),
                1..4 if !both.lent.is_empty() => both.give_back(now, keeps),
                // Some of these slots are there, one never is.
                4 => both.state.fetch([at.into(), n, usize::MAX, at.into()].into_iter()),
                5..8 => both.lend_at(key),
                _ => both.lend(key),
            }
            both.check();
        }
        both.state.close_all();
        prop_assert_eq!(both.state.idle, 0);
    }
}

// K-1
#[test]
fn a_place_that_was_given_up_does_not_answer_for_who_has_its_slot_now() {
    let (one, other) = (HostPort::new("host", 1), HostPort::new("other", 1));
    let mut state = idle(1, Instant::now());
    let old = state.place(&one, PURPOSES[0]).unwrap();
    state.close(&one);
    assert_eq!(state.place(&one, PURPOSES[0]), None);
    assert!(state.lend_at(old).is_none());
    for to in [other, one] {
        let (ticket, ..) = state.lend(&to, PURPOSES[0], &limits(9));
        state.give_back(Instant::now(), ticket, Some(connection()), &limits(9));
        let place = state.place(&to, PURPOSES[0]).unwrap();
        assert_eq!(place.slot, old.slot, "the slot is used again");
        for none in [old, Place::default()] {
            assert!(state.lend_at(none).is_none());
        }
        assert_eq!((state.idle, state.lent), (1, 0));
        let (ticket, _) = state.lend_at(place).unwrap();
        assert!(state.lend_at(place).is_none(), "nothing is idle any more");
        assert_eq!((state.idle, state.lent), (0, 1));
        state.give_back(Instant::now(), ticket, None, &limits(9));
        check(&state);
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
