//! Another statestored becomes the active one: nothing that was wished for is lost, nothing that
//! was wished away comes back, and it does not take long (B-10, B-11, B-30; W20).

use crate::support::*;
use crate::words::*;
use statestore_core::subscriber::port::*;
use statestore_core::subscriber::{Mirror, Role};
use std::collections::BTreeMap;
use std::time::Duration;

fn published_under(
    world: &mut World,
    epoch: i64,
    deltas: Vec<statestore_wire::TopicDelta>,
) -> Vec<String> {
    let from = match epoch {
        10 => (10, 1),
        _ => (20, 2),
    };
    published(&world.update_under(Some(epoch), from, epoch as u64, deltas))
}

fn under_ten() -> World {
    let mut world = World::pair(vec![topic("t")]);
    world.beat(10, 10);
    world
}

#[test]
fn b30_after_a_switch_every_wish_is_sent_again_whether_it_had_arrived_or_not() {
    let mut world = under_ten();
    world.publish(vec![put("t", "arrived", "1")]);
    let sent = published_under(&mut world, 10, vec![delta("t", 0, 0, &[])]);
    assert_eq!(sent, ["t arrived=1"]);
    world.publish(vec![put("t", "flying", "2")]);
    let sent = published_under(&mut world, 10, vec![delta("t", 0, 1, &[("arrived", "1")])]);
    assert_eq!(sent, ["t flying=2"]);
    world.publish(vec![put("t", "waiting", "3")]);
    world.beat(20, 13);
    let mut sent = published_under(&mut world, 13, vec![delta("t", 0, 0, &[])]);
    sent.sort();
    assert_eq!(sent, ["t arrived=1", "t flying=2", "t waiting=3"]);
}

#[test]
fn b30_after_a_switch_nothing_that_was_deleted_comes_back() {
    let mut world = under_ten();
    world.publish(vec![
        put("t", "gone", "1"),
        put("t", "going", "2"),
        put("t", "late", "3"),
    ]);
    let all = [("gone", "1"), ("going", "2"), ("late", "3")];
    published_under(&mut world, 10, vec![delta("t", 0, 0, &[])]);
    published_under(&mut world, 10, vec![delta("t", 0, 3, &all)]);
    world.publish(vec![delete("t", "gone")]);
    assert_eq!(
        published_under(&mut world, 10, vec![delta("t", 3, 3, &[])]),
        ["t -gone"]
    );
    world.publish(vec![delete("t", "going")]);
    assert_eq!(
        published_under(&mut world, 10, vec![delta("t", 3, 4, &[])]),
        ["t -going"]
    );
    world.publish(vec![delete("t", "late")]);
    world.beat(20, 13);
    // What may not have reached anybody is deleted at the new one too, where others may have
    // written it; nothing is written that should not be.
    let mut sent = published_under(&mut world, 13, vec![delta("t", 0, 9, &all)]);
    sent.sort();
    assert_eq!(sent, ["t -going", "t -late"]);
}

#[test]
fn b22_what_the_old_active_still_sends_reaches_no_mirror() {
    let mut world = under_ten();
    let open =
        world.begin_update_under(Some(10), (10, 1), 1, vec![delta("t", 0, 1, &[("a", "1")])]);
    let mut mirror = Mirror::default();
    let open = open.delivery();
    mirror.apply(&open.topics[0].1);
    world.beat(20, 13);
    // The delivery that was under way ends for nobody.
    assert!(world.finish(open, vec![]).skipped);
    let stale =
        world.begin_update_under(Some(10), (10, 1), 1, vec![delta("t", 1, 2, &[("b", "2")])]);
    assert!(!stale.answer().status.is_ok());
    // A delta of the new one on a base that it never sent us asks for the whole (B-38).
    let answer = world.update_under(Some(13), (20, 2), 2, vec![delta("t", 5, 6, &[("c", "3")])]);
    assert_eq!(published(&answer), ["t from=0"]);
    let whole =
        world.begin_update_under(Some(13), (20, 2), 2, vec![delta("t", 0, 6, &[("c", "3")])]);
    let whole = whole.delivery();
    mirror.apply(&whole.topics[0].1);
    world.finish(whole, vec![]);
    let held: BTreeMap<_, _> = mirror
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_vec()))
        .collect();
    assert_eq!(held, BTreeMap::from([("c".to_owned(), b"3".to_vec())]));
}

// W20: the receiver's half of it: what cannot be taken yet is said to be skipped
#[test]
fn w20_a_role_message_that_comes_too_early_is_skipped_and_its_repetition_taken() {
    let mut world = World::new(config(2));
    world.register(0, 10, 1, true);
    world.answer_version(1);
    assert_eq!(world.tell(role_message(20, 5)).skipped, Some(true));
    world.answer_registration(1, accepted(20, 2, false));
    assert_eq!(world.tell(role_message(20, 5)).skipped, None);
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
}

// B-10, B-11
#[test]
fn b11_with_short_limits_recovery_is_short() {
    let mut settings = config(2);
    settings.timeout = Duration::from_millis(600);
    settings.attempts = std::num::NonZeroU32::new(1);
    let mut world = World::new(settings);
    world.register(0, 10, 1, true);
    world.register(1, 20, 2, false);
    world.pass(Duration::from_millis(601));
    for _ in 0..20 {
        let call = world.take_call(0);
        assert_eq!(call.timeout, Duration::from_secs(6));
        world.fail(&call);
        world.pass(Duration::from_millis(99));
        assert!(world.calls.iter().all(|call| call.statestore == 1));
        world.pass(Duration::from_millis(1));
    }
    assert!(matches!(world.take_call(0).body, Body::ProtocolVersion(_)));
}

#[test]
fn deletions_that_nobody_takes_are_bounded_and_entries_are_never_given_up() {
    let mut settings = config(1);
    settings.topics = vec![topic("t")];
    settings.max_deletions = 3;
    let mut world = World::new(settings);
    world.publish(vec![put("t", "kept", "1")]);
    for i in 0..1_000 {
        let key = format!("k{i}");
        world.publish(vec![put("t", &key, "x"), delete("t", &key)]);
    }
    assert_eq!(world.view().outstanding, 4);
    let given_up = |it: &&Event| matches!(it, Event::DeletionsGivenUp { .. });
    assert_eq!(world.log.iter().filter(given_up).count(), 1, "told once");
    world.register(0, 10, 1, true);
    let sent = published(&world.update(1, vec![delta("t", 0, 0, &[])]));
    assert_eq!(sent, ["t kept=1", "t -k997", "t -k998", "t -k999"]);
    world.update(1, vec![delta("t", 0, 4, &[("kept", "1")])]);
    assert_eq!(world.view().outstanding, 0);
    for i in 0..4 {
        world.publish(vec![delete("t", &format!("l{i}"))]);
    }
    assert_eq!(world.log.iter().filter(given_up).count(), 2, "and again");
}
