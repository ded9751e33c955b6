//! What the author of a subscriber decides, as values.
//!
//! Deliberately absent: flags and host names; the driver knows where it listens before the core
//! is made.

use crate::pair::limits::SHORTEST_TIMEOUT;
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
    /// So many whole heartbeat periods of silence: lost, even before `timeout`. A heartbeat is
    /// always a little late, so one is too few; `None` leaves it to `timeout`.
    pub max_missed_heartbeats: Option<NonZeroU32>,
    /// Tries of GetProtocolVersion, and again of RegisterSubscriber (K-4); `None` is for ever
    /// (W8).
    pub attempts: Option<NonZeroU32>,
    /// Pause between those tries; `None` is [`retry_pause`](Self::retry_pause).
    pub retry_interval: Option<Duration>,
    /// Pause between failed registrations (B-11); `None` is
    /// [`recovery_pause`](Self::recovery_pause).
    pub recovery_interval: Option<Duration>,
    /// How long after a recovery or failover members may be missing without being gone (B-40).
    pub recovery_grace: Duration,
    /// Start although no statestored answers, and keep trying (B-5).
    pub tolerate_startup_delay: bool,
    /// Limit of one call to statestored, connecting included; `None` is
    /// [`call_limit`](Self::call_limit).
    pub call_timeout: Option<Duration>,
    /// How long it may take to tell the statestoreds that the subscriber leaves.
    pub farewell: Duration,
    /// What one UpdateState reply may publish, in bytes of keys and values; more waits for the
    /// next reply. One entry always fits.
    pub max_publication: usize,
    /// Publish at once where the statestored takes it unasked, and let it ask seldom.
    pub publishes: bool,
    /// Deletions of one topic that may wait for a statestored to take them; beyond that the
    /// oldest are given up. Entries are bounded by what is wished to be there; deletions of keys
    /// that come and go while no statestored answers are bounded by nothing else.
    pub max_deletions: usize,
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
            retry_interval: None,
            recovery_interval: None,
            recovery_grace: Duration::from_secs(30),
            tolerate_startup_delay: true,
            call_timeout: None,
            farewell: Duration::from_millis(500),
            max_publication: 512 << 20,
            publishes: true,
            max_deletions: 1 << 20,
        }
    }

    /// Whole heartbeat periods in `silence`: the number of missed heartbeats.
    pub fn missed_heartbeats(&self, silence: Duration) -> u32 {
        let period = self.heartbeat_period.as_nanos().max(1);
        u32::try_from(silence.as_nanos() / period).unwrap_or(u32::MAX)
    }

    /// T_s: the silence after which a statestored is lost.
    pub fn patience(&self) -> Duration {
        let by_count = self
            .max_missed_heartbeats
            .map(|most| self.heartbeat_period.saturating_mul(most.get()));
        by_count.map_or(self.timeout, |limit| limit.min(self.timeout))
    }

    /// True if a statestored that has been silent for so long is lost: for longer than the
    /// timeout, or for as many whole heartbeat periods as may not be missed.
    pub fn is_loss(&self, silence: Duration) -> bool {
        let missed = self.missed_heartbeats(silence);
        let most = self.max_missed_heartbeats;
        silence > self.timeout || most.is_some_and(|most| missed >= most.get())
    }

    /// When silence becomes a loss, for whoever sets an alarm.
    pub fn loss_after(&self) -> Duration {
        let longer = self.timeout.saturating_add(TICK);
        let most = self.max_missed_heartbeats;
        let counted = most.map(|most| self.heartbeat_period.saturating_mul(most.get()));
        counted.map_or(longer, |counted| counted.min(longer))
    }

    /// Pause between failed registrations: 5 s, less if the patience is short. Nobody who wants
    /// to know of a loss within a second waits five to come back.
    pub fn recovery_pause(&self) -> Duration {
        let ours = (self.patience() / 6).max(SHORTEST_PAUSE);
        self.recovery_interval
            .unwrap_or(ours.min(Duration::from_secs(5)))
    }

    /// Pause between the tries of one call: 3 s, less if the patience is short.
    pub fn retry_pause(&self) -> Duration {
        let ours = (self.patience() / 10).max(SHORTEST_PAUSE);
        self.retry_interval
            .unwrap_or(ours.min(Duration::from_secs(3)))
    }

    /// Limit of a call of a registration: 300 s, less if the patience is short, so that a
    /// connection that nobody answers any more does not keep the next one away.
    pub fn call_limit(&self) -> Duration {
        let ours = (self.patience().saturating_mul(10)).max(Duration::from_secs(3));
        self.call_timeout
            .unwrap_or(ours.min(Duration::from_secs(300)))
    }

    /// The longest message that the limit of a call suffices for: a call that never ends in time
    /// would be repeated for ever. Replies have a limit of their own, statestored's.
    pub fn longest_call(&self) -> usize {
        let bytes = SLOWEST * self.call_limit().as_millis() / 1_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// Bytes a second of the slowest line that counts. What a call publishes is about half of the
/// longest message, so that time is left for connecting, and for statestored to take it in.
const SLOWEST: u128 = 1 << 20;

/// The shortest patience that is promised to work, in a pair and alone.
pub const SHORTEST_PATIENCE: Duration = SHORTEST_TIMEOUT;

/// "Longer than the timeout" begins one tick after it.
const TICK: Duration = Duration::from_millis(1);

/// Trying more often than this helps nobody.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn config(timeout: Duration) -> Config {
        let mut config = Config::new("a", NetworkAddress::default(), Vec::new());
        config.timeout = timeout;
        config
    }

    // B-10, B-11: the fixed numbers of the reference belong to its timeout of 30 s
    #[test]
    fn pauses_are_the_references_at_its_patience_and_shrink_with_it() {
        let pauses = |config: &Config| {
            let all = [
                config.recovery_pause(),
                config.retry_pause(),
                config.call_limit(),
            ];
            all.map(|it| it.as_millis())
        };
        let seconds = |n| config(Duration::from_secs(n));
        assert_eq!(pauses(&seconds(30)), [5_000, 3_000, 300_000]);
        assert_eq!(pauses(&seconds(600)), [5_000, 3_000, 300_000]);
        assert_eq!(pauses(&seconds(3)), [500, 300, 30_000]);
        let shortest = config(SHORTEST_PATIENCE);
        assert_eq!(pauses(&shortest), [100, 100, 3_000]);
        let mut counting = seconds(30);
        counting.max_missed_heartbeats = NonZeroU32::new(3);
        assert_eq!(pauses(&counting), [500, 300, 30_000]);
        counting.retry_interval = Some(Duration::from_secs(7));
        counting.recovery_interval = Some(Duration::from_secs(8));
        counting.call_timeout = Some(Duration::from_secs(9));
        assert_eq!(pauses(&counting), [8_000, 7_000, 9_000]);
        assert_eq!(counting.longest_call(), 9 << 20);
        counting.call_timeout = Some(Duration::MAX);
        assert_eq!(counting.longest_call(), usize::MAX);
    }

    // B-10
    #[test]
    fn a_statestored_is_lost_after_the_timeout_or_so_many_missed_heartbeats() {
        let mut config = config(Duration::from_secs(30));
        let millis = Duration::from_millis;
        assert!(!config.is_loss(millis(30_000)) && config.is_loss(millis(30_001)));
        config.max_missed_heartbeats = NonZeroU32::new(4);
        assert!(!config.is_loss(millis(3_999)) && config.is_loss(millis(4_000)));
        assert_eq!(config.patience(), millis(4_000));
    }
}
