//! [`Pool`]: idle connections kept per purpose and address, and the retry rule (K-1, K-2).
//!
//! Purposes do not share connections, so that a heartbeat never waits behind a large update.
//! One pool belongs to one runtime: its connections are driven by the runtime that opened them.
//!
//! Deliberately absent: background tasks. Whatever is too old or too much is closed by the next
//! calls, a few by each.
//!
//! Invariant: the lock is never held across an await, and no entry outlives both its idle
//! connections and its running calls, so addresses never used again leave nothing behind.

use crate::answer::result_of;
use crate::budget::Budget;
use crate::client::{Ask, CallLimits};
use crate::error::RpcError;
use crate::gate::Gate;
use crate::gauge::Gauge;
use crate::message::{Begun, Received};
use crate::net::Net;
use bytes::Bytes;
use idle::State;
use lease::Lease;
use statestore_wire::envelope::write_call;
use statestore_wire::{HostPort, Rpc, Wire};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

mod idle;
mod lease;
mod small;
mod usual;

pub use idle::Place;
pub use small::{Ended, Later, Small, Started};
pub use usual::Usual;

/// What a connection is for. Its name is for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Purpose(pub &'static str);

/// Bounds of a pool.
#[derive(Debug, Clone)]
pub struct PoolLimits {
    /// Connections over all addresses, in use or idle, and those `beside`: beyond it idle ones are
    /// closed, one of those idle for long, of few the one idle for longest. Those in use count, but
    /// are not limited. Choose above three per subscriber and what is beside, and below the limit
    /// of open files.
    pub max_open: usize,
    /// Connections of others that share these files.
    pub beside: Gauge,
    /// Idle connections are closed after this time, in some slots with each call that ends.
    pub max_idle_time: Duration,
    /// What all replies under way may buffer together.
    pub budget: Budget,
    /// A runtime that receives the rest of a reply once it turns out large, so that the caller's
    /// is free for others meanwhile; `None` receives everything where the call is made.
    pub bulk: Option<Handle>,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            max_open: 40_000,
            beside: Gauge::default(),
            max_idle_time: Duration::from_secs(600),
            budget: Budget::unlimited(),
            bulk: None,
        }
    }
}

/// Connections of one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Calls under way.
    pub in_use: usize,
    /// These and the idle ones.
    pub total: usize,
}

/// Connections to many peers. Clones share them.
pub struct Pool<N: Net> {
    shared: Arc<Shared<N>>,
    gate: Gate,
}

impl<N: Net> fmt::Debug for Pool<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("limits", &self.shared.limits)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

impl<N: Net> fmt::Debug for Reply<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(self.bytes()).finish()
    }
}

impl<N: Net> Clone for Pool<N> {
    fn clone(&self) -> Self {
        self.behind(self.gate.clone())
    }
}

struct Shared<N: Net> {
    net: N,
    limits: PoolLimits,
    state: Mutex<State<N::Stream>>,
}

impl<N: Net> Pool<N> {
    /// An empty pool.
    pub fn new(net: N, limits: PoolLimits) -> Self {
        let shared = Shared {
            net,
            limits,
            state: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            gate: Gate::default(),
        }
    }

