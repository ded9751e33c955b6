//! What an operator may decide, as values that cannot hold nonsense.
//!
//! Deliberately absent: flag names and their parsing; `statestored/flags.rs` turns the one into
//! the other. Each field says how to choose it.

use crate::pair;
use core::time::Duration;
use statestore_wire::NetworkAddress;

/// Settings of the server side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Heartbeats to each subscriber.
    pub heartbeat: LaneConfig,
    /// Priority topics (S-1).
    pub priority: LaneConfig,
    /// All other topics.
    pub bulk: LaneConfig,
    /// Send a change at once, but no more often than this; `None` sends by period only.
    /// Ten milliseconds gather a burst without anybody noticing the wait.
    pub push_coalesce: Option<Duration>,
    /// How long a registration's first updates wait, so that its answer is there before them:
    /// Impala's subscribers skip an update while they register, and a skipped one comes again
    /// only after two periods. A few milliseconds; zero where messages cannot overtake.
    pub first_update_delay: Duration,
    /// Failed heartbeats in a row that end a registration (F-3). Fewer find a dead subscriber
    /// sooner; more forgive longer pauses.
    pub max_missed_heartbeats: u32,
    /// Registrations at one time (R-6, W26).
    pub max_subscribers: usize,
    /// Period of the report of who answered (F-8).
    pub heartbeat_report_period: Duration,
    /// How long transient entries of a re-registering subscriber wait for it to publish them
    /// anew before they vanish (W33).
    pub transient_grace: Duration,
    /// Election of the active catalogd.
    pub catalog: CatalogConfig,
    /// Items of a publication that one step writes at most; all else that a step does is bounded
    /// in proportion. More get a large publication in faster; fewer keep what else is due from
    /// waiting. Two thousand take a millisecond or two.
    pub items_per_step: usize,
    /// `Publish` is offered, in messages of up to so many bytes. `None` does not offer it, as the
    /// reference: subscribers then publish in replies, and are polled by period. A call that comes
    /// all the same is taken in.
    pub max_publication: Option<i64>,
    /// How seldom a subscriber that publishes unasked is sent updates when nothing changes: only
    /// to make sure, after this or up to twice as long. Changes are told at once all the same.
    pub idle_period: Duration,
    /// Seeds the topics' hash tables, so that keys cannot be chosen to collide.
    pub hash_seed: u64,
    /// Settings of one of a pair; none runs alone, active from its start to its end.
    pub ha: Option<HaConfig>,
}

/// Settings of one statestored of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaConfig {
    /// What decides the role.
    pub pair: pair::Config,
    /// Where the peer's StatestoreHaService is.
    pub peer: NetworkAddress,
    /// Period of HA heartbeats. Shorter than a quarter of the peer lease.
    pub tick: Duration,
    /// Pause between handshakes.
    pub hello_period: Duration,
    /// Limit of one call to the peer, connecting included (W32): of the order of the tick.
    pub call_timeout: Duration,
    /// Limit of one UpdateStatestoredRole call.
    pub role_timeout: Duration,
    /// Pause between rounds of telling the role (H-30).
    pub role_resend: Duration,
}

/// Settings of one stream of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneConfig {
    /// From the end of one message to the start of the next (S-5).
    pub period: Duration,
    /// Limit of one whole call, connecting included (W14).
    pub timeout: Duration,
    /// How much later than at its end a period may end, now more and now less: who once fell due
    /// together, after a pause or a storm, does not for ever. It ends at one of a few instants in
    /// that time, so that one waking of the driver is for many. Small beside the period; zero ends
    /// it exactly.
    pub slack: Duration,
}

/// Settings of the catalogd election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogConfig {
    /// Two catalogds, one of them active.
    pub ha: bool,
    /// Compare subscriber ids instead of registration ids (C-8).
    pub subscriber_id_as_priority: bool,
    /// How long the first catalogd waits for a second (C-3, C-5).
    pub preemption_wait: Duration,
    /// Pause between rounds of telling subscribers (N-4), also for role news (H-30).
    pub resend: Duration,
    /// Limit of one UpdateCatalogd call.
    pub timeout: Duration,
}

impl Default for Config {
    /// The reference's defaults (flags.md sections 2 and 4).
    fn default() -> Self {
        let lane = |period, timeout| LaneConfig {
            period: Duration::from_millis(period),
            timeout: Duration::from_secs(timeout),
            slack: Duration::ZERO,
        };
        Self {
            heartbeat: lane(1_000, 3),
            priority: lane(100, 300),
            bulk: lane(2_000, 300),
            push_coalesce: Some(Duration::from_millis(10)),
            first_update_delay: Duration::ZERO,
            max_missed_heartbeats: 10,
            max_subscribers: 10_000,
            heartbeat_report_period: Duration::from_secs(60),
            max_publication: Some(64 << 20),
            idle_period: Duration::from_secs(240),
            transient_grace: Duration::from_secs(5),
            catalog: CatalogConfig {
                ha: false,
                subscriber_id_as_priority: false,
                preemption_wait: Duration::from_secs(10),
                resend: Duration::from_millis(100),
                timeout: Duration::from_secs(3),
            },
            items_per_step: 2_048,
            hash_seed: 0,
            ha: None,
        }
    }
}
