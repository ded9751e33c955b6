//! What only a call has that is polled: a place, a deadline that somebody else keeps, and two
//! kinds of ends. The rules of all calls are shown in `pool`.
#![allow(clippy::unwrap_used)]

mod common;

use bytes::Bytes;
use common::way::{BEATS, Caller, Way, end, ready, whole};
use common::{Act, PATIENCE, Scripted, envelope, heartbeat, reply, until};
use statestore_rpc::pool::{Ended, Place, Started};
use statestore_rpc::{CallLimits, Failure, PoolLimits, Reply, RpcError, TcpNet, Usage};
use statestore_wire::envelope::write_reply;
use statestore_wire::{HeartbeatResponse, MessageKind, Status, StatusCode};
use std::time::Duration;
use tokio::time::Instant;

/// Short, where the test waits for it.
const SHORT: Duration = Duration::from_millis(150);
/// More than a connection takes that nobody reads from.
const MUCH: usize = 64 << 20;

fn caller() -> Caller<TcpNet> {
    Way::PolledKept.caller(PoolLimits::default())
}

fn limits() -> CallLimits {
    CallLimits::small(PATIENCE)
}

fn now(ended: Ended<TcpNet>) -> Result<Reply<TcpNet>, RpcError> {
    match ended {
        Ended::Now(result) => result,
        Ended::Later(_) => panic!("there is something left to do"),
    }
}

// K-1
#[tokio::test]
async fn a_place_that_is_out_of_date_leads_to_nobody_else() {
    let one = Scripted::start(vec![Act::Answer(usize::MAX)]).await;
    let two = Scripted::start(vec![Act::Answer(usize::MAX)]).await;
    let caller = caller();
    for _ in 0..2 {
        caller.call(&one.at, PATIENCE).await.unwrap();
    }
    let old = caller.place(&one.at);
    assert_ne!(old, Place::default());
    caller.pool.close(&one.at);
    // Now the other has what the first one had.
    caller.call(&two.at, PATIENCE).await.unwrap();
    for _ in 0..2 {
        caller.set_place(&one.at, old);
        caller.call(&one.at, PATIENCE).await.unwrap();
        assert_ne!(caller.place(&one.at), old);
    }
    assert_eq!((one.calls(), two.calls()), (4, 1));
    assert_eq!((one.accepted(), two.accepted()), (2, 1));
}

// K-1, F-4: what is in use when its address is closed is not lent again, by any place
#[tokio::test]
async fn a_place_whose_connections_are_all_closed_or_in_use_lends_none() {
    let (caller, peer) = Way::PolledKept.meet(vec![Act::Answer(usize::MAX)]).await;
    caller.call(&peer.at, PATIENCE).await.unwrap();
    let first = caller.small(&peer.at, heartbeat(), limits());
    let second = caller.reply((&peer.at, BEATS), heartbeat(), limits());
    let second = second.await.unwrap();
    assert_eq!(peer.accepted(), 2);
    caller.pool.close(&peer.at);
    for reply in [
        now(end(first, &peer.at, &caller.usual).await).unwrap(),
        second,
    ] {
        reply.decode::<HeartbeatResponse>(&peer.at).unwrap();
    }
    assert_eq!(caller.pool.usage(BEATS), Usage::default());
    caller.call(&peer.at, PATIENCE).await.unwrap();
    assert_eq!(peer.accepted(), 3);
}

// K-3: by what it waits for
#[tokio::test]
async fn a_call_that_ends_before_it_is_ready_has_timed_out_now() {
    for (act, bytes) in [(Act::Deaf, vec![0; MUCH]), (Act::Silent, heartbeat())] {
        let (caller, peer) = Way::PolledKept.meet(vec![act.clone()]).await;
        let start = Instant::now();
        let small = caller.small(&peer.at, bytes, CallLimits::small(SHORT));
        assert!(small.deadline() >= start + SHORT);
        let error = now(end(small, &peer.at, &caller.usual).await).unwrap_err();
        assert!(start.elapsed() >= SHORT);
        let is_right = match act {
            Act::Deaf => matches!(failure(&error), Some(Failure::SendTimeout)),
            _ => matches!(error, RpcError::RecvTimeout { .. }),
        };
        assert!(is_right, "{act:?}: {error}");
        assert_eq!(caller.pool.usage(BEATS), Usage::default());
        assert_eq!(peer.accepted(), 1);
    }
}

fn failure(error: &RpcError) -> Option<&Failure> {
    match error {
        RpcError::General { failure, .. } => Some(failure),
        _ => None,
    }
}

