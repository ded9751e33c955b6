//! The latest deltas of a topic, so that subscribers at the same version share one computation
//! (W16).
//!
//! Invariant: it holds nothing computed before the log's last change, so it pins no segment that
//! the log has left; and no more than [`BYTES`]. A larger delta is shared as long as somebody is
//! being sent it, and then forgotten.

use super::Version;
use super::delta::{Delta, Gathered};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use bytes::Bytes;

const ENTRIES: usize = 128;
const BYTES: usize = 8 << 20;

#[derive(Default)]
pub(super) struct Cache {
    /// The most lately used last.
    entries: Vec<Cached>,
}

struct Cached {
    from: Version,
    prefix: Box<[u8]>,
    /// Without its runs if they are lent.
    delta: Delta,
    lent: Option<Weak<[Bytes]>>,
    own_bytes: usize,
}

impl Cached {
    fn whole(&self) -> Option<Delta> {
        let mut delta = self.delta.clone();
        if let Some(lent) = &self.lent {
            delta.runs = lent.upgrade()?;
        }
        Some(delta)
    }
}

impl Cache {
    pub(super) fn find(&mut self, from: Version, prefix: &[u8]) -> Option<Delta> {
        let found = |e: &Cached| e.from == from && *e.prefix == *prefix;
        let at = self.entries.iter().position(found)?;
        let Some(delta) = self.entries[at].whole() else {
            self.entries.remove(at);
            return None;
        };
        self.entries[at..].rotate_left(1);
        Some(delta)
    }

    pub(super) fn keep(&mut self, prefix: &[u8], delta: &Delta, gathered: &Gathered) {
        let runs = gathered.copied + gathered.runs.len() * size_of::<Bytes>();
        let mut delta = delta.clone();
        let lent = (runs > BYTES).then(|| {
            let lent = Arc::downgrade(&delta.runs);
            delta.runs = Arc::default();
            lent
        });
        self.entries.push(Cached {
            from: delta.from,
            prefix: Box::from(prefix),
            own_bytes: prefix.len() + if lent.is_some() { 0 } else { runs },
            delta,
            lent,
        });
        while self.entries.len() > ENTRIES || (self.entries.len() > 1 && self.own_bytes() > BYTES) {
            self.entries.remove(0);
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.own_bytes() + self.entries.capacity() * size_of::<Cached>()
    }

    fn own_bytes(&self) -> usize {
        self.entries.iter().map(|e| e.own_bytes).sum()
    }
}
