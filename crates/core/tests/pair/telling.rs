//! What subscribers and catalogds notice of the pair (H-30 to H-33, W11, W20, rule 14).

use super::world::{STEP, World, completed, config, fault, request};
use statestore_core::port::{Answer, Request};
use statestore_core::role::Role;
use statestore_wire as wire;
use statestore_wire::{CatalogRegistration, CatalogVersion, NetworkAddress, ProtocolVersion, Text};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn catalogd(id: &str) -> wire::RegisterSubscriberRequest {
    wire::RegisterSubscriberRequest {
        catalogd_registration: Some(CatalogRegistration {
            protocol: CatalogVersion::V2,
            address: NetworkAddress {
                hostname: Text::from(id),
                port: 1,
                uds_address: None,
            },
            enable_catalogd_ha: Some(true),
            force_catalogd_active: None,
            registration_time: None,
        }),
        ..request(id)
    }
}

// H-31, W20, W22: all at once, and again until it is really taken
#[test]
fn the_role_is_told_again_to_who_skips_it() {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    for id in ["a", "b"] {
        world.register(id);
    }
    world.wait(3 * SECOND);
    world.skips_role.insert(Text::from("b"), 2);
    world.dead.insert(0);
    world.wait(12 * SECOND);
    assert_eq!(world.role(1), Role::Active);
    let told: Vec<_> = world.servers[1]
        .calls
        .iter()
        .filter(|call| call.starts_with("Role"))
        .collect();
    assert_eq!(
        told,
        ["Role a true", "Role b true", "Role b false", "Role b false"]
    );
    let counters = world.servers[1].node.totals().counters;
    assert_eq!((counters.role_told, counters.role_failed), (2, 0));
}

// H-31: a dead one is told again every 100 ms; the log has the first failure, and the end of it
#[test]
fn who_cannot_be_told_of_the_role_is_named_once_and_when_it_knows() {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    for id in ["a", "b", "c"] {
        world.register(id);
    }
    world.wait(3 * SECOND);
    world.unreachable_for_roles.insert(Text::from("b"));
    world.dead.insert(0);
    world.wait(12 * SECOND);
    assert_eq!(world.role(1), Role::Active);
    let lines = |world: &World, words: &str| {
        let log = world.servers[1].log.iter();
        log.filter(|line| line.contains(words)).count()
    };
    let failed = "'b' at b:0 could not be told that this statestored is active";
    let at_last = "'b' at b:0 knows at last";
    assert!(world.servers[1].node.totals().counters.role_failed > 5);
    assert_eq!((lines(&world, failed), lines(&world, at_last)), (1, 0));
    world.unreachable_for_roles.clear();
    world.wait(SECOND);
    assert_eq!((lines(&world, failed), lines(&world, at_last)), (1, 1));
    assert_eq!(lines(&world, "knows at last"), 1, "not of the others");
}

// ha.md rules 9, 20: with reference subscribers the plain rules hold, and that is said once
#[test]
fn the_first_subscriber_that_knows_no_epochs_is_named_and_no_other() {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    let said = |world: &World, which: usize| {
        let log = world.servers[which].log.iter();
        let lines = log.filter(|line| line.contains("knows no epochs and names no limit"));
        lines.cloned().collect::<Vec<_>>()
    };
    world.register("ours");
    assert!(said(&world, 0).is_empty() && said(&world, 1).is_empty());
    let reference = |id| wire::RegisterSubscriberRequest {
        heartbeat_timeout_ms: None,
        ..request(id)
    };
    for id in ["a", "b", "a"] {
        world.register_with(0, reference(id));
    }
    let lines = said(&world, 0);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("Subscriber 'a' ") && !lines[0].contains('\n'));
    assert!(said(&world, 1).is_empty(), "each says it of its own");
}

