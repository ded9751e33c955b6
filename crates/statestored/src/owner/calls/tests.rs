//! Calls that are sent together, and that end all at once, late, or because they are recalled.
#![allow(clippy::unwrap_used)]

use super::super::tests::{owner, some_turns, turn};
use super::*;
use crate::fanout::HEARTBEAT;
use statestore_core::ids::{Key, MemberKey};
use statestore_core::port::{Body, Fence, Receiver};
use statestore_rpc::{TcpNet, Usage};
use statestore_wire::envelope::write_reply;
use statestore_wire::{
    Envelope, Epoch, HeartbeatRequest, HeartbeatResponse, NetworkAddress, Reader, Rpc,
};
use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio::time::timeout;

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

/// A subscriber with an idle connection, so that calls to it are small.
struct Connected {
    key: Key,
    receiver: Arc<Receiver>,
    stream: TcpStream,
}

impl Connected {
    /// The first call opens the connection.
    async fn new(owner: &Owner<TcpNet>, number: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = NetworkAddress {
            hostname: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port().into(),
            uds_address: None,
        };
        let receiver = Arc::new(Receiver::new("subscriber".into(), address));
        let key = Key { number, place: 0 };
        owner.begin(heartbeat(key, &receiver, None));
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut call = [0; 1024];
        let len = stream.read(&mut call).await.unwrap();
        let call = Envelope::read(&mut Reader::new(&call[..len])).unwrap();
        let mut answer = Vec::new();
        write_reply(&call, &HeartbeatResponse::default(), &mut answer);
        stream.write_all(&answer).await.unwrap();
        let idle = Usage {
            in_use: 0,
            total: 1,
        };
        while owner.fanout().usage(HEARTBEAT) != idle {
            turn().await;
        }
        Self {
            key,
            receiver,
            stream,
        }
    }

    /// A call that ends with a recall.
    fn call(&self, owner: &Owner<TcpNet>) -> Call {
        let fence = Fence {
            epoch: Epoch(4),
            until: None,
        };
        owner.0.fence.set(Some(fence));
        heartbeat(self.key, &self.receiver, Some(fence.epoch))
    }

    /// True if the call was sent before it ended, which closed the connection.
    async fn was_called(mut self) -> bool {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        let call = Envelope::read(&mut Reader::new(&rest));
        call.is_ok_and(|call| call.method == HeartbeatRequest::METHOD)
    }
}

fn heartbeat(key: Key, to: &Arc<Receiver>, fence: Option<Epoch>) -> Call {
    Call {
        id: CallId(key),
        to: Arc::clone(to),
        member: Some(MemberKey(key)),
        lane: Lane::Heartbeat,
        timeout: Duration::from_secs(60),
        first_attempt: true,
        fence,
        body: Body::Heartbeat(HeartbeatRequest::default()),
    }
}

// ADR 0014: a recall ends what was begun, sent or not.
#[tokio::test]
async fn a_call_is_sent_before_what_comes_after_it_is_done_and_before_the_step_ends() {
    let test = async {
        let owner = owner();
        for (number, after) in [None, Some(Effect::Recall)].into_iter().enumerate() {
            let subscriber = Connected::new(&owner, number as u64).await;
            let call = Effect::Call(subscriber.call(&owner));
            let what = format!("before {after:?}");
            let mut effects: Vec<Effect> = [call].into_iter().chain(after).collect();
            owner.perform_all(effects.drain(..), false);
            owner.recall();
            assert_eq!(owner.0.ended.take().len(), 1, "{what}");
            assert!(subscriber.was_called().await, "{what}");
        }
    };
    let test = timeout(Duration::from_secs(60), test);
    LocalSet::new().run_until(test).await.unwrap();
}

// ADR 0014
#[tokio::test]
async fn a_call_that_begins_after_others_had_a_turn_is_sent_at_once() {
    let test = async {
        let owner = owner();
        let subscriber = Connected::new(&owner, 1).await;
        let call = Effect::Call(subscriber.call(&owner));
        owner.perform_all(vec![call].drain(..), true);
        let under_way = || owner.0.flights.borrow_mut().deadline().is_some();
        assert!(!under_way());
        while !under_way() {
            turn().await;
        }
        owner.recall();
        assert!(subscriber.was_called().await);
    };
    let test = timeout(Duration::from_secs(60), test);
    LocalSet::new().run_until(test).await.unwrap();
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
