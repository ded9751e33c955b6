//! [`Flights`]: the small calls under way, in a table for all of them.
//!
//! ```text
//!   put --> fresh --(polled)--> under way --(woken)--> noted: 7, 3, .. --(polled)--> landed
//!                         |             \--(its deadline passed)--------------------/
//!                         \--(ready at once)---------------------------------------/
//! ```
//!
//! A waker only notes the place of its call, and one task polls what is noted: no task, timer or
//! future for each call. Places are used again, the last one first, so what all calls share stays
//! in the cache. Nearly all calls end long before their deadlines, so these are forgotten some at
//! a time.
//!
//! Deliberately absent: what a call is, and what becomes of it.
//!
//! Invariants: what was put in comes out once; a place is free or holds a call whose deadline
//! stands among the deadlines; when one is put in, there are no more of others than of these, but
//! for a few; one that is still there and was not polled yet is among the fresh ones, once.

use futures::task::AtomicWaker;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::time::Instant;

/// So many deadlines of calls that have ended are not worth a look.
const ENDED: usize = 256;

/// Calls under way.
pub(crate) struct Flights<F> {
    places: Vec<Place<F>>,
    free: Vec<usize>,
    deadlines: BinaryHeap<Reverse<Deadline>>,
    /// Calls so far.
    number: u64,
    noted: Arc<Noted>,
    /// Noted ones whose turn comes next.
    next: VecDeque<usize>,
    /// Those that were not polled yet, and some that have gone since.
    fresh: Vec<Key>,
}

/// In the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Deadline {
    at: Instant,
    call: Key,
}

/// Names a call, and says where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Never used again.
    number: u64,
    /// Used again.
    place: usize,
}

struct Place<F> {
    /// With its number.
    flight: Option<(u64, F)>,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

/// Places of calls that were woken.
#[derive(Default)]
pub(crate) struct Noted {
    places: Mutex<VecDeque<usize>>,
    /// Whoever polls them.
    task: AtomicWaker,
}

impl Noted {
    /// The task of this context polls them.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    /// Wakes that task.
    pub(crate) fn ring(&self) {
        self.task.wake();
    }

    fn places(&self) -> MutexGuard<'_, VecDeque<usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Bell {
    place: usize,
    noted: Arc<Noted>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut places = self.noted.places();
        places.push_back(self.place);
        let first = places.len() == 1;
        drop(places);
        if first {
            self.noted.ring();
        }
    }
}

impl<F> Default for Flights<F> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            deadlines: BinaryHeap::new(),
            number: 0,
            noted: Arc::default(),
            next: VecDeque::new(),
            fresh: Vec::new(),
        }
    }
}

impl<F> Flights<F> {
    /// What wakes whoever polls.
    pub(crate) fn noted(&self) -> Arc<Noted> {
        Arc::clone(&self.noted)
    }

