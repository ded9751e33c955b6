//! statestored, as a library: everything but the process around it.
//!
//! ```text
//!   flags -> Config --> run(config, world, questions, ..)
//!                         |
//!                         +- owner    the one thread that holds the core's Node
//!                         +- service  what subscribers call          (rpc server, same thread)
//!                         +- ha_service  what the peer calls         (the same)
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
pub mod fence;
pub mod flags;
mod flights;
mod ha_service;
pub mod metrics;
pub mod owner;
pub mod pages;
pub mod room;
mod service;
pub mod views;

use crate::clock::Clock;
use crate::fanout::{Fanout, FanoutLimits};
use crate::fence::FenceCell;
use crate::flags::Config;
use crate::ha_service::StatestoreHaService;
use crate::owner::Owner;
use crate::service::StatestoreService;
use crate::views::Questions;
use rand::rngs::StdRng;
use statestore_daemon::rpc_statistics::ServiceStatistics;
use statestore_rpc::{Budget, Gauge, Limits, Listener, Net, Server};
use statestore_wire::{NetworkAddress, Text};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinSet, unconstrained};

/// The server's name in metrics and on `/rpcz`, and its service's.
pub const SERVER: (&str, &str) = ("statestore", "StatestoreService");
/// The same of the server for the peer.
pub const HA_SERVER: (&str, &str) = ("StatestoreHa", "StatestoreHaService");

/// What a statestored finds around it.
pub struct World<N: Net> {
    /// Where connections come from.
    pub net: N,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where random ids come from.
    pub dice: StdRng,
    /// Where large messages are sent and decoded.
    pub bulk: Handle,
    /// Bounds of connections and buffers towards subscribers.
    pub limits: FanoutLimits,
    /// Where the RPC server's figures go.
    pub statistics: ServiceStatistics,
    /// Where those of the server for the peer go.
    pub ha_statistics: ServiceStatistics,
}

/// Why a statestored cannot run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The surroundings' fault: most often the port is in use.
    #[error("{service} could not listen on port {port} (--{flag}): {source}")]
    Listen {
        /// What was to listen.
        service: &'static str,
        /// The flag that says where.
        flag: &'static str,
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
}

/// How long the end waits for registrations in hand.
const GRACE: Duration = Duration::from_millis(200);

/// Shorter than most deadlines of calls.
const TICK: Duration = Duration::from_millis(500);

/// Runs a statestored until `shutdown`, on a local runtime or in a `LocalSet`; nothing is decided
/// after its end, and calls under way end with their runtime. `started` hears where it listens,
/// once it does; questions are answered from the start.
pub async fn run<N: Net>(
    mut config: Config,
    world: World<N>,
    questions: Questions,
    started: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let (max_open, open) = (world.limits.pool.max_open, world.limits.pool.beside.clone());
    // For the peer first of all: it must find us while we look for it (H-1).
    let peer = listen_for_peer(&mut config, &world.net).await?;
    let fence = FenceCell::new(world.clock.clone());
    let fanout = Fanout::new(
        world.net.clone(),
        world.limits,
        config.debug.clone(),
        world.bulk,
        fence,
    );
    let owner = Owner::new(config.core, world.clock, world.dice, fanout);
    tracing::info!("Statestore id: {}", owner.statestore_id());
    let (stop, stopped) = watch::channel(());
    if let Some(listener) = peer {
        let server = Server::new(
            listener,
            peer_limits(open.clone()),
            Arc::new(world.ha_statistics),
        );
        serve_peer(server, owner.clone(), stopped);
    }
    let (timekeeper, caller) = (owner.clone(), owner.clone());
    let mut tasks = JoinSet::new();
    // These say themselves when others have their turn.
    tasks.spawn_local(unconstrained(async move { timekeeper.keep_time().await }));
    tasks.spawn_local(unconstrained(async move { caller.attend_calls().await }));
    tasks.spawn_local(views::answer(questions, owner.clone()));
    tasks.spawn_local(keep_a_timer());

    tokio::pin!(shutdown);
    let prepare = async {
        owner.decided().await;
        tokio::time::sleep(config.start_delay).await;
    };
    tokio::select! {
        biased;
        () = &mut shutdown => {
            owner.say_goodbye().await;
            owner.close();
            return Ok(());
        }
        () = prepare => {}
    }
    let listening = listen(&world.net, &config.interface, config.port, SUBSCRIBERS).await;
    let listening = listening.and_then(|listener| {
        let address = listener.local_addr();
        let address = address.map_err(|source| SUBSCRIBERS.fault(config.port, source))?;
        Ok((listener, address))
    });
    let (listener, address) = listening.inspect_err(|_| owner.close())?;
    let limits = subscriber_limits((max_open, open), config.max_request);
    let server = Server::new(listener, limits, Arc::new(world.statistics));
    owner.set_serving(true);
    started(address);
    let service = StatestoreService::new(owner.clone(), config.debug);
    let shutdown = async {
        shutdown.await;
        owner.say_goodbye().await;
    };
    server.serve_local(service, shutdown).await;
    owner.close();
    drop(stop);
    Ok(())
}

