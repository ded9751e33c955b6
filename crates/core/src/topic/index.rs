//! Which row is a key's current one, without a copy of any key.
//!
//! An entry is twelve bytes: the row's version and 32 bits of the key's hash. The key itself is
//! read from the row when the hashes agree. The table is split by hash, so that growing it never
//! moves more than a sixty-fourth of the entries in one step.
//!
//! Invariant: nothing ever iterates over it, so the order of a hash table shows nowhere.

use super::Version;
use alloc::vec::Vec;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

const SHARD_BITS: u32 = 6;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const FOLD: u64 = 0xe703_7ed1_a0b4_28db;

pub(super) struct Index {
    seed: u64,
    shards: Vec<HashTable<Entry>>,
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
            self.shards.resize_with(1 << SHARD_BITS, HashTable::new);
        }
        match shard(&mut self.shards, hash).entry(spread(hash), same, |e| spread(e.hash)) {
            Slot::Occupied(mut slot) => {
                let old = slot.get().version();
                *slot.get_mut() = Entry::new(version, hash);
                Some(old)
            }
            Slot::Vacant(slot) => {
                slot.insert(Entry::new(version, hash));
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
        let shard = shard(&mut self.shards, hash);
        if let Ok(slot) = shard.find_entry(spread(hash), |e| e.version() == version) {
            slot.remove();
        }
        if shard.capacity() > 8 * shard.len() + 16 {
            shard.shrink_to(2 * shard.len(), |e| spread(e.hash));
        }
    }

    pub(super) fn clear(&mut self) {
        self.shards = Vec::new();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(HashTable::allocation_size).sum();
        tables + self.shards.capacity() * size_of::<HashTable<Entry>>()
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

/// By the top bits: the tables place entries by what the low ones turn into.
fn shard(shards: &mut [HashTable<Entry>], hash: u32) -> &mut HashTable<Entry> {
    &mut shards[(hash >> (u32::BITS - SHARD_BITS)) as usize]
}

/// What the table wants to see: it uses both the highest and the lowest of 64 bits.
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
            let mut shards = [0; 1 << SHARD_BITS];
            hashes
                .iter()
                .for_each(|hash| shards[(hash >> (u32::BITS - SHARD_BITS)) as usize] += 1);
            assert!(
                shards.iter().all(|n| (600..1000).contains(n)),
                "seed {seed}: {shards:?}"
            );
        }
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
