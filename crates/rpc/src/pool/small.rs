//! [`Small`]: a call with a small message over an idle connection, by polling.
//!
//! Whoever makes thousands of calls at a time keeps them in a table of its own and polls those
//! that are woken: no future, no task, no timer for each. Only what most calls need is here; the
//! others go on as a [future](Later).
//!
//! Deliberately absent: time. Whoever polls knows when a [deadline](Small::deadline) has passed.
//!
//! Invariant: a call does here what [`Pool::call_raw`] does (K-1 to K-3).

use super::lease::Lease;
use super::{Place, Pool, Purpose, Reply, Usual, make};
use crate::client::{Ask, CallLimits};
use crate::error::{Failure, RpcError};
use crate::gate::Gate;
use crate::message::Begun;
use crate::net::Net;
use bytes::Bytes;
use statestore_wire::{HostPort, Rpc};
use std::fmt;
use std::pin::Pin;
use std::slice;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// A call under way.
pub struct Small<N: Net> {
    lease: Lease<N>,
    request: Request,
    started: Instant,
    /// What the connection has come to.
    begun: Option<Result<Begun, Failure>>,
}

/// What is asked.
struct Request {
    method: &'static str,
    /// Envelope included.
    message: Vec<u8>,
    deadline: Instant,
    max_reply: u64,
    gate: Gate,
}

impl Request {
    fn ask<'a>(&'a self, to: &'a HostPort) -> Ask<'a, Vec<u8>> {
        Ask {
            to,
            method: self.method,
            parts: slice::from_ref(&self.message),
            deadline: self.deadline,
            max_reply: self.max_reply,
            gate: &self.gate,
        }
    }
}

/// A call that needs more than most do: its end.
pub type Later<N> = Pin<Box<dyn Future<Output = Result<Reply<N>, RpcError>>>>;

/// How a call begins.
pub enum Started<N: Net> {
    /// Over a connection that was idle.
    Small(Box<Small<N>>),
    /// By opening one.
    Later(Later<N>),
}

/// How a call ends that began as a small one.
// Nearly all end now.
#[expect(clippy::large_enum_variant)]
pub enum Ended<N: Net> {
    /// So.
    Now(Result<Reply<N>, RpcError>),
    /// It is sent once more, or its answer is large.
    Later(Later<N>),
}

impl<N: Net> Pool<N> {
    /// A call with a message of a single piece; nothing is sent before it is polled. `place`
    /// remembers where the idle connections to this address are, and is for this address and
    /// purpose alone. The deadline counts from here.
    pub fn start(
        &self,
        (to, purpose, place): (&HostPort, Purpose, &mut Place),
        (method, message): (&'static str, Vec<u8>),
        limits: CallLimits,
    ) -> Started<N> {
        let lease = self.lease_at(place, to, purpose);
        // Boxed, because it is handed on several times.
        let started = Instant::now();
        let mut small = Box::new(Small {
            lease: lease.unwrap_or_else(|| self.lease(to, purpose)),
            request: Request {
                method,
                message,
                deadline: started + limits.deadline,
                max_reply: limits.max_reply,
                gate: self.gate.clone(),
            },
            started,
            begun: None,
        });
        let stale = small.lease.drop_stale();
        match small.lease.connection {
            Some(_) => Started::Small(small),
            None => Started::Later(small.anew(to.clone(), stale)),
        }
    }

    /// Calls start soon where these are: what they need is fetched.
    pub fn fetch(&self, places: impl IntoIterator<Item = Place>) {
        let slots = places.into_iter().map(Place::slot);
        self.state().fetch(slots);
    }

    /// These end soon: what that needs is fetched.
    pub fn fetch_ends<'a>(&self, calls: impl IntoIterator<Item = &'a Small<N>>) {
        let tickets = calls.into_iter().filter_map(|it| it.lease.ticket.as_ref());
        self.state().fetch(tickets.map(|ticket| ticket.slot()));
    }

    /// An idle connection, if there is one.
    fn lease_at(&self, place: &mut Place, to: &HostPort, purpose: Purpose) -> Option<Lease<N>> {
        let mut state = self.state();
        let idle = state.lend_at(*place).or_else(|| {
            *place = state.place(to, purpose).unwrap_or_default();
            state.lend_at(*place)
        });
        drop(state);
        let (ticket, connection) = idle?;
        Some(Lease::new(&self.shared, ticket, Some(connection)))
    }
}

impl<N: Net> Small<N> {
    /// When the call ends at the latest.
    pub fn deadline(&self) -> Instant {
        self.request.deadline
    }

    /// Goes on as far as it can without waiting; once it is ready, let it be
    /// [accepted](Usual::accept), or ask for its [end](Self::end). The usual answer to another
    /// method is none to this one.
    pub fn poll<R: Rpc>(&mut self, cx: &mut Context<'_>, usual: &Usual<R>) -> Poll<()>
    where
        R::Response: Clone,
    {
        let usual = usual.bytes().filter(|_| R::METHOD == self.request.method);
        let request = &self.request;
        let parts = (slice::from_ref(&request.message), &request.gate);
        let bounds = (self.started, request.max_reply);
        let begun = ready!(self.lease.poll_begin(cx, parts, bounds, usual));
        self.begun = Some(begun);
        Poll::Ready(())
    }

    /// The serial of its connection, if its answer is this one, which was accepted from this method
    /// before: then the call has ended well. None if it is not; then the call is as it was.
    pub(super) fn accept(&mut self, method: &str, answer: &Bytes) -> Option<u64> {
        let Some(Ok(Begun::Whole(reply))) = &self.begun else {
            return None;
        };
        if reply.bytes() != answer || method != self.request.method {
            return None;
        }
        let connection = self.lease.connection.as_mut()?;
        connection.answered();
        self.lease.keep = true;
        Some(connection.serial())
    }

    /// How the call ends, or goes on. One that is not ready has reached its deadline.
    pub fn end(self, to: &HostPort) -> Ended<N> {
        let Self { lease, request, .. } = self;
        let (method, deadline) = (request.method, request.deadline);
        let failure = match (self.begun, &lease.connection) {
            (Some(Ok(Begun::Whole(reply))), _) => {
                return Ended::Now(lease.whole(to, method, reply));
            }
            (Some(Ok(Begun::Large)), _) => {
                return Ended::Later(Box::pin(lease.rest(to.clone(), method, deadline)));
            }
            (Some(Err(failure)), _) => failure,
            (None, Some(on)) => return Ended::Now(Err(on.timed_out(to, method))),
            (None, None) => Failure::Unusable,
        };
        if !failure.calls_for_another_try() {
            return Ended::Now(Err(failure.of(to, method)));
        }
        let to = to.clone();
        Ended::Later(Box::pin(
            async move { lease.try_again(&request.ask(&to)).await },
        ))
    }

    /// The call as a future that opens a connection; `stale` if one was idle and of no use.
    fn anew(self: Box<Self>, to: HostPort, stale: bool) -> Later<N> {
        Box::pin(async move { make(self.lease, stale, self.request.ask(&to)).await })
    }
}

impl<N: Net> fmt::Debug for Small<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Small")
            .field("method", &self.request.method)
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}
