//! What a standby hears of the other statestored: H-34, B-35, and the vote of ha.md rules 6 and 9.

use crate::support::*;
use crate::words::*;
use statestore_core::time::Time;
use statestore_wire::*;
use std::time::Duration;

fn ask(world: &mut World) -> (Option<ConnState>, Option<bool>, Option<bool>) {
    let answer = world.heartbeat_asking(20, 2, Some(true));
    assert!(answer.status.is_ok(), "{answer:?}");
    (
        answer.statestore_conn_state,
        answer.other_is_lost,
        answer.other_is_active,
    )
}

/// Lets seconds pass in which the standby, at least, is heard.
fn pass(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.seconds(1);
        world.heartbeat(20, 2);
    }
}

const OK: Option<ConnState> = Some(ConnState::OK);
const FAILED: Option<ConnState> = Some(ConnState::FAILED);
const UNKNOWN: Option<ConnState> = Some(ConnState::UNKNOWN);
const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

// H-34, B-35; ha.md rule 6
#[test]
fn h34_the_vote_falls_after_the_whole_patience_without_an_accepted_heartbeat() {
    let mut world = World::pair(vec![]);
    world.beat(10, 10);
    assert_eq!(ask(&mut world), (OK, NO, YES));
    pass(&mut world, 30);
    assert_eq!(ask(&mut world), (OK, NO, YES), "not longer than the limit");
    world.pass(Duration::from_millis(1));
    assert_eq!(ask(&mut world), (FAILED, YES, NO));
    world.heartbeat(10, 1);
    assert_eq!(ask(&mut world), (OK, NO, NO), "back, and standby now");
}

// ha.md rule 9
#[test]
fn rule_9_a_subscriber_that_starts_counts_as_having_just_heard_both() {
    let mut world = World::pair(vec![]);
    assert_eq!(ask(&mut world), (UNKNOWN, NO, NO), "H-34: never heard");
    pass(&mut world, 30);
    assert_eq!(ask(&mut world), (UNKNOWN, NO, NO));
    pass(&mut world, 1);
    assert_eq!(
        ask(&mut world),
        (UNKNOWN, YES, NO),
        "it has lived that long"
    );
}

// ha.md rule 9: a registration proves nothing of the lease that heartbeats hold
#[test]
fn rule_9_neither_a_registration_nor_its_failure_moves_the_vote() {
    let mut world = World::pair(vec![]);
    world.beat(10, 10);
    pass(&mut world, 31);
    assert_eq!(ask(&mut world), (FAILED, YES, NO));
    world.register(0, 10, 1, true);
    assert!(world.view().statestores[0].connected);
    assert_eq!(
        ask(&mut world),
        (OK, YES, NO),
        "H-34 says OK as the reference"
    );
    world.heartbeat(10, 1);
    assert_eq!(ask(&mut world), (OK, NO, NO));
}

// ha.md rule 17: refused is not heard
#[test]
fn rule_17_a_refused_heartbeat_keeps_nobody_from_being_lost() {
    let mut world = World::pair(vec![]);
    world.beat(10, 10);
    world.beat(20, 13);
    world.heartbeat(20, 2);
    for _ in 0..31 {
        world.seconds(1);
        assert!(!world.beat(10, 10).status.is_ok());
        assert!(
            !world.heartbeat(10, 77).status.is_ok(),
            "for another registration (W19)"
        );
        world.heartbeat(20, 2);
    }
    assert_eq!(ask(&mut world), (FAILED, YES, NO));
}

// ha.md rule 9: it may be for a former life, with another limit, so it is neither side's gain
#[test]
fn rule_9_an_early_heartbeat_is_no_acknowledgement_and_not_heard() {
    let mut world = World::pair(vec![]);
    assert_eq!(world.heartbeat(10, 1).unacknowledged, None);
    pass(&mut world, 31);
    world.answer_version(0);
    assert_eq!(ask(&mut world), (FAILED, YES, NO));
    let early = world.heartbeat(11, 5);
    assert!(early.status.is_ok());
    assert_eq!(early.unacknowledged, YES);
    assert_eq!(ask(&mut world).1, YES, "still lost");
    world.answer_registration(0, accepted(11, 5, false));
    assert_eq!(world.heartbeat(11, 5).unacknowledged, None);
    assert_eq!(ask(&mut world).1, NO);
}

