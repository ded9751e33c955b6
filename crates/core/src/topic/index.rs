//! Which row is a key's current one, without a copy of any key.
//!
//! An entry is twelve bytes: the row's version and 32 bits of the key's hash. The key itself is
//! read from the row when the hashes agree. The table is many small ones, the shards. They become
//! more one by one as entries do (linear hashing): adding an entry never moves more than the
//! entries of one shard, however many there are.
//!
//! Invariant: only a split walks through a table, so the order of a hash table shows nowhere.

use super::Version;
use alloc::vec::Vec;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

/// Entries of a shard on average; those that were not split in this round hold twice as many.
const SHARD: usize = 2_048;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const FOLD: u64 = 0xe703_7ed1_a0b4_28db;

pub(super) struct Index {
    seed: u64,
    /// Between one and two times `round`, which is a power of two.
    shards: Vec<HashTable<Entry>>,
    round: usize,
    len: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Two halves, so that an entry needs no padding.
    version: [u32; 2],
    hash: u32,
}

impl Index {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            shards: Vec::new(),
            round: 1,
            len: 0,
        }
    }

    /// Makes `version` the key's current row; gives the row that was.
    pub(super) fn replace<'a>(
        &mut self,
        key: &[u8],
        version: Version,
        key_of: impl Fn(Version) -> Option<&'a [u8]>,
    ) -> Option<Version> {
        let hash = hash(self.seed, key);
        let same = |e: &Entry| e.hash == hash && key_of(e.version()) == Some(key);
        if self.shards.is_empty() {
            // Many a topic is never written.
            self.shards.push(HashTable::new());
        }
        let shard = self.shard(hash);
        match self.shards[shard].entry(spread(hash), same, |e| spread(e.hash)) {
            Slot::Occupied(mut slot) => {
                let old = slot.get().version();
                *slot.get_mut() = Entry::new(version, hash);
                Some(old)
            }
            Slot::Vacant(slot) => {
                slot.insert(Entry::new(version, hash));
                self.len += 1;
                if self.len > SHARD * self.shards.len() {
                    self.split();
                }
                None
            }
        }
    }

    /// Forgets the key whose current row this is; gives memory back when little is left.
    pub(super) fn remove(&mut self, key: &[u8], version: Version) {
        if self.shards.is_empty() {
            return;
        }
        let hash = hash(self.seed, key);
        let shard = self.shard(hash);
        let shard = &mut self.shards[shard];
        if let Ok(slot) = shard.find_entry(spread(hash), |e| e.version() == version) {
            slot.remove();
            self.len -= 1;
        }
        if shard.capacity() > 8 * shard.len() + 16 {
            shard.shrink_to(2 * shard.len(), |e| spread(e.hash));
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.seed);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(HashTable::allocation_size).sum();
        tables + self.shards.capacity() * size_of::<HashTable<Entry>>()
    }

    /// By the top bits: the tables place entries by what the low ones turn into.
    fn shard(&self, hash: u32) -> usize {
        let place = hash.reverse_bits() as usize;
        let wide = place & (2 * self.round - 1);
        if wide < self.shards.len() {
            wide
        } else {
            place & (self.round - 1)
        }
    }

    /// The next shard of this round gives about half of its entries to a new one.
    fn split(&mut self) {
        if self.shards.len() == 2 * self.round {
            self.round *= 2;
        }
        let old = self.shards.len() - self.round;
        self.shards.push(HashTable::new());
        let entries = core::mem::take(&mut self.shards[old]);
        let moved = |e: &Entry| self.shard(e.hash) != old;
        let moving = entries.iter().filter(|e| moved(e)).count();
        let mut halves = [entries.len() - moving, moving].map(HashTable::with_capacity);
        for entry in &entries {
            let half = &mut halves[usize::from(moved(entry))];
            half.insert_unique(spread(entry.hash), *entry, |e| spread(e.hash));
        }
        let [stay, go] = halves;
        let new = self.shards.len() - 1;
        (self.shards[old], self.shards[new]) = (stay, go);
    }
}

