//! One shard of the index: a table that is sorted by hash, with gaps, and of any size.
//!
//! An entry's home is its hash scaled to the table (linear probing); it stands there or further
//! right, never left of a smaller hash. So a search ends at the first greater hash, and growing
//! or splitting is one walk in order. Why an own table: those of libraries have capacities of
//! powers of two, and right after a doubling that is 28 bytes an entry; here it is from 13.3 to
//! 16.7, and 14.7 on average. Hashes and versions lie apart, so that a search for a hash, or for
//! a gap, looks at many in few cache lines.
//!
//! Deliberately absent: keys. Whoever searches says which of the entries of a hash is meant.
//!
//! Invariant: entries ascend by hash, none stands left of its home, there is no gap between an
//! entry and its home, and the last place is a gap.

use super::super::Version;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// In place of a hash: nothing is here. No hash is greater, so that a search stops here too.
const GAP: u32 = u32::MAX;
/// The hash of an entry is at most this.
pub(super) const GREATEST: u32 = GAP - 1;
/// Places beyond the last home, for those that are pushed out of it. There may be more.
const TAIL: usize = 16;

#[derive(Default)]
pub(super) struct Table {
    hashes: Box<[u32]>,
    versions: Box<[Version]>,
    /// How many of the places are somebody's home.
    homes: u32,
    len: u32,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Where the entry of this hash and version stands, or else where it would.
    pub(super) fn find(&self, hash: u32, same: impl Fn(Version) -> bool) -> Result<usize, usize> {
        let mut at = self.place(hash);
        while self.hashes.get(at) == Some(&hash) {
            if same(self.versions[at]) {
                return Ok(at);
            }
            at += 1;
        }
        Err(at)
    }

    /// Puts this version in the place of a found one, which it gives back.
    pub(super) fn exchange(&mut self, at: usize, version: Version) -> Version {
        core::mem::replace(&mut self.versions[at], version)
    }

    /// Adds an entry where it was not found.
    pub(super) fn insert(&mut self, mut at: usize, hash: u32, version: Version) {
        debug_assert!(hash <= GREATEST);
        if self.len() >= most(self.hashes.len()) {
            *self = self.fitted(self.len() + 1, |_| true);
            at = self.place(hash);
        }
        self.len += 1;
        // One loop up to the next gap: to look for it first and to copy then takes longer.
        let mut pushed = (hash, version);
        for (hash, version) in self.hashes[at..].iter_mut().zip(&mut self.versions[at..]) {
            let here = (*hash, *version);
            (*hash, *version) = pushed;
            pushed = here;
            if pushed.0 == GAP {
                break;
            }
        }
        if self.hashes.last() != Some(&GAP) {
            *self = self.fitted(self.len(), |_| true);
        }
    }

    /// Removes a found entry; gives memory back when little is left.
    pub(super) fn remove(&mut self, at: usize) {
        let stays = |&i: &usize| self.hashes[i] == GAP || home(self.hashes[i], self.homes) == i;
        let places = self.hashes.len();
        let end = (at + 1..places).find(stays).unwrap_or(places);
        self.hashes.copy_within(at + 1..end, at);
        self.versions.copy_within(at + 1..end, at);
        self.hashes[end - 1] = GAP;
        self.len -= 1;
        if places > 8 * self.len() + 16 {
            *self = self.fitted(self.len(), |_| true);
        }
    }

    /// Those that `go` leave for a table of their own.
    pub(super) fn split(&mut self, go: impl Fn(u32) -> bool) -> Self {
        let all = self.hashes.iter().filter(|&&hash| hash != GAP);
        let going = all.filter(|&&hash| go(hash)).count();
        let new = self.fitted(going, &go);
        *self = self.fitted(self.len() - going, |hash| !go(hash));
        new
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.hashes.len() * (size_of::<u32>() + size_of::<Version>())
    }

