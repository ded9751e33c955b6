//! The calls of the node, from the effect that asks for one to the outcome that it hears.
//!
//! ```text
//!   Effect::Call --> small: a flight, polled by `attend_calls` --+--> ended --> step(Completed)
//!               \-> else:  a task of its own --------------------------------> step(Completed)
//! ```
//!
//! Small calls begin some at a time, and these are then sent in a row. They are polled and heard
//! some at a time, too: what each of them needs is fetched for all of these before the first has
//! its turn. Then others have theirs; by then as many were heard as a step sends, so that of polls
//! no more go out than answers are read, however many come at once.
//!
//! Deliberately absent: bytes (`fanout`), the table (`flights`).
//!
//! Invariants: each call comes back once, whatever happens to it; what began is sent before
//! others have their turn.

use super::{Ended, Owner};
use crate::fanout::{Begun, Flight, Outcome, abandoned, inject};
use rand::Rng;
use statestore_core::ids::CallId;
use statestore_core::node::AHEAD;
use statestore_core::port::{Call, CallFault, Effect, Input, Lane, Reply};
use statestore_daemon::debug_actions::Step;
use statestore_rpc::Net;
use statestore_wire::{Status, StatusCode};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec::Drain;
use tokio::sync::futures::OwnedNotified;
use tokio::task::spawn_local;
use tokio::time::{Sleep, sleep};

/// So many times [`AHEAD`] calls end before others have their turn: as many as a step sends.
const ROUNDS: usize = 16;
/// To the next look at deadlines where there are none.
const FAR: Duration = Duration::from_secs(3_600);

impl<N: Net> Owner<N> {
    /// Polls small calls, and lets the node hear of their ends. Once it is closing nobody does any
    /// more; then this is to be dropped.
    pub async fn attend_calls(&self) {
        let mut watch = pin!(sleep(FAR));
        poll_fn(|cx| self.poll_calls(cx, watch.as_mut())).await;
    }

