//! `StatestoreSubscriber`: what a statestored calls on subscribers (wire.md sections 5.2 and 5.4).
//! The topics in here are batches of encoded items, never one object per entry.

use super::{CatalogRegistration, ConnState, Epoch, ProtocolVersion, UniqueId};
use crate::item::ItemBatch;
use crate::message;
use crate::schema::Wire;
use crate::status::Status;
use crate::text::Text;
use crate::thrift::{Fault, Reader, code, put_size};
use alloc::vec::Vec;

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
        /// Of the active sender.
        100 opt epoch: Epoch,
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
        /// The highest that the subscriber has seen.
        100 opt highest_epoch: Epoch,
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
        /// Of an active sender.
        100 opt epoch: Epoch,
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
        /// The highest that the subscriber has seen.
        100 opt highest_epoch: Epoch,
        /// When asked: the other statestored has been silent for the subscriber's whole timeout,
        /// and so has the subscriber's life (ha.md rule 9). This is the vote.
        101 opt other_is_lost: bool,
        /// When asked: the last heartbeat of the other statestored was an active one's.
        102 opt other_is_active: bool,
        /// Nobody knows yet whether the heartbeat was for this registration of the subscriber's or
        /// for one of a former life: it is there, but this is neither an acknowledgement nor a
        /// vote.
        103 opt unacknowledged: bool,
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
        /// Of the active sender.
        100 opt epoch: Epoch,
    }
}

message! {
    /// Its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    UpdateCatalogdResponse {
        /// Accepted or why not.
        1 req status: Status,
        /// Send again later.
        2 opt skipped: bool,
        /// The highest that the subscriber has seen.
        100 opt highest_epoch: Epoch,
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
        /// Of the active sender.
        100 opt epoch: Epoch,
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
        /// The highest that the subscriber has seen.
        100 opt highest_epoch: Epoch,
    }
}
