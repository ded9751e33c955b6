//! What is worth a log line (observability.md section 6), typed; the driver writes it down.
//!
//! Deliberately absent: when to write and where. The wording is this file's, once.

use core::fmt;
use statestore_wire::{NetworkAddress, Text};

use crate::ids::RegistrationId;

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
pub enum Event {
    /// A subscriber joined.
    Registered {
        /// Who.
        subscriber: Text,
        /// Under which id.
        registration_id: RegistrationId,
        /// Where it listens.
        address: NetworkAddress,
    },
}

impl Event {
    /// How loud it is to be logged.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Registered { .. } => Severity::Info,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { subscriber, registration_id, address } => write!(
                f,
                "Subscriber '{subscriber}' registered (registration id {registration_id}) at \
                 {address}"
            ),
        }
    }
}
