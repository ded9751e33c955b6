//! A stretch of the log: items encoded back to back, and four bytes a row to find them; eight
//! once a rewriting left versions out.
//!
//! A superseded row stays in place as a hole until the store rewrites the segment; its bytes may
//! be on their way to somebody. Only the open segment grows; a sealed one is shared memory.
//!
//! Invariant: rows ascend by version, and row i's bytes end where row i+1's begin.

use super::Version;
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Range;
use statestore_wire::Item;
use statestore_wire::item::Chunk;

const DEAD: u32 = 1 << 31;
const TOMBSTONE: u32 = 1 << 30;
const OFFSET: u32 = TOMBSTONE - 1;
/// A segment of several rows never gets longer, so that offsets leave room for two marks.
pub(super) const LONGEST: usize = OFFSET as usize;

pub(super) struct Segment {
    first: Version,
    data: Data,
    /// Of each row: the offset of its encoding, and the two marks.
    marks: Vec<u32>,
    /// Of each row: its version less the first. Empty while that is the row's place.
    steps: Vec<u32>,
    live_rows: usize,
    live_bytes: usize,
}

enum Data {
    Open(Vec<u8>),
    Sealed(Bytes),
}

impl Segment {
    /// An open segment that begins with this version.
    pub(super) fn open(first: Version, capacity: usize) -> Self {
        Self::around(first, Data::Open(Vec::with_capacity(capacity)))
    }

    /// A sealed segment that shares the chunk's memory.
    pub(super) fn adopt(first: Version, chunk: &Chunk) -> Self {
        let mut segment = Self::around(first, Data::Sealed(chunk.bytes().clone()));
        segment.marks.reserve_exact(chunk.items().len());
        let marks = chunk
            .items()
            .map(|place| mark(chunk.range(place).start, chunk.item(place).deleted));
        segment.marks.extend(marks);
        segment.live_rows = segment.marks.len();
        segment.live_bytes = chunk.bytes().len();
        segment
    }

    fn around(first: Version, data: Data) -> Self {
        Self {
            first,
            data,
            marks: Vec::new(),
            steps: Vec::new(),
            live_rows: 0,
            live_bytes: 0,
        }
    }

    fn note(&mut self, version: Version, offset: usize, deleted: bool) {
        debug_assert!(self.reaches(version));
        let (step, place) = ((version.0 - self.first.0) as u32, self.marks.len() as u32);
        if !self.steps.is_empty() {
            self.steps.push(step);
        } else if step != place {
            self.steps = (0..place).chain([step]).collect();
        }
        self.marks.push(mark(offset, deleted));
        self.live_rows += 1;
    }

    /// Appends a row. The segment must be open and [reach](Self::reaches) the version.
    pub(super) fn push(&mut self, version: Version, encoded: &[u8], deleted: bool, most: usize) {
        let offset = self.len();
        self.note(version, offset, deleted);
        self.live_bytes += encoded.len();
        if let Data::Open(data) = &mut self.data {
            let needed = offset + encoded.len();
            if needed > data.capacity() {
                // Doubling would overshoot what the segment may ever hold.
                let capacity = (2 * data.capacity()).min(most).max(needed);
                data.reserve_exact(capacity - offset);
            }
            data.extend_from_slice(encoded);
        }
    }

    /// No more rows; the bytes become shareable. Sealing twice is harmless.
    pub(super) fn seal(&mut self) {
        if let Data::Open(data) = &mut self.data {
            let mut data = core::mem::take(data);
            data.shrink_to_fit();
            self.data = Data::Sealed(Bytes::from(data));
            self.marks.shrink_to_fit();
            self.steps.shrink_to_fit();
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.data, Data::Open(_))
    }

    /// True if a row of this version can stand in this segment.
    pub(super) fn reaches(&self, version: Version) -> bool {
        version.0 - self.first.0 <= u64::from(u32::MAX)
    }

    pub(super) fn first(&self) -> Version {
        self.first
    }

    /// The version of the last row, dead or alive.
    pub(super) fn last(&self) -> Version {
        self.version(self.marks.len().saturating_sub(1))
    }

    /// Bytes of all rows, holes included.
    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// How many rows above this version, holes included.
    pub(super) fn rows_above(&self, since: Version) -> usize {
        self.marks.len() - self.place_above(since)
    }

    pub(super) fn live_rows(&self) -> usize {
        self.live_rows
    }

    pub(super) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    pub(super) fn dead_bytes(&self) -> usize {
        self.len() - self.live_bytes
    }

