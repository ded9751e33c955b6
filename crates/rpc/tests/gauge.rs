//! A pool and a server that share the files of a process.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Act, PATIENCE, Running, Scripted, expect, heartbeat, plain, reply, until};
use statestore_rpc::{CallLimits, HostPort, Limits, Pool, PoolLimits, Purpose, Quiet, TcpNet};
use statestore_wire::HeartbeatRequest;
use std::sync::Arc;

const WORK: Purpose = Purpose("test");

// P9: what peers keep open towards us is not kept open by us, and what they do not take is.
#[tokio::test]
async fn a_pool_keeps_as_many_more_connections_as_a_server_beside_it_has_less() {
    let limits = Limits::default();
    let open = limits.open.clone();
    let pool_limits = PoolLimits {
        max_open: 3,
        beside: open.clone(),
        ..PoolLimits::default()
    };
    let pool = Pool::new(TcpNet, pool_limits);
    let server = Running::start(limits, Arc::new(Quiet)).await;
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(Scripted::start(vec![Act::Answer(usize::MAX)]).await);
    }
    let call = async |to: &HostPort| {
        let request = HeartbeatRequest::default();
        let call = pool.call(to, WORK, &request, CallLimits::small(PATIENCE));
        call.await.unwrap();
        pool.usage(WORK).total
    };
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = plain(&server.at).await;
        expect(&mut stream, &heartbeat(), &reply("Heartbeat", 0)).await;
        streams.push(stream);
    }
    for peer in &peers {
        assert_eq!(call(&peer.at).await, 1);
    }
    drop(streams);
    until("they are gone", || open.get() == 0).await;
    for (peer, total) in peers.iter().zip([2, 3, 3]) {
        assert_eq!(call(&peer.at).await, total);
    }
    assert_eq!(peers[2].accepted(), 1, "its connection was kept");
}
