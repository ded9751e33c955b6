//! Which row is a key's current one, without a copy of any key.
//!
//! An entry is the row's version and 32 bits of the key's hash. The key itself is
//! read from the row when the hashes agree. The index is many small tables, the shards. They
//! become more one by one as entries do (linear hashing): adding an entry never moves more than
//! the entries of one shard, however many there are.
//!
//! Deliberately absent: how a shard finds its entries; that is in `table`.
//!
//! Invariant: no order shows outside; a key has one entry at most.

mod table;

use super::Version;
use alloc::vec::Vec;
use table::Table;

/// Entries of a shard on average; those that were not split in this round hold twice as many.
const SHARD: usize = 2_048;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const FOLD: u64 = 0xe703_7ed1_a0b4_28db;

pub(super) struct Index {
    seed: u64,
    /// Between one and two times `round`, which is a power of two.
    shards: Vec<Table>,
    round: usize,
    len: usize,
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
        if self.shards.is_empty() {
            // Many a topic is never written.
            self.shards.push(Table::default());
        }
        let shard = self.shard(hash);
        let shard = &mut self.shards[shard];
        match shard.find(hash, |version| key_of(version) == Some(key)) {
            Ok(at) => Some(shard.exchange(at, version)),
            Err(at) => {
                shard.insert(at, hash, version);
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
        if let Ok(at) = shard.find(hash, |other| other == version) {
            shard.remove(at);
            self.len -= 1;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.seed);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(Table::memory_bytes).sum();
        tables + self.shards.capacity() * size_of::<Table>()
    }

    /// By the low bits: the tables place entries by the high ones.
    fn shard(&self, hash: u32) -> usize {
        let wide = hash as usize & (2 * self.round - 1);
        if wide < self.shards.len() {
            wide
        } else {
            wide & (self.round - 1)
        }
    }

    /// The next shard of this round gives about half of its entries to a new one.
    fn split(&mut self) {
        if self.shards.len() == 2 * self.round {
            self.round *= 2;
        }
        let old = self.shards.len() - self.round;
        let round = self.round as u32;
        let new = self.shards[old].split(|hash| hash & round != 0);
        self.shards.push(new);
    }
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
    ((state ^ state >> 32) as u32).min(table::GREATEST)
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
                index.replace(key.as_bytes(), Version(i as u64 + 1), |_| None);
            }
            let sizes: Vec<_> = index.shards.iter().map(Table::len).collect();
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
        let key_of = |version: Version| {
            let place = (version.0 - 1) as usize % keys.len();
            Some(keys[place].as_bytes())
        };
        let mut index = Index::new(3);
        for (i, key) in keys.iter().enumerate() {
            let version = Version(1 + i as u64);
            assert_eq!(index.replace(key.as_bytes(), version, key_of), None);
        }
        let versions = (1..=keys.len() as u64).map(Version);
        for (key, version) in keys.iter().zip(versions) {
            let next = Version(version.0 + keys.len() as u64);
            assert_eq!(index.replace(key.as_bytes(), next, key_of), Some(version));
            index.remove(key.as_bytes(), next);
        }
        assert_eq!(index.len, 0);
    }

    #[test]
    fn an_entry_takes_at_most_17_bytes_and_15_on_average() {
        let mut index = Index::new(5);
        let (mut looks, mut sum, mut next) = (0, 0.0, 10_000);
        for i in 1..=1_000_000_u64 {
            index.replace(&i.to_le_bytes(), Version(i), |_| None);
            let round = [10_000, 100_000, 1_000_000].contains(&i);
            if round || i == next {
                let bytes = index.memory_bytes() as f64 / i as f64;
                let most = if round { 16.0 } else { 17.0 };
                assert!(bytes <= most, "{bytes} bytes a row of {i}");
                (looks, sum, next) = (looks + 1, sum + bytes, i + i / 32);
            }
        }
        let average = sum / f64::from(looks);
        assert!(average <= 15.0, "{average} bytes a row");
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
