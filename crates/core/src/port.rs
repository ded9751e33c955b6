//! The whole conversation between the server's core and the world, on one page.
//!
//! The driver puts what happened into an [`Input`], calls `Node::step`, and does every
//! [`Effect`] in the [`Outbox`], in order. It promises: each [`Effect::Call`] comes back exactly
//! once as [`Input::Completed`], also when it was never sent or the connection was closed.
//!
//! Deliberately absent: how calls travel. The core never learns of sockets, only of outcomes.

use crate::ids::{CallId, MemberKey, RegistrationId, RequestId, StatestoreId};
use crate::topic::{Delta, Version};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire as wire;
use statestore_wire::{AddressError, Epoch, HostPort, NetworkAddress, Status, Text, UniqueId};

pub use crate::event::Event;
pub use crate::pair::Fence;

/// What can happen to a statestored.
#[derive(Debug)]
pub enum Input {
    /// The deadline that `Node::deadline` named has come (or anything else woke the driver). The
    /// only input that goes on with long work: without it a large publication never ends.
    Timer,
    /// `Node::news_due` has come: only what is meant there is done.
    News,
    /// A request came. Answered by exactly one [`Effect::Answer`], in the same step; a
    /// publication once it is written.
    Request {
        /// Names it in the answer.
        request_id: RequestId,
        /// As received.
        request: Request,
    },
    /// A call ended. What is due then is not done by this step but by the timer's: dozens of calls
    /// may end at once.
    Completed {
        /// Which one.
        call: CallId,
        /// How. [`Reply`]'s variant matches the call's [`Body`].
        outcome: Result<Reply, CallFault>,
    },
    /// The debug switch of H-9.
    NetworkDisabled(bool),
    /// The process is about to stop on purpose; what is to be said first is called at once.
    Stopping,
}

/// What somebody asks of a statestored.
#[derive(Debug)]
pub enum Request {
    /// A subscriber wants to join.
    Register {
        /// As received.
        request: wire::RegisterSubscriberRequest,
        /// Fresh and random, used if the registration is accepted.
        drawn: RegistrationId,
    },
    /// A subscriber stops on purpose.
    Unregister(wire::UnregisterSubscriberRequest),
    /// A subscriber publishes without having been asked.
    Publish(wire::PublishRequest),
    /// An operator makes this statestored active.
    ForceActive(wire::ForceStatestoreActiveRequest),
    /// The peer looks for us.
    Handshake(wire::StatestoreHaHandshakeRequest),
    /// The peer is active.
    HaHeartbeat(wire::StatestoreHaHeartbeatRequest),
    /// The peer stops on purpose.
    HaLeave(wire::StatestoreHaLeaveRequest),
}

/// The answer to a [`Request`], of the same name.
#[derive(Debug)]
pub enum Answer {
    /// To a registration.
    Register {
        /// The answer.
        response: wire::RegisterSubscriberResponse,
        /// Set if it says that this statestored is active: not to be sent as it is once the
        /// fence is down (ha.md rule 3).
        fence: Option<Epoch>,
    },
    /// To a subscriber that leaves.
    Unregister(wire::UnregisterSubscriberResponse),
    /// To a publication.
    Publish(wire::PublishResponse),
    /// To an operator.
    ForceActive(wire::ForceStatestoreActiveResponse),
    /// To a handshake.
    Handshake(wire::StatestoreHaHandshakeResponse),
    /// To an HA heartbeat.
    HaHeartbeat(wire::StatestoreHaHeartbeatResponse),
    /// To a peer that leaves.
    HaLeave(wire::StatestoreHaLeaveResponse),
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Effect {
    /// Send the answer to a request.
    Answer {
        /// Which request.
        request_id: RequestId,
        /// The answer.
        answer: Answer,
    },
    /// Call a subscriber, or the peer.
    Call(Call),
    /// This statestored is no longer active: end the calls under way that carry a fence, without
    /// sending what is not sent yet. Each still comes back as [`Input::Completed`].
    Recall,
    /// A registration ended (F-4): close idle connections to this address, nobody else uses it.
    Disconnect(NetworkAddress),
    /// Worth a line in the log.
    Log(Event),
}

/// Effects of one step, in the order in which they must happen.
pub type Outbox = Vec<Effect>;

/// A call to a subscriber or to the peer.
#[derive(Debug)]
pub struct Call {
    /// Names it in [`Input::Completed`].
    pub id: CallId,
    /// Whom to call.
    pub to: Arc<Receiver>,
    /// The registration that it is for; none for the peer.
    pub member: Option<MemberKey>,
    /// Which stream: calls of different lanes never share a connection.
    pub lane: Lane,
    /// Limit of the whole call, connecting included.
    pub timeout: Duration,
    /// False when a notice is told again after a failure.
    pub first_attempt: bool,
    /// Set on what only an active statestored says: the fence is to be asked right before the
    /// first byte, also before a second try (ha.md rule 3). Fenced off is a failed call.
    pub fence: Option<Epoch>,
    /// What to say.
    pub body: Body,
}

/// Whom calls are for. Made once, for it is looked at for each call.
#[derive(Debug)]
pub struct Receiver {
    /// The subscriber, for logs; empty for the peer.
    pub subscriber: Text,
    /// Where it says that it listens.
    pub address: NetworkAddress,
    /// The same, if anybody can connect to it.
    pub host: Result<HostPort, AddressError>,
}

impl Receiver {
    /// A subscriber, or the peer, which has no id.
    pub fn new(subscriber: Text, address: NetworkAddress) -> Self {
        Self {
            host: HostPort::try_from(&address),
            subscriber,
            address,
        }
    }
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
    /// Everything to the peer.
    Peer,
}

/// What a call says. What is seldom said is boxed, so that the others are small.
#[derive(Debug)]
pub enum Body {
    /// Heartbeat.
    Heartbeat(wire::HeartbeatRequest),
    /// UpdateState, its items by reference.
    Update(Update),
    /// UpdateCatalogd.
    Catalogd(Box<wire::UpdateCatalogdRequest>),
    /// UpdateStatestoredRole.
    Role(Box<wire::UpdateStatestoredRoleRequest>),
    /// StatestoreHaHandshake.
    Handshake(Box<wire::StatestoreHaHandshakeRequest>),
    /// StatestoreHaHeartbeat.
    HaHeartbeat(Box<wire::StatestoreHaHeartbeatRequest>),
    /// StatestoreHaLeave.
    HaLeave(Box<wire::StatestoreHaLeaveRequest>),
}

/// An UpdateState request before it is written.
#[derive(Debug)]
pub struct Update {
    /// The registration it is for.
    pub registration_id: RegistrationId,
    /// The sender.
    pub statestore_id: StatestoreId,
    /// Of a sender that is one of a pair.
    pub epoch: Option<Epoch>,
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
    Heartbeat {
        /// The answer.
        response: wire::HeartbeatResponse,
        /// Names the connection that it came over, never used twice: while this number stays the
        /// same, so does the process behind it (ha.md rule 9).
        connection: u64,
    },
    /// To an update.
    Update(wire::UpdateStateResponse),
    /// To a catalogd notice.
    Catalogd(wire::UpdateCatalogdResponse),
    /// To a role notice.
    Role(wire::UpdateStatestoredRoleResponse),
    /// To a handshake.
    Handshake(Box<wire::StatestoreHaHandshakeResponse>),
    /// To an HA heartbeat.
    HaHeartbeat(Box<wire::StatestoreHaHeartbeatResponse>),
    /// To the news that this statestored leaves.
    HaLeave(wire::StatestoreHaLeaveResponse),
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
