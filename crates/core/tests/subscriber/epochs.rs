//! Epochs: lower ones are refused, higher ones followed, and absent ones change nothing
//! (ha.md rules 16 and 17, W2).

use crate::support::*;
use crate::words::*;
use statestore_core::subscriber::Role;
use statestore_core::subscriber::port::*;
use statestore_wire::*;
use std::time::Duration;

/// A pair whose active one, 10, registered us under epoch 10.
fn pair_under_ten() -> World {
    let mut settings = config(2);
    settings.topics = vec![topic("t")];
    let mut world = World::new(settings);
    world.answer_version(0);
    let reply = RegisterSubscriberResponse {
        epoch: Some(Epoch(10)),
        ..accepted(10, 1, true)
    };
    world.answer_registration(0, reply);
    world.register(1, 20, 2, false);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    assert_eq!(world.view().highest_epoch, Some(Epoch(10)));
    world
}

/// The same after 20 has taken over under 13.
fn taken_over() -> World {
    let mut world = pair_under_ten();
    assert!(world.beat(20, 13).status.is_ok());
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
    world
}

fn is_refused(status: &Status, method: &str) {
    assert_eq!(status.status_code, StatusCode::GENERAL);
    let text = format!("{method} refused: epoch 10 is over, the highest seen is 13");
    assert_eq!(status.message(), text.as_str());
}

// W2; ha.md rule 17
#[test]
fn w2_a_heartbeat_of_an_activation_that_is_over_is_refused_and_no_sign_of_life() {
    let mut world = taken_over();
    let before = world.view().statestores[0].clone();
    let answer = world.beat(10, 10);
    is_refused(&answer.status, "Heartbeat");
    assert_eq!(answer.highest_epoch, Some(Epoch(13)));
    let after = world.view().statestores[0].clone();
    assert_eq!(after.last_heartbeat, before.last_heartbeat);
    assert_eq!(after.silent_since, before.silent_since);
    assert_eq!(after.refusals, 1);
    // As a standby it is as welcome as ever.
    assert!(world.heartbeat(10, 1).status.is_ok());
}

// W2; ha.md rule 17
#[test]
fn w2_updates_notices_and_role_messages_of_such_an_activation_are_refused_too() {
    let mut world = taken_over();
    let stale = vec![delta("t", 0, 9, &[("a", "1")])];
    let answer = world.update_under(Some(10), (10, 1), 1, stale);
    is_refused(&answer.status, "UpdateState");
    assert_eq!(answer.highest_epoch, Some(Epoch(13)));
    let notice = UpdateCatalogdRequest {
        epoch: Some(Epoch(10)),
        ..notice(10, 1, 99)
    };
    let answer = world.notify(notice);
    is_refused(&answer.status, "UpdateCatalogd");
    assert_eq!(answer.highest_epoch, Some(Epoch(13)));
    let role = UpdateStatestoredRoleRequest {
        epoch: Some(Epoch(10)),
        ..role_message(10, i64::MAX)
    };
    let answer = world.tell(role);
    is_refused(&answer.status, "UpdateStatestoredRole");
    assert_eq!(answer.highest_epoch, Some(Epoch(13)));
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
    assert_eq!(world.view().topics[0].version, 0);
    assert!(world.catalogds.is_empty());
    assert_eq!(world.view().statestores[0].refusals, 3);
}

// W2, B-13
#[test]
fn w2_a_registration_reply_of_such_an_activation_registers_but_switches_nothing() {
    let mut world = taken_over();
    for _ in 0..31 {
        world.seconds(1);
        world.beat(20, 13);
    }
    world.answer_version(0);
    let reply = RegisterSubscriberResponse {
        epoch: Some(Epoch(11)),
        catalogd_registration: Some(catalogd("old")),
        catalogd_version: Some(77),
        ..accepted(11, 3, true)
    };
    world.answer_registration(0, reply);
    assert!(world.view().statestores[0].connected);
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
    assert!(world.catalogds.is_empty(), "nor is its catalogd believed");
}

