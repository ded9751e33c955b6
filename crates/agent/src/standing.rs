//! Whether a played catalogd is the active one, and how often that changed: its two metrics.
//!
//! Deliberately absent: finding out (`publish.rs` does, since it acts on it).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Shared by whoever finds out and whoever shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing(Arc<Facts>);

#[derive(Debug, Default)]
struct Facts {
    active: AtomicBool,
    changes: AtomicI64,
}

impl Standing {
    /// Notes what was found; counts it if it is a change.
    pub(crate) fn set(&self, active: bool) {
        if self.0.active.swap(active, Ordering::Relaxed) != active {
            self.0.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.0.active.load(Ordering::Relaxed)
    }

    pub(crate) fn changes(&self) -> i64 {
        self.0.changes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Standing;

    #[test]
    fn only_changes_count() {
        let standing = Standing::default();
        [false, true, true, false, true]
            .into_iter()
            .for_each(|active| standing.set(active));
        assert!(standing.is_active());
        assert_eq!(standing.changes(), 3);
    }
}
