//! A large reply leaves the runtime that made the call; a small one never does.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Act, PATIENCE, Scripted};
use statestore_rpc::{CallLimits, Failure, Pool, PoolLimits, Purpose, RpcError, TcpNet, elsewhere};
use statestore_wire::envelope::write_reply;
use statestore_wire::{
    Envelope, HeartbeatRequest, HeartbeatResponse, MessageKind, Status, StatusCode,
};
use std::future::pending;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

const BEATS: Purpose = Purpose("subscriber-heartbeat");

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

async fn call(bulk: Handle, text_bytes: usize) -> Result<HeartbeatResponse, RpcError> {
    let peer = Scripted::start(vec![Act::Send(answer(text_bytes))]).await;
    let limits = PoolLimits {
        bulk: Some(bulk),
        ..PoolLimits::default()
    };
    let pool = Pool::new(TcpNet, limits);
    let limits = CallLimits {
        deadline: PATIENCE,
        max_reply: 64 << 20,
    };
    let request = HeartbeatRequest::default();
    pool.call(&peer.at, BEATS, &request, limits).await
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
