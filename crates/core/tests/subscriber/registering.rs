//! Joining, losing and joining again: B-1 to B-6, B-10 to B-13.

use crate::support::*;
use crate::words::*;
use statestore_core::event::Severity;
use statestore_core::subscriber::port::*;
use statestore_wire::*;

#[test]
fn b1_topics_are_added_before_the_first_registration_succeeds_and_not_after() {
    let mut world = World::new(config(1));
    world.subscriber.add_topic(topic("early")).unwrap();
    world.register(0, 10, 1, true);
    let refused = world.subscriber.add_topic(topic("late")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Subscriber already started, can't add new topic"
    );
}

//
#[test]
fn b1_only_a_standby_without_another_one_is_worth_a_warning() {
    for (statestores, active, warned) in [(1, true, false), (1, false, true), (2, false, false)] {
        let mut world = World::new(config(statestores));
        world.register(0, 10, 1, active);
        let is_warning = |it: &&Event| {
            matches!(it, Event::Registered { .. }) && it.severity() == Severity::Warning
        };
        let warnings = world.log.iter().filter(is_warning).count();
        assert_eq!(warnings, usize::from(warned), "{statestores} {active}");
    }
}

#[test]
fn b2_both_statestoreds_are_joined_one_after_the_other_with_the_same_topics() {
    let mut config = config(2);
    config.topics = vec![topic("t")];
    let mut world = World::new(config);
    let first = world.call();
    assert_eq!((first.statestore, first.to.port), (0, 24000));
    world.complete(
        first.id,
        Ok(Reply::ProtocolVersion(GetProtocolVersionResponse::default())),
    );
    let second = world.take_call(1);
    assert_eq!(second.to.port, 24001);
    world.answer_registration(0, accepted(10, 1, true));
    world.complete(
        second.id,
        Ok(Reply::ProtocolVersion(GetProtocolVersionResponse::default())),
    );
    let Body::Register(request) = world.call().body else {
        panic!()
    };
    assert_eq!(request.topic_registrations[0].topic_name, "t");
    assert_eq!(world.statestore_id(1), None, "each has its own state");
    assert_eq!(world.statestore_id(0).unwrap().0, id(10));
}

#[test]
fn b2_a_first_statestored_that_is_silent_does_not_keep_the_second_away() {
    let mut world = World::new(config(2));
    assert_eq!(world.calls.len(), 1);
    world.seconds(3);
    assert_eq!(world.calls.len(), 2, "after one retry interval");
}

#[test]
fn b3_the_protocol_version_is_asked_for_and_then_the_registration_sent() {
    let mut config = config(1);
    config.topics = vec![TopicConfigFor::all()];
    config.kind = SubscriberType::COORDINATOR;
    config.follow_catalogd = true;
    let mut world = World::new(config);
    let call = world.call();
    assert!(call.startup && call.first_attempt);
    assert_eq!(
        match &call.body {
            Body::ProtocolVersion(request) => request.protocol_version,
            other => panic!("{other:?}"),
        },
        ProtocolVersion::V2
    );
    world.complete(
        call.id,
        Ok(Reply::ProtocolVersion(GetProtocolVersionResponse::default())),
    );
    let call = world.call();
    let Body::Register(request) = &call.body else {
        panic!("{call:?}")
    };
    assert_eq!(request.subscriber_id, "me");
    assert_eq!(request.subscriber_location.port, 23000);
    assert_eq!(request.subscriber_type, Some(SubscriberType::COORDINATOR));
    assert_eq!(request.subscribe_catalogd_change, Some(true));
    let topic = &request.topic_registrations[0];
    assert!(topic.is_transient && topic.populate_min_subscriber_topic_version);
    assert_eq!(topic.filter_prefix, Some("1:".into()));
    world.complete(call.id, Ok(Reply::Register(accepted(10, 1, true))));
    assert_eq!(world.registration_id(0).unwrap().0, id(1));
    assert_eq!(world.view().statestores[0].active_version, 1000);
}

struct TopicConfigFor;
impl TopicConfigFor {
    fn all() -> statestore_core::subscriber::TopicConfig {
        statestore_core::subscriber::TopicConfig {
            name: "catalog-update".into(),
            transient: true,
            prefix: "1:".into(),
            min_version: true,
        }
    }
}

