//! Starting, failing over, stopping: two nodes and their subscribers as a whole.

use super::world::{World, config, request};
use statestore_core::pair::Tenure;
use statestore_core::port::{Answer, Input, Request};
use statestore_core::role::Role;
use statestore_wire as wire;
use statestore_wire::{ProtocolVersion, Status, StatusCode, Text, UniqueId};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn running(ids: &[&str]) -> World {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    ids.iter().for_each(|id| drop(world.register(id)));
    world.wait(3 * SECOND);
    world
}

// H-1, H-3, H-4, R-10, H-10, H-14, 6.6-1
#[test]
fn two_that_start_together_are_one_active_and_one_standby() {
    let mut world = World::new(&config(false));
    assert!(!world.servers[0].node.is_decided());
    world.wait(SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    assert!(world.servers.iter().all(|server| server.node.is_decided()));
    let [active, standby] = world.register("a");
    assert_eq!(active.statestore_is_active, Some(true));
    assert_eq!(standby.statestore_is_active, Some(false));
    assert!(active.epoch.is_some() && standby.epoch.is_none());
    world.wait(100 * SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    let view = world.servers[0].node.pair(world.stamp()).unwrap();
    assert_eq!((view.agreed, view.found_peer), (1, true));
}

// H-2, H-12, 6.6-2
#[test]
fn one_alone_is_active_after_the_preemption_wait_and_asks_before_it_is_followed() {
    let mut world = World::new(&config(false));
    world.dead.insert(1);
    world.wait(SECOND);
    assert_eq!(world.role(0), Role::Starting);
    world.wait(2 * SECOND);
    assert_eq!(world.role(0), Role::Active);
    let answer = world.register_with(0, request("a"));
    assert_eq!(answer.statestore_is_active, Some(false), "rule 18");
    world.wait(SECOND);
    let node = &world.servers[0].node;
    assert_eq!(node.totals().counters.role_told, 1);
    assert!(node.totals().counters.updates.count > 0);
    world.wait(100 * SECOND);
    assert_eq!(world.role(0), Role::Active);
}

// rule 18, H-5f: before its subscribers hear the other one, which would make it yield
#[test]
fn one_alone_has_a_lease_as_soon_as_the_other_one_is_there() {
    let mut world = World::new(&config(false));
    world.dead.insert(1);
    world.wait(3 * SECOND);
    world.register_with(0, request("a"));
    world.wait(SECOND);
    world.restart(1, 2);
    world.wait(Duration::from_millis(30));
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    let view = world.servers[0].node.pair(world.stamp()).unwrap();
    assert_eq!(view.tenure, Some(Tenure::Leased));
    assert!(!view.held_by_peer.is_zero());
}

// H-10: whatever brings a turn forward
#[test]
fn there_is_one_rhythm_of_ha_heartbeats_however_often_the_two_have_met() {
    let mut world = World::new(&config(false));
    let hello = wire::StatestoreHaHandshakeRequest {
        src_statestore_id: UniqueId { hi: 0, lo: 2 },
        highest_epoch: Some(wire::Epoch::default()),
        ..Default::default()
    };
    for _ in 0..5 {
        world.ask(0, Request::Handshake(hello.clone()));
    }
    world.wait(5 * SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    world.servers[0].calls.clear();
    world.wait(10 * SECOND);
    let beats = world.servers[0].calls.len();
    assert!((19..=21).contains(&beats), "{beats} in 20 ticks");
}

// H-15, H-17, H-19, H-30, 6.6-3, P6: within the limits and a little
#[test]
fn when_the_active_dies_the_standby_takes_over_and_everybody_follows() {
    let mut world = running(&["a", "b", "c"]);
    world.dead.insert(0);
    world.wait(9 * SECOND);
    assert_eq!(world.role(1), Role::Standby);
    world.wait(Duration::from_millis(2_500));
    assert_eq!(world.role(1), Role::Active);
    let totals = world.servers[1].node.totals();
    assert_eq!(totals.counters.role_told, 3);
    let epochs: Vec<_> = world.epochs.values().collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]) && epochs.len() == 3);
    assert!(
        totals.counters.updates.count >= 3,
        "they get what they lack"
    );
}

