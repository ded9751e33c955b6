//! [`Connection`]: one call at a time on one stream.
//!
//! Deliberately absent: keeping connections and trying again (`pool`).
//!
//! Invariant: a connection is usable only if every call on it ended in a whole answer to that
//! call and nothing came after. A failed call, and one whose future was dropped, spoils it.

use crate::answer::{check_answer, items_in, result_of};
use crate::budget::Budget;
use crate::error::{Failure, RpcError};
use crate::gate::Gate;
use crate::message::{Begun, MessageReader, ReadError, Received};
use crate::net::{Net, Stream};
use crate::send::Sending;
use bytes::Bytes;
use statestore_wire::envelope::write_call;
use statestore_wire::{HostPort, Rpc, Wire};
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// Bounds of one call.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// From now to the last byte of the reply, connecting and trying again included (W14).
    pub deadline: Duration,
    /// The largest reply that is accepted, in bytes.
    pub max_reply: u64,
}

impl CallLimits {
    /// For replies that carry no topics: up to 1 MiB.
    pub fn small(deadline: Duration) -> Self {
        Self {
            deadline,
            max_reply: 1024 * 1024,
        }
    }
}

/// A stream to a peer. What an answer needs while it arrives is the call's, so that one that waits
/// for its next call is small.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// When the last call began that sent a request.
    asked: Option<Instant>,
    serial: u64,
    budget: Budget,
    stage: Stage,
}

/// One call as it goes out.
pub(crate) struct Ask<'a, P> {
    pub(crate) to: &'a HostPort,
    pub(crate) method: &'static str,
    /// The request, envelope included.
    pub(crate) parts: &'a [P],
    pub(crate) deadline: Instant,
    /// The largest reply that is accepted, in bytes.
    pub(crate) max_reply: u64,
    pub(crate) gate: &'a Gate,
}

/// Linux acknowledges what comes after a longer silence when it arrives, not when it is read.
const MOMENT: Duration = Duration::from_millis(200);

/// Of the next connection.
static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// Why a request was not sent whole.
enum Cut {
    Io(io::Error),
    Barred(String),
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ready,
    Sending,
    Receiving,
    Spoiled,
}

/// Opens a connection before `deadline`; the error is what the system says.
pub(crate) async fn open<N: Net>(
    net: &N,
    to: &HostPort,
    budget: &Budget,
    deadline: Instant,
) -> Result<Connection<N::Stream>, String> {
    match timeout_at(deadline, net.connect(to)).await {
        Ok(Ok(stream)) => Ok(Connection::new(stream, budget)),
        Ok(Err(error)) => Err(format!("connect() failed: {error}")),
        Err(_) => Err("connect() timed out".to_owned()),
    }
}

impl<S: Stream> Connection<S> {
    /// A connection over an open stream.
    pub fn new(stream: S, budget: &Budget) -> Self {
        Self {
            stream,
            asked: None,
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            budget: budget.clone(),
            stage: Stage::Ready,
        }
    }

    /// A number that no other connection of this process has, had, or will have.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// One call with a typed request.
    pub async fn call<R: Rpc>(
        &mut self,
        address: &HostPort,
        request: &R,
        limits: CallLimits,
    ) -> Result<R::Response, RpcError> {
        let mut message = Vec::new();
        write_call(request, &mut message);
        let parts = [message];
        let deadline = Instant::now() + limits.deadline;
        let reply = self.call_raw(address, R::METHOD, &parts, deadline, limits.max_reply);
        let reply = reply.await?;
        self.decode::<R::Response>(R::METHOD, &reply)
            .map_err(|failure| failure.of(address, R::METHOD))
    }

    /// One call with a request that is encoded already, envelope included. The answer is one to
    /// `method`, and not an exception; of its content only what can be
    /// [sifted](MessageReader::sift) is looked at.
    pub async fn call_raw(
        &mut self,
        address: &HostPort,
        method: &'static str,
        parts: &[impl AsRef<[u8]>],
        deadline: Instant,
        max_reply: u64,
    ) -> Result<Received, RpcError> {
        let ask = Ask {
            to: address,
            method,
            parts,
            deadline,
            max_reply,
            gate: &Gate::default(),
        };
        let mut exchange = Exchange::new(self, Instant::now(), max_reply);
        match exchange.begin(self, &ask).await? {
            Begun::Whole(reply) => {
                let checked = self.checked(method, reply);
                checked.map_err(|failure| failure.of(address, method))
            }
            Begun::Large => exchange.rest(self, address, method, deadline).await,
        }
    }

    /// The result in a reply; a bad one spoils the connection.
    pub(crate) fn decode<T: Wire>(
        &mut self,
        method: &'static str,
        reply: &Received,
    ) -> Result<T, Failure> {
        let result = result_of(method, reply);
        if result.is_err() {
            self.stage = Stage::Spoiled;
        }
        result
    }

    /// True if the next call may use this connection: the last one ended well, and the peer has
    /// neither said anything since nor gone. If not, it never will be again.
    pub fn is_fresh(&mut self) -> bool {
        if self.stage == Stage::Ready && !self.stream.is_quiet() {
            self.stage = Stage::Spoiled;
        }
        self.is_ready()
    }

    /// When the last call began that sent a request.
    pub(crate) fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// Why a call on it that is still under way at its deadline failed.
    pub(crate) fn timed_out(&self, address: &HostPort, method: &'static str) -> RpcError {
        match self.stage {
            Stage::Receiving => RpcError::RecvTimeout {
                address: address.clone(),
                method,
            },
            _ => Failure::SendTimeout.of(address, method),
        }
    }

