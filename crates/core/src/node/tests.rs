//! What scenarios cannot show; `bounds`: that work and memory stay bounded.
//! `short`: that steps stay short; `unasked`: publications without being asked; `resting`: who is
//! not asked because it publishes so; `many`: publications of very many topics; `told`: what the
//! two of a pair tell of their members; `reach`: why the peer is not found; `astray`: who followed
//! another statestored in between.
#![allow(clippy::unwrap_used, clippy::panic)]

mod astray;
mod bounds;
mod limits;
mod many;
mod reach;
mod resting;
mod short;
mod told;
mod unasked;

use super::*;
use crate::ids::{CallId, RegistrationId, RequestId};
use crate::port::{Answer, Body, Call, CallFault, Reply, Request};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use statestore_wire as wire;
use statestore_wire::{ItemBatch, ProtocolVersion, Status, StatusCode, TopicDelta, UniqueId};

fn at(millis: u64) -> Now {
    Now {
        time: Time::from_millis(millis),
        wall: Wall((millis * 1_000).cast_signed()),
    }
}

fn node(config: Config) -> Node {
    let identity = Identity::new(UniqueId { hi: 7, lo: 8 });
    Node::new(config, identity, at(5))
}

fn request(id: &str, topics: &[&str]) -> wire::RegisterSubscriberRequest {
    let topics = topics.iter().map(|name| wire::TopicRegistration {
        topic_name: Text::from(*name),
        is_transient: true,
        ..Default::default()
    });
    wire::RegisterSubscriberRequest {
        protocol_version: ProtocolVersion::V2,
        subscriber_id: Text::from(id),
        subscriber_location: NetworkAddress::default(),
        topic_registrations: topics.collect(),
        subscriber_type: None,
        subscribe_catalogd_change: Some(true),
        catalogd_registration: None,
        heartbeat_timeout_ms: None,
        publishes: None,
    }
}

fn catalogd(id: &str) -> wire::RegisterSubscriberRequest {
    wire::RegisterSubscriberRequest {
        catalogd_registration: Some(wire::CatalogRegistration {
            protocol: wire::CatalogVersion::V2,
            address: NetworkAddress::default(),
            enable_catalogd_ha: None,
            force_catalogd_active: None,
            registration_time: None,
        }),
        ..request(id, &["catalog-update"])
    }
}

/// What [`publication`] publishes to.
const TOPIC: &str = "impala-membership";

/// A call of this registration that publishes these keys.
fn publication(id: &str, registration: i64, sequence: i64, keys: &[&str]) -> wire::PublishRequest {
    let items = keys.iter().map(|key| (key.as_bytes(), &b"v"[..], false));
    wire::PublishRequest {
        subscriber_id: Text::from(id),
        registration_id: UniqueId {
            hi: 0,
            lo: registration,
        },
        sequence,
        topic_updates: Vec::from([TopicDelta {
            topic_name: Text::from(TOPIC),
            topic_entries: ItemBatch::from_items(items),
            is_delta: true,
            ..Default::default()
        }]),
        ..Default::default()
    }
}

/// One step; gives the calls.
fn step(node: &mut Node, now: Now, input: Input) -> Vec<Call> {
    let mut out = Outbox::new();
    node.step(now, input, &mut out);
    let calls = out.into_iter().filter_map(|effect| match effect {
        Effect::Call(call) => Some(call),
        _ => None,
    });
    calls.collect()
}

fn register(
    node: &mut Node,
    now: Now,
    n: i64,
    request: wire::RegisterSubscriberRequest,
) -> Vec<Call> {
    let input = Input::Request {
        request_id: RequestId(1),
        request: Request::Register {
            request,
            drawn: RegistrationId(UniqueId { hi: 0, lo: n }),
        },
    };
    step(node, now, input)
}

fn fail(node: &mut Node, now: Now, call: CallId) -> Vec<Call> {
    let status = Status::error(StatusCode::RPC_GENERAL_ERROR, "no");
    let outcome = Err(CallFault(status));
    step(node, now, Input::Completed { call, outcome })
}

//
#[test]
fn every_message_names_the_process() {
    let mut node = node(Config::default());
    let own = UniqueId { hi: 7, lo: 8 };
    let mut calls = register(&mut node, at(5), 1, request("a", &["t"]));
    calls.extend(register(&mut node, at(5), 2, catalogd("c")));
    assert_eq!(calls.len(), 6);
    for call in calls {
        let id = match call.body {
            Body::Heartbeat(request) => request.statestore_id.unwrap(),
            Body::Update(update) => update.statestore_id.0,
            Body::Catalogd(request) => request.statestore_id,
            Body::Role(request) => request.statestore_id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id, own);
    }
}

// S-6, W14: no workers, so nobody waits for anybody.
#[test]
fn a_thousand_subscribers_that_hang_do_not_delay_one_that_answers() {
    let mut node = node(Config::default());
    for n in 0..1_000 {
        register(
            &mut node,
            at(5),
            n,
            request(&format!("hung{n}"), &["impala-membership"]),
        );
    }
    let mut calls = register(
        &mut node,
        at(5),
        1_000,
        request("a", &["impala-membership"]),
    );
    for beat in 1..50 {
        let call = calls
            .iter()
            .find(|call| call.lane == crate::port::Lane::Priority);
        let outcome = Ok(Reply::Update(wire::UpdateStateResponse::default()));
        let call = call.unwrap().id;
        step(
            &mut node,
            at(100 * beat),
            Input::Completed { call, outcome },
        );
        assert_eq!(node.deadline(), Some(at(100 * (beat + 1)).time));
        calls = step(&mut node, at(100 * (beat + 1)), Input::Timer);
    }
}

#[test]
fn the_same_inputs_give_the_same_effects() {
    let run = || {
        let mut node = node(Config::default());
        let mut text = format!("{:?}", register(&mut node, at(5), 1, catalogd("c")));
        text += &format!(
            "{:?}",
            register(&mut node, at(5), 2, request("a", &["t", "u"]))
        );
        for millis in (0..20_000).step_by(500) {
            text += &format!("{:?}", step(&mut node, at(millis), Input::Timer));
        }
        text
    };
    assert_eq!(run(), run());
}
