//! The whole conversation between the server's core and the world, on one page.
//!
//! The driver puts what happened into an [`Input`], calls `Node::step`, and does every
//! [`Effect`] in the [`Outbox`], in order. It promises: each [`Effect::Call`] comes back exactly
//! once as [`Input::Completed`], also when it was never sent or the connection was closed.
//!
//! Deliberately absent: how calls travel. The core never learns of sockets, only of outcomes.

use crate::ids::{CallId, RegistrationId, RequestId, StatestoreId};
use crate::topic::{Delta, Version};
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire as wire;
use statestore_wire::{NetworkAddress, Status, Text, UniqueId};

pub use crate::event::Event;

/// What can happen to a statestored.
#[derive(Debug)]
pub enum Input {
    /// The deadline that `Node::deadline` named has come (or anything else woke the driver).
    Timer,
    /// A subscriber wants to join. Answered by exactly one [`Effect::Answer`].
    Register {
        /// Names the request in the answer.
        request_id: RequestId,
        /// As received.
        request: wire::RegisterSubscriberRequest,
        /// Fresh and random, used if the registration is accepted.
        drawn: RegistrationId,
    },
    /// A call ended.
    Completed {
        /// Which one.
        call: CallId,
        /// How. [`Reply`]'s variant matches the call's [`Body`].
        outcome: Result<Reply, CallFault>,
    },
    /// The debug switch of H-9.
    NetworkDisabled(bool),
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Effect {
    /// Send the answer to a registration.
    Answer {
        /// Which request.
        request_id: RequestId,
        /// The answer.
        response: wire::RegisterSubscriberResponse,
    },
    /// Call a subscriber.
    Call(Call),
    /// A registration ended (F-4): close idle connections to this address, nobody else uses it.
    Disconnect(NetworkAddress),
    /// Worth a line in the log.
    Log(Event),
}

/// Effects of one step, in the order in which they must happen.
pub type Outbox = Vec<Effect>;

/// A call to a subscriber.
#[derive(Debug)]
pub struct Call {
    /// Names it in [`Input::Completed`].
    pub id: CallId,
    /// The subscriber, for logs.
    pub subscriber: Text,
    /// Where to.
    pub to: NetworkAddress,
    /// Which stream: calls of different lanes never share a connection.
    pub lane: Lane,
    /// Limit of the whole call, connecting included.
    pub timeout: Duration,
    /// False when a notice is told again after a failure.
    pub first_attempt: bool,
    /// What to say.
    pub body: Body,
}

/// The independent streams of messages to one subscriber (S-2), and the notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Heartbeats.
    Heartbeat,
    /// Priority topics.
    Priority,
    /// Normal topics.
    Bulk,
    /// UpdateCatalogd.
    Catalogd,
    /// UpdateStatestoredRole.
    Role,
}

/// What a call says.
#[derive(Debug)]
pub enum Body {
    /// Heartbeat.
    Heartbeat(wire::HeartbeatRequest),
    /// UpdateState, its items by reference.
    Update(Update),
    /// UpdateCatalogd.
    Catalogd(wire::UpdateCatalogdRequest),
    /// UpdateStatestoredRole.
    Role(wire::UpdateStatestoredRoleRequest),
}

/// An UpdateState request before it is written.
#[derive(Debug)]
pub struct Update {
    /// The registration it is for.
    pub registration_id: RegistrationId,
    /// The sender.
    pub statestore_id: StatestoreId,
    /// One part a topic, in the order of names.
    pub topics: Vec<TopicPart>,
}

/// One topic's share of an [`Update`].
#[derive(Debug)]
pub struct TopicPart {
    /// The topic.
    pub name: Text,
    /// What the subscriber lacks.
    pub delta: Delta,
    /// T-10, where the registration asked for it.
    pub min_version: Option<Version>,
}

/// What a subscriber answered.
#[derive(Debug)]
pub enum Reply {
    /// To a heartbeat.
    Heartbeat(wire::HeartbeatResponse),
    /// To an update.
    Update(wire::UpdateStateResponse),
    /// To a catalogd notice.
    Catalogd(wire::UpdateCatalogdResponse),
    /// To a role notice.
    Role(wire::UpdateStatestoredRoleResponse),
}

/// Why a call has no answer: the peer's or the network's fault, as the status that the
/// reference would report (wire.md section 6), for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFault(pub Status);

/// Who this process is, drawn once at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Sent with everything, so that a restart shows.
    pub statestore_id: StatestoreId,
}

impl Identity {
    /// An identity from a random number.
    pub fn new(drawn: UniqueId) -> Self {
        Self {
            statestore_id: StatestoreId(drawn),
        }
    }
}
