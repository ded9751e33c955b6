//! However much is due at one moment, a step does a bounded part of it, and all of it is done.

use super::*;
use alloc::collections::BTreeSet;

/// Steps until nothing is due; the calls of each.
fn steps(node: &mut Node, now: Now) -> Vec<Vec<Call>> {
    let mut all = Vec::new();
    while node.deadline().is_some_and(|due| due <= now.time) {
        all.push(step(node, now, Input::Timer));
    }
    all
}

fn follower(n: i64) -> wire::RegisterSubscriberRequest {
    request(&format!("s{n}"), &["impala-membership"])
}

fn answer(node: &mut Node, now: Now, call: &Call, updates: Vec<TopicDelta>) -> Vec<Call> {
    let outcome = Ok(match call.body {
        Body::Heartbeat(_) => Reply::Heartbeat {
            response: wire::HeartbeatResponse::default(),
            connection: 1,
        },
        _ => Reply::Update(wire::UpdateStateResponse {
            topic_updates: updates,
            ..Default::default()
        }),
    });
    let call = call.id;
    step(node, now, Input::Completed { call, outcome })
}

// S-3, S-6: after a pause of the whole process, say.
#[test]
fn what_is_due_at_one_moment_is_done_in_short_steps_in_its_order() {
    let mut node = node(Config::default());
    let mut calls = Vec::new();
    for n in 0..2_000 {
        calls.extend(register(&mut node, at(5), n, follower(n)));
    }
    for call in &calls {
        answer(&mut node, at(5), call, Vec::new());
    }
    let parts = steps(&mut node, at(60_000));
    assert!(parts.len() > 4 && parts.iter().all(|part| part.len() <= 512));
    let again: Vec<Call> = parts.into_iter().flatten().collect();
    let who = |calls: &[Call]| -> BTreeSet<_> {
        calls
            .iter()
            .map(|c| (c.subscriber.clone(), c.lane))
            .collect()
    };
    assert_eq!((again.len(), who(&again)), (4_000, who(&calls)));
    // Priority updates were due first.
    let lanes = again
        .iter()
        .map(|call| call.lane == crate::port::Lane::Priority);
    assert_eq!(lanes.take_while(|first| *first).count(), 2_000);
}

// P4: one change to very many is told in parts, and each of them is told.
#[test]
fn a_change_is_told_to_very_many_in_short_steps() {
    let mut node = node(Config::default());
    let mut calls = Vec::new();
    for n in 0..3_000 {
        calls.extend(register(&mut node, at(5), n, follower(n)));
    }
    for call in &calls[2..] {
        answer(&mut node, at(5), call, Vec::new());
    }
    let update = TopicDelta {
        topic_name: Text::from("impala-membership"),
        topic_entries: ItemBatch::from_items([(&b"key"[..], &b"value"[..], false)]),
        ..Default::default()
    };
    let mut told = answer(&mut node, at(50), &calls[1], Vec::from([update]));
    // Each part of telling asks for the next one a moment later.
    let parts: Vec<_> = (51..60)
        .flat_map(|millis| steps(&mut node, at(millis)))
        .collect();
    assert!(told.len() <= 512 && parts.iter().all(|part| part.len() <= 512));
    told.extend(parts.into_iter().flatten());
    let whom: BTreeSet<_> = told.iter().map(|call| &call.subscriber).collect();
    assert_eq!(
        (told.len(), whom.len()),
        (2_999, 2_999),
        "all but the writer"
    );
}
