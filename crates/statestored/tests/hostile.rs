//! Peers that misbehave: each is its own failure, nobody else notices.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::subscriber::{Action, Incoming, Subscriber, honest, raw_call};
use common::{LIMIT, Statestored, eventually};
use statestore_wire::envelope::{write_call, write_reply};
use statestore_wire::{
    Envelope, HeartbeatRequest, HeartbeatResponse, MessageKind, PublishRequest, Rpc, Status,
    TopicDelta, UpdateStateRequest,
};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const CATALOG: &str = "catalog-update";
const QUICK: [&str; 5] = [
    "--statestore_heartbeat_frequency_ms=100",
    "--statestore_max_missed_heartbeats=3",
    "--statestore_heartbeat_tcp_timeout_seconds=1",
    "--statestore_update_tcp_timeout_seconds=2",
    "--statestore_update_frequency_ms=100",
];

/// Who waits for calls that time out has heartbeats a second apart, else a tenth of it.
const HELD_UP: Duration = Duration::from_millis(500);

/// A reply's beginning, up to the result's content.
fn reply_head(call: &Incoming) -> Vec<u8> {
    let mut out = Vec::new();
    let method = call.envelope.method.clone();
    Envelope {
        kind: MessageKind::Reply,
        method,
        seqid: 0,
    }
    .write(&mut out);
    out
}

fn with(mut head: Vec<u8>, tail: &[u8]) -> Action {
    head.extend_from_slice(tail);
    Action::Send(head)
}

type Misdeed = fn(&Incoming) -> Action;

const MISDEEDS: [(&str, Misdeed); 10] = [
    ("hangs", |_| Action::Hang),
    ("closes", |_| Action::Close),
    ("claims-a-huge-string", |call| {
        // success { status { error_msgs: list<string> of one, 2^31 - 1 bytes long
        with(
            reply_head(call),
            b"\x0c\0\0\x0c\0\x01\x0f\0\x02\x0b\0\0\0\x01\x7f\xff\xff\xff",
        )
    }),
    ("claims-a-huge-list", |call| {
        with(
            reply_head(call),
            b"\x0c\0\0\x0c\0\x01\x0f\0\x02\x0b\x7f\xff\xff\xff",
        )
    }),
    ("claims-a-negative-size", |call| {
        with(
            reply_head(call),
            b"\x0c\0\0\x0c\0\x01\x0f\0\x02\x0b\xff\xff\xff\xff",
        )
    }),
    ("nests-without-end", |call| {
        with(reply_head(call), &b"\x0c\0\0".repeat(10_000))
    }),
    ("answers-for-another-method", |call| {
        let mut envelope = call.envelope.clone();
        envelope.method = "Other".into();
        let mut out = Vec::new();
        write_reply(&envelope, &HeartbeatResponse::default(), &mut out);
        Action::Send(out)
    }),
    ("leaves-out-a-required-field", |call| {
        with(reply_head(call), b"\x0c\0\0\0\0")
    }),
    ("leaves-out-the-result", |call| {
        with(reply_head(call), b"\0")
    }),
    ("speaks-something-else", |_| {
        Action::Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())
    }),
];

// F-2, K-1; wire.md section 2, reading rules
#[test]
fn subscribers_that_misbehave_are_removed_and_a_healthy_one_keeps_its_beat() {
    let statestored = Statestored::start(&QUICK);
    let healthy = Subscriber::new("healthy");
    healthy.register(statestored.rpc, &[(CATALOG, false)]);
    let start = Instant::now();
    let others: Vec<Subscriber> = MISDEEDS
        .iter()
        .map(|&(name, misdeed)| Subscriber::with(name, move |call, _| misdeed(call)))
        .collect();
    for other in &others {
        other.register(statestored.rpc, &[(CATALOG, false)]);
    }
    assert_eq!(statestored.subscribers().len(), 11);
    eventually("only the healthy one is left", || {
        (statestored.subscribers() == ["healthy"]).then_some(())
    });
    let median = healthy.median_beat(start);
    assert!(median < HELD_UP, "{median:?}");
    for (name, _) in MISDEEDS {
        statestored.await_log(&format!("Subscriber '{name}' (last registration id"));
    }
    healthy.publish(CATALOG, &[(b"k", b"v", false)]);
    healthy.await_value(CATALOG, b"k", Some(b"v"));
}

