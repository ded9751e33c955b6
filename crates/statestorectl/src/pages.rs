//! The web pages of a daemon, as JSON.
//!
//! Deliberately absent: what the documents mean; each command picks its fields itself.
//! Invariant: a daemon that does not answer costs at most the limit ([`LIMIT`] unless another one
//! is set) per page, and an answer at most [`MAX_DOCUMENT`] bytes.

use serde_json::Value;
use std::time::Duration;
use thiserror::Error;

/// How long one page may take, connecting included.
const LIMIT: Duration = Duration::from_secs(10);
/// The largest document that is read: 10,000 subscribers take about 3 MiB.
const MAX_DOCUMENT: u64 = 256 << 20;

/// Why a page could not be read.
#[derive(Debug, Error)]
pub(crate) enum PageError {
    /// Nobody there, or no answer: the daemon's or the network's fault, or a wrong address.
    #[error("cannot read http://{address}{path}: {reason}")]
    Unreachable {
        /// The web server's address.
        address: String,
        /// The page.
        path: String,
        /// What happened.
        reason: String,
    },
    /// The daemon answered something that is not the page.
    #[error("http://{address}{path} answered what is not a JSON document: {reason}")]
    NotJson {
        /// The web server's address.
        address: String,
        /// The page.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another daemon answered than this command is for, or a very old one.
    #[error("http://{address}{path} has no {what}: is that a statestored?")]
    NotAsExpected {
        /// The web server's address.
        address: String,
        /// The page.
        path: String,
        /// What it lacks.
        what: String,
    },
    /// It has no such page: another daemon, or one that stands alone.
    #[error("http://{address} has no page {path}: is that a statestored{}?", of_a_pair(.path))]
    NoPage {
        /// The web server's address.
        address: String,
        /// The page.
        path: String,
    },
    /// The daemon answered with an error of its own.
    #[error("http://{address}{path}: {message}")]
    Refused {
        /// The web server's address.
        address: String,
        /// The page.
        path: String,
        /// The page's `error` field.
        message: String,
    },
}

fn of_a_pair(path: &str) -> &'static str {
    match path {
        "/ha" => " of a pair (--enable_statestored_ha)",
        _ => "",
    }
}

/// A daemon's web server.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    agent: ureq::Agent,
    address: String,
}

impl Pages {
    /// The web server at `address`, as `host:port`.
    pub(crate) fn new(address: impl Into<String>) -> Self {
        Self::within(LIMIT, address)
    }

    /// Likewise, with another limit for one page, connecting included.
    pub(crate) fn within(limit: Duration, address: impl Into<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(limit))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            address: address.into(),
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The document of a page, `path` with a leading slash and without query.
    pub(crate) fn json(&self, path: &str) -> Result<Value, PageError> {
        let unreachable = |reason: String| PageError::Unreachable {
            address: self.address.clone(),
            path: path.to_owned(),
            reason,
        };
        let url = format!("http://{}{path}?json", self.address);
        let mut answer = self
            .agent
            .get(&url)
            .call()
            .map_err(|e| unreachable(e.to_string()))?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(MAX_DOCUMENT)
            .read_to_string()
            .map_err(|e| unreachable(e.to_string()))?;
        let status = answer.status();
        let document: Value = serde_json::from_str(&text).map_err(|e| PageError::NotJson {
            address: self.address.clone(),
            path: path.to_owned(),
            reason: match status.is_success() {
                true => e.to_string(),
                false => format!("HTTP status {status}"),
            },
        })?;
        match document["error"].as_str() {
            None => Ok(document),
            Some(_) if status == ureq::http::StatusCode::NOT_FOUND => Err(PageError::NoPage {
                address: self.address.clone(),
                path: path.to_owned(),
            }),
            Some(message) => Err(PageError::Refused {
                address: self.address.clone(),
                path: path.to_owned(),
                message: message.to_owned(),
            }),
        }
    }

    /// The error for a page that lacks what it should have: not a statestored, or too old.
    pub(crate) fn lacks(&self, path: &str, what: &str) -> PageError {
        PageError::NotAsExpected {
            address: self.address.clone(),
            path: path.to_owned(),
            what: what.to_owned(),
        }
    }
}
