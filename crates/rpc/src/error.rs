//! [`RpcError`]: why a call failed, in the classes and texts that peers know (K-3).
//!
//! Deliberately absent: refusals. A reply that carries an error status is a success here.

use crate::message::ReadError;
use statestore_wire::envelope::{ApplicationException, Header};
use statestore_wire::{Fault, HostPort, MessageKind, Status, StatusCode, Text};
use std::io;
use thiserror::Error;

/// A failed call. The connection is gone; the peer may or may not have executed the request,
/// except after [`RpcError::Connect`], when it has not.
#[derive(Debug, Error)]
pub enum RpcError {
    /// The request was sent and no answer came in time: the peer's or the network's fault.
    #[error("RPC recv timed out: dest address: {address}, rpc: {method}")]
    RecvTimeout {
        /// The peer.
        address: HostPort,
        /// The method that was called.
        method: &'static str,
    },
    /// No connection could be opened.
    #[error("Couldn't open transport for {address} ({reason})")]
    Connect {
        /// The peer.
        address: HostPort,
        /// What the system says.
        reason: String,
    },
    /// A connection that was in use, or kept from an earlier call, could not be opened anew.
    #[error("RPC client failed to connect: Couldn't open transport for {address} ({reason})")]
    Reconnect {
        /// The peer.
        address: HostPort,
        /// What the system says.
        reason: String,
    },
    /// Everything else.
    #[error("RPC Error: {failure}, dest address: {address}, rpc: {method}")]
    General {
        /// The peer.
        address: HostPort,
        /// The method that was called.
        method: &'static str,
        /// What went wrong.
        failure: Failure,
    },
}

impl RpcError {
    /// The status code of its class.
    pub fn code(&self) -> StatusCode {
        match self {
            Self::RecvTimeout { .. } => StatusCode::RPC_RECV_TIMEOUT,
            Self::Connect { .. } => StatusCode::GENERAL,
            Self::Reconnect { .. } => StatusCode::RPC_CLIENT_CONNECT_FAILURE,
            Self::General { .. } => StatusCode::RPC_GENERAL_ERROR,
        }
    }

    /// The error as peers and pages show it.
    pub fn status(&self) -> Status {
        Status::error(self.code(), self.to_string())
    }

    /// What the peer answered, if it answered with an exception.
    pub fn exception(&self) -> Option<&ApplicationException> {
        match self {
            Self::General {
                failure: Failure::Exception(exception),
                ..
            } => Some(exception),
            _ => None,
        }
    }
}

/// What went wrong on an open connection.
#[derive(Debug, Error)]
pub enum Failure {
    /// The request could not be sent. Network's or peer's fault.
    #[error("sending failed: {0}")]
    Send(#[source] io::Error),
    /// The caller's gate closed before the request was sent whole. No fault of the peer, which
    /// has no complete request and executes nothing.
    #[error("{}: {reason}", cut(*.sent))]
    Barred {
        /// Bytes that had left by then.
        sent: u64,
        /// What the gate said.
        reason: String,
    },
    /// The deadline passed before the request was sent: the peer does not read.
    #[error("send timed out")]
    SendTimeout,
    /// The deadline passed before an answer came, to a request that was sent for the second time.
    #[error("recv timed out after a reconnect")]
    SecondRecvTimeout,
    /// The peer ended the connection instead of answering.
    #[error("the peer closed the connection before answering")]
    Closed,
    /// No reply could be read.
    #[error("no reply could be read: {0}")]
    Receive(#[source] ReadError),
    /// The peer's fault: its reply breaks the protocol.
    #[error("bad reply: {0}")]
    BadReply(#[from] Fault),
    /// The peer's fault: a message that is no answer.
    #[error("the peer sent a {0:?} instead of an answer")]
    NotAnAnswer(MessageKind),
    /// The peer's fault: an answer to something else.
    #[error("the peer answered for another method, '{0}'")]
    WrongMethod(Text),
    /// The peer could not or would not execute the call.
    #[error("{}, type: {}", message(.0), .0.kind.unwrap_or_default())]
    Exception(ApplicationException),
    /// The peer's fault: an answer without content.
    #[error("{0} failed: unknown result")]
    MissingResult(&'static str),
    /// The caller's fault: a call on a connection whose last call failed or was abandoned.
    #[error("the connection is no longer usable")]
    Unusable,
}

fn cut(sent: u64) -> String {
    match sent {
        0 => "not sent".to_owned(),
        bytes => format!("cut off after {bytes} bytes"),
    }
}

fn message(exception: &ApplicationException) -> String {
    match &exception.message {
        Some(message) => message.to_string(),
        None => "exception without a message".to_owned(),
    }
}

impl Failure {
    pub(crate) fn of(self, address: &HostPort, method: &'static str) -> RpcError {
        RpcError::General {
            address: address.clone(),
            method,
            failure: self,
        }
    }

    /// K-2: such a call is sent once more over a new connection.
    pub(crate) fn calls_for_another_try(&self) -> bool {
        matches!(self, Self::Send(_) | Self::Closed)
    }

    /// The failure that stands in an answer's envelope, if it is none to `method`.
    pub(crate) fn in_header(header: &Header<'_>, method: &str) -> Option<Self> {
        match header.kind {
            MessageKind::Reply | MessageKind::Exception if header.method != method.as_bytes() => {
                Some(Self::WrongMethod(Text::from(header.method)))
            }
            MessageKind::Reply | MessageKind::Exception => None,
            other => Some(Self::NotAnAnswer(other)),
        }
    }
}
