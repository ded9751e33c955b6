//! [`Lease`]: the right to one connection of a pool, from the beginning of a call to its end.
//!
//! Deliberately absent: what a reply means (`pool`).
//!
//! Invariant: it is counted until it is dropped, and its connection goes back to the pool only if
//! whoever made the call has said so.

use super::idle::Ticket;
use super::{Reply, Shared};
use crate::client::{Ask, Connection, Exchange, open};
use crate::elsewhere::elsewhere;
use crate::error::{Failure, RpcError};
use crate::gate::Gate;
use crate::message::{Begun, ReadError, Received};
use crate::net::Net;
use bytes::Bytes;
use statestore_wire::HostPort;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// The right to one connection, counted until dropped.
pub(super) struct Lease<N: Net> {
    pub(super) pool: Arc<Shared<N>>,
    /// Until it is dropped.
    pub(super) ticket: Option<Ticket>,
    pub(super) connection: Option<Connection<N::Stream>>,
    /// Of the call under way.
    pub(super) exchange: Option<Exchange>,
    pub(super) keep: bool,
}

impl<N: Net> Lease<N> {
    pub(super) fn new(
        pool: &Arc<Shared<N>>,
        ticket: Ticket,
        connection: Option<Connection<N::Stream>>,
    ) -> Self {
        Self {
            pool: Arc::clone(pool),
            ticket: Some(ticket),
            connection,
            exchange: None,
            keep: false,
        }
    }

    /// Drops idle connections that the peer has closed or spoken on; true if there were any.
    pub(super) fn drop_stale(&mut self) -> bool {
        let mut stale = false;
        while let Some(connection) = &mut self.connection {
            if connection.is_fresh() {
                break;
            }
            stale = true;
            self.connection = self
                .ticket
                .as_ref()
                .and_then(|ticket| self.pool.state().another(ticket));
        }
        stale
    }

    pub(super) async fn open(&mut self, to: &HostPort, deadline: Instant) -> Result<(), String> {
        let open = open(&self.pool.net, to, &self.pool.limits.budget, deadline);
        self.connection = Some(open.await?);
        Ok(())
    }

    /// Sends the request and receives the beginning of its answer.
    pub(super) async fn begin(
        &mut self,
        ask: &Ask<'_, impl AsRef<[u8]>>,
    ) -> Result<Begun, RpcError> {
        let Some(on) = &mut self.connection else {
            return Err(Failure::Unusable.of(ask.to, ask.method));
        };
        let exchange = self
            .exchange
            .insert(Exchange::new(on, Instant::now(), ask.max_reply));
        exchange.begin(on, ask).await
    }

    /// The same by polling, without a deadline, for a call that began at `started`.
    pub(super) fn poll_begin(
        &mut self,
        cx: &mut Context<'_>,
        request: (&[impl AsRef<[u8]>], &Gate),
        (started, max_reply): (Instant, u64),
        usual: Option<&Bytes>,
    ) -> Poll<Result<Begun, Failure>> {
        let Some(on) = &mut self.connection else {
            return Poll::Ready(Err(Failure::Unusable));
        };
        let exchange = self
            .exchange
            .get_or_insert_with(|| Exchange::new(on, started, max_reply));
        exchange.poll_begin(cx, on, request, usual)
    }

    /// The same over a new connection, after the first one failed, to the end (K-2).
    pub(super) async fn try_again(
        mut self,
        ask: &Ask<'_, impl AsRef<[u8]>>,
    ) -> Result<Reply<N>, RpcError> {
        self.connection = None;
        let opened = self.open(ask.to, ask.deadline).await;
        opened.map_err(|reason| {
            let address = ask.to.clone();
            RpcError::Reconnect { address, reason }
        })?;
        let reply = match self.begin(ask).await {
            Ok(Begun::Whole(reply)) => self.whole(ask.to, ask.method, reply),
            Ok(Begun::Large) => {
                let rest = self.rest(ask.to.clone(), ask.method, ask.deadline);
                rest.await
            }
            Err(error) => Err(error),
        };
        reply.map_err(|error| match error {
            RpcError::RecvTimeout { .. } => Failure::SecondRecvTimeout.of(ask.to, ask.method),
            error => error,
        })
    }

    /// The answer that began as a whole one.
    pub(super) fn whole(
        mut self,
        to: &HostPort,
        method: &'static str,
        reply: Received,
    ) -> Result<Reply<N>, RpcError> {
        let received = match &mut self.connection {
            Some(open) => open.checked(method, reply),
            None => Err(Failure::Unusable),
        };
        let received = received.map_err(|failure| failure.of(to, method))?;
        Ok(self.reply(method, received))
    }

    /// The answer that turned out large, its rest received elsewhere if that is wanted.
    pub(super) async fn rest(
        self,
        to: HostPort,
        method: &'static str,
        deadline: Instant,
    ) -> Result<Reply<N>, RpcError> {
        let bulk = self.pool.limits.bulk.clone();
        let rest = self.receive(to.clone(), method, deadline);
        let Some(bulk) = bulk else {
            return rest.await;
        };
        elsewhere(&bulk, rest).await.unwrap_or_else(|error| {
            let error = ReadError::Io(io::Error::other(error));
            Err(Failure::Receive(error).of(&to, method))
        })
    }

    async fn receive(
        mut self,
        to: HostPort,
        method: &'static str,
        deadline: Instant,
    ) -> Result<Reply<N>, RpcError> {
        let (Some(on), Some(exchange)) = (&mut self.connection, &mut self.exchange) else {
            return Err(Failure::Unusable.of(&to, method));
        };
        let received = exchange.rest(on, &to, method, deadline).await?;
        Ok(self.reply(method, received))
    }

    fn reply(self, method: &'static str, received: Received) -> Reply<N> {
        Reply {
            method,
            received,
            connection: self.connection.as_ref().map_or(0, |open| open.serial()),
            lease: self,
        }
    }
}

impl<N: Net> Drop for Lease<N> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let connection = self.connection.take();
        let kept = connection.filter(|connection| self.keep && connection.is_ready());
        // When it was asked tells how old it is, and takes no look at a clock.
        let asked = kept.as_ref().and_then(Connection::asked);
        let now = asked.unwrap_or_else(Instant::now);
        let closed = self
            .pool
            .state()
            .give_back(now, ticket, kept, &self.pool.limits);
        drop(closed); // outside the lock: closing is a system call
    }
}
