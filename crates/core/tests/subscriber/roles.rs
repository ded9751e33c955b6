//! Two statestoreds: B-4, B-13, B-25, B-30 to B-35, B-40.

use crate::support::*;
use crate::words::*;
use statestore_core::subscriber::Role;
use statestore_wire::*;

#[test]
fn b4_the_one_that_said_so_is_active_and_the_other_standby() {
    let world = World::pair(vec![]);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    assert_eq!(world.actives, [(0, false)]);
    let mut none = World::new(config(2));
    none.register(0, 10, 1, false);
    none.register(1, 20, 2, false);
    assert_eq!(none.roles(), [Role::Unknown, Role::Unknown]);
    let mut second = World::new(config(2));
    second.register(0, 10, 1, false);
    second.register(1, 20, 2, true);
    assert_eq!(second.roles(), [Role::Standby, Role::Active]);
}

#[test]
fn b25_b30_the_standby_says_it_is_active_and_is_followed() {
    let mut world = World::pair(vec![topic("t")]);
    world.publish(vec![put("t", "k", "v")]);
    world.update(1, vec![delta("t", 0, 0, &[])]);
    world.update(1, vec![delta("t", 0, 1, &[("k", "v")])]);
    let told = UpdateStatestoredRoleRequest {
        catalogd_version: Some(1),
        catalogd_registration: Some(catalogd("c")),
        ..role_message(20, 555)
    };
    assert_eq!(world.tell(told).skipped, None);
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
    let view = world.view();
    assert!(
        view.statestores.iter().all(|it| it.active_version == 555),
        "stored in both"
    );
    assert_eq!((view.failovers, view.last_failover), (1, Some(world.now)));
    assert_eq!(view.statestores[1].role_notices, 1);
    assert!(world.catalogds.pop().unwrap().is_registration_reply);
    assert_eq!(world.actives.last(), Some(&(1, true)));

    assert!(
        world
            .update_from((10, 1), 1, vec![delta("t", 1, 2, &[])])
            .skipped,
        "B-22"
    );
    let answer = world.update_from((20, 2), 2, vec![delta("t", 0, 0, &[])]);
    assert_eq!(
        published(&answer),
        ["t k=v"],
        "the new active gets everything"
    );
}

#[test]
fn b30_a_delta_on_the_old_base_of_the_new_active_does_not_fit() {
    // W10: it may still believe we have what it sent in an earlier life as the active one.
    let mut world = World::pair(vec![topic("t")]);
    world.update(1, vec![delta("t", 0, 9, &[("a", "1")])]);
    world.tell(role_message(20, 5));
    let answer = world.update_from((20, 2), 2, vec![delta("t", 9, 10, &[("b", "2")])]);
    assert_eq!(published(&answer), ["t from=0"]);
}

#[test]
fn b31_the_active_says_so_again_and_nothing_happens() {
    let mut world = World::pair(vec![topic("t")]);
    world.update(1, vec![delta("t", 0, 9, &[("a", "1")])]);
    assert_eq!(world.tell(role_message(10, 777)).skipped, None);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    let view = world.view();
    assert_eq!((view.topics[0].version, view.failovers), (9, 0));
    assert_eq!(view.statestores[0].active_version, 1000);
}

#[test]
fn b32_with_no_active_known_the_sender_becomes_it() {
    let mut world = World::new(config(2));
    world.register(0, 10, 1, false);
    world.register(1, 20, 2, false);
    world.tell(role_message(20, 5));
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
    assert_eq!(world.actives, [(1, false)]);
    assert_eq!(world.view().last_failover, None, "it is no failover");
}

#[test]
fn b33_an_unknown_sender_is_skipped() {
    let mut world = World::pair(vec![]);
    assert_eq!(world.tell(role_message(30, 5)).skipped, Some(true));
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    assert_eq!(
        world.tell(role_message(0, 5)).skipped,
        Some(true),
        "all-zero is nobody"
    );
}

#[test]
fn b34_losing_the_active_switches_no_role() {
    let mut world = World::pair(vec![]);
    for _ in 0..40 {
        world.seconds(1);
        world.heartbeat(20, 2);
    }
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    assert!(world.view().statestores[0].recovering && !world.view().statestores[1].recovering);
}

#[test]
fn b13_b30_a_recovered_statestored_that_says_it_is_active_is_followed() {
    let mut world = World::pair(vec![]);
    world.seconds(31);
    world.register(1, 21, 3, true);
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
    assert_eq!(world.view().failovers, 1);
}

#[test]
fn b35_a_standby_that_asks_is_told_of_the_other_one() {
    let mut world = World::pair(vec![]);
    let ask = |world: &mut World| {
        let answer = world.heartbeat_asking(20, 2, Some(true));
        assert!(answer.status.is_ok());
        answer.statestore_conn_state
    };
    assert_eq!(
        ask(&mut world),
        Some(ConnState::UNKNOWN),
        "H-34: never heard"
    );
    world.heartbeat(10, 1);
    assert_eq!(ask(&mut world), Some(ConnState::OK));
    world.seconds(25);
    assert_eq!(ask(&mut world), Some(ConnState::OK), "also when suspected");
    world.seconds(6);
    assert_eq!(ask(&mut world), Some(ConnState::FAILED));
    assert_eq!(
        world.heartbeat_asking(20, 2, None).statestore_conn_state,
        None,
        "only if asked"
    );
    assert_eq!(
        World::following(vec![])
            .heartbeat_asking(10, 1, Some(true))
            .statestore_conn_state,
        Some(ConnState::UNKNOWN),
        "there is no other one"
    );
}

#[test]
fn w23_a_standby_is_answered_while_the_active_is_being_registered_with_and_a_delivery_runs() {
    let mut world = World::pair(vec![topic("t")]);
    world.heartbeat(10, 1);
    let open = world
        .begin_update(1, vec![delta("t", 0, 1, &[("a", "1")])])
        .delivery();
    for _ in 0..31 {
        world.seconds(1);
        world.heartbeat(20, 2);
    }
    assert!(world.view().statestores[0].recovering);
    let answer = world.heartbeat_asking(20, 2, Some(true));
    assert_eq!(answer.statestore_conn_state, Some(ConnState::FAILED));
    world.finish(open, vec![]);
}

#[test]
fn b40_grace_lasts_for_a_while_after_a_recovery_and_after_a_failover() {
    let mut world = World::following(vec![]);
    assert!(
        !world.subscriber.in_grace(world.now),
        "a first registration is no recovery"
    );
    world.seconds(31);
    world.register(0, 11, 2, true);
    assert!(world.subscriber.in_grace(world.now));
    for _ in 0..30 {
        world.seconds(1);
        world.heartbeat(11, 2);
    }
    assert!(!world.subscriber.in_grace(world.now));

    let mut pair = World::pair(vec![]);
    pair.tell(role_message(20, 5));
    assert!(pair.subscriber.in_grace(pair.now));
    pair.now = pair.now + std::time::Duration::from_secs(30);
    assert!(!pair.subscriber.in_grace(pair.now));
}

#[test]
fn w36_no_failover_is_never_and_not_the_beginning_of_time() {
    let world = World::pair(vec![]);
    assert_eq!(world.view().last_failover, None);
    assert!(
        !world.subscriber.in_grace(world.now),
        "the clock reads one second"
    );
}
