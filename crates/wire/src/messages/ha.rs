//! `StatestoreHaService`: what the two statestoreds of a pair call on each other (wire.md section
//! 5.5).

use super::{Epoch, ProtocolVersion, UniqueId};
use crate::message;
use crate::status::Status;
use crate::text::Text;
use alloc::vec::Vec;

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
        /// The highest that the sender has seen.
        100 opt highest_epoch: Epoch,
        /// Under which the sender is active, alone so far.
        101 opt epoch: Epoch,
        /// Milliseconds of silence after which the sender may take over.
        102 opt timeout_ms: i64,
        /// The sender's limit for subscribers that do not name their own, in milliseconds.
        103 opt subscriber_timeout_ms: i64,
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
        /// The highest that the answering side has seen.
        100 opt highest_epoch: Epoch,
        /// Milliseconds of silence after which the answering side may take over.
        101 opt timeout_ms: i64,
        /// Its limit for subscribers that do not name their own, in milliseconds.
        102 opt subscriber_timeout_ms: i64,
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
        /// Under which the sender is active. Who sets it understands the other extensions.
        100 opt epoch: Epoch,
        /// Names the electorate that the receiver is to adopt; rises with each change.
        101 opt electorate_version: i64,
        /// Its members, by subscriber id; left out while the receiver has adopted this version.
        102 opt electorate: Vec<Text>,
        /// The version of the receiver's members that the sender has.
        103 opt known_members_version: i64,
        /// The active catalogd's subscriber id, if one is designated.
        104 opt active_catalogd: Text,
        /// Counts designations.
        105 opt catalogd_version: i64,
        /// The sender is not active yet, it asks to be.
        106 opt claims: bool,
        /// Milliseconds of silence after which the sender may take over.
        107 opt timeout_ms: i64,
        /// The sender's limit for subscribers that do not name their own, in milliseconds.
        108 opt subscriber_timeout_ms: i64,
    }
}

message! {
    /// Its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    StatestoreHaHeartbeatResponse {
        /// Accepted or why not.
        1 req status: Status,
        /// The highest that the receiver has seen.
        100 opt highest_epoch: Epoch,
        /// The receiver is active itself.
        101 opt is_active: bool,
        /// The version of the electorate that the receiver has adopted.
        102 opt electorate_version: i64,
        /// Names the receiver's registered subscribers; rises with each change.
        103 opt members_version: i64,
        /// Their ids; left out while the sender has this version.
        104 opt members: Vec<Text>,
        /// The receiver, if it is not the process that was meant.
        105 opt statestore_id: UniqueId,
        /// Milliseconds of silence after which the receiver may take over.
        106 opt timeout_ms: i64,
        /// Its limit for subscribers that do not name their own, in milliseconds.
        107 opt subscriber_timeout_ms: i64,
        /// Limits of the members, in their order, where they are shorter than that; otherwise 0.
        108 opt member_timeouts_ms: Vec<i64>,
    }
}

message! {
    /// A standby stops on purpose (extension, ha.md rule 15).
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    StatestoreHaLeaveRequest {
        /// The sender's version.
        1 req protocol_version: ProtocolVersion,
        /// Last id learned from the peer.
        2 req dst_statestore_id: UniqueId,
        /// The process that stops; nothing of it counts from now on.
        3 req src_statestore_id: UniqueId,
    }
}

message! {
    /// Its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    StatestoreHaLeaveResponse {
        /// Accepted or why not.
        1 req status: Status,
    }
}
