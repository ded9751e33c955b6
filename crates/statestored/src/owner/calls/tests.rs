//! Calls that end all at once, late, or because they are recalled.
#![allow(clippy::unwrap_used)]

use super::super::tests::owner;
use super::*;
use statestore_rpc::TcpNet;
use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
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
