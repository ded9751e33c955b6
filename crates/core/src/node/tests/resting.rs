//! Who publishes by itself is left alone only while it has nothing to hear.

use super::*;
use crate::port::Lane;
use core::time::Duration;

const TOPIC: &str = "impala-membership";

fn publisher(id: &str, topics: &[&str]) -> wire::RegisterSubscriberRequest {
    wire::RegisterSubscriberRequest {
        publishes: Some(true),
        ..request(id, topics)
    }
}

fn answer(node: &mut Node, now: Now, call: &Call) -> Vec<Call> {
    let outcome = Ok(match call.body {
        Body::Heartbeat(_) => Reply::Heartbeat {
            response: wire::HeartbeatResponse::default(),
            connection: 1,
        },
        Body::Catalogd(_) => Reply::Catalogd(wire::UpdateCatalogdResponse::default()),
        _ => Reply::Update(wire::UpdateStateResponse::default()),
    });
    let call = call.id;
    step(node, now, Input::Completed { call, outcome })
}

/// Answers every call until `end`; what was sent, and when.
fn live(node: &mut Node, mut calls: Vec<Call>, from: u64, end: u64) -> Vec<(u64, Lane)> {
    let mut sent = Vec::new();
    let mut now = at(from);
    let millis = |time: Time| time.since(Time::ZERO).as_millis() as u64;
    loop {
        while let Some(call) = calls.pop() {
            sent.push((millis(now.time), call.lane));
            calls.extend(answer(node, now, &call));
        }
        let Some(due) = node.deadline().filter(|due| millis(*due) <= end) else {
            return sent;
        };
        now.time = now.time.max(due);
        calls.extend(step(node, now, Input::Timer));
    }
}

// S-10: with its first update it begins to publish.
#[test]
fn an_elected_catalogd_gets_its_first_update_at_once() {
    let mut config = Config::default();
    config.catalog.ha = true;
    config.catalog.preemption_wait = Duration::from_secs(10);
    let mut node = node(config);
    let mut candidate = catalogd("a");
    candidate.publishes = Some(true);
    if let Some(catalogd) = &mut candidate.catalogd_registration {
        catalogd.enable_catalogd_ha = Some(true);
    }
    let calls = register(&mut node, at(5), 1, candidate);
    let sent = live(&mut node, calls, 5, 60_000);
    let mut bulk = sent.iter().filter(|(_, lane)| *lane == Lane::Bulk);
    assert_eq!(bulk.next().map(|(at, _)| *at), Some(10_005));
}