    fn poll_calls(&self, cx: &mut Context<'_>, mut watch: Pin<&mut Sleep>) -> Poll<()> {
        debug_assert!(
            !self.0.flights.borrow().have_fresh(),
            "a call was begun and not sent"
        );
        self.0.noted.listen(cx);
        for _ in 0..ROUNDS {
            if self.0.closing.get() {
                return Poll::Ready(());
            }
            if !self.has_work() {
                break;
            }
            self.poll_some();
            self.hear_some();
        }
        let late = self.end_late(&mut watch);
        self.0.watch.set(Some(watch.deadline()));
        if late || watch.poll(cx).is_ready() || self.has_work() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn has_work(&self) -> bool {
        !self.0.ended.borrow().is_empty() || self.0.flights.borrow().have_noted()
    }

    /// Polls some of the small calls that were woken.
    fn poll_some(&self) {
        let mut flights = self.0.flights.borrow_mut();
        let ids = flights.noted_next().take(AHEAD).map(|flight| flight.id);
        self.0.node.borrow().fetch(ids);
        self.0.fanout.fetch_ends(flights.noted_next().take(AHEAD));
        let landed = |flight| self.land(flight);
        flights.poll_noted(AHEAD, |cx, flight| self.0.fanout.poll(cx, flight), landed);
    }

    /// Ends calls whose deadline has passed, and sets the watch to the next one; true if there were
    /// any.
    fn end_late(&self, watch: &mut Pin<&mut Sleep>) -> bool {
        let mut flights = self.0.flights.borrow_mut();
        let (mut any, elapsed) = (false, watch.is_elapsed());
        // Those that fell due while this waited for its turn are not looked at yet: their answers
        // may be among what was noted.
        let at = watch.deadline();
        while elapsed
            && let Some(flight) = flights.take_late(at, |cx, flight| self.0.fanout.poll(cx, flight))
        {
            any = true;
            self.land(flight);
        }
        match flights.deadline() {
            Some(next) if elapsed || next < watch.deadline() => watch.as_mut().reset(next),
            None if elapsed => watch.set(sleep(FAR)),
            _ => {}
        }
        any
    }

    /// Lets the node hear of some calls that ended, at one time.
    fn hear_some(&self) {
        if self.0.ended.borrow().is_empty() {
            return;
        }
        let now = self.0.clock.now();
        for _ in 0..AHEAD {
            let Some((call, outcome)) = self.0.ended.borrow_mut().pop_front() else {
                return;
            };
            self.step_at(now, Input::Completed { call, outcome });
        }
    }

    /// Does these things in order. Up to [`AHEAD`] calls begin before the first of them is sent
    /// (ADR 0014); what is no call waits until those before it are sent, so that effects keep
    /// their order.
    pub(super) fn perform_all(&self, mut effects: Drain<'_, Effect>, answers: bool) {
        while effects.len() > 0 {
            if effects.len() > 1 {
                self.0.fanout.fetch(effects.as_slice().iter().take(AHEAD));
                self.0.flights.borrow().fetch(AHEAD.min(effects.len()));
            }
            for effect in effects.by_ref().take(AHEAD) {
                if !matches!(effect, Effect::Call(_)) {
                    self.send_fresh();
                }
                self.perform(effect, answers);
            }
            self.send_fresh();
        }
    }

    /// Makes a call, after what tests want to happen before, and `after_others` have had a turn.
    pub(super) fn call(&self, call: Call, after_others: bool) {
        let injected = {
            let mut dice = self.0.dice.borrow_mut();
            self.0.fanout.injections(&call, || dice.random())
        };
        if injected.is_empty() && !after_others {
            return self.begin(call);
        }
        let outstanding = Outstanding::new(self, call.id, call.lane == Lane::Peer);
        spawn_local(Box::pin(self.clone().begin_after(
            call,
            injected,
            outstanding,
        )));
    }

    fn begin(&self, call: Call) {
        let (id, lane, fenced) = (call.id, call.lane, call.fence.is_some());
        match self.0.fanout.begin(call) {
            Begun::Flight(flight) => {
                let deadline = flight.deadline();
                self.0.flights.borrow_mut().put(deadline, flight);
                if self.0.watch.get().is_none_or(|watch| deadline < watch) {
                    self.0.noted.ring();
                }
            }
            Begun::Outcome(outcome) => self.came_of((id, fenced), outcome),
            Begun::Large(call) => {
                let outstanding = Outstanding::new(self, id, lane == Lane::Peer);
                let owner = self.clone();
                // Boxed, because the runtime moves what it spawns several times.
                spawn_local(Box::pin(async move {
                    let sent = owner.0.fanout.send(call);
                    owner.follow(outstanding, fenced, sent).await;
                }));
            }
        }
    }

    /// Sends what began, in a row, so that beginning and sending each have the cache for a while.
    fn send_fresh(&self) {
        let mut flights = self.0.flights.borrow_mut();
        let landed = |flight| self.land(flight);
        flights.poll_fresh(|cx, flight| self.0.fanout.poll(cx, flight), landed);
    }

    async fn begin_after(self, call: Call, injected: Vec<Step>, mut outstanding: Outstanding<N>) {
        let ready = tokio::select! {
            biased;
            () = &mut outstanding.recalled, if call.fence.is_some() => Err(recall_fault()),
            ready = inject(&call, injected) => ready,
        };
        match ready {
            Ok(()) => {
                outstanding.call = None;
                self.begin(call);
                self.send_fresh();
            }
            Err(fault) => outstanding.complete(Err(fault)),
        }
    }

    /// Called while the flights are borrowed: must not step.
    fn land(&self, flight: Flight<N>) {
        let call = (flight.id, flight.fenced);
        self.came_of(call, self.0.fanout.end(flight));
    }

    fn came_of(&self, (id, fenced): (CallId, bool), outcome: Outcome) {
        match outcome {
            Outcome::Now(outcome) => self.note_end((id, outcome)),
            Outcome::Later(later) => {
                let outstanding = Outstanding::new(self, id, false);
                let owner = self.clone();
                spawn_local(async move { owner.follow(outstanding, fenced, later).await });
            }
        }
    }

    fn note_end(&self, ended: Ended) {
        let mut all = self.0.ended.borrow_mut();
        all.push_back(ended);
        if all.len() == 1 {
            self.0.noted.ring();
        }
    }

    /// A call that goes on by itself, to its end.
    async fn follow(
        &self,
        mut outstanding: Outstanding<N>,
        fenced: bool,
        sent: impl Future<Output = Result<Reply, CallFault>>,
    ) {
        let outcome = tokio::select! {
            biased;
            () = &mut outstanding.recalled, if fenced => Err(recall_fault()),
            outcome = sent => outcome,
        };
        outstanding.complete(outcome);
    }

    /// Ends all calls that carry a fence.
    pub(super) fn recall(&self) {
        let recalled = self.0.flights.borrow_mut().extract(|flight| flight.fenced);
        for flight in recalled {
            self.note_end((flight.id, Err(recall_fault())));
        }
        self.0.recall.notify_waiters();
    }
}

fn recall_fault() -> CallFault {
    let text = "recalled: this statestored is no longer active";
    CallFault(Status::error(StatusCode::INTERNAL_ERROR, text))
}

/// A call in a task of its own, whose outcome the node has not heard yet.
struct Outstanding<N: Net> {
    owner: Owner<N>,
    call: Option<CallId>,
    to_peer: bool,
    /// Rings for what is recalled from now on, also before the task had its first turn.
    recalled: Pin<Box<OwnedNotified>>,
}

impl<N: Net> Outstanding<N> {
    fn new(owner: &Owner<N>, call: CallId, to_peer: bool) -> Self {
        let calls = &owner.0.to_peer;
        calls.set(calls.get() + usize::from(to_peer));
        Self {
            owner: owner.clone(),
            call: Some(call),
            to_peer,
            recalled: Box::pin(Arc::clone(&owner.0.recall).notified_owned()),
        }
    }

    fn complete(mut self, outcome: Result<Reply, CallFault>) {
        if let Some(call) = self.call.take() {
            self.owner.step(Input::Completed { call, outcome });
        }
    }
}

impl<N: Net> Drop for Outstanding<N> {
    fn drop(&mut self) {
        let calls = &self.owner.0.to_peer;
        calls.set(calls.get() - usize::from(self.to_peer));
        if let Some(call) = self.call.take() {
            let outcome = Err(abandoned());
            self.owner.step(Input::Completed { call, outcome });
        }
    }
}

#[cfg(test)]
mod tests;
