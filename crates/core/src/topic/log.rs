//! The log of one topic: what was written, in the form in which it leaves.
//!
//! Each write gives the item the next version and makes the key's former row a hole (T-2, T-3).
//! A deletion is a row like any other, a tombstone, until everybody has seen it (W12). Whoever
//! is below [`base`](TopicLog::base) may have missed something that is not in the log any more
//! and gets the whole topic instead of a delta: that is how a clear (W13) and the collection of
//! tombstones stay correct without asking who is where.
//!
//! Deliberately absent: which subscriber is at which version, and who owns a transient entry;
//! an owner remembers the versions that it wrote, and [`TopicLog::expire`] compares them (T-30).
//! What a subscriber lacks is worked out in `lacking`.
//!
//! Invariant: a subscriber that applies what [`TopicLog::delta`] gives it holds exactly the
//! topic's current entries that its prefix lets through.

use super::Version;
use super::assembly::Assembly;
use super::cache::Cache;
use super::index::Index;
use super::store::Store;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::ops::{Range, RangeInclusive};
use statestore_wire::item::put_item;
use statestore_wire::{Item, ItemBatch};

/// How many tombstones one call collects, so that a step stays short.
const COLLECT_AT_ONCE: usize = 4096;
/// How many go for a single write, if there are too many.
const FORGET_AT_ONCE: usize = 64;
/// What a tombstone costs beside its encoding.
const TOMBSTONE_COST: usize = 64;
/// Tombstones that may always stay, in bytes.
const TOMBSTONES_FREE: usize = 1 << 20;

/// One topic.
pub struct TopicLog {
    counter: Version,
    pub(super) last: Version,
    pub(super) base: Version,
    pub(super) store: Store,
    index: Index,
    pub(super) tombstones: BTreeSet<Version>,
    tombstone_bytes: usize,
    rows: usize,
    key_bytes: usize,
    value_bytes: usize,
    pub(super) cache: Cache,
    pub(super) assembly: Option<Assembly>,
    pub(super) nothing: Arc<[Bytes]>,
}

/// One current entry of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value; a tombstone may have one too (T-4).
    pub value: &'a [u8],
    /// When it was written.
    pub version: Version,
    /// True for a tombstone.
    pub deleted: bool,
}

/// How large a topic is (T-12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Keys that have an entry.
    pub entries: usize,
    /// Keys that were deleted and not collected yet.
    pub tombstones: usize,
    /// Bytes of all keys, each key once, tombstones included.
    pub key_bytes: usize,
    /// Bytes of all current values, tombstones included.
    pub value_bytes: usize,
    /// Memory held: capacities, holes, index and cached deltas. Not in it: what deltas that were
    /// handed out keep alive.
    pub memory_bytes: usize,
    /// Bytes copied since the start, or the last clear, to get rid of holes.
    pub rewritten_bytes: u64,
}

impl TopicLog {
    /// An empty topic. The seed, a secret of the process, keeps chosen keys from colliding.
    pub fn new(hash_seed: u64) -> Self {
        Self {
            counter: Version::ZERO,
            last: Version::ZERO,
            base: Version::ZERO,
            store: Store::default(),
            index: Index::new(hash_seed),
            tombstones: BTreeSet::new(),
            tombstone_bytes: 0,
            rows: 0,
            key_bytes: 0,
            value_bytes: 0,
            cache: Cache::default(),
            assembly: None,
            nothing: Arc::default(),
        }
    }

    /// The version given last. It never goes back, also not on clear (T-2).
    pub fn counter(&self) -> Version {
        self.counter
    }

    /// The version that a message built now leads to (T-5). Zero if nothing was written, at all
    /// or since the last clear: the sign of a fresh statestored (T-9). It does not become zero
    /// when the last tombstone is collected.
    pub fn last(&self) -> Version {
        self.last
    }

    /// Whoever is below needs the whole topic.
    pub fn base(&self) -> Version {
        self.base
    }