// W2, B-13, B-30
#[test]
fn a_role_message_or_registration_reply_of_a_higher_epoch_switches() {
    let mut world = pair_under_ten();
    let role = UpdateStatestoredRoleRequest {
        epoch: Some(Epoch(13)),
        ..role_message(20, 555)
    };
    let answer = world.tell(role);
    assert!(answer.status.is_ok());
    assert_eq!(answer.highest_epoch, Some(Epoch(13)));
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
    assert_eq!(world.view().statestores[1].active_version, 555);
    world.seconds(31);
    world.answer_version(0);
    let reply = RegisterSubscriberResponse {
        epoch: Some(Epoch(14)),
        ..accepted(11, 3, true)
    };
    world.answer_registration(0, reply);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    assert_eq!(world.view().failovers, 2);
}

// B-34: of ours an epoch is as good as a role message, whichever message names it first
#[test]
fn b34_whatever_names_a_higher_epoch_first_switches() {
    type Way = fn(&mut World);
    let ways: [(&str, Way); 3] = [
        ("heartbeat", |world| drop(world.beat(20, 13))),
        ("update", |world| {
            let answer = world.update_under(Some(13), (20, 2), 5, vec![delta("t", 0, 1, &[])]);
            assert!(!answer.skipped && answer.status.is_ok());
        }),
        ("catalogd", |world| {
            let request = UpdateCatalogdRequest {
                epoch: Some(Epoch(13)),
                ..notice(20, 2, 1)
            };
            assert_eq!(world.notify(request).skipped, None);
            assert_eq!(world.catalogds.len(), 1);
        }),
    ];
    for (name, way) in ways {
        let mut world = pair_under_ten();
        world.publish(vec![put("t", "k", "v")]);
        way(&mut world);
        assert_eq!(world.roles(), [Role::Standby, Role::Active], "{name}");
        let view = world.view();
        assert_eq!((view.failovers, view.last_failover), (1, Some(world.now)));
        assert_eq!(view.statestores[1].epoch, Some(Epoch(13)));
        // The role message that was late is no news any more (B-31).
        let role = UpdateStatestoredRoleRequest {
            epoch: Some(Epoch(13)),
            ..role_message(20, 5)
        };
        assert!(world.tell(role).status.is_ok());
        assert_eq!(world.view().failovers, 1, "{name}");
    }
}

// ha.md rule 17, last sentence: it steps down and is elected again above the other
#[test]
fn an_active_that_became_active_anew_gets_everything_again() {
    let mut settings = config(2);
    let hidden = statestore_core::subscriber::TopicConfig {
        prefix: "shown".into(),
        ..topic("t")
    };
    settings.topics = vec![hidden];
    let mut world = World::new(settings);
    world.register(0, 10, 1, true);
    world.register(1, 20, 2, false);
    world.beat(10, 10);
    world.publish(vec![put("t", "k", "v")]);
    let first = world.update_under(Some(10), (10, 1), 1, vec![delta("t", 0, 0, &[])]);
    assert_eq!(published(&first), ["t k=v"]);
    world.update_under(Some(10), (10, 1), 1, vec![delta("t", 0, 1, &[])]);
    assert_eq!(world.view().outstanding, 0);
    assert!(world.beat(10, 15).status.is_ok());
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    assert_eq!(world.view().failovers, 0, "it is the same one");
    // The topic is not empty, for others were quicker; what the filter hides is sent again too.
    let again = world.update_under(Some(15), (10, 1), 1, vec![delta("t", 0, 7, &[])]);
    assert_eq!(published(&again), ["t k=v"]);
    let stale = world.update_under(Some(10), (10, 1), 1, vec![delta("t", 7, 8, &[])]);
    assert!(
        !stale.status.is_ok(),
        "its own former activation is over too"
    );
}

