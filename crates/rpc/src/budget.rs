//! [`Budget`]: a cap on the bytes that many connections buffer together.
//!
//! Without it a thousand peers that each send half of a large message would need as much memory
//! as their claims. Small buffers are free, so that small calls go on when the budget is spent.
//!
//! Invariant: what is used is exactly the sum of the living charges.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Buffers up to this size, in bytes, are not counted.
pub const FREE: u64 = 64 * 1024;

/// A shared allowance, in bytes. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<State>);

#[derive(Debug)]
struct State {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    /// An allowance of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(State {
            limit,
            used: AtomicU64::new(0),
        }))
    }

    /// No cap.
    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// The allowance in bytes.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    pub(crate) fn charge(&self) -> Charge {
        Charge {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

/// What one buffer takes of a budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Budget,
    bytes: u64,
}

impl Charge {
    /// Raises the charge to that of a buffer of `bytes`; false if the budget does not allow it.
    pub(crate) fn raise(&mut self, bytes: u64) -> bool {
        let wanted = if bytes <= FREE { 0 } else { bytes };
        let Some(more) = wanted.checked_sub(self.bytes) else {
            return true;
        };
        let state = &self.budget.0;
        let add = |used: u64| used.checked_add(more).filter(|sum| *sum <= state.limit);
        let order = Ordering::Relaxed;
        let allowed = more == 0 || state.used.fetch_update(order, order, add).is_ok();
        if allowed {
            self.bytes = wanted;
        }
        allowed
    }

    /// Charges for bytes that are here already, whatever the limit says.
    pub(crate) fn force(&mut self, bytes: u64) {
        let more = if bytes <= FREE { 0 } else { bytes };
        self.budget.0.used.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }

    /// Moves so many bytes of it into a charge of their own.
    pub(crate) fn split(&mut self, bytes: u64) -> Self {
        let mut split = self.another();
        split.bytes = self.bytes.min(bytes);
        self.bytes -= split.bytes;
        split
    }

    /// An empty charge of the same budget.
    pub(crate) fn another(&self) -> Self {
        self.budget.charge()
    }

    /// The charge itself, leaving an empty one of the same budget.
    pub(crate) fn take(&mut self) -> Self {
        let empty = self.another();
        std::mem::replace(self, empty)
    }

    pub(crate) fn limit(&self) -> u64 {
        self.budget.limit()
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_stop_at_the_limit_and_come_back() {
        let budget = Budget::new(10 * FREE);
        let mut one = budget.charge();
        let mut two = budget.charge();
        assert!(one.raise(6 * FREE) && !two.raise(5 * FREE) && two.raise(4 * FREE));
        assert_eq!(budget.used(), 10 * FREE);
        let moved = one.take();
        assert!(one.raise(FREE), "small buffers are free");
        assert!(!one.raise(FREE + 1));
        let mut moved = moved;
        let (most, none) = (moved.split(5 * FREE), one.split(FREE));
        drop((most, none));
        assert_eq!(budget.used(), 5 * FREE);
        drop(moved);
        assert_eq!(budget.used(), 4 * FREE);
        drop((one, two));
        assert_eq!(budget.used(), 0);
    }
}