// K-1, K-3
#[tokio::test]
async fn a_call_that_is_never_polled_sends_nothing_and_drops_its_connection() {
    for ends in [true, false] {
        let (caller, peer) = Way::PolledKept.meet(vec![Act::Answer(usize::MAX)]).await;
        let small = caller.small(&peer.at, heartbeat(), limits());
        let (in_use, total) = (1, 1);
        assert_eq!(caller.pool.usage(BEATS), Usage { in_use, total });
        if ends {
            let error = now(small.end(&peer.at)).unwrap_err();
            assert!(matches!(failure(&error), Some(Failure::SendTimeout)));
        } else {
            drop(small);
        }
        assert_eq!(caller.pool.usage(BEATS), Usage::default());
        caller.call(&peer.at, PATIENCE).await.unwrap();
        assert_eq!((peer.accepted(), peer.calls()), (2, 1));
    }
}

// K-5, W14
#[tokio::test]
async fn the_deadline_counts_from_the_beginning_also_where_a_call_goes_on_as_a_future() {
    for acts in [
        vec![Act::Silent],
        vec![Act::AnswerThen(1, Act::Silent.into())],
        vec![Act::AnswerThen(1, Act::Reset.into()), Act::Silent],
    ] {
        let (caller, peer) = (caller(), Scripted::start(acts.clone()).await);
        if matches!(acts[0], Act::AnswerThen(..)) {
            caller.call(&peer.at, PATIENCE).await.unwrap();
        }
        let start = Instant::now();
        let to = (&peer.at, BEATS, &mut Place::default());
        let request = ("Heartbeat", heartbeat());
        let started = caller.pool.start(to, request, CallLimits::small(SHORT));
        let error = whole(started, &peer.at, &caller.usual).await.unwrap_err();
        assert!(error.to_string().contains("recv timed out"), "{error}");
        assert!(start.elapsed() >= SHORT);
        assert!(start.elapsed() < PATIENCE / 2);
    }
}

// K-1, K-2
#[tokio::test]
async fn what_is_fetched_before_is_lent_as_if_it_were_not() {
    for (act, accepted) in [(Act::Answer(usize::MAX), 1), (Act::Answer(1), 2)] {
        let (caller, peer) = Way::PolledKept.meet(vec![act, Act::Answer(9)]).await;
        // One of the two peers closes after this.
        caller.call(&peer.at, PATIENCE).await.unwrap();
        let place = caller.place(&peer.at);
        caller.pool.fetch([place, Place::default(), place]);
        caller.call(&peer.at, PATIENCE).await.unwrap();
        let (in_use, total) = (0, 1);
        assert_eq!(caller.pool.usage(BEATS), Usage { in_use, total });
        assert_eq!(peer.accepted(), accepted);
    }
}

// K-1
#[tokio::test]
async fn calls_are_not_disturbed_by_fetching_their_ends() {
    let (caller, peer) = Way::PolledKept.meet(vec![Act::Answer(usize::MAX)]).await;
    let mut small = caller.small(&peer.at, heartbeat(), limits());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = small.poll(&mut cx, &caller.usual.borrow());
    until("the call is answered", || peer.calls() == 1).await;
    caller.pool.fetch_ends([&*small]);
    let reply = now(end(small, &peer.at, &caller.usual).await).unwrap();
    reply.decode::<HeartbeatResponse>(&peer.at).unwrap();
    caller.call(&peer.at, PATIENCE).await.unwrap();
    assert_eq!((peer.accepted(), peer.calls()), (1, 2));
}

/// An answer that tells an error in so many letters.
fn refusal(code: StatusCode, letters: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let call = envelope(MessageKind::Call, "Heartbeat", 0);
    let response = HeartbeatResponse {
        status: Status::error(code, "x".repeat(letters)),
        ..HeartbeatResponse::default()
    };
    write_reply(&call, &response, &mut out);
    out
}

/// A peer that answers like this once it has answered others so often.
async fn answers(bytes: Vec<u8>, before: usize) -> Scripted {
    let act = Act::AnswerThen(before, Act::Send(bytes).into());
    Scripted::start(vec![act, Act::Deaf]).await
}

fn usual(caller: &Caller<TcpNet>) -> Option<Bytes> {
    caller.usual.borrow().bytes().cloned()
}

// K-1
#[tokio::test]
async fn an_answer_is_what_it_says_whatever_was_usual() {
    let caller = caller();
    let fine = Scripted::start(vec![Act::Answer(usize::MAX)]).await;
    for letters in [0, 1, 100, 600] {
        let other = answers(refusal(StatusCode::GENERAL, letters), 1).await;
        caller.call(&other.at, PATIENCE).await.unwrap();
        for _ in 0..2 {
            let answer = caller.call(&fine.at, PATIENCE).await.unwrap();
            assert_eq!(answer, HeartbeatResponse::default());
            assert_eq!(usual(&caller).unwrap(), reply("Heartbeat", 0));
        }
        let answer = caller.call(&other.at, PATIENCE).await.unwrap();
        assert_eq!(answer.status.message().len(), letters);
        // A long one is not worth to be remembered.
        let remembered = usual(&caller).unwrap() == refusal(StatusCode::GENERAL, letters);
        assert_eq!(remembered, letters < 512);
        assert_eq!(other.accepted(), 1);
    }
    assert_eq!((fine.accepted(), fine.calls()), (1, 8));
}