// H-5f, H-20, 6.6-4
#[test]
fn the_old_active_comes_back_as_standby_and_announces_nothing() {
    let mut world = running(&["a", "b"]);
    world.dead.insert(0);
    world.wait(15 * SECOND);
    world.restart(0, 0);
    world.wait(5 * SECOND);
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
    assert_eq!(world.servers[0].node.totals().counters.role_told, 0);
    for id in ["a", "b"] {
        world.register_with(0, request(id));
    }
    world.wait(3 * SECOND);
    let view = world.servers[0].node.pair(world.stamp()).unwrap();
    assert_eq!(view.agreed, 2, "it knows the electorate");
}

// W1, rules 3, 4, H-32, W10
#[test]
fn an_active_cut_off_from_its_peer_and_most_subscribers_stops_and_forgets() {
    let mut world = running(&["a", "b", "c"]);
    for whom in ["peer", "a", "b"] {
        world.cut.insert((0, Text::from(whom)));
    }
    world.cut.insert((1, Text::from("peer")));
    world.wait(20 * SECOND);
    assert_eq!(world.roles(), [Role::Recovery, Role::Active]);
    assert_eq!(world.servers[0].recalled, 1);
    let log = world.servers[0].log.join("\n");
    assert!(
        log.contains("neither the peer nor half of the subscribers"),
        "{log}"
    );
    world.cut.clear();
    world.wait(5 * SECOND);
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
}