    /// True if the last call ended well; what the peer did since is not looked at.
    pub(crate) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// The reply, if it is an answer to `method`; another one spoils the connection.
    pub(crate) fn checked(&mut self, method: &str, reply: Received) -> Result<Received, Failure> {
        if let Err(failure) = check_answer(method, reply.bytes()) {
            self.stage = Stage::Spoiled;
            return Err(failure);
        }
        self.answered();
        Ok(reply)
    }

    /// The call under way was answered well.
    pub(crate) fn answered(&mut self) {
        if self.stage == Stage::Receiving {
            self.stage = Stage::Ready;
        }
    }
}

/// What one call needs on a connection beside the request: how far it is.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// About when it began.
    started: Instant,
    begun: bool,
    sent: u64,
    reader: MessageReader,
}

impl Exchange {
    /// A call that begins about now.
    pub(crate) fn new<S>(on: &Connection<S>, started: Instant, max_reply: u64) -> Self {
        Self {
            started,
            begun: false,
            sent: 0,
            reader: MessageReader::new(max_reply, &on.budget),
        }
    }

    /// Sends a request and receives the beginning of its answer: all of a small one, which is to
    /// be [checked](Connection::checked). A call that fails here may be tried again.
    pub(crate) async fn begin<S: Stream>(
        &mut self,
        on: &mut Connection<S>,
        ask: &Ask<'_, impl AsRef<[u8]>>,
    ) -> Result<Begun, RpcError> {
        let begun = poll_fn(|cx| self.poll_begin(cx, on, (ask.parts, ask.gate), None));
        let begun = timeout_at(ask.deadline, begun).await;
        in_time(on, begun, ask.to, ask.method)
    }

    /// The answer to what has begun as a large one.
    pub(crate) async fn rest<S: Stream>(
        &mut self,
        on: &mut Connection<S>,
        address: &HostPort,
        method: &'static str,
        deadline: Instant,
    ) -> Result<Received, RpcError> {
        let received = timeout_at(deadline, self.receive(on, method)).await;
        in_time(on, received, address, method)
    }

    /// [`begin`](Self::begin) without a deadline. `usual` is an answer that was accepted before, to
    /// a call of the same method with the same limits.
    pub(crate) fn poll_begin<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        on: &mut Connection<S>,
        request: (&[impl AsRef<[u8]>], &Gate),
        usual: Option<&Bytes>,
    ) -> Poll<Result<Begun, Failure>> {
        if !self.begun {
            if !on.is_ready() {
                return Poll::Ready(Err(Failure::Unusable));
            }
            self.begun = true;
            on.stage = Stage::Sending;
        }
        if on.stage == Stage::Sending {
            ready!(self.poll_send(cx, on, request))?;
        }
        let begun = ready!(self.reader.poll_begin(cx, &mut on.stream, usual));
        if matches!(begun, Ok(Some(Begun::Whole(_)))) {
            self.expect_no_more(on);
        }
        Poll::Ready(match begun {
            Ok(Some(begun)) => Ok(begun),
            Ok(None) => Err(Failure::Closed),
            Err(error) => Err(self.receive_failure(error)),
        })
    }

    fn poll_send<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        on: &mut Connection<S>,
        (parts, gate): (&[impl AsRef<[u8]>], &Gate),
    ) -> Poll<Result<(), Failure>> {
        let mut sending = Sending::after(parts, self.sent);
        let go_on = || gate.pass().map_err(Cut::Barred);
        let poll = sending.poll_while(cx, &mut on.stream, go_on);
        self.sent = sending.sent();
        ready!(poll).map_err(|cut| match cut {
            Cut::Io(error) => Failure::Send(error),
            Cut::Barred(reason) => Failure::Barred {
                sent: self.sent,
                reason,
            },
        })?;
        on.stage = Stage::Receiving;
        let asked = on.asked.replace(self.started);
        let silence = |asked| self.started.saturating_duration_since(asked);
        if asked.is_some_and(|asked| silence(asked) < MOMENT) {
            on.stream.acknowledge_later();
        }
        Poll::Ready(Ok(()))
    }

    async fn receive<S: Stream>(
        &mut self,
        on: &mut Connection<S>,
        method: &str,
    ) -> Result<Received, Failure> {
        if let Some(path) = items_in(method) {
            self.reader.sift(path);
        }
        let read = self.reader.read(&mut on.stream).await;
        let reply = read
            .map_err(|error| self.receive_failure(error))?
            .ok_or(Failure::Closed)?;
        self.expect_no_more(on);
        on.checked(method, reply)
    }

    /// After the answer: whoever said more than was asked for is not asked again.
    fn expect_no_more<S>(&self, on: &mut Connection<S>) {
        if self.reader.received() > 0 {
            on.stage = Stage::Spoiled;
        }
    }

    /// A reset before the first byte is how a send to a peer that closed fails when the system
    /// took the bytes first; which of the two is seen is chance, so both are one (K-2).
    fn receive_failure(&self, error: ReadError) -> Failure {
        match error {
            ReadError::Io(error) if self.reader.received() == 0 && is_reset(&error) => {
                Failure::Closed
            }
            ReadError::Fault(fault) => Failure::BadReply(fault),
            other => Failure::Receive(other),
        }
    }
}

fn in_time<S: Stream, T>(
    on: &Connection<S>,
    result: Result<Result<T, Failure>, Elapsed>,
    address: &HostPort,
    method: &'static str,
) -> Result<T, RpcError> {
    match result {
        Ok(result) => result.map_err(|failure| failure.of(address, method)),
        Err(_) => Err(on.timed_out(address, method)),
    }
}

fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset
    )
}
