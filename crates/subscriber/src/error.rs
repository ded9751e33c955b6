//! What can go wrong, each saying whose fault it is.
//!
//! Deliberately absent: a statestored that is away. That is a state, not an error: the
//! subscriber goes on trying, and `Handle::status` tells.

use statestore_core::subscriber::SHORTEST_PATIENCE;
use statestore_wire::{NetworkAddress, Text};
use std::io;
use std::time::Duration;
use thiserror::Error;

/// The caller's fault: settings that make no subscriber. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Statestored refuses such a registration.
    #[error("the subscriber id is empty")]
    EmptyId,
    /// Nobody to register with.
    #[error("no statestored is given")]
    NoStatestore,
    /// A pair is two.
    #[error("{0} statestoreds are given, at most two work together")]
    TooManyStatestores(usize),
    /// Only the first registration of a topic would count (T-11).
    #[error("topic '{0}' is added twice")]
    DuplicateTopic(Text),
    /// A duration that would make the subscriber spin.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// Shorter than anything that is promised to work.
    #[error(
        "{name} counts a statestored as lost after {patience:?} of silence, the shortest is \
         {SHORTEST_PATIENCE:?}"
    )]
    TooShort {
        /// The setting.
        name: &'static str,
        /// What it comes to.
        patience: Duration,
    },
    /// A pair is two.
    #[error("{0} is given twice: the two statestoreds of a pair have an address each")]
    SameStatestore(NetworkAddress),
}

/// Why a subscriber did not start. Nothing of it is left running.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The caller's fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The machine's fault, most often a port in use.
    #[error("cannot listen on {interface}:{port}: {source}")]
    Listen {
        /// The interface, empty for all.
        interface: String,
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The statestored is away or refuses, and `tolerate_startup_delay` is off (B-5).
    #[error("registration with statestored {statestore} failed (status {code}): {reason}")]
    Registration {
        /// The statestored.
        statestore: NetworkAddress,
        /// Its status code, or that of the failed call (wire.md section 6).
        code: i32,
        /// The text.
        reason: Text,
    },
}

/// The caller's fault: a wish that cannot be fulfilled. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// Topics are part of the registration; add it to the builder.
    #[error("topic '{0}' was not added before the start")]
    UnknownTopic(Text),
    /// The topic has handlers only; see `Topic::mirrored`.
    #[error("topic '{0}' is not mirrored")]
    NotMirrored(Text),
    /// The protocol's limit for one key or value.
    #[error("a {what} of {len} bytes is too long, the limit is {MAX_LEN} bytes")]
    TooLong {
        /// Key or value.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// The subscriber has left.
    #[error("the subscriber has left")]
    Left,
}

/// Longest key or value, in bytes: leaves room for what surrounds it in a message.
pub const MAX_LEN: usize = (1 << 31) - 4096;

pub(crate) fn check_len(what: &'static str, len: usize) -> Result<(), Refused> {
    if len > MAX_LEN {
        Err(Refused::TooLong { what, len })
    } else {
        Ok(())
    }
}
