//! A peer that hangs, talks nonsense, is old, or is this very process (H-4, H-5, W4, W8, W9,
//! W32, W34).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::pair::{Pair, await_role};
use common::subscriber::{Subscriber, call, read_message};
use common::voter::{Voter, join};
use common::{LIMIT, eventually};
use rustix::process::Signal;
use statestore_wire::envelope::write_reply;
use statestore_wire::{
    Envelope, ProtocolVersion, Reader, StatestoreHaHandshakeRequest, StatestoreHaHandshakeResponse,
    StatestoreHaHeartbeatRequest, StatestoreHaLeaveRequest, Status, StatusCode, UniqueId,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

const STRANGER: UniqueId = UniqueId { hi: -7, lo: 3 };

fn handshake(to: SocketAddr, id: UniqueId, version: i32) -> StatestoreHaHandshakeResponse {
    let request = StatestoreHaHandshakeRequest {
        src_protocol_version: ProtocolVersion(version),
        src_statestore_id: id,
        src_statestore_address: "zz:1".into(),
        ..Default::default()
    };
    call(to, &request).unwrap()
}

// W32, W4: nobody waits for a peer that accepts and never answers
#[test]
fn a_peer_that_hangs_delays_neither_the_start_nor_subscribers_nor_the_end() {
    // A greeting may take as long as the pause until the next one: here longer than the test.
    let flags = ["cnxn_attempts=0", "cnxn_retry_interval_ms=3600000"];
    let flags = flags.map(|flag| format!("--statestore_peer_{flag}"));
    let pair = Pair::new(&flags.each_ref().map(String::as_str));
    let hung = TcpListener::bind(("0.0.0.0", pair.ports[1])).unwrap();
    let mut alone = pair.launch(0, &[]);
    alone.await_ready();
    await_role(&alone, "active");
    let a = Subscriber::new("a");
    a.register(alone.rpc, &[]);
    a.await_heartbeats(20);
    assert_eq!(
        alone.metric("statestore.connected-with-peer-statestored"),
        false
    );
    alone.signal(Signal::TERM);
    assert_eq!(alone.wait().code(), Some(0));
    drop(hung);
}

// W4, W32: a standby that hangs is noticed, and nothing else happens
#[test]
fn a_standby_that_is_stopped_is_missed_and_the_voters_hold_the_lease() {
    let (_pair, first, second) = Pair::start(&[]);
    let voters = ["a", "b"].map(Voter::new);
    join(&voters, &first, &second);
    second.signal(Signal::STOP);
    let connected = "statestore.connected-with-peer-statestored";
    eventually("the peer is missed", || {
        (first.metric(connected) == false).then_some(())
    });
    let page = eventually("the lease rests on the voters alone", || {
        let page = first.json("/ha");
        (page["lease_held_by_peer_ms"] == 0).then_some(page)
    });
    assert_eq!(page["role"], "active");
    assert!(page["lease_held_by_voters_ms"].as_u64().unwrap() > 0);
    assert!(page["peer_missed_heartbeats"].as_u64().unwrap() > 0);
    second.signal(Signal::CONT);
    eventually("the peer is back", || {
        (first.metric(connected) == true).then_some(())
    });
    assert!(first.is_active() && !second.is_active());
}

// The seed: a standby counts the heartbeats that its primary does not send
#[test]
fn a_primary_that_is_stopped_is_missed_by_the_number_of_its_heartbeats() {
    let (_pair, first, second) = Pair::start(&[]);
    let metric = "statestore.missed-heartbeats-of-peer";
    assert_eq!(
        first.json("/ha")["missed_heartbeats_of_peer"],
        serde_json::Value::Null,
        "nobody owes the active one any"
    );
    assert_eq!(first.metric(metric), 0);
    first.signal(Signal::STOP);
    eventually("missed heartbeats on the page", || {
        let page = second.json("/ha");
        let missed = page["missed_heartbeats_of_peer"].as_u64()?;
        let silence = page["since_peer_was_heard_ms"].as_u64().unwrap();
        assert_eq!(missed, silence / 100);
        (missed >= 3).then_some(())
    });
    eventually("and as a metric", || {
        second.metric(metric).as_u64().filter(|missed| *missed >= 3)
    });
    first.signal(Signal::CONT);
}

// ha.md rules 5, 12, 18: the standby vanishes before, or while, anything is agreed with it
#[test]
fn an_active_whose_standby_vanished_too_early_finds_its_way_back() {
    let (_pair, first, second) = Pair::start(&[]);
    let voters = ["a", "b"].map(Voter::new);
    for voter in &voters {
        voter.join(0, &first);
        voter.join(1, &second);
    }
    voters.iter().for_each(|voter| voter.await_heard(1));
    second.signal(Signal::STOP);
    // With or without a pause in between.
    eventually("it acts by the word of its subscribers", || {
        let page = first.json("/ha");
        let alone = page["lease_held_by_peer_ms"] == 0 && page["peer_found"] == false;
        (alone && page["role"] == "active").then_some(())
    });
    let said = voters[0].said().len();
    eventually("and says so", || {
        (voters[0].said().len() > said).then_some(())
    });
}

// The HA port's share of hostile.rs
#[test]
fn nonsense_on_the_ha_port_costs_its_own_connection_only() {
    let (pair, first, second) = Pair::start(&[]);
    let idle = [(); 100].map(|()| TcpStream::connect(pair.ha(1)).unwrap());
    let mut endless = b"\x80\x01\x00\x01\x00\x00\x00\x15StatestoreHaHandshake".to_vec();
    endless.extend([0; 4]);
    endless.extend(b"\x0c\x00\x01\x0b\x00\x03\x7f\xff\xff\xff");
    let nonsense: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 4096],
        b"\x80\x01\x00\x01\xff\xff\xff\xff",
        &endless,
    ];
    for bytes in nonsense {
        let mut stream = TcpStream::connect(pair.ha(1)).unwrap();
        stream.write_all(bytes).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // A close, in order or not, and no answer.
        assert_eq!(stream.read(&mut [0; 64]).unwrap_or(0), 0, "{bytes:?}");
    }
    // What no peer would say is answered, and believed by nobody.
    let stranger = StatestoreHaHeartbeatRequest {
        src_statestore_id: STRANGER,
        ..Default::default()
    };
    let answer = call(pair.ha(1), &stranger).unwrap();
    assert!(!answer.status.is_ok(), "W34");
    let leave = StatestoreHaLeaveRequest {
        src_statestore_id: STRANGER,
        ..Default::default()
    };
    assert!(!call(pair.ha(1), &leave).unwrap().status.is_ok());
    let page = second.json("/ha");
    assert_eq!(
        (&page["role"], &page["peer_found"]),
        (&"standby".into(), &true.into())
    );
    assert!(first.is_active());
    drop(idle);
}

