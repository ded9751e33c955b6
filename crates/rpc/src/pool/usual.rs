//! [`Usual`]: the last answer to the calls of one method, which most of the next ones equal.
//!
//! Of those who are asked again and again, nearly all answer with the same few bytes that there is
//! nothing new. Where an answer is that of the last one, it is known to be whole, to belong to the
//! method, and what it says: it is neither scanned nor decoded, and its call ends where it stands.
//!
//! Deliberately absent: answers of more than [`MOST`] bytes.
//!
//! Invariant: the bytes are a whole answer to this method that was accepted, and decode to the
//! value. All whose calls it is used for have the same limit of an answer's size.

use super::{Reply, Small};
use crate::error::RpcError;
use crate::net::Net;
use bytes::Bytes;
use statestore_wire::{HostPort, Rpc};

/// The longest one that is remembered, in bytes.
const MOST: usize = 512;

/// The last answer to the calls of a method.
#[derive(Debug)]
pub struct Usual<R: Rpc> {
    known: Option<(Bytes, R::Response)>,
}

impl<R: Rpc> Default for Usual<R> {
    fn default() -> Self {
        Self { known: None }
    }
}

impl<R: Rpc> Usual<R>
where
    R::Response: Clone,
{
    /// The message, envelope included, if there was one.
    pub fn bytes(&self) -> Option<&Bytes> {
        self.known.as_ref().map(|(bytes, _)| bytes)
    }

    /// What a call that is ready was answered, and the [serial](crate::Connection::serial) of the
    /// connection it came over, if that is the usual answer: then the call has ended well. If not,
    /// the call as it was.
    pub fn accept<N: Net>(
        &self,
        mut small: Box<Small<N>>,
    ) -> Result<(R::Response, u64), Box<Small<N>>> {
        let known = self.known.as_ref();
        let accepted = known.and_then(|(bytes, value)| {
            let connection = small.accept(R::METHOD, bytes)?;
            Some((value.clone(), connection))
        });
        accepted.ok_or(small)
    }

    /// The result in an answer, as [`Reply::decode`] finds it; it is remembered, if it is short.
    pub fn decode<N: Net>(
        &mut self,
        answer: Reply<N>,
        from: &HostPort,
    ) -> Result<R::Response, RpcError> {
        if answer.size() > MOST {
            return answer.decode(from);
        }
        let bytes = answer.bytes().clone();
        let value: R::Response = answer.decode(from)?;
        self.known = Some((bytes, value.clone()));
        Ok(value)
    }
}
