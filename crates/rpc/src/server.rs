//! [`Server`]: accepts connections and runs one task for each.
//!
//! Deliberately absent: an idle timeout. An idle connection costs its task and no buffer, and is
//! closed only where another needs its place.
//!
//! Invariant: a peer that misbehaves costs its own connection and nothing else, a handler that
//! panics likewise, and shutdown ends within the grace time.

use crate::budget::Budget;
use crate::gauge::Gauge;
use crate::net::Listener;
use crate::service::{LocalService, Service};
use connection::{Shared, converse};
pub use idle::{Idle, Waits};
pub use places::Places;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{error, warn};

mod connection;
mod idle;
mod places;

/// Bounds of a server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request, in bytes. Choose by what the service takes: registrations are small,
    /// topic updates are not.
    pub max_message: u64,
    /// What all requests that arrive or are in hand may buffer together; small ones are free.
    /// Choose a mebibyte more than `max_message` at least, or the largest ones never fit.
    pub budget: Budget,
    /// A message that has begun, either way, must move within this time. Not for idle
    /// connections.
    pub stall: Duration,
    /// How long shutdown waits for calls in hand.
    pub grace: Duration,
    /// Connections at one time. For another one an idle one is closed; while all have a call in
    /// hand, more wait in the system's queue. Choose so that they do not use up the files that the
    /// process needs for other things.
    pub max_connections: usize,
    /// How many there are, for whoever shares files with this server.
    pub open: Gauge,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 64 << 20,
            budget: Budget::new(256 << 20),
            stall: Duration::from_secs(30),
            grace: Duration::from_secs(1),
            max_connections: usize::MAX,
            open: Gauge::default(),
        }
    }
}

/// How long one call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTimes {
    /// From the first byte of the request to its last.
    pub read: Duration,
    /// In the service.
    pub call: Duration,
    /// Until the last byte of the answer was sent.
    pub write: Duration,
}

/// Hears what a server does, for metrics. Must be quick.
pub trait Observer: Send + Sync + 'static {
    /// A connection was accepted.
    fn connection_opened(&self) {}
    /// It is gone.
    fn connection_closed(&self) {}
    /// A call of a method that the service has begins.
    fn call_started(&self, _method: &'static str) {}
    /// It ended: with an answer that was sent, or without one.
    fn call_ended(&self, _method: &'static str, _times: Option<CallTimes>) {}
}

/// An observer that keeps nothing.
#[derive(Debug, Clone, Copy)]
pub struct Quiet;

impl Observer for Quiet {}

/// A port with bounds.
pub struct Server<L> {
    listener: L,
    limits: Limits,
    observer: Arc<dyn Observer>,
    places: Places,
}

/// Files may be used up; trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl<L: Listener> Server<L> {
    /// A server on an open port.
    pub fn new(listener: L, limits: Limits, observer: Arc<dyn Observer>) -> Self {
        Self {
            listener,
            places: Places::new(limits.max_connections, ""),
            limits,
            observer,
        }
    }

    /// Serves on any runtime until `shutdown`, then ends within the grace time.
    pub async fn serve<T: Service>(self, service: T, shutdown: impl Future<Output = ()>) {
        let shared = self.shared();
        let spawn = |tasks: &mut JoinSet<()>, stream, peer, closing| {
            tasks.spawn(converse(
                stream,
                peer,
                service.clone(),
                shared.clone(),
                closing,
            ));
        };
        self.run(spawn, shutdown).await;
    }

    /// Serves on the current thread, inside a `LocalSet` or a local runtime.
    pub async fn serve_local<T: LocalService>(
        self,
        service: T,
        shutdown: impl Future<Output = ()>,
    ) {
        let shared = self.shared();
        let spawn = |tasks: &mut JoinSet<()>, stream, peer, closing| {
            tasks.spawn_local(converse(
                stream,
                peer,
                service.clone(),
                shared.clone(),
                closing,
            ));
        };
        self.run(spawn, shutdown).await;
    }

    fn shared(&self) -> Shared {
        Shared {
            limits: self.limits.clone(),
            observer: Arc::clone(&self.observer),
            idle: self.places.idle().clone(),
        }
    }

    async fn run(
        mut self,
        spawn: impl Fn(&mut JoinSet<()>, L::Stream, SocketAddr, watch::Receiver<bool>),
        shutdown: impl Future<Output = ()>,
    ) {
        let (close, closing) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut failing = false;
        tokio::pin!(shutdown);
        loop {
            let open = tasks.len();
            let has_place = self.places.have_room(open);
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => report(ended),
                () = self.places.changed(), if !has_place => {}
                accepted = self.listener.accept(), if has_place => match accepted {
                    Ok((stream, peer)) => {
                        failing = false;
                        self.places.take(open);
                        spawn(&mut tasks, stream, peer, closing.clone());
                    }
                    Err(error) => {
                        if !failing {
                            warn!("accepting connections fails, will go on trying: {error}");
                        }
                        failing = true;
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        let _ = close.send(true); // fails only if nobody is connected
        let ending = async {
            while let Some(ended) = tasks.join_next().await {
                report(ended);
            }
        };
        if tokio::time::timeout(self.limits.grace, ending)
            .await
            .is_err()
        {
            warn!(
                "{} connections cut off in the middle of a call",
                tasks.len()
            );
        }
        tasks.shutdown().await;
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!("a call failed with a panic, its connection is closed: {error}");
    }
}
