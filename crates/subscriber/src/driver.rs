//! Starts a subscriber: its port, its owner (`owner`), its calls to statestoreds (`caller`).
//!
//! ```text
//!   service, handle, calls, deliveries --Message--> owner: step --Effect--> answers, calls, ...
//! ```
//!
//! Steps are short, so no lock is needed and no heartbeat waits; whatever may take long (calls,
//! deliveries, encoding) runs elsewhere and comes back as a message.
//!
//! Deliberately absent: every decision.

use crate::clock::Clock;
use crate::delivery::Application;
use crate::error::StartError;
use crate::inbox::Inbox;
use crate::inject::Inject;
use crate::service::SubscriberService;
use caller::Caller;
use owner::{Ends, Owner};
use statestore_core::subscriber::Config;
use statestore_rpc::net::Listener;
use statestore_rpc::server::{Limits, Observer, Server};
use statestore_rpc::{Budget, Net, Pool, PoolLimits};
use statestore_wire::{NetworkAddress, Text};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

mod caller;
mod owner;

pub(crate) use owner::Shown;

/// Everything a subscriber is started from.
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) application: Arc<Application>,
    pub(crate) interface: String,
    pub(crate) hostname: Option<String>,
    pub(crate) port: u16,
    pub(crate) resolve: bool,
    pub(crate) max_message: u64,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) inject: Option<Inject>,
}

/// Messages that may wait for the owner; more make their senders wait.
const INBOX: usize = 1024;

/// The ends that the handle keeps.
pub(crate) struct Reins {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) inbox: Inbox,
    pub(crate) shown: Shown,
    pub(crate) application: Arc<Application>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) tasks: Vec<JoinHandle<()>>,
    pub(crate) usage: Arc<dyn Fn() -> statestore_rpc::Usage + Send + Sync>,
}

/// Opens the port and starts the owner. The receiver tells if the first registration failed and
/// may not be tried again (B-5).
pub(crate) async fn start<S: Net, C: Net>(
    mut plan: Plan,
    server_net: S,
    client_net: C,
) -> Result<(Reins, oneshot::Receiver<StartError>), StartError> {
    let (listener, port) = listen(&plan, &server_net).await?;
    let hostname = plan.hostname.take().unwrap_or_else(host_name);
    plan.config.location = NetworkAddress {
        hostname: Text::from(hostname.clone()),
        port: i32::from(port),
        uds_address: None,
    };
    let config = Arc::new(plan.config.clone());
    tracing::info!(
        "Subscriber '{}' listens on port {port} as {}",
        config.id,
        config.location
    );

    let (inbox, messages) = mpsc::channel(INBOX);
    let (stop, stopped) = watch::channel(false);
    let clock = Clock::start();
    let caller = Caller {
        pool: Pool::new(client_net, PoolLimits::default()),
        resolve: plan.resolve.then_some(hostname),
        inject: plan.inject.take(),
    };
    let pool = caller.pool.clone();
    let (failed, failure) = oneshot::channel();
    let application = Arc::clone(&plan.application);
    let (owner, shown) = Owner::new(
        plan.config.clone(),
        clock,
        Ends {
            messages,
            inbox: inbox.clone(),
            failed,
        },
        Arc::clone(&application),
        caller,
    );
    let service = SubscriberService::new(inbox.clone(), shown.view.clone());
    let server = serve(&plan, listener, service, stopped.clone());
    let reins = Reins {
        clock,
        inbox,
        shown,
        application,
        stop,
        tasks: vec![tokio::spawn(owner.run(stopped)), server],
        usage: Arc::new(move || pool.usage(caller::PURPOSE)),
        config: Arc::clone(&config),
    };
    Ok((reins, failure))
}

/// The open port and its number.
async fn listen<S: Net>(plan: &Plan, net: &S) -> Result<(S::Listener, u16), StartError> {
    let failed = |source| StartError::Listen {
        interface: plan.interface.clone(),
        port: plan.port,
        source,
    };
    let listener = net
        .listen(&plan.interface, plan.port)
        .await
        .map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}

/// Serves statestoreds until told to stop.
fn serve<L: Listener>(
    plan: &Plan,
    listener: L,
    service: SubscriberService,
    mut stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let limits = Limits {
        max_message: plan.max_message,
        budget: Budget::new(plan.max_message.saturating_mul(2)),
        ..Limits::default()
    };
    let server = Server::new(listener, limits, Arc::clone(&plan.observer));
    tokio::spawn(async move {
        let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
        server.serve(service, stop).await;
    })
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
