//! What a subscriber lacks (T-5 to T-9): at once if that is little, otherwise in short steps.
//!
//! Deliberately absent: who asks. Invariant: a delta is that of the moment in which it is handed
//! out, however long it took.

use super::assembly::Assembly;
use super::delta::{Delta, Gathered, Wanted, gather};
use super::segment::Segment;
use super::{TopicLog, Version};

/// This part of a few looks is given to whoever comes while another's question is worked on: it
/// comes again soon, and so do others.
const WAITING: usize = 8;

/// How many rows may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// About so many now; counted down.
    pub left: usize,
    /// So many in any case: less is not worth to come back for.
    pub few: usize,
}

impl Looks {
    /// As many as there are.
    pub const ALL: Self = Self {
        left: usize::MAX,
        few: usize::MAX,
    };
}

impl TopicLog {
    /// What a subscriber lacks that has processed everything up to `since` and wants keys with
    /// this prefix (T-5 to T-9).
    ///
    /// It is the whole topic, without tombstones, if `since` is zero, below the base, or from
    /// the future (T-22 lets a subscriber claim anything; the whole topic heals it).
    pub fn delta(&mut self, since: Version, prefix: &[u8]) -> Delta {
        loop {
            // With all looks it is there at once.
            if let Some(delta) = self.delta_within(since, prefix, &mut Looks::ALL.clone(), true) {
                return delta;
            }
        }
    }

    /// The same if it is there already or needs no more looks than there are. Otherwise whoever
    /// asks again gets it some time later, whatever changes meanwhile.
    ///
    /// One at a time: what is begun for another question is dropped if this one `may_begin`, and
    /// otherwise left to go on; then this one is answered only if that takes next to nothing.
    pub fn delta_within(
        &mut self,
        since: Version,
        prefix: &[u8],
        looks: &mut Looks,
        may_begin: bool,
    ) -> Option<Delta> {
        let is_delta = since > Version::ZERO && since >= self.base && since <= self.last;
        let from = if is_delta { since } else { Version::ZERO };
        if from == self.last {
            return Some(self.nothing_after(from, is_delta));
        }
        if let Some(delta) = self.cache.find(from, prefix) {
            return Some(delta);
        }
        let wanted = Wanted {
            since: from,
            tombstones: is_delta,
            prefix,
        };
        let gathered = self.gather_within(wanted, looks, may_begin)?;
        let delta = Delta {
            is_delta,
            from,
            to: self.last,
            count: gathered.count,
            runs: gathered.runs.clone(),
            bytes: gathered.bytes,
        };
        self.cache.keep(prefix, &delta, &gathered);
        Some(delta)
    }

    /// Nobody will ask again for what was begun.
    pub fn give_up(&mut self) {
        self.assembly = None;
    }

    fn gather_within(
        &mut self,
        wanted: Wanted<'_>,
        looks: &mut Looks,
        may_begin: bool,
    ) -> Option<Gathered> {
        let tombstones = &self.tombstones;
        let has_tombstones = |s: &Segment| tombstones.range(s.first()..=s.last()).next().is_some();
        let begun = self.assembly.as_ref().is_some_and(|a| a.is_for(wanted));
        if !begun {
            let most = match may_begin {
                true => looks.few.max(looks.left),
                false => looks.few / WAITING,
            };
            let extent = wanted.extent(&self.store, has_tombstones, most);
            if extent.looks() <= most {
                looks.left = looks.left.saturating_sub(extent.looks());
                return Some(gather(&self.store, wanted, has_tombstones));
            }
            looks.left = looks.left.saturating_sub(extent.found());
            if !may_begin {
                return None;
            }
            self.assembly = Some(Assembly::new(wanted));
        }
        let assembly = self.assembly.as_mut()?;
        let gathered = assembly.advance(&self.store, has_tombstones, &mut looks.left)?;
        self.assembly = None;
        Some(gathered)
    }

    fn nothing_after(&self, from: Version, is_delta: bool) -> Delta {
        Delta {
            is_delta,
            from,
            to: from,
            count: 0,
            runs: self.nothing.clone(),
            bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;
    use statestore_wire::ItemBatch;

    /// A topic of many segments, each with entries of "a" and of "b".
    fn large() -> TopicLog {
        let mut log = TopicLog::new(1);
        let value = [0; 1_000];
        for round in 0..200 {
            let keys = (0..100).map(|n| format!("{}:{round}:{n}", if n < 50 { "a" } else { "b" }));
            let keys: Vec<_> = keys.collect();
            let items = keys.iter().map(|key| (key.as_bytes(), &value[..], false));
            log.write(&ItemBatch::from_items(items));
        }
        log
    }

    // P4, P5: very many may wait for somebody else's assembly, and each looks again and again.
    #[test]
    fn who_waits_pays_for_what_it_looks_at_and_that_is_little() {
        let mut log = large();
        let mut looks = Looks {
            left: 1_000,
            few: 800,
        };
        let first = log.delta_within(Version::ZERO, b"a", &mut looks, true);
        assert!(first.is_none() && log.assembly.is_some());
        for prefix in [&b"b"[..], b""] {
            let mut looks = Looks {
                left: 1_000,
                few: 800,
            };
            let delta = log.delta_within(Version::ZERO, prefix, &mut looks, false);
            let spent = 1_000 - looks.left;
            assert!(delta.is_none() && (1..=120).contains(&spent), "{spent}");
        }
        // What is soon found needs no turn.
        let near = Version(log.last().0 - 10);
        let mut looks = Looks { left: 0, few: 800 };
        let delta = log.delta_within(near, b"b", &mut looks, false);
        assert_eq!(delta.map(|delta| delta.count), Some(10));
        assert!(log.assembly.is_some());
    }
}
