//! `StatestoreService`: what subscribers call on a statestored (wire.md section 5.3).
//! A statestored answers these; what it calls itself is in `subscriber`, its peer in `ha`.

use super::{
    CatalogVersion, Epoch, NetworkAddress, ProtocolVersion, SubscriberType, TopicDelta, UniqueId,
};
use crate::message;
use crate::status::Status;
use crate::text::Text;
use alloc::vec::Vec;

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
        /// Milliseconds of silence after which this subscriber counts a statestored as lost. Who
        /// sets it understands the extensions of all messages.
        100 opt heartbeat_timeout_ms: i64,
        /// It publishes by `Publish` where that is understood, so it need not be polled.
        101 opt publishes: bool,
    }
}

impl RegisterSubscriberRequest {
    /// With what there has to be: of the current version, for no topics.
    pub fn new(subscriber_id: Text, subscriber_location: NetworkAddress) -> Self {
        Self {
            protocol_version: ProtocolVersion::V2,
            subscriber_id,
            subscriber_location,
            topic_registrations: Vec::new(),
            subscriber_type: None,
            subscribe_catalogd_change: None,
            catalogd_registration: None,
            heartbeat_timeout_ms: None,
            publishes: None,
        }
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
        /// Of an active sender.
        100 opt epoch: Epoch,
        /// `Publish` is understood, in messages of up to so many bytes.
        101 opt publication_limit: i64,
    }
}

message! {
    /// A subscriber publishes without having been asked (extension).
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    PublishRequest {
        /// The subscriber's version.
        1 req protocol_version: ProtocolVersion,
        /// Who publishes.
        2 req subscriber_id: Text,
        /// The registration that it does so under.
        3 req registration_id: UniqueId,
        /// 0 or 1; each counts by itself.
        4 req stream: i32,
        /// Rises from one publication of a stream to the next. The same again is the same
        /// publication again, and is taken in once.
        5 req sequence: i64,
        /// As in the answer to an update.
        6 req topic_updates: Vec<TopicDelta>,
        /// More of what is wished for now follows.
        7 opt more: bool,
        /// The highest epoch that the subscriber has seen.
        8 opt highest_epoch: Epoch,
    }
}

message! {
    /// The answer to a publication: once all of it is in the topics.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    PublishResponse {
        /// Taken in or why not.
        1 req status: Status,
    }
}

message! {
    /// A subscriber stops on purpose (extension, ha.md rule 14).
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    UnregisterSubscriberRequest {
        /// The subscriber's version.
        1 req protocol_version: ProtocolVersion,
        /// Who leaves.
        2 req subscriber_id: Text,
        /// The registration that ends; a newer one stays.
        3 req registration_id: UniqueId,
    }
}

message! {
    /// Its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    UnregisterSubscriberResponse {
        /// OK also if nothing was registered.
        1 req status: Status,
    }
}

message! {
    /// An operator makes a statestored of a pair active, at the risk of two (extension).
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    ForceStatestoreActiveRequest {
        /// The caller's version.
        1 req protocol_version: ProtocolVersion,
        /// The process that is meant, so that nobody forces another one by mistake.
        2 req statestore_id: UniqueId,
    }
}

message! {
    /// Its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    ForceStatestoreActiveResponse {
        /// Done or why not.
        1 req status: Status,
        /// Under which it is active now.
        2 opt epoch: Epoch,
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