    /// Writes all items of a batch, in order (T-2, T-3, T-4); gives their versions, which are
    /// contiguous. The range is empty if the batch is.
    pub fn write(&mut self, batch: &ItemBatch) -> RangeInclusive<Version> {
        self.write_part(batch, 0..batch.len())
    }

    /// Writes some items of a batch: a large batch can enter in several short steps.
    ///
    /// # Panics
    /// If the batch has no such items.
    pub fn write_part(&mut self, batch: &ItemBatch, part: Range<usize>) -> RangeInclusive<Version> {
        let first = self.counter.next();
        self.cache.clear();
        let items = part.len();
        for chunk in batch.chunks_from(part.start) {
            let places = chunk.items();
            let within = places.start.max(part.start)..places.end.min(part.end);
            if within.is_empty() {
                break;
            }
            let whole = within == places;
            let adopted = whole && self.store.adopt(self.counter.next(), chunk);
            for place in within {
                let (version, item) = (self.counter.next(), chunk.item(place));
                if !adopted {
                    self.store.push(version, item);
                }
                self.enter(version, item);
            }
        }
        self.bound_tombstones(items);
        first..=self.counter
    }

    /// Deletes the key whose current row has this very version, unless it is deleted already
    /// (T-30). The tombstone has a new version, given back, and no value (W12).
    pub fn expire(&mut self, version: Version) -> Option<Version> {
        let item = self.store.item(version).filter(|item| !item.deleted)?;
        let mut encoded = Vec::new();
        put_item(&mut encoded, item.key, &[], true);
        self.cache.clear();
        let version = self.counter.next();
        let tombstone = Item::from_canonical(&encoded);
        self.store.push(version, tombstone);
        self.enter(version, tombstone);
        self.bound_tombstones(1);
        Some(version)
    }

    /// Deletes what is left of these versions, in order, looking at `most` entries at most, which
    /// it counts down. Gives the versions not looked at, and whether anything was deleted.
    pub fn expire_within(
        &mut self,
        versions: RangeInclusive<Version>,
        most: &mut usize,
    ) -> (Option<RangeInclusive<Version>>, bool) {
        let (mut from, last) = versions.into_inner();
        let mut expired = false;
        while *most > 0 {
            *most -= 1;
            let Some(version) = self.first_current(from..=last) else {
                return (None, expired);
            };
            expired |= self.expire(version).is_some();
            from = version.next();
            if from > last {
                return (None, expired);
            }
        }
        (Some(from..=last), expired)
    }

    /// The first row of these versions that is still its key's latest.
    pub fn first_current(&self, versions: RangeInclusive<Version>) -> Option<Version> {
        self.store.first_live(&versions)
    }

    /// How many rows of these versions are still their keys' latest.
    pub fn count_current(&self, versions: RangeInclusive<Version>) -> usize {
        self.store.count_live(&versions)
    }

    /// True if the row of this version is still its key's latest.
    pub fn is_current(&self, version: Version) -> bool {
        self.store.item(version).is_some()
    }

    /// Drops everything; only the counter stays (T-23). Whoever had anything gets the whole
    /// topic next, so that it learns which keys went (W13). Takes as long as freeing it takes.
    pub fn clear(&mut self) {
        self.store = Store::default();
        self.index.clear();
        self.tombstones.clear();
        self.cache.clear();
        self.assembly = None;
        (
            self.rows,
            self.key_bytes,
            self.value_bytes,
            self.tombstone_bytes,
        ) = (0, 0, 0, 0);
        self.last = Version::ZERO;
        self.base = self.counter.next();
    }

    /// Lets tombstones go that everybody has seen: `floor` is the lowest version above zero of
    /// those who get deltas, or [`last`](Self::last) if there are none (W12). True if one call
    /// was not enough.
    ///
    /// A floor that is too high loses nothing: whoever is below gets the whole topic. So it pays
    /// to count a first message that is under way as the version that it leads to.
    pub fn collect(&mut self, floor: Version) -> bool {
        self.collect_within(floor, &mut { COLLECT_AT_ONCE })
    }

