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

/// Puts a call in; what of it and of others is ready at once.
fn launch(flights: &mut Flights<Told>, at: Instant, flight: Told) -> Option<Told> {
    flights.launch(at, flight);
    let mut ready = Vec::new();
    flights.poll_begun(poll, |flight| ready.push(flight));
    assert!(ready.len() <= 1);
    ready.pop()
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

/// What goes from the model.
fn gone(model: &mut BTreeMap<usize, Instant>, goes: impl Fn(usize, Instant) -> bool) -> Vec<usize> {
    let all = std::mem::take(model);
    let (gone, kept): (BTreeMap<_, _>, _) =
        all.into_iter().partition(|(number, at)| goes(*number, *at));
    *model = kept;
    gone.into_keys().collect()
}

fn check(flights: &Flights<Told>) {
    let taken = flights.places.iter().filter(|it| it.flight.is_some());
    let taken = taken.count();
    assert_eq!(taken + flights.free.len(), flights.places.len());
    let deadlines = flights.deadlines.iter();
    let standing = deadlines.filter(|it| it.0.stands(&flights.places));
    assert_eq!(standing.count(), taken);
}

proptest! {
    // W14
    #[test]
    fn each_call_comes_out_once_however_it_ends(
        steps in prop::collection::vec((0..6u8, 0..8usize, 0..50u64), 0..200),
    ) {
        let (mut flights, mut model) = (Flights::default(), BTreeMap::new());
        let start = Instant::now();
        for (number, (verb, which, millis)) in steps.into_iter().enumerate() {
            let at = start + Duration::from_millis(millis);
            let chosen = model.keys().nth(which).copied();
            match (verb, chosen) {
                (0, _) => {
                    let flight = launch(&mut flights, at, Told::new(number, true));
                    prop_assert_eq!(flight.unwrap().number, number, "ready at once");
                }
                (1, Some(chosen)) => {
                    let flight = each(&mut flights).find(|it| it.number == chosen).unwrap();
                    flight.ready = true;
                    flight.waker.take().unwrap().wake();
                    prop_assert_eq!(landed(&mut flights), [chosen]);
                    model.remove(&chosen);
                }
                (2, Some(chosen)) => {
                    // Woken, but not ready.
                    let flight = each(&mut flights).find(|it| it.number == chosen).unwrap();
                    flight.waker.take().unwrap().wake();
                    prop_assert!(landed(&mut flights).is_empty());
                }
                (3, _) => {
                    let mut late = Vec::new();
                    while let Some(flight) = flights.take_late(at, poll) {
                        late.push(flight.number);
                    }
                    late.sort_unstable();
                    prop_assert_eq!(late, gone(&mut model, |_, deadline| deadline <= at));
                }
                (4, _) => {
                    let some = flights.extract(|flight| flight.number % 8 == which);
                    let mut some: Vec<usize> = some.iter().map(|it| it.number).collect();
                    some.sort_unstable();
                    prop_assert_eq!(some, gone(&mut model, |number, _| number % 8 == which));
                }
                _ => {
                    flights.fetch(which);
                    prop_assert!(launch(&mut flights, at, Told::new(number, false)).is_none());
                    model.insert(number, at);
                }
            }
            prop_assert_eq!(flights.deadline(), model.values().min().copied());
            check(&flights);
        }
    }
}

#[test]
fn deadlines_of_calls_that_ended_do_not_pile_up() {
    let (mut flights, start) = (Flights::default(), Instant::now());
    let hour = start + Duration::from_secs(3_600);
    launch(&mut flights, hour, Told::new(0, false));
    for number in 1..10_000 {
        let at = start + Duration::from_micros(number as u64);
        assert!(launch(&mut flights, at, Told::new(number, true)).is_some());
        assert!(flights.deadlines.len() <= 4 + ENDED, "{number}");
    }
    check(&flights);
    assert_eq!(flights.deadline(), Some(hour));
}

#[test]
fn calls_that_began_are_polled_in_order_and_one_that_went_before_is_not() {
    let (mut flights, at) = (Flights::default(), Instant::now());
    for number in 0..4 {
        flights.launch(at, Told::new(number, number % 2 == 1));
    }
    assert!(each(&mut flights).all(|flight| flight.waker.is_none()));
    assert_eq!(flights.extract(|flight| flight.number == 1).len(), 1);
    let mut ready = Vec::new();
    flights.poll_begun(poll, |flight| ready.push(flight.number));
    assert_eq!(ready, [3]);
    assert!(each(&mut flights).all(|flight| flight.waker.is_some()));
    flights.poll_begun(poll, |flight| ready.push(flight.number));
    assert_eq!(ready, [3]);
    check(&flights);
}

#[test]
fn a_call_that_ended_is_not_polled_for_its_last_wake() {
    let mut flights = Flights::default();
    let at = Instant::now();
    launch(&mut flights, at, Told::new(1, false));
    let waker = each(&mut flights).next().unwrap().waker.clone().unwrap();
    assert_eq!(flights.take_late(at, poll).unwrap().number, 1);
    waker.wake_by_ref();
    assert!(landed(&mut flights).is_empty());
    // Another one in its place is polled, and that does it no harm.
    launch(&mut flights, at, Told::new(2, false));
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
        launch(&mut flights, Instant::now(), Told::new(number, false));
    }
    for round in 1..3 {
        flights.noted().listen(&Context::from_waker(&waker));
        each(&mut flights).for_each(|flight| flight.waker.take().unwrap().wake());
        assert_eq!(woken(), round);
        assert_eq!(flights.noted_next().count(), 3);
        assert!(landed(&mut flights).is_empty());
    }
}