    /// Memory behind this segment, unused capacity included.
    pub(super) fn memory_bytes(&self) -> usize {
        let data = match &self.data {
            Data::Open(data) => data.capacity(),
            Data::Sealed(data) => data.len(),
        };
        data + (self.marks.capacity() + self.steps.capacity()) * size_of::<u32>()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Open(data) => data,
            Data::Sealed(data) => data,
        }
    }

    /// The same, to be shared; `None` while the segment is open.
    pub(super) fn sealed(&self) -> Option<&Bytes> {
        match &self.data {
            Data::Open(_) => None,
            Data::Sealed(data) => Some(data),
        }
    }

    fn version(&self, i: usize) -> Version {
        self.first
            .plus(self.steps.get(i).map_or(i, |&step| step as usize))
    }

    fn range(&self, i: usize) -> Range<usize> {
        let offset = |mark: &u32| (mark & OFFSET) as usize;
        offset(&self.marks[i])..self.marks.get(i + 1).map_or(self.len(), offset)
    }

    /// The live row of this version.
    fn live_row(&self, version: Version) -> Option<usize> {
        let step = u32::try_from(version.0.checked_sub(self.first.0)?).ok()?;
        let i = if self.steps.is_empty() {
            step as usize
        } else {
            self.steps.binary_search(&step).ok()?
        };
        let mark = self.marks.get(i)?;
        (mark & DEAD == 0).then_some(i)
    }

    /// The item of this version, if it is a live row.
    pub(super) fn item(&self, version: Version) -> Option<Item<'_>> {
        self.live_row(version)
            .map(|i| Item::from_canonical(&self.bytes()[self.range(i)]))
    }

    /// Turns the live row of this version into a hole; says how long it is.
    pub(super) fn kill(&mut self, version: Version) -> Option<usize> {
        let i = self.live_row(version)?;
        let len = self.range(i).len();
        self.marks[i] |= DEAD;
        self.live_rows -= 1;
        self.live_bytes -= len;
        Some(len)
    }

    fn place_above(&self, since: Version) -> usize {
        match since.0.checked_sub(self.first.0) {
            None => 0,
            Some(step) if self.steps.is_empty() => {
                step.saturating_add(1).min(self.marks.len() as u64) as usize
            }
            Some(step) => self.steps.partition_point(|&s| u64::from(s) <= step),
        }
    }

    /// Live rows above `since`, ascending.
    pub(super) fn rows_after(&self, since: Version) -> impl Iterator<Item = LiveRow> + '_ {
        let from = self.place_above(since);
        let live = (from..self.marks.len()).filter(|&i| self.marks[i] & DEAD == 0);
        live.map(|i| LiveRow {
            version: self.version(i),
            range: self.range(i),
            deleted: self.marks[i] & TOMBSTONE != 0,
        })
    }
}

fn mark(offset: usize, deleted: bool) -> u32 {
    debug_assert!(offset <= LONGEST);
    offset as u32 | if deleted { TOMBSTONE } else { 0 }
}

/// Where a live row's encoding stands in its segment.
pub(super) struct LiveRow {
    pub(super) version: Version,
    pub(super) range: Range<usize>,
    pub(super) deleted: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use statestore_wire::item::put_item;

    fn push(segment: &mut Segment, version: u64) {
        let mut encoded = Vec::new();
        put_item(&mut encoded, &version.to_be_bytes(), b"v", false);
        segment.push(Version(version), &encoded, false, 1 << 10);
    }

    #[test]
    fn rows_are_found_by_version_before_and_after_the_first_gap() {
        let mut segment = Segment::open(Version(10), 64);
        let mut versions = Vec::new();
        for version in [10, 11, 12, 20, 21, 40] {
            push(&mut segment, version);
            versions.push(version);
            assert_eq!(segment.steps.is_empty(), version <= 12);
            assert_eq!(segment.last(), Version(version));
            for known in 9..=41 {
                let item = segment.item(Version(known));
                let key = item.map(|item| u64::from_be_bytes(item.key.try_into().unwrap()));
                assert_eq!(key, versions.contains(&known).then_some(known));
                let above = versions.iter().filter(|&&version| version > known).count();
                assert_eq!(segment.rows_above(Version(known)), above);
                let after = segment.rows_after(Version(known)).map(|row| row.version.0);
                assert!(after.eq(versions.iter().copied().filter(|&v| v > known)));
            }
        }
        assert_eq!(segment.kill(Version(13)), None);
        assert!(segment.kill(Version(20)).is_some() && segment.kill(Version(20)).is_none());
        assert!(segment.item(Version(20)).is_none() && segment.item(Version(21)).is_some());
    }
}
