//! Starts a subscriber: its port, its owner (`owner`), its calls to statestoreds (`caller`).
//!
//! ```text
//!   service, handle, calls, deliveries --Message--> owner: step --Effect--> answers, calls, ...
//! ```
//!
//! The only place that reads a clock (in `clock`) and spawns tasks. Steps are short, so no lock
//! is needed and no heartbeat waits; whatever may take long (calls, deliveries, encoding) runs
//! elsewhere and comes back as a message.
//!
//! Deliberately absent: every decision.

use crate::builder::Inject;
use crate::delivery::Application;
use crate::error::{Refused, StartError};
use crate::handle::Handle;
use crate::service::SubscriberService;
use caller::Caller;
use owner::{Ends, Owner};
use statestore_core::ids::CallId;
use statestore_core::subscriber::Config;
use statestore_core::subscriber::port::{Answer, Command, Reply, Request, Token};
use statestore_rpc::net::Listener;
use statestore_rpc::server::{Limits, Observer, Server};
use statestore_rpc::{Budget, Net, Pool, PoolLimits};
use statestore_wire::{NetworkAddress, Status, Text};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

mod caller;
mod clock;
mod owner;

pub(crate) use clock::Clock;
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

/// What reaches the owner.
pub(crate) enum Message {
    Request(Request, oneshot::Sender<Answer>),
    Completed(CallId, Result<Reply, Status>),
    Processed(Token, Result<Vec<Command>, Text>, Vec<(Text, Duration)>),
    /// Confirmed when the wishes are the core's.
    Publish(Vec<Command>, oneshot::Sender<()>),
    Leave,
}

pub(crate) type Inbox = mpsc::Sender<Message>;

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

/// Opens the port, starts the owner, and waits as long as the plan says.
pub(crate) async fn start<S: Net, C: Net>(
    mut plan: Plan,
    server_net: S,
    client_net: C,
) -> Result<Handle, StartError> {
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
    let server = serve(&plan, listener, inbox.clone(), stopped.clone());
    let clock = Clock::start();
    let caller = Caller {
        pool: Pool::new(client_net, PoolLimits::default()),
        resolve: plan.resolve.then_some(hostname),
        inject: plan.inject,
    };
    let pool = caller.pool.clone();
    let (failed, failure) = oneshot::channel();
    let application = Arc::clone(&plan.application);
    let (owner, shown) = Owner::new(
        plan.config,
        clock,
        Ends {
            messages,
            inbox: inbox.downgrade(),
            failed,
        },
        plan.application,
        caller,
    );
    let handle = Handle::new(Reins {
        clock,
        inbox,
        shown,
        application,
        stop,
        tasks: vec![tokio::spawn(owner.run(stopped)), server],
        usage: Arc::new(move || pool.usage(caller::PURPOSE)),
        config: Arc::clone(&config),
    });
    if config.tolerate_startup_delay {
        return Ok(handle);
    }
    tokio::select! {
        biased;
        Ok(error) = failure => {
            handle.leave().await;
            Err(error)
        }
        _ = handle.registered() => Ok(handle),
    }
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
    inbox: Inbox,
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
        server.serve(SubscriberService::new(inbox), stop).await;
    })
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Puts wishes into the core; done when they are its.
pub(crate) async fn publish(inbox: &Inbox, commands: Vec<Command>) -> Result<(), Refused> {
    let (sender, confirmation) = oneshot::channel();
    let sent = inbox.send(Message::Publish(commands, sender)).await;
    sent.map_err(|_| Refused::Left)?;
    confirmation.await.map_err(|_| Refused::Left)
}
