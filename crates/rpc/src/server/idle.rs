//! [`Idle`]: the connections that wait for a call, for when another one needs the place of one.
//!
//! Clients keep connections for their next call, and open another where one was closed meanwhile
//! (K-2). So where there are more of them than places, the one that waited for longest goes; before
//! any that was of use, one over which nobody ever spoke: a crowd of these pushes out itself.
//!
//! Deliberately absent: an idle timeout; while there is room nobody has to go.
//!
//! Invariant: one that has begun to receive a call is not told to go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Those that wait. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Rings when one waits while none did.
    bell: Notify,
}

#[derive(Default)]
struct Waiting {
    /// The first one is the first to go.
    all: BTreeMap<Turn, Arc<Notify>>,
    next: u64,
}

/// Whether it was of use, and since when it waits.
type Turn = (bool, u64);

impl Idle {
    /// A connection waits from now on. `told` rings when it is to go.
    pub(super) fn wait(&self, was_used: bool, told: &Arc<Notify>) -> Waits<'_> {
        let mut waiting = self.lock();
        let turn = (was_used, waiting.next);
        waiting.next += 1;
        waiting.all.insert(turn, Arc::clone(told));
        if waiting.all.len() == 1 {
            self.0.bell.notify_one();
        }
        Waits { idle: self, turn }
    }

    /// Waits until one waits while none did, or has since this was asked last.
    pub(super) async fn changed(&self) {
        self.0.bell.notified().await;
    }

    /// True if one could be told to go.
    pub(super) fn any(&self) -> bool {
        !self.lock().all.is_empty()
    }

    /// Tells one to go.
    pub(super) fn close_one(&self) {
        if let Some((_, told)) = self.lock().all.pop_first() {
            told.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        let waiting = &self.0.waiting;
        waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// It waits until this is dropped.
pub(super) struct Waits<'a> {
    idle: &'a Idle,
    turn: Turn,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        // Gone already if it was told to go.
        self.idle.lock().all.remove(&self.turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn rung(bell: &Notify) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        pin!(bell.notified()).poll(&mut cx).is_ready()
    }

    #[test]
    fn who_never_spoke_goes_first_then_who_waited_for_longest() {
        let idle = Idle::default();
        let bells: Vec<_> = (0..4).map(|_| Arc::new(Notify::new())).collect();
        let rung = |n: usize| rung(&bells[n]);
        let _old = idle.wait(true, &bells[0]);
        let busy = idle.wait(true, &bells[1]);
        let _new = idle.wait(true, &bells[2]);
        let _silent = idle.wait(false, &bells[3]);
        drop(busy);
        for goes in [3, 0, 2] {
            assert!(idle.any());
            idle.close_one();
            for n in 0..bells.len() {
                assert_eq!(rung(n), n == goes);
            }
        }
        assert!(!idle.any());
        idle.close_one();
        assert!((0..bells.len()).all(|n| !rung(n)));
    }

    #[test]
    fn it_is_heard_when_one_waits_while_none_did() {
        let (idle, told) = (Idle::default(), Arc::new(Notify::new()));
        assert!(!rung(&idle.0.bell));
        let one = idle.wait(true, &told);
        assert!(rung(&idle.0.bell));
        let _two = idle.wait(true, &told);
        assert!(!rung(&idle.0.bell));
        drop(one);
        assert!(idle.any());
    }
}
