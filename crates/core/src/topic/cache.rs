//! The latest deltas of a topic, so that subscribers at the same version share one computation
//! (W16).
//!
//! Invariant: it holds nothing computed before the log's last change, so it pins no segment that
//! the log has left; and no more than [`BYTES`]. What is more is shared as long as somebody is
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

    fn is_gone(&self) -> bool {
        let lent = self.lent.as_ref();
        lent.is_some_and(|lent| lent.strong_count() == 0)
    }

    /// Lets go of the runs; whoever is being sent them has them.
    fn lend(&mut self) {
        if self.lent.is_none() {
            let runs = core::mem::take(&mut self.delta.runs);
            self.lent = Some(Arc::downgrade(&runs));
            self.own_bytes = self.prefix.len();
        }
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
        // The list of what nobody is being sent any more would stay behind the weak reference.
        self.entries.retain(|entry| !entry.is_gone());
        self.entries.push(Cached {
            from: delta.from,
            prefix: Box::from(prefix),
            own_bytes: prefix.len() + runs,
            delta: delta.clone(),
            lent: None,
        });
        if self.entries.len() > ENTRIES {
            self.entries.remove(0);
        }
        let mut held = self.own_bytes();
        for entry in &mut self.entries {
            if held <= BYTES {
                return;
            }
            held -= entry.own_bytes;
            entry.lend();
            held += entry.own_bytes;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::TopicLog;
    use alloc::format;
    use statestore_wire::ItemBatch;

    // W16
    #[test]
    fn what_somebody_is_being_sent_is_shared_however_many_filters_there_are() {
        let mut log = TopicLog::new(1);
        let prefixes = ["a", "b", "c"];
        let keys = (0..30_000).map(|n| format!("{}{n}", prefixes[n % prefixes.len()]));
        let keys: Vec<_> = keys.collect();
        let items = keys
            .iter()
            .map(|key| (key.as_bytes(), &[0; 500][..], false));
        log.write(&ItemBatch::from_items(items));
        let whole = |log: &mut TopicLog, prefix: &str| log.delta(Version::ZERO, prefix.as_bytes());
        let sent = prefixes.map(|prefix| whole(&mut log, prefix));
        let held: usize = sent.iter().map(|delta| delta.bytes).sum();
        assert!(held > BYTES, "{held} bytes would all be kept");
        for (prefix, delta) in prefixes.iter().zip(&sent) {
            let again = whole(&mut log, prefix);
            assert!(
                Arc::ptr_eq(&again.runs, &delta.runs),
                "{prefix} is made anew"
            );
        }
        assert!(log.cache.own_bytes() <= BYTES);
        drop(sent);
        log.delta(Version::ZERO, b"d");
        assert!(!log.cache.entries.iter().any(Cached::is_gone));
        for prefix in prefixes {
            let again = whole(&mut log, prefix);
            assert_eq!(
                (again.count, log.cache.own_bytes() <= BYTES),
                (10_000, true)
            );
        }
    }
}
