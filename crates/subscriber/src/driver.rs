//! The owner: one task that holds the core's `Subscriber` and does what it says.
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
use statestore_core::event::Severity;
use statestore_core::ids::{CallId, RequestId};
use statestore_core::subscriber::port::{
    Answer, CatalogdChange, Command, Effect, Input, Outbox, Reply, Request, Token,
};
use statestore_core::subscriber::{Config, Event, Subscriber, View};
use statestore_rpc::net::Listener;
use statestore_rpc::server::{Limits, Observer, Server};
use statestore_rpc::{Budget, Net, Pool, PoolLimits};
use statestore_wire::{NetworkAddress, Status, Text, TopicDelta};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) use clock::Clock;

mod caller;
mod clock;

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
/// Messages taken in before others get to see the result.
const BATCH: usize = 64;

/// The ends that the handle keeps.
pub(crate) struct Reins {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) address: NetworkAddress,
    pub(crate) inbox: Inbox,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) catalogd: watch::Receiver<Option<CatalogdChange>>,
    pub(crate) application: Arc<Application>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) tasks: Vec<JoinHandle<()>>,
    pub(crate) usage: Arc<dyn Fn() -> statestore_rpc::Usage + Send + Sync>,
}

pub(crate) async fn start<S: Net, C: Net>(
    plan: Plan,
    server_net: S,
    client_net: C,
) -> Result<Handle, StartError> {
    let (listener, real_port) = listen(&plan, server_net).await?;
    let Plan {
        mut config,
        application,
        ..
    } = plan;
    let hostname = plan.hostname.unwrap_or_else(host_name);
    config.location = NetworkAddress {
        hostname: Text::from(hostname.clone()),
        port: i32::from(real_port),
        uds_address: None,
    };
    let address = config.location.clone();
    tracing::info!(
        "Subscriber '{}' listens on port {real_port} as {address}",
        config.id
    );

    let (inbox, messages) = mpsc::channel(INBOX);
    let (stop, stopped) = watch::channel(false);
    let server = Server::new(listener, limits(plan.max_message), plan.observer);
    let server = serve(server, &inbox, stopped.clone());
    let clock = Clock::start();
    let pool = Pool::new(client_net, PoolLimits::default());
    let tolerant = config.tolerate_startup_delay;
    let subscriber = Subscriber::new(config.clone(), clock.now());
    let (view_sender, view) = watch::channel(Arc::new(subscriber.view()));
    let (catalogd_sender, catalogd) = watch::channel(None);
    let (failed, failure) = oneshot::channel();
    let owner = Owner {
        subscriber,
        clock,
        messages,
        weak_inbox: inbox.downgrade(),
        application: Arc::clone(&application),
        caller: Caller {
            pool: pool.clone(),
            resolve: plan.resolve.then_some(hostname),
            inject: plan.inject,
        },
        view: view_sender,
        catalogd: catalogd_sender,
        answers: HashMap::new(),
        confirmations: Vec::new(),
        next_request: 0,
        failed: Some(failed),
    };
    let owner = tokio::spawn(owner.run(stopped));
    let reins = Reins {
        config: Arc::new(config),
        clock,
        address,
        inbox,
        view,
        catalogd,
        application,
        stop,
        tasks: vec![owner, server],
        usage: Arc::new(move || pool.usage(caller::PURPOSE)),
    };
    let handle = Handle::new(reins);
    match tolerant {
        true => Ok(handle),
        false => registered(handle, failure).await,
    }
}

/// The handle, if the first registration does not fail (B-5).
async fn registered(
    handle: Handle,
    failure: oneshot::Receiver<StartError>,
) -> Result<Handle, StartError> {
    tokio::select! {
        biased;
        Ok(error) = failure => {
            handle.leave().await;
            Err(error)
        }
        _ = handle.registered() => Ok(handle),
    }
}

