//! Every struct of the protocol, as the table of wire.md sections 4 and 5.
//!
//! A struct is named as on the wire without its leading `T`. Deliberately absent: meaning.

use crate::envelope::Rpc;
use crate::item::ItemBatch;
use crate::message;
use crate::schema::Wire;
use crate::status::Status;
use crate::text::Text;
use crate::thrift::{Fault, Reader, code, put_size};
use alloc::vec::Vec;
use core::fmt;

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

message! {
    /// Changes of one topic, or its whole content.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    TopicDelta {
        /// The topic.
        1 req topic_name: Text,
        /// Items, ascending by version.
        2 req topic_entries: ItemBatch,
        /// Relative to `from_version`, or complete.
        3 req is_delta: bool,
        /// Base version; from a subscriber: set only to ask for a new base.
        4 opt from_version: i64,
        /// Version reached.
        5 opt to_version: i64,
        /// Lowest version any subscriber has, where asked for.
        6 opt min_subscriber_topic_version: i64,
        /// From a subscriber: drop the topic's content first.
        7 opt clear_topic_entries: bool,
    }
}

message! {
    /// A topic that a subscriber wants.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    TopicRegistration {
        /// The topic.
        1 req topic_name: Text,
        /// Its entries vanish with the registration.
        2 req is_transient: bool,
        /// Wants `min_subscriber_topic_version`.
        3 req populate_min_subscriber_topic_version: bool,
        /// Only keys with this prefix are sent.
        4 opt filter_prefix: Text,
    }
}

message! {
    /// What a catalogd adds to its registration.
    #[derive(Debug, Clone, PartialEq, Eq)]
    CatalogRegistration {
        /// Catalog protocol.
        1 req protocol: CatalogVersion,
        /// The catalogd's RPC address.
        2 req address: NetworkAddress,
        /// Must equal the statestored's flag.
        3 opt enable_catalogd_ha: bool,
        /// Wants to be active whatever the election says.
        4 opt force_catalogd_active: bool,
        /// Unix milliseconds, set by the statestored.
        5 opt registration_time: i64,
    }
}

message! {
    /// A subscriber joins.
    #[derive(Debug, Clone, PartialEq, Eq)]
    RegisterSubscriberRequest {
        /// The subscriber's version.
        1 req protocol_version: ProtocolVersion,
        /// Unique in the cluster.
        2 req subscriber_id: Text,
        /// Where it serves `StatestoreSubscriber`.
        3 req subscriber_location: NetworkAddress,
        /// Its topics.
        4 req topic_registrations: Vec<TopicRegistration>,
        /// What it is.
        5 opt subscriber_type: SubscriberType,
        /// Wants `UpdateCatalogd`.
        6 opt subscribe_catalogd_change: bool,
        /// Only from a catalogd.
        7 opt catalogd_registration: CatalogRegistration,
    }
}

message! {
    /// The answer to a registration.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    RegisterSubscriberResponse {
        /// Accepted or why not.
        1 req status: Status,
        /// Fresh for each registration.
        2 opt registration_id: UniqueId,
        /// The statestored's version.
        3 opt protocol_version: ProtocolVersion,
        /// The statestored process.
        4 opt statestore_id: UniqueId,
        /// The active catalogd, from an active statestored.
        5 opt catalogd_registration: CatalogRegistration,
        /// Goes with field 5.
        6 opt catalogd_version: i64,
        /// Its role.
        7 opt statestore_is_active: bool,
        /// Microseconds of the last time it became active.
        8 opt active_statestored_version: i64,
    }
}

message! {
    /// Asks for the version before registering.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    GetProtocolVersionRequest {
        /// The caller's version.
        1 req protocol_version: ProtocolVersion,
    }
}

message! {
    /// The statestored's version.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    GetProtocolVersionResponse {
        /// Always OK.
        1 req status: Status,
        /// The statestored's version.
        2 req protocol_version: ProtocolVersion,
        /// The statestored process.
        3 opt statestore_id: UniqueId,
    }
}

message! {
    /// A test switches the network off or on.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    SetStatestoreDebugActionRequest {
        /// Not checked.
        1 req protocol_version: ProtocolVersion,
        /// behaviour.md H-9.
        2 opt disable_network: bool,
    }
}

message! {
    /// Its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    SetStatestoreDebugActionResponse {
        /// Always OK.
        1 req status: Status,
    }
}

message! {
    /// Deltas for one subscriber.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    UpdateStateRequest {
        /// The statestored's version.
        1 req protocol_version: ProtocolVersion,
        /// One delta a topic.
        2 req topic_deltas: TopicDeltas,
        /// The registration it is for.
        3 opt registration_id: UniqueId,
        /// The sender.
        4 opt statestore_id: UniqueId,
    }
}

