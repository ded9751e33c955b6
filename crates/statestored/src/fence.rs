//! The fence that the core puts up, where everything that sends can see it (ha.md rule 3).
//!
//! The control thread sets it after each step; a call that carries an epoch asks it right before
//! its first byte, and before every further piece of a long message, on whatever thread that is.
//! Deliberately absent: when it holds; the core's lease says so, in two numbers.
//!
//! Invariant: the lock is held for a copy, never across anything that waits.

use crate::clock::Clock;
use statestore_core::port::Fence;
use statestore_rpc::Gate;
use statestore_wire::Epoch;
use std::sync::{Arc, Mutex, PoisonError};

/// The current fence; clones share it.
#[derive(Clone)]
pub struct FenceCell {
    fence: Arc<Mutex<Option<Fence>>>,
    clock: Arc<dyn Clock>,
}

impl FenceCell {
    /// Nobody may act.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            fence: Arc::default(),
            clock,
        }
    }

    /// What the core says now.
    pub fn set(&self, fence: Option<Fence>) {
        *self.fence.lock().unwrap_or_else(PoisonError::into_inner) = fence;
    }

    /// Whether what belongs to this epoch may be said now.
    pub fn lets(&self, epoch: Epoch) -> bool {
        let fence = *self.fence.lock().unwrap_or_else(PoisonError::into_inner);
        fence.is_some_and(|fence| fence.lets(epoch, self.clock.time()))
    }

    /// A gate for calls of this epoch.
    pub fn gate(&self, epoch: Epoch) -> Gate {
        let cell = self.clone();
        Gate::new(move || match cell.lets(epoch) {
            true => Ok(()),
            false => Err(format!(
                "this statestored is no longer active under epoch {epoch}"
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::SystemClock;
    use std::time::Duration;

    // rule 3
    #[test]
    fn it_lets_its_own_epoch_through_and_only_until_its_end() {
        let clock = Arc::new(SystemClock);
        let cell = FenceCell::new(clock.clone());
        assert!(!cell.lets(Epoch(4)));
        let now = clock.now().time;
        let fence = |until| Fence {
            epoch: Epoch(4),
            until,
        };
        cell.set(Some(fence(Some(now + Duration::from_secs(60)))));
        assert!(cell.lets(Epoch(4)) && !cell.lets(Epoch(2)));
        cell.set(Some(fence(Some(now))));
        assert!(!cell.lets(Epoch(4)));
        cell.set(Some(fence(None)));
        assert!(cell.lets(Epoch(4)));
    }
}
