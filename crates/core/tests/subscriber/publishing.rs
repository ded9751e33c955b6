//! What is published: sent once, proven, sent again when in doubt, never lost.

use crate::support::*;
use crate::words::*;
use statestore_core::subscriber::TopicConfig;
use statestore_core::subscriber::port::*;
use statestore_wire::{ItemBatch, TopicDelta};

fn transient(name: &str) -> TopicConfig {
    TopicConfig {
        transient: true,
        ..topic(name)
    }
}

#[test]
fn writes_of_one_key_are_one_and_leave_in_the_order_of_the_last_ones() {
    let mut world = World::following(vec![topic("t")]);
    world.publish(vec![
        put("t", "a", "1"),
        put("t", "b", "2"),
        put("t", "a", "3"),
    ]);
    world.publish(vec![delete("t", "c")]);
    assert_eq!(world.view().outstanding, 3);
    let answer = world.update(1, vec![delta("t", 0, 0, &[])]);
    assert_eq!(published(&answer), ["t b=2", "t a=3", "t -c"]);
}

#[test]
fn k2_a_second_request_on_a_connection_proves_that_the_first_answer_arrived() {
    let mut world = World::following(vec![topic("t")]);
    world.publish(vec![put("t", "a", "1")]);
    assert_eq!(
        published(&world.update(1, vec![delta("t", 0, 0, &[])])),
        ["t a=1"]
    );
    // Even the other stream's: S-2.
    assert!(published(&world.update(1, vec![])).is_empty());
    assert_eq!(world.view().outstanding, 0);
}

#[test]
fn t20_over_another_connection_the_base_tells_whether_the_answer_arrived() {
    let mut world = World::following(vec![topic("t")]);
    world.publish(vec![put("t", "a", "1")]);
    assert_eq!(
        published(&world.update(1, vec![delta("t", 0, 4, &[("x", "y")])])),
        ["t a=1"]
    );
    // Still based on 0: the answer was lost (K-2, T-26).
    let again = world.update(2, vec![delta("t", 0, 4, &[("x", "y")])]);
    assert_eq!(published(&again), ["t a=1"]);
    // Based on where the answer put it.
    assert!(published(&world.update(3, vec![delta("t", 4, 5, &[("a", "1")])])).is_empty());
    assert_eq!(world.view().outstanding, 0);
}

#[test]
fn t20_a_base_that_an_earlier_answer_may_have_moved_proves_nothing() {
    let mut world = World::following(vec![topic("t")]);
    let message = || vec![delta("t", 0, 4, &[("x", "y")])];
    world.update(2, message());
    world.publish(vec![put("t", "a", "1")]);
    // The first try of the same message, which had been on its way for long; nobody waits for it.
    assert_eq!(published(&world.update(1, message())), ["t a=1"]);
    let next = world.update(3, vec![delta("t", 4, 4, &[])]);
    assert_eq!(published(&next), ["t a=1"]);
    assert_eq!(world.view().outstanding, 1);
}

#[test]
fn t7_on_a_quiet_topic_seeing_the_entry_again_is_the_proof() {
    let prefixed = TopicConfig {
        prefix: "p".into(),
        ..topic("t")
    };
    let mut world = World::following(vec![prefixed]);
    world.update(1, vec![delta("t", 0, 4, &[])]);
    world.publish(vec![
        put("t", "p1", "1"),
        put("t", "hidden", "2"),
        delete("t", "p2"),
    ]);
    let sent = world.update(1, vec![delta("t", 4, 4, &[])]);
    assert_eq!(published(&sent).len(), 3);
    // Too few new versions for three writes: nothing arrived, though the counter moved.
    let lost = world.update(2, vec![delta("t", 4, 6, &[])]);
    assert_eq!(published(&lost).len(), 3);
    // Enough of them, but they may be another's; what is seen is proven, the hidden one is not.
    let unclear = world.update(3, vec![delta("t", 6, 9, &[("p1", "1")])]);
    assert!(
        published(&unclear).is_empty(),
        "6 = base after a message that moved: arrived"
    );
    world.publish(vec![put("t", "p3", "3"), put("t", "hidden", "4")]);
    world.update(3, vec![delta("t", 9, 9, &[])]);
    let unclear = world.update(4, vec![delta("t", 9, 12, &[("p3", "3")])]);
    assert_eq!(published(&unclear), ["t hidden=4"]);
}

