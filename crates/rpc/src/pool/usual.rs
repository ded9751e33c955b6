//! [`Usual`]: the answer that many give, byte for byte.
//!
//! Of those who are asked again and again, nearly all answer with the same few bytes that there is
//! nothing new. Where an answer is that of the last one, it is known to be whole, to belong to the
//! method, and what it says: it is neither scanned nor decoded.
//!
//! Deliberately absent: answers of more than [`MOST`] bytes.
//!
//! Invariant: the bytes are a whole answer that was accepted, and decode to the value.

use super::Reply;
use crate::error::RpcError;
use crate::net::Net;
use bytes::Bytes;
use statestore_wire::{HostPort, Wire};

/// The longest one that is remembered, in bytes.
const MOST: usize = 512;

/// The last answer to the calls of one method.
#[derive(Debug)]
pub struct Usual<T> {
    bytes: Bytes,
    value: Option<T>,
}

impl<T> Default for Usual<T> {
    fn default() -> Self {
        Self {
            bytes: Bytes::new(),
            value: None,
        }
    }
}

impl<T: Wire + Clone> Usual<T> {
    /// The message, envelope included; empty as long as there was none.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The result in an answer, as [`Reply::decode`] finds it.
    pub fn decode<N: Net>(&mut self, answer: Reply<N>, from: &HostPort) -> Result<T, RpcError> {
        if let Some(value) = self.value.as_ref().filter(|_| self.bytes == answer.bytes()) {
            answer.accept();
            return Ok(value.clone());
        }
        if answer.bytes().len() > MOST {
            return answer.decode(from);
        }
        let bytes = answer.bytes().clone();
        let value: T = answer.decode(from)?;
        self.bytes = bytes;
        self.value = Some(value.clone());
        Ok(value)
    }
}