// T-26: what came with a bad reply does not count; S-9: nor does the failure
#[test]
fn a_bad_reply_to_an_update_neither_removes_nor_advances_its_subscriber() {
    let statestored = Statestored::start(&QUICK);
    let a = Subscriber::with("a", |call, state| {
        let updates = state.lock().unwrap().updates.len();
        let action = honest(call, state);
        match call.method().as_str() {
            // topic_updates left out, as Impala's own Python tests do.
            "UpdateState" if updates < 4 => {
                let mut out = reply_head(call);
                statestore_wire::schema::write_field(&mut out, 0, &Bare(Status::ok()));
                out.push(0);
                Action::Send(out)
            }
            _ => action,
        }
    });
    let b = Subscriber::new("b");
    b.publish(CATALOG, &[(b"k", b"v", false)]);
    b.register(statestored.rpc, &[(CATALOG, false)]);
    b.await_value(CATALOG, b"k", Some(b"v"));
    a.register(statestored.rpc, &[(CATALOG, false)]);
    eventually("six updates", || {
        (a.state.lock().unwrap().updates.len() >= 6).then_some(())
    });
    let state = a.state.lock().unwrap();
    for (_, update) in &state.updates[..4] {
        assert!(
            !update.topic_deltas.0[0].1.is_delta,
            "the full topic again: {update:?}"
        );
    }
    assert_eq!(statestored.subscribers(), ["a", "b"]);
}

/// A response with a status and nothing else.
struct Bare(Status);

impl statestore_wire::Wire for Bare {
    const TYPE: u8 = statestore_wire::thrift::code::STRUCT;
    const LEAST: usize = 1;
    fn write(&self, out: &mut Vec<u8>) {
        statestore_wire::schema::write_field(out, 1, &self.0);
        out.push(0);
    }
    fn read(_: &mut statestore_wire::Reader<'_>) -> Result<Self, statestore_wire::Fault> {
        unreachable!("only written")
    }
}

// W14
#[test]
fn one_that_never_reads_a_large_topic_delays_nobody() {
    let statestored = Statestored::start(&QUICK);
    let publisher = Subscriber::new("publisher");
    let value = vec![7; 16 << 20];
    publisher.publish(CATALOG, &[(b"k", &value, false)]);
    publisher.register(statestored.rpc, &[(CATALOG, false)]);
    publisher.await_value(CATALOG, b"k", Some(&value));
    // Accepts and keeps connections, reads nothing.
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    let kept = std::thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((stream, _)) = port.accept() {
            open.push(stream);
        }
    });
    // Takes part in nothing large, so that its beat is the statestored's alone.
    let watcher = Subscriber::new("watcher");
    watcher.register(statestored.rpc, &[]);
    let mut deaf = Subscriber::new("deaf");
    deaf.address = address;
    let start = Instant::now();
    deaf.register(statestored.rpc, &[(CATALOG, false)]);
    let reader = Subscriber::new("reader");
    reader.register(statestored.rpc, &[(CATALOG, false)]);
    reader.await_value(CATALOG, b"k", Some(&value));
    eventually("the deaf one is removed", || {
        (statestored.subscribers() == ["publisher", "reader", "watcher"]).then_some(())
    });
    let median = watcher.median_beat(start);
    assert!(median < HELD_UP, "{median:?}");
    drop(kept);
}

