//! The control thread: it alone owns the core's `Node`, and does what the core says.
//!
//! ```text
//!   service ---- Register --+                      +-- Call ------> fanout, a task each
//!   fanout  --- Completed --+--> step(now, ..) --->+-- Answer ----> the service's task
//!   clock   ------- Timer --+     (never awaits)   +-- Disconnect -> fanout
//!   pages   ------- look ---+                      +-- Log --------> log
//! ```
//!
//! Everything here runs on one thread by direct calls: an outcome is stepped in where it
//! arrives, without a channel. Deliberately absent: rules (core), bytes (`fanout`), and any
//! await while the node is borrowed.
//!
//! Invariants: each call comes back exactly once, also when its task panics; a step that panics
//! ends the process, because a half-changed node must not decide anything more.

use crate::clock::Clock;
use crate::fanout::Fanout;
use rand::Rng;
use rand::rngs::StdRng;
use statestore_core::ids::{CallId, RegistrationId, RequestId, StatestoreId};
use statestore_core::node::Node;
use statestore_core::port::{
    Answer, Call, CallFault, Effect, Event, Identity, Input, Outbox, Reply, Request,
};
use statestore_core::time::{Now, Time};
use statestore_rpc::Net;
use statestore_wire::{
    RegisterSubscriberRequest, RegisterSubscriberResponse, Status, StatusCode, UniqueId,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use tokio::sync::{Notify, oneshot};

/// A handle to the node, for tasks of the control thread.
pub struct Owner<N: Net>(Rc<Inner<N>>);

impl<N: Net> Clone for Owner<N> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

struct Inner<N: Net> {
    node: RefCell<Node>,
    identity: Identity,
    clock: Box<dyn Clock>,
    dice: RefCell<StdRng>,
    fanout: Fanout<N>,
    /// Registrations whose answer is due.
    asking: RefCell<HashMap<RequestId, oneshot::Sender<RegisterSubscriberResponse>>>,
    requests: Cell<u64>,
    /// Emptied boxes for the next steps.
    spare: RefCell<Vec<Outbox>>,
    /// When the timekeeper will wake by itself.
    alarm: Cell<Option<Time>>,
    sooner: Notify,
    serving: Cell<bool>,
    closing: Cell<bool>,
}

impl<N: Net> Owner<N> {
    /// A fresh node; who it is, is drawn from `dice`.
    pub fn new(
        config: statestore_core::config::Config,
        clock: Box<dyn Clock>,
        mut dice: StdRng,
        fanout: Fanout<N>,
    ) -> Self {
        let identity = Identity::new(draw(&mut dice));
        let now = clock.now();
        Self(Rc::new(Inner {
            node: RefCell::new(Node::new(config, identity, now)),
            identity,
            clock,
            dice: RefCell::new(dice),
            fanout,
            asking: RefCell::default(),
            requests: Cell::new(0),
            spare: RefCell::default(),
            alarm: Cell::new(None),
            sooner: Notify::new(),
            serving: Cell::new(false),
            closing: Cell::new(false),
        }))
    }

    /// The process's id (R-8).
    pub fn statestore_id(&self) -> StatestoreId {
        self.0.identity.statestore_id
    }

    /// Registers a subscriber.
    pub async fn register(
        &self,
        request: RegisterSubscriberRequest,
    ) -> Option<RegisterSubscriberResponse> {
        let request_id = RequestId(self.0.requests.replace(self.0.requests.get() + 1));
        let drawn = RegistrationId(draw(&mut self.0.dice.borrow_mut()));
        let (answer, answered) = oneshot::channel();
        self.0.asking.borrow_mut().insert(request_id, answer);
        self.step(Input::Request {
            request_id,
            request: Request::Register { request, drawn },
        });
        answered.await.ok()
    }

    /// H-9.
    pub fn disable_network(&self, disabled: bool) {
        self.step(Input::NetworkDisabled(disabled));
    }

    /// Shows the node to pages: everything that `look` takes is of one moment.
    pub fn look<T>(&self, look: impl FnOnce(&Node, Now) -> T) -> T {
        look(&self.0.node.borrow(), self.0.clock.now())
    }

    /// What sends the node's calls.
    pub fn fanout(&self) -> &Fanout<N> {
        &self.0.fanout
    }

    /// Whether StatestoreService is open.
    pub fn serving(&self) -> bool {
        self.0.serving.get()
    }

    /// Says that it is.
    pub fn set_serving(&self, serving: bool) {
        self.0.serving.set(serving);
    }

    /// From now on no outcome reaches the node: its tasks are about to be dropped.
    pub fn close(&self) {
        self.0.closing.set(true);
    }

    /// Wakes the node at its deadlines, for ever.
    pub async fn keep_time(&self) {
        loop {
            let due = self.0.node.borrow().deadline();
            self.0.alarm.set(due);
            let Some(due) = due else {
                self.0.sooner.notified().await;
                continue;
            };
            let wait = due.since(self.0.clock.now().time);
            if !wait.is_zero() {
                tokio::select! {
                    biased;
                    () = self.0.sooner.notified() => continue,
                    () = tokio::time::sleep(wait) => {}
                }
            }
            self.step(Input::Timer);
            // However late we are, outcomes that have arrived get their turn.
            tokio::task::yield_now().await;
        }
    }

    fn step(&self, input: Input) {
        let mut outbox = self.0.spare.borrow_mut().pop().unwrap_or_default();
        let now = self.0.clock.now();
        let deadline = {
            let fatal = EndProcess;
            let mut node = self.0.node.borrow_mut();
            node.step(now, input, &mut outbox);
            let deadline = node.deadline();
            std::mem::forget(fatal);
            deadline
        };
        outbox.drain(..).for_each(|effect| self.perform(effect));
        self.0.spare.borrow_mut().push(outbox);
        if let Some(due) = deadline
            && self.0.alarm.get().is_none_or(|alarm| due < alarm)
        {
            self.0.sooner.notify_one();
        }
    }

    /// Does one thing; never steps, so that effects keep their order.
    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Answer {
                request_id,
                answer: Answer::Register { response, .. },
            } => {
                let asking = self.0.asking.borrow_mut().remove(&request_id);
                if let Some(asking) = asking {
                    // Whoever asked may have hung up; the registration stands all the same.
                    let _ = asking.send(response);
                }
            }
            Effect::Call(call) => {
                let owner = self.clone();
                tokio::task::spawn_local(async move { owner.call(call).await });
            }
            Effect::Answer { .. } | Effect::Recall => {}
            Effect::Disconnect(address) => self.0.fanout.disconnect(&address),
            Effect::Log(event) => log(&event),
        }
    }

    async fn call(self, call: Call) {
        let outstanding = Outstanding {
            owner: &self,
            call: Some(call.id),
        };
        let injected = {
            let mut dice = self.0.dice.borrow_mut();
            self.0.fanout.injections(&call, || dice.random())
        };
        let outcome = self.0.fanout.send(call, injected).await;
        outstanding.complete(outcome);
    }
}

