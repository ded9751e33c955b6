//! What one subscriber lacks, as slices of the log.
//!
//! A long run of wanted rows leaves as a slice of its segment. Short runs are copied together:
//! one slice per 1 KB item costs a quarter of the speed and twice the CPU. Copying ends at
//! [`COPY_AT_MOST`], so that a delta does not become a second topic in memory; only where a prefix
//! hides every other small item is a copy for all cheaper than slices for each (W16).
//!
//! Invariant: the runs are, byte for byte, the encodings of the wanted rows in version order.

use super::Version;
use super::segment::Segment;
use super::store::Store;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Range;
use statestore_wire::item::canonical_key;

/// From this length on, a run is worth a slice of its own.
const LONG: usize = 4 << 10;
/// A run below this is copied in any case: its slice takes 32 bytes, and as many again for each
/// subscriber that is being sent it.
const TINY: usize = 256;
/// How much one buffer of copied runs holds.
const BUFFER: usize = 1 << 20;
/// How much one delta copies.
const COPY_AT_MOST: usize = 4 << 20;

/// The items that a subscriber lacks, encoded. Cloning is cheap: the bytes are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// False if this is the whole topic (T-5).
    pub is_delta: bool,
    /// The version that it starts from; zero for the whole topic.
    pub from: Version,
    /// The version that a subscriber has after it.
    pub to: Version,
    /// How many items.
    pub count: usize,
    /// The items' encodings back to back: the elements of a `list<TTopicItem>`.
    pub runs: Arc<[Bytes]>,
    /// Length of all runs together.
    pub bytes: usize,
}

/// Which rows a delta wants.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) since: Version,
    pub(super) tombstones: bool,
    pub(super) prefix: &'a [u8],
}

/// How much has to be looked at for a delta, about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extent {
    pub(super) segments: usize,
    pub(super) rows: usize,
}

impl Extent {
    /// A segment is found, and asked whether all of it is wanted: that takes as long as so many
    /// rows.
    const SEGMENT: usize = 8;

    /// What finding out takes.
    pub(super) fn found(self) -> usize {
        self.segments.saturating_mul(Self::SEGMENT)
    }

    /// What all of it takes.
    pub(super) fn looks(self) -> usize {
        self.found().saturating_add(self.rows)
    }
}

/// The runs of a delta, and how much of them was copied.
pub(super) struct Gathered {
    pub(super) runs: Arc<[Bytes]>,
    pub(super) count: usize,
    pub(super) bytes: usize,
    pub(super) copied: usize,
}

/// Collects the wanted rows. `has_tombstones` says whether any lives in the given segment.
pub(super) fn gather(
    store: &Store,
    wanted: Wanted<'_>,
    has_tombstones: impl Fn(&Segment) -> bool,
) -> Gathered {
    let mut gather = Gather::default();
    for segment in store.after(wanted.since) {
        if wanted.whole(segment, &has_tombstones) {
            gather.whole(segment);
        } else {
            gather.rows(segment, wanted);
        }
    }
    gather.finish()
}

pub(super) struct Gather {
    runs: Vec<Bytes>,
    buffer: Vec<u8>,
    copied: usize,
    /// How much may be copied.
    allowed: usize,
    count: usize,
    bytes: usize,
}

impl Default for Gather {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            buffer: Vec::new(),
            copied: 0,
            allowed: COPY_AT_MOST,
            count: 0,
            bytes: 0,
        }
    }
}

impl Gather {
    /// As a part of a delta of which so much was copied already.
    pub(super) fn having_copied(copied: usize) -> Self {
        Self {
            allowed: COPY_AT_MOST.saturating_sub(copied),
            ..Self::default()
        }
    }

    /// All rows of a segment that has no holes.
    pub(super) fn whole(&mut self, segment: &Segment) {
        self.count += segment.live_rows();
        self.run(segment, 0..segment.len());
    }

    /// What was gathered before.
    pub(super) fn piece(&mut self, piece: &Gathered) {
        self.count += piece.count;
        self.bytes += piece.bytes;
        self.copied += piece.copied;
        for run in piece.runs.iter() {
            if run.len() < LONG {
                self.copy(run);
            } else {
                self.flush();
                self.runs.push(run.clone());
            }
        }
    }

    pub(super) fn rows(&mut self, segment: &Segment, wanted: Wanted<'_>) {
        let mut run = 0..0;
        for row in segment.rows_after(wanted.since) {
            if !wanted.wants(row.deleted, &segment.bytes()[row.range.clone()]) {
                continue;
            }
            self.count += 1;
            if row.range.start != run.end {
                self.run(segment, run);
                run = row.range.start..row.range.start;
            }
            run.end = row.range.end;
        }
        self.run(segment, run);
    }

    fn run(&mut self, segment: &Segment, run: Range<usize>) {
        self.bytes += run.len();
        let spare = run.len() < LONG && self.copied + run.len() <= self.allowed;
        match segment.sealed() {
            Some(shared) if run.len() > TINY && !spare => {
                self.flush();
                self.runs.push(shared.slice(run));
            }
            _ => {
                self.copied += run.len();
                self.copy(&segment.bytes()[run]);
            }
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            let mut buffer = core::mem::take(&mut self.buffer);
            buffer.shrink_to_fit();
            self.runs.push(Bytes::from(buffer));
        }
    }

    pub(super) fn finish(mut self) -> Gathered {
        self.flush();
        Gathered {
            runs: Arc::from(self.runs),
            count: self.count,
            bytes: self.bytes,
            copied: self.copied,
        }
    }
}

impl Wanted<'_> {
    /// True if every row of the segment is wanted, so that none has to be looked at.
    pub(super) fn whole(
        self,
        segment: &Segment,
        has_tombstones: impl Fn(&Segment) -> bool,
    ) -> bool {
        self.prefix.is_empty()
            && segment.first() > self.since
            && segment.dead_bytes() == 0
            && (self.tombstones || !has_tombstones(segment))
    }

    /// Counts what has to be looked at, and stops past `most` looks.
    pub(super) fn extent(
        self,
        store: &Store,
        has_tombstones: impl Fn(&Segment) -> bool,
        most: usize,
    ) -> Extent {
        let mut extent = Extent::default();
        for segment in store.after(self.since) {
            extent.segments += 1;
            if !self.whole(segment, &has_tombstones) {
                extent.rows += segment.rows_above(self.since);
            }
            if extent.looks() > most {
                break;
            }
        }
        extent
    }

    fn wants(&self, deleted: bool, encoded: &[u8]) -> bool {
        (self.tombstones || !deleted)
            && (self.prefix.is_empty() || canonical_key(encoded).starts_with(self.prefix))
    }
}
