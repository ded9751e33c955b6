//! Calls that end all at once, late, or because they are recalled.
#![allow(clippy::unwrap_used)]

use super::super::STEPS;
use super::super::tests::{owner, owner_by};
use super::*;
use crate::clock::Clock;
use statestore_core::time::{Now, Time, Wall};
use statestore_rpc::TcpNet;
use statestore_wire::{NetworkAddress, ProtocolVersion, RegisterSubscriberRequest};
use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::sync::Mutex;
use tokio::task::LocalSet;

/// Rings when the future is dropped that holds it.
struct Held(Rc<Cell<bool>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// A call that goes on for ever unless it is recalled; the flag says that it is over.
fn goes_on(owner: &Owner<TcpNet>, fenced: bool) -> Rc<Cell<bool>> {
    let over = Rc::new(Cell::new(false));
    let held = Held(Rc::clone(&over));
    let later = Box::pin(async move {
        let _held = held;
        pending().await
    });
    owner.came_of((CallId::numbered(1), fenced), Outcome::Later(later));
    over
}

/// Whatever is ready has its turn first.
async fn turn() {
    let mut had = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        match std::mem::replace(&mut had, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

async fn some_turns() {
    for _ in 0..10 {
        turn().await;
    }
}

// ha.md rule 3
#[tokio::test]
async fn a_recall_ends_calls_that_had_no_turn_yet_and_leaves_those_without_a_fence() {
    let test = async {
        let owner = owner();
        for turns in [false, true] {
            let (fenced, free) = (goes_on(&owner, true), goes_on(&owner, false));
            if turns {
                some_turns().await;
            }
            owner.recall();
            some_turns().await;
            assert!(fenced.get() && !free.get(), "after turns: {turns}");
        }
    };
    LocalSet::new().run_until(test).await;
}

// P4
#[tokio::test]
async fn however_many_calls_end_at_once_others_get_their_turn() {
    let test = async {
        let owner = owner();
        let many = 20 * ROUNDS * AHEAD;
        for n in 0..many {
            owner.note_end((CallId::numbered(n as u64), Err(abandoned())));
        }
        let attending = owner.clone();
        spawn_local(async move { attending.attend_calls().await });
        let other = spawn_local(async move {
            let left = || owner.0.ended.borrow().len();
            let (mut before, mut turns) = (left(), 0);
            while left() > 0 {
                turn().await;
                assert!(before - left() <= ROUNDS * AHEAD);
                before = left();
                turns += 1;
            }
            turns
        });
        let turns = other.await.unwrap();
        assert!((15..25).contains(&turns), "{turns} turns");
    };
    LocalSet::new().run_until(test).await;
}

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
struct Still(Mutex<Time>);

impl Still {
    fn go_on(&self, by: Duration) {
        let mut time = self.0.lock().unwrap();
        *time = *time + by;
    }
}

impl Clock for Still {
    fn now(&self) -> Now {
        Now {
            time: *self.0.lock().unwrap(),
            wall: Wall(0),
        }
    }
}

// P5
#[tokio::test]
async fn news_for_thousands_go_out_in_several_steps_before_answers_are_read() {
    let test = async {
        let clock = Arc::new(Still(Mutex::new(Time::from_nanos(1 << 40))));
        let owner = owner_by(clock.clone());
        let pending = || owner.0.node.borrow().totals().calls_pending;
        for n in 0..2_000 {
            let request = RegisterSubscriberRequest {
                protocol_version: ProtocolVersion::V2,
                subscriber_id: format!("subscriber-{n}").into(),
                subscriber_location: NetworkAddress::default(), // nobody can be reached there
                topic_registrations: Vec::new(),
                subscriber_type: None,
                subscribe_catalogd_change: None,
                catalogd_registration: None,
                heartbeat_timeout_ms: None,
                publishes: None,
            };
            let response = owner.register(request).await.unwrap();
            assert!(response.status.is_ok(), "{:?}", response.status);
        }
        let mut sent = Vec::new();
        for with_news in [false, true] {
            while owner.0.node.borrow().deadline() <= Some(clock.time()) || pending() > 0 {
                owner.step(Input::Timer);
                some_turns().await;
            }
            clock.go_on(Duration::from_secs(2));
            match with_news {
                true => owner.step_with_news(),
                false => drop(owner.step(Input::Timer)),
            }
            sent.push(pending());
        }
        assert!(sent[0] > 100 && sent[1] == STEPS * sent[0], "{sent:?}");
    };
    LocalSet::new().run_until(test).await;
}
