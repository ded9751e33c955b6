//! What is worth a log line on the subscriber's side (observability.md section 6).
//!
//! Deliberately absent: when to write and where. The wording is this file's, once.

use crate::event::Severity;
use crate::ids::{RegistrationId, StatestoreId};
use core::fmt;
use core::time::Duration;
use statestore_wire::{Epoch, NetworkAddress, Status, Text};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the fields are what the sentence of `Display` says"
)]
pub enum Event {
    /// A statestored accepted the registration.
    Registered {
        statestore: NetworkAddress,
        registration_id: RegistrationId,
        statestore_id: StatestoreId,
        is_active: bool,
        /// No other statestored is known.
        is_alone: bool,
        /// Set if it ended a recovery.
        recovered_after: Option<Duration>,
    },
    /// One try of a call failed.
    AttemptFailed {
        statestore: NetworkAddress,
        method: &'static str,
        attempt: u32,
        status: Status,
    },
    /// A whole registration failed.
    RegistrationFailed {
        statestore: NetworkAddress,
        status: Status,
    },
    /// The first registration failed, which is tolerated.
    StartupDelayed {
        statestore: NetworkAddress,
        retry_in: Duration,
    },
    /// No heartbeat for too long.
    ConnectionLost {
        statestore: NetworkAddress,
        silent_for: Duration,
        missed: u32,
    },
    /// Recovery begins a registration.
    Reregistering {
        statestore: NetworkAddress,
        attempt: u64,
    },
    /// The active statestored is known, or another one.
    ActiveChanged {
        active: NetworkAddress,
        version: i64,
        before: Option<NetworkAddress>,
    },
    /// A role message had no effect.
    RoleIgnored {
        statestore_id: StatestoreId,
        version: i64,
        skipped: bool,
        why: &'static str,
    },
    /// Another active catalogd was accepted.
    CatalogdChanged {
        address: NetworkAddress,
        version: i64,
    },
    /// A catalogd notice had no effect.
    CatalogdIgnored {
        version: i64,
        known: i64,
        skipped: bool,
        why: &'static str,
    },
    /// A heartbeat was refused.
    HeartbeatRefused {
        statestore_id: StatestoreId,
        registration_id: RegistrationId,
        status: Status,
    },
    /// A statestored begins to be refused because its epoch is over.
    EpochRefused {
        statestore: NetworkAddress,
        status: Status,
    },
    /// The active statestored lost its role and won it again.
    ActivatedAnew {
        statestore: NetworkAddress,
        epoch: Epoch,
    },
    /// An update was refused.
    UpdateRefused {
        statestore_id: StatestoreId,
        status: Status,
    },
    /// What was published unasked was not taken in.
    PublicationFailed { status: Status },
    /// A delta does not continue what this subscriber has.
    UnexpectedBase { topic: Text, from: i64, own: i64 },
    /// A delta for a topic that was not registered.
    UnknownTopic { topic: Text },
    /// More deletions wait than may: the oldest are given up.
    DeletionsGivenUp { topic: Text, most: usize },
    /// The application could not process a delivery.
    DeliveryFailed { why: Text },
    /// A peer speaks an older protocol.
    Incompatible { method: &'static str, version: i32 },
    /// The subscriber stops.
    Left,
}

impl Event {
    /// How loud it is to be logged.
    pub fn severity(&self) -> Severity {
        match self {
            Self::UnexpectedBase { .. } | Self::UnknownTopic { .. } => Severity::Error,
            Self::DeliveryFailed { .. } => Severity::Error,
            // Of a pair the other one may be meant.
            Self::Registered {
                is_active: false,
                is_alone: true,
                ..
            } => Severity::Warning,
            Self::AttemptFailed { .. }
            | Self::RegistrationFailed { .. }
            | Self::StartupDelayed { .. }
            | Self::ConnectionLost { .. }
            | Self::HeartbeatRefused { .. }
            | Self::UpdateRefused { .. }
            | Self::EpochRefused { .. }
            | Self::PublicationFailed { .. }
            | Self::DeletionsGivenUp { .. }
            | Self::Incompatible { .. } => Severity::Warning,
            _ => Severity::Info,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ActiveChanged { .. }
            | Self::ActivatedAnew { .. }
            | Self::RoleIgnored { .. }
            | Self::CatalogdChanged { .. }
            | Self::CatalogdIgnored { .. } => self.fmt_news(f),
            Self::HeartbeatRefused { .. }
            | Self::UpdateRefused { .. }
            | Self::EpochRefused { .. }
            | Self::PublicationFailed { .. }
            | Self::UnexpectedBase { .. }
            | Self::UnknownTopic { .. }
            | Self::DeliveryFailed { .. }
            | Self::DeletionsGivenUp { .. }
            | Self::Incompatible { .. } => self.fmt_trouble(f),
            _ => self.fmt_registration(f),
        }
    }
}

impl Event {
    /// Joining and losing.
    fn fmt_registration(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered {
                statestore,
                registration_id,
                statestore_id,
                is_active,
                is_alone,
                recovered_after,
            } => {
                let role = match (is_active, is_alone) {
                    (true, _) => "active",
                    (false, false) => "not active",
                    (false, true) => {
                        "not active: until it is, no topics come, as no other is known"
                    }
                };
                write!(
                    f,
                    "Registered with statestored {statestore} (statestore id {statestore_id}, \
                     {role}), registration id {registration_id}"
                )?;
                recovered_after.map_or(Ok(()), |after| {
                    write!(f, ", after {:.1} s of recovery", after.as_secs_f64())
                })
            }
            Self::AttemptFailed {
                statestore,
                method,
                attempt,
                status,
            } => {
                let why = status.message();
                write!(
                    f,
                    "{method} of {statestore} failed (attempt {attempt}): {why}"
                )
            }
            Self::RegistrationFailed { statestore, status } => {
                let why = status.message();
                write!(f, "Registration with {statestore} failed: {why}")
            }
            Self::StartupDelayed {
                statestore,
                retry_in,
            } => {
                let pause = retry_in.as_millis();
                write!(
                    f,
                    "Started without statestored {statestore}; trying again in {pause} ms"
                )
            }
            Self::ConnectionLost {
                statestore,
                silent_for,
                missed,
            } => write!(
                f,
                "Connection with statestored {statestore} lost: no heartbeat for {:.1} s \
                 ({missed} missed); entering recovery",
                silent_for.as_secs_f64()
            ),
            Self::Reregistering {
                statestore,
                attempt,
            } => {
                write!(f, "Registering with {statestore} again (attempt {attempt})")
            }
            _ => f.write_str("Subscriber leaves"),
        }
    }

