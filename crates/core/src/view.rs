//! Read-only pictures of the node for pages, metrics and the CLI (observability.md 1 and 4).
//!
//! Owned values, so that a page never holds the node. Deliberately absent: formatting; sizes are
//! bytes, durations are durations, ids are ids.

use crate::detector::Health;
use crate::ids::RegistrationId;
use crate::role::Role;
use crate::time::Wall;
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire::{CatalogRegistration, NetworkAddress, SubscriberType, Text};

/// A row of `/subscribers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberView {
    /// Subscriber id.
    pub id: Text,
    /// Where it listens.
    pub address: NetworkAddress,
    /// What it is.
    pub subscriber_type: SubscriberType,
    /// Topics of both classes.
    pub num_topics: usize,
    /// Priority topics.
    pub num_priority_topics: usize,
    /// Transient entries that it owns now.
    pub num_transient: usize,
    /// The current registration.
    pub registration_id: RegistrationId,
    /// Since the last answered heartbeat, or since registration.
    pub since_heartbeat: Duration,
    /// Heartbeats missed in a row.
    pub missed: u32,
    /// What the detector thinks.
    pub health: Health,
}

/// A row of `/topics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicView {
    /// Name.
    pub name: Text,
    /// Keys, tombstones included.
    pub entries: usize,
    /// Of these, tombstones.
    pub tombstones: usize,
    /// Counter of all writes.
    pub version: u64,
    /// Bytes of all keys.
    pub key_bytes: usize,
    /// Bytes of all current values.
    pub value_bytes: usize,
    /// Memory that the topic takes.
    pub memory_bytes: usize,
    /// In the priority class (S-1).
    pub prioritized: bool,
    /// Lowest version that a subscriber has (T-10), 0 if none.
    pub oldest_version: u64,
    /// A subscriber with that version, empty if none.
    pub oldest_id: Text,
    /// Registrations that name the topic.
    pub subscribers: usize,
}

/// `/catalog_ha_info`.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogView {
    /// This statestored is active; otherwise the page shows nothing else.
    pub is_active_statestored: bool,
    /// The active catalogd's registration.
    pub active: Option<CatalogRegistration>,
    /// The standby's.
    pub standby: Option<CatalogRegistration>,
    /// Counts designations.
    pub version: i64,
    /// When the last one happened; `None` before the first.
    pub last_change: Option<Wall>,
    /// Subscribers that want to know.
    pub notified: Vec<NotifiedView>,
}

/// A subscriber on `/catalog_ha_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifiedView {
    /// Subscriber id.
    pub id: Text,
    /// Where it listens.
    pub address: NetworkAddress,
    /// The current registration.
    pub registration_id: RegistrationId,
    /// What it is.
    pub subscriber_type: SubscriberType,
    /// What it knows; `None` if it was never told (N-7).
    pub knows: Option<KnownCatalogd>,
}

/// What a subscriber was told about the active catalogd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCatalogd {
    /// The version.
    pub version: i64,
    /// The catalogd's address.
    pub address: NetworkAddress,
    /// When it was told.
    pub at: Wall,
}

/// All else that metrics show.
#[derive(Debug, Clone, PartialEq)]
pub struct Totals {
    /// The role.
    pub role: Role,
    /// When this instance became active, 0 if never.
    pub active_since: Wall,
    /// Ids of all subscribers, sorted.
    pub subscribers: Vec<Text>,
    /// Subscribers that answered in the last report period (F-8).
    pub answered: usize,
    /// Sum over topics.
    pub key_bytes: usize,
    /// Sum over topics.
    pub value_bytes: usize,
    /// The catalogd announced last while active; `None` before.
    pub active_catalogd_address: Option<NetworkAddress>,
    /// Calls that did not come back yet.
    pub calls_pending: usize,
    /// What was counted since the start.
    pub counters: Counters,
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counters {
    /// Seconds per completed normal update.
    pub updates: Tally,
    /// Seconds per completed priority update.
    pub priority_updates: Tally,
    /// Seconds per answered heartbeat.
    pub heartbeats: Tally,
    /// UpdateCatalogd delivered.
    pub catalogd_told: u64,
    /// UpdateCatalogd failed.
    pub catalogd_failed: u64,
    /// UpdateStatestoredRole delivered.
    pub role_told: u64,
    /// UpdateStatestoredRole failed.
    pub role_failed: u64,
    /// Deltas that cleared a topic.
    pub clears: u64,
}

/// Statistics of a series of values, here seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The latest.
    pub last: f64,
    /// The least; 0 if there is none.
    pub min: f64,
    /// The greatest; 0 if there is none.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// Sum of squared distances from the mean; the variance is this divided by `count`.
    pub m2: f64,
}

impl Tally {
    /// Takes one more value in (Welford's method).
    pub fn add(&mut self, value: Duration) {
        let value = value.as_secs_f64();
        let first = self.count == 0;
        self.count += 1;
        self.last = value;
        self.min = if first { value } else { self.min.min(value) };
        self.max = if first { value } else { self.max.max(value) };
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.m2 += distance * (value - self.mean);
    }

    /// Population variance, in square seconds.
    pub fn variance(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.m2 / self.count as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_knows_extremes_mean_and_variance() {
        let mut tally = Tally::default();
        for seconds in [2, 4, 6] {
            tally.add(Duration::from_secs(seconds));
        }
        assert_eq!((tally.min, tally.max, tally.last), (2.0, 6.0, 6.0));
        assert_eq!((tally.count, tally.mean), (3, 4.0));
        assert!((tally.variance() - 8.0 / 3.0).abs() < 1e-12);
    }
}
