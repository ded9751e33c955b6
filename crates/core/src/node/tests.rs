//! What scenarios cannot show: roles, hostile input, and that nothing is left behind.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::ids::{CallId, RegistrationId, RequestId};
use crate::port::{Body, Call, CallFault, Reply};
use alloc::format;
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
    let input = Input::Register {
        request_id: RequestId(1),
        request,
        drawn: RegistrationId(UniqueId { hi: 0, lo: n }),
    };
    step(node, now, input)
}

fn fail(node: &mut Node, now: Now, call: CallId) -> Vec<Call> {
    let status = Status::error(StatusCode::RPC_GENERAL_ERROR, "no");
    let outcome = Err(CallFault(status));
    step(node, now, Input::Completed { call, outcome })
}

// S-10, N-1, N-6, R-7: what a statestored that is not active keeps to itself, and what it says
// when it becomes active.
#[test]
fn a_standby_sends_heartbeats_only_and_announces_its_election_when_it_becomes_active() {
    let mut node = node(Config::default());
    node.assume_role(at(5), Role::Standby, &mut Outbox::new());
    let calls = register(&mut node, at(10), 1, request("a", &["t"]));
    let [call] = &calls[..] else {
        panic!("{calls:?}")
    };
    let Body::Heartbeat(heartbeat) = &call.body else {
        panic!("{call:?}")
    };
    assert_eq!(heartbeat.request_statestore_conn_state, Some(true));
    let calls = register(&mut node, at(10), 2, catalogd("c"));
    assert!(
        calls
            .iter()
            .all(|call| call.lane == crate::port::Lane::Heartbeat),
        "{calls:?}"
    );
    assert_eq!(node.totals().active_catalogd_address, None);
    assert!(!node.catalog().is_active_statestored);

    let mut out = Outbox::new();
    node.assume_role(at(20), Role::Active, &mut out);
    let told = |effect: &Effect| match effect {
        Effect::Call(call) => {
            matches!(&call.body, Body::Catalogd(news) if news.catalogd_version == 1)
        }
        _ => false,
    };
    assert_eq!(
        out.iter().filter(|effect| told(effect)).count(),
        2,
        "{out:?}"
    );
    assert_eq!(node.totals().active_since, at(20).wall);
    let calls = step(&mut node, at(3_000), Input::Timer);
    let updates = calls
        .iter()
        .filter(|call| matches!(call.body, Body::Update(_)));
    assert_eq!(updates.count(), 2, "updates start by themselves");
}

// R-8
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

// R-3, S-7
#[test]
fn ten_thousand_registrations_of_one_id_leave_no_residue() {
    let mut node = node(Config::default());
    let mut pending = Vec::new();
    for n in 0..10_000 {
        let topics = ["impala-membership", "t"];
        pending.extend(register(
            &mut node,
            at(5 + n / 1_000),
            n.cast_signed(),
            request("a", &topics),
        ));
    }
    assert!(
        pending.len() <= 9,
        "a subscriber that hangs does not multiply its calls"
    );
    assert_eq!(
        node.schedule.len(),
        1 + 3,
        "the report and the lanes of the current one"
    );
    assert_eq!(node.members.len(), 1);
    for call in pending {
        fail(&mut node, at(20), call.id);
    }
    assert_eq!(node.calls.len(), 0);
    assert!(node.topics().iter().all(|topic| topic.subscribers == 1));
}

// W12, T-30
#[test]
fn a_million_rewrites_and_deletions_leave_what_is_alive() {
    let mut node = node(Config {
        push_coalesce: None,
        ..Config::default()
    });
    let mut calls = register(&mut node, at(5), 1, request("a", &["t"]));
    let mut now = 5;
    for round in 0..1_000u32 {
        let keys: Vec<_> = (0..1_000u32)
            .map(|n| format!("{}", (round * 7 + n) % 3_000))
            .collect();
        let items = keys
            .iter()
            .enumerate()
            .map(|(i, key)| (key.as_bytes(), &b"v"[..], i >= 10));
        let update = TopicDelta {
            topic_name: Text::from("t"),
            topic_entries: ItemBatch::from_items(items),
            ..Default::default()
        };
        let call = calls
            .iter()
            .find(|call| call.lane == crate::port::Lane::Bulk)
            .unwrap()
            .id;
        let response = wire::UpdateStateResponse {
            topic_updates: Vec::from([update]),
            ..Default::default()
        };
        let outcome = Ok(Reply::Update(response));
        step(&mut node, at(now), Input::Completed { call, outcome });
        now += 2_000;
        calls = step(&mut node, at(now), Input::Timer);
    }
    let topic = &node.topics()[0];
    assert!(topic.entries - topic.tombstones <= 3_000);
    assert!(topic.memory_bytes < 2 << 20, "{topic:?}");
}