/// The port where statestoreds reach us, and its number.
async fn listen<S: Net>(plan: &Plan, net: S) -> Result<(S::Listener, u16), StartError> {
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

fn limits(max_message: u64) -> Limits {
    Limits {
        max_message,
        budget: Budget::new(max_message.saturating_mul(2)),
        ..Limits::default()
    }
}

/// Brings what statestoreds say to the owner, until told to stop.
fn serve<L: Listener>(
    server: Server<L>,
    inbox: &Inbox,
    mut stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let service = SubscriberService::new(inbox.clone());
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

struct Owner<C: Net> {
    subscriber: Subscriber,
    clock: Clock,
    messages: mpsc::Receiver<Message>,
    /// Weak, or the owner would keep itself alive.
    weak_inbox: mpsc::WeakSender<Message>,
    application: Arc<Application>,
    caller: Caller<C>,
    view: watch::Sender<Arc<View>>,
    catalogd: watch::Sender<Option<CatalogdChange>>,
    answers: HashMap<RequestId, oneshot::Sender<Answer>>,
    confirmations: Vec<oneshot::Sender<()>>,
    next_request: u64,
    failed: Option<oneshot::Sender<StartError>>,
}

impl<C: Net> Owner<C> {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut outbox = Outbox::new();
        self.step(Input::Timer, &mut outbox);
        self.show();
        loop {
            let deadline = self
                .subscriber
                .deadline()
                .map(|time| self.clock.instant(time));
            let sleep = async move {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                message = self.messages.recv() => {
                    let Some(message) = message else { break };
                    self.take(message, &mut outbox);
                    for _ in 0..BATCH {
                        let Ok(message) = self.messages.try_recv() else { break };
                        self.take(message, &mut outbox);
                    }
                }
                () = sleep => self.step(Input::Timer, &mut outbox),
            }
            self.show();
        }
        self.step(Input::Leave, &mut outbox);
        self.show();
        self.application.close();
    }

    fn take(&mut self, message: Message, outbox: &mut Outbox) {
        let input = match message {
            Message::Request(request, answer) => {
                self.next_request += 1;
                let id = RequestId(self.next_request);
                self.answers.insert(id, answer);
                Input::Request { id, request }
            }
            Message::Completed(call, outcome) => Input::Completed { call, outcome },
            Message::Processed(token, outcome, durations) => Input::Processed {
                token,
                outcome,
                durations,
            },
            Message::Publish(commands, confirmation) => {
                self.confirmations.push(confirmation);
                Input::Publish(commands)
            }
            Message::Leave => Input::Leave,
        };
        self.step(input, outbox);
    }

    fn step(&mut self, input: Input, outbox: &mut Outbox) {
        self.subscriber.step(self.clock.now(), input, outbox);
        for effect in outbox.drain(..) {
            self.perform(effect);
        }
    }

    /// Lets others see what the steps have led to.
    fn show(&mut self) {
        self.view.send_replace(Arc::new(self.subscriber.view()));
        for confirmation in self.confirmations.drain(..) {
            let _ = confirmation.send(()); // fails if nobody waits any more
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Call(call) => {
                let Some(inbox) = self.weak_inbox.upgrade() else {
                    return;
                };
                let caller = self.caller.clone();
                tokio::spawn(async move {
                    let id = call.id;
                    let outcome = caller.call(call).await;
                    let _ = inbox.send(Message::Completed(id, outcome)).await; // stopped meanwhile
                });
            }
            Effect::Answer { id, answer } => {
                if let Some(sender) = self.answers.remove(&id) {
                    let _ = sender.send(answer); // the connection may be gone
                }
            }
            Effect::Deliver { token, topics, .. } => self.deliver(token, topics),
            Effect::Catalogd(change) => drop(self.catalogd.send_replace(Some(change))),
            Effect::Active { .. } => {}
            Effect::StartFailed { statestore, status } => {
                let addresses = &self.subscriber.config().statestores;
                let error = StartError::Registration {
                    statestore: addresses.get(statestore).cloned().unwrap_or_default(),
                    code: status.status_code.0,
                    reason: status.message(),
                };
                if let Some(failed) = self.failed.take() {
                    let _ = failed.send(error); // nobody waits for a start that was abandoned
                }
            }
            Effect::Log(event) => log(&event),
        }
    }

    fn deliver(&self, token: Token, topics: Vec<(Text, TopicDelta)>) {
        let Some(inbox) = self.weak_inbox.upgrade() else {
            return;
        };
        let application = Arc::clone(&self.application);
        tokio::spawn(async move {
            let may_block = application.may_block(&topics);
            let work = move || application.deliver(topics);
            let delivered = if may_block {
                tokio::task::spawn_blocking(work).await
            } else {
                Ok(work())
            };
            let message = match delivered {
                Ok(delivered) => Message::Processed(token, delivered.outcome, delivered.durations),
                Err(error) => {
                    Message::Processed(token, Err(Text::from(error.to_string())), Vec::new())
                }
            };
            let _ = inbox.send(message).await; // stopped meanwhile
        });
    }
}

fn log(event: &Event) {
    match event.severity() {
        Severity::Info => tracing::info!("{event}"),
        Severity::Warning => tracing::warn!("{event}"),
        Severity::Error => tracing::error!("{event}"),
    }
}

/// Puts wishes into the core; done when they are its.
pub(crate) async fn publish(inbox: &Inbox, commands: Vec<Command>) -> Result<(), Refused> {
    let (sender, confirmation) = oneshot::channel();
    let sent = inbox.send(Message::Publish(commands, sender)).await;
    sent.map_err(|_| Refused::Left)?;
    confirmation.await.map_err(|_| Refused::Left)
}
