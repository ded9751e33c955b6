//! `StatestoreHaService`: what the two statestoreds of a pair call on each other (wire.md section
//! 5.5).

use super::{ProtocolVersion, UniqueId};
use crate::message;
use crate::status::Status;
use crate::text::Text;

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
