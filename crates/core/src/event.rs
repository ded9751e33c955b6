//! What is worth a log line (observability.md section 6), typed; the driver writes it down.
//!
//! Deliberately absent: when to write and where. The wording is this file's, once.

use crate::detector::Health;
use crate::ids::RegistrationId;
use crate::pair::News;
use crate::port::Lane;
use crate::refusal::Refusal;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use statestore_wire::{Epoch, NetworkAddress, Status, Text};

mod catalogd;
mod heartbeat;
mod pair;

/// How loud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The normal course of things.
    Info,
    /// Somebody should look.
    Warning,
    /// Something did not happen that should have.
    Error,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what their names say")]
pub enum Event {
    /// A subscriber joined.
    Registered {
        subscriber: Text,
        registration_id: RegistrationId,
        address: NetworkAddress,
    },
    /// A known subscriber joined again; its former registration is over.
    Reregistered {
        subscriber: Text,
        registration_id: RegistrationId,
        address: NetworkAddress,
        former_id: RegistrationId,
        former_address: NetworkAddress,
    },
    /// A registration was not accepted.
    Refused {
        subscriber: Text,
        address: NetworkAddress,
        refusal: Refusal,
    },
    /// A failed subscriber was removed.
    Removed {
        subscriber: Text,
        registration_id: RegistrationId,
        address: NetworkAddress,
        missed: u32,
    },
    /// The first registration that named a topic.
    TopicCreated { topic: Text, subscriber: Text },
    /// Nobody subscribes to the topic any more and nothing is in it.
    TopicDropped { topic: Text },
    /// A subscriber had the topic emptied.
    TopicCleared {
        topic: Text,
        subscriber: Text,
        entries: usize,
    },
    /// A subscriber asked for another delta base.
    BaseReset {
        topic: Text,
        subscriber: Text,
        from_version: i64,
    },
    /// A reply named a topic that does not exist.
    UnknownTopic { topic: Text, subscriber: Text },
    /// A reply named a topic that its sender did not subscribe to.
    NotSubscribed { topic: Text, subscriber: Text },
    /// A heartbeat was not answered, or not well.
    HeartbeatMissed {
        subscriber: Text,
        address: NetworkAddress,
        missed: u32,
        health: Health,
        status: Status,
    },
    /// A heartbeat was answered after some were not.
    HeartbeatRecovered { subscriber: Text, missed: u32 },
    /// A heartbeat went out long after it was due.
    HeartbeatLate {
        subscriber: Text,
        late: Duration,
        unreported: u64,
    },
    /// A subscriber's own limit makes its heartbeats shorter than the settings.
    HeartbeatsShortened {
        subscriber: Text,
        limit: Duration,
        period: Duration,
        timeout: Duration,
    },
    /// Who answered in the last period.
    HeartbeatReport {
        answered: usize,
        subscribers: usize,
        silent: Vec<Text>,
    },
    /// A topic update failed, or was answered with an error.
    UpdateFailed {
        subscriber: Text,
        address: NetworkAddress,
        lane: Lane,
        status: Status,
    },
    /// There is a new active catalogd, or the active one moved.
    CatalogdDesignated {
        subscriber: Text,
        address: NetworkAddress,
        version: i64,
        standby: Option<Text>,
    },
    /// The active catalogd failed and no other is there.
    CatalogdLost { version: i64 },
    /// Everybody who wants to know the active catalogd knows it.
    CatalogdNoticeFinished { version: i64 },
    /// A subscriber could not be told of the active catalogd.
    CatalogdNoticeFailed {
        subscriber: Text,
        address: NetworkAddress,
        version: i64,
        status: Status,
    },
    /// The debug switch of H-9 was turned.
    NetworkSwitched { disabled: bool },
    /// A subscriber stopped on purpose.
    Left {
        subscriber: Text,
        registration_id: RegistrationId,
        address: NetworkAddress,
    },
    /// Something about the pair of statestoreds.
    Pair(News),
    /// Why a peer that is not found is not.
    PeerNotFound {
        peer: NetworkAddress,
        /// It stopped on purpose.
        planned: bool,
        reason: Text,
    },
    /// The first subscriber of this process' life that knows no epochs, in a pair.
    ReferenceSubscriber { subscriber: Text },
    /// Everybody knows that this statestored is active.
    RoleNoticeFinished { epoch: Epoch },
    /// A subscriber could not be told that this statestored is active.
    RoleNoticeFailed {
        subscriber: Text,
        address: NetworkAddress,
        status: Status,
    },
    /// It could be told at last.
    RoleNoticeDelivered {
        subscriber: Text,
        address: NetworkAddress,
    },
}