    /// The first place that may hold this hash: everything from its home up to there is smaller.
    fn place(&self, hash: u32) -> usize {
        let home = home(hash, self.homes);
        let smaller = self.hashes[home..].iter().take_while(|&&h| h < hash);
        home + smaller.count()
    }

    /// A table of the entries whose hashes are wanted, with room for `len`, and a gap at the end.
    fn fitted(&self, len: usize, wanted: impl Fn(u32) -> bool) -> Self {
        let places = places(len);
        let homes = places - TAIL.min(places / 4);
        let (mut hashes, mut versions) = (vec![GAP; places], vec![Version::ZERO; places]);
        let (mut count, mut free) = (0, 0);
        for (&hash, &version) in self.hashes.iter().zip(&self.versions) {
            // Gaps are written too, where there is one already: a branch would often be mistaken.
            let hash = if wanted(hash) { hash } else { GAP };
            let is_entry = hash != GAP;
            let least = if is_entry {
                home(hash, homes as u32)
            } else {
                0
            };
            let at = free.max(least);
            if is_entry && at + 1 >= hashes.len() {
                lengthen(&mut hashes, GAP);
                lengthen(&mut versions, Version::ZERO);
            }
            (hashes[at], versions[at]) = (hash, version);
            free = at + usize::from(is_entry);
            count += u32::from(is_entry);
        }
        Self {
            hashes: hashes.into_boxed_slice(),
            versions: versions.into_boxed_slice(),
            homes: homes as u32,
            len: count,
        }
    }
}

fn lengthen<T: Copy>(places: &mut Vec<T>, with: T) {
    places.reserve_exact(TAIL);
    places.resize(places.len() + TAIL, with);
}

/// Scales a hash to so many places, keeping the order.
fn home(hash: u32, homes: u32) -> usize {
    ((u64::from(hash) * u64::from(homes)) >> 32) as usize
}

/// How many places to make for so many entries. Allocators keep four sizes a doubling and round
/// up: a table takes all of one.
fn places(len: usize) -> usize {
    let needed = len + len / 9 + 4;
    needed.next_multiple_of(needed.next_power_of_two().div_ceil(8))
}

