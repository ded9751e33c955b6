//! [`Lease`]: the right to one connection of a pool, from the beginning of a call to its end.
//!
//! Deliberately absent: trying again, and what a reply means (`pool`).
//!
//! Invariant: it is counted until it is dropped, and its connection goes back to the pool only if
//! whoever made the call has said so.

use super::idle::Ticket;
use super::{Pool, Reply};
use crate::address::HostPort;
use crate::client::{Connection, open};
use crate::elsewhere::elsewhere;
use crate::error::{Failure, RpcError};
use crate::message::{Begun, ReadError};
use crate::net::Net;
use std::io;
use tokio::time::Instant;

/// The right to one connection, counted until dropped.
pub(super) struct Lease<N: Net> {
    pub(super) pool: Pool<N>,
    pub(super) to: HostPort,
    /// Until it is dropped.
    pub(super) ticket: Option<Ticket>,
    pub(super) connection: Option<Connection<N::Stream>>,
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

    pub(super) async fn open(&mut self, deadline: Instant) -> Result<(), String> {
        let shared = &*self.pool.shared;
        let open = open(&shared.net, &self.to, &shared.limits.budget, deadline);
        self.connection = Some(open.await?);
        Ok(())
    }

    pub(super) async fn begin(
        &mut self,
        method: &'static str,
        parts: &[impl AsRef<[u8]>],
        deadline: Instant,
        max_reply: u64,
    ) -> Result<Begun, RpcError> {
        match &mut self.connection {
            Some(open) => {
                let limits = (deadline, max_reply);
                let begin = open.begin(&self.to, method, parts, limits, &self.pool.gate);
                begin.await
            }
            None => Err(Failure::Unusable.of(&self.to, method)),
        }
    }

    /// The answer, its rest received elsewhere if it is large.
    pub(super) async fn finish(
        self: Box<Self>,
        begun: Begun,
        method: &'static str,
        deadline: Instant,
    ) -> Result<Reply<N>, RpcError> {
        let bulk = match begun {
            Begun::Whole(_) => None,
            Begun::Large => self.pool.shared.limits.bulk.clone(),
        };
        let Some(bulk) = bulk else {
            return self.receive(begun, method, deadline).await;
        };
        let to = self.to.clone();
        let rest = self.receive(begun, method, deadline);
        elsewhere(&bulk, rest).await.unwrap_or_else(|error| {
            let error = ReadError::Io(io::Error::other(error));
            Err(Failure::Receive(error).of(&to, method))
        })
    }

    async fn receive(
        mut self: Box<Self>,
        begun: Begun,
        method: &'static str,
        deadline: Instant,
    ) -> Result<Reply<N>, RpcError> {
        let Some(open) = &mut self.connection else {
            return Err(Failure::Unusable.of(&self.to, method));
        };
        let received = open.finish(&self.to, method, begun, deadline).await?;
        Ok(Reply {
            method,
            received,
            connection: open.serial(),
            lease: self,
        })
    }
}

impl<N: Net> Drop for Lease<N> {
    fn drop(&mut self) {
        let connection = self.connection.take();
        let kept = connection.filter(|connection| self.keep && connection.is_ready());
        let limits = &self.pool.shared.limits;
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let closed = self.pool.state().give_back(ticket, kept, limits);
        drop(closed); // outside the lock: closing is a system call
    }
}
