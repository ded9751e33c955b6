//! The control thread: it alone owns the core's `Node`, and does what the core says.
//!
//! ```text
//!   services --- Request --+                      +-- Call ------> fanout, polled by `calls`
//!   fanout  --- Completed --+--> step(now, ..) --->+-- Answer ----> the service's task
//!   clock   ------- Timer --+     (never awaits)   +-- Recall ----> calls that carry a fence
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
use crate::fanout::{Fanout, Flight};
use crate::fence::FenceCell;
use crate::flights::{Flights, Noted};
use rand::Rng;
use rand::rngs::StdRng;
use statestore_core::ids::{CallId, RegistrationId, RequestId, StatestoreId};
use statestore_core::node::Node;
use statestore_core::port::{
    Answer, CallFault, Effect, Event, Identity, Input, Outbox, Reply, Request,
};
use statestore_core::time::{Now, Time};
use statestore_rpc::Net;
use statestore_wire::{RegisterSubscriberRequest, RegisterSubscriberResponse, UniqueId};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

mod calls;

/// How long the peer is given to hear that we stop.
const GOODBYE: Duration = Duration::from_millis(300);
/// So many steps are taken in a row while there are news to send.
const STEPS: usize = 3;

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
    clock: Arc<dyn Clock>,
    fence: FenceCell,
    dice: RefCell<StdRng>,
    fanout: Fanout<N>,
    /// Requests whose answer is due.
    asking: RefCell<HashMap<RequestId, oneshot::Sender<Answer>>>,
    requests: Cell<u64>,
    /// Emptied boxes for the next steps.
    spare: RefCell<Vec<Outbox>>,
    /// When the timekeeper will wake by itself.
    alarm: Cell<Option<Time>>,
    sooner: Notify,
    serving: Cell<bool>,
    closing: Cell<bool>,
    /// Rings when calls that carry a fence are to end.
    recall: Arc<Notify>,
    /// Rings when the start-up handshake is decided (H-4).
    decided: Notify,
    /// Calls to the peer under way.
    to_peer: Cell<usize>,
    /// Small calls under way.
    flights: RefCell<Flights<Flight<N>>>,
    noted: Arc<Noted>,
    /// Calls that ended, for the node to hear.
    ended: RefCell<VecDeque<Ended>>,
    /// When those who attend the calls will look at their deadlines.
    watch: Cell<Option<Instant>>,
}

type Ended = (CallId, Result<Reply, CallFault>);

impl<N: Net> Owner<N> {
    /// A fresh node; who it is, is drawn from `dice`.
    pub fn new(
        config: statestore_core::config::Config,
        clock: Arc<dyn Clock>,
        mut dice: StdRng,
        fanout: Fanout<N>,
    ) -> Self {
        let identity = Identity::new(draw(&mut dice));
        let now = clock.now();
        let flights = Flights::default();
        Self(Rc::new(Inner {
            node: RefCell::new(Node::new(config, identity, now)),
            identity,
            fence: fanout.fence().clone(),
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
            recall: Arc::default(),
            decided: Notify::new(),
            to_peer: Cell::new(0),
            noted: flights.noted(),
            flights: RefCell::new(flights),
            ended: RefCell::default(),
            watch: Cell::new(None),
        }))
    }

    /// The process's id (R-8).
    pub fn statestore_id(&self) -> StatestoreId {
        self.0.identity.statestore_id
    }

    /// Puts a request to the node. None once it is gone.
    pub async fn ask(&self, request: Request) -> Option<Answer> {
        let request_id = RequestId(self.0.requests.replace(self.0.requests.get() + 1));
        let (answer, answered) = oneshot::channel();
        self.0.asking.borrow_mut().insert(request_id, answer);
        let heard = self.step(Input::Request {
            request_id,
            request,
        });
        if !heard {
            self.0.asking.borrow_mut().remove(&request_id);
        }
        answered.await.ok()
    }

