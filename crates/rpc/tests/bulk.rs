//! A large reply leaves the runtime that made the call; a small one never does.
#![allow(clippy::unwrap_used)]

mod common;

use common::way::{BEATS, Caller, Way, end};
use common::{Act, PATIENCE, Scripted, heartbeat};
use statestore_rpc::pool::Ended;
use statestore_rpc::{CallLimits, Failure, Pool, PoolLimits, RpcError, TcpNet, elsewhere};
use statestore_wire::envelope::write_reply;
use statestore_wire::{
    Envelope, HeartbeatRequest, HeartbeatResponse, MessageKind, Status, StatusCode,
};
use std::future::pending;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

fn answer(text_bytes: usize) -> Vec<u8> {
    let envelope = Envelope {
        kind: MessageKind::Call,
        method: "Heartbeat".into(),
        seqid: 0,
    };
    let response = HeartbeatResponse {
        status: Status::error(StatusCode::GENERAL, "x".repeat(text_bytes)),
        statestore_conn_state: None,
        ..Default::default()
    };
    let mut out = Vec::new();
    write_reply(&envelope, &response, &mut out);
    out
}

fn bulk() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn pool(bulk: Option<Handle>) -> Pool<TcpNet> {
    let limits = PoolLimits {
        bulk,
        ..PoolLimits::default()
    };
    Pool::new(TcpNet, limits)
}

async fn call(bulk: Handle, text_bytes: usize) -> Result<HeartbeatResponse, RpcError> {
    let peer = Scripted::start(vec![Act::Send(answer(text_bytes))]).await;
    let pool = pool(Some(bulk));
    let request = HeartbeatRequest::default();
    pool.call(&peer.at, BEATS, &request, limits()).await
}

fn limits() -> CallLimits {
    CallLimits {
        deadline: PATIENCE,
        max_reply: 64 << 20,
    }
}

#[tokio::test]
async fn a_large_reply_arrives_whole_by_way_of_the_bulk_runtime() {
    let bulk = bulk();
    for size in [100, 65_000, 66_000, 8 << 20] {
        let response = call(bulk.handle().clone(), size).await.unwrap();
        assert_eq!(response.status.message().len(), size);
    }
    bulk.shutdown_background();
}

// K-1
#[tokio::test]
async fn a_large_reply_to_a_polled_call_comes_later_and_whole() {
    let bulk = bulk();
    for (size, is_large) in [
        (100, false),
        (65_000, false),
        (66_000, true),
        (8 << 20, true),
    ] {
        for bulk in [None, Some(bulk.handle().clone())] {
            let peer = [Act::AnswerThen(1, Act::Send(answer(size)).into())];
            let peer = Scripted::start(peer.to_vec()).await;
            let caller = Caller::new(Way::Polled, pool(bulk));
            caller.call(&peer.at, PATIENCE).await.unwrap();
            let small = caller.small(&peer.at, heartbeat(), limits());
            let (was_large, result) = match end(small, &peer.at, &caller.usual).await {
                Ended::Now(result) => (false, result),
                Ended::Later(later) => (true, later.await),
            };
            assert_eq!(was_large, is_large, "{size}");
            let response: HeartbeatResponse = result.unwrap().decode(&peer.at).unwrap();
            assert_eq!(response.status.message().len(), size);
            // Its connection is as good as any.
            caller.small(&peer.at, heartbeat(), limits());
            assert_eq!(peer.accepted(), 1);
        }
    }
    bulk.shutdown_background();
}

#[tokio::test]
async fn without_its_runtime_only_a_large_reply_fails() {
    let gone = bulk();
    let handle = gone.handle().clone();
    gone.shutdown_background();
    call(handle.clone(), 100).await.unwrap();
    let error = call(handle, 8 << 20).await.unwrap_err();
    let RpcError::General { failure, .. } = &error else {
        panic!("{error}");
    };
    assert!(matches!(failure, Failure::Receive(_)), "{error}");
}

#[tokio::test]
async fn work_elsewhere_ends_with_its_caller() {
    let bulk = bulk();
    let (begin, begun) = oneshot::channel();
    let (alive, gone) = oneshot::channel::<()>();
    let waiting = elsewhere(bulk.handle(), async move {
        let _alive = alive;
        begin.send(()).unwrap();
        pending::<()>().await;
    });
    begun.await.unwrap();
    drop(waiting);
    gone.await.unwrap_err();
    bulk.shutdown_background();
}