/// How many entries fit.
fn most(places: usize) -> usize {
    places - places / 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::collection::vec as some;
    use proptest::prelude::*;

    /// Panics if the table is not what its header says.
    fn check(table: &Table) {
        let mut before = None;
        let mut count = 0;
        let entries = table.hashes.iter().enumerate();
        for (at, &hash) in entries.filter(|&(_, &hash)| hash != GAP) {
            let home = home(hash, table.homes);
            assert!(home <= at, "{at} is left of its home {home}");
            assert!(!table.hashes[home..at].contains(&GAP));
            assert!(before <= Some(hash), "not in order at {at}");
            before = Some(hash);
            count += 1;
        }
        assert_eq!(table.hashes.len(), table.versions.len());
        assert!(table.hashes.last().is_none_or(|&hash| hash == GAP));
        assert_eq!(table.len(), count);
        assert!(table.hashes.len() <= 8 * count + 16);
    }

    /// The model: versions, each with its hash.
    fn check_all(table: &Table, model: &BTreeMap<Version, u32>) {
        check(table);
        assert_eq!(table.len(), model.len());
        for (&version, &hash) in model {
            let at = table.find(hash, |other| other == version);
            let at = at.unwrap_or_else(|_| panic!("{version} is not found"));
            assert_eq!((table.versions[at], table.hashes[at]), (version, hash));
        }
    }

    /// Hashes that are all over the place, close together, the same, and at both ends.
    fn hashes() -> impl Strategy<Value = u32> {
        prop_oneof![
            0..=GREATEST,
            0..40_u32,
            GREATEST - 40..=GREATEST,
            Just(GREATEST),
            (0..8_u32).prop_map(|i| i << 29 | 5),
            0x8000_0000..0x8000_0100_u32,
        ]
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(Vec<u32>),
        Remove(Vec<prop::sample::Index>),
        Exchange(prop::sample::Index),
        Split(u32, bool),
    }

    fn steps() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => some(hashes(), 1..60).prop_map(Step::Add),
            3 => some(any::<prop::sample::Index>(), 1..50).prop_map(Step::Remove),
            1 => any::<prop::sample::Index>().prop_map(Step::Exchange),
            1 => (0..6_u32, any::<bool>()).prop_map(|(bit, go)| Step::Split(1 << bit, go)),
        ]
    }

    struct Both {
        table: Table,
        model: BTreeMap<Version, u32>,
        last: Version,
    }

    impl Both {
        fn some(&self, which: prop::sample::Index) -> Option<(Version, u32, usize)> {
            let all: Vec<_> = self.model.iter().collect();
            let (&version, &hash) = *all.get(which.index(all.len().max(1)))?;
            let at = self.table.find(hash, |other| other == version);
            Some((
                version,
                hash,
                at.unwrap_or_else(|_| panic!("{version} is not found")),
            ))
        }

        fn add(&mut self, hash: u32) {
            self.last = self.last.next();
            let at = self.table.find(hash, |other| other == self.last);
            let at = at.map_or_else(|at| at, |_| panic!("{} is found already", self.last));
            self.table.insert(at, hash, self.last);
            self.model.insert(self.last, hash);
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Add(hashes) => hashes.into_iter().for_each(|hash| self.add(hash)),
                Step::Remove(which) => {
                    for which in which {
                        if let Some((version, _, at)) = self.some(which) {
                            self.table.remove(at);
                            self.model.remove(&version);
                        }
                    }
                }
                Step::Exchange(which) => {
                    if let Some((version, hash, at)) = self.some(which) {
                        self.last = self.last.next();
                        assert_eq!(self.table.exchange(at, self.last), version);
                        self.model.remove(&version);
                        self.model.insert(self.last, hash);
                    }
                }
                Step::Split(bit, go) => {
                    let mut table = self.table.split(|hash| hash & bit != 0);
                    let mut model = self.model.clone();
                    model.retain(|_, hash| *hash & bit != 0);
                    self.model.retain(|_, hash| *hash & bit == 0);
                    check_all(&table, &model);
                    if go {
                        core::mem::swap(&mut table, &mut self.table);
                        self.model = model;
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_table_holds_what_a_naive_one_holds(all in some(steps(), 1..40)) {
            let (table, model) = (Table::default(), BTreeMap::new());
            let mut both = Both { table, model, last: Version::ZERO };
            for step in all {
                both.step(step);
                check_all(&both.table, &both.model);
            }
        }
    }

    #[test]
    fn any_number_of_entries_may_have_the_greatest_hash_of_all() {
        let (table, model) = (Table::default(), BTreeMap::new());
        let mut both = Both {
            table,
            model,
            last: Version(u64::from(u32::MAX) - 100),
        };
        for _ in 0..300 {
            both.add(GREATEST);
            check(&both.table);
        }
        check_all(&both.table, &both.model);
        let nothing = Table::default();
        assert_eq!(nothing.find(GREATEST, |_| true), Err(0));
        assert_eq!(
            both.table.find(GREATEST - 1, |_| true).map_err(drop),
            Err(())
        );
    }

    #[test]
    fn a_table_takes_from_13_to_17_bytes_an_entry_and_grows_four_times_a_doubling() {
        let mut table = Table::default();
        let (mut before, mut moved) = (0, 0);
        for i in 1..=4_096_u32 {
            let hash = i.wrapping_mul(0x9e37_79b9).min(GREATEST);
            let at = table.find(hash, |_| false).unwrap_or_else(|at| at);
            table.insert(at, hash, Version(u64::from(i)));
            let (len, bytes) = (table.len(), table.memory_bytes());
            if before != bytes {
                (before, moved) = (bytes, moved + len);
            }
            assert!(
                i < 512 || (13 * len..=17 * len).contains(&bytes),
                "{bytes} for {len}"
            );
        }
        check(&table);
        assert!(moved < 8 * table.len(), "{moved} entries were moved");
    }
}