#[test]
fn a_deletion_is_sent_until_proven_and_then_forgotten() {
    let mut world = World::following(vec![topic("t")]);
    world.publish(vec![put("t", "a", "1")]);
    world.update(1, vec![delta("t", 0, 0, &[])]);
    world.publish(vec![delete("t", "a")]);
    assert_eq!(
        published(&world.update(1, vec![delta("t", 0, 1, &[("a", "1")])])),
        ["t -a"]
    );
    assert_eq!(
        published(&world.update(2, vec![delta("t", 0, 1, &[("a", "1")])])),
        ["t -a"]
    );
    world.update(2, vec![delta("t", 1, 2, &[])]);
    assert_eq!(world.view().outstanding, 0);
    // A fresh statestored is told nothing of it.
    world.seconds(31);
    world.register(0, 11, 2, true);
    let fresh = world.update_from((11, 2), 5, vec![delta("t", 0, 0, &[])]);
    assert!(published(&fresh).is_empty());
}

#[test]
fn b13_after_a_registration_anew_transient_entries_are_sent_again_whoever_it_is() {
    let mut world = World::following(vec![transient("m"), topic("t")]);
    world.publish(vec![put("m", "me", "1"), put("t", "a", "1")]);
    let full =
        |v, e: &[(&str, &str)], f: &[(&str, &str)]| vec![delta("m", 0, v, e), delta("t", 0, v, f)];
    world.update(1, full(0, &[], &[]));
    world.update(1, full(1, &[("me", "1")], &[("a", "1")]));
    world.seconds(31);
    world.register(0, 10, 2, true); // the same process: lasting entries are still there (T-31)
    let answer = world.update_from((10, 2), 2, full(2, &[("me", "1")], &[("a", "1")]));
    assert_eq!(
        published(&answer),
        ["m me=1"],
        "W33: whatever the old registration wrote goes"
    );
    world.seconds(31);
    world.register(0, 12, 3, true); // another process
    let answer = world.update_from((12, 3), 3, full(0, &[], &[]));
    assert_eq!(published(&answer), ["m me=1", "t a=1"]);
}

#[test]
fn t9_an_empty_topic_is_told_everything_although_a_filter_hides_it() {
    let hidden = TopicConfig {
        prefix: "!".into(),
        ..topic("catalog-update")
    };
    let mut world = World::following(vec![hidden]);
    world.publish(vec![put("catalog-update", "1:t", "x")]);
    world.update(1, vec![delta("catalog-update", 0, 0, &[])]);
    assert!(published(&world.update(1, vec![delta("catalog-update", 0, 1, &[])])).is_empty());
    // Somebody cleared it.
    let answer = world.update(1, vec![delta("catalog-update", 0, 0, &[])]);
    assert_eq!(published(&answer), ["catalog-update 1:t=x"]);
}

#[test]
fn what_is_missing_in_a_full_message_is_sent_again_and_nothing_else() {
    let mut world = World::following(vec![topic("t")]);
    world.publish(vec![
        put("t", "a", "1"),
        put("t", "b", "2"),
        put("t", "c", "3"),
    ]);
    world.update(1, vec![delta("t", 0, 0, &[])]);
    world.update(
        1,
        vec![delta("t", 0, 3, &[("a", "1"), ("b", "2"), ("c", "3")])],
    );
    // W13: somebody cleared the topic and wrote one of ours with another value.
    let answer = world.update(1, vec![delta("t", 0, 5, &[("a", "1"), ("b", "other")])]);
    assert_eq!(published(&answer), ["t b=2", "t c=3"]);
}

#[test]
fn t32_what_a_delta_says_is_gone_is_sent_again_unless_that_is_wished() {
    let mut world = World::following(vec![transient("m")]);
    world.publish(vec![put("m", "me", "1"), put("m", "old", "2")]);
    world.update(1, vec![delta("m", 0, 0, &[])]);
    world.publish(vec![delete("m", "old")]);
    let both = [("me", "1"), ("old", "2")];
    let answer = world.update(1, vec![delta("m", 0, 2, &both)]);
    assert_eq!(published(&answer), ["m -old"]);
    // A late answer to the former registration has taken one of them along.
    let gone = ["me", "old", "another's"].map(|key| (key.as_bytes(), &b""[..], true));
    let taken = TopicDelta {
        topic_entries: ItemBatch::from_items(gone),
        ..delta("m", 2, 6, &[])
    };
    let answer = world.update(1, vec![taken]);
    assert_eq!(published(&answer), ["m me=1"]);
    let back = world.update(1, vec![delta("m", 6, 7, &[("me", "1")])]);
    assert!(published(&back).is_empty() && world.view().outstanding == 0);
}

