//! Unusual sizes and numbers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::subscriber::{Subscriber, read_message};
use common::{LIMIT, Statestored, eventually};
use statestore_wire::RegisterSubscriberRequest;
use statestore_wire::envelope::{read_result, write_call};
use statestore_wire::{Envelope, Reader, RegisterSubscriberResponse};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CATALOG: &str = "catalog-update";
const MEMBERSHIP: &str = "impala-membership";

/// Registers over and over on one connection.
fn register_often(stream: &mut TcpStream, request: &RegisterSubscriberRequest, times: usize) {
    let mut message = Vec::new();
    write_call(request, &mut message);
    let mut buffer = Vec::new();
    for _ in 0..times {
        stream.write_all(&message).unwrap();
        let answer = read_message(stream, &mut buffer).unwrap().unwrap();
        let mut reader = Reader::new(&answer);
        Envelope::read(&mut reader).unwrap();
        let response: RegisterSubscriberResponse = read_result(&mut reader).unwrap().unwrap();
        assert!(response.status.is_ok(), "{:?}", response.status);
    }
}

//
#[test]
fn ten_thousand_registrations_of_one_id_leave_nothing_behind() {
    let statestored = Statestored::start(&["--statestore_heartbeat_frequency_ms=100"]);
    let healthy = Subscriber::new("healthy");
    healthy.register(statestored.rpc, &[(MEMBERSHIP, true)]);
    let a = Subscriber::new("a");
    let request = a.request(&[(MEMBERSHIP, true), (CATALOG, false)]);
    let mut stream = TcpStream::connect(statestored.rpc).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    register_often(&mut stream, &request, 1_000);
    let (memory, files) = (statestored.rss(), statestored.open_files());
    register_often(&mut stream, &request, 9_000);
    // Without a pause in between that would let heartbeats out.
    let (start, goal) = (Instant::now(), healthy.heartbeats() + 20);
    while healthy.heartbeats() < goal {
        register_often(&mut stream, &request, 100);
        assert!(start.elapsed() < LIMIT, "registrations hold up heartbeats");
    }
    drop(stream);
    assert_eq!(statestored.subscribers(), ["a", "healthy"]);
    a.await_heartbeats(2);
    a.publish(MEMBERSHIP, &[(b"a", b"here", false)]);
    a.await_value(MEMBERSHIP, b"a", Some(b"here"));
    eventually("connections are given back", || {
        (statestored.open_files() <= files + 20).then_some(())
    });
    eventually("no call is left over", || {
        let in_use = ["heartbeat", "update-state"].map(|name| {
            let key = format!("subscriber-{name}.client-cache.clients-in-use");
            statestored.metric(&key).as_i64().unwrap()
        });
        (in_use.iter().sum::<i64>() <= 2).then_some(())
    });
    let grown = statestored.rss().saturating_sub(memory);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[test]
fn topics_may_have_no_name_and_keys_a_megabyte() {
    let statestored = Statestored::start(&["--statestore_update_frequency_ms=100"]);
    let (a, b) = (Subscriber::new("a"), Subscriber::new("b"));
    let key = vec![0xff; 1 << 20];
    a.publish("", &[(&key, b"v", false), (b"", b"", false)]);
    a.register(statestored.rpc, &[("", false)]);
    b.register(statestored.rpc, &[("", false)]);
    b.await_value("", &key, Some(b"v"));
    b.await_value("", b"", Some(b""));
    let topic = statestored.topic("").unwrap();
    assert_eq!(
        (&topic["key_size_bytes"], &topic["value_size_bytes"]),
        (&1_048_576.into(), &1.into())
    );
    assert_eq!(
        (&topic["key_size"], &topic["total_size"]),
        (&"1.00 MB".into(), &"1.00 MB".into())
    );
}

// Who takes connections and says nothing takes neither the files that heartbeats need nor a place
// from who has something to say.
#[test]
fn a_crowd_of_idle_connections_takes_no_files_from_heartbeats() {
    let flags = ["--statestore_heartbeat_frequency_ms=100"];
    let statestored = Statestored::start_with_files(48, &flags);
    let healthy = Subscriber::new("healthy");
    healthy.register(statestored.rpc, &[(CATALOG, false)]);
    healthy.await_heartbeats(2);
    let crowd: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(statestored.rpc).unwrap())
        .collect();
    statestored.await_log("places are taken: for each new connection");
    assert!(statestored.open_files() < 48 / 4 + 30);
    assert!(!statestored.log().contains("accepting connections fails"));
    healthy.await_heartbeats(5);
    healthy.publish(CATALOG, &[(b"k", b"v", false)]);
    healthy.await_value(CATALOG, b"k", Some(b"v"));
    let late = Subscriber::new("late");
    late.register(statestored.rpc, &[]);
    late.await_heartbeats(2);
    drop(crowd);
    assert_eq!(statestored.subscribers(), ["healthy", "late"]);
}