impl Event {
    /// How loud it is to be logged.
    pub fn severity(&self) -> Severity {
        match self {
            Self::CatalogdNoticeFailed { .. }
            | Self::Refused {
                refusal: Refusal::Full { .. },
                ..
            } => Severity::Error,
            Self::Refused { .. }
            | Self::HeartbeatLate { .. }
            | Self::NotSubscribed { .. }
            | Self::CatalogdLost { .. }
            | Self::ReferenceSubscriber { .. }
            | Self::PeerNotFound { planned: false, .. }
            | Self::NetworkSwitched { .. } => Severity::Warning,
            Self::Pair(news) => pair::severity(news),
            _ => Severity::Info,
        }
    }
}

/// How many silent subscribers the report names.
const NAMED: usize = 20;

/// What others sent, cut where a line gets too long for people.
pub(crate) struct Brief<'a>(pub(crate) &'a Text);

/// So many bytes of it are shown.
const SHOWN: usize = 1024;

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_bytes();
        match bytes.split_at_checked(SHOWN) {
            Some((head, tail)) if !tail.is_empty() => {
                let head = Text::from(head);
                write!(f, "{head}... ({} more bytes)", tail.len())
            }
            _ => self.0.fmt(f),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { .. }
            | Self::Reregistered { .. }
            | Self::Refused { .. }
            | Self::Removed { .. }
            | Self::Left { .. }
            | Self::NetworkSwitched { .. } => self.membership(f),
            Self::HeartbeatMissed { .. }
            | Self::HeartbeatRecovered { .. }
            | Self::HeartbeatLate { .. }
            | Self::HeartbeatsShortened { .. }
            | Self::HeartbeatReport { .. } => self.heartbeat(f),
            Self::CatalogdDesignated { .. }
            | Self::CatalogdLost { .. }
            | Self::CatalogdNoticeFinished { .. }
            | Self::CatalogdNoticeFailed { .. } => self.catalogd(f),
            Self::Pair(news) => pair::write(news, f),
            Self::PeerNotFound { .. }
            | Self::ReferenceSubscriber { .. }
            | Self::RoleNoticeFinished { .. }
            | Self::RoleNoticeFailed { .. }
            | Self::RoleNoticeDelivered { .. } => self.of_pair(f),
            _ => self.topic(f),
        }
    }
}

impl Event {
    fn membership(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered {
                subscriber,
                registration_id,
                address,
            } => write!(
                f,
                "Subscriber '{subscriber}' registered (registration id {registration_id}) at \
                 {address}"
            ),
            Self::Reregistered {
                subscriber,
                registration_id,
                address,
                former_id,
                former_address,
            } => {
                write!(
                    f,
                    "Subscriber '{subscriber}' registered again (registration id \
                     {registration_id}, formerly {former_id}) at {address}"
                )?;
                if address != former_address {
                    write!(f, ", formerly at {former_address}")?;
                }
                Ok(())
            }
            Self::Refused {
                subscriber,
                address,
                refusal,
            } => write!(
                f,
                "Registration of subscriber '{}' at {} refused: {refusal}",
                Brief(subscriber),
                Brief(&address.to_string().into())
            ),
            Self::Removed {
                subscriber,
                registration_id,
                address,
                missed,
            } => write!(
                f,
                "Subscriber '{subscriber}' (last registration id {registration_id}) at {address} \
                 removed after {missed} missed heartbeats"
            ),
            Self::Left {
                subscriber,
                registration_id,
                address,
            } => write!(
                f,
                "Subscriber '{subscriber}' (last registration id {registration_id}) at {address} \
                 left"
            ),
            Self::NetworkSwitched { disabled: true } => {
                f.write_str("Network disabled by debug action")
            }
            _ => f.write_str("Network enabled by debug action"),
        }
    }

    fn topic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicCreated { topic, subscriber } => {
                write!(f, "Topic '{topic}' created by subscriber '{subscriber}'")
            }
            Self::TopicDropped { topic } => {
                write!(f, "Topic '{topic}' dropped: no subscribers, no entries")
            }
            Self::TopicCleared {
                topic,
                subscriber,
                entries,
            } => write!(
                f,
                "Topic '{topic}' ({entries} entries) cleared on request of subscriber \
                 '{subscriber}'"
            ),
            Self::BaseReset {
                topic,
                subscriber,
                from_version,
            } => write!(
                f,
                "Delta base of topic '{topic}' for subscriber '{subscriber}' reset to version \
                 {from_version} on its request"
            ),
            Self::UnknownTopic { topic, subscriber } => write!(
                f,
                "Update of unknown topic '{}' from subscriber '{subscriber}' ignored",
                Brief(topic)
            ),
            Self::NotSubscribed { topic, subscriber } => write!(
                f,
                "Subscriber '{subscriber}' published to topic '{topic}' without subscribing to it"
            ),
            Self::UpdateFailed {
                subscriber,
                address,
                lane,
                status,
            } => write!(
                f,
                "{} topic update to subscriber '{subscriber}' at {address} failed: {}",
                if *lane == Lane::Priority {
                    "Priority"
                } else {
                    "Normal"
                },
                Brief(&status.message())
            ),
            _ => Ok(()),
        }
    }
}