#[test]
fn t23_a_clear_goes_before_what_was_put_after_it_and_takes_what_was_before() {
    let mut world = World::following(vec![topic("t")]);
    world.publish(vec![
        put("t", "old", "1"),
        Command::Clear { topic: "t".into() },
    ]);
    world.publish(vec![put("t", "new", "2")]);
    let answer = world.update(1, vec![delta("t", 0, 9, &[("x", "y")])]);
    assert_eq!(published(&answer), ["t clear", "t new=2"]);
    let wire = answer.into_response();
    assert_eq!(wire.topic_updates[0].clear_topic_entries, Some(true));
    // Lost: both again, and what came meanwhile.
    world.publish(vec![put("t", "more", "3")]);
    let again = world.update(2, vec![delta("t", 0, 9, &[("x", "y")])]);
    assert_eq!(published(&again), ["t clear", "t new=2", "t more=3"]);
    let done = world.update(2, vec![delta("t", 9, 11, &[("new", "2"), ("more", "3")])]);
    assert!(published(&done).is_empty() && world.view().outstanding == 0);
}

#[test]
fn t22_a_reset_and_a_clear_of_one_topic_never_share_an_answer() {
    let mut world = World::following(vec![topic("t")]);
    world.update(1, vec![delta("t", 0, 5, &[])]);
    world.publish(vec![
        Command::Clear { topic: "t".into() },
        put("t", "a", "1"),
    ]);
    let reset = world.update(1, vec![delta("t", 8, 9, &[])]);
    assert_eq!(published(&reset), ["t from=5"]);
    let next = world.update(1, vec![delta("t", 5, 9, &[])]);
    assert_eq!(published(&next), ["t clear", "t a=1"]);
}

#[test]
fn s2_a_topics_changes_travel_in_its_own_streams_answers_only() {
    let mut world = World::following(vec![topic("t"), topic("impala-membership")]);
    world.publish(vec![put("t", "a", "1"), put("impala-membership", "m", "1")]);
    let priority = world.update(1, vec![delta("impala-membership", 0, 0, &[])]);
    assert_eq!(published(&priority), ["impala-membership m=1"]);
    let normal = world.update(2, vec![delta("t", 0, 0, &[])]);
    assert_eq!(published(&normal), ["t a=1"]);
    // Without its own stream, a topic takes the other one.
    world.publish(vec![put("x-impala-request-queue", "q", "1")]);
    let only = &mut World::following(vec![topic("t")]);
    only.publish(vec![put("impala-membership", "m", "1")]);
    assert_eq!(
        published(&only.update(1, vec![delta("t", 0, 0, &[])])),
        ["impala-membership m=1"]
    );
}

#[test]
fn what_is_too_much_for_one_answer_waits_for_the_next() {
    let mut settings = config(1);
    settings.topics = vec![topic("t")];
    settings.max_publication = 10;
    let mut world = World::new(settings);
    world.register(0, 10, 1, true);
    let commands = ["a", "b", "c"].map(|key| put("t", key, "123456")).to_vec();
    world.publish(commands);
    assert_eq!(
        published(&world.update(1, vec![delta("t", 0, 0, &[])])).len(),
        2
    );
    let arrived = [("a", "123456"), ("b", "123456")];
    let rest = world.update(1, vec![delta("t", 0, 2, &arrived)]);
    assert_eq!(published(&rest), ["t c=123456"]);
}

#[test]
fn nothing_is_published_in_an_answer_that_processes_nothing() {
    let mut world = World::following(vec![topic("t")]);
    world.publish(vec![put("t", "a", "1")]);
    let open = world
        .begin_update(1, vec![delta("t", 0, 0, &[])])
        .delivery();
    let skipped = world.update(2, vec![delta("t", 0, 0, &[])]);
    assert!(skipped.skipped && skipped.updates.is_empty());
    let failed = world.finish_with(open, Err("no".into()));
    assert!(failed.updates.is_empty());
    assert_eq!(world.view().outstanding, 1);
}

// B-13: the duty to publish again ends with the wish.
#[test]
fn what_is_forgotten_is_neither_deleted_nor_published_again() {
    let mut world = World::following(vec![topic("t")]);
    world.publish(vec![put("t", "a", "1")]);
    let answer = world.update(1, vec![delta("t", 0, 0, &[])]);
    assert_eq!(published(&answer), ["t a=1"]);
    world.publish(vec![
        put("t", "b", "2"),
        Command::Forget { topic: "t".into() },
    ]);
    assert!(published(&world.update(1, vec![delta("t", 0, 1, &[("a", "1")])])).is_empty());
    assert_eq!(world.view().outstanding, 0);
    // Fresh, or cleared by somebody: whoever forgot does not care.
    assert!(published(&world.update(1, vec![delta("t", 0, 0, &[])])).is_empty());
    world.publish(vec![put("t", "c", "3")]);
    let answer = world.update(1, vec![delta("t", 0, 0, &[])]);
    assert_eq!(published(&answer), ["t c=3"]);
}