/// The number before these words in the log.
fn logged_before(statestored: &Statestored, words: &str) -> usize {
    let log = statestored.log();
    let (before, _) = log
        .split_once(words)
        .unwrap_or_else(|| panic!("{words}: {log}"));
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

// What the log says of open files is so: with that many no connection is closed for want of them,
// and with more nobody is refused.
#[test]
fn so_many_subscribers_as_the_log_says_keep_their_connections() {
    let flags = [
        "--statestore_heartbeat_frequency_ms=100",
        "--statestore_update_frequency_ms=100",
        "--statestore_max_subscribers=60",
    ];
    let statestored = Statestored::start_with_files(848, &flags);
    statestored.await_log("--statestore_max_subscribers=60");
    assert_eq!(logged_before(&statestored, " open files allowed"), 848);
    let log = statestored.log();
    let line = log.lines().find(|line| line.contains("open files allowed"));
    assert!(
        line.unwrap().starts_with('W'),
        "21 are fewer than 60: {log}"
    );
    assert_eq!(
        logged_before(&statestored, " subscribers that get heartbeats"),
        21
    );
    assert_eq!(logged_before(&statestored, " that publish to both"), 10);
    let to_us = logged_before(&statestored, " that subscribers open to this");
    assert_eq!(to_us, 21);
    let room = logged_before(&statestored, " with a priority and a normal topic");
    assert_eq!(room, 16);

    let topics = [(MEMBERSHIP, true), (CATALOG, false)];
    let mut kept = Vec::new();
    let mut join = |n: usize| {
        let one = Subscriber::new(&format!("s{n}"));
        let mut stream = TcpStream::connect(statestored.rpc).unwrap();
        register_often(&mut stream, &one.request(&topics), 1);
        kept.push(stream);
        one
    };
    let mut all: Vec<Subscriber> = (0..room).map(&mut join).collect();
    let beaten = |one: &Subscriber| (one.heartbeats() >= 10).then_some(());
    for one in &all {
        eventually("ten heartbeats", || beaten(one));
        assert!(one.accepted() <= 3, "{} connections", one.accepted());
    }
    all.extend((room..50).map(join));
    all[0].publish(CATALOG, &[(b"k", b"v", false)]);
    for one in &all {
        eventually("ten heartbeats", || beaten(one));
        one.await_value(CATALOG, b"k", Some(b"v"));
    }
    assert_eq!(statestored.subscribers().len(), 50);
    eventually("some are opened anew", || {
        all.iter().find(|one| one.accepted() > 3).map(drop)
    });
    let closed = |stream: &&TcpStream| {
        stream.set_nonblocking(true).unwrap();
        stream.peek(&mut [0]).is_ok_and(|read| read == 0)
    };
    assert_eq!(kept.iter().filter(closed).count(), kept.len() - to_us);
}

// T-3, W12: a day of churn
#[test]
fn a_million_rewritten_and_deleted_entries_leave_what_is_alive() {
    const KEYS: usize = 5_000;
    const ROUNDS: usize = 200;
    let statestored = Statestored::start(&[
        "--statestore_update_frequency_ms=1",
        "--statestore_push_coalesce_ms=0",
    ]);
    let (a, b) = (Subscriber::new("a"), Subscriber::new("b"));
    a.register(statestored.rpc, &[(CATALOG, false)]);
    b.register(statestored.rpc, &[(CATALOG, false)]);
    let key = |i: usize| format!("key-{i:06}").into_bytes();
    let mut settled = 0;
    for round in 0..ROUNDS {
        let value = format!("{round:0100}").into_bytes();
        // Every fifth round deletes every other key.
        let deletes = |i: usize| round % 5 == 4 && i.is_multiple_of(2);
        let keys: Vec<Vec<u8>> = (0..KEYS).map(key).collect();
        let items: Vec<(&[u8], &[u8], bool)> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| (key.as_slice(), value.as_slice(), deletes(i)))
            .collect();
        a.publish(CATALOG, &items);
        a.await_value(CATALOG, &keys[KEYS - 1], Some(&value));
        if round == ROUNDS / 10 {
            settled = statestored.rss();
        }
    }
    let last = format!("{:0100}", ROUNDS - 1).into_bytes();
    b.await_value(CATALOG, &key(KEYS - 1), Some(&last));
    let live = KEYS / 2;
    for subscriber in [&a, &b] {
        let state = subscriber.state.lock().unwrap();
        assert_eq!(state.topics[CATALOG].len(), live);
    }
    eventually("only what is alive is left", || {
        let topic = statestored.topic(CATALOG)?;
        (topic["num_entries"] == live).then_some(())
    });
    let version = statestored.topic(CATALOG).unwrap()["version"].clone();
    assert_eq!(version, KEYS * ROUNDS);
    let grown = statestored.rss().saturating_sub(settled);
    assert!(
        grown < 16 << 20,
        "{grown} bytes more after a million writes"
    );
}

