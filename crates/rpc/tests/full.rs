//! A server whose places are taken.
#![allow(clippy::unwrap_used)]

mod common;

use common::counts::Counts;
use common::{Running, expect, expect_closed, gate_call, heartbeat, plain, reply, until, within};
use statestore_rpc::{Limits, Quiet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn places(max_connections: usize) -> Limits {
    Limits {
        max_connections,
        ..Limits::default()
    }
}

/// A connection over which there was a call.
async fn used(server: &Running) -> TcpStream {
    let mut stream = plain(&server.at).await;
    expect(&mut stream, &heartbeat(), &reply("Heartbeat", 0)).await;
    stream
}

// P9: who keeps connections open takes neither every file nor every place.
#[tokio::test]
async fn beyond_the_limit_the_one_that_idles_longest_is_closed_for_another() {
    let counts = Arc::new(Counts::default());
    let server = Running::start(places(3), counts.clone()).await;
    let (mut a, mut b) = (used(&server).await, used(&server).await);
    // This one never speaks, so it goes before those that did.
    let mut silent = plain(&server.at).await;
    until("all places are taken", || counts.open() == 3).await;
    let mut idle = Vec::new();
    for goes in [&mut silent, &mut a, &mut b] {
        let another = used(&server).await;
        expect_closed(goes, b"").await;
        until("its place is another's", || counts.open() == 3).await;
        idle.push(another);
    }
    for stream in &mut idle {
        expect(stream, &heartbeat(), &reply("Heartbeat", 0)).await;
    }
    assert_eq!(counts.total.load(Ordering::SeqCst), 6);
}

// P9, K-2
#[tokio::test]
async fn a_call_in_hand_keeps_its_connection_until_it_is_answered() {
    let counts = Arc::new(Counts::default());
    let server = Running::start(places(1), counts.clone()).await;
    let mut busy = used(&server).await;
    busy.write_all(&gate_call(false)).await.unwrap();
    let waiting = &server.probe.waiting;
    until("it is in hand", || waiting.load(Ordering::SeqCst) == 1).await;
    // One more than there are places, for which nobody could go yet; then one too many.
    let mut other = used(&server).await;
    let mut another = plain(&server.at).await;
    another.write_all(&heartbeat()).await.unwrap();
    // All that happens on this thread after it has knocked.
    used(&Running::start(places(1), Arc::new(Quiet)).await).await;
    assert_eq!(counts.total.load(Ordering::SeqCst), 2);
    server.probe.gate.add_permits(1);
    let mut answer = Vec::new();
    within(busy.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer[3], 2, "a reply, and then the end");
    expect(&mut another, b"", &reply("Heartbeat", 0)).await;
    expect_closed(&mut other, b"").await;
    assert_eq!(counts.total.load(Ordering::SeqCst), 3);
}

// K-2: who has just connected is not the first to go.
#[tokio::test]
async fn newcomers_have_the_time_to_say_something() {
    let counts = Arc::new(Counts::default());
    let server = Running::start(places(8), counts.clone()).await;
    let mut before = Vec::new();
    for _ in 0..8 {
        before.push(used(&server).await);
    }
    let mut newcomers = [plain(&server.at).await, plain(&server.at).await];
    until("both are in", || counts.total.load(Ordering::SeqCst) == 10).await;
    for stream in &mut newcomers {
        expect(stream, &heartbeat(), &reply("Heartbeat", 0)).await;
    }
    let mut silent = Vec::new();
    for n in 0..8 {
        silent.push(plain(&server.at).await);
        let all = || counts.total.load(Ordering::SeqCst) == 11 + n;
        until("it is in", all).await;
    }
    // These pushed out each other beyond their share.
    for stream in &mut newcomers {
        expect(stream, &heartbeat(), &reply("Heartbeat", 0)).await;
    }
}
