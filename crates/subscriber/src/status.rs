//! What a subscriber knows of its statestoreds, as values for people and programs.
//!
//! Deliberately absent: anything kept; all of it is read off the core's view and the clock.

use crate::clock::Clock;
use statestore_core::subscriber::{Config, Role, View};
use statestore_core::time::Wall;
use statestore_wire::{ConnState, NetworkAddress, Text, UniqueId};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A subscriber at one moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// The own id.
    pub id: Text,
    /// Where the own server listens, as registered.
    pub address: NetworkAddress,
    /// One each, in the order of the builder.
    pub statestores: Vec<StatestoreStatus>,
    /// One each, by name.
    pub topics: Vec<TopicStatus>,
    /// Published changes that have not provably arrived.
    pub outstanding: usize,
    /// Members may be missing without being gone (B-40).
    pub in_grace: bool,
    /// Times that another statestored became the active one.
    pub failovers: u64,
    /// The highest activation that any statestored named; lower ones are refused.
    pub highest_epoch: Option<i64>,
}

/// One statestored as the subscriber sees it.
#[derive(Debug, Clone)]
pub struct StatestoreStatus {
    /// Host name or IP, and port.
    pub address: NetworkAddress,
    /// Active (primary) or standby.
    pub role: Role,
    /// Registered, and its heartbeats come.
    pub connected: bool,
    /// Being registered with anew.
    pub recovering: bool,
    /// Heard, too long not heard, or never heard (H-34).
    pub state: ConnState,
    /// The activation that it last acted under, if it names them (ha.md rule 16).
    pub epoch: Option<i64>,
    /// Its messages that were refused because their activation was over.
    pub refusals: u64,
    /// Its process, once known.
    pub statestore_id: Option<UniqueId>,
    /// The own registration with it, once known.
    pub registration_id: Option<UniqueId>,
    /// When it last sent a heartbeat that was accepted.
    pub last_heartbeat: Option<Instant>,
    /// How long ago that was.
    pub heartbeat_age: Option<Duration>,
    /// The same by the calendar.
    pub last_heartbeat_at: Option<SystemTime>,
    /// Whole heartbeat periods since then, or since the registration.
    pub missed_heartbeats: u32,
    /// Times that it was lost.
    pub connection_failures: u64,
    /// Registrations tried because it was lost.
    pub reregistrations: u64,
    /// How long ago the last registration succeeded.
    pub registered_since: Option<Duration>,
    /// How long the last recovery took.
    pub last_recovery: Option<Duration>,
    /// When the last recovery ended.
    pub last_recovery_at: Option<SystemTime>,
}

/// One topic of the subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicStatus {
    /// The topic.
    pub name: Text,
    /// The version reached.
    pub version: i64,
    /// The current registration has brought at least one message of it.
    pub seen: bool,
}

/// Numbers for metrics, in full.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Counters and tallies, each explained where it stands.
    pub view: Arc<View>,
    /// Calls to statestoreds under way.
    pub clients_in_use: usize,
    /// Connections to statestoreds.
    pub clients_total: usize,
}

impl Status {
    pub(crate) fn new(view: &View, config: &Config, clock: Clock) -> Self {
        let now = clock.now().time;
        let statestore = |it: &statestore_core::subscriber::StatestoreView| StatestoreStatus {
            address: it.address.clone(),
            role: it.role,
            connected: it.connected,
            recovering: it.recovering,
            state: it.state(config, now),
            epoch: it.epoch.map(|epoch| epoch.0),
            refusals: it.refusals,
            statestore_id: it.statestore_id.map(|id| id.0),
            registration_id: it.registration_id.map(|id| id.0),
            last_heartbeat: it.last_heartbeat.map(|at| clock.instant(at).into_std()),
            heartbeat_age: it.last_heartbeat.map(|at| now.since(at)),
            last_heartbeat_at: it.last_heartbeat_at.map(calendar),
            missed_heartbeats: it.missed_heartbeats(config, now),
            connection_failures: it.connection_failures,
            reregistrations: it.reregistrations,
            registered_since: it.last_registration.map(|at| now.since(at)),
            last_recovery: it.last_recovery,
            last_recovery_at: it.last_recovery_at.map(calendar),
        };
        let topics = view.topics.iter().map(|topic| TopicStatus {
            name: topic.name.clone(),
            version: topic.version,
            seen: topic.seen,
        });
        Self {
            id: config.id.clone(),
            address: config.location.clone(),
            statestores: view.statestores.iter().map(statestore).collect(),
            topics: topics.collect(),
            outstanding: view.outstanding,
            in_grace: view.in_grace(config, now),
            failovers: view.failovers,
            highest_epoch: view.highest_epoch.map(|epoch| epoch.0),
        }
    }

    /// The statestored that sends updates: the only one, or the active one of a pair.
    pub fn active(&self) -> Option<&StatestoreStatus> {
        match self.statestores.as_slice() {
            [only] => Some(only),
            pair => pair.iter().find(|it| it.role == Role::Active),
        }
    }
}

fn calendar(wall: Wall) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(wall.0).unwrap_or(0))
}
