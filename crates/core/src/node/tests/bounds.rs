//! Steps stay short, nothing is left behind, and no claim disturbs anybody.

use super::*;
use crate::port::Lane;

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
            .find(|call| call.lane == Lane::Bulk)
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

/// So many keys of topic `t` are what the update among these calls is answered with.
fn publish_keys(node: &mut Node, now: Now, calls: &[Call], count: usize) {
    let keys: Vec<_> = (0..count).map(|n| format!("{n}")).collect();
    let items = keys.iter().map(|key| (key.as_bytes(), &b"v"[..], false));
    let update = TopicDelta {
        topic_name: Text::from("t"),
        topic_entries: ItemBatch::from_items(items),
        ..Default::default()
    };
    let call = calls.iter().find(|call| call.lane == Lane::Bulk);
    let call = call.unwrap().id;
    let response = wire::UpdateStateResponse {
        topic_updates: Vec::from([update]),
        ..Default::default()
    };
    let outcome = Ok(Reply::Update(response));
    step(node, now, Input::Completed { call, outcome });
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
    publish_keys(&mut node, at(10), &calls, 10_500);
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

// T-30, W12: so does a large expiry leave, and its topic stays until it is through.
#[test]
fn a_large_expiry_goes_in_steps_and_then_the_topic() {
    let mut node = node(Config {
        items_per_step: 100,
        max_missed_heartbeats: 1,
        ..Config::default()
    });
    let calls = register(&mut node, at(5), 1, request("w", &["t"]));
    publish_keys(&mut node, at(5), &calls, 1_000);
    step(&mut node, at(10), Input::Timer);
    while node.topics()[0].version < 1_000 {
        let now = Now {
            time: node.deadline().unwrap(),
            ..at(10)
        };
        step(&mut node, now, Input::Timer);
    }
    let heartbeat = calls
        .iter()
        .find(|call| call.lane == Lane::Heartbeat)
        .unwrap();
    fail(&mut node, at(20), heartbeat.id);
    let topic = &node.topics()[0];
    assert_eq!(
        (topic.entries - topic.tombstones, topic.subscribers),
        (900, 0)
    );
    let mut steps = 0;
    while !node.topics().is_empty() {
        steps += 1;
        let now = Now {
            time: node.deadline().unwrap(),
            ..at(20)
        };
        step(&mut node, now, Input::Timer);
    }
    assert_eq!(
        steps, 10,
        "of a hundred items less what the task itself costs"
    );
    assert!(node.expiring.is_empty() && node.intakes.is_empty());
}

// P10: many writers at once cost one look at the audience, not one each.
#[test]
fn changes_within_the_coalescing_time_are_made_known_together() {
    let mut node = node(Config::default());
    let mut calls = Vec::new();
    for n in 0..100 {
        calls.extend(register(
            &mut node,
            at(5),
            n,
            request(&format!("s{n}"), &["t"]),
        ));
    }
    let updates = calls.into_iter().filter(|call| call.lane == Lane::Bulk);
    let mut again = 0;
    for call in updates {
        let update = TopicDelta {
            topic_name: Text::from("t"),
            topic_entries: ItemBatch::from_items([(
                call.to.subscriber.as_bytes(),
                &b""[..],
                false,
            )]),
            ..Default::default()
        };
        let response = wire::UpdateStateResponse {
            topic_updates: Vec::from([update]),
            ..Default::default()
        };
        let input = Input::Completed {
            call: call.id,
            outcome: Ok(Reply::Update(response)),
        };
        again += step(&mut node, at(6), input).len();
    }
    assert_eq!(again, 0, "each was called a moment ago");
    let calls = step(&mut node, at(16), Input::Timer);
    assert_eq!(calls.len(), 100);
    let whole = |call: &Call| match &call.body {
        Body::Update(update) => update.topics[0].delta.count == 100,
        _ => false,
    };
    assert!(calls.iter().all(whole), "all changes in one message");
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
    let unknown = Ok(Reply::Heartbeat {
        response: wire::HeartbeatResponse::default(),
        connection: 1,
    });
    step(
        &mut node,
        at(7),
        Input::Completed {
            call: CallId::numbered(u64::MAX),
            outcome: unknown,
        },
    );
    assert_eq!(node.subscribers(at(7)).len(), 1);
}

// S-4, B-22: a subscriber that registers would skip an update that comes before its answer.
#[test]
fn first_updates_leave_a_moment_after_the_answer_to_the_registration() {
    let delay = core::time::Duration::from_millis(10);
    let mut node = node(Config {
        first_update_delay: delay,
        ..Config::default()
    });
    let topics = ["impala-membership", "t"];
    let lanes = |calls: Vec<Call>| -> Vec<_> { calls.iter().map(|call| call.lane).collect() };
    let calls = register(&mut node, at(100), 1, request("a", &topics));
    assert_eq!(lanes(calls), [Lane::Heartbeat]);
    assert_eq!(node.deadline(), Some(at(100).time + delay));
    let calls = step(&mut node, at(110), Input::Timer);
    let updates = [Lane::Priority, crate::port::Lane::Bulk];
    assert_eq!(lanes(calls), updates);
}
