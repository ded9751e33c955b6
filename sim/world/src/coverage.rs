//! What happened how often, so that one sees that things really happen.
//!
//! Deliberately absent: whether it was right; invariants look at that.

use statestore_core::pair::{News, Why};
use std::collections::BTreeMap;

/// What many worlds together must show, or they prove little.
pub const DEMANDED: [&str; 27] = [
    "active: alone",
    "active: claim acknowledged",
    "active: granted",
    "active: peer left",
    "active: takeover",
    "active's message not accepted",
    "barred by the fence",
    "call sent again",
    "encore survived",
    "fault: calendar set",
    "fault: connections reset",
    "fault: crash",
    "fault: cut",
    "fault: cut one way",
    "fault: delay",
    "fault: forced",
    "fault: pause",
    "fault: stop on purpose",
    "fault: subscriber leaves",
    "late answer written",
    "limits differ",
    "mirror compared",
    "reply came too late",
    "stepped down: higher epoch",
    "stepped down: lease expired",
    "stepped down: others hear peer",
    "subscriber failed over",
];

/// Counters by name; those of many worlds add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<&'static str, u64>,
    /// Longest time from the end of the troubles until all was as it should be, per cent of what
    /// is allowed, and the seed.
    slowest: (u64, u64),
}

impl Coverage {
    pub(crate) fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    /// All was as it should be after so many per cent of the time that is allowed.
    pub(crate) fn settled(&mut self, per_cent: u64, seed: u64) {
        self.slowest = self.slowest.max((per_cent, seed));
    }

    /// Adds another world's.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        self.slowest = self.slowest.max(other.slowest);
    }

    /// How often something happened.
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Names and counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(name, count)| (*name, *count))
    }

    /// The slowest recovery, in per cent of what is allowed, and its seed.
    pub fn slowest(&self) -> (u64, u64) {
        self.slowest
    }

    /// What a pair said of itself.
    pub(crate) fn news(&mut self, news: &News) {
        self.count(match news {
            News::Active { why, .. } => match why {
                Why::Granted => "active: granted",
                Why::Acknowledged => "active: claim acknowledged",
                Why::TakeOver { .. } => "active: takeover",
                Why::Alone => "active: alone",
                Why::Forced => "active: forced",
                Why::PeerLeft => "active: peer left",
                _ => "active: otherwise",
            },
            News::SteppedDown { why, .. } => match why {
                Why::LeaseExpired => "stepped down: lease expired",
                Why::HigherEpoch(_) => "stepped down: higher epoch",
                Why::PeerForced => "stepped down: peer forced",
                Why::PeerActive => "stepped down: peer active",
                Why::OthersHearPeer => "stepped down: others hear peer",
                Why::Skipped => "stepped down: skipped",
                Why::Stopping => "stepped down: stopping",
                _ => "stepped down: otherwise",
            },
            News::StandsBy(_) => "stands by",
            News::PeerFound { .. } => "peer found",
            News::PeerLost => "peer lost",
            News::PeerLeft(_) => "peer left",
            News::PeerIsMyself => "peer is itself",
            News::Stranger(_) => "stranger",
            News::UnbelievableEpoch(_) => "unbelievable epoch",
            News::MajorityLostActive { .. } => "majority lost the active",
            News::Silent => "silent for the other",
            News::PeerPatienceDiffers { .. } => "limits differ",
        });
    }
}