#[test]
fn b3_an_older_statestored_is_not_registered_with() {
    let mut world = World::new(config(1));
    let call = world.call();
    let old = GetProtocolVersionResponse {
        protocol_version: ProtocolVersion::V1,
        ..GetProtocolVersionResponse::default()
    };
    world.complete(call.id, Ok(Reply::ProtocolVersion(old)));
    assert!(world.calls.is_empty(), "B-3: stop");
    let refused = world.log.iter().find_map(|event| match event {
        Event::RegistrationFailed { status, .. } => Some(status.clone()),
        _ => None,
    });
    let refused = refused.unwrap();
    assert_eq!(
        refused.status_code,
        StatusCode::STATESTORE_INCOMPATIBLE_PROTOCOL
    );
    assert!(
        refused
            .message()
            .to_str()
            .contains("protocol version V2 conflicting")
    );
    world.seconds(5);
    assert!(
        matches!(world.call().body, Body::ProtocolVersion(_)),
        "recovery keeps trying"
    );
}

#[test]
fn b3_k4_each_call_is_tried_n_times_with_a_pause() {
    let mut world = World::new(config(1));
    for attempt in 1..=3 {
        let call = world.call();
        assert_eq!(call.first_attempt, attempt == 1);
        world.fail(&call);
        if attempt < 3 {
            world.pass(std::time::Duration::from_millis(2_999));
            assert!(world.calls.is_empty());
            world.pass(std::time::Duration::from_millis(1));
        }
    }
    assert!(
        world.calls.is_empty(),
        "three failed: the registration has failed"
    );
    // The second call has as many of its own.
    world.seconds(5);
    world.answer_version(0);
    for _ in 1..=2 {
        let call = world.call();
        assert!(matches!(call.body, Body::Register(_)));
        world.fail(&call);
        world.seconds(3);
    }
    world.answer_registration(0, accepted(10, 1, true));
    assert!(world.view().statestores[0].connected);
}

#[test]
fn w8_zero_attempts_are_attempts_for_ever() {
    let mut settings = config(1);
    settings.attempts = None;
    settings.tolerate_startup_delay = false;
    let mut world = World::new(settings);
    for _ in 0..200 {
        let call = world.call();
        world.fail(&call);
        world.seconds(3);
    }
    assert!(world.start_failure.is_none() && world.calls.len() == 1);
}

#[test]
fn b3_ids_are_forgotten_when_registering_and_remembered_even_from_a_refusal() {
    let mut world = World::following(vec![]);
    world.seconds(31);
    assert_eq!(
        world.registration_id(0).unwrap().0,
        id(1),
        "while the version is asked for"
    );
    world.answer_version(0);
    assert_eq!(
        (world.registration_id(0), world.statestore_id(0)),
        (None, None)
    );
    let refusal = RegisterSubscriberResponse {
        status: Status::error(StatusCode::GENERAL, "Maximum subscriber limit reached: 1"),
        ..accepted(11, 5, true)
    };
    world.answer_registration(0, refusal);
    assert_eq!(world.registration_id(0).unwrap().0, id(5));
    assert!(!world.view().statestores[0].connected);
}

#[test]
fn b5_without_tolerance_a_failed_first_registration_ends_the_start() {
    let mut config = config(1);
    config.tolerate_startup_delay = false;
    let mut world = World::new(config);
    for _ in 0..3 {
        let call = world.call();
        world.fail(&call);
        world.seconds(3);
    }
    assert_eq!(
        world.start_failure.as_ref().unwrap().message(),
        "connection refused"
    );
    world.seconds(600);
    assert!(world.calls.is_empty() && world.subscriber.deadline().is_none());
}

#[test]
fn b5_with_tolerance_it_starts_anyway_and_recovers() {
    let mut settings = config(1);
    settings.attempts = std::num::NonZeroU32::new(1);
    let mut world = World::new(settings);
    let call = world.call();
    world.fail(&call);
    assert!(world.start_failure.is_none());
    assert_eq!(world.view().statestores[0].connection_failures, 0);
    world.seconds(5); // B-10: never registered
    assert_eq!(world.view().statestores[0].connection_failures, 1);
    assert!(!world.call().startup);
}