/// Where no timer is armed, the runtime wakes itself by a system call for each one that is: for
/// each deadline of a call. So one always is that ends before those.
async fn keep_a_timer() {
    loop {
        tokio::time::sleep(TICK).await;
    }
}

/// A service and the flag of its port.
#[derive(Clone, Copy)]
struct Door {
    service: &'static str,
    flag: &'static str,
}

const SUBSCRIBERS: Door = Door {
    service: SERVER.1,
    flag: "state_store_port",
};
const PEER: Door = Door {
    service: HA_SERVER.1,
    flag: "state_store_ha_port",
};

impl Door {
    fn fault(self, port: u16, source: io::Error) -> RunError {
        RunError::Listen {
            service: self.service,
            flag: self.flag,
            port,
            source,
        }
    }
}

async fn listen<N: Net>(
    net: &N,
    interface: &str,
    port: u16,
    door: Door,
) -> Result<N::Listener, RunError> {
    let listener = net.listen(interface, port).await;
    listener.map_err(|source| door.fault(port, source))
}

/// Opens the port for the peer, and settles under which address it is told to it.
async fn listen_for_peer<N: Net>(
    config: &mut Config,
    net: &N,
) -> Result<Option<N::Listener>, RunError> {
    let (Some(port), Some(ha)) = (config.ha_port, config.core.ha.as_mut()) else {
        return Ok(None);
    };
    let listener = listen(net, &config.interface, port, PEER).await?;
    let address = listener.local_addr().map_err(|e| PEER.fault(port, e))?;
    let own = NetworkAddress {
        hostname: Text::from(config.hostname.as_str()),
        port: address.port().into(),
        uds_address: None,
    };
    ha.pair.address = Text::from(own.to_string());
    let port = address.port();
    tracing::info!("{} listening on port {port} without TLS", PEER.service);
    tracing::info!("Peer statestored expected at {}", ha.peer);
    Ok(Some(listener))
}

/// Answers the peer until `stopped` has no sender any more.
fn serve_peer<N: Net>(
    server: Server<N::Listener>,
    owner: Owner<N>,
    mut stopped: watch::Receiver<()>,
) {
    let service = StatestoreHaService(owner);
    tokio::task::spawn_local(async move {
        let end = async move { drop(stopped.changed().await) };
        server.serve_local(service, end).await;
    });
}

/// A share of the connections, and what nobody takes of it is left for those to subscribers. What
/// queues to be written is bounded by them too: a connection has one call in hand, and a large one
/// counts for the budget until it is answered.
fn subscriber_limits((max_open, open): (usize, Gauge), max_request: u64) -> Limits {
    Limits {
        max_connections: room::share_to_us(max_open),
        open,
        max_message: max_request,
        budget: Budget::new(max_request.saturating_mul(4)),
        grace: GRACE,
        ..Limits::default()
    }
}

/// One peer, connections of its former lives, and whoever finds the port: who holds many open
/// must not keep the peer out.
fn peer_limits(open: Gauge) -> Limits {
    Limits {
        open,
        max_connections: 1_024,
        max_message: 128 << 20,
        budget: Budget::new(256 << 20),
        grace: GRACE,
        ..Limits::default()
    }
}
