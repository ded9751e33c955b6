//! A server whose places are taken.
#![allow(clippy::unwrap_used)]

mod common;

use common::counts::Counts;
use common::{Running, expect, expect_closed, gate_call, heartbeat, plain, reply, until, within};
use statestore_rpc::Limits;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

// P9: who keeps connections open takes neither every file nor every place.
#[tokio::test]
async fn beyond_the_limit_the_one_that_idles_longest_is_closed_for_another() {
    let counts = Arc::new(Counts::default());
    let limits = Limits {
        max_connections: 3,
        ..Limits::default()
    };
    let server = Running::start(limits, counts.clone()).await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut stream = plain(&server.at).await;
        expect(&mut stream, &heartbeat(), &reply("Heartbeat", 0)).await;
        idle.push(stream);
    }
    // This one never speaks, so it goes before those that did.
    let mut silent = plain(&server.at).await;
    until("all places are taken", || counts.open() == 3).await;
    let (mut b, mut a) = (idle.pop().unwrap(), idle.pop().unwrap());
    for goes in [&mut silent, &mut a, &mut b] {
        let mut another = plain(&server.at).await;
        expect(&mut another, &heartbeat(), &reply("Heartbeat", 0)).await;
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
async fn a_call_in_hand_keeps_its_connection_and_others_wait_for_it() {
    let counts = Arc::new(Counts::default());
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let server = Running::start(limits, counts.clone()).await;
    let mut busy = plain(&server.at).await;
    busy.write_all(&gate_call(false)).await.unwrap();
    let waiting = &server.probe.waiting;
    until("it is in hand", || waiting.load(Ordering::SeqCst) == 1).await;
    let mut other = plain(&server.at).await;
    other.write_all(&heartbeat()).await.unwrap();
    assert_eq!(counts.total.load(Ordering::SeqCst), 1);
    server.probe.gate.add_permits(1);
    expect(&mut other, b"", &reply("Heartbeat", 0)).await;
    let mut answer = Vec::new();
    within(busy.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer[3], 2, "a reply, and then the end");
    assert_eq!(counts.total.load(Ordering::SeqCst), 2);
}