    /// The same, but no more than `most`, which it counts down.
    pub fn collect_within(&mut self, floor: Version, most: &mut usize) -> bool {
        while let Some(&oldest) = self.tombstones.first()
            && oldest <= floor
        {
            if *most == 0 {
                return true;
            }
            *most -= 1;
            self.forget(oldest);
        }
        false
    }

    /// How large the topic is.
    pub fn sizes(&self) -> Sizes {
        let tombstones = self.tombstones.len();
        let assembly = self.assembly.as_ref();
        Sizes {
            entries: self.rows - tombstones,
            tombstones,
            key_bytes: self.key_bytes,
            value_bytes: self.value_bytes,
            memory_bytes: self.store.memory_bytes()
                + self.index.memory_bytes()
                + self.cache.memory_bytes()
                + assembly.map_or(0, |it| it.memory_bytes(&self.store))
                + 2 * tombstones * size_of::<Version>()
                + size_of::<Self>(),
            rewritten_bytes: self.store.rewritten_bytes(),
        }
    }

    /// Current entries and tombstones whose key begins with the prefix, by version.
    pub fn items<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = Entry<'a>> + 'a {
        let rows = self.store.after(Version::ZERO).flat_map(|segment| {
            let rows = segment.rows_after(Version::ZERO);
            rows.map(|row| {
                (
                    row.version,
                    Item::from_canonical(&segment.bytes()[row.range]),
                )
            })
        });
        rows.filter(|(_, item)| item.key.starts_with(prefix))
            .map(|(version, item)| Entry {
                key: item.key,
                value: item.value,
                version,
                deleted: item.deleted,
            })
    }

    /// Makes a row that is in the store already its key's current one.
    fn enter(&mut self, version: Version, item: Item<'_>) {
        (self.counter, self.last) = (version, version);
        self.rows += 1;
        self.key_bytes += item.key.len();
        self.value_bytes += item.value.len();
        if item.deleted {
            self.tombstones.insert(version);
            self.tombstone_bytes += item.encoded.len() + TOMBSTONE_COST;
        }
        let key_of = |version| self.store.item(version).map(|item| item.key);
        if let Some(old) = self.index.replace(item.key, version, key_of) {
            self.drop_row(old);
        }
    }

    /// Makes a hole of a row that the index no longer knows.
    fn drop_row(&mut self, version: Version) {
        let Some(item) = self.store.item(version) else {
            return;
        };
        self.rows -= 1;
        self.key_bytes -= item.key.len();
        self.value_bytes -= item.value.len();
        if item.deleted {
            self.tombstones.remove(&version);
            self.tombstone_bytes -= item.encoded.len() + TOMBSTONE_COST;
        }
        self.store.kill(version);
        self.store.settle();
    }

    /// Collects a tombstone: whoever has not seen it gets the whole topic.
    fn forget(&mut self, tombstone: Version) {
        self.cache.clear();
        self.base = self.base.max(tombstone);
        if let Some(item) = self.store.item(tombstone) {
            self.index.remove(item.key, tombstone);
        }
        self.drop_row(tombstone);
    }

    /// A subscriber that hangs must not keep tombstones for ever: past half of the live bytes
    /// the oldest go, seen or not (W12). More may go than were written, but not in one step.
    fn bound_tombstones(&mut self, written: usize) {
        for _ in 0..FORGET_AT_ONCE + 2 * written {
            let live = self.store.live_bytes().saturating_sub(self.tombstone_bytes);
            let oldest = self.tombstones.first().copied();
            match oldest.filter(|_| self.tombstone_bytes > live / 2 + TOMBSTONES_FREE) {
                Some(oldest) => self.forget(oldest),
                None => return,
            }
        }
    }
}

impl fmt::Debug for TopicLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicLog")
            .field("last", &self.last)
            .field("base", &self.base)
            .field("sizes", &self.sizes())
            .finish_non_exhaustive()
    }
}