/// A call whose outcome the node has not heard yet.
struct Outstanding<'a, N: Net> {
    owner: &'a Owner<N>,
    call: Option<CallId>,
}

impl<N: Net> Outstanding<'_, N> {
    fn complete(mut self, outcome: Result<Reply, CallFault>) {
        if let Some(call) = self.call.take() {
            self.owner.step(Input::Completed { call, outcome });
        }
    }
}

impl<N: Net> Drop for Outstanding<'_, N> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take()
            && !self.owner.0.closing.get()
        {
            let status = Status::error(StatusCode::INTERNAL_ERROR, "the call was abandoned");
            self.owner.step(Input::Completed {
                call,
                outcome: Err(CallFault(status)),
            });
        }
    }
}

/// Dropped only by a panic inside a step; the panic hook has written the message by then.
struct EndProcess;

impl Drop for EndProcess {
    fn drop(&mut self) {
        std::process::abort();
    }
}

fn draw(dice: &mut StdRng) -> UniqueId {
    loop {
        let id = UniqueId {
            hi: dice.random(),
            lo: dice.random(),
        };
        if !id.is_unset() {
            return id;
        }
    }
}

fn log(event: &Event) {
    use statestore_core::event::Severity;
    match event.severity() {
        Severity::Info => tracing::info!("{event}"),
        Severity::Warning => tracing::warn!("{event}"),
        Severity::Error => tracing::error!("{event}"),
    }
}
