//! Joining a statestored, noticing that it is lost, and joining again (B-2 to B-6, B-10 to B-13).
//!
//! Each statestored has a loop of its own: GetProtocolVersion until it is answered, then
//! RegisterSubscriber until it is answered; when both went well, follow until the heartbeats
//! stay away; when not, pause and begin again. It never gives up.

use super::port::{Body, Call, CatalogdChange, Effect, Outbox, Reply};
use super::statestore::{Attempt, Phase, Step};
use super::view::Role;
use super::{Event, Subscriber};
use crate::ids::{CallId, RegistrationId, StatestoreId};
use crate::time::{Now, Time, to_millis};
use alloc::boxed::Box;
use statestore_wire::{
    Epoch, GetProtocolVersionRequest, GetProtocolVersionResponse, ProtocolVersion,
    RegisterSubscriberRequest, RegisterSubscriberResponse, Status, StatusCode, TopicRegistration,
};

impl Subscriber {
    pub(super) fn run_timers(&mut self, now: Now, out: &mut Outbox) {
        for i in 0..self.statestores.len() {
            let lost = self.statestores[i].is_lost(&self.config, now.time);
            match self.statestores[i].phase {
                Phase::Waiting(at) if at <= now.time => self.begin(now.time, i, out),
                Phase::Retrying(attempt, at) if at <= now.time => self.attempt(i, attempt, out),
                Phase::Following if lost => self.begin(now.time, i, out),
                _ => {}
            }
        }
    }

    pub(super) fn completed(
        &mut self,
        now: Now,
        call: CallId,
        outcome: Result<Reply, Status>,
        out: &mut Outbox,
    ) {
        if self.publisher.is_carried_by(call) {
            return self.unasked_ended(now, call, outcome, out);
        }
        if self.left {
            return self.farewell_heard(call, outcome.as_ref().ok(), out);
        }
        let under_way = self
            .statestores
            .iter()
            .enumerate()
            .find_map(|(i, it)| match it.phase {
                Phase::Calling(attempt, id) if id == call => Some((i, attempt)),
                _ => None,
            });
        let Some((i, attempt)) = under_way else {
            return;
        };
        match (attempt.step, outcome) {
            (Step::ProtocolVersion, Ok(Reply::ProtocolVersion(reply))) => {
                self.version_known(now.time, i, &reply, out);
            }
            (Step::Register, Ok(Reply::Register(reply))) => self.answered(now, i, &reply, out),
            (_, Ok(_)) => {
                let status = Status::error(StatusCode::GENERAL, "the answer is to another call");
                self.attempt_failed(now.time, i, attempt, status, out);
            }
            (_, Err(status)) => self.attempt_failed(now.time, i, attempt, status, out),
        }
        // Whatever came of it, the next one need not wait for more.
        for other in self.statestores.iter_mut().filter(|other| other.starting) {
            if let Phase::Waiting(at) = &mut other.phase {
                *at = now.time.min(*at);
            }
        }
    }

    /// Begins a registration; a recovery, if it is not the one at the start.
    fn begin(&mut self, now: Time, i: usize, out: &mut Outbox) {
        let statestore = &mut self.statestores[i];
        if !statestore.starting {
            if statestore.recovering.is_none() {
                statestore.recovering = Some(now);
                statestore.connection_failures += 1;
                let silent_for = now.since(statestore.silent_since);
                out.push(Effect::Log(Event::ConnectionLost {
                    statestore: statestore.address.clone(),
                    silent_for,
                    missed: self.config.missed_heartbeats(silent_for),
                }));
            }
            statestore.reregistrations += 1;
            out.push(Effect::Log(Event::Reregistering {
                statestore: statestore.address.clone(),
                attempt: statestore.reregistrations,
            }));
        }
        self.attempt(i, Step::ProtocolVersion.first(), out);
    }

    fn attempt(&mut self, i: usize, attempt: Attempt, out: &mut Outbox) {
        let id = self.fresh_call();
        let statestore = &mut self.statestores[i];
        if attempt == Step::Register.first() {
            statestore.statestore_id = StatestoreId::default();
            statestore.registration_id = RegistrationId::default();
        }
        statestore.phase = Phase::Calling(attempt, id);
        out.push(Effect::Call(Call {
            id,
            statestore: i,
            to: statestore.address.clone(),
            timeout: self.config.call_limit(),
            first_attempt: attempt.number == 1,
            startup: statestore.starting,
            body: match attempt.step {
                Step::ProtocolVersion => {
                    Body::ProtocolVersion(GetProtocolVersionRequest::default())
                }
                Step::Register => Body::Register(Box::new(self.registration())),
            },
        }));
    }

    fn registration(&self) -> RegisterSubscriberRequest {
        let topics = self.config.topics.iter().map(|topic| TopicRegistration {
            topic_name: topic.name.clone(),
            is_transient: topic.transient,
            populate_min_subscriber_topic_version: topic.min_version,
            filter_prefix: Some(topic.prefix.clone()),
        });
        RegisterSubscriberRequest {
            protocol_version: ProtocolVersion::V2,
            subscriber_id: self.config.id.clone(),
            subscriber_location: self.config.location.clone(),
            topic_registrations: topics.collect(),
            subscriber_type: Some(self.config.kind),
            subscribe_catalogd_change: Some(self.config.follow_catalogd),
            catalogd_registration: self.config.catalogd.clone(),
            heartbeat_timeout_ms: Some(to_millis(self.config.patience())),
            publishes: self.config.publishes.then_some(true),
        }
    }

