//! Messages that others wrote: read completely, written again byte for byte.
//!
//! `reference.jsonl` was captured from the reference (see the README beside it), `python.jsonl`
//! is made by `tests/python/make_golden.py` out of the IDL. The other direction, Python reading
//! what Rust writes, is `tests/python/check_golden.py` with `examples/golden.rs`.
#![allow(clippy::unwrap_used)]

mod common;

use common::{decode, recorded, unhex};
use statestore_wire::envelope::{ApplicationException, write_call, write_exception, write_reply};
use statestore_wire::*;
use std::collections::BTreeSet;

fn check_file(file: &str, least: usize) {
    let messages = recorded(file);
    assert!(
        messages.len() >= least,
        "{file} has {} messages",
        messages.len()
    );
    let mut scanner = Scanner::new(1 << 20);
    let mut stream = Vec::new();
    for message in &messages {
        let at = &message.at;
        let decoded = decode(&message.bytes).unwrap_or_else(|fault| panic!("{at}: {fault}"));
        assert_eq!(decoded.envelope.method, message.method.as_str(), "{at}");
        let kind = format!("{:?}", decoded.envelope.kind).to_lowercase();
        assert_eq!(kind, message.kind, "{at}");
        assert_eq!(decoded.written, message.bytes, "{at}: written again");
        stream.extend_from_slice(&message.bytes);
    }
    // All of them back to back, as on a connection.
    let mut rest = &stream[..];
    for message in &messages {
        scanner.reset();
        assert_eq!(
            scanner.advance(rest),
            Ok(Some(message.bytes.len())),
            "{}",
            message.at
        );
        rest = &rest[message.bytes.len()..];
    }
    assert!(rest.is_empty());
}

// wire.md 2, 3, 5
#[test]
fn every_captured_message_of_the_reference_is_written_again_byte_for_byte() {
    check_file("reference.jsonl", 38);
}

// wire.md 2, 3, 5
#[test]
fn every_message_of_pythons_thrift_is_written_again_byte_for_byte() {
    check_file("python.jsonl", 200);
}

#[test]
fn pythons_messages_cover_every_method_and_kind() {
    let messages = recorded("python.jsonl");
    let seen: BTreeSet<_> = messages
        .iter()
        .map(|m| (&m.method[..], &m.kind[..]))
        .collect();
    assert_eq!(
        seen.len(),
        13 * 3,
        "calls, replies and exceptions of thirteen methods"
    );
}

/// wire.md 7, as printed there.
const HEARTBEAT: &str = "
    80 01 00 01
    00 00 00 09 48 65 61 72 74 62 65 61 74
    00 00 00 00
    0c 00 01
      08 00 01 00 00 00 01
      0c 00 02
        0a 00 01 01 02 03 04 05 06 07 08
        0a 00 02 11 12 13 14 15 16 17 18
        00
      0c 00 03
        0a 00 01 ff ff ff ff ff ff ff ff
        0a 00 02 00 00 00 00 00 00 00 02
        00
      00
    00";

fn heartbeat() -> HeartbeatRequest {
    HeartbeatRequest {
        registration_id: Some(UniqueId {
            hi: 0x0102_0304_0506_0708,
            lo: 0x1112_1314_1516_1718,
        }),
        statestore_id: Some(UniqueId { hi: -1, lo: 2 }),
        ..HeartbeatRequest::default()
    }
}

// wire.md 7
#[test]
fn the_heartbeat_of_the_specification_has_these_85_bytes() {
    let mut written = Vec::new();
    write_call(&heartbeat(), &mut written);
    assert_eq!(written, unhex(HEARTBEAT));
    assert_eq!(written.len(), 85);
}

// wire.md 7
#[test]
fn a_standby_adds_its_question_before_the_end() {
    let (mut active, mut standby) = (Vec::new(), Vec::new());
    write_call(&heartbeat(), &mut active);
    let question = HeartbeatRequest {
        request_statestore_conn_state: Some(true),
        ..heartbeat()
    };
    write_call(&question, &mut standby);
    active.truncate(83);
    active.extend_from_slice(&unhex("02 00 04 01 00 00"));
    assert_eq!(standby, active);
}

fn call(method: &'static str) -> Envelope {
    Envelope {
        kind: MessageKind::Call,
        method: Text::from_static(method),
        seqid: 0,
    }
}

// wire.md 7
#[test]
fn the_replies_of_the_specification_have_these_bytes() {
    let head = "80 01 00 02  00 00 00 09 48 65 61 72 74 62 65 61 74  00 00 00 00
        0c 00 00
          0c 00 01
            08 00 01 00 00 00 00
            0f 00 02 0b 00 00 00 00
            00";
    let mut written = Vec::new();
    write_reply(
        &call("Heartbeat"),
        &HeartbeatResponse::default(),
        &mut written,
    );
    assert_eq!(written, unhex(&format!("{head} 00 00")));
    assert_eq!(written.len(), 45);

    let with_state = HeartbeatResponse {
        statestore_conn_state: Some(ConnState::FAILED),
        ..HeartbeatResponse::default()
    };
    written.clear();
    write_reply(&call("Heartbeat"), &with_state, &mut written);
    assert_eq!(
        written,
        unhex(&format!("{head} 08 00 02 00 00 00 01 00 00"))
    );
}

// wire.md 7; wire.md 8, last row
#[test]
fn the_exception_of_the_specification_has_these_bytes() {
    let exception = ApplicationException {
        message: Some("Invalid data".into()),
        kind: Some(ApplicationException::UNKNOWN),
    };
    let mut written = Vec::new();
    write_exception(&call("RegisterSubscriber"), &exception, &mut written);
    let mut expected = unhex("80 01 00 03 00 00 00 12");
    expected.extend_from_slice(b"RegisterSubscriber\0\0\0\0");
    expected.extend_from_slice(&unhex("0b 00 01 00 00 00 0c"));
    expected.extend_from_slice(b"Invalid data");
    expected.extend_from_slice(&unhex("08 00 02 00 00 00 00 00"));
    assert_eq!(written, expected);
    assert_eq!(decode(&written).unwrap().written, expected);
}
