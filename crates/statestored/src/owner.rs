//! The control thread: it alone owns the core's `Node`, and does what the core says.
//!
//! ```text
//!   services --- Request --+                      +-- Call ------> fanout, a task each
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
use crate::fanout::Fanout;
use crate::fence::FenceCell;
use rand::Rng;
use rand::rngs::StdRng;
use statestore_core::ids::{CallId, RegistrationId, RequestId, StatestoreId};
use statestore_core::node::Node;
use statestore_core::port::{
    Answer, Call, CallFault, Effect, Event, Identity, Input, Lane, Outbox, Reply, Request,
};
use statestore_core::time::{Now, Time};
use statestore_rpc::Net;
use statestore_wire::{
    RegisterSubscriberRequest, RegisterSubscriberResponse, Status, StatusCode, UniqueId,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// How long the peer is given to hear that we stop.
const GOODBYE: Duration = Duration::from_millis(300);

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
    recall: Notify,
    /// Rings when the start-up handshake is decided (H-4).
    decided: Notify,
    /// Calls to the peer under way.
    to_peer: Cell<usize>,
}

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
            recall: Notify::new(),
            decided: Notify::new(),
            to_peer: Cell::new(0),
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
        loop {
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
            if !self.step(Input::Timer) {
                return;
            }
            // However late we are, outcomes that have arrived get their turn.
            tokio::task::yield_now().await;
        }
    }

    /// Puts one thing to the node; false if it is closing and hears nothing any more.
    fn step(&self, input: Input) -> bool {
        if self.0.closing.get() {
            return false;
        }
        let mut outbox = self.0.spare.borrow_mut().pop().unwrap_or_default();
        let now = self.0.clock.now();
        let deadline = {
            let fatal = EndProcess;
            let mut node = self.0.node.borrow_mut();
            node.step(now, input, &mut outbox);
            self.0.fence.set(node.fence());
            if node.is_decided() {
                self.0.decided.notify_waiters();
            }
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
        true
    }

    /// Does one thing; never steps, so that effects keep their order.
    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Answer { request_id, answer } => {
                let asking = self.0.asking.borrow_mut().remove(&request_id);
                if let Some(asking) = asking {
                    // Whoever asked may have hung up; what was decided stands all the same.
                    let _ = asking.send(answer);
                }
            }
            Effect::Call(call) => {
                let owner = self.clone();
                if call.lane == Lane::Peer {
                    self.0.to_peer.set(self.0.to_peer.get() + 1);
                }
                // Boxed, because the runtime moves what it spawns several times.
                tokio::task::spawn_local(Box::pin(owner.call(call)));
            }
            Effect::Recall => self.0.recall.notify_waiters(),
            Effect::Disconnect(address) => self.0.fanout.disconnect(&address),
            Effect::Log(event) => log(&event),
        }
    }

    /// One call from its beginning to its end.
    // An `async fn` would hold the call twice, and there are thousands of these at a time.
    #[expect(clippy::manual_async_fn)]
    fn call(self, call: Call) -> impl Future<Output = ()> {
        async move {
            let recalled = self.0.recall.notified();
            let outstanding = Outstanding {
                owner: &self,
                call: Some(call.id),
                to_peer: call.lane == Lane::Peer,
            };
            let injected = {
                let mut dice = self.0.dice.borrow_mut();
                self.0.fanout.injections(&call, || dice.random())
            };
            let fenced = call.fence.is_some();
            let sent = self.0.fanout.send(call, injected);
            let outcome = tokio::select! {
                biased;
                () = recalled, if fenced => Err(recall_fault()),
                outcome = sent => outcome,
            };
            outstanding.complete(outcome);
        }
    }
}

fn recall_fault() -> CallFault {
    let text = "recalled: this statestored is no longer active";
    CallFault(Status::error(StatusCode::INTERNAL_ERROR, text))
}

/// A call whose outcome the node has not heard yet.
struct Outstanding<'a, N: Net> {
    owner: &'a Owner<N>,
    call: Option<CallId>,
    to_peer: bool,
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
        let calls = &self.owner.0.to_peer;
        calls.set(calls.get() - usize::from(self.to_peer));
        if let Some(call) = self.call.take() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::fanout::FanoutLimits;
    use statestore_core::config::Config;
    use statestore_rpc::{PoolLimits, TcpNet};
    use tokio::runtime::Handle;

    #[tokio::test]
    async fn one_that_is_closing_answers_nobody_and_keeps_no_time() {
        let clock = Arc::new(SystemClock);
        let limits = FanoutLimits {
            max_reply: 1 << 20,
            pool: PoolLimits::default(),
        };
        let fence = FenceCell::new(clock.clone());
        let debug = Default::default();
        let fanout = Fanout::new(TcpNet, limits, debug, Handle::current(), fence);
        let dice = rand::SeedableRng::seed_from_u64(1);
        let owner = Owner::new(Config::default(), clock, dice, fanout);
        let leave = || Request::Unregister(Default::default());
        assert!(owner.ask(leave()).await.is_some());
        owner.close();
        assert!(owner.ask(leave()).await.is_none());
        assert!(owner.0.asking.borrow().is_empty());
        owner.keep_time().await;
    }
}
