//! [`Idle`]: the connections that wait for a call, for when another one needs the place of one.
//! Those of the web server count the same way.
//!
//! ```text
//!   close_one --> told: it goes ------------------------------------> its place is free
//!       |           \--but a call came first--> another is told         ^
//!       \--none waits--> owed: the next one that would wait goes ------/
//! ```
//!
//! Clients keep connections for their next call, and open another where one was closed meanwhile
//! (K-2). So where there are more of them than places, the one that waited for longest goes. Those
//! over which nobody ever spoke keep a share of the places at most: a crowd of these pushes out
//! itself, and who has just connected has the time to say something.
//!
//! Deliberately absent: an idle timeout; while there is room nobody has to go.
//!
//! Invariant: for each that is asked for, one goes as soon as one waits that was of use, unless
//! that is forgiven; none goes in the middle of a call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Those that wait. Clones share them.
#[derive(Debug, Clone)]
pub struct Idle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Rings when one waits while none did.
    bell: Notify,
    /// So many may wait that were of no use yet before these go first.
    silent: usize,
}

/// The first one of each has waited for longest.
#[derive(Debug, Default)]
struct Waiting {
    silent: BTreeMap<u64, Arc<Notify>>,
    used: BTreeMap<u64, Arc<Notify>>,
    next: u64,
    /// How many are still to go.
    owed: usize,
}

impl Waiting {
    fn of(&mut self, was_used: bool) -> &mut BTreeMap<u64, Arc<Notify>> {
        if was_used {
            &mut self.used
        } else {
            &mut self.silent
        }
    }

    fn close_one(&mut self, silent: usize) {
        let silent_first = self.silent.len() > silent || self.used.is_empty();
        match self.of(!silent_first).pop_first() {
            Some((_, told)) => told.notify_one(),
            None => self.owed += 1,
        }
    }
}

impl Idle {
    /// Of a server with so many places.
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Shared {
            waiting: Mutex::default(),
            bell: Notify::new(),
            silent: places / 4,
        }))
    }

    /// A connection waits from now on, and is told to go by `told`. `None`: it is to go at once.
    pub fn wait(&self, was_used: bool, told: &Arc<Notify>) -> Option<Waits> {
        let mut waiting = self.lock();
        // Who has just connected does not pay for having been let in.
        if let (true, Some(owed)) = (was_used, waiting.owed.checked_sub(1)) {
            waiting.owed = owed;
            return None;
        }
        let turn = waiting.next;
        waiting.next += 1;
        if waiting.silent.is_empty() && waiting.used.is_empty() {
            self.0.bell.notify_one();
        }
        waiting.of(was_used).insert(turn, Arc::clone(told));
        drop(waiting);
        Some(Waits {
            idle: self.clone(),
            was_used,
            turn,
        })
    }

    /// Waits until one waits while none did, or has since this was asked last.
    pub(super) async fn changed(&self) {
        self.0.bell.notified().await;
    }

    /// True if one could be told to go.
    pub(super) fn any(&self) -> bool {
        let waiting = self.lock();
        !waiting.silent.is_empty() || !waiting.used.is_empty()
    }

    /// One is to go: now, or as soon as one waits.
    pub(super) fn close_one(&self) {
        self.lock().close_one(self.0.silent);
    }

    /// There is room again: none is to go any more but who was told.
    pub(super) fn forgive(&self) {
        self.lock().owed = 0;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        let waiting = &self.0.waiting;
        waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// It waits until this is dropped.
#[derive(Debug)]
pub struct Waits {
    idle: Idle,
    was_used: bool,
    turn: u64,
}

impl Waits {
    /// True if it was told to go.
    pub fn is_told(&self) -> bool {
        !self.idle.lock().of(self.was_used).contains_key(&self.turn)
    }

    /// A call has come. If it was told to go, another one goes for it, and this is false: it has
    /// been rung for.
    pub fn end(self) -> bool {
        let mut waiting = self.idle.lock();
        let waited = waiting.of(self.was_used).remove(&self.turn).is_some();
        if !waited {
            waiting.close_one(self.idle.0.silent);
        }
        waited
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        // Gone already if it was told to go, or has ended.
        self.idle.lock().of(self.was_used).remove(&self.turn);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn rung(bell: &Notify) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        pin!(bell.notified()).poll(&mut cx).is_ready()
    }

    fn bells() -> [Arc<Notify>; 5] {
        [(); 5].map(|()| Arc::default())
    }

    /// Those that are told to go one after the other.
    fn going(idle: &Idle, bells: &[Arc<Notify>]) -> Vec<usize> {
        let mut gone = Vec::new();
        while idle.any() {
            idle.close_one();
            gone.extend((0..bells.len()).filter(|n| rung(&bells[*n])));
        }
        gone
    }

    #[test]
    fn who_waited_for_longest_goes_and_too_many_silent_ones_before() {
        let (idle, bells) = (Idle::new(4), bells());
        let uses = [true, false, true, false, true];
        let all = std::iter::zip(&bells, uses);
        let mut waits: Vec<_> = all.map(|(bell, used)| idle.wait(used, bell)).collect();
        assert!(waits.remove(2).unwrap().end());
        // One silent one may stay until the others are gone.
        assert_eq!(going(&idle, &bells), [1, 0, 4, 3]);
    }

    #[test]
    fn who_has_a_call_when_told_is_stood_in_for() {
        let (idle, bells) = (Idle::new(4), bells());
        let waits = [0, 1].map(|n: usize| idle.wait(true, &bells[n]).unwrap());
        idle.close_one();
        let [first, second] = waits;
        assert!(!first.end());
        assert!(rung(&bells[0]) && rung(&bells[1]));
        drop(second);
        assert!(!idle.any());
    }

    #[test]
    fn what_is_owed_is_paid_by_the_next_that_would_wait() {
        let (idle, told) = (Idle::new(4), Arc::default());
        idle.close_one();
        drop(idle.wait(false, &told).unwrap());
        assert!(idle.wait(true, &told).is_none());
        let waits = idle.wait(true, &told).unwrap();
        assert!(waits.end());
        idle.close_one();
        idle.forgive();
        let _waits = idle.wait(true, &told).unwrap();
        assert!(!rung(&told));
    }

    #[test]
    fn it_is_heard_when_one_waits_while_none_did() {
        let (idle, bells) = (Idle::new(4), bells());
        assert!(!rung(&idle.0.bell));
        let one = idle.wait(true, &bells[0]);
        assert!(rung(&idle.0.bell));
        let _two = idle.wait(false, &bells[1]);
        assert!(!rung(&idle.0.bell));
        drop(one);
        assert!(idle.any());
    }
}