    /// When the first call ends at the latest.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        self.first().map(|deadline| deadline.at)
    }

    fn first(&mut self) -> Option<Deadline> {
        while let Some(Reverse(first)) = self.deadlines.peek() {
            if first.call.stands(&self.places) {
                return Some(*first);
            }
            self.deadlines.pop();
        }
        None
    }

    /// Puts a call in that ends at this time at the latest; it is to be
    /// [polled](Self::poll_fresh) before the task waits.
    pub(crate) fn put(&mut self, at: Instant, flight: F) {
        let place = self.free.pop().unwrap_or_else(|| self.add_place());
        self.number += 1;
        let call = Key {
            number: self.number,
            place,
        };
        self.places[place].flight = Some((call.number, flight));
        self.deadlines.push(Reverse(Deadline { at, call }));
        let under_way = self.places.len() - self.free.len();
        if self.deadlines.len() > 2 * under_way + ENDED {
            let places = &self.places;
            self.deadlines.retain(|Reverse(it)| it.call.stands(places));
        }
        self.fresh.push(call);
    }

    /// True if calls were put in that are still to be polled for the first time.
    pub(crate) fn have_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Polls for the first time those that were put in since the last time; those that are ready
    /// have landed.
    pub(crate) fn poll_fresh(
        &mut self,
        mut poll: impl FnMut(&mut Context<'_>, &mut F) -> Poll<()>,
        mut landed: impl FnMut(F),
    ) {
        for i in 0..self.fresh.len() {
            let call = self.fresh[i];
            if call.stands(&self.places)
                && let Some(flight) = self.poll(call.place, &mut poll)
            {
                landed(flight);
            }
        }
        self.fresh.clear();
    }

    /// True if calls were noted that were not polled yet.
    pub(crate) fn have_noted(&self) -> bool {
        !self.next.is_empty() || !self.noted.places().is_empty()
    }

    /// Those that [`poll_noted`](Self::poll_noted) polls next.
    pub(crate) fn noted_next(&mut self) -> impl Iterator<Item = &F> {
        if self.next.is_empty() {
            std::mem::swap(&mut self.next, &mut self.noted.places());
        }
        let places = self.next.iter().filter_map(|at| self.places.get(*at));
        places.filter_map(|place| place.flight.as_ref().map(|(_, flight)| flight))
    }

    /// Polls at most so many of the noted calls; those that are ready have landed.
    pub(crate) fn poll_noted(
        &mut self,
        most: usize,
        mut poll: impl FnMut(&mut Context<'_>, &mut F) -> Poll<()>,
        mut landed: impl FnMut(F),
    ) {
        for _ in 0..most {
            let Some(at) = self.next.pop_front() else {
                return;
            };
            if let Some(flight) = self.poll(at, &mut poll) {
                landed(flight);
            }
        }
    }

    /// Takes out a call whose deadline has passed, once it was polled for the last time.
    pub(crate) fn take_late(
        &mut self,
        now: Instant,
        poll: impl FnOnce(&mut Context<'_>, &mut F) -> Poll<()>,
    ) -> Option<F> {
        let at = self.first().filter(|first| first.at <= now)?.call.place;
        self.poll(at, poll).or_else(|| self.take(at))
    }

    /// Takes out those that are to go.
    pub(crate) fn extract(&mut self, mut goes: impl FnMut(&F) -> bool) -> Vec<F> {
        let going = |place: &Place<F>| place.flight.as_ref().is_some_and(|(_, it)| goes(it));
        let going: Vec<bool> = self.places.iter().map(going).collect();
        let going = going.into_iter().enumerate().filter(|(_, goes)| *goes);
        going.filter_map(|(at, _)| self.take(at)).collect()
    }

    /// Asks memory for the places of so many calls that come next.
    pub(crate) fn fetch(&self, many: usize) {
        let next = self.free.iter().rev().take(many);
        let places = next.filter_map(|at| self.places.get(*at));
        let seen = places.map(|it| it.flight.iter().count() + Arc::strong_count(&it.bell));
        black_box(seen.sum::<usize>());
    }

    /// The call of this place if it is ready, or nothing if that one ended before.
    fn poll(
        &mut self,
        at: usize,
        poll: impl FnOnce(&mut Context<'_>, &mut F) -> Poll<()>,
    ) -> Option<F> {
        let place = self.places.get_mut(at)?;
        let (_, flight) = place.flight.as_mut()?;
        match poll(&mut Context::from_waker(&place.waker), flight) {
            Poll::Ready(()) => self.take(at),
            Poll::Pending => None,
        }
    }

    fn take(&mut self, at: usize) -> Option<F> {
        let (_, flight) = self.places.get_mut(at)?.flight.take()?;
        self.free.push(at);
        Some(flight)
    }

    fn add_place(&mut self) -> usize {
        let bell = Arc::new(Bell {
            place: self.places.len(),
            noted: Arc::clone(&self.noted),
        });
        self.places.push(Place {
            flight: None,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
        });
        self.places.len() - 1
    }
}

impl Key {
    /// The call has not gone yet.
    fn stands<F>(&self, places: &[Place<F>]) -> bool {
        let place = places.get(self.place);
        let flight = place.and_then(|place| place.flight.as_ref());
        flight.is_some_and(|(number, _)| *number == self.number)
    }
}

#[cfg(test)]
mod tests;