impl Entry {
    fn new(version: Version, hash: u32) -> Self {
        let version = [(version.0 >> 32) as u32, version.0 as u32];
        Self { version, hash }
    }

    fn version(&self) -> Version {
        Version(u64::from(self.version[0]) << 32 | u64::from(self.version[1]))
    }
}

/// What a table wants to see: it uses both the highest and the lowest of 64 bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(SPREAD)
}

/// Eight bytes a step by a folded multiplication. The seed is the server's secret, so nobody
/// outside can choose keys that collide.
fn hash(seed: u64, key: &[u8]) -> u32 {
    let (words, rest) = key.as_chunks::<8>();
    let mut state = fold(seed ^ SPREAD, key.len() as u64 ^ FOLD);
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), FOLD);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let state = fold(state ^ u64::from_le_bytes(last), SPREAD);
    (state ^ state >> 32) as u32
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::format;

    #[test]
    fn keys_that_differ_little_hash_apart_whatever_the_seed() {
        for seed in [0, 1, u64::MAX, SPREAD] {
            let keys = (0..50_000).map(|i| format!("{:>1$}", i, 5 + i % 20));
            let hashes: BTreeSet<u32> = keys.map(|key| hash(seed, key.as_bytes())).collect();
            assert!(
                hashes.len() > 49_980,
                "seed {seed}: {} of 50000",
                hashes.len()
            );
            let mut index = Index::new(seed);
            for i in 0..50_000 {
                let key = format!("{:>1$}", i, 5 + i % 20);
                index.replace(key.as_bytes(), Version(i as u64), |_| None);
            }
            let sizes: Vec<_> = index.shards.iter().map(HashTable::len).collect();
            assert_eq!(sizes.len(), 50_000_usize.div_ceil(SHARD));
            assert_eq!(sizes.iter().sum::<usize>(), 50_000);
            let most = sizes.iter().max();
            assert!(
                most < Some(&(2 * SHARD + SHARD / 2)),
                "seed {seed}: {sizes:?}"
            );
        }
    }

    #[test]
    fn every_key_is_found_again_however_often_shards_were_split() {
        let keys: Vec<_> = (0..40_000).map(|i| format!("key-{i}")).collect();
        let key_of = |version: Version| Some(keys[version.0 as usize % keys.len()].as_bytes());
        let mut index = Index::new(3);
        for (i, key) in keys.iter().enumerate() {
            let version = Version(i as u64);
            assert_eq!(index.replace(key.as_bytes(), version, key_of), None);
        }
        let versions = (0..keys.len() as u64).map(Version);
        for (key, version) in keys.iter().zip(versions) {
            let next = Version(version.0 + keys.len() as u64);
            assert_eq!(index.replace(key.as_bytes(), next, key_of), Some(version));
            index.remove(key.as_bytes(), next);
        }
        assert_eq!(index.len, 0);
    }

    #[test]
    fn only_a_keys_current_row_is_known_and_only_that_one_is_removed() {
        let keys: [&[u8]; 3] = [b"", b"one", b"other"];
        let key_of = |version: Version| keys.get(version.0 as usize % 3).copied();
        let mut index = Index::new(7);
        assert_eq!(index.replace(b"one", Version(1), key_of), None);
        assert_eq!(index.replace(b"other", Version(2), key_of), None);
        assert_eq!(index.replace(b"one", Version(4), key_of), Some(Version(1)));
        index.remove(b"one", Version(1));
        assert_eq!(index.replace(b"one", Version(7), key_of), Some(Version(4)));
        index.remove(b"one", Version(7));
        assert_eq!(index.replace(b"one", Version(10), key_of), None);
        index.clear();
        assert_eq!(index.replace(b"other", Version(5), key_of), None);
    }
}
