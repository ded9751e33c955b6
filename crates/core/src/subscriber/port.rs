//! The whole conversation between a subscriber's core and the world, on one page.
//!
//! The driver puts what happened into an [`Input`], calls `Subscriber::step`, and does every
//! [`Effect`] in the [`Outbox`], in order. It promises: each [`Effect::Call`] comes back exactly
//! once as [`Input::Completed`], each [`Effect::Deliver`] as [`Input::Processed`]. It may rely
//! on: each [`Input::Request`] is answered by exactly one [`Effect::Answer`], at once or after
//! its `Processed`.
//!
//! Deliberately absent: how calls travel, who looks at topic items, and their size: a message is
//! passed on by handles and never walked through here unless a reply was lost.

use crate::ids::{CallId, RequestId};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use statestore_wire as wire;
use statestore_wire::{CatalogRegistration, NetworkAddress, Status, Text, TopicDelta};

pub use super::event::Event;
pub use super::publisher::{TopicUpdate, Unasked, UpdateAnswer};

/// What can happen to a subscriber.
#[derive(Debug)]
pub enum Input {
    /// The deadline that `Subscriber::deadline` named has come (or anything else woke the
    /// driver).
    Timer,
    /// A statestored called.
    Request {
        /// Names the request in the answer.
        id: RequestId,
        /// As received.
        request: Request,
    },
    /// A call ended.
    Completed {
        /// Which one.
        call: CallId,
        /// How. [`Reply`]'s variant matches the call's [`Body`]; the error is the status that
        /// describes the failure (wire.md section 6).
        outcome: Result<Reply, Status>,
    },
    /// The application has seen a delivery.
    Processed {
        /// Which one.
        token: Token,
        /// What it publishes in answer, or why it failed.
        outcome: Result<Vec<Command>, Text>,
        /// How long each topic took.
        durations: Vec<(Text, Duration)>,
    },
    /// The application publishes.
    Publish(Vec<Command>),
    /// The subscriber stops: whatever comes from now on is skipped. Only its farewells are still
    /// to be made; `Subscriber::is_gone` tells when they are.
    Leave,
}

/// A call of a statestored.
#[derive(Debug)]
pub enum Request {
    /// Heartbeat.
    Heartbeat(wire::HeartbeatRequest),
    /// UpdateState.
    Update {
        /// The connection that it came over.
        connection: ConnectionId,
        /// As received.
        request: wire::UpdateStateRequest,
    },
    /// UpdateCatalogd.
    Catalogd(wire::UpdateCatalogdRequest),
    /// UpdateStatestoredRole.
    Role(wire::UpdateStatestoredRoleRequest),
}

/// A connection that a statestored opened. A caller asks again on a connection only when it has
/// the whole answer to what it asked before, so a second request proves the first answer
/// arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A delivery to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A wish of the application. What is put stays wished for: it is published again whenever a
/// statestored may have lost it, until it is deleted or cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The topic is to hold this entry.
    Put {
        /// The topic.
        topic: Text,
        /// Any bytes.
        key: Text,
        /// Any bytes.
        value: Bytes,
    },
    /// The topic is not to hold this key.
    Delete {
        /// The topic.
        topic: Text,
        /// Any bytes.
        key: Text,
    },
    /// The topic is to be empty, whoever wrote its entries (T-23). What is put afterwards is in.
    Clear {
        /// The topic.
        topic: Text,
    },
    /// Nothing is wished for in the topic any more; what it holds stays.
    Forget {
        /// The topic.
        topic: Text,
    },
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Effect {
    /// Call a statestored.
    Call(Call),
    /// Send the answer to a request.
    Answer {
        /// Which request.
        id: RequestId,
        /// The answer.
        answer: Answer,
    },
    /// Show deltas to the application, in this order (B-36).
    Deliver {
        /// Names the delivery in [`Input::Processed`].
        token: Token,
        /// The request that brought them; its answer waits.
        request: RequestId,
        /// One delta a topic.
        topics: Vec<(Text, TopicDelta)>,
    },
    /// There is an active catalogd, or another one (B-6, B-41).
    Catalogd(CatalogdChange),
    /// Another statestored is the active one.
    Active {
        /// Its index among the configured ones.
        statestore: usize,
        /// Another one was active before.
        failover: bool,
    },
    /// The first registration failed and may not be tried again (B-5). Nothing follows.
    StartFailed {
        /// Index of the statestored.
        statestore: usize,
        /// Why.
        status: Status,
    },
    /// Worth a line in the log.
    Log(Event),
}

/// Effects of one step, in the order in which they must happen.
pub type Outbox = Vec<Effect>;

/// A call to a statestored.
#[derive(Debug)]
pub struct Call {
    /// Names it in [`Input::Completed`].
    pub id: CallId,
    /// Index of the statestored.
    pub statestore: usize,
    /// Where to.
    pub to: NetworkAddress,
    /// Limit of the whole call, connecting included.
    pub timeout: Duration,
    /// The first try of this call in this registration.
    pub first_attempt: bool,
    /// Part of the registration at the start, not of a recovery.
    pub startup: bool,
    /// What to say.
    pub body: Body,
}

/// What a call says.
#[derive(Debug)]
pub enum Body {
    /// GetProtocolVersion.
    ProtocolVersion(wire::GetProtocolVersionRequest),
    /// RegisterSubscriber. The driver may put a resolved address in place of the host name.
    Register(Box<wire::RegisterSubscriberRequest>),
    /// UnregisterSubscriber.
    Unregister(wire::UnregisterSubscriberRequest),
    /// Publish; its items are handles, encoded by whoever sends them.
    Publish(Box<Unasked>),
}

/// What a statestored answered.
#[derive(Debug)]
pub enum Reply {
    /// To GetProtocolVersion.
    ProtocolVersion(wire::GetProtocolVersionResponse),
    /// To RegisterSubscriber.
    Register(wire::RegisterSubscriberResponse),
    /// To UnregisterSubscriber.
    Unregister(wire::UnregisterSubscriberResponse),
    /// To Publish.
    Publish(wire::PublishResponse),
}

/// What a statestored is answered.
#[derive(Debug)]
pub enum Answer {
    /// To a heartbeat.
    Heartbeat(wire::HeartbeatResponse),
    /// To an update; its items are handles, encoded by whoever sends them.
    Update(UpdateAnswer),
    /// To a catalogd notice.
    Catalogd(wire::UpdateCatalogdResponse),
    /// To a role notice.
    Role(wire::UpdateStatestoredRoleResponse),
}

/// News of the active catalogd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogdChange {
    /// The active catalogd.
    pub registration: CatalogRegistration,
    /// Election counter of the statestored that said so.
    pub version: i64,
    /// Learned by registering or by a failover, not by a notice.
    pub is_registration_reply: bool,
}
