//! Leaving on purpose: ha.md rule 14.

use crate::support::*;
use crate::words::*;
use statestore_core::subscriber::port::*;
use statestore_wire::*;

/// Whom the pending farewells tell of which registration.
fn farewells(world: &World) -> Vec<(usize, i64)> {
    let told = |call: &Call| match &call.body {
        Body::Unregister(request) => {
            assert_eq!(request.subscriber_id, "me");
            Some((call.statestore, request.registration_id.lo))
        }
        _ => None,
    };
    world.calls.iter().filter_map(told).collect()
}

#[test]
fn rule_14_both_are_told_at_once_and_nobody_is_waited_for_beyond_that() {
    let mut world = World::pair(vec![]);
    assert!(!world.subscriber.is_gone());
    world.step(Input::Leave);
    world.step(Input::Leave);
    assert_eq!(farewells(&world), [(0, 1), (1, 2)]);
    assert!(
        world
            .calls
            .iter()
            .all(|call| call.timeout.as_millis() == 500)
    );
    assert!(
        !world.heartbeat(10, 1).status.is_ok(),
        "no lease of it any more"
    );
    assert!(world.view().left && !world.subscriber.is_gone());
    let (first, second) = (world.take_call(0), world.take_call(1));
    let response = UnregisterSubscriberResponse::default();
    world.complete(first.id, Ok(Reply::Unregister(response)));
    assert!(!world.subscriber.is_gone());
    // A reference one does not know the word.
    let unknown = "Invalid method name: 'UnregisterSubscriber'";
    world.complete(second.id, Err(Status::error(StatusCode::GENERAL, unknown)));
    assert!(world.subscriber.is_gone() && world.calls.is_empty());
    assert!(world.subscriber.deadline().is_none());
}

#[test]
fn who_is_registered_with_nobody_tells_nobody() {
    let mut world = World::new(config(2));
    world.step(Input::Leave);
    assert!(world.subscriber.is_gone());
    let call = world.call();
    world.complete(
        call.id,
        Ok(Reply::ProtocolVersion(GetProtocolVersionResponse::default())),
    );
    assert!(world.calls.is_empty(), "it does not go on registering");
}

#[test]
fn rule_14_a_registration_that_is_accepted_meanwhile_is_ended_too() {
    let mut world = World::pair(vec![]);
    for _ in 0..31 {
        world.seconds(1);
        world.heartbeat(20, 2);
    }
    world.answer_version(0);
    let call = world.take_call(0);
    world.step(Input::Leave);
    assert_eq!(farewells(&world), [(1, 2)]);
    let other = world.take_call(1);
    world.complete(other.id, Err(Status::error(StatusCode::GENERAL, "")));
    assert!(!world.subscriber.is_gone());
    world.complete(call.id, Ok(Reply::Register(accepted(11, 3, true))));
    assert_eq!(farewells(&world), [(0, 3)]);
    let last = world.call();
    world.fail(&last);
    assert!(world.subscriber.is_gone());
}

// B-5
#[test]
fn b5_a_start_that_fails_with_one_ends_the_registration_with_the_other() {
    let mut settings = config(2);
    settings.tolerate_startup_delay = false;
    settings.attempts = std::num::NonZeroU32::new(1);
    let mut world = World::new(settings);
    world.register(0, 10, 1, true);
    let call = world.take_call(1);
    world.fail(&call);
    assert!(world.start_failure.is_some());
    assert_eq!(farewells(&world), [(0, 1)]);
}
