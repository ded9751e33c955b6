//! [`Owner`]: one task that holds the core's `Subscriber` and does what it says.
//!
//! Deliberately absent: every decision, and anything that takes long; calls and deliveries run
//! in tasks of their own and come back as messages.
//!
//! Invariant: whatever is shown is the state after whole steps.

use super::caller::Caller;
use crate::clock::Clock;
use crate::delivery::Application;
use crate::error::StartError;
use crate::inbox::{Inbox, Message};
use statestore_core::event::Severity;
use statestore_core::ids::RequestId;
use statestore_core::subscriber::port::{Answer, CatalogdChange, Effect, Input, Outbox, Token};
use statestore_core::subscriber::{Config, Event, Subscriber, View};
use statestore_rpc::Net;
use statestore_wire::{Text, TopicDelta};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Messages taken in before others get to see the result.
const BATCH: usize = 64;

pub(super) struct Owner<C: Net> {
    subscriber: Subscriber,
    clock: Clock,
    messages: mpsc::Receiver<Message>,
    /// For what comes back, farewells included: nobody else may be left by then.
    inbox: Inbox,
    application: Arc<Application>,
    caller: Caller<C>,
    view: watch::Sender<Arc<View>>,
    catalogd: watch::Sender<Option<CatalogdChange>>,
    answers: HashMap<RequestId, oneshot::Sender<Answer>>,
    confirmations: Vec<oneshot::Sender<()>>,
    next_request: u64,
    failed: Option<oneshot::Sender<StartError>>,
}

/// Where messages come from, and where a failed start goes.
pub(super) struct Ends {
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) inbox: Inbox,
    pub(super) failed: oneshot::Sender<StartError>,
}

/// What the owner lets others see.
pub(crate) struct Shown {
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) catalogd: watch::Receiver<Option<CatalogdChange>>,
}

impl<C: Net> Owner<C> {
    pub(super) fn new(
        config: Config,
        clock: Clock,
        ends: Ends,
        application: Arc<Application>,
        caller: Caller<C>,
    ) -> (Self, Shown) {
        let subscriber = Subscriber::new(config, clock.now());
        let (view_sender, view) = watch::channel(Arc::new(subscriber.view()));
        let (catalogd_sender, catalogd) = watch::channel(None);
        let owner = Self {
            subscriber,
            clock,
            messages: ends.messages,
            inbox: ends.inbox,
            application,
            caller,
            view: view_sender,
            catalogd: catalogd_sender,
            answers: HashMap::new(),
            confirmations: Vec::new(),
            next_request: 0,
            failed: Some(ends.failed),
        };
        (owner, Shown { view, catalogd })
    }

    /// Steps the core until told to stop.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
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
        let limit = self.subscriber.config().farewell;
        // Whoever has not heard it by then notices by missing heartbeats.
        let _ = tokio::time::timeout(limit, self.bid_farewell(&mut outbox)).await;
    }

    /// Waits until the statestoreds know that the subscriber has left.
    async fn bid_farewell(&mut self, outbox: &mut Outbox) {
        while !self.subscriber.is_gone() {
            let Some(message) = self.messages.recv().await else {
                break;
            };
            self.take(message, outbox);
            self.show();
        }
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
                let inbox = self.inbox.clone();
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
        let inbox = self.inbox.clone();
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
