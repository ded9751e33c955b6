//! Every "no" that a registration can get, with the text that peers match on (wire.md section 6).
//!
//! A refusal is an answer, not a fault: it changed nothing, and it tells the subscriber
//! what to do about it. Deliberately absent: the checks themselves; `node/register.rs` makes
//! them, in the order of the variants.

use alloc::string::ToString;
use statestore_wire::{ProtocolVersion, Status, StatusCode, Text};

/// Why a registration was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The subscriber speaks a protocol from before V2.
    #[error(
        "Subscriber '{subscriber}' has incompatible protocol version V{} conflicting with \
         statestored's version V{}",
        i64::from(theirs.0) + 1, ProtocolVersion::V2.0 + 1
    )]
    OldProtocol {
        /// Who asked.
        subscriber: Text,
        /// Its version.
        theirs: ProtocolVersion,
    },
    /// Nobody can be called by an empty name.
    #[error("Subscriber ID cannot be empty string")]
    EmptyId,
    /// One side runs two catalogds, the other one; the spelling is the reference's.
    #[error("CalaogD HA enabling flag from catalogd does not match.")]
    CatalogHaMismatch,
    /// The debug switch of H-9 is on.
    #[error("Reject registration since network is disabled.")]
    NetworkDisabled,
    /// No real subscriber asks for so much; it would cost everybody (P9).
    #[error("Reject registration since {field} is too large: {size}, at most {limit} accepted.")]
    TooLarge {
        /// The request's field.
        field: &'static str,
        /// Its bytes; of a list its elements.
        size: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// Its limit of silence leaves no time for a heartbeat to be tried twice.
    #[error(
        "Reject registration since heartbeat_timeout_ms is {timeout_ms}, at least {shortest_ms} \
         is needed."
    )]
    TooShort {
        /// What it said.
        timeout_ms: i64,
        /// The shortest that is accepted.
        shortest_ms: i64,
    },
    /// The pair has no active statestored and this one holds back (ha.md rule 19).
    #[error("Reject registration since this statestored is silent for its peer's sake.")]
    Silent,
    /// The cluster is full (W26).
    #[error("Maximum subscriber limit reached: {limit}, subscribers_ size: {size}")]
    Full {
        /// `statestore_max_subscribers`.
        limit: usize,
        /// Other subscribers registered now.
        size: usize,
    },
    /// Without catalogd HA there is one catalogd (W27).
    #[error(
        "Reject registration of catalogd '{subscriber}' since catalogd '{registered}' is \
         registered and enable_catalogd_ha is false."
    )]
    SecondCatalogd {
        /// Who asked.
        subscriber: Text,
        /// Who holds the place until it fails.
        registered: Text,
    },
    /// With catalogd HA there are two (W27).
    #[error(
        "Reject registration of catalogd '{subscriber}' since two catalogds are registered: \
         '{active}' and '{standby}'."
    )]
    ThirdCatalogd {
        /// Who asked.
        subscriber: Text,
        /// The active one.
        active: Text,
        /// The other one.
        standby: Text,
    },
}

impl Refusal {
    /// The status of the answer.
    pub fn status(&self) -> Status {
        let code = match self {
            Self::OldProtocol { .. } => StatusCode::STATESTORE_INCOMPATIBLE_PROTOCOL,
            _ => StatusCode::GENERAL,
        };
        Status::error(code, self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //
    #[test]
    fn the_refusal_of_an_old_protocol_is_worded_as_the_wire_crate_words_it() {
        let refusal = Refusal::OldProtocol {
            subscriber: Text::from("a"),
            theirs: ProtocolVersion::V1,
        };
        assert_eq!(
            refusal.status(),
            Status::incompatible(&Text::from("a"), 0, ProtocolVersion::V2.0)
        );
    }

    // R-6, W26
    #[test]
    fn the_refusal_at_the_limit_names_limit_and_size() {
        let status = Refusal::Full { limit: 3, size: 4 }.status();
        assert_eq!(status.status_code, StatusCode::GENERAL);
        assert_eq!(
            status.message(),
            "Maximum subscriber limit reached: 3, subscribers_ size: 4"
        );
    }
}
