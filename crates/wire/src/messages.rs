//! Every struct of the protocol, as the table of wire.md sections 4 and 5.
//!
//! A struct is named as on the wire without its leading `T`. What all services share stands here,
//! each service's own messages in a file of its own.
//!
//! Deliberately absent: meaning. Invariant: `idl/statestore.thrift` says the same, and a test
//! compares them field by field.

use crate::envelope::Rpc;
use crate::message;
use crate::schema::Wire;
use crate::text::Text;
use crate::thrift::{Fault, Reader, code};
use alloc::vec::Vec;
use core::fmt;

mod ha;
mod service;
mod subscriber;

pub use ha::*;
pub use service::*;
pub use subscriber::*;

macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i32);

        #[allow(missing_docs, reason = "the names are wire.md section 4's")]
        impl $name {
            $($(#[$vmeta])* pub const $variant: Self = Self($value);)*
        }

        impl Wire for $name {
            const TYPE: u8 = code::I32;
            const LEAST: usize = 4;
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }
            fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
                r.i32().map(Self)
            }
        }
    };
}

wire_enum! {
    /// `StatestoreServiceVersion`. Printed as value + 1.
    ProtocolVersion { V1 = 0, V2 = 1, }
}
wire_enum! {
    /// `CatalogServiceVersion`.
    CatalogVersion { V1 = 0, V2 = 1, }
}
wire_enum! {
    /// `TStatestoreSubscriberType`.
    SubscriberType {
        UNKNOWN = 0, ADMISSIOND = 1, CATALOGD = 2, COORDINATOR = 3, EXECUTOR = 4,
        COORDINATOR_EXECUTOR = 5,
    }
}
wire_enum! {
    /// `TStatestoreConnState`.
    ConnState { OK = 0, FAILED = 1, UNKNOWN = 2, }
}

impl Default for ProtocolVersion {
    fn default() -> Self {
        Self::V2
    }
}

/// One activation of one statestored of a pair (ha.md rule 16): twice a counter, plus one for one
/// of the two, so that no two activations are equal. On the wire an i64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub i64);

impl Wire for Epoch {
    const TYPE: u8 = code::I64;
    const LEAST: usize = 8;
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
        r.i64().map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

message! {
    /// A 128-bit id; all-zero means unset. Orders by signed `hi`, then signed `lo`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    UniqueId {
        /// Upper half.
        1 req hi: i64,
        /// Lower half.
        2 req lo: i64,
    }
}

impl UniqueId {
    /// True for the all-zero id.
    pub fn is_unset(&self) -> bool {
        self.hi == 0 && self.lo == 0
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{:016x}", self.hi, self.lo)
    }
}

message! {
    /// Where a service listens.
    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    NetworkAddress {
        /// Name or IP literal.
        1 req hostname: Text,
        /// TCP port.
        2 req port: i32,
        /// Another RPC system's socket; carried, and part of equality.
        3 opt uds_address: Text,
    }
}

impl fmt::Display for NetworkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hostname.as_bytes().contains(&b':') {
            write!(f, "[{}]:{}", self.hostname, self.port)
        } else {
            write!(f, "{}:{}", self.hostname, self.port)
        }
    }
}

macro_rules! rpc {
    ($($method:literal: $request:ident -> $response:ident;)*) => {
        $(impl Rpc for $request {
            const METHOD: &'static str = $method;
            type Response = $response;
        })*
    };
}

rpc! {
    "RegisterSubscriber": RegisterSubscriberRequest -> RegisterSubscriberResponse;
    "GetProtocolVersion": GetProtocolVersionRequest -> GetProtocolVersionResponse;
    "SetStatestoreDebugAction":
        SetStatestoreDebugActionRequest -> SetStatestoreDebugActionResponse;
    "UpdateState": UpdateStateRequest -> UpdateStateResponse;
    "Heartbeat": HeartbeatRequest -> HeartbeatResponse;
    "UpdateCatalogd": UpdateCatalogdRequest -> UpdateCatalogdResponse;
    "UpdateStatestoredRole": UpdateStatestoredRoleRequest -> UpdateStatestoredRoleResponse;
    "StatestoreHaHandshake": StatestoreHaHandshakeRequest -> StatestoreHaHandshakeResponse;
    "StatestoreHaHeartbeat": StatestoreHaHeartbeatRequest -> StatestoreHaHeartbeatResponse;
    "UnregisterSubscriber": UnregisterSubscriberRequest -> UnregisterSubscriberResponse;
    "Publish": PublishRequest -> PublishResponse;
    "ForceStatestoreActive": ForceStatestoreActiveRequest -> ForceStatestoreActiveResponse;
    "StatestoreHaLeave": StatestoreHaLeaveRequest -> StatestoreHaLeaveResponse;
}
