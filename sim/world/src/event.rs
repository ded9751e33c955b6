//! What can happen in a world.
//!
//! Deliberately absent: what it does; `World::happens` hands each event to whom it concerns.

use crate::clock::Real;
use crate::message::{Reply, Request};
use crate::plan::{Proc, TOPICS};
use statestore_core::subscriber::port::Token;
use statestore_wire::Epoch;
use std::rc::Rc;

/// How often each topic of a statestored was dropped and begun anew: its versions, too, begin
/// anew then (T-1).
pub(crate) type TopicLives = [u32; TOPICS.len()];

/// Names a call under way; never used twice.
pub(crate) type FlightId = u64;

/// One life of a process: what was meant for an earlier one is not for this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Life {
    pub(crate) proc: Proc,
    pub(crate) number: u32,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) way_back: WayBack,
    pub(crate) to: Life,
    pub(crate) request: Rc<Request>,
    /// Which lives of the topics it speaks of.
    pub(crate) topics: TopicLives,
    /// How often it met a cut.
    pub(crate) tries: u8,
    /// The connection breaks before the reply is there.
    pub(crate) breaks: bool,
}

/// Where the reply to a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WayBack {
    pub(crate) flight: FlightId,
    pub(crate) attempt: u8,
    pub(crate) caller: Life,
    pub(crate) connection: u64,
}

/// A reply on its way.
#[derive(Debug)]
pub(crate) struct Return {
    pub(crate) way_back: WayBack,
    pub(crate) from: Life,
    pub(crate) reply: Reply,
    pub(crate) tries: u8,
}

/// One thing that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A process starts, if it is not alive.
    Starts(Proc),
    /// A process ends: it had stopped on purpose.
    Exits(Life),
    /// Its alarm rings, if it is still set to this.
    Wakes(Proc, Real),
    /// A call goes out, or what it needs to.
    Leaves(FlightId, u8),
    /// Its connection would be there now.
    Opens(FlightId, u8, u8),
    /// A request arrives.
    Arrives(Box<Parcel>),
    /// A process gets to sending a reply; one that says "active" asks the fence.
    Replies(Box<Return>, Option<Epoch>),
    /// A reply arrives.
    Returns(Box<Return>),
    /// A connection breaks under a call.
    Breaks(FlightId, u8),
    /// A call takes too long.
    Expires(FlightId),
    /// A call is recalled by its core.
    Recalled(FlightId),
    /// An application has seen a delivery.
    Processed(Life, Token),
    /// An application wishes for something.
    Wishes(Life),
    /// A fault of the plan strikes.
    Strikes(usize),
    /// And is over.
    Ends(usize),
    /// The faults are over.
    Heals,
    /// A look at how things are after that.
    Looks,
}
