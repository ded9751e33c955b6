//! The table against a naive list of calls, and what wakes whom.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A call that is ready once it is told to be.
#[derive(Debug)]
struct Told {
    number: usize,
    ready: bool,
    waker: Option<Waker>,
}

impl Told {
    fn new(number: usize, ready: bool) -> Self {
        Self {
            number,
            ready,
            waker: None,
        }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.waker = Some(cx.waker().clone());
        match self.ready {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

fn poll(cx: &mut Context<'_>, flight: &mut Told) -> Poll<()> {
    flight.poll(cx)
}

/// Those that are polled for the first time, and those of them that are ready.
fn poll_fresh(flights: &mut Flights<Told>) -> (Vec<usize>, Vec<usize>) {
    let (mut polled, mut ready) = (Vec::new(), Vec::new());
    let poll = |cx: &mut Context<'_>, flight: &mut Told| {
        polled.push(flight.number);
        flight.poll(cx)
    };
    flights.poll_fresh(poll, |flight| ready.push(flight.number));
    assert!(!flights.have_fresh());
    (polled, ready)
}

/// Puts a call in that is not ready, and polls it.
fn put(flights: &mut Flights<Told>, at: Instant, number: usize) {
    flights.put(at, Told::new(number, false));
    assert!(flights.have_fresh());
    assert_eq!(poll_fresh(flights), (vec![number], vec![]));
}

fn each(flights: &mut Flights<Told>) -> impl Iterator<Item = &mut Told> {
    let places = flights.places.iter_mut();
    places.filter_map(|place| place.flight.as_mut().map(|(_, flight)| flight))
}

/// Everything that was noted, until nothing is.
fn landed(flights: &mut Flights<Told>) -> Vec<usize> {
    let mut all = Vec::new();
    while flights.have_noted() {
        let next = flights.noted_next().count();
        assert!(next <= flights.next.len());
        flights.poll_noted(2, poll, |flight| all.push(flight.number));
    }
    all
}

/// A naive list of calls.
#[derive(Default)]
struct Model {
    /// By their numbers: when each ends at the latest, and whether it is ready.
    calls: BTreeMap<usize, (Instant, bool)>,
    /// Those that were not polled yet, in order.
    fresh: Vec<usize>,
}

impl Model {
    fn put(&mut self, number: usize, at: Instant, ready: bool) {
        self.calls.insert(number, (at, ready));
        self.fresh.push(number);
    }

    fn poll_fresh(&mut self) -> (Vec<usize>, Vec<usize>) {
        let polled = std::mem::take(&mut self.fresh);
        let ready = self.go(|number, (_, ready)| ready && polled.contains(&number));
        (polled, ready)
    }

    /// Takes out those that are to go.
    fn go(&mut self, goes: impl Fn(usize, (Instant, bool)) -> bool) -> Vec<usize> {
        let going = self
            .calls
            .iter()
            .filter(|(number, it)| goes(**number, **it));
        let going: Vec<usize> = going.map(|(number, _)| *number).collect();
        self.calls.retain(|number, _| !going.contains(number));
        self.fresh.retain(|number| !going.contains(number));
        going
    }
}

fn check(flights: &Flights<Told>) {
    let taken = flights.places.iter().filter(|it| it.flight.is_some());
    let taken = taken.count();
    assert_eq!(taken + flights.free.len(), flights.places.len());
    let deadlines = flights.deadlines.iter();
    let standing = deadlines.filter(|it| it.0.call.stands(&flights.places));
    assert_eq!(standing.count(), taken);
}

proptest! {
    // W14
    #[test]
    fn each_call_comes_out_once_however_it_ends(
        steps in prop::collection::vec((0..8u8, 0..8usize, 0..50u64), 0..200),
    ) {
        let (mut flights, mut model) = (Flights::default(), Model::default());
        let start = Instant::now();
        for (number, (verb, which, millis)) in steps.into_iter().enumerate() {
            let at = start + Duration::from_millis(millis);
            let chosen = model.calls.keys().nth(which).copied();
            match (verb, chosen) {
                (0, _) => prop_assert_eq!(poll_fresh(&mut flights), model.poll_fresh()),
                (1 | 2, Some(chosen)) => {
                    let flight = each(&mut flights).find(|it| it.number == chosen).unwrap();
                    // Woken, but not always ready.
                    let woken = flight.waker.take().map(Waker::wake).is_some();
                    prop_assert_eq!(woken, !model.fresh.contains(&chosen));
                    flight.ready |= verb == 1;
                    model.calls.get_mut(&chosen).unwrap().1 |= verb == 1;
                    let ended = model.go(|number, (_, ready)| number == chosen && ready && woken);
                    prop_assert_eq!(landed(&mut flights), ended);
                }
                (3, _) => {
                    let mut late = Vec::new();
                    while let Some(flight) = flights.take_late(at, poll) {
                        late.push(flight.number);
                    }
                    late.sort_unstable();
                    prop_assert_eq!(late, model.go(|_, (deadline, _)| deadline <= at));
                }
                (4, _) => {
                    let some = flights.extract(|flight| flight.number % 8 == which);
                    let mut some: Vec<usize> = some.iter().map(|it| it.number).collect();
                    some.sort_unstable();
                    prop_assert_eq!(some, model.go(|number, _| number % 8 == which));
                }
                _ => {
                    flights.fetch(which);
                    flights.put(at, Told::new(number, verb == 5));
                    model.put(number, at, verb == 5);
                }
            }
            let deadlines = model.calls.values().map(|(at, _)| *at);
            prop_assert_eq!(flights.deadline(), deadlines.min());
            check(&flights);
        }
    }
}

#[test]
fn deadlines_of_calls_that_ended_do_not_pile_up() {
    let (mut flights, start) = (Flights::default(), Instant::now());
    let hour = start + Duration::from_secs(3_600);
    put(&mut flights, hour, 0);
    for number in 1..10_000 {
        let at = start + Duration::from_micros(number as u64);
        flights.put(at, Told::new(number, true));
        assert_eq!(poll_fresh(&mut flights), (vec![number], vec![number]));
        assert!(flights.deadlines.len() <= 4 + ENDED, "{number}");
    }
    check(&flights);
    assert_eq!(flights.deadline(), Some(hour));
}

#[test]
fn calls_are_polled_first_in_the_order_they_were_put_in_once_and_if_still_there() {
    let (mut flights, at) = (Flights::default(), Instant::now());
    for number in 0..6 {
        flights.put(at, Told::new(number, number % 2 == 1));
    }
    assert!(each(&mut flights).all(|flight| flight.waker.is_none()));
    assert_eq!(flights.extract(|flight| flight.number == 1).len(), 1);
    // Where that one was.
    flights.put(at, Told::new(6, false));
    assert_eq!(flights.places.len(), 6);
    let polled = vec![0, 2, 3, 4, 5, 6];
    assert_eq!(poll_fresh(&mut flights), (polled, vec![3, 5]));
    each(&mut flights).for_each(|flight| flight.waker = None);
    assert_eq!(poll_fresh(&mut flights), (vec![], vec![]));
    assert!(each(&mut flights).all(|flight| flight.waker.is_none()));
    check(&flights);
}

#[test]
fn a_call_that_ended_is_not_polled_for_its_last_wake() {
    let mut flights = Flights::default();
    let at = Instant::now();
    put(&mut flights, at, 1);
    let waker = each(&mut flights).next().unwrap().waker.clone().unwrap();
    assert_eq!(flights.take_late(at, poll).unwrap().number, 1);
    waker.wake_by_ref();
    assert!(landed(&mut flights).is_empty());
    // Another one in its place is polled, and that does it no harm.
    put(&mut flights, at, 2);
    waker.wake();
    assert!(flights.have_noted());
    assert!(landed(&mut flights).is_empty());
    assert_eq!(flights.take_late(at, poll).unwrap().number, 2);
}

/// Counts how often the task is woken that polls.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn whoever_polls_is_woken_once_for_many_and_again_after_it_looked() {
    let mut flights = Flights::default();
    let task = Arc::new(Task::default());
    let waker = Waker::from(Arc::clone(&task));
    let woken = || task.0.load(Ordering::Relaxed);
    for number in 0..3 {
        put(&mut flights, Instant::now(), number);
    }
    for round in 1..3 {
        flights.noted().listen(&Context::from_waker(&waker));
        each(&mut flights).for_each(|flight| flight.waker.take().unwrap().wake());
        assert_eq!(woken(), round);
        assert_eq!(flights.noted_next().count(), 3);
        assert!(landed(&mut flights).is_empty());
    }
}