// W1: the link between the two alone is no reason
#[test]
fn a_cut_between_the_two_changes_nothing() {
    let mut world = running(&["a", "b", "c"]);
    for which in 0..2 {
        world.cut.insert((which, Text::from("peer")));
    }
    world.wait(120 * SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    let view = world.servers[0].node.pair(world.stamp()).unwrap();
    assert!(!view.found_peer && view.held_by_voters > Duration::ZERO);
}

// H-5a
#[test]
fn an_old_peer_is_refused_and_nothing_changes() {
    let mut world = running(&[]);
    let request = wire::StatestoreHaHandshakeRequest {
        src_protocol_version: ProtocolVersion::V1,
        src_statestore_address: Text::from("old:1"),
        src_force_active: true,
        ..Default::default()
    };
    let Answer::Handshake(reply) = world.ask(0, Request::Handshake(request)) else {
        panic!()
    };
    let code = StatusCode::STATESTORE_INCOMPATIBLE_PROTOCOL;
    assert_eq!(reply.status.status_code, code);
    assert_eq!(reply.dst_statestore_id, UniqueId::default());
    let request = wire::StatestoreHaHeartbeatRequest {
        protocol_version: ProtocolVersion::V1,
        ..Default::default()
    };
    let Answer::HaHeartbeat(reply) = world.ask(1, Request::HaHeartbeat(request)) else {
        panic!()
    };
    assert_eq!(reply.status.status_code, code);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
}

// H-9, H-11, 6.6-7
#[test]
fn with_its_network_disabled_the_active_goes_to_recovery_and_comes_back_as_standby() {
    let mut world = running(&["a", "b"]);
    world.step(0, Input::NetworkDisabled(true));
    world.wait(20 * SECOND);
    assert_eq!(world.roles(), [Role::Recovery, Role::Active]);
    assert_eq!(world.servers[0].node.totals().subscribers.len(), 0);
    let refused = world.register_with(0, request("a"));
    assert!(!refused.status.is_ok());
    world.step(0, Input::NetworkDisabled(false));
    world.wait(3 * SECOND);
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
}

// H-9 at a standby; H-18: nobody is left to hear
#[test]
fn with_its_network_disabled_a_standby_drops_everybody_and_never_takes_over() {
    let mut world = running(&["a", "b"]);
    world.step(1, Input::NetworkDisabled(true));
    world.wait(60 * SECOND);
    assert_eq!(world.role(0), Role::Active);
    assert_ne!(world.role(1), Role::Active);
    assert_eq!(world.servers[1].node.totals().subscribers.len(), 0);
    world.step(1, Input::NetworkDisabled(false));
    world.wait(3 * SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
}

// rule 15
#[test]
fn a_standby_that_stops_says_so_and_the_active_needs_nobody() {
    let mut world = running(&["a"]);
    world.step(1, Input::Stopping);
    world.settle();
    world.dead.insert(1);
    world.cut.insert((0, Text::from("a")));
    world.wait(60 * SECOND);
    assert_eq!(world.role(0), Role::Active);
}

// rule 15: a planned stop of the active is no failover to wait for
#[test]
fn when_the_active_stops_everybody_follows_the_other_at_once() {
    let mut world = running(&["a", "b"]);
    world.step(0, Input::Stopping);
    world.settle();
    world.dead.insert(0);
    assert_eq!(world.role(1), Role::Active);
    assert_eq!(world.servers[1].node.totals().counters.role_told, 2);
    world.restart(0, 9);
    world.wait(3 * SECOND);
    assert_eq!(world.roles(), [Role::Standby, Role::Active]);
}

// ha.md section 4
#[test]
fn an_operator_forces_the_process_that_is_meant_and_no_other() {
    let mut world = running(&["a", "b"]);
    world.dead.insert(0);
    let force = |lo| {
        Request::ForceActive(wire::ForceStatestoreActiveRequest {
            protocol_version: ProtocolVersion::V2,
            statestore_id: UniqueId { hi: 0, lo },
        })
    };
    let Answer::ForceActive(reply) = world.ask(1, force(1)) else {
        panic!()
    };
    assert_ne!(reply.status, Status::ok());
    let Answer::ForceActive(reply) = world.ask(1, force(2)) else {
        panic!()
    };
    assert!(reply.status.is_ok() && reply.epoch.is_some());
    world.settle();
    assert_eq!(world.role(1), Role::Active);
    assert_eq!(world.servers[1].node.totals().counters.role_told, 2);
}

// rule 17: only who is registered can say that there is a later activation.
#[test]
fn an_epoch_in_a_publication_counts_if_its_sender_is_registered() {
    let mut world = running(&["a", "b", "c"]);
    let [registered, _] = world.register("a");
    world.wait(3 * SECOND);
    let now = |world: &World, which: usize| {
        let view = world.servers[which].node.pair(world.stamp()).unwrap();
        (world.role(which), view.epoch)
    };
    let before = now(&world, 0);
    assert_eq!(before.0, Role::Active);
    let higher = wire::Epoch(before.1.0 + 1_000);
    let publication = |id: &str, registration_id| {
        Request::Publish(wire::PublishRequest {
            subscriber_id: Text::from(id),
            registration_id,
            sequence: 1,
            highest_epoch: Some(higher),
            ..Default::default()
        })
    };
    let current = registered.registration_id.unwrap();
    let former = UniqueId { hi: 5, lo: 5 };
    for (id, registration) in [("stranger", current), ("a", former)] {
        let Answer::Publish(reply) = world.ask(0, publication(id, registration)) else {
            panic!()
        };
        assert!(!reply.status.is_ok());
        assert_eq!(now(&world, 0), before);
    }
    let Answer::Publish(reply) = world.ask(0, publication("a", current)) else {
        panic!()
    };
    assert!(!reply.status.is_ok());
    assert_ne!(now(&world, 0), before, "it stepped down");
    world.wait(30 * SECOND);
    let actives = [0, 1].map(|which| now(&world, which));
    let mut above = actives.iter().filter(|(role, _)| *role == Role::Active);
    assert!(above.next().is_some_and(|(_, epoch)| *epoch > higher));
    assert!(above.next().is_none());
}
