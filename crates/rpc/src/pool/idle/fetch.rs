//! What many calls will look at is looked at together, before the first of them begins or ends.
//!
//! With thousands of addresses nothing of one is in a cache when its turn comes. Looks that do not
//! depend on one another wait for memory at the same time; so do those of one pass here.
//!
//! Deliberately absent: any effect but speed, and that a connection found to be of no use is known
//! to be.

use super::State;
use crate::net::Stream;
use smallvec::SmallVec;
use std::hint::black_box;

/// So many places need no memory of their own.
const TOGETHER: usize = 16;

impl<S: Stream> State<S> {
    /// Asks memory for all that lending in these places, and giving back, will look at: first for
    /// that by which the rest is found.
    pub(in crate::pool) fn fetch(&mut self, places: impl Iterator<Item = usize>) {
        let places: SmallVec<[usize; TOGETHER]> = places.collect();
        let mut seen = 0;
        for &place in &places {
            let age = self.ages.get(place).copied().flatten();
            seen += usize::from(age.is_some());
            if let Some(slot) = self.slots.get(place) {
                let idle = slot.idle.last().map(|idle| idle.connection.is_ready());
                seen += slot.purpose + slot.lent as usize + usize::from(idle == Some(true));
            }
        }
        for place in places {
            let slot = self.slots.get_mut(place);
            if let Some(idle) = slot.and_then(|slot| slot.idle.last_mut()) {
                seen += usize::from(idle.connection.is_fresh());
            }
        }
        black_box(seen);
    }
}