// ha.md rule 9, W19: a refusal names its sender, but there is no registration, and the former one
// was given up
#[test]
fn rule_9_who_was_refused_neither_acknowledges_nor_votes_nor_keeps_its_former_registration() {
    let mut world = World::pair(vec![]);
    pass(&mut world, 31);
    world.answer_version(0);
    let refusal = RegisterSubscriberResponse {
        status: Status::error(StatusCode::GENERAL, "no"),
        registration_id: None,
        ..accepted(11, 5, false)
    };
    world.answer_registration(0, refusal.clone());
    let answer = world.heartbeat_asking(11, 5, Some(true));
    assert!(!answer.status.is_ok());
    assert_eq!(answer.statestore_conn_state, None);
    assert_eq!(ask(&mut world).1, YES, "still lost");
    // The next try may succeed at this moment, but not under that registration.
    world.seconds(5);
    assert!(!world.heartbeat(11, 5).status.is_ok());
    world.answer_version(0);
    assert!(!world.heartbeat(11, 5).status.is_ok());
    let early = world.heartbeat(11, 6);
    assert!(early.status.is_ok());
    assert_eq!(early.unacknowledged, YES);
    world.answer_registration(0, refusal);
    assert!(!world.heartbeat(11, 6).status.is_ok());
    world.seconds(5);
    world.register(0, 11, 7, false);
    let answer = world.heartbeat(11, 7);
    assert!(answer.status.is_ok());
    assert_eq!(answer.unacknowledged, None);
}

// Alone, whoever calls is the one (B-21), whether it has answered or not.
#[test]
fn w19_alone_too_a_refusal_gives_the_former_registration_up_and_waiting_for_an_answer_does_not() {
    let mut world = World::following(vec![]);
    world.seconds(31);
    assert!(world.heartbeat(10, 1).status.is_ok());
    world.answer_version(0);
    assert_eq!(world.heartbeat(10, 1).unacknowledged, YES);
    let refusal = RegisterSubscriberResponse {
        status: Status::error(StatusCode::GENERAL, "no"),
        registration_id: None,
        ..accepted(10, 1, true)
    };
    world.answer_registration(0, refusal);
    assert!(!world.heartbeat(10, 1).status.is_ok());
    world.seconds(5);
    world.register(0, 10, 2, true);
    assert!(world.heartbeat(10, 2).status.is_ok());
}

// The seed's flag
#[test]
fn so_many_missed_heartbeats_are_lost_in_the_vote_too_and_the_limit_is_told() {
    let mut settings = config(2);
    settings.max_missed_heartbeats = std::num::NonZeroU32::new(3);
    settings.heartbeat_period = Duration::from_millis(100);
    let mut world = World::new(settings);
    world.answer_version(0);
    let call = world.take_call(0);
    let statestore_core::subscriber::port::Body::Register(request) = &call.body else {
        panic!("{call:?}")
    };
    assert_eq!(request.heartbeat_timeout_ms, Some(300));
    let reply = statestore_core::subscriber::port::Reply::Register(accepted(10, 1, true));
    world.complete(call.id, Ok(reply));
    world.register(1, 20, 2, false);
    world.heartbeat(10, 1);
    world.pass(Duration::from_millis(150));
    world.heartbeat(20, 2);
    world.pass(Duration::from_millis(149));
    assert_eq!(ask(&mut world), (OK, NO, NO));
    world.pass(Duration::from_millis(1));
    assert_eq!(ask(&mut world), (FAILED, YES, NO));
    assert!(world.view().statestores[0].recovering);
}

#[test]
fn only_who_asks_is_told_and_alone_there_is_nothing_to_tell() {
    let mut world = World::pair(vec![]);
    let answer = world.heartbeat(20, 2);
    assert_eq!((answer.other_is_lost, answer.other_is_active), (None, None));
    let alone = World::following(vec![]).heartbeat_asking(10, 1, Some(true));
    assert_eq!(alone.other_is_lost, None);
}

// W23
#[test]
fn w23_the_vote_waits_for_no_registration_and_no_delivery() {
    let mut world = World::pair(vec![topic("t")]);
    world.beat(10, 10);
    let begun = world.begin_update_under(Some(10), (10, 1), 1, vec![delta("t", 0, 1, &[])]);
    let open = begun.delivery();
    pass(&mut world, 31);
    assert!(world.view().statestores[0].recovering);
    assert_eq!(world.calls.len(), 1, "a registration is under way");
    assert_eq!(ask(&mut world), (FAILED, YES, NO));
    world.finish(open, vec![]);
    assert!(world.now > Time::ZERO);
}
