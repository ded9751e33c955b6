//! What a server does with a call: [`Service`], [`Call`], [`Outcome`],
//! [`dispatch!`](crate::dispatch).
//!
//! [`LocalService`] is for a current-thread runtime and may hold `Rc`; [`Service`] is for any
//! runtime, and every one is also a [`LocalService`], which is what the connection loop knows.
//!
//! Deliberately absent: connections (`server`).

use crate::budget::Charge;
use crate::message::Received;
use bytes::Bytes;
use statestore_wire::envelope::{ApplicationException, read_args, write_exception, write_reply};
use statestore_wire::{Envelope, Fault, Reader, Rpc, Text, Wire};
use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;

/// Answers calls on one thread. A server clones it for every connection.
pub trait LocalService: Clone + 'static {
    /// The methods it has; calls of others are answered for it.
    const METHODS: &'static [&'static str];

    /// Answers one call; calls of one connection come one after the other.
    fn call(&self, call: Call) -> impl Future<Output = Outcome>;
}

/// Answers calls on any thread. A server clones it for every connection.
pub trait Service: Clone + Send + Sync + 'static {
    /// The methods it has; calls of others are answered for it.
    const METHODS: &'static [&'static str];

    /// Answers one call; calls of one connection come one after the other.
    fn call(&self, call: Call) -> impl Future<Output = Outcome> + Send;
}

impl<T: Service> LocalService for T {
    const METHODS: &'static [&'static str] = <T as Service>::METHODS;

    fn call(&self, call: Call) -> impl Future<Output = Outcome> {
        Service::call(self, call)
    }
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Outcome {
    /// A whole reply message, in segments.
    Reply(Vec<Bytes>),
    /// The handler failed: the caller gets the text, the connection goes on.
    Exception(ApplicationException),
    /// The arguments are none: the connection is closed without an answer.
    Malformed(Fault),
}

impl Outcome {
    /// A handler's result, or an exception with its error's text (type 0).
    pub fn answer<T: Wire, E: Display>(call: &Envelope, result: Result<T, E>) -> Self {
        match result {
            Ok(result) => {
                let mut message = Vec::new();
                write_reply(call, &result, &mut message);
                Self::Reply(vec![message.into()])
            }
            Err(error) => Self::Exception(ApplicationException {
                message: Some(Text::from(error.to_string())),
                kind: Some(ApplicationException::UNKNOWN),
            }),
        }
    }

    /// The answer to a method that the service does not have.
    pub fn unknown_method(call: &Envelope) -> Self {
        Self::Exception(ApplicationException::unknown_method(&call.method))
    }

    /// The message to send, if there is one.
    pub(crate) fn into_message(self, call: &Envelope) -> Result<Vec<Bytes>, Fault> {
        match self {
            Self::Reply(parts) => Ok(parts),
            Self::Exception(exception) => {
                let mut message = Vec::new();
                write_exception(call, &exception, &mut message);
                Ok(vec![message.into()])
            }
            Self::Malformed(fault) => Err(fault),
        }
    }
}

/// One call: its envelope is read, its arguments are not.
#[derive(Debug)]
pub struct Call {
    envelope: Envelope,
    message: Received,
    args_at: usize,
    peer: SocketAddr,
}

impl Call {
    pub(crate) fn read(message: Received, peer: SocketAddr) -> Result<Self, Fault> {
        let mut reader = Reader::new(message.bytes());
        let envelope = Envelope::read(&mut reader)?;
        let args_at = message.bytes().len() - reader.rest().len();
        Ok(Self {
            envelope,
            message,
            args_at,
            peer,
        })
    }

    /// Method, kind and sequence id.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The method's name.
    pub fn method(&self) -> &[u8] {
        self.envelope.method.as_bytes()
    }

    /// Who calls.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Size of the whole message in bytes.
    pub fn size(&self) -> usize {
        self.message.bytes().len()
    }

    /// The request.
    pub fn args<R: Rpc>(&self) -> Result<R, Fault> {
        read_args(&mut Reader::new(&self.message.bytes()[self.args_at..]))
    }

    /// The request, and what its message takes of the server's budget, which so stays taken while
    /// the request is in hand; frees the message.
    pub fn into_args<R: Rpc>(self) -> Result<(R, Held), Fault> {
        let request = self.args()?;
        Ok((request, Held(self.message.into_charge())))
    }

    /// What an answer needs; frees the message.
    pub fn into_envelope(self) -> Envelope {
        self.envelope
    }
}

/// What a message takes of its server's budget, until this is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "it is there to be dropped")] Charge);

/// Decodes a call's request by its method, runs the matching arm, and makes its outcome.
///
/// ```ignore
/// dispatch!(call, {
///     RegisterSubscriberRequest => |request| self.register(request).await,
/// })
/// ```
/// Each arm yields a `Result` of the method's response and an error that can be displayed.
#[macro_export]
macro_rules! dispatch {
    ($call:expr, { $($request:ty => |$name:pat_param| $handler:expr,)* }) => {{
        let call: $crate::Call = $call;
        match call.method() {
            $(method if method == <$request as $crate::wire::Rpc>::METHOD.as_bytes() => {
                match call.args::<$request>() {
                    Ok($name) => {
                        let envelope = call.into_envelope();
                        let result: Result<<$request as $crate::wire::Rpc>::Response, _> =
                            $handler;
                        $crate::Outcome::answer(&envelope, result)
                    }
                    Err(fault) => $crate::Outcome::Malformed(fault),
                }
            })*
            _ => $crate::Outcome::unknown_method(call.envelope()),
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::message::MessageReader;
    use statestore_wire::PublishRequest;
    use statestore_wire::envelope::write_call;

    // P9: what a request was decoded into may wait for long, and is no smaller than its message.
    #[tokio::test]
    async fn a_request_in_hand_keeps_its_place_in_the_budget_when_its_message_is_freed() {
        let budget = Budget::new(u64::MAX);
        let request = PublishRequest {
            subscriber_id: Text::from("x".repeat(1 << 20)),
            ..Default::default()
        };
        let mut bytes = Vec::new();
        write_call(&request, &mut bytes);
        let mut reader = MessageReader::new(u64::MAX, &budget);
        let Ok(Some(message)) = reader.read(&mut &bytes[..]).await else {
            panic!("no message");
        };
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let Ok((again, held)) =
            Call::read(message, peer).and_then(Call::into_args::<PublishRequest>)
        else {
            panic!("no call");
        };
        assert!(again == request && budget.used() > 1 << 20);
        drop(held);
        assert_eq!(budget.used(), 0);
    }
}