#[test]
fn b6_a_catalogd_in_the_reply_is_told_and_its_absence_later_forgets_the_version() {
    let mut world = World::new(config(1));
    world.answer_version(0);
    let with = |version| RegisterSubscriberResponse {
        catalogd_registration: Some(catalogd("c1")),
        catalogd_version: Some(version),
        ..accepted(10, 1, true)
    };
    world.answer_registration(0, with(7));
    let told = world.catalogds.pop().unwrap();
    assert!(told.is_registration_reply && told.version == 7);

    world.seconds(31);
    world.register(0, 11, 2, true);
    assert!(world.catalogds.is_empty(), "-1 is not applied");
    assert_eq!(
        world.view().catalogd_version,
        0,
        "but any version is news again"
    );
    assert_eq!(world.view().catalogd, Some(catalogd("c1")));
}

#[test]
fn b10_silence_beyond_the_timeout_is_a_lost_statestored() {
    let mut world = World::following(vec![]);
    world.seconds(20);
    world.heartbeat(10, 1);
    world.seconds(30);
    assert!(world.view().statestores[0].connected);
    assert_eq!(
        world.view().statestores[0].missed_heartbeats(world.subscriber.config(), world.now),
        30
    );
    world.seconds(1);
    let lost = &world.view().statestores[0];
    assert!(!lost.connected && lost.recovering, "B-11");
    assert_eq!((lost.connection_failures, lost.reregistrations), (1, 1));
}

#[test]
fn b10_as_many_missed_heartbeats_as_may_not_be_are_a_lost_statestored_too() {
    let mut settings = config(1);
    settings.max_missed_heartbeats = std::num::NonZeroU32::new(4);
    let mut world = World::new(settings);
    world.register(0, 10, 1, true);
    world.pass(std::time::Duration::from_millis(3_999));
    assert!(world.view().statestores[0].connected);
    world.pass(std::time::Duration::from_millis(1));
    assert!(world.view().statestores[0].recovering);
}

#[test]
fn b11_recovery_never_gives_up_and_pauses_five_seconds() {
    let mut settings = config(1);
    settings.attempts = std::num::NonZeroU32::new(1);
    let mut world = World::new(settings);
    world.register(0, 10, 1, true);
    world.seconds(31);
    for attempt in 1..100 {
        let call = world.call();
        assert_eq!(world.view().statestores[0].reregistrations, attempt);
        world.fail(&call);
        world.pass(std::time::Duration::from_millis(4_999));
        assert!(world.calls.is_empty());
        world.pass(std::time::Duration::from_millis(1));
    }
    assert_eq!(
        world.view().statestores[0].connection_failures,
        1,
        "entered once"
    );
}

#[test]
fn b12_while_recovering_updates_are_skipped_and_heartbeats_are_processed() {
    let mut world = World::following(vec![topic("t")]);
    world.seconds(31);
    assert!(
        world
            .update(1, vec![delta("t", 0, 1, &[("a", "1")])])
            .skipped
    );
    assert!(world.heartbeat(10, 1).status.is_ok());
    assert_eq!(world.view().statestores[0].last_heartbeat, Some(world.now));
    let request = UpdateCatalogdRequest {
        protocol_version: ProtocolVersion::V2,
        registration_id: id(1),
        statestore_id: id(10),
        catalogd_version: 3,
        catalogd_registration: catalogd("c"),
        epoch: None,
    };
    let Some(Answer::Catalogd(answer)) = world.request(Request::Catalogd(request)).1 else {
        panic!()
    };
    assert_eq!(answer.skipped, Some(true));
}

#[test]
fn b13_a_recovery_restarts_the_timer_and_records_how_long_it_took() {
    let mut world = World::following(vec![]);
    world.seconds(31);
    let began = world.now;
    world.seconds(2);
    world.register(0, 11, 2, true);
    let view = world.view().statestores[0].clone();
    assert!(view.connected && !view.recovering && view.last_recovery_at.is_some());
    assert!(view.last_recovery.unwrap() >= world.now.since(began));
    world.seconds(29);
    assert!(
        world.view().statestores[0].connected,
        "the timer began anew"
    );
    world.seconds(2);
    assert!(!world.view().statestores[0].connected);
}

#[test]
fn a_subscriber_that_has_left_asks_for_nothing_and_skips_everything() {
    let mut world = World::following(vec![topic("t")]);
    let open = world
        .begin_update(1, vec![delta("t", 0, 1, &[("a", "1")])])
        .delivery();
    world.step(Input::Leave);
    assert!(world.finish(open, vec![]).skipped);
    assert!(
        world
            .update(1, vec![delta("t", 0, 1, &[("a", "1")])])
            .skipped
    );
    assert!(!world.heartbeat(10, 1).status.is_ok());
    assert!(world.subscriber.deadline().is_none());
}
