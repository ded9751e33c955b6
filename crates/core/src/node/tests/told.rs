//! What two of a pair tell each other of their members, byte for byte on neither side: one is a
//! node, the other the test (ha.md rules 9, 12).

use super::*;
use crate::config::HaConfig;
use crate::ids::StatestoreId;
use crate::pair::{self, Limits};
use crate::port::Lane;
use alloc::boxed::Box;
use core::time::Duration;

const PEER: UniqueId = UniqueId { hi: 9, lo: 9 };
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn paired() -> Node {
    node(Config {
        ha: Some(HaConfig {
            pair: pair::Config {
                limits: Limits::new(TIMEOUT, TIMEOUT, Duration::from_secs(2)),
                address: Text::from("host:1"),
                force: false,
                address_as_priority: false,
                max_missed: 3,
            },
            peer: NetworkAddress::default(),
            tick: Duration::from_millis(500),
            hello_period: Duration::from_millis(200),
            call_timeout: Duration::from_millis(500),
            role_timeout: Duration::from_secs(1),
            role_resend: Duration::from_millis(100),
        }),
        ..Config::default()
    })
}

fn join(node: &mut Node, now: Now, n: i64, id: &str, seconds: i64) -> Vec<Call> {
    let request = wire::RegisterSubscriberRequest {
        heartbeat_timeout_ms: Some(seconds * 1_000),
        ..request(id, &["t"])
    };
    register(node, now, n, request)
}

fn ha_heartbeat(calls: Vec<Call>) -> Option<(CallId, wire::StatestoreHaHeartbeatRequest)> {
    calls.into_iter().find_map(|call| match call.body {
        Body::HaHeartbeat(request) => Some((call.id, *request)),
        _ => None,
    })
}

/// The node is active: the peer, which the test is, has granted it the role.
pub(super) fn active() -> (Node, CallId) {
    let mut node = paired();
    let calls = step(&mut node, at(500), Input::Timer);
    let hello = calls
        .iter()
        .find(|it| matches!(it.body, Body::Handshake(_)));
    let welcome = wire::StatestoreHaHandshakeResponse {
        status: Status::ok(),
        dst_protocol_version: ProtocolVersion::V2,
        dst_statestore_id: PEER,
        highest_epoch: Some(wire::Epoch(2)),
        ..Default::default()
    };
    let outcome = Ok(Reply::Handshake(Box::new(welcome)));
    let call = hello.unwrap().id;
    let calls = step(&mut node, at(500), Input::Completed { call, outcome });
    assert!(node.role().acts());
    (node, ha_heartbeat(calls).unwrap().0)
}

/// A peer that stands by and has nothing to tell.
pub(super) fn acceptance() -> Reply {
    Reply::HaHeartbeat(Box::new(wire::StatestoreHaHeartbeatResponse {
        status: Status::ok(),
        highest_epoch: Some(wire::Epoch(2)),
        is_active: Some(false),
        ..Default::default()
    }))
}

/// Answers an HA heartbeat; which version of the peer's members the next one confirms.
fn confirmed(
    node: &mut Node,
    now: u64,
    call: CallId,
    told: (&[&str], Option<Vec<i64>>),
) -> (CallId, i64) {
    let epoch = node.fence().unwrap().epoch;
    let reply = wire::StatestoreHaHeartbeatResponse {
        status: Status::ok(),
        highest_epoch: Some(epoch),
        is_active: Some(false),
        electorate_version: Some(1),
        members_version: Some(7),
        members: Some(told.0.iter().map(|id| Text::from(*id)).collect()),
        member_timeouts_ms: told.1,
        timeout_ms: Some(10_000),
        subscriber_timeout_ms: Some(10_000),
        ..Default::default()
    };
    let outcome = Ok(Reply::HaHeartbeat(Box::new(reply)));
    let mut next = ha_heartbeat(step(node, at(now), Input::Completed { call, outcome }));
    for now in now..now + 1_000 {
        next = next.or_else(|| ha_heartbeat(step(node, at(now), Input::Timer)));
    }
    let (call, request) = next.unwrap();
    (call, request.known_members_version.unwrap())
}

/// What the active counts on of each, as the pace of its heartbeats shows: a fifth of 3/4 of it.
fn counted(node: &Node, now: u64, id: &str) -> u128 {
    let (period, _) = node.heartbeat_pace(at(now), &Text::from(id));
    (period * 20 / 3).as_millis()
}