// K-1
#[tokio::test]
async fn another_answer_of_the_same_length_is_another_answer() {
    let caller = caller();
    let refusals = [StatusCode::GENERAL, StatusCode::INTERNAL_ERROR].map(|code| refusal(code, 0));
    let [one, two] = refusals.each_ref();
    assert_eq!(one.len(), two.len());
    let (first, second) = (answers(one.clone(), 1).await, answers(two.clone(), 1).await);
    for peer in [&first, &second] {
        caller.call(&peer.at, PATIENCE).await.unwrap(); // which is not polled
    }
    for (peer, bytes) in [(&first, one), (&second, two)] {
        let answer = caller.call(&peer.at, PATIENCE).await.unwrap();
        assert_ne!(answer, HeartbeatResponse::default());
        assert_eq!(usual(&caller).unwrap(), *bytes);
    }
}

// K-1
#[tokio::test]
async fn the_usual_answer_is_accepted_where_it_is_usual_still_and_else_the_call_is_as_it_was() {
    let (caller, peer) = Way::PolledKept.meet(vec![Act::Answer(usize::MAX)]).await;
    let known = usual(&caller).unwrap();
    let accept = |small| caller.usual.borrow().accept(small);
    let small = caller.small(&peer.at, heartbeat(), limits());
    let mut small = accept(small).unwrap_err(); // it has no answer yet
    ready(&mut small, &caller.usual).await;
    // Meanwhile another one has become usual.
    let other = answers(refusal(StatusCode::GENERAL, 0), 0).await;
    caller.call(&other.at, PATIENCE).await.unwrap();
    let small = accept(small).unwrap_err();
    let answer = now(small.end(&peer.at)).unwrap();
    // It was not scanned, for it was known when it came.
    assert_eq!(answer.bytes().as_ptr(), known.as_ptr());
    let serial = answer.connection();
    let value = caller.usual.borrow_mut().decode(answer, &peer.at).unwrap();
    assert_eq!(value, HeartbeatResponse::default());
    let mut small = caller.small(&peer.at, heartbeat(), limits());
    ready(&mut small, &caller.usual).await;
    let accepted = accept(small).unwrap();
    assert_eq!(accepted, (HeartbeatResponse::default(), serial));
    let (in_use, total) = (0, 2);
    assert_eq!(caller.pool.usage(BEATS), Usage { in_use, total });
    caller.call(&peer.at, PATIENCE).await.unwrap();
    assert_eq!(peer.accepted(), 1);
}

// K-1
#[tokio::test]
async fn the_usual_answer_to_one_method_is_none_to_another() {
    let (caller, peer) = Way::PolledKept.meet(vec![Act::Answer(usize::MAX)]).await;
    let mut place = caller.place(&peer.at);
    let request = ("UpdateState", heartbeat());
    let started = caller
        .pool
        .start((&peer.at, BEATS, &mut place), request, limits());
    let Started::Small(mut small) = started else {
        panic!("nothing is idle");
    };
    ready(&mut small, &caller.usual).await;
    let small = caller.usual.borrow().accept(small).unwrap_err();
    assert!(now(small.end(&peer.at)).is_err());
    assert_eq!(caller.pool.usage(BEATS), Usage::default());
}

// K-1: what came with it, before or after, is not what was asked for
#[tokio::test]
async fn the_usual_answer_is_known_only_if_it_is_all_that_came() {
    let whole = reply("Heartbeat", 0);
    let (first, last) = (whole[..9].to_vec(), whole[..whole.len() - 1].to_vec());
    let twice = whole.repeat(2);
    for (bytes, comes) in [(first, false), (last, false), (twice, true)] {
        let act = Act::AnswerThen(2, Act::SendAndClose(bytes).into());
        let peer = Scripted::start(vec![act, Act::Deaf]).await;
        let caller = caller();
        for _ in 0..2 {
            caller.call(&peer.at, PATIENCE).await.unwrap();
        }
        assert_eq!(usual(&caller).unwrap(), whole);
        let answer = caller.call(&peer.at, PATIENCE).await;
        assert_eq!(answer.is_ok(), comes, "{answer:?}");
        let (in_use, total) = (0, 0);
        assert_eq!(caller.pool.usage(BEATS), Usage { in_use, total });
    }
}
