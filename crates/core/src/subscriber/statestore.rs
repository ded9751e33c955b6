//! [`Statestore`]: what a subscriber keeps of one statestored.
//!
//! Deliberately absent: what the other statestored of a pair is doing, and what follows from a
//! change; `Subscriber` composes that.

use super::config::Config;
use super::view::{Role, StatestoreView};
use crate::ids::{CallId, RegistrationId, StatestoreId};
use crate::time::{Now, Time, Wall};
use crate::view::Tally;
use core::time::Duration;
use statestore_wire::{ConnState, Epoch, NetworkAddress, UniqueId};

#[derive(Debug)]
pub(super) struct Statestore {
    pub(super) address: NetworkAddress,
    /// All-zero is unset.
    pub(super) statestore_id: StatestoreId,
    /// All-zero is unset.
    pub(super) registration_id: RegistrationId,
    /// Under which heartbeats came although this subscriber was refused: one of a former life, or
    /// one whose answer it never had. It was given up, and none to come has its number.
    pub(super) given_up: Option<RegistrationId>,
    pub(super) role: Role,
    pub(super) active_version: i64,
    pub(super) phase: Phase,
    /// The registration at the start is not over.
    pub(super) starting: bool,
    /// Since when, while recovering.
    pub(super) recovering: Option<Time>,
    pub(super) last_heartbeat: Option<Time>,
    pub(super) last_heartbeat_at: Option<Wall>,
    /// The last heartbeat that was acknowledged, or the start of this subscriber. Unlike the
    /// timer below no registration moves it: a vote tells of heartbeats alone (ha.md rule 9).
    pub(super) heard: Time,
    /// It takes publications unasked, in messages of up to so many bytes.
    pub(super) publication_limit: Option<usize>,
    /// That heartbeat named an epoch.
    pub(super) acts: bool,
    /// The epoch of its last accepted message that named one.
    pub(super) epoch: Option<Epoch>,
    pub(super) refusals: u64,
    /// The last message that named an epoch was refused.
    pub(super) is_refused: bool,
    /// The missing-heartbeat timer: the last heartbeat or registration.
    pub(super) silent_since: Time,
    pub(super) last_registration: Option<Time>,
    pub(super) connection_failures: u64,
    pub(super) reregistrations: u64,
    pub(super) last_recovery: Option<Duration>,
    pub(super) last_recovery_at: Option<Wall>,
    pub(super) heartbeat_intervals: Tally,
    pub(super) role_notices: u64,
}

/// Where the registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A registration begins then.
    Waiting(Time),
    /// A call is under way.
    Calling(Attempt, CallId),
    /// A call failed; the next try is then.
    Retrying(Attempt, Time),
    /// Registered.
    Following,
}

/// Which call of a registration (B-3), and the how-manieth try of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) step: Step,
    pub(super) number: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    ProtocolVersion,
    Register,
}

impl Step {
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::ProtocolVersion => "GetProtocolVersion",
            Self::Register => "RegisterSubscriber",
        }
    }

    pub(super) fn first(self) -> Attempt {
        Attempt {
            step: self,
            number: 1,
        }
    }
}

impl Statestore {
    pub(super) fn new(address: NetworkAddress, start: Time, first_registration: Time) -> Self {
        Self {
            address,
            statestore_id: StatestoreId::default(),
            registration_id: RegistrationId::default(),
            given_up: None,
            role: Role::Unknown,
            active_version: 0,
            phase: Phase::Waiting(first_registration),
            starting: true,
            recovering: None,
            last_heartbeat: None,
            last_heartbeat_at: None,
            heard: start,
            publication_limit: None,
            acts: false,
            epoch: None,
            refusals: 0,
            is_refused: false,
            silent_since: first_registration,
            last_registration: None,
            connection_failures: 0,
            reregistrations: 0,
            last_recovery: None,
            last_recovery_at: None,
            heartbeat_intervals: Tally::default(),
            role_notices: 0,
        }
    }

    /// A registration is under way or due: its messages are not processed (B-12, B-22).
    pub(super) fn is_registering(&self) -> bool {
        self.phase != Phase::Following
    }

    /// The registration was answered, so that it is known which heartbeats are for it.
    pub(super) fn is_named(&self) -> bool {
        !self.registration_id.0.is_unset()
    }

    /// Its last answer to a registration was a refusal: it named the process, and no registration.
    pub(super) fn has_refused(&self) -> bool {
        self.is_registering() && !self.statestore_id.0.is_unset() && !self.is_named()
    }

    /// B-21: an unset own id matches everything.
    pub(super) fn matches(&self, registration_id: UniqueId) -> bool {
        !self.is_named() || self.registration_id.0 == registration_id
    }

    pub(super) fn heartbeat(&mut self, now: Now, epoch: Option<Epoch>) {
        if let Some(last) = self.last_heartbeat {
            self.heartbeat_intervals.add(now.time.since(last));
        }
        self.last_heartbeat = Some(now.time);
        self.last_heartbeat_at = Some(now.wall);
        self.silent_since = now.time;
        if self.is_named() {
            self.heard = now.time;
        }
        self.acts = epoch.is_some();
    }

    /// The vote: no heartbeat was acknowledged for the whole patience, nor does this subscriber
    /// remember less (ha.md rule 9).
    ///
    /// A clock that stands still while the machine sleeps, as monotonic ones may, only makes the
    /// vote later, which is safe.
    pub(super) fn is_unheard(&self, config: &Config, now: Time) -> bool {
        config.is_loss(now.since(self.heard))
    }

    pub(super) fn state(&self, config: &Config, now: Time) -> ConnState {
        self.view().state(config, now)
    }

    /// When something is to be done without anybody asking.
    pub(super) fn deadline(&self, config: &Config) -> Option<Time> {
        match self.phase {
            Phase::Waiting(at) | Phase::Retrying(_, at) => Some(at),
            Phase::Calling(..) => None,
            Phase::Following => Some(self.silent_since + config.loss_after()),
        }
    }

    pub(super) fn is_lost(&self, config: &Config, now: Time) -> bool {
        self.phase == Phase::Following && config.is_loss(now.since(self.silent_since))
    }

    pub(super) fn view(&self) -> StatestoreView {
        let registered = self.last_registration.is_some();
        StatestoreView {
            address: self.address.clone(),
            role: self.role,
            active_version: self.active_version,
            connected: registered && self.recovering.is_none(),
            recovering: self.recovering.is_some(),
            registering: self.is_registering(),
            statestore_id: Some(self.statestore_id).filter(|id| !id.0.is_unset()),
            registration_id: Some(self.registration_id).filter(|id| !id.0.is_unset()),
            last_heartbeat: self.last_heartbeat,
            last_heartbeat_at: self.last_heartbeat_at,
            epoch: self.epoch,
            refusals: self.refusals,
            silent_since: self.silent_since,
            last_registration: self.last_registration,
            connection_failures: self.connection_failures,
            reregistrations: self.reregistrations,
            last_recovery: self.last_recovery,
            last_recovery_at: self.last_recovery_at,
            heartbeat_intervals: self.heartbeat_intervals,
            role_notices: self.role_notices,
        }
    }
}
