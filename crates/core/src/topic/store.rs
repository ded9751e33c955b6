//! The rows of one topic, by version, in segments; and how holes go.
//!
//! Holes may make up an eighth of the live bytes and [`SLACK`]; past that, the segment with the
//! largest share of them is rewritten without them. That share is above a ninth, so a rewriting
//! copies at most eight bytes for each byte it frees, and a step copies at most eight times what
//! it killed, and a segment. Small neighbours are taken along, so that segments stay large.
//!
//! Invariant: segments do not overlap, none is without a live row, and only the last is open.

use super::Version;
use super::segment::{LONGEST, Segment};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use statestore_wire::Item;
use statestore_wire::item::{CHUNK_BYTES, Chunk};

/// How much a segment gathers before the next is begun.
pub(super) const SEGMENT: usize = 256 << 10;
/// From this length on a chunk becomes a segment as it is.
const ADOPT: usize = SEGMENT / 2;
/// Holes that are always allowed.
const SLACK: usize = SEGMENT;
const _: () = assert!(CHUNK_BYTES <= LONGEST && SEGMENT <= LONGEST);

#[derive(Default)]
pub(super) struct Store {
    segments: BTreeMap<Version, Segment>,
    /// Segments with holes, by their share of them in 64ths.
    holes: BTreeSet<(u8, Version)>,
    live_bytes: usize,
    dead_bytes: usize,
    allocated: usize,
    rewritten: u64,
}

impl Store {
    /// Appends the items as rows `first`, `first + 1`, ... without copying them, if that is worth
    /// a segment.
    pub(super) fn adopt(&mut self, first: Version, chunk: &Chunk) -> bool {
        let worth = chunk.bytes().len() >= ADOPT;
        if worth {
            self.seal();
            self.insert(Segment::adopt(first, chunk));
        }
        worth
    }

    /// Appends one row. Its version must be higher than any before.
    pub(super) fn push(&mut self, version: Version, item: Item<'_>) {
        let len = item.encoded.len();
        let room = |s: &Segment| s.is_open() && s.len() + len <= SEGMENT && s.reaches(version);
        if !self.segments.values().next_back().is_some_and(room) {
            self.seal();
            // A large topic fills the next segment too; a small one should stay small.
            let capacity = self.live_bytes.min(SEGMENT).max(len);
            self.insert(Segment::open(version, capacity));
        }
        if let Some((&first, segment)) = self.segments.iter_mut().next_back() {
            let before = rank(segment);
            self.allocated -= segment.memory_bytes();
            segment.push(version, item.encoded, item.deleted, SEGMENT);
            self.allocated += segment.memory_bytes();
            self.live_bytes += len;
            let after = rank(segment);
            self.relist(first, before, after);
        }
        if len >= SEGMENT {
            self.seal();
        }
    }

