//! What a registration wrote to one topic and takes with it (T-24, T-30), as ranges of versions.
//!
//! A publication has neighbouring versions, so a million entries of it are one range. An entry
//! that somebody overwrote has another version by then and stays: only rows that are still
//! current count, and ranges without any are forgotten.
//!
//! Invariant: after each change there are at most about twice as many ranges as hold a current
//! row; and no operation but counting looks at more than a few of them.

use crate::topic::{TopicLog, Version};
use alloc::collections::BTreeMap;
use core::ops::{Bound, RangeInclusive};

/// Versions that one registration wrote to one topic.
#[derive(Debug, Default)]
pub struct Owned {
    /// First and last of each range.
    ranges: BTreeMap<Version, Version>,
    /// Where the next look for ranges without a current row begins.
    checked: Version,
}

impl Owned {
    /// Remembers what was written, later than anything before.
    pub fn add(&mut self, written: RangeInclusive<Version>, log: &TopicLog) {
        self.put(written);
        // Two looks for each range added: so the dead never outnumber the living for long.
        self.forget_dead(log);
        self.forget_dead(log);
    }

    /// Adds versions that are in no other range.
    pub fn put(&mut self, versions: RangeInclusive<Version>) {
        if versions.is_empty() {
            return;
        }
        let (first, last) = versions.into_inner();
        match self.ranges.range_mut(..first).next_back() {
            Some((_, end)) if end.next() == first => *end = last,
            _ => drop(self.ranges.insert(first, last)),
        }
    }

    /// Takes over what another one has.
    pub fn append(&mut self, other: &mut Self) {
        if other.ranges.len() > self.ranges.len() {
            core::mem::swap(self, other);
        }
        while let Some((first, last)) = other.ranges.pop_first() {
            self.put(first..=last);
        }
    }

    /// Takes the range of the lowest versions out.
    pub fn pop(&mut self) -> Option<RangeInclusive<Version>> {
        self.ranges.pop_first().map(|(first, last)| first..=last)
    }

    /// True if nothing is owned; what is dead may count as owned.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many entries are still as they were written.
    pub fn current(&self, log: &TopicLog) -> usize {
        let ranges = self.ranges.iter();
        ranges
            .map(|(first, last)| log.count_current(*first..=*last))
            .sum()
    }

    /// Looks at the next range, forgets it if nothing of it is current, and what precedes its
    /// first current row otherwise.
    fn forget_dead(&mut self, log: &TopicLog) {
        let after = (Bound::Excluded(self.checked), Bound::Unbounded);
        let next = self.ranges.range(after).next();
        let Some((&first, &last)) = next.or_else(|| self.ranges.first_key_value()) else {
            return;
        };
        self.checked = last;
        match log.first_current(first..=last) {
            Some(current) if current == first => {}
            Some(current) => {
                self.ranges.remove(&first);
                self.ranges.insert(current, last);
            }
            None => {
                self.ranges.remove(&first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;
    use statestore_wire::ItemBatch;

    fn batch(keys: impl IntoIterator<Item = usize>) -> ItemBatch {
        let keys: Vec<_> = keys.into_iter().map(|n| format!("key{n}")).collect();
        ItemBatch::from_items(keys.iter().map(|key| (key.as_bytes(), &b"v"[..], false)))
    }

    // T-24, T-30
    #[test]
    fn rewriting_a_key_a_hundred_thousand_times_keeps_the_list_short() {
        let (mut log, mut owned) = (TopicLog::new(1), Owned::default());
        for round in 0..100_000 {
            if round % 3 == 0 {
                log.write(&batch([1])); // somebody else
            }
            let written = log.write(&batch([0]));
            owned.add(written, &log);
            assert!(owned.ranges.len() <= 3);
        }
        assert_eq!(owned.current(&log), 1);
        assert_eq!(owned.pop().map(|last| *last.end()), Some(log.last()));
        assert!(owned.is_empty() && owned.current(&log) == 0);
    }

    #[test]
    fn a_publication_is_one_range_and_what_others_overwrote_does_not_count() {
        let (mut log, mut owned) = (TopicLog::new(1), Owned::default());
        let all = batch(0..10_000);
        for at in (0..10_000).step_by(100) {
            owned.add(log.write_part(&all, at..at + 100), &log);
        }
        assert_eq!(owned.ranges.len(), 1);
        log.write(&batch((0..10_000).step_by(4)));
        assert_eq!(owned.current(&log), 7_500);
        let first = Version(2); // the first was overwritten
        assert_eq!(log.first_current(Version(1)..=Version(100)), Some(first));
        log.clear();
        assert_eq!(owned.current(&log), 0);
    }

    #[test]
    fn what_is_appended_keeps_its_order() {
        let at = |from: u64, to: u64| Version(from)..=Version(to);
        let (mut one, mut other) = (Owned::default(), Owned::default());
        one.put(at(1, 3));
        one.put(at(2, 1));
        other.put(at(5, 6));
        other.put(at(7, 9));
        other.put(at(20, 20));
        one.append(&mut other);
        assert!(other.is_empty());
        let all: Vec<_> = core::iter::from_fn(|| one.pop()).collect();
        assert_eq!(all, [at(1, 3), at(5, 9), at(20, 20)]);
    }
}