    fn version_known(
        &mut self,
        now: Time,
        i: usize,
        reply: &GetProtocolVersionResponse,
        out: &mut Outbox,
    ) {
        if !reply.status.is_ok() {
            self.failed(now, i, reply.status.clone(), out);
        } else if reply.protocol_version < ProtocolVersion::V2 {
            let status = self.incompatible(reply.protocol_version.0);
            self.failed(now, i, status, out);
        } else {
            self.attempt(i, Step::Register.first(), out);
        }
    }

    fn attempt_failed(
        &mut self,
        now: Time,
        i: usize,
        attempt: Attempt,
        status: Status,
        out: &mut Outbox,
    ) {
        out.push(Effect::Log(Event::AttemptFailed {
            statestore: self.statestores[i].address.clone(),
            method: attempt.step.method(),
            attempt: attempt.number,
            status: status.clone(),
        }));
        if self
            .config
            .attempts
            .is_some_and(|limit| attempt.number >= limit.get())
        {
            return self.failed(now, i, status, out);
        }
        let next = Attempt {
            number: attempt.number.saturating_add(1),
            ..attempt
        };
        self.statestores[i].phase = Phase::Retrying(next, now + self.config.retry_pause());
    }

    /// A whole registration failed.
    fn failed(&mut self, now: Time, i: usize, status: Status, out: &mut Outbox) {
        let retry_in = self.config.recovery_pause();
        let statestore = &mut self.statestores[i];
        statestore.phase = Phase::Waiting(now + retry_in);
        let address = statestore.address.clone();
        let starting = core::mem::take(&mut statestore.starting);
        out.push(Effect::Log(Event::RegistrationFailed {
            statestore: address.clone(),
            status: status.clone(),
        }));
        if starting && self.config.tolerate_startup_delay {
            out.push(Effect::Log(Event::StartupDelayed {
                statestore: address,
                retry_in,
            }));
        } else if starting {
            self.leave(out);
            out.push(Effect::StartFailed {
                statestore: i,
                status,
            });
        }
    }

    fn answered(
        &mut self,
        now: Now,
        i: usize,
        reply: &RegisterSubscriberResponse,
        out: &mut Outbox,
    ) {
        let statestore = &mut self.statestores[i];
        statestore.statestore_id = StatestoreId(reply.statestore_id.unwrap_or_default());
        statestore.registration_id = RegistrationId(reply.registration_id.unwrap_or_default());
        if reply.status.is_ok() {
            self.registered(now, i, reply, out);
        } else {
            self.failed(now.time, i, reply.status.clone(), out);
        }
    }

    fn registered(
        &mut self,
        now: Now,
        i: usize,
        reply: &RegisterSubscriberResponse,
        out: &mut Outbox,
    ) {
        let is_alone = self.is_alone();
        let says_active = reply.statestore_is_active.unwrap_or(is_alone);
        let statestore = &mut self.statestores[i];
        let again = statestore.last_registration.replace(now.time).is_some();
        let recovered_after = statestore
            .recovering
            .take()
            .map(|began| now.time.since(began));
        if recovered_after.is_some() {
            statestore.last_recovery = recovered_after;
            statestore.last_recovery_at = Some(now.wall);
        }
        statestore.starting = false;
        statestore.phase = Phase::Following;
        let limit = reply.publication_limit.map(usize::try_from);
        statestore.publication_limit = limit.and_then(Result::ok);
        statestore.silent_since = now.time;
        statestore.active_version = reply.active_statestored_version.unwrap_or(0);
        out.push(Effect::Log(Event::Registered {
            statestore: statestore.address.clone(),
            registration_id: statestore.registration_id,
            statestore_id: statestore.statestore_id,
            is_active: says_active,
            is_alone,
            recovered_after,
        }));
        let epoch = reply.epoch.filter(|_| says_active);
        let claim = ("RegisterSubscriber", epoch);
        // Registered it is all the same; it only is not the active one.
        let believed = self.check_epoch(now.wall, Some(i), claim, out).is_ok();
        if let Some(epoch) = epoch.filter(|_| believed) {
            self.accept_epoch(i, epoch);
        }
        self.take_role(now.time, i, (says_active && believed).then_some(epoch), out);
        match (&reply.catalogd_registration, reply.catalogd_version) {
            _ if !believed => {}
            (Some(registration), version) => {
                self.catalogd_told(registration, version.unwrap_or(0), out);
            }
            (None, _) if again && self.is_active(i) => self.catalogd.forget(),
            (None, _) => {}
        }
    }

    /// B-4, B-13: what a registration reply says of the sender's role; the outer `Some` if it
    /// says that it is active.
    fn take_role(&mut self, now: Time, i: usize, active: Option<Option<Epoch>>, out: &mut Outbox) {
        let active_known = self.statestores.iter().any(|it| it.role == Role::Active);
        let statestore = &mut self.statestores[i];
        let (id, version) = (statestore.statestore_id, statestore.active_version);
        if let Some(epoch) = active
            && self.claim(now, i, version, epoch, out)
        {
            return;
        }
        let statestore = &mut self.statestores[i];
        let silent_standby = active.is_none() && active_known && statestore.role != Role::Active;
        if silent_standby || (active.is_none() && self.statestores.len() == 1) {
            self.statestores[i].role = Role::Standby;
        }
        if self.is_active(i) {
            self.rebase(id);
        }
    }

    /// News of the catalogd that are believed whatever their number (B-6, B-30).
    pub(super) fn catalogd_told(
        &mut self,
        registration: &statestore_wire::CatalogRegistration,
        version: i64,
        out: &mut Outbox,
    ) {
        if !self.catalogd.told(registration, version) {
            return;
        }
        out.push(Effect::Log(Event::CatalogdChanged {
            address: registration.address.clone(),
            version,
        }));
        out.push(Effect::Catalogd(CatalogdChange {
            registration: registration.clone(),
            version,
            is_registration_reply: true,
        }));
    }
}