// rule 9
#[test]
fn the_standby_names_the_limits_below_its_flag_in_the_order_of_its_members() {
    let mut node = paired();
    join(&mut node, at(10), 1, "b", 5);
    join(&mut node, at(10), 2, "a", 10);
    join(&mut node, at(10), 3, "c", 60);
    join(&mut node, at(10), 4, "d", 7);
    let own = StatestoreId(UniqueId { hi: 7, lo: 8 });
    let beat = wire::StatestoreHaHeartbeatRequest {
        protocol_version: ProtocolVersion::V2,
        dst_statestore_id: own.0,
        src_statestore_id: PEER,
        epoch: Some(wire::Epoch(2)),
        ..Default::default()
    };
    let reply = node.ha_heartbeat(at(20), beat.clone());
    let ids = ["a", "b", "c", "d"].map(Text::from);
    assert_eq!(reply.members.as_deref(), Some(&ids[..]));
    assert_eq!(
        reply.member_timeouts_ms,
        Some(Vec::from([0, 5_000, 0, 7_000]))
    );
    assert_eq!(reply.subscriber_timeout_ms, Some(10_000));
    let known = wire::StatestoreHaHeartbeatRequest {
        known_members_version: reply.members_version,
        ..beat
    };
    let reply = node.ha_heartbeat(at(30), known);
    assert_eq!((reply.members, reply.member_timeouts_ms), (None, None));
}

// rule 9
#[test]
fn the_active_counts_on_each_member_for_no_longer_than_the_standby_says() {
    let (mut node, call) = active();
    for (n, id) in ["a", "b", "c"].into_iter().enumerate() {
        join(&mut node, at(600), n as i64, id, 10);
    }
    let told = (&["c", "a", "b"][..], Some(Vec::from([3_000, 0, 5_000])));
    assert_eq!(confirmed(&mut node, 700, call, told).1, 7);
    assert_eq!(counted(&node, 1_300, "b"), 5_000);
    assert_eq!(counted(&node, 1_300, "c"), 3_000);
    assert!(counted(&node, 1_300, "a") > 5_000, "its own and the flag's");
}

// rule 9: what was not understood confirms nothing, or the peer would release its votes
#[test]
fn limits_that_are_not_one_for_each_member_confirm_nothing() {
    let (mut node, mut call) = active();
    join(&mut node, at(600), 1, "a", 10);
    let mut now = 700;
    for nonsense in [&[][..], &[5_000], &[5_000, 0, 0], &[-1, 0], &[0, i64::MIN]] {
        let told = (&["a", "b"][..], Some(nonsense.to_vec()));
        let known;
        (call, known) = confirmed(&mut node, now, call, told);
        assert_eq!(known, 0, "{nonsense:?}");
        now += 1_000;
    }
    assert!(node.role().acts(), "it is an acknowledgement all the same");
    let told = (&["a", "b"][..], Some(Vec::from([5_000, 0])));
    assert_eq!(confirmed(&mut node, now, call, told).1, 7);
}

/// Whether "a", which registered as ours, has acknowledged anything after answering OK to all
/// heartbeats, with the epoch that it has seen or none.
fn has_acknowledged(sees: bool) -> bool {
    let (mut node, call) = active();
    let mut calls = join(&mut node, at(600), 1, "a", 10);
    confirmed(&mut node, 700, call, (&["a"], None));
    for now in 1_700..4_000 {
        calls.extend(step(&mut node, at(now), Input::Timer));
        let pulse = |call: &Call| call.lane == Lane::Heartbeat;
        let Some(i) = calls.iter().position(pulse) else {
            continue;
        };
        let Body::Heartbeat(request) = &calls[i].body else {
            panic!("{:?}", calls[i])
        };
        let response = wire::HeartbeatResponse {
            highest_epoch: request.epoch.filter(|_| sees),
            ..Default::default()
        };
        let outcome = Ok(Reply::Heartbeat {
            response,
            connection: 1,
        });
        let call = calls.remove(i).id;
        calls.extend(step(&mut node, at(now), Input::Completed { call, outcome }));
    }
    let view = node.ha.as_ref().unwrap().pair.view(at(4_000).time);
    let elector = view.voters.iter().find(|it| it.id == "a");
    elector.unwrap().acknowledged.is_some()
}

// rules 9, 20
#[test]
fn an_ok_of_who_has_not_seen_the_epoch_is_no_acknowledgement_under_terms_of_ours() {
    assert!(has_acknowledged(true));
    assert!(!has_acknowledged(false));
}

// section 5: nobody's word makes heartbeats faster than what is promised to work
#[test]
fn a_limit_of_a_millisecond_makes_no_thousands_of_heartbeats() {
    let (mut node, call) = active();
    join(&mut node, at(600), 1, "a", 10);
    confirmed(&mut node, 700, call, (&["a"], Some(Vec::from([1]))));
    assert_eq!(counted(&node, 1_300, "a"), 300);
}