    /// Registers a subscriber. Nobody is told that we are active who hears it when we are not.
    pub async fn register(
        &self,
        request: RegisterSubscriberRequest,
    ) -> Option<RegisterSubscriberResponse> {
        let drawn = RegistrationId(draw(&mut self.0.dice.borrow_mut()));
        let answer = self.ask(Request::Register { request, drawn }).await?;
        let Answer::Register {
            mut response,
            fence,
        } = answer
        else {
            return None;
        };
        if fence.is_some_and(|epoch| !self.0.fence.lets(epoch)) {
            response.statestore_is_active = Some(false);
            response.epoch = None;
            response.catalogd_registration = None;
            response.catalogd_version = None;
        }
        Some(response)
    }

    /// Waits until the start-up handshake is decided (H-4).
    pub async fn decided(&self) {
        while !self.0.node.borrow().is_decided() {
            self.0.decided.notified().await;
        }
    }

    /// The process stops on purpose: tells the peer, which need not wait for our silence then.
    pub async fn say_goodbye(&self) {
        self.step(Input::Stopping);
        let heard = async {
            while self.0.to_peer.get() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        // Who does not hear it finds out by our silence.
        let _ = tokio::time::timeout(GOODBYE, heard).await;
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

    /// From now on nothing reaches the node: its tasks are about to be dropped.
    pub fn close(&self) {
        self.0.closing.set(true);
    }

    /// Wakes the node at its deadlines until it is closing.
    pub async fn keep_time(&self) {
        while !self.0.closing.get() {
            let due = self.0.node.borrow().deadline();
            self.0.alarm.set(due);
            let Some(due) = due else {
                self.0.sooner.notified().await;
                continue;
            };
            let wait = due.since(self.0.clock.time());
            if !wait.is_zero() {
                tokio::select! {
                    biased;
                    () = self.0.sooner.notified() => continue,
                    () = tokio::time::sleep(wait) => {}
                }
            }
            self.step_with_news();
            // However late we are, outcomes that have arrived get their turn.
            tokio::task::yield_now().await;
        }
    }

    /// Does what is due. What an answer says is seldom urgent, while thousands may wait for news:
    /// there may be several steps of these before answers are read.
    fn step_with_news(&self) {
        self.step(Input::Timer);
        for _ in 1..STEPS {
            let next = self.0.node.borrow().news_due();
            if next.is_none_or(|next| next > self.0.clock.time()) {
                return;
            }
            self.step(Input::News);
        }
    }

    /// Puts one thing to the node; false if it is closing and hears nothing any more.
    fn step(&self, input: Input) -> bool {
        self.step_at(self.0.clock.now(), input)
    }

    fn step_at(&self, now: Now, input: Input) -> bool {
        if self.0.closing.get() {
            return false;
        }
        let mut outbox = self.0.spare.borrow_mut().pop().unwrap_or_default();
        // What was asked is answered before those who are told because of it hear of it.
        let answers = matches!(input, Input::Request { .. });
        let fatal = EndProcess;
        let deadline = {
            let mut node = self.0.node.borrow_mut();
            node.step(now, input, &mut outbox);
            self.0.fence.set(node.fence());
            if node.is_decided() {
                self.0.decided.notify_waiters();
            }
            node.deadline()
        };
        self.perform_all(outbox.drain(..), answers);
        std::mem::forget(fatal);
        self.0.spare.borrow_mut().push(outbox);
        if let Some(due) = deadline
            && self.0.alarm.get().is_none_or(|alarm| due < alarm)
        {
            self.0.sooner.notify_one();
        }
        true
    }

    /// Does one thing; never steps, so that effects keep their order.
    fn perform(&self, effect: Effect, answers: bool) {
        match effect {
            Effect::Answer { request_id, answer } => {
                let asking = self.0.asking.borrow_mut().remove(&request_id);
                if let Some(asking) = asking {
                    // Whoever asked may have hung up; what was decided stands all the same.
                    let _ = asking.send(answer);
                }
            }
            Effect::Call(call) => self.call(call, answers),
            Effect::Recall => self.recall(),
            Effect::Disconnect(address) => self.0.fanout.disconnect(&address),
            Effect::Log(event) => log(&event),
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

#[cfg(test)]
mod tests;