/// 256 MiB where the code is optimised, less where it is not: the machine's time, not the
/// daemon's limit.
const LARGE: usize = if cfg!(debug_assertions) {
    64 << 20
} else {
    256 << 20
};

// P4: a large update delays no heartbeat
#[test]
fn a_huge_value_arrives_whole_while_heartbeats_keep_their_beat() {
    let statestored = Statestored::start(&[
        "--statestore_heartbeat_frequency_ms=100",
        "--statestore_update_frequency_ms=100",
    ]);
    let watcher = Subscriber::new("watcher");
    watcher.register(statestored.rpc, &[]);
    let (a, b) = (Subscriber::new("a"), Subscriber::new("b"));
    let value: Vec<u8> = (0..LARGE).map(|i| (i / 4096 % 251) as u8).collect();
    a.publish(CATALOG, &[(b"k", &value, false)]);
    let start = Instant::now();
    a.register(statestored.rpc, &[(CATALOG, false)]);
    b.register(statestored.rpc, &[(CATALOG, false)]);
    eventually("the value", || {
        let state = b.state.lock().unwrap();
        let found = state.topics.get(CATALOG)?.get(&b"k"[..])?;
        assert_eq!(found.len(), LARGE);
        Some(())
    });
    assert!(b.value(CATALOG, b"k").as_deref() == Some(&value[..]));
    watcher.await_heartbeats(1);
    let median = watcher.median_beat(start);
    assert!(median < Duration::from_millis(500), "{median:?}");
    assert_eq!(
        statestored.metric("statestore.total-value-size-bytes"),
        LARGE
    );
    // Gone once all have seen that it is deleted.
    a.publish(CATALOG, &[(b"k", b"", true)]);
    b.await_value(CATALOG, b"k", None);
    eventually("the memory is given back", || {
        (statestored.rss() < (LARGE / 2) as u64).then_some(())
    });
}
