//! statestored, as a library: everything but the process around it.
//!
//! ```text
//!   flags -> Config --> run(config, world, questions, ..)
//!                         |
//!                         +- owner    the one thread that holds the core's Node
//!                         +- service  what subscribers call          (rpc server, same thread)
//!                         +- fanout   what subscribers are told      (large messages elsewhere)
//!                         +- views    what pages and metrics ask     (from any thread)
//! ```
//!
//! `main` gives it the real network, clock and dice; tests and simulations bring their own.
//! Deliberately absent: rules (`statestore-core`), bytes (`statestore-wire`), the web server.
//!
//! Read [`flags`], then [`owner`]; the rest hangs off these two.

pub mod clock;
pub mod fanout;
pub mod flags;
pub mod metrics;
pub mod owner;
pub mod pages;
mod service;
pub mod views;

use crate::clock::Clock;
use crate::fanout::{Fanout, FanoutLimits};
use crate::flags::Config;
use crate::owner::Owner;
use crate::service::StatestoreService;
use crate::views::Questions;
use rand::rngs::StdRng;
use statestore_daemon::rpc_statistics::ServiceStatistics;
use statestore_rpc::{Budget, Limits, Listener, Net, Server};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::LocalSet;

/// The server's name in metrics and on `/rpcz`, and its service's.
pub const SERVER: (&str, &str) = ("statestore", "StatestoreService");

/// What a statestored finds around it.
pub struct World<N: Net> {
    /// Where connections come from.
    pub net: N,
    /// What time it is.
    pub clock: Box<dyn Clock>,
    /// Where random ids come from.
    pub dice: StdRng,
    /// Where large messages are sent and decoded.
    pub bulk: Handle,
    /// Bounds of connections and buffers towards subscribers.
    pub limits: FanoutLimits,
    /// Where the RPC server's figures go.
    pub statistics: ServiceStatistics,
}

/// Why a statestored cannot run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The surroundings' fault: most often the port is in use.
    #[error("StatestoreService could not listen on port {port} (--state_store_port): {source}")]
    Listen {
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
}

/// How long the end waits for registrations in hand.
const GRACE: Duration = Duration::from_millis(200);

/// Runs a statestored on the current thread until `shutdown`. `started` hears where it listens,
/// once it does; questions are answered from the start.
pub async fn run<N: Net>(
    config: Config,
    world: World<N>,
    questions: Questions,
    started: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let tasks = LocalSet::new();
    tasks
        .run_until(serve(config, world, questions, started, shutdown))
        .await
}

async fn serve<N: Net>(
    config: Config,
    world: World<N>,
    questions: Questions,
    started: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let max_idle = world.limits.pool.max_idle;
    let fanout = Fanout::new(
        world.net.clone(),
        world.limits,
        config.debug.clone(),
        world.bulk,
    );
    let owner = Owner::new(config.core, world.clock, world.dice, fanout);
    let timekeeper = owner.clone();
    tokio::task::spawn_local(async move { timekeeper.keep_time().await });
    tokio::task::spawn_local(views::answer(questions, owner.clone()));
    tracing::info!("Statestore id: {}", owner.statestore_id());

    tokio::pin!(shutdown);
    tokio::select! {
        biased;
        () = &mut shutdown => return Ok(()),
        () = tokio::time::sleep(config.start_delay) => {}
    }
    let listen_error = |source| RunError::Listen {
        port: config.port,
        source,
    };
    let listener = world
        .net
        .listen(&config.interface, config.port)
        .await
        .map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    let limits = Limits {
        // Half as many as may idle towards subscribers: who opens connections and keeps them must
        // not take the files that heartbeats need.
        max_connections: (max_idle / 2).max(1),
        max_message: config.max_request,
        budget: Budget::new(config.max_request.saturating_mul(4)),
        grace: GRACE,
        ..Limits::default()
    };
    let server = Server::new(listener, limits, Arc::new(world.statistics));
    owner.set_serving(true);
    started(address);
    server
        .serve_local(
            StatestoreService::new(owner.clone(), config.debug),
            shutdown,
        )
        .await;
    owner.close();
    Ok(())
}
