//! What travels: every request and reply of the two protocols as plain values.
//!
//! Nothing is encoded but topic items, which lie in the log encoded anyway. A message may arrive
//! twice, so what arrives is made from what was sent each time.

use statestore_core::port as server;
use statestore_core::subscriber::port as member;
use statestore_core::topic::{Delta, Version};
use statestore_wire as wire;
use statestore_wire::{
    Epoch, ItemBatch, ProtocolVersion, Reader, TopicDelta, TopicDeltas, UniqueId, Wire,
};

/// A request.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Heartbeat(wire::HeartbeatRequest),
    Update(wire::UpdateStateRequest),
    Catalogd(wire::UpdateCatalogdRequest),
    Role(wire::UpdateStatestoredRoleRequest),
    Handshake(wire::StatestoreHaHandshakeRequest),
    HaHeartbeat(wire::StatestoreHaHeartbeatRequest),
    HaLeave(wire::StatestoreHaLeaveRequest),
    Version,
    Register(wire::RegisterSubscriberRequest),
    Unregister(wire::UnregisterSubscriberRequest),
    Publish(wire::PublishRequest),
}

/// Its reply.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Heartbeat(wire::HeartbeatResponse),
    Update(wire::UpdateStateResponse),
    Catalogd(wire::UpdateCatalogdResponse),
    Role(wire::UpdateStatestoredRoleResponse),
    Handshake(wire::StatestoreHaHandshakeResponse),
    HaHeartbeat(wire::StatestoreHaHeartbeatResponse),
    HaLeave(wire::StatestoreHaLeaveResponse),
    Version(wire::GetProtocolVersionResponse),
    Register(wire::RegisterSubscriberResponse),
    Unregister(wire::UnregisterSubscriberResponse),
    Publish(wire::PublishResponse),
}

/// Calls of one purpose share connections, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Heartbeat,
    Update,
    Catalogd,
    Role,
    Peer,
    Service,
}

impl Request {
    pub(crate) fn purpose(&self) -> Purpose {
        match self {
            Self::Heartbeat(_) => Purpose::Heartbeat,
            Self::Update(_) => Purpose::Update,
            Self::Catalogd(_) => Purpose::Catalogd,
            Self::Role(_) => Purpose::Role,
            Self::Handshake(_) | Self::HaHeartbeat(_) | Self::HaLeave(_) => Purpose::Peer,
            Self::Version | Self::Register(_) | Self::Unregister(_) | Self::Publish(_) => {
                Purpose::Service
            }
        }
    }

    /// The epoch that an active statestored names.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Heartbeat(request) => request.epoch,
            Self::Update(request) => request.epoch,
            Self::Catalogd(request) => request.epoch,
            Self::Role(request) => request.epoch,
            _ => None,
        }
    }

    /// As one says it who knows no epochs.
    pub(crate) fn without_epoch(&self) -> Self {
        let mut request = self.clone();
        match &mut request {
            Self::Heartbeat(request) => request.epoch = None,
            Self::Update(request) => request.epoch = None,
            Self::Catalogd(request) => request.epoch = None,
            Self::Role(request) => request.epoch = None,
            _ => {}
        }
        request
    }

    pub(crate) fn from_server(body: server::Body) -> Self {
        match body {
            server::Body::Heartbeat(request) => Self::Heartbeat(request),
            server::Body::Update(update) => Self::Update(update_request(update)),
            server::Body::Catalogd(request) => Self::Catalogd(*request),
            server::Body::Role(request) => Self::Role(*request),
            server::Body::Handshake(request) => Self::Handshake(*request),
            server::Body::HaHeartbeat(request) => Self::HaHeartbeat(*request),
            server::Body::HaLeave(request) => Self::HaLeave(*request),
        }
    }

    pub(crate) fn from_member(body: member::Body) -> Self {
        match body {
            member::Body::ProtocolVersion(_) => Self::Version,
            member::Body::Register(request) => Self::Register(*request),
            member::Body::Unregister(request) => Self::Unregister(request),
            member::Body::Publish(unasked) => Self::Publish(unasked.into_request()),
        }
    }

    /// As a statestored takes it in; none if it is not for one, or not for its core.
    pub(crate) fn to_server(&self, drawn: UniqueId) -> Option<server::Request> {
        Some(match self {
            Self::Handshake(request) => server::Request::Handshake(request.clone()),
            Self::HaHeartbeat(request) => server::Request::HaHeartbeat(request.clone()),
            Self::HaLeave(request) => server::Request::HaLeave(request.clone()),
            Self::Unregister(request) => server::Request::Unregister(request.clone()),
            Self::Publish(request) => server::Request::Publish(request.clone()),
            Self::Register(request) => server::Request::Register {
                request: request.clone(),
                drawn: statestore_core::ids::RegistrationId(drawn),
            },
            _ => return None,
        })
    }

    /// As a subscriber takes it in; none if it is not for one.
    pub(crate) fn to_member(&self, connection: u64) -> Option<member::Request> {
        Some(match self {
            Self::Heartbeat(request) => member::Request::Heartbeat(request.clone()),
            Self::Catalogd(request) => member::Request::Catalogd(request.clone()),
            Self::Role(request) => member::Request::Role(request.clone()),
            Self::Update(request) => member::Request::Update {
                connection: member::ConnectionId(connection),
                request: request.clone(),
            },
            _ => return None,
        })
    }
}

