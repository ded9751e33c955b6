//! The latest deltas of a topic, so that subscribers at the same version share one computation
//! (W16).
//!
//! Invariant: it holds nothing computed before the log's last change, so it pins no segment that
//! the log has left; and beyond the newest delta no more than [`BYTES`].

use super::Version;
use super::delta::{Delta, Gathered};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;

const ENTRIES: usize = 16;
const BYTES: usize = 8 << 20;

#[derive(Default)]
pub(super) struct Cache {
    /// The most lately used last.
    entries: Vec<Cached>,
}

struct Cached {
    from: Version,
    prefix: Box<[u8]>,
    delta: Delta,
    own_bytes: usize,
}

impl Cache {
    pub(super) fn find(&mut self, from: Version, prefix: &[u8]) -> Option<Delta> {
        let found = |e: &Cached| e.from == from && *e.prefix == *prefix;
        let at = self.entries.iter().position(found)?;
        self.entries[at..].rotate_left(1);
        self.entries.last().map(|e| e.delta.clone())
    }

    pub(super) fn keep(&mut self, prefix: &[u8], delta: &Delta, gathered: &Gathered) {
        self.entries.push(Cached {
            from: delta.from,
            prefix: Box::from(prefix),
            delta: delta.clone(),
            own_bytes: gathered.copied + gathered.runs.len() * size_of::<Bytes>() + prefix.len(),
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