message! {
    /// What the subscriber did and publishes.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    UpdateStateResponse {
        /// Processed or why not.
        1 req status: Status,
        /// What it publishes.
        2 req topic_updates: Vec<TopicDelta>,
        /// Nothing was processed: send again.
        3 opt skipped: bool,
    }
}

message! {
    /// Are you there?
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    HeartbeatRequest {
        /// Always written, may be absent.
        1 def protocol_version: ProtocolVersion,
        /// The registration it is for.
        2 opt registration_id: UniqueId,
        /// The sender.
        3 opt statestore_id: UniqueId,
        /// A standby asks what became of the active.
        4 opt request_statestore_conn_state: bool,
    }
}

message! {
    /// I am.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    HeartbeatResponse {
        /// Accepted or why not.
        1 req status: Status,
        /// The state of the other statestored, when asked.
        2 opt statestore_conn_state: ConnState,
    }
}

message! {
    /// This is the active catalogd.
    #[derive(Debug, Clone, PartialEq, Eq)]
    UpdateCatalogdRequest {
        /// The statestored's version.
        1 req protocol_version: ProtocolVersion,
        /// The registration it is for.
        2 req registration_id: UniqueId,
        /// The sender.
        3 req statestore_id: UniqueId,
        /// Counts elections of this statestored.
        4 req catalogd_version: i64,
        /// The active catalogd.
        5 req catalogd_registration: CatalogRegistration,
    }
}

message! {
    /// Its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    UpdateCatalogdResponse {
        /// Not looked at.
        1 req status: Status,
        /// Send again later.
        2 opt skipped: bool,
    }
}

message! {
    /// I am the active statestored.
    #[derive(Debug, Clone, PartialEq, Eq)]
    UpdateStatestoredRoleRequest {
        /// The statestored's version.
        1 req protocol_version: ProtocolVersion,
        /// The registration it is for.
        2 req registration_id: UniqueId,
        /// The sender.
        3 req statestore_id: UniqueId,
        /// Microseconds at which the sender became active.
        4 req active_statestored_version: i64,
        /// Always true.
        5 req is_active: bool,
        /// Goes with field 7.
        6 opt catalogd_version: i64,
        /// The active catalogd, where wanted.
        7 opt catalogd_registration: CatalogRegistration,
    }
}

message! {
    /// Its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    UpdateStatestoredRoleResponse {
        /// Accepted or why not.
        1 req status: Status,
        /// Send again later.
        2 opt skipped: bool,
    }
}

message! {
    /// Two statestoreds meet.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    StatestoreHaHandshakeRequest {
        /// The sender's version.
        1 req src_protocol_version: ProtocolVersion,
        /// The sender.
        2 req src_statestore_id: UniqueId,
        /// `hostname:ha_port` of the sender.
        3 req src_statestore_address: Text,
        /// The sender wants to be active.
        4 req src_force_active: bool,
    }
}

message! {
    /// Its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    StatestoreHaHandshakeResponse {
        /// Accepted or why not.
        1 req status: Status,
        /// The answering side's version.
        2 req dst_protocol_version: ProtocolVersion,
        /// Zero when refused.
        3 req dst_statestore_id: UniqueId,
        /// Its role; the sender takes the opposite.
        4 req dst_statestore_active: bool,
    }
}

message! {
    /// The active tells its peer that it is there.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    StatestoreHaHeartbeatRequest {
        /// The sender's version.
        1 req protocol_version: ProtocolVersion,
        /// Last id learned from the peer.
        2 req dst_statestore_id: UniqueId,
        /// The sender.
        3 req src_statestore_id: UniqueId,
    }
}

message! {
    /// Its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    StatestoreHaHeartbeatResponse {
        /// Accepted or why not.
        1 req status: Status,
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
}

/// `map<string, TTopicDelta>`, in the order of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicDeltas(pub Vec<(Text, TopicDelta)>);

impl Wire for TopicDeltas {
    const TYPE: u8 = code::MAP;
    const LEAST: usize = 6;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[code::STRING, code::STRUCT]);
        put_size(out, self.0.len());
        for (name, delta) in &self.0 {
            name.write(out);
            delta.write(out);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
        let (key, value, n) = r.map()?;
        if n > 0 && (key, value) != (code::STRING, code::STRUCT) {
            return Err(Fault::BadType(if key == code::STRING {
                value
            } else {
                key
            }));
        }
        let mut deltas = Vec::with_capacity(r.capacity(n, Text::LEAST + TopicDelta::LEAST));
        r.nested(|r| {
            for _ in 0..n {
                deltas.push((Text::read(r)?, TopicDelta::read(r)?));
            }
            Ok(Self(deltas))
        })
    }
}