impl Reply {
    pub(crate) fn from_server(answer: server::Answer) -> Option<Self> {
        Some(match answer {
            server::Answer::Register { response, .. } => Self::Register(response),
            server::Answer::Unregister(response) => Self::Unregister(response),
            server::Answer::Publish(response) => Self::Publish(response),
            server::Answer::Handshake(response) => Self::Handshake(response),
            server::Answer::HaHeartbeat(response) => Self::HaHeartbeat(response),
            server::Answer::HaLeave(response) => Self::HaLeave(response),
            server::Answer::ForceActive(_) => return None,
        })
    }

    pub(crate) fn from_member(answer: member::Answer) -> Self {
        match answer {
            member::Answer::Heartbeat(response) => Self::Heartbeat(response),
            member::Answer::Update(answer) => Self::Update(answer.into_response()),
            member::Answer::Catalogd(response) => Self::Catalogd(response),
            member::Answer::Role(response) => Self::Role(response),
        }
    }

    /// As the core of the statestored that called takes it in.
    pub(crate) fn into_server(self, connection: u64) -> Option<server::Reply> {
        Some(match self {
            Self::Heartbeat(response) => server::Reply::Heartbeat {
                response,
                connection,
            },
            Self::Update(response) => server::Reply::Update(response),
            Self::Catalogd(response) => server::Reply::Catalogd(response),
            Self::Role(response) => server::Reply::Role(response),
            Self::Handshake(response) => server::Reply::Handshake(Box::new(response)),
            Self::HaHeartbeat(response) => server::Reply::HaHeartbeat(Box::new(response)),
            Self::HaLeave(response) => server::Reply::HaLeave(response),
            Self::Version(_) | Self::Register(_) | Self::Unregister(_) | Self::Publish(_) => {
                return None;
            }
        })
    }

    /// As the core of the subscriber that called takes it in.
    pub(crate) fn into_member(self) -> Option<member::Reply> {
        Some(match self {
            Self::Version(response) => member::Reply::ProtocolVersion(response),
            Self::Register(response) => member::Reply::Register(response),
            Self::Unregister(response) => member::Reply::Unregister(response),
            Self::Publish(response) => member::Reply::Publish(response),
            _ => return None,
        })
    }

    /// True if the receiver took the request in, as far as the reply tells (W19: a reference
    /// subscriber says so in any case).
    pub(crate) fn accepts(&self) -> bool {
        match self {
            Self::Heartbeat(response) => response.status.is_ok(),
            Self::Update(r) => r.status.is_ok() && r.skipped != Some(true),
            Self::Catalogd(r) => r.status.is_ok() && r.skipped != Some(true),
            Self::Role(r) => r.status.is_ok() && r.skipped != Some(true),
            _ => false,
        }
    }
}

fn update_request(update: server::Update) -> wire::UpdateStateRequest {
    let topics = update.topics.into_iter().map(|part| {
        let delta = TopicDelta {
            topic_name: part.name.clone(),
            topic_entries: items(&part.delta),
            is_delta: part.delta.is_delta,
            from_version: Some(part.delta.from.to_wire()),
            to_version: Some(part.delta.to.to_wire()),
            min_subscriber_topic_version: part.min_version.map(Version::to_wire),
            clear_topic_entries: None,
        };
        (part.name, delta)
    });
    wire::UpdateStateRequest {
        protocol_version: ProtocolVersion::V2,
        topic_deltas: TopicDeltas(topics.collect()),
        registration_id: Some(update.registration_id.0),
        statestore_id: Some(update.statestore_id.0),
        epoch: update.epoch,
    }
}

/// Runs of the log as the batch that a reader of the wire makes of them.
fn items(delta: &Delta) -> ItemBatch {
    if delta.count == 0 {
        return ItemBatch::new();
    }
    let mut list = vec![12];
    list.extend_from_slice(&(delta.count as u32).to_be_bytes());
    let runs = delta.runs.iter();
    runs.for_each(|run| list.extend_from_slice(run));
    let batch = ItemBatch::read(&mut Reader::new(&list));
    batch.unwrap_or_else(|fault| panic!("the log gave items that cannot be read: {fault}"))
}

impl Reply {
    /// A registration was accepted by one that is not active any more.
    pub(crate) fn withdraws(&mut self) {
        if let Self::Register(response) = self {
            response.statestore_is_active = Some(false);
            response.epoch = None;
            response.catalogd_registration = None;
            response.catalogd_version = None;
        }
    }
}