    /// Roles and catalogds.
    fn fmt_news(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ActiveChanged {
                active,
                version,
                before,
            } => match before {
                None => write!(f, "Active statestored is {active} (version {version})"),
                Some(before) => write!(
                    f,
                    "Active statestored changed from {before} to {active} (version {version})"
                ),
            },
            Self::ActivatedAnew { statestore, epoch } => write!(
                f,
                "Active statestored {statestore} became active anew (epoch {epoch})"
            ),
            Self::RoleIgnored {
                statestore_id,
                version,
                skipped,
                why,
            } => write!(
                f,
                "Role message of statestored {statestore_id} (version {version}) {}: {why}",
                done(*skipped)
            ),
            Self::CatalogdIgnored {
                version,
                known,
                skipped,
                why,
            } => write!(
                f,
                "Catalogd message with version {version} (known: {known}) {}: {why}",
                done(*skipped)
            ),
            Self::CatalogdChanged { address, version } => {
                write!(f, "Active catalogd is {address} (version {version})")
            }
            _ => Ok(()),
        }
    }

    /// Messages that were not, or not wholly, processed.
    fn fmt_trouble(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeartbeatRefused {
                statestore_id,
                registration_id,
                status,
            } => write!(
                f,
                "Heartbeat of statestored {statestore_id} for registration {registration_id} \
                 refused: {}",
                status.message()
            ),
            Self::PublicationFailed { status } => {
                write!(f, "Publication was not taken in: {}", status.message())
            }
            Self::UpdateRefused {
                statestore_id,
                status,
            } => {
                let why = status.message();
                write!(f, "Update of statestored {statestore_id} refused: {why}")
            }
            Self::EpochRefused { statestore, status } => {
                let why = status.message();
                write!(
                    f,
                    "Statestored {statestore}: {why}; further ones are only counted"
                )
            }
            Self::UnexpectedBase { topic, from, own } => write!(
                f,
                "Unexpected delta base {from} of topic '{topic}', own version is {own}; asking \
                 for a delta from there"
            ),
            Self::UnknownTopic { topic } => {
                write!(f, "Delta of topic '{topic}' ignored: not registered")
            }
            Self::DeletionsGivenUp { topic, most } => write!(
                f,
                "More than {most} deletions of topic '{topic}' wait for a statestored: the oldest \
                 are given up, and may stay in the topic"
            ),
            Self::DeliveryFailed { why } => write!(f, "Processing an update failed: {why}"),
            Self::Incompatible { method, version } => {
                write!(
                    f,
                    "{method} of protocol V{} ignored",
                    i64::from(*version) + 1
                )
            }
            _ => Ok(()),
        }
    }
}

fn done(skipped: bool) -> &'static str {
    if skipped { "skipped" } else { "ignored" }
}
