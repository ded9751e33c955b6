//! StatestoreHaService: what the peer calls (wire.md section 3).
//!
//! It is open from the start to the end of the process, whatever the role (H-1). Deliberately
//! absent: every decision; the node's pair has them.

use crate::owner::Owner;
use statestore_core::port::{Answer, Request};
use statestore_rpc::{Call, LocalService, Net, Outcome, dispatch};
use statestore_wire::{
    StatestoreHaHandshakeRequest, StatestoreHaHeartbeatRequest, StatestoreHaLeaveRequest,
};

/// Answers the peer.
pub(crate) struct StatestoreHaService<N: Net>(pub(crate) Owner<N>);

impl<N: Net> Clone for StatestoreHaService<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The one answer that belongs to a request.
macro_rules! ask {
    ($owner:expr, $name:ident, $request:expr) => {
        match $owner.ask(Request::$name($request)).await {
            Some(Answer::$name(response)) => Ok(response),
            _ => Err("statestored is shutting down"),
        }
    };
}

impl<N: Net> LocalService for StatestoreHaService<N> {
    const METHODS: &'static [&'static str] = &[
        "StatestoreHaHandshake",
        "StatestoreHaHeartbeat",
        "StatestoreHaLeave",
    ];

    async fn call(&self, call: Call) -> Outcome {
        dispatch!(call, {
            StatestoreHaHandshakeRequest => |request| ask!(self.0, Handshake, request),
            StatestoreHaHeartbeatRequest => |request| ask!(self.0, HaHeartbeat, request),
            StatestoreHaLeaveRequest => |request| ask!(self.0, HaLeave, request),
        })
    }
}