// H-5a, H-5b, H-5f, W9
#[test]
fn an_old_peer_and_the_process_itself_get_no_role_in_a_handshake() {
    let (pair, first, _second) = Pair::start(&[]);
    let old = handshake(pair.ha(0), STRANGER, 0);
    assert_eq!(
        old.status.status_code,
        StatusCode::STATESTORE_INCOMPATIBLE_PROTOCOL
    );
    assert_eq!(old.dst_statestore_id, UniqueId::default());
    assert!(!old.dst_statestore_active);
    let own = first.json("/ha")["statestore_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (hi, lo) = own.split_once(':').unwrap();
    let half = |hex| u64::from_str_radix(hex, 16).unwrap().cast_signed();
    let own = UniqueId {
        hi: half(hi),
        lo: half(lo),
    };
    let itself = handshake(pair.ha(0), own, 1);
    assert!(itself.status.is_ok());
    assert_eq!(itself.dst_statestore_id, UniqueId::default());
    assert!(first.is_active());
    let other = handshake(pair.ha(0), STRANGER, 1);
    assert!(other.dst_statestore_active, "it stays active");
}

// W8: an error status is no answer; W9: nobody is its own peer
#[test]
fn a_refused_handshake_is_none_and_neither_is_one_with_oneself() {
    let pair = Pair::new(&[]);
    let peer = TcpListener::bind(("0.0.0.0", pair.ports[1])).unwrap();
    std::thread::spawn(move || {
        for stream in peer.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = Vec::new();
            while let Ok(Some(call)) = read_message(&mut stream, &mut buffer) {
                let refusal = refusal(&call);
                let _ = stream.write_all(&refusal); // it may have gone
            }
        }
    });
    let mut refused = pair.launch(0, &[]);
    refused.await_ready();
    let page = refused.json("/ha");
    assert_eq!(
        (&page["role"], &page["peer_found"]),
        (&"active".into(), &false.into())
    );

    let itself = format!("--state_store_peer_ha_port={}", Pair::new(&[]).ports[0]);
    let port = itself.replace("peer_ha_port", "ha_port");
    let mut mirror = Pair::new(&[]).launch(0, &[&itself, &port]);
    mirror.await_ready();
    assert_eq!(mirror.json("/ha")["peer_found"], false);
    mirror.await_log(&itself);
    mirror.await_log("itself");
}

/// The answer of a peer that takes part in nothing.
fn refusal(call: &[u8]) -> Vec<u8> {
    let envelope = Envelope::read(&mut Reader::new(call)).unwrap();
    let response = StatestoreHaHandshakeResponse {
        status: Status::error(StatusCode::GENERAL, "not now"),
        ..Default::default()
    };
    let mut out = Vec::new();
    write_reply(&envelope, &response, &mut out);
    out
}

// H-1, H-4: the peer finds it before anybody else does
#[test]
fn a_handshake_is_answered_before_the_service_is_open() {
    let pair = Pair::new(&["--stress_statestore_startup_delay_ms=600000"]);
    let waiting = pair.launch(0, &[]);
    let answer = handshake(pair.ha(0), STRANGER, 1);
    assert!(answer.status.is_ok());
    assert!(!answer.dst_statestore_id.is_unset());
    let (health, _) = common::http(waiting.web, "GET", "/healthz").unwrap();
    assert_eq!(health, 503);
    assert!(!waiting.log().contains("StatestoreService listening"));
}
