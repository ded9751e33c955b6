//! A subscriber of the reference, in miniature (behaviour.md section 7): it knows no epochs and
//! no votes, answers OK to heartbeats that it ignores (W19) and to updates for another
//! registration (W18), and follows whoever told it last.
//!
//! What it publishes it compares with every message, as Impala's daemons do: what is missing or
//! old is published again, what is there and not wished for is deleted.
//!
//! Deliberately absent: filters, catalogds, and everything that only shows.

use super::application::Application;
use super::servers::topic_index;
use crate::event::Life;
use crate::message::{Reply, Request};
use crate::plan::{Proc, TOPICS};
use bytes::Bytes;
use statestore_core::subscriber::Config;
use statestore_core::time::Time;
use statestore_wire as wire;
use statestore_wire::{
    ConnState, ItemBatch, ProtocolVersion, Text, TopicDelta, TopicRegistration, UniqueId,
};
use std::time::Duration;

/// One of them.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) servers: [Known; 2],
    id: Text,
    location: wire::NetworkAddress,
    timeout: Duration,
    pause: Duration,
    limit: Duration,
}

/// What it keeps of one statestored.
#[derive(Debug)]
pub(crate) struct Known {
    statestore: UniqueId,
    registration: UniqueId,
    pub(crate) active: Option<bool>,
    heard: Option<Time>,
    silent_since: Time,
    phase: Phase,
    versions: [Option<i64>; TOPICS.len()],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It registers then.
    Waits(Time),
    /// A call is under way.
    Calls,
    Follows,
}

/// A call that it wants made.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) to: Proc,
    pub(crate) request: Request,
    pub(crate) timeout: Duration,
}

impl Reference {
    pub(crate) fn new(config: &Config, now: Time) -> Self {
        let known = |_| Known {
            statestore: UniqueId::default(),
            registration: UniqueId::default(),
            active: None,
            heard: None,
            silent_since: now,
            phase: Phase::Waits(now),
            versions: Default::default(),
        };
        Self {
            servers: [0, 1].map(known),
            id: config.id.clone(),
            location: config.location.clone(),
            timeout: config.timeout,
            pause: config.recovery_pause(),
            limit: config.call_limit(),
        }
    }

    pub(crate) fn is_connected(&self, server: usize) -> bool {
        self.servers[server].phase == Phase::Follows
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let all = self.servers.iter().filter_map(|known| match known.phase {
            Phase::Waits(at) => Some(at),
            Phase::Calls => None,
            // It looks every now and then, not at once (B-10).
            Phase::Follows => Some(known.silent_since + self.timeout + self.pause),
        });
        all.min()
    }

    /// Time passes.
    pub(crate) fn tick(&mut self, now: Time) -> Vec<Call> {
        let mut calls = Vec::new();
        for (to, known) in self.servers.iter_mut().enumerate() {
            let due = match known.phase {
                Phase::Waits(at) => at <= now,
                Phase::Calls => false,
                Phase::Follows => known.silent_since + self.timeout + self.pause <= now,
            };
            if due {
                known.phase = Phase::Calls;
                calls.push(Call {
                    to,
                    request: Request::Version,
                    timeout: self.limit,
                });
            }
        }
        calls
    }

    /// A call to a statestored ended (B-3, B-4, B-13).
    pub(crate) fn called(&mut self, now: Time, server: usize, reply: Option<Reply>) -> Vec<Call> {
        match reply {
            Some(Reply::Version(_)) => {
                let known = &mut self.servers[server];
                known.statestore = UniqueId::default();
                known.registration = UniqueId::default();
                let request = Request::Register(self.registration());
                return vec![Call {
                    to: server,
                    request,
                    timeout: self.limit,
                }];
            }
            Some(Reply::Register(reply)) => {
                let known = &mut self.servers[server];
                known.statestore = reply.statestore_id.unwrap_or_default();
                known.registration = reply.registration_id.unwrap_or_default();
                if reply.status.is_ok() {
                    known.phase = Phase::Follows;
                    known.silent_since = now;
                    known.versions = Default::default();
                    if reply.statestore_is_active == Some(true) {
                        self.follow(server);
                    }
                    return Vec::new();
                }
            }
            _ => {}
        }
        self.servers[server].phase = Phase::Waits(now + self.pause);
        Vec::new()
    }

    fn registration(&self) -> wire::RegisterSubscriberRequest {
        let topics = TOPICS.iter().map(|(name, transient)| TopicRegistration {
            topic_name: Text::from(*name),
            is_transient: *transient,
            ..TopicRegistration::default()
        });
        wire::RegisterSubscriberRequest {
            protocol_version: ProtocolVersion::V2,
            subscriber_id: self.id.clone(),
            subscriber_location: self.location.clone(),
            topic_registrations: topics.collect(),
            subscriber_type: None,
            subscribe_catalogd_change: Some(false),
            catalogd_registration: None,
            heartbeat_timeout_ms: None,
            publishes: None,
        }
    }

