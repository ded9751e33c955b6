//! Deltas: B-36 to B-39, and what is counted of them.

use crate::support::*;
use crate::words::*;
use statestore_core::subscriber::Mirror;
use statestore_core::subscriber::port::*;
use statestore_wire::*;

#[test]
fn b36_deltas_are_delivered_in_the_order_of_topic_names() {
    let mut world = World::following(vec![topic("b"), topic("a"), topic("c")]);
    let message = ["c", "a", "b"]
        .map(|name| delta(name, 0, 1, &[("k", "v")]))
        .to_vec();
    let delivery = world.begin_update(1, message).delivery();
    let names: Vec<_> = delivery
        .topics
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    world.finish(delivery, vec![]);
}

#[test]
fn b36_a_message_with_a_topic_in_process_is_skipped_whole() {
    let mut world = World::following(vec![topic("a"), topic("b")]);
    let open = world
        .begin_update(1, vec![delta("a", 0, 1, &[("k", "v")])])
        .delivery();
    let both = || {
        vec![
            delta("a", 0, 1, &[("k", "v")]),
            delta("b", 0, 1, &[("k", "v")]),
        ]
    };
    let answer = world.begin_update(2, both()).answer();
    assert!(answer.skipped && answer.updates.is_empty());
    assert_eq!(
        world.view().topics[1].version,
        0,
        "nothing of it was processed"
    );
    let other = world
        .begin_update(2, vec![delta("b", 0, 1, &[("k", "v")])])
        .delivery();
    assert!(!world.finish(open, vec![]).skipped);
    assert!(!world.finish(other, vec![]).skipped);
    assert!(!world.update(1, both()).skipped);
}

#[test]
fn b37_a_topic_that_was_not_registered_is_logged_and_ignored() {
    let mut world = World::following(vec![topic("a")]);
    let message = vec![
        delta("a", 0, 1, &[("k", "v")]),
        delta("x", 0, 1, &[("k", "v")]),
    ];
    let delivery = world.begin_update(1, message).delivery();
    assert_eq!(delivery.topics.len(), 1);
    assert!(published(&world.finish(delivery, vec![])).is_empty());
    assert!(
        world
            .log
            .iter()
            .any(|e| *e == Event::UnknownTopic { topic: "x".into() })
    );
}

#[test]
fn b38_a_delta_that_does_not_continue_asks_for_one_that_does() {
    let mut world = World::following(vec![topic("a"), topic("b")]);
    world.update(
        1,
        vec![delta("a", 0, 5, &[("k", "v")]), delta("b", 0, 5, &[])],
    );
    let message = vec![
        delta("a", 7, 9, &[("k", "w")]),
        delta("b", 5, 6, &[("l", "w")]),
    ];
    let delivery = world.begin_update(1, message).delivery();
    assert_eq!(delivery.topics.len(), 1, "b fits");
    let answer = world.finish(delivery, vec![]);
    assert_eq!(published(&answer), ["a from=5"]);
    let wire = answer.into_response();
    assert_eq!(wire.topic_updates[0].from_version, Some(5));
    assert!(wire.topic_updates[0].topic_entries.is_empty());
    assert_eq!(wire.skipped, None);
    let versions: Vec<_> = world.view().topics.iter().map(|it| it.version).collect();
    assert_eq!(versions, [5, 6]);
    // A full message is always processed.
    world.update(1, vec![delta("a", 0, 3, &[("k", "x")])]);
    assert_eq!(world.view().topics[0].version, 3);
}

#[test]
fn b38_the_base_is_also_reset_when_nothing_of_the_message_fits() {
    let mut world = World::following(vec![topic("a")]);
    let answer = world
        .begin_update(1, vec![delta("a", 7, 9, &[("k", "w")])])
        .answer();
    assert_eq!(published(&answer), ["a from=0"]);
}

