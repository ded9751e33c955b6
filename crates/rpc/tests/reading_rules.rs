//! A server's side of wire.md section 2, byte by byte over loopback.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    Running, envelope, exception, expect, expect_closed, heartbeat, plain, reply, within,
};
use statestore_rpc::{Limits, Quiet};
use statestore_wire::thrift::{code, put_field, put_string};
use statestore_wire::{HeartbeatRequest, MessageKind, Wire};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

async fn server() -> Running {
    Running::start(Limits::default(), Arc::new(Quiet)).await
}

/// A call with any argument bytes (the final stop included).
fn call(kind: MessageKind, method: &str, seqid: i32, args: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    envelope(kind, method, seqid).write(&mut out);
    out.extend_from_slice(args);
    out
}

fn params(ty: u8, content: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put_field(&mut out, ty, 1);
    content(&mut out);
    out.push(code::STOP);
    out
}

/// wire.md section 7: the example's bytes.
#[tokio::test]
async fn the_example_of_the_contract_gets_its_reply() {
    let server = server().await;
    let mut stream = plain(&server.at).await;
    let answer = "8001000200000009486561727462656174000000000c00000c0001080001000000000f00020b00\
                  000000000000";
    expect(&mut stream, &heartbeat(), &unhex(answer)).await;
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[tokio::test]
async fn the_old_envelope_without_a_version_is_accepted() {
    let server = server().await;
    let mut stream = plain(&server.at).await;
    let mut old = Vec::new();
    put_string(&mut old, b"Heartbeat");
    old.push(1);
    77i32.write(&mut old);
    old.extend(params(code::STRUCT, |out| {
        HeartbeatRequest::default().write(out)
    }));
    expect(&mut stream, &old, &reply("Heartbeat", 77)).await;
}

#[tokio::test]
async fn the_sequence_id_is_echoed_and_calls_of_one_connection_are_answered_in_order() {
    let server = server().await;
    let mut stream = plain(&server.at).await;
    let args = params(code::STRUCT, |out| HeartbeatRequest::default().write(out));
    let (mut calls, mut answers) = (Vec::new(), Vec::new());
    for seqid in [5, -1, i32::MAX, 0] {
        calls.extend(call(MessageKind::Call, "Heartbeat", seqid, &args));
        answers.extend(reply("Heartbeat", seqid));
        calls.extend(call(MessageKind::Oneway, "Heartbeat", seqid, &args));
        answers.extend(reply("Heartbeat", seqid));
    }
    expect(&mut stream, &calls, &answers).await;
}

#[tokio::test]
async fn a_call_may_arrive_byte_by_byte() {
    let server = server().await;
    let mut stream = plain(&server.at).await;
    let call = heartbeat();
    for byte in &call[..call.len() - 1] {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    expect(&mut stream, &call[call.len() - 1..], &reply("Heartbeat", 0)).await;
}

#[tokio::test]
async fn unknown_fields_are_skipped_and_known_ids_of_another_type_are_absent() {
    let server = server().await;
    let mut stream = plain(&server.at).await;
    let args = params(code::STRUCT, |out| {
        put_field(out, code::STRUCT, 1); // V1: registration_id where V2 has its version
        out.push(code::STOP);
        put_field(out, code::MAP, 2);
        out.extend([code::STRING, code::DOUBLE, 0, 0, 0, 1, 0, 0, 0, 1, b'x']);
        out.extend([0; 8]);
        put_field(out, code::STRING, 200);
        put_string(out, b"from the future");
        out.push(code::STOP);
    });
    let call = call(MessageKind::Call, "Heartbeat", 0, &args);
    expect(&mut stream, &call, &reply("Heartbeat", 0)).await;
}

#[tokio::test]
async fn an_unknown_method_gets_an_exception_and_the_connection_goes_on() {
    let server = server().await;
    let mut stream = plain(&server.at).await;
    let args = params(code::I32, |out| 1i32.write(out));
    let unknown = call(MessageKind::Call, "Ride", 9, &args);
    let answer = exception("Ride", 9, 1, "Invalid method name: 'Ride'");
    expect(&mut stream, &unknown, &answer).await;
    expect(&mut stream, &heartbeat(), &reply("Heartbeat", 0)).await;
}

/// wire.md section 6: the exception example's shape, type 0 and text.
#[tokio::test]
async fn a_failing_handler_gets_an_exception_and_the_connection_goes_on() {
    let server = server().await;
    let mut stream = plain(&server.at).await;
    let args = params(code::STRUCT, |out| {
        put_field(out, code::I32, 1);
        1i32.write(out);
        out.push(code::STOP);
    });
    let refused = call(MessageKind::Call, "GetProtocolVersion", 3, &args);
    let answer = exception("GetProtocolVersion", 3, 0, "Invalid data");
    expect(&mut stream, &refused, &answer).await;
    expect(&mut stream, &heartbeat(), &reply("Heartbeat", 0)).await;
}

#[tokio::test]
async fn what_is_no_call_closes_the_connection_without_an_answer_and_no_other() {
    let server = server().await;
    let mut other = plain(&server.at).await;
    expect(&mut other, &heartbeat(), &reply("Heartbeat", 0)).await;

    let empty = params(code::STRUCT, |out| out.push(code::STOP));
    let negative = params(code::STRING, |out| (-5i32).write(out));
    let nested = params(code::STRUCT, |out| {
        for _ in 0..200 {
            put_field(out, code::STRUCT, 1);
        }
    });
    let mut bad_kind = heartbeat();
    bad_kind[3] = 9;
    let cases = [
        (
            "required field",
            call(MessageKind::Call, "UpdateState", 0, &empty),
        ),
        (
            "no params",
            call(MessageKind::Call, "Heartbeat", 0, &[code::STOP]),
        ),
        ("a reply", reply("Heartbeat", 0)),
        ("an exception", exception("Heartbeat", 0, 0, "x")),
        ("message type", bad_kind),
        ("version word", unhex("8002000100000009486561727462656174")),
        ("negative name", unhex("80010001ffffffff")),
        (
            "negative size",
            call(MessageKind::Call, "Heartbeat", 0, &negative),
        ),
        (
            "type code",
            call(MessageKind::Call, "Heartbeat", 0, &[99, 0, 1]),
        ),
        ("too deep", call(MessageKind::Call, "Heartbeat", 0, &nested)),
        (
            "not Thrift at all",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
        ("a name of 2 GiB", unhex("80010001 7fffffff 4865")),
    ];
    for (what, bytes) in cases {
        let mut stream = plain(&server.at).await;
        tokio::time::timeout(common::PATIENCE, expect_closed(&mut stream, &bytes))
            .await
            .unwrap_or_else(|_| panic!("not closed: {what}"));
    }
    expect(&mut other, &heartbeat(), &reply("Heartbeat", 0)).await;
}

#[tokio::test]
async fn a_small_packet_that_claims_two_to_the_31_entries_ends_without_harm() {
    let server = server().await;
    let args = params(code::STRUCT, |out| {
        put_field(out, code::I32, 1);
        1i32.write(out);
        put_field(out, code::MAP, 2);
        out.extend([code::STRING, code::STRUCT, 0x7f, 0xff, 0xff, 0xff]);
    });
    let claim = call(MessageKind::Call, "UpdateState", 0, &args);
    let mut stream = plain(&server.at).await;
    stream.write_all(&claim[..claim.len() - 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    within(expect_closed(&mut stream, &[])).await;
}