    fn follow(&mut self, server: usize) {
        self.servers[server].active = Some(true);
        self.servers[1 - server].active = Some(false);
    }

    /// A statestored called.
    pub(crate) fn hears(
        &mut self,
        now: Time,
        request: &Request,
        life: Life,
        application: &mut Application,
    ) -> Option<Reply> {
        Some(match request {
            Request::Heartbeat(request) => Reply::Heartbeat(self.heartbeat(now, request)),
            Request::Update(request) => Reply::Update(self.update(request, life, application)),
            Request::Catalogd(_) => Reply::Catalogd(wire::UpdateCatalogdResponse::default()),
            Request::Role(request) => Reply::Role(self.role(request)),
            _ => return None,
        })
    }

    fn sender(&self, id: UniqueId) -> Option<usize> {
        let known = |known: &Known| !known.statestore.is_unset() && known.statestore == id;
        self.servers.iter().position(known)
    }

    /// B-21, B-35, W19.
    fn heartbeat(
        &mut self,
        now: Time,
        request: &wire::HeartbeatRequest,
    ) -> wire::HeartbeatResponse {
        let mut response = wire::HeartbeatResponse::default();
        let Some(i) = self.sender(request.statestore_id.unwrap_or_default()) else {
            return response;
        };
        let known = &mut self.servers[i];
        let own = known.registration;
        if !own.is_unset() && request.registration_id != Some(own) {
            return response;
        }
        known.heard = Some(now);
        known.silent_since = now;
        if request.request_statestore_conn_state == Some(true) {
            let other = &self.servers[1 - i];
            let silent = now.since(other.silent_since) > self.timeout;
            response.statestore_conn_state = Some(match other.heard {
                None => ConnState::UNKNOWN,
                Some(_) if silent => ConnState::FAILED,
                Some(_) => ConnState::OK,
            });
        }
        response
    }

    /// B-22, B-23, B-36 to B-39, W18.
    fn update(
        &mut self,
        request: &wire::UpdateStateRequest,
        life: Life,
        application: &mut Application,
    ) -> wire::UpdateStateResponse {
        let mut response = wire::UpdateStateResponse::default();
        let sender = self.sender(request.statestore_id.unwrap_or_default());
        let follows = |i: &usize| {
            let known = &self.servers[*i];
            known.active == Some(true) && known.phase == Phase::Follows
        };
        let Some(i) = sender.filter(follows) else {
            response.skipped = Some(true);
            return response;
        };
        let known = &mut self.servers[i];
        if request.registration_id != Some(known.registration) {
            return response;
        }
        for (name, delta) in &request.topic_deltas.0 {
            let Some(topic) = topic_index(name) else {
                continue;
            };
            let own = known.versions[topic];
            if delta.is_delta && own.is_some() && own != delta.from_version {
                response.topic_updates.push(TopicDelta {
                    topic_name: name.clone(),
                    from_version: own,
                    ..TopicDelta::default()
                });
                continue;
            }
            application.mirrors[topic].mirror.apply(delta);
            known.versions[topic] = delta.to_version;
            response
                .topic_updates
                .extend(publication(application, topic, name, life));
        }
        response
    }

    /// B-30 to B-33.
    fn role(
        &mut self,
        request: &wire::UpdateStatestoredRoleRequest,
    ) -> wire::UpdateStatestoredRoleResponse {
        let mut response = wire::UpdateStatestoredRoleResponse::default();
        match self.sender(request.statestore_id) {
            None => response.skipped = Some(true),
            Some(i) => self.follow(i),
        }
        response
    }
}

/// What the topic lacks of what is wished for, and what it has too much.
fn publication(
    application: &Application,
    topic: usize,
    name: &Text,
    life: Life,
) -> Option<TopicDelta> {
    let wishes = &application.wishes[topic];
    let mirror = &application.mirrors[topic].mirror;
    let lacking = wishes
        .iter()
        .filter(|(key, value)| mirror.value(key.as_bytes()) != Some(value));
    let lacking = lacking.map(|(key, value)| (key.as_bytes(), value.as_ref(), false));
    let own = |key: &Text| super::application::writer_of(key) == Some(life);
    let extra = mirror
        .iter()
        .filter(|(key, _): &(&Text, &Bytes)| own(key) && !wishes.contains_key(*key));
    let extra = extra.map(|(key, _)| (key.as_bytes(), &b""[..], true));
    let items: Vec<_> = lacking.chain(extra).collect();
    (!items.is_empty()).then(|| TopicDelta {
        topic_name: name.clone(),
        topic_entries: ItemBatch::from_items(items),
        ..TopicDelta::default()
    })
}