    /// The same connections, for calls that have to pass a gate: at each of their sendings, also
    /// the second one, and before every further piece of a long one. A call that does not pass
    /// fails with [`Failure::Barred`](crate::Failure::Barred), and its connection is closed.
    pub fn behind(&self, gate: Gate) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            gate,
        }
    }

    /// One call with a typed request.
    pub async fn call<R: Rpc>(
        &self,
        to: &HostPort,
        purpose: Purpose,
        request: &R,
        limits: CallLimits,
    ) -> Result<R::Response, RpcError> {
        let mut message = Vec::new();
        write_call(request, &mut message);
        let parts = [message];
        self.call_parts::<R>(to, purpose, &parts, limits).await
    }

    /// One call with a request that is encoded already, envelope included.
    pub async fn call_parts<R: Rpc>(
        &self,
        to: &HostPort,
        purpose: Purpose,
        parts: &[impl AsRef<[u8]>],
        limits: CallLimits,
    ) -> Result<R::Response, RpcError> {
        let call = self.call_raw(to, purpose, R::METHOD, parts, limits);
        call.await?.decode(to)
    }

    /// One call whose reply is decoded by the caller, perhaps on another thread. Its deadline
    /// counts from here, not from the first poll.
    ///
    /// If sending fails or the peer closes the connection before it answers, the call goes out
    /// once more over a new connection: so it may be executed twice (K-2). Dropping the future
    /// cancels the call and closes its connection.
    // An `async fn` would hold its arguments twice.
    pub fn call_raw<'a>(
        &'a self,
        to: &'a HostPort,
        purpose: Purpose,
        method: &'static str,
        parts: &'a [impl AsRef<[u8]>],
        limits: CallLimits,
    ) -> impl Future<Output = Result<Reply<N>, RpcError>> + 'a {
        let ask = Ask {
            to,
            method,
            parts,
            deadline: Instant::now() + limits.deadline,
            max_reply: limits.max_reply,
            gate: &self.gate,
        };
        make(self.lease(to, purpose), false, ask)
    }

    /// Closes the idle connections to an address; those in use are closed when their call ends.
    pub fn close(&self, to: &HostPort) {
        let closed = self.state().close(to);
        drop(closed); // outside the lock: closing is a system call
    }

    /// [`close`](Self::close) for every address.
    pub fn close_all(&self) {
        let closed = self.state().close_all();
        drop(closed);
    }

    /// How many connections of a purpose there are.
    pub fn usage(&self, purpose: Purpose) -> Usage {
        self.state().usage(purpose)
    }

    /// What a call has to pass.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    fn lease(&self, to: &HostPort, purpose: Purpose) -> Lease<N> {
        let (ticket, connection, closed) = self.state().lend(to, purpose, &self.shared.limits);
        drop(closed); // outside the lock: closing is a system call
        Lease::new(&self.shared, ticket, connection)
    }

    fn state(&self) -> MutexGuard<'_, State<N::Stream>> {
        self.shared.state()
    }
}

impl<N: Net> Shared<N> {
    fn state(&self) -> MutexGuard<'_, State<N::Stream>> {
        let state = self.state.lock();
        // Every method leaves the state whole, also where it might panic.
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call from its lease to its end; `stale` if a connection was idle and could not be used.
async fn make<N: Net>(
    mut lease: Lease<N>,
    stale: bool,
    ask: Ask<'_, impl AsRef<[u8]>>,
) -> Result<Reply<N>, RpcError> {
    let stale = lease.drop_stale() || stale;
    if lease.connection.is_none() {
        // Boxed, like all that few calls need: there are thousands of these futures at a time.
        let opened = Box::pin(lease.open(ask.to, ask.deadline)).await;
        opened.map_err(|reason| {
            let address = ask.to.clone();
            match stale {
                true => RpcError::Reconnect { address, reason },
                false => RpcError::Connect { address, reason },
            }
        })?;
    }
    match lease.begin(&ask).await {
        Ok(Begun::Whole(reply)) => lease.whole(ask.to, ask.method, reply),
        Ok(Begun::Large) => {
            let rest = lease.rest(ask.to.clone(), ask.method, ask.deadline);
            Box::pin(rest).await
        }
        Err(RpcError::General { failure, .. }) if failure.calls_for_another_try() => {
            Box::pin(lease.try_again(&ask)).await
        }
        Err(error) => Err(error),
    }
}

/// A whole answer and the connection it came over, which is kept only if the answer is good.
#[must_use = "a reply that is dropped closes its connection"]
pub struct Reply<N: Net> {
    method: &'static str,
    received: Received,
    connection: u64,
    lease: Lease<N>,
}

impl<N: Net> Reply<N> {
    /// The message, envelope included, without [what was taken out](crate::message) of it.
    pub fn bytes(&self) -> &Bytes {
        self.received.bytes()
    }

    /// Bytes of the message as it was sent.
    pub fn size(&self) -> usize {
        self.received.size()
    }

    /// The [serial](crate::Connection::serial) of the connection it came over.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// The result in it. `from` is the address that was called, which an error names.
    pub fn decode<T: Wire>(mut self, from: &HostPort) -> Result<T, RpcError> {
        let result = result_of(self.method, &self.received);
        self.lease.keep = result.is_ok();
        result.map_err(|failure| failure.of(from, self.method))
    }
}