// wire.md section 2, reading rules
#[test]
fn garbage_on_the_service_port_closes_its_connection_and_no_other() {
    let statestored = Statestored::start(&QUICK);
    let healthy = Subscriber::new("healthy");
    healthy.register(statestored.rpc, &[]);
    let mut truncated = Vec::new();
    write_call(&healthy.request(&[]), &mut truncated);
    truncated.truncate(40);
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x01\0\x01\x7f\xff\xff\xff",
        b"\x80\x01\0\x01\0\0\0\x12RegisterSubscriber\0\0\0\0\x0c\0\x01\x0f\0\x04\x0c\x7f\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\x01\0\x01\0\0\0\x12RegisterSubscriber\0\0\0\0\0",
        &truncated,
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(statestored.rpc).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // A reset is as good an end as an orderly one.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{bytes:?} got {answer:?}");
    }
    let mut unknown = Vec::new();
    let envelope = Envelope {
        kind: MessageKind::Call,
        method: "NoSuch".into(),
        seqid: 9,
    };
    envelope.write(&mut unknown);
    unknown.push(0);
    let answer = raw_call(statestored.rpc, &unknown)
        .unwrap()
        .expect("an exception");
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.contains("Invalid method name: 'NoSuch'"), "{text}");
    healthy.await_heartbeats(3);
    assert_eq!(statestored.subscribers(), ["healthy"]);
}

// P9: more deltas than any subscriber can have topics, in one message of its own.
#[test]
fn a_publication_of_very_many_topics_is_refused_by_name() {
    let statestored = Statestored::start(&QUICK);
    let deltas = (0..20_000).map(|n| TopicDelta {
        topic_name: format!("t{n}").into(),
        ..Default::default()
    });
    let mut message = Vec::new();
    let request = PublishRequest {
        topic_updates: deltas.collect(),
        ..Default::default()
    };
    write_call(&request, &mut message);
    let answer = raw_call(statestored.rpc, &message).unwrap();
    let text = String::from_utf8_lossy(&answer.expect("an answer")).into_owned();
    let why = "topic_updates is too large: 20000, at most 4096 accepted";
    assert!(text.contains(why), "{text}");
}

// T-27, W25
#[test]
fn a_reply_may_name_topics_that_do_not_exist_or_were_not_subscribed() {
    let statestored = Statestored::start(&QUICK);
    let watcher = Subscriber::new("watcher");
    watcher.register(statestored.rpc, &[("other", false)]);
    let a = Subscriber::with("a", |call, state| {
        let first = state.lock().unwrap().updates.is_empty();
        if call.method() != "UpdateState" || !first {
            return honest(call, state);
        }
        let request = call.args::<UpdateStateRequest>();
        state
            .lock()
            .unwrap()
            .updates
            .push((Instant::now(), request));
        let topic_updates = std::mem::take(&mut state.lock().unwrap().publish);
        let response = statestore_wire::UpdateStateResponse {
            topic_updates,
            ..Default::default()
        };
        call.reply::<UpdateStateRequest>(&response)
    });
    a.publish("nowhere", &[(b"k", b"v", false)]);
    a.publish("other", &[(b"k", b"v", false)]);
    a.register(statestored.rpc, &[(CATALOG, true)]);
    watcher.await_value("other", b"k", Some(b"v"));
    assert!(statestored.topic("nowhere").is_none());
    drop(a);
    eventually("a is gone", || {
        (statestored.subscribers() == ["watcher"]).then_some(())
    });
    assert_eq!(
        watcher.value("other", b"k").as_deref(),
        Some(&b"v"[..]),
        "not transient"
    );
}

// F-1: whoever answers twice has answered; what is left over spoils only the connection
#[test]
fn one_that_answers_twice_lives_on() {
    let statestored = Statestored::start(&QUICK);
    let a = Subscriber::with("a", |call, state| {
        match (honest(call, state), call.method()) {
            (Action::Send(bytes), method) if method == HeartbeatRequest::METHOD => {
                Action::Send(bytes.repeat(2))
            }
            (action, _) => action,
        }
    });
    a.register(statestored.rpc, &[]);
    a.await_heartbeats(10);
    assert_eq!(statestored.subscribers(), ["a"]);
}
