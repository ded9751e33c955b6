//! [`Flight`]: an answer with publications whose arrival is not proven yet.
//!
//! Invariant: [`Verdict::Arrived`] is never a guess.

use super::super::port::ConnectionId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use statestore_wire::{Text, TopicDelta};

/// What the message that was answered said of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Seen {
    pub(in super::super) topic: Text,
    pub(in super::super) from: i64,
    pub(in super::super) to: i64,
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
    pub(super) writes: Vec<(u64, Text)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Arrived,
    Lost,
    Unclear,
}

impl Flight {
    pub(super) fn len(&self) -> usize {
        self.shipments
            .iter()
            .map(|shipment| shipment.writes.len() + usize::from(shipment.clear))
            .sum()
    }

    /// What the stream's next message, over another connection, tells: had the answer arrived,
    /// bases would have moved to where it put them (T-20), and the counter by what it brought
    /// (T-2).
    pub(super) fn judge(&self, next: &BTreeMap<Text, TopicDelta>) -> Verdict {
        for seen in self.seen.iter().filter(|seen| seen.from != seen.to) {
            match next.get(&seen.topic).and_then(|delta| delta.from_version) {
                Some(base) if base == seen.to => return Verdict::Arrived,
                Some(base) if base == seen.from => return Verdict::Lost,
                _ => {}
            }
        }
        for shipment in &self.shipments {
            let seen = self.seen.iter().find(|seen| seen.topic == shipment.topic);
            let reached = next.get(&shipment.topic).and_then(|delta| delta.to_version);
            if let (Some(seen), Some(reached)) = (seen, reached)
                && reached < seen.to.saturating_add(shipment.writes.len() as i64)
            {
                return Verdict::Lost;
            }
        }
        Verdict::Unclear
    }
}
