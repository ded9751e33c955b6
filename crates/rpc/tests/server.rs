//! A server under load, under attack and under shutdown.
#![allow(clippy::unwrap_used)]

mod common;

use common::counts::Counts;
use common::{
    PATIENCE, Running, expect, expect_closed, gate_call, heartbeat, plain, reply, until, within,
};
use statestore_rpc::{
    Budget, Call, CallLimits, Connection, HostPort, Limits, Listener, LocalService, Net, Outcome,
    Pool, PoolLimits, Purpose, Quiet, Server, TcpNet, dispatch,
};
use statestore_wire::envelope::write_call;
use statestore_wire::{HeartbeatRequest, HeartbeatResponse, UpdateStateRequest};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const WORK: Purpose = Purpose("test");

/// The start of an update with a topic name that claims `claimed` bytes, and `sent` of them.
fn half_update(claimed: i32, sent: usize) -> Vec<u8> {
    let mut out = Vec::new();
    write_call(&UpdateStateRequest::default(), &mut out);
    out.truncate(out.len() - 6); // the map's size and two stops
    out.extend([0, 0, 0, 1]);
    out.extend(claimed.to_be_bytes());
    out.resize(out.len() + sent, b'x');
    out
}

#[tokio::test]
async fn the_observer_sees_connections_and_calls_of_known_methods() {
    let counts = Arc::new(Counts::default());
    let server = Running::start(Limits::default(), counts.clone()).await;
    let mut stream = plain(&server.at).await;
    expect(&mut stream, &heartbeat(), &reply("Heartbeat", 0)).await;
    expect(&mut stream, &heartbeat(), &reply("Heartbeat", 0)).await;
    let mut other = plain(&server.at).await;
    let call = gate_call(true);
    expect_closed(&mut other, &call).await;
    until("one connection is left", || counts.open() == 1).await;
    drop(stream);
    until("none is left", || counts.open() == 0).await;
    assert_eq!(counts.total.load(Ordering::SeqCst), 2);
    assert_eq!(counts.started.load(Ordering::SeqCst), 3);
    let ended = counts.ended.lock().unwrap();
    assert!(ended["Heartbeat"].iter().all(Option::is_some));
    assert_eq!(ended["Heartbeat"].len(), 2);
    assert_eq!(ended["SetStatestoreDebugAction"], [None]);
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_own_connection_only() {
    let server = Running::start(Limits::default(), Arc::new(Quiet)).await;
    let mut other = plain(&server.at).await;
    expect(&mut other, &heartbeat(), &reply("Heartbeat", 0)).await;
    let mut stream = plain(&server.at).await;
    expect_closed(&mut stream, &gate_call(true)).await;
    expect(&mut other, &heartbeat(), &reply("Heartbeat", 0)).await;
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_the_connection_before_it_arrives() {
    let limits = Limits {
        max_message: 1000,
        ..Default::default()
    };
    let server = Running::start(limits, Arc::new(Quiet)).await;
    let mut stream = plain(&server.at).await;
    expect_closed(&mut stream, &half_update(1000, 1)).await;
    let mut stream = plain(&server.at).await;
    expect(&mut stream, &heartbeat(), &reply("Heartbeat", 0)).await;
}

// P9: half messages of many connections
#[tokio::test]
async fn half_messages_share_a_budget_and_small_calls_go_on_when_it_is_spent() {
    const MIB: u64 = 1 << 20;
    let budget = Budget::new(16 * MIB);
    let limits = Limits {
        budget: budget.clone(),
        ..Default::default()
    };
    let counts = Arc::new(Counts::default());
    let server = Running::start(limits, counts.clone()).await;
    let half = half_update(60 << 20, 1 << 20);
    let mut attackers = Vec::new();
    for _ in 0..40 {
        let mut stream = plain(&server.at).await;
        let _ = stream.write_all(&half).await; // fails where the budget is spent
        attackers.push(stream);
    }
    until("the budget turns some away", || counts.open() < 40).await;
    assert!(budget.used() <= 16 * MIB && budget.used() > 0);
    let mut fine = plain(&server.at).await;
    expect(&mut fine, &heartbeat(), &reply("Heartbeat", 0)).await;
    drop(attackers);
    until("all is given back", || budget.used() == 0).await;
    expect(&mut fine, &heartbeat(), &reply("Heartbeat", 0)).await;
}

#[tokio::test]
async fn a_connection_that_claims_much_and_sends_little_reserves_little() {
    let budget = Budget::new(u64::MAX);
    let limits = Limits {
        max_message: 64 << 30,
        budget: budget.clone(),
        ..Default::default()
    };
    let counts = Arc::new(Counts::default());
    let server = Running::start(limits, counts.clone()).await;
    let mut stream = plain(&server.at).await;
    stream
        .write_all(&half_update(i32::MAX, 200_000))
        .await
        .unwrap();
    until("a charge", || budget.used() > 200_000).await;
    assert!(
        budget.used() < 200_000 + (1 << 20) + (1 << 16),
        "{}",
        budget.used()
    );
    drop(stream);
    until("closed", || counts.open() == 0).await;
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn a_message_that_stalls_is_cut_off_and_an_idle_connection_is_not() {
    let stall = Duration::from_millis(100);
    let limits = Limits {
        stall,
        ..Default::default()
    };
    let server = Running::start(limits, Arc::new(Quiet)).await;
    let mut idle = plain(&server.at).await;
    expect(&mut idle, &heartbeat(), &reply("Heartbeat", 0)).await;
    let start = Instant::now();
    let mut stalled = plain(&server.at).await;
    expect_closed(&mut stalled, &heartbeat()[..30]).await;
    assert!(start.elapsed() >= stall);
    // A byte now and then is a stall too.
    let mut dribbling = plain(&server.at).await;
    dribbling.write_all(&half_update(1 << 20, 0)).await.unwrap();
    until("the dribbler is cut off", || {
        dribbling.try_write(b"x").is_err() || dribbling.try_read(&mut [0]).is_ok()
    })
    .await;
    expect(&mut idle, &heartbeat(), &reply("Heartbeat", 0)).await;
}

#[tokio::test]
async fn a_peer_that_never_reads_its_answer_is_cut_off() {
    let limits = Limits {
        stall: Duration::from_millis(100),
        ..Default::default()
    };
    let counts = Arc::new(Counts::default());
    let server = Running::start(limits, counts.clone()).await;
    let mut deaf = plain(&server.at).await;
    let update = update_of(1 << 20, 1);
    let mut sent = Vec::new();
    update.iter().for_each(|part| sent.extend_from_slice(part));
    // Until both directions are full and the server gives up.
    let flood = async { while deaf.write_all(&sent).await.is_ok() {} };
    within(flood).await;
    until("closed", || counts.open() == 0).await;
}

#[tokio::test]
async fn shutdown_finishes_calls_in_hand_and_closes_idle_and_half_read_connections() {
    let limits = Limits {
        grace: PATIENCE,
        ..Default::default()
    };
    let server = Running::start(limits, Arc::new(Quiet)).await;
    let (at, probe) = (server.at.clone(), server.probe.clone());
    let mut busy = plain(&at).await;
    busy.write_all(&gate_call(false)).await.unwrap();
    let mut half = plain(&at).await;
    half.write_all(&heartbeat()[..10]).await.unwrap();
    let mut idle = plain(&at).await;
    expect(&mut idle, &heartbeat(), &reply("Heartbeat", 0)).await;
    until("the call is in hand", || {
        probe.waiting.load(Ordering::SeqCst) == 1
    })
    .await;

    let ended = server.stop();
    expect_closed(&mut idle, &[]).await;
    expect_closed(&mut half, &[]).await;
    probe.gate.add_permits(1);
    let mut answer = Vec::new();
    within(busy.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer[3], 2, "a reply");
    within(ended).await.unwrap();
    assert!(TcpNet.connect(&at).await.is_err());
}

#[tokio::test]
async fn shutdown_cuts_off_what_takes_longer_than_the_grace_time() {
    let limits = Limits {
        grace: Duration::from_millis(50),
        ..Default::default()
    };
    let server = Running::start(limits, Arc::new(Quiet)).await;
    let probe = server.probe.clone();
    let mut busy = plain(&server.at).await;
    busy.write_all(&gate_call(false)).await.unwrap();
    until("the call is in hand", || {
        probe.waiting.load(Ordering::SeqCst) == 1
    })
    .await;
    within(server.stop()).await.unwrap();
    expect_closed(&mut busy, &[]).await;
}

/// Lives on one thread, as its counter shows.
#[derive(Clone)]
struct Local(Rc<Cell<usize>>);

impl LocalService for Local {
    const METHODS: &'static [&'static str] = &["Heartbeat"];

    async fn call(&self, call: Call) -> Outcome {
        tokio::task::yield_now().await;
        self.0.set(self.0.get() + 1);
        dispatch!(call, {
            HeartbeatRequest => |_request| Ok::<_, String>(HeartbeatResponse::default()),
        })
    }
}

#[tokio::test]
async fn a_service_that_is_not_send_is_served_on_one_thread() {
    let calls = Rc::new(Cell::new(0));
    let service = Local(Rc::clone(&calls));
    let world = tokio::task::LocalSet::new();
    let test = world.run_until(async {
        let listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let port = Listener::local_addr(&listener).unwrap().port();
        let at = HostPort::new("127.0.0.1", port);
        let server = Server::new(listener, Limits::default(), Arc::new(Quiet));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::task::spawn_local(server.serve_local(service, async {
            let _ = stopped.await;
        }));
        let pool = Pool::new(TcpNet, PoolLimits::default());
        let limits = CallLimits::small(PATIENCE);
        for _ in 0..3 {
            let request = HeartbeatRequest::default();
            pool.call(&at, WORK, &request, limits).await.unwrap();
        }
        stop.send(()).unwrap();
        serving.await.unwrap();
    });
    within(test).await;
    assert_eq!(calls.get(), 3);
}

/// An update in segments: `items` items of `each` bytes.
fn update_of(each: usize, items: usize) -> Vec<bytes::Bytes> {
    let mut whole = Vec::new();
    let value = vec![7; each];
    let entries = (0..items).map(|_| (&b"key"[..], &value[..], false));
    let delta = statestore_wire::TopicDelta {
        topic_name: "topic".into(),
        topic_entries: statestore_wire::ItemBatch::from_items(entries),
        ..Default::default()
    };
    let request = UpdateStateRequest {
        topic_deltas: statestore_wire::TopicDeltas(vec![("topic".into(), delta)]),
        ..Default::default()
    };
    write_call(&request, &mut whole);
    let mut whole = bytes::Bytes::from(whole);
    let mut parts = Vec::new();
    while !whole.is_empty() {
        parts.push(whole.split_to(whole.len().min(256 << 10)));
    }
    parts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_go_out_in_segments_and_come_back() {
    const EACH: usize = 1 << 10;
    const ITEMS: usize = 64 << 10;
    let budget = Budget::new(1 << 30);
    let limits = Limits {
        max_message: 1 << 30,
        budget: budget.clone(),
        ..Default::default()
    };
    let server = Running::start(limits, Arc::new(Quiet)).await;
    let parts = update_of(EACH, ITEMS);
    assert!(parts.iter().map(bytes::Bytes::len).sum::<usize>() > 64 << 20);
    let replies = Budget::new(1 << 30);
    let stream: TcpStream = plain(&server.at).await;
    let mut connection = Connection::new(stream, &replies);
    for _ in 0..2 {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let method = "UpdateState";
        let reply = connection.call_raw(&server.at, method, &parts, deadline, 1 << 30);
        let reply = reply.await.unwrap();
        let sent: usize = parts.iter().map(bytes::Bytes::len).sum();
        assert!(replies.used() as usize > 64 << 20);
        assert!(replies.used() as usize <= sent + (2 << 20));
        assert!(
            reply.bytes().len() < 4 << 20,
            "its items are not among them"
        );
        drop(reply);
        assert_eq!(replies.used(), 0);
        until("the server's buffer is free", || budget.used() == 0).await;
    }
    let pool = Pool::new(TcpNet, PoolLimits::default());
    let limits = CallLimits {
        deadline: PATIENCE,
        max_reply: 1 << 30,
    };
    let call = pool.call_parts::<UpdateStateRequest>(&server.at, WORK, &parts, limits);
    let response = call.await.unwrap();
    let entries = &response.topic_updates[0].topic_entries;
    assert_eq!(entries.len(), ITEMS);
    assert_eq!(entries.item(ITEMS - 1).value.len(), EACH);
}
