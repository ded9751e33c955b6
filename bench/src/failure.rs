//! Why a run ended without figures.
//!
//! A figure that is worse than promised is no failure: it is written down as it is. Deliberately
//! absent: recovery; a run that could not be made is made again by a person.

use statestore_rpc::RpcError;
use statestore_subscriber::StartError;
use std::io;
use std::time::Duration;
use thiserror::Error;

/// Why a run ended.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The machine's fault.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The statestored ended or never became ready.
    #[error("statestored {why}; its log:\n{log}")]
    Statestored {
        /// What was seen.
        why: String,
        /// The end of what it logged.
        log: String,
    },
    /// A subscriber did not start.
    #[error("a subscriber did not start: {0}")]
    Start(#[from] StartError),
    /// A registration was not accepted.
    #[error("{subscriber} could not register: {why}")]
    Registration {
        /// Who.
        subscriber: String,
        /// What was answered.
        why: String,
    },
    /// Something did not happen in time.
    #[error("not within {limit:?}: {what}")]
    TooLate {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// A report lacks scenarios; each has said why.
    #[error("{0} of the scenarios could not be measured")]
    Incomplete(usize),
    /// A page did not say what was asked.
    #[error("page {page}: {why}")]
    Page {
        /// The page.
        page: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Failure {
    /// For `map_err`: names what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn registration(subscriber: &str, error: &RpcError) -> Self {
        Self::Registration {
            subscriber: subscriber.to_owned(),
            why: error.to_string(),
        }
    }
}
