//! [`Flight`]: an answer with publications whose arrival is not proven yet.
//!
//! Invariant: [`Verdict::Arrived`] is never a guess.

use super::super::port::ConnectionId;
use super::publication::Write;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use statestore_wire::{Text, TopicDelta};

/// What the message that was answered said of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Seen {
    pub(in super::super) topic: Text,
    pub(in super::super) from: i64,
    pub(in super::super) to: i64,
    /// Where it was before that message.
    pub(in super::super) held: i64,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) connection: ConnectionId,
    /// Topics of the answered message whose base the answer did not reset.
    pub(super) seen: Vec<Seen>,
    pub(super) shipments: Vec<Shipment>,
}

/// What an answer carried for one topic.
#[derive(Debug)]
pub(super) struct Shipment {
    pub(super) topic: Text,
    pub(super) clear: bool,
    pub(super) writes: Vec<Write>,
}

impl Shipment {
    pub(super) fn len(&self) -> usize {
        self.writes.len() + usize::from(self.clear)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Arrived,
    Lost,
    Unclear,
}

impl Flight {
    pub(super) fn len(&self) -> usize {
        self.shipments.iter().map(Shipment::len).sum()
    }

    /// What the stream's next message, over another connection, tells: had the answer arrived,
    /// bases would have moved to where it put them (T-20), and the counter by what it brought
    /// (T-2). A cleared topic begins anew, so its numbers tell something else.
    pub(super) fn judge(&self, next: &BTreeMap<Text, TopicDelta>) -> Verdict {
        for seen in self.seen.iter().filter(|seen| seen.from != seen.to) {
            match next.get(&seen.topic).and_then(|delta| delta.from_version) {
                // If it had been there before, an earlier answer may have put the base there: this
                // message had been on its way for long, and the one after it was quicker.
                Some(base) if base == seen.to && seen.held != seen.to => return Verdict::Arrived,
                Some(base) if base == seen.from && !self.clears(&seen.topic) => {
                    return Verdict::Lost;
                }
                _ => {}
            }
        }
        for shipment in &self.shipments {
            let seen = self.seen.iter().find(|seen| seen.topic == shipment.topic);
            let (Some(seen), Some(delta)) = (seen, next.get(&shipment.topic)) else {
                continue;
            };
            let reached = delta.to_version.unwrap_or(0);
            let brought = shipment.writes.len() as i64;
            let too_few = reached < seen.to.saturating_add(brought);
            // Cleared, the log is empty, or goes on above what was there.
            let uncleared = delta.is_delta && reached > 0 && reached == seen.to;
            if uncleared || (too_few && !shipment.clear) {
                return Verdict::Lost;
            }
        }
        Verdict::Unclear
    }

    /// Whether the next message shows a topic that was cleared, by this answer or by somebody
    /// else: it is empty, or comes whole although only a delta was due (W13).
    pub(super) fn shows_cleared(&self, topic: &Text, next: &TopicDelta) -> bool {
        let seen = self.seen.iter().find(|seen| seen.topic == *topic);
        let begins_anew = !next.is_delta && seen.is_some_and(|seen| seen.from > 0);
        begins_anew || next.to_version.unwrap_or(0) == 0
    }

    fn clears(&self, topic: &Text) -> bool {
        let mut shipments = self.shipments.iter();
        shipments.any(|shipment| shipment.clear && shipment.topic == *topic)
    }
}
