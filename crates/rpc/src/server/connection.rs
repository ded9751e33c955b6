//! One connection of a server: calls come in order, each is answered before the next is read.
//!
//! Deliberately absent: knowledge of methods, and anything shared between connections but
//! bounds and metrics.

use super::idle::Idle;
use super::{CallTimes, Limits, Observer};
use crate::message::{MessageReader, ReadError, Received};
use crate::send::Sending;
use crate::service::{Call, LocalService, Outcome};
use bytes::Bytes;
use statestore_wire::{Fault, MessageKind, Text};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tracing::{debug, info};

/// What a message must move per stall time: a byte now and then is no progress.
const LEAST_PROGRESS: u64 = 64 * 1024;

#[derive(Clone)]
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) idle: Idle,
}

/// Why a connection was closed before the peer did. Other connections are unaffected.
#[derive(Debug, Error)]
enum Broken {
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("stalled {received} bytes into a message")]
    ReadStalled { received: usize },
    #[error("bad message: {0}")]
    BadMessage(#[from] Fault),
    #[error("bad arguments of {method}: {fault}")]
    BadArguments { method: Text, fault: Fault },
    #[error("a {0:?} instead of a call")]
    NotACall(MessageKind),
    #[error("sending an answer failed: {0}")]
    Write(io::Error),
    #[error("stalled {sent} bytes into reading an answer")]
    WriteStalled { sent: u64 },
}

/// Runs one connection to its end.
pub(super) async fn converse<S, T>(
    stream: S,
    peer: SocketAddr,
    service: T,
    shared: Shared,
    closing: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: LocalService,
{
    shared.observer.connection_opened();
    let _open = Open(&*shared.observer);
    let _counted = shared.limits.open.count();
    let mut conversation = Conversation {
        reader: MessageReader::new(shared.limits.max_message, &shared.limits.budget),
        stream,
        peer,
        shared: &shared,
        closing,
        was_used: false,
        told: Arc::default(),
    };
    match conversation.run(service).await {
        Ok(()) => {}
        Err(Broken::Read(ReadError::Io(error))) => debug!("connection of {peer} broke: {error}"),
        Err(broken) => info!("connection of {peer} closed: {broken}"),
    }
}

struct Open<'a>(&'a dyn Observer);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// A call that the observer was told of; told of its end whatever happens.
struct InHand<'a> {
    observer: &'a dyn Observer,
    method: &'static str,
    times: Option<CallTimes>,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.observer.call_ended(self.method, self.times);
    }
}

struct Conversation<'a, S> {
    reader: MessageReader,
    stream: S,
    peer: SocketAddr,
    shared: &'a Shared,
    closing: watch::Receiver<bool>,
    /// A call came over it.
    was_used: bool,
    /// Rings when it is to go while it waits.
    told: Arc<Notify>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<'_, S> {
    async fn run<T: LocalService>(&mut self, service: T) -> Result<(), Broken> {
        while !*self.closing.borrow() {
            let Some((message, read)) = self.next_message().await? else {
                return Ok(());
            };
            // Boxed: most connections wait for the next call most of the time.
            Box::pin(self.serve(&service, message, read)).await?;
        }
        Ok(())
    }

    async fn serve<T: LocalService>(
        &mut self,
        service: &T,
        message: Received,
        read: Duration,
    ) -> Result<(), Broken> {
        let call = Call::read(message, self.peer)?;
        match call.envelope().kind {
            MessageKind::Call | MessageKind::Oneway => {}
            other => return Err(Broken::NotACall(other)),
        }
        let known = T::METHODS.iter().find(|m| m.as_bytes() == call.method());
        if let Some(method) = known {
            return self.answer(service, method, call, read).await;
        }
        let envelope = call.into_envelope();
        let answer = Outcome::unknown_method(&envelope).into_message(&envelope)?;
        self.send(&answer).await
    }

    async fn answer<T: LocalService>(
        &mut self,
        service: &T,
        method: &'static str,
        call: Call,
        read: Duration,
    ) -> Result<(), Broken> {
        let observer = &*self.shared.observer;
        observer.call_started(method);
        let mut in_hand = InHand {
            observer,
            method,
            times: None,
        };
        let envelope = call.envelope().clone();
        let started = Instant::now();
        let outcome = service.call(call).await;
        let answered = Instant::now();
        let answer = outcome.into_message(&envelope).map_err(|fault| {
            let method = envelope.method.clone();
            Broken::BadArguments { method, fault }
        })?;
        self.send(&answer).await?;
        in_hand.times = Some(CallTimes {
            read,
            call: answered - started,
            write: answered.elapsed(),
        });
        Ok(())
    }

    /// The next message and how long it took from its first byte on; `None` at the end.
    async fn next_message(&mut self) -> Result<Option<(Received, Duration)>, Broken> {
        if self.reader.received() == 0 {
            let Some(n) = self.first_bytes().await? else {
                // An orderly end: a client tries again over another one (K-2).
                let _ = self.stream.shutdown().await;
                return Ok(None);
            };
            if n == 0 {
                return Ok(None);
            }
        }
        let begun = Instant::now();
        let message = match self.reader.complete()? {
            Some(message) => Some(message),
            // Boxed as well: most messages come whole.
            None => Box::pin(self.rest()).await?,
        };
        self.was_used = true;
        Ok(message.map(|message| (message, begun.elapsed())))
    }

    /// How many bytes came, 0 at the end; `None` if it has to go for another one.
    async fn first_bytes(&mut self) -> Result<Option<usize>, Broken> {
        let Some(waits) = self.shared.idle.wait(self.was_used, &self.told) else {
            return Ok(None);
        };
        let n = tokio::select! {
            biased;
            n = self.reader.fill(&mut self.stream) => n?,
            () = self.told.notified() => return Ok(None),
            _ = self.closing.wait_for(|closing| *closing) => 0,
        };
        if n > 0 && !waits.end() {
            // It rings no more for what another one does now.
            self.told = Arc::default();
        }
        Ok(Some(n))
    }

    /// The rest of a message that has begun; `None` if the server is closing.
    async fn rest(&mut self) -> Result<Option<Received>, Broken> {
        loop {
            let before = self.reader.received();
            let rest = self.reader.read(&mut self.stream);
            let read = tokio::select! {
                biased;
                read = timeout(self.shared.limits.stall, rest) => read,
                _ = self.closing.wait_for(|closing| *closing) => return Ok(None),
            };
            if let Ok(message) = read {
                return Ok(message?);
            }
            let received = self.reader.received();
            if ((received - before) as u64) < LEAST_PROGRESS {
                return Err(Broken::ReadStalled { received });
            }
        }
    }

    async fn send(&mut self, parts: &[Bytes]) -> Result<(), Broken> {
        let mut sending = Sending::new(parts);
        loop {
            let before = sending.sent();
            let stall = self.shared.limits.stall;
            match timeout(stall, sending.run(&mut self.stream)).await {
                Ok(sent) => return sent.map_err(Broken::Write),
                Err(_) if sending.sent() - before < LEAST_PROGRESS => {
                    let sent = sending.sent();
                    return Err(Broken::WriteStalled { sent });
                }
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
