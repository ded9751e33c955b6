//! What the author of a subscriber decides, as values.
//!
//! Deliberately absent: flags and host names; the driver knows where it listens before the core
//! is made.

use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;
use statestore_wire::{CatalogRegistration, NetworkAddress, SubscriberType, Text};

/// Settings of one subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Unique in the cluster, not empty.
    pub id: Text,
    /// Where the subscriber's own server listens, as statestoreds reach it.
    pub location: NetworkAddress,
    /// The statestoreds: one, or the two of an HA pair.
    pub statestores: Vec<NetworkAddress>,
    /// What kind of daemon this is.
    pub kind: SubscriberType,
    /// Wants to hear of the active catalogd.
    pub follow_catalogd: bool,
    /// Only a catalogd has this.
    pub catalogd: Option<CatalogRegistration>,
    /// What to follow and to publish into.
    pub topics: Vec<TopicConfig>,
    /// No accepted heartbeat for longer: that statestored is lost (B-10). Long enough for the
    /// longest pause of statestored that should go unnoticed.
    pub timeout: Duration,
    /// How often statestored sends heartbeats; turns silence into a number of missed ones.
    pub heartbeat_period: Duration,
    /// More whole heartbeat periods of silence than this: lost, even before `timeout`.
    pub max_missed_heartbeats: Option<u32>,
    /// Tries of GetProtocolVersion, and again of RegisterSubscriber (K-4); `None` is for ever
    /// (W8).
    pub attempts: Option<NonZeroU32>,
    /// Pause between those tries.
    pub retry_interval: Duration,
    /// Pause between failed registrations (B-11).
    pub recovery_interval: Duration,
    /// How long after a recovery or failover members may be missing without being gone (B-40).
    pub recovery_grace: Duration,
    /// Start although no statestored answers, and keep trying (B-5).
    pub tolerate_startup_delay: bool,
    /// Limit of one call to statestored, connecting included.
    pub call_timeout: Duration,
    /// What one UpdateState reply may publish, in bytes of keys and values; more waits for the
    /// next reply. One entry always fits.
    pub max_publication: usize,
}

/// One topic of a subscriber.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicConfig {
    /// The topic.
    pub name: Text,
    /// What this subscriber publishes into it vanishes with its registration.
    pub transient: bool,
    /// Only keys that begin with this are sent to this subscriber.
    pub prefix: Text,
    /// Each delta tells the lowest version that any subscriber has (T-10).
    pub min_version: bool,
}

impl Config {
    /// The reference's defaults (flags.md section 5).
    pub fn new(
        id: impl Into<Text>,
        location: NetworkAddress,
        statestores: Vec<NetworkAddress>,
    ) -> Self {
        Self {
            id: id.into(),
            location,
            statestores,
            kind: SubscriberType::UNKNOWN,
            follow_catalogd: false,
            catalogd: None,
            topics: Vec::new(),
            timeout: Duration::from_secs(30),
            heartbeat_period: Duration::from_secs(1),
            max_missed_heartbeats: None,
            attempts: NonZeroU32::new(10),
            retry_interval: Duration::from_secs(3),
            recovery_interval: Duration::from_secs(5),
            recovery_grace: Duration::from_secs(30),
            tolerate_startup_delay: true,
            call_timeout: Duration::from_secs(300),
            max_publication: 512 << 20,
        }
    }

    /// Whole heartbeat periods in `silence`: the number of missed heartbeats.
    pub fn missed_heartbeats(&self, silence: Duration) -> u32 {
        let period = self.heartbeat_period.as_nanos().max(1);
        u32::try_from(silence.as_nanos() / period).unwrap_or(u32::MAX)
    }

    /// The longest silence that does not yet mean that a statestored is lost.
    pub fn patience(&self) -> Duration {
        let by_count = self
            .max_missed_heartbeats
            .map(|most| self.heartbeat_period.saturating_mul(most.saturating_add(1)));
        by_count.map_or(self.timeout, |limit| limit.min(self.timeout))
    }
}