// ha.md section 5: heartbeats that a subscriber's own limit makes shorter are told of, and bounded
#[test]
fn an_own_limit_that_shortens_heartbeats_is_logged_once_for_each_much_shorter_one() {
    let mut config = config(false);
    config.heartbeat.period = SECOND;
    config.heartbeat.timeout = 2 * SECOND;
    let mut world = World::new(&config);
    world.wait(SECOND);
    let lines = |world: &World| {
        let log = world.servers[0].log.iter();
        let lines = log.filter(|line| line.contains("are shorter than the flags say"));
        lines.cloned().collect::<Vec<_>>()
    };
    let join = |world: &mut World, id: &str, ms: i64| {
        let heartbeat_timeout_ms = Some(ms);
        let request = wire::RegisterSubscriberRequest {
            heartbeat_timeout_ms,
            ..request(id)
        };
        world.register_with(0, request);
    };
    join(&mut world, "enough", 10_000);
    assert!(lines(&world).is_empty());
    for (id, ms) in [("a", 2_000), ("b", 2_000), ("c", 1_900), ("d", 4_000)] {
        join(&mut world, id, ms);
    }
    join(&mut world, "e", 1_000);
    let said = lines(&world);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("'a' ") && said[0].contains("2000 ms: every 300 ms, each within 375 ms"),
        "{said:?}"
    );
    assert!(said[1].contains("'e' ") && said[1].contains("1000 ms: every 150 ms"));
    for ms in (300..30_000).rev() {
        join(&mut world, "hostile", ms);
    }
    assert!(lines(&world).len() < 15);
    let now = world.stamp();
    let pace = |id: &str| world.servers[0].node.heartbeat_pace(now, &Text::from(id));
    assert_eq!(pace("enough"), (SECOND, 2 * SECOND));
    let micros = Duration::from_micros;
    assert_eq!(pace("c"), (micros(285_000), micros(356_250)));
}

// W10, S-5: a role message that comes while an update of the former activation is under way.
#[test]
fn an_update_that_outlives_its_activation_delays_no_update_of_the_next_one() {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    world.register("a");
    world.wait(3 * SECOND);
    world.hanging = Some(Vec::new());
    world.wait(3 * SECOND);
    // It is replaced, hears nothing of the other one, and is elected again.
    let epoch = world.servers[0].node.fence().unwrap().epoch;
    world.dead.insert(1);
    world
        .epochs
        .insert(Text::from("a"), wire::Epoch(epoch.0 + 2));
    world.wait(2 * SECOND);
    assert!(!world.role(0).acts());
    world.wait(20 * SECOND);
    assert_eq!(world.role(0), Role::Active);
    let hung = world.hanging.take().unwrap();
    let [(server, call)] = hung[..] else {
        panic!("one at a time (S-3): {hung:?}")
    };
    let updates = |world: &World| {
        let calls = world.servers[0].calls.iter();
        calls.filter(|call| call.starts_with("Bulk")).count()
    };
    let before = updates(&world);
    world.step(server, completed(call, Err(fault())));
    world.wait(3 * STEP);
    assert_eq!(updates(&world), before + 1);
}

