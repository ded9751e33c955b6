//! [`View`]: a read-only picture of a subscriber, for status calls, pages and metrics.
//!
//! Taken after a step and read without asking the core, so that nobody who looks makes anybody
//! wait (W23). Ages are left to the reader, who knows the hour.

use super::config::Config;
use crate::ids::{RegistrationId, StatestoreId};
use crate::time::{Time, Wall};
use crate::view::Tally;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use statestore_wire::{CatalogRegistration, ConnState, Epoch, NetworkAddress, Text};

/// What a statestored is for this subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// It has not said yet.
    #[default]
    Unknown,
    /// It sends updates: the primary.
    Active,
    /// It only sends heartbeats.
    Standby,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Active => "active",
            Self::Standby => "standby",
        })
    }
}

/// A subscriber at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// One each, in the configured order.
    pub statestores: Vec<StatestoreView>,
    /// One each, by name.
    pub topics: Vec<TopicView>,
    /// The active catalogd as last accepted.
    pub catalogd: Option<CatalogRegistration>,
    /// Its version; 0 if none is known.
    pub catalogd_version: i64,
    /// Wishes that have not provably arrived.
    pub outstanding: usize,
    /// Over all topics: from the end of one update to the start of the next.
    pub update_intervals: Tally,
    /// Processing time of whole messages.
    pub update_durations: Tally,
    /// UpdateCatalogd notices accepted.
    pub catalogd_notices: u64,
    /// Times that another statestored became the active one.
    pub failovers: u64,
    /// When that last was; `None` is never (W36).
    pub last_failover: Option<Time>,
    /// The highest epoch that was accepted of any statestored.
    pub highest_epoch: Option<Epoch>,
    /// The subscriber has left.
    pub left: bool,
}

/// One statestored as this subscriber sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct StatestoreView {
    /// Where it is.
    pub address: NetworkAddress,
    /// Its role.
    pub role: Role,
    /// Microseconds of its becoming active, as it said.
    pub active_version: i64,
    /// Registered and not lost.
    pub connected: bool,
    /// Being registered with anew.
    pub recovering: bool,
    /// A registration, the first one or another, is under way or due.
    pub registering: bool,
    /// The process, once known.
    pub statestore_id: Option<StatestoreId>,
    /// The registration, once known.
    pub registration_id: Option<RegistrationId>,
    /// When the last heartbeat was accepted.
    pub last_heartbeat: Option<Time>,
    /// The same by the calendar.
    pub last_heartbeat_at: Option<Wall>,
    /// The epoch that it last acted under, if it names them.
    pub epoch: Option<Epoch>,
    /// Messages refused because their epoch was over.
    pub refusals: u64,
    /// Silence is counted from here: the last heartbeat or registration.
    pub silent_since: Time,
    /// When the last registration succeeded.
    pub last_registration: Option<Time>,
    /// Times that recovery was entered.
    pub connection_failures: u64,
    /// Registrations tried in recovery.
    pub reregistrations: u64,
    /// How long the last recovery took.
    pub last_recovery: Option<Duration>,
    /// When it ended, by the calendar.
    pub last_recovery_at: Option<Wall>,
    /// Between accepted heartbeats.
    pub heartbeat_intervals: Tally,
    /// UpdateStatestoredRole messages while it was the standby.
    pub role_notices: u64,
}

impl StatestoreView {
    /// Heartbeats missed until `now`: whole periods since the last accepted one.
    pub fn missed_heartbeats(&self, config: &Config, now: Time) -> u32 {
        config.missed_heartbeats(now.since(self.silent_since))
    }

    /// What a standby is told of this statestored (H-34).
    pub fn state(&self, config: &Config, now: Time) -> ConnState {
        match self.last_heartbeat {
            None => ConnState::UNKNOWN,
            Some(_) if config.is_loss(now.since(self.silent_since)) => ConnState::FAILED,
            Some(_) => ConnState::OK,
        }
    }
}

/// One topic of this subscriber.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicView {
    /// The topic.
    pub name: Text,
    /// The version reached; 0 before the first message.
    pub version: i64,
    /// A registered topic has had at least one message of the current registration.
    pub seen: bool,
    /// Processing times.
    pub durations: Tally,
    /// From the end of one update to the start of the next.
    pub intervals: Tally,
}

impl View {
    /// True while members may be missing without being gone (B-40).
    pub fn in_grace(&self, config: &Config, now: Time) -> bool {
        let recent =
            |then: Option<Time>| then.is_some_and(|then| now.since(then) < config.recovery_grace);
        let active = match self.statestores.as_slice() {
            [only] => Some(only),
            pair => pair
                .iter()
                .find(|statestore| statestore.role == Role::Active),
        };
        let recovered =
            active.is_some_and(|it| it.connection_failures > 0 && recent(it.last_registration));
        recovered || recent(self.last_failover)
    }
}