// T-6, T-32: a large publication enters in short steps, is seen whole or not at all, and does not
// outlive its registration.
#[test]
fn a_large_publication_enters_in_steps_and_is_sent_only_when_complete() {
    let mut node = node(Config {
        items_per_step: 1_000,
        ..Config::default()
    });
    let calls = register(&mut node, at(5), 1, request("w", &["t"]));
    let keys: Vec<_> = (0..10_500).map(|n| format!("{n}")).collect();
    let items = keys.iter().map(|key| (key.as_bytes(), &b"v"[..], false));
    let update = TopicDelta {
        topic_name: Text::from("t"),
        topic_entries: ItemBatch::from_items(items),
        ..Default::default()
    };
    let call = calls
        .iter()
        .find(|call| call.lane == crate::port::Lane::Bulk)
        .unwrap()
        .id;
    let response = wire::UpdateStateResponse {
        topic_updates: Vec::from([update]),
        ..Default::default()
    };
    let outcome = Ok(Reply::Update(response));
    step(&mut node, at(10), Input::Completed { call, outcome });
    assert_eq!(node.topics()[0].version, 1_000);
    let calls = register(&mut node, at(10), 2, request("r", &["t"]));
    assert_eq!(
        calls.len(),
        1,
        "only a heartbeat: half a publication is not sent"
    );
    assert!(register(&mut node, at(10), 3, request("w", &["t"])).len() == 1);

    let (mut steps, mut updates) = (0, Vec::new());
    while node
        .deadline()
        .is_some_and(|deadline| deadline < at(100).time)
    {
        steps += 1;
        let now = Now {
            time: node.deadline().unwrap(),
            ..at(10)
        };
        updates.extend(step(&mut node, now, Input::Timer));
    }
    assert!(steps >= 10, "{steps} steps");
    let seen = updates.iter().filter_map(|call| match &call.body {
        Body::Update(update) => Some(update.topics[0].delta.count),
        _ => None,
    });
    // What the former registration had published before it ended is inherited (W33), the rest
    // came too late and went at once.
    assert_eq!(seen.collect::<Vec<_>>(), [1_000, 1_000]);
    assert_eq!(node.topics()[0].version, 10_500 + 9_500);
}

// T-22, T-27, W25: no claim of a subscriber makes a step panic.
#[test]
fn absurd_replies_disturb_nobody() {
    let mut node = node(Config::default());
    for (n, from) in [i64::MIN, -1, 0, 1, i64::MAX].into_iter().enumerate() {
        let calls = register(&mut node, at(5), n as i64, request("a", &["t", ""]));
        for call in calls {
            let deltas = ["t", "", "nowhere", "t"].map(|name| TopicDelta {
                topic_name: Text::from(name),
                from_version: Some(from),
                to_version: Some(from),
                min_subscriber_topic_version: Some(from),
                clear_topic_entries: Some(n % 2 == 0),
                is_delta: true,
                ..Default::default()
            });
            let response = wire::UpdateStateResponse {
                topic_updates: deltas.to_vec(),
                ..Default::default()
            };
            let reply = Ok(Reply::Update(response));
            step(
                &mut node,
                at(6),
                Input::Completed {
                    call: call.id,
                    outcome: reply,
                },
            );
            let again = Ok(Reply::Role(wire::UpdateStatestoredRoleResponse::default()));
            step(
                &mut node,
                at(6),
                Input::Completed {
                    call: call.id,
                    outcome: again,
                },
            );
        }
    }
    let unknown = Ok(Reply::Heartbeat(wire::HeartbeatResponse::default()));
    step(
        &mut node,
        at(7),
        Input::Completed {
            call: CallId(u64::MAX),
            outcome: unknown,
        },
    );
    assert_eq!(node.subscribers(at(7)).len(), 1);
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
