//! A large delta that is put together in several short steps, while the topic goes on changing.
//!
//! It is gathered segment by segment. A piece stays good as long as its segment's rows do, and
//! what changed meanwhile is gathered anew; when all pieces are good at one moment, they are the
//! delta of that moment.
//!
//! Deliberately absent: whose turn it is; a log has one assembly at a time. Invariant: a piece is
//! used only if it is what gathering its segment now would give.

use super::Version;
use super::delta::{Gather, Gathered, Wanted};
use super::segment::Segment;
use super::store::Store;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;

/// A topic that changes faster than it can be looked through is looked through in pieces twice as
/// large each time that so many times its rows were looked at.
const PATIENCE: usize = 4;

pub(super) struct Assembly {
    from: Version,
    tombstones: bool,
    prefix: Box<[u8]>,
    /// By their segments' first versions.
    pieces: BTreeMap<Version, Piece>,
    copied: usize,
    looked: usize,
    /// With so many looks the pieces get larger.
    patient_until: usize,
    /// How many times as large as at first they are.
    larger: usize,
}

struct Piece {
    last: Version,
    live_rows: usize,
    gathered: Gathered,
    /// Memory of its segment that it keeps alive.
    shares: usize,
}

impl Piece {
    /// Rows of one range of versions only ever die: as many as before are the same.
    fn is_of(&self, segment: &Segment) -> bool {
        self.last == segment.last() && self.live_rows == segment.live_rows()
    }
}

impl Assembly {
    pub(super) fn new(wanted: Wanted<'_>) -> Self {
        Self {
            from: wanted.since,
            tombstones: wanted.tombstones,
            prefix: Box::from(wanted.prefix),
            pieces: BTreeMap::new(),
            copied: 0,
            looked: 0,
            patient_until: 0,
            larger: 0,
        }
    }

    pub(super) fn is_for(&self, wanted: Wanted<'_>) -> bool {
        let same = (self.from, self.tombstones) == (wanted.since, wanted.tombstones);
        same && *self.prefix == *wanted.prefix
    }

    /// Goes on until about `room` rows have been looked at, which it counts down, and by at least
    /// one piece; further if the topic changes too fast. The delta's runs if everything is there.
    pub(super) fn advance(
        &mut self,
        store: &Store,
        has_tombstones: impl Fn(&Segment) -> bool,
        room: &mut usize,
    ) -> Option<Gathered> {
        let wanted = Wanted {
            since: self.from,
            tombstones: self.tombstones,
            prefix: &self.prefix,
        };
        let partly = |segment: &&Segment| !wanted.whole(segment, &has_tombstones);
        if self.looked >= self.patient_until {
            let rows = wanted.extent(store, &has_tombstones, usize::MAX).rows;
            self.patient_until = self
                .looked
                .saturating_add(PATIENCE.saturating_mul(rows.max(1)));
            self.larger = self.larger.saturating_mul(2).max(1);
        }
        let most = room.saturating_mul(self.larger);
        let mut left = most;
        let mut went_on = false;
        for segment in store.after(wanted.since).filter(partly) {
            let piece = self.pieces.get(&segment.first());
            if piece.is_some_and(|piece| piece.is_of(segment)) {
                continue;
            }
            if left == 0 && went_on {
                *room = 0;
                return None;
            }
            went_on = true;
            let rows = segment.rows_above(wanted.since);
            left = left.saturating_sub(rows);
            self.looked += rows;
            let mut gather = Gather::having_copied(self.copied);
            gather.rows(segment, wanted);
            let gathered = gather.finish();
            let shares = if gathered.bytes > gathered.copied {
                segment.memory_bytes()
            } else {
                0
            };
            let piece = Piece {
                last: segment.last(),
                live_rows: segment.live_rows(),
                gathered,
                shares,
            };
            self.copied += piece.gathered.copied;
            if let Some(old) = self.pieces.insert(segment.first(), piece) {
                self.copied -= old.gathered.copied;
            }
        }
        *room = room.saturating_sub(most - left);
        let mut whole = Gather::default();
        for segment in store.after(wanted.since) {
            match self
                .pieces
                .get(&segment.first())
                .filter(|_| partly(&segment))
            {
                Some(piece) => whole.piece(&piece.gathered),
                None => whole.whole(segment),
            }
        }
        Some(whole.finish())
    }

    /// Memory that it holds by itself: what was copied, and what only its pieces keep alive of
    /// segments that were rewritten since.
    pub(super) fn memory_bytes(&self, store: &Store) -> usize {
        let mut segments = store.after(Version::ZERO).peekable();
        let pinned = self.pieces.iter().map(|(first, piece)| {
            while segments
                .next_if(|segment| segment.first() < *first)
                .is_some()
            {}
            let current = segments.peek().filter(|segment| segment.first() == *first);
            match current.is_some_and(|segment| piece.is_of(segment)) {
                true => 0,
                false => piece.shares,
            }
        });
        self.copied + pinned.sum::<usize>() + self.pieces.len() * 2 * size_of::<Piece>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Looks, TopicLog};
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;
    use statestore_wire::ItemBatch;

    const KEYS: usize = 5_000;

    /// Writes every so-manieth key anew, so that each segment loses some rows.
    fn churn(log: &mut TopicLog, from: usize, every: usize) {
        let keys = (from..KEYS).step_by(every).map(|n| format!("a:{n}"));
        let keys: Vec<_> = keys.collect();
        let value = [0; 1_000];
        let items = keys.iter().map(|key| (key.as_bytes(), &value[..], false));
        log.write(&ItemBatch::from_items(items));
    }

    // P4: whoever cannot be answered in peace is answered by larger steps, not by one that looks
    // through everything.
    #[test]
    fn a_topic_that_changes_all_the_time_is_looked_through_in_pieces_that_grow_slowly() {
        let mut log = TopicLog::new(1);
        churn(&mut log, 0, 1);
        let (mut looked, mut largest, mut round) = (0, 0, 0);
        loop {
            let mut looks = Looks { left: 500, few: 50 };
            if log
                .delta_within(Version::ZERO, b"a", &mut looks, true)
                .is_some()
            {
                break;
            }
            let now = log.assembly.as_ref().map_or(0, |assembly| assembly.looked);
            let step = now - looked;
            assert!(step <= 800 + 2 * largest, "{step} after {largest}");
            largest = step.max(largest);
            looked = now;
            churn(&mut log, round % 50, 50);
            round += 1;
            assert!(round < 1_000);
        }
        assert!((800..KEYS).contains(&largest), "{largest}");
    }
}