#[test]
fn b39_what_the_application_publishes_goes_into_the_same_answer_and_then_the_version_counts() {
    let mut world = World::following(vec![topic("a"), topic("b")]);
    let delivery = world
        .begin_update(1, vec![delta("a", 0, 5, &[("k", "v")])])
        .delivery();
    assert_eq!(world.view().topics[0].version, 0);
    let answer = world.finish(
        delivery,
        vec![put("b", "x", "1"), put("never-heard-of", "y", "2")],
    );
    assert_eq!(
        published(&answer),
        ["b x=1", "never-heard-of y=2"],
        "for any topic"
    );
    assert_eq!(world.view().topics[0].version, 5);
}

#[test]
fn a_failed_delivery_is_an_error_and_the_message_comes_again() {
    let mut world = World::following(vec![topic("a")]);
    let delivery = world
        .begin_update(1, vec![delta("a", 0, 5, &[("k", "v")])])
        .delivery();
    let answer = world.finish_with(delivery, Err("boom".into()));
    assert_eq!(answer.status.message(), "boom");
    assert_eq!(world.view().topics[0].version, 0);
    let again = world
        .begin_update(1, vec![delta("a", 0, 5, &[("k", "v")])])
        .delivery();
    assert!(!again.topics[0].1.is_delta);
    world.finish(again, vec![]);
}

#[test]
fn a_delivery_that_outlives_its_registration_counts_for_nothing() {
    let mut world = World::following(vec![topic("a")]);
    let old = world
        .begin_update(1, vec![delta("a", 0, 50, &[("k", "v")])])
        .delivery();
    world.seconds(31);
    world.register(0, 11, 2, true);
    assert!(world.finish(old, vec![]).skipped);
    assert_eq!(world.view().topics[0].version, 0);
    let new = world.update_from((11, 2), 2, vec![delta("a", 0, 1, &[("k", "w")])]);
    assert!(!new.skipped && world.view().topics[0].version == 1);
}

#[test]
fn durations_and_intervals_are_counted_by_topic_and_over_all() {
    let mut world = World::following(vec![topic("a"), topic("b")]);
    let delivery = world
        .begin_update(1, vec![delta("a", 0, 1, &[])])
        .delivery();
    world.seconds(2);
    world.finish(delivery, vec![]);
    world.seconds(5);
    world.update(1, vec![delta("a", 1, 2, &[])]);
    let view = world.view();
    assert_eq!(
        (view.update_durations.count, view.update_durations.max),
        (2, 2.0)
    );
    assert_eq!(
        (view.update_intervals.count, view.update_intervals.last),
        (1, 5.0)
    );
    assert_eq!(
        (
            view.topics[0].intervals.count,
            view.topics[0].durations.count
        ),
        (1, 2)
    );
    assert_eq!(view.topics[1].durations.count, 0);
    world.heartbeat(10, 1);
    world.seconds(3);
    world.heartbeat(10, 1);
    assert_eq!(world.view().statestores[0].heartbeat_intervals.last, 3.0);
}

#[test]
fn a_mirror_follows_deltas_and_is_replaced_by_full_messages() {
    let mut mirror = Mirror::default();
    mirror.apply(&delta("t", 0, 2, &[("a", "1"), ("b", "2")]));
    let items = [(&b"a"[..], &b"ignored"[..], true), (b"c", b"3", false)];
    mirror.apply(&TopicDelta {
        topic_entries: ItemBatch::from_items(items),
        min_subscriber_topic_version: Some(2),
        ..delta("t", 2, 4, &[])
    });
    let keys: Vec<_> = mirror.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["b", "c"]);
    assert_eq!((mirror.version(), mirror.min_version()), (4, Some(2)));
    let full = mirror.full(&"t".into());
    let mut copy = Mirror::default();
    copy.apply(&full);
    assert_eq!(copy, mirror);
    mirror.apply(&delta("t", 0, 1, &[("z", "9")]));
    assert_eq!(
        (mirror.len(), mirror.value(b"z").unwrap().as_ref()),
        (1, &b"9"[..])
    );
}