// The seed: missed heartbeats are counted, by the standby those that the primary did not send
#[test]
fn a_standby_counts_the_heartbeats_that_its_primary_did_not_send() {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    world.register("a");
    world.wait(3 * SECOND);
    let missed = |world: &World, which: usize| {
        let node = &world.servers[which].node;
        node.missed_of_peer(world.stamp()).unwrap()
    };
    assert!(missed(&world, 1) <= 1, "those that are on their way");
    world.cut.insert((0, Text::from("peer")));
    world.wait(3 * SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    let missing = missed(&world, 1);
    assert!((6..=7).contains(&missing), "{missing} of 500 ms in 3 s");
    assert_eq!(missed(&world, 0), 0, "nobody owes it any");
    world.cut.clear();
    world.wait(SECOND);
    assert!(missed(&world, 1) <= 1);
    let alone = statestore_core::config::Config::default();
    let node = World::new(&alone).servers.remove(0).node;
    assert_eq!(node.missed_of_peer(world.stamp()), None);
}

// 6.3, S-10, H-33
#[test]
fn a_standby_sends_heartbeats_and_nothing_else() {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    world.register("a");
    world.wait(10 * SECOND);
    let calls = &world.servers[1].calls;
    assert!(calls.iter().any(|call| call.starts_with("Heartbeat")));
    let only = |call: &String| call.starts_with("Heartbeat") || call.starts_with("Peer");
    assert!(calls.iter().all(only), "{calls:?}");
    let view = world.servers[1].node.pair(world.stamp()).unwrap();
    let voice = view.voters[0].voice.unwrap();
    assert!(voice.state == wire::ConnState::OK && voice.other_is_active && !voice.lost);
}

// W11, N-6: the standby elected another one by itself, and follows the active's choice
#[test]
fn the_active_catalogd_stays_the_one_when_the_statestored_fails_over() {
    let mut world = World::new(&config(true));
    world.wait(SECOND);
    world.register_with(0, catalogd("x"));
    world.register_with(1, catalogd("y"));
    world.register_with(0, catalogd("y"));
    world.register_with(1, catalogd("x"));
    world.register("c");
    world.wait(3 * SECOND);
    let active = |world: &World, which: usize| {
        let view = world.servers[which].node.catalog();
        view.active.map(|active| active.address.hostname)
    };
    assert_eq!(active(&world, 0), Some(Text::from("x")));
    assert_eq!(active(&world, 1), Some(Text::from("x")));
    let version = world.servers[0].node.catalog().version;
    world.dead.insert(0);
    world.wait(12 * SECOND);
    assert_eq!(world.role(1), Role::Active);
    assert_eq!(active(&world, 1), Some(Text::from("x")));
    assert!(world.servers[1].node.catalog().version >= version);
}

// rule 14
#[test]
fn who_leaves_on_purpose_is_gone_at_once() {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    let [at_active, at_standby] = world.register("a");
    world.register("b");
    world.wait(3 * SECOND);
    for (which, registration) in [(0, &at_active), (1, &at_standby)] {
        world.ask(which, leave("a", wire::UniqueId { hi: 9, lo: 9 }));
        assert_eq!(
            world.servers[which].node.totals().subscribers.len(),
            2,
            "a stale word"
        );
        let answer = world.ask(which, leave("a", registration.registration_id.unwrap()));
        assert!(matches!(answer, Answer::Unregister(reply) if reply.status.is_ok()));
        assert_eq!(
            world.servers[which].node.totals().subscribers,
            [Text::from("b")]
        );
    }
    world.wait(3 * SECOND);
    let view = world.servers[0].node.pair(world.stamp()).unwrap();
    assert_eq!(view.agreed, 1);
    world.dead.insert(0);
    world.wait(15 * SECOND);
    assert_eq!(world.role(1), Role::Active, "one of one");
}

// rules 12, 14: the one that leaves while the standby is away and comes back has one seat, the same
// on both sides, as soon as they are in contact.
#[test]
fn who_leaves_and_comes_back_has_one_seat_on_both_sides() {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    for id in ["b", "c"] {
        world.register(id);
    }
    let [at_active, _] = world.register("a");
    world.wait(3 * SECOND);
    world
        .cut
        .extend([0, 1].map(|which| (which, Text::from("peer"))));
    world.ask(0, leave("a", at_active.registration_id.unwrap()));
    world.wait(SECOND);
    assert_eq!(agreed(&world, 0), 3, "frozen without contact");
    world.register_with(1, request("a"));
    world.wait(32 * SECOND);
    assert_eq!([agreed(&world, 0), agreed(&world, 1)], [3, 3]);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    world.cut.clear();
    world.wait(2 * SECOND);
    assert_eq!(
        [agreed(&world, 0), agreed(&world, 1)],
        [2, 2],
        "registered with both"
    );
    world.register_with(0, request("a"));
    world.wait(32 * SECOND);
    assert_eq!([agreed(&world, 0), agreed(&world, 1)], [3, 3]);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
}

fn leave(id: &str, registration_id: wire::UniqueId) -> Request {
    Request::Unregister(wire::UnregisterSubscriberRequest {
        protocol_version: ProtocolVersion::V2,
        subscriber_id: Text::from(id),
        registration_id,
    })
}

fn agreed(world: &World, which: usize) -> usize {
    world.servers[which]
        .node
        .pair(world.stamp())
        .unwrap()
        .agreed
}