// P9
#[test]
fn an_epoch_that_no_calendar_can_say_is_refused_and_never_stored() {
    let mut world = pair_under_ten();
    for garbage in [-1, i64::MIN, i64::MAX, i64::MAX - 1] {
        let answer = world.beat(20, garbage);
        assert!(
            answer
                .status
                .message()
                .to_str()
                .contains("is no activation")
        );
        assert_eq!(answer.highest_epoch, Some(Epoch(10)));
        let role = UpdateStatestoredRoleRequest {
            epoch: Some(Epoch(garbage)),
            ..role_message(20, 5)
        };
        assert!(!world.tell(role).status.is_ok());
    }
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    assert_eq!(world.view().highest_epoch, Some(Epoch(10)));
}

// This machine's calendar says 1970 (the test's says so always): honest epochs are believed
#[test]
fn a_calendar_that_is_wrong_by_decades_keeps_nobody_from_following() {
    let mut world = pair_under_ten();
    let in_2033 = 2_000_000_000_000_000_i64 << 1;
    assert!(world.beat(20, in_2033).status.is_ok());
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
}

#[test]
fn without_epochs_everything_is_as_ever() {
    let mut world = World::pair(vec![topic("t")]);
    assert_eq!(world.heartbeat(10, 1).highest_epoch, None);
    assert_eq!(
        world.update(1, vec![delta("t", 0, 1, &[])]).highest_epoch,
        None
    );
    // Next to one of ours a reference one is believed as a reference one is.
    let mut mixed = pair_under_ten();
    assert!(mixed.tell(role_message(20, 5)).status.is_ok());
    assert_eq!(mixed.roles(), [Role::Standby, Role::Active]);
    let answer = mixed.update_from((20, 2), 1, vec![delta("t", 0, 1, &[])]);
    assert!(answer.status.is_ok() && !answer.skipped);
    // The replaced one's heartbeats go on under the epoch that is known: no way back by them.
    assert!(mixed.beat(10, 10).status.is_ok());
    assert_eq!(mixed.roles(), [Role::Standby, Role::Active]);
}

#[test]
fn alone_the_same_is_refused() {
    let mut world = World::following(vec![topic("t")]);
    assert!(world.beat(10, 10).status.is_ok());
    assert!(!world.beat(10, 8).status.is_ok());
    let stale = world.update_under(Some(8), (10, 1), 1, vec![delta("t", 0, 1, &[])]);
    assert!(!stale.status.is_ok());
}

#[test]
fn who_is_refused_again_and_again_is_logged_once() {
    let mut world = taken_over();
    let refusals = |world: &World| {
        let all = world.log.iter();
        all.filter(|it| matches!(it, Event::EpochRefused { .. }))
            .count()
    };
    for _ in 0..100 {
        world.beat(10, 10);
        world.pass(Duration::from_millis(10));
    }
    assert_eq!(refusals(&world), 1);
    assert_eq!(world.view().statestores[0].refusals, 100);
    world.heartbeat(10, 1); // it has understood
    world.beat(10, 10);
    assert_eq!(refusals(&world), 2);
}

// B-21: the first heartbeats may overtake the answer to the registration
#[test]
fn b21_an_early_heartbeat_is_refused_by_its_epoch_too() {
    let mut world = pair_under_ten();
    for _ in 0..31 {
        world.seconds(1);
        world.beat(10, 10);
    }
    world.answer_version(1);
    assert!(
        world
            .beat(21, 9)
            .status
            .message()
            .to_str()
            .contains("epoch 9")
    );
    assert!(world.beat(21, 13).status.is_ok());
    assert_eq!(world.view().highest_epoch, Some(Epoch(13)));
    assert_eq!(
        world.roles(),
        [Role::Active, Role::Standby],
        "whose it is will show"
    );
    assert!(!world.beat(10, 10).status.is_ok());
    world.answer_registration(1, accepted(21, 2, false));
    let beat = HeartbeatRequest {
        registration_id: Some(id(2)),
        statestore_id: Some(id(21)),
        epoch: Some(Epoch(13)),
        ..HeartbeatRequest::default()
    };
    world.request(Request::Heartbeat(beat));
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
}
