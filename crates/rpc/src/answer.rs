//! What an answer must be, whatever its method: one to that method, and a result.
//!
//! Deliberately absent: the connection that it came over (`client`).

use crate::error::Failure;
use crate::message::Received;
use bytes::Bytes;
use statestore_wire::envelope::{ApplicationException, Header, read_result};
use statestore_wire::scan::Step;
use statestore_wire::sift::ITEMS_OF_UPDATE_ANSWER;
use statestore_wire::{MessageKind, Reader, Rpc, UpdateStateRequest, Wire};

/// Where topic items stand in an answer to `method`.
pub(crate) fn items_in(method: &str) -> Option<&'static [Step]> {
    (method == UpdateStateRequest::METHOD).then_some(ITEMS_OF_UPDATE_ANSWER)
}

/// An answer to `method` that is not an exception.
pub(crate) fn check_answer(method: &str, reply: &Bytes) -> Result<(), Failure> {
    let mut reader = Reader::new(reply);
    let header = Header::read(&mut reader)?;
    if let Some(failure) = Failure::in_header(&header, method) {
        return Err(failure);
    }
    if header.kind == MessageKind::Exception {
        return Err(Failure::Exception(ApplicationException::read(&mut reader)?));
    }
    Ok(())
}

/// The result in a whole reply.
pub(crate) fn result_of<T: Wire>(method: &'static str, reply: &Received) -> Result<T, Failure> {
    let mut reader = reply.reader();
    Header::read(&mut reader)?;
    read_result(&mut reader)?.ok_or(Failure::MissingResult(method))
}