    /// The item of this version, if it is a live row.
    pub(super) fn item(&self, version: Version) -> Option<Item<'_>> {
        let (_, segment) = self.segments.range(..=version).next_back()?;
        segment.item(version)
    }

    /// Makes the live row of this version a hole.
    pub(super) fn kill(&mut self, version: Version) {
        let Some((&first, segment)) = self.segments.range_mut(..=version).next_back() else {
            return;
        };
        let before = rank(segment);
        let Some(len) = segment.kill(version) else {
            return;
        };
        self.live_bytes -= len;
        self.dead_bytes += len;
        let after = rank(segment);
        if segment.live_rows() == 0 {
            self.take(first);
            self.relist(first, before, 0);
        } else {
            self.relist(first, before, after);
        }
    }

    /// Rewrites segments until holes are few.
    pub(super) fn settle(&mut self) {
        while self.dead_bytes > self.live_bytes / 8 + SLACK {
            let Some(&(_, first)) = self.holes.last() else {
                return;
            };
            self.rewrite(first);
        }
    }

    /// Segments that may hold a row above `since`, ascending.
    pub(super) fn after(&self, since: Version) -> impl Iterator<Item = &Segment> {
        let holder = self.segments.range(..=since).next_back();
        let from = holder.map_or(Version::ZERO, |(first, _)| *first);
        self.segments.range(from..).map(|(_, segment)| segment)
    }

    /// The first live row of these versions.
    pub(super) fn first_live(&self, versions: &RangeInclusive<Version>) -> Option<Version> {
        let since = Version(versions.start().0.saturating_sub(1));
        let rows = self.after(since).flat_map(|s| s.rows_after(since));
        let first = rows.map(|row| row.version).next();
        first.filter(|first| versions.contains(first))
    }

    /// How many live rows have one of these versions.
    pub(super) fn count_live(&self, versions: &RangeInclusive<Version>) -> usize {
        let since = Version(versions.start().0.saturating_sub(1));
        let touched = self.after(since);
        let touched = touched.take_while(|s| s.first() <= *versions.end());
        let counts = touched.map(|s| {
            if s.first() > since && s.last() <= *versions.end() {
                return s.live_rows();
            }
            let rows = s.rows_after(since);
            rows.take_while(|row| row.version <= *versions.end())
                .count()
        });
        counts.sum()
    }

    pub(super) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Bytes copied so far to get rid of holes.
    pub(super) fn rewritten_bytes(&self) -> u64 {
        self.rewritten
    }

    /// Memory behind the rows; that of the trees is estimated from above.
    pub(super) fn memory_bytes(&self) -> usize {
        let node = 2 * (size_of::<Version>() + size_of::<Segment>());
        let hole = 2 * size_of::<(u8, Version)>();
        self.allocated + self.segments.len() * node + self.holes.len() * hole
    }

    fn relist(&mut self, first: Version, before: u8, after: u8) {
        if after == before {
            return;
        }
        self.holes.remove(&(before, first));
        if after > 0 {
            self.holes.insert((after, first));
        }
    }

    fn seal(&mut self) {
        if let Some(segment) = self.segments.values_mut().next_back() {
            self.allocated -= segment.memory_bytes();
            segment.seal();
            self.allocated += segment.memory_bytes();
        }
    }

    fn insert(&mut self, segment: Segment) {
        self.live_bytes += segment.live_bytes();
        self.allocated += segment.memory_bytes();
        self.segments.insert(segment.first(), segment);
    }

    fn take(&mut self, first: Version) -> Option<Segment> {
        let segment = self.segments.remove(&first)?;
        self.live_bytes -= segment.live_bytes();
        self.dead_bytes -= segment.dead_bytes();
        self.allocated -= segment.memory_bytes();
        Some(segment)
    }

    /// Copies the live rows of a segment, and of small neighbours, into new ones.
    fn rewrite(&mut self, first: Version) {
        let (firsts, mut rest) = self.neighbourhood(first);
        let mut piece: Option<Segment> = None;
        let mut length = 0;
        for first in firsts {
            let Some(old) = self.take(first) else {
                continue;
            };
            self.relist(first, rank(&old), 0);
            for row in old.rows_after(Version::ZERO) {
                let fits = |p: &Segment| p.len() + row.range.len() <= length;
                if !piece
                    .as_ref()
                    .is_some_and(|p| fits(p) && p.reaches(row.version))
                {
                    self.finish(piece.take());
                    length = even(rest).max(row.range.len());
                    piece = Some(Segment::open(row.version, length));
                }
                if let Some(piece) = &mut piece {
                    let encoded = &old.bytes()[row.range];
                    rest -= encoded.len();
                    piece.push(row.version, encoded, row.deleted, length);
                }
            }
        }
        self.finish(piece);
    }

    fn finish(&mut self, piece: Option<Segment>) {
        if let Some(mut segment) = piece {
            segment.seal();
            self.rewritten += segment.len() as u64;
            self.insert(segment);
        }
    }

    /// The segment and what to merge with it: neighbours at most twice as long as what there is
    /// already, so that an item is copied for a neighbour's sake a logarithmic number of times.
    fn neighbourhood(&self, first: Version) -> (Vec<Version>, usize) {
        let mut firsts = Vec::from([first]);
        let mut bytes = self.segments.get(&first).map_or(0, Segment::live_bytes);
        let (mut low, mut high) = (first, first);
        loop {
            let fits = |s: &&Segment| {
                let len = s.live_bytes();
                !s.is_open() && len <= 2 * bytes && len + bytes <= SEGMENT
            };
            let left = self
                .segments
                .range(..low)
                .next_back()
                .map(|(_, s)| s)
                .filter(fits);
            let above = (
                core::ops::Bound::Excluded(high),
                core::ops::Bound::Unbounded,
            );
            let right = self
                .segments
                .range(above)
                .next()
                .map(|(_, s)| s)
                .filter(fits);
            if let Some(s) = left {
                low = s.first();
                firsts.insert(0, low);
                bytes += s.live_bytes();
            } else if let Some(s) = right {
                high = s.first();
                firsts.push(high);
                bytes += s.live_bytes();
            } else {
                return (firsts, bytes);
            }
        }
    }
}

/// How long a segment to make for so many bytes. Allocators keep four sizes a doubling and round
/// up; what exceeds one of them is better off in a small segment, to be merged with the next.
fn even(bytes: usize) -> usize {
    let step = bytes.min(SEGMENT).next_power_of_two() / 8;
    if bytes < SEGMENT / 4 {
        bytes
    } else {
        bytes.min(SEGMENT) / step * step
    }
}

/// The share of holes in 64ths; with zero a segment is not listed.
fn rank(segment: &Segment) -> u8 {
    (segment.dead_bytes() * 64 / segment.len().max(1)) as u8
}
