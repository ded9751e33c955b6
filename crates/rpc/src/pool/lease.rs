//! [`Lease`]: the right to one connection of a pool, from the beginning of a call to its end.
//!
//! Deliberately absent: what a reply means (`pool`).
//!
//! Invariant: it is counted until it is dropped, and its connection goes back to the pool only if
//! whoever made the call has said so.

use super::idle::{Open, Ticket};
use super::{Reply, Shared};
use crate::client::{Ask, open};
use crate::elsewhere::elsewhere;
use crate::error::{Failure, RpcError};
use crate::message::{Begun, ReadError, Received};
use crate::net::Net;
use statestore_wire::HostPort;
use std::io;
use std::sync::Arc;
use tokio::time::Instant;

/// The right to one connection, counted until dropped.
pub(super) struct Lease<N: Net> {
    pub(super) pool: Arc<Shared<N>>,
    /// Until it is dropped.
    pub(super) ticket: Option<Ticket>,
    pub(super) connection: Option<Open<N::Stream>>,
    pub(super) keep: bool,
}

impl<N: Net> Lease<N> {
    /// Drops idle connections that the peer has closed or spoken on; true if there were any.
    pub(super) async fn drop_stale(&mut self) -> bool {
        let mut stale = false;
        while let Some(connection) = &mut self.connection {
            if connection.is_fresh().await {
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
        self.connection = Some(Box::new(open.await?));
        Ok(())
    }

    /// Sends the request and receives the beginning of its answer.
    pub(super) async fn begin(
        &mut self,
        ask: &Ask<'_, impl AsRef<[u8]>>,
    ) -> Result<Begun, RpcError> {
        match &mut self.connection {
            Some(open) => open.begin(ask).await,
            None => Err(Failure::Unusable.of(ask.to, ask.method)),
        }
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
            Ok(Begun::Whole(reply)) => self.whole(ask, reply),
            Ok(Begun::Large) => self.rest(ask).await,
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
        ask: &Ask<'_, impl AsRef<[u8]>>,
        reply: Received,
    ) -> Result<Reply<N>, RpcError> {
        let received = match &mut self.connection {
            Some(open) => open.checked(ask.method, reply),
            None => Err(Failure::Unusable),
        };
        let received = received.map_err(|failure| failure.of(ask.to, ask.method))?;
        Ok(self.reply(ask.method, received))
    }

    /// The answer that turned out large, its rest received elsewhere if that is wanted.
    pub(super) async fn rest(self, ask: &Ask<'_, impl AsRef<[u8]>>) -> Result<Reply<N>, RpcError> {
        let bulk = self.pool.limits.bulk.clone();
        let rest = self.receive(ask.to.clone(), ask.method, ask.deadline);
        let Some(bulk) = bulk else {
            return rest.await;
        };
        elsewhere(&bulk, rest).await.unwrap_or_else(|error| {
            let error = ReadError::Io(io::Error::other(error));
            Err(Failure::Receive(error).of(ask.to, ask.method))
        })
    }

    async fn receive(
        mut self,
        to: HostPort,
        method: &'static str,
        deadline: Instant,
    ) -> Result<Reply<N>, RpcError> {
        let Some(open) = &mut self.connection else {
            return Err(Failure::Unusable.of(&to, method));
        };
        let received = open.rest(&to, method, deadline).await?;
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
        let connection = self.connection.take();
        let kept = connection.filter(|connection| self.keep && connection.is_ready());
        let limits = &self.pool.limits;
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let closed = self
            .pool
            .state()
            .give_back(Instant::now(), ticket, kept, limits);
        drop(closed); // outside the lock: closing is a system call
    }
}
