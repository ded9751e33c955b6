//! One that found no peer acts alone (ha.md rule 18), and disturbs nobody who has one.

use super::world::{World, config, request};
use statestore_core::pair::{Limits, Tenure};
use statestore_core::role::Role;
use statestore_wire::Text;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);
const ALL: [&str; 3] = ["a", "b", "c"];

/// A pair with these subscribers, all of them voters.
fn running() -> World {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    for id in ALL {
        world.register(id);
    }
    world.wait(3 * SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    world
}

fn cut_the_two(world: &mut World) {
    world
        .cut
        .extend([0, 1].map(|which| (which, Text::from("peer"))));
}

// rule 18: it looks like a start of the whole pair, but all subscribers hear the active one
#[test]
fn a_restarted_standby_that_is_cut_off_deposes_nobody() {
    let mut world = running();
    world.dead.insert(1);
    cut_the_two(&mut world);
    world.wait(SECOND);
    world.restart(1, 9);
    world.wait(3 * SECOND);
    for id in ALL {
        let answer = world.register_with(1, request(id));
        assert_eq!(answer.statestore_is_active, Some(false));
    }
    for tenth in 0..700 {
        world.wait(TENTH);
        assert_eq!(world.role(0), Role::Active);
        if tenth == 600 {
            world.cut.clear();
        }
    }
    assert_eq!(world.role(1), Role::Standby);
    assert!(
        world.servers[0]
            .log
            .iter()
            .all(|line| !line.contains("No longer"))
    );
}

// rules 8, 18: its former process acknowledged the active one a moment ago
#[test]
fn a_restarted_standby_serves_nobody_before_the_old_lease_is_over() {
    let mut world = running();
    for id in ALL {
        world.cut.insert((0, Text::from(id)));
    }
    world.wait(12 * SECOND);
    assert_eq!(
        world.roles(),
        [Role::Active, Role::Standby],
        "the peer holds the lease"
    );
    cut_the_two(&mut world);
    world.restart(1, 9);
    let (began, mut registered) = (world.now, false);
    while world.now.since(began) < 30 * SECOND {
        world.wait(TENTH);
        if !registered && world.servers[1].node.is_decided() {
            registered = true;
            for id in ALL {
                world.register_with(1, request(id));
            }
        }
        let first = &world.servers[0].node;
        let leased = first.pair(world.stamp()).unwrap().tenure == Some(Tenure::Leased);
        let fence = first.fence().filter(|_| leased);
        let acts = fence.is_some_and(|fence| fence.lets(fence.epoch, world.now));
        let served = world.servers[1].node.totals().counters.updates.count;
        assert!(!acts || served == 0, "both serve at {}", world.now);
    }
    let served = world.servers[1].node.totals().counters.updates.count;
    assert!(served > 0, "in the end it serves them");
}

// H-2, flags.md: statestore_ha_preemption_wait_period_ms=0
#[test]
fn without_a_wait_one_that_is_alone_acts_soon() {
    let mut config = config(false);
    let limits = Limits::new(10 * SECOND, 10 * SECOND, Duration::ZERO);
    config.ha.as_mut().unwrap().pair.limits = limits;
    let mut world = World::new(&config);
    world.dead.insert(1);
    world.wait(SECOND);
    assert_eq!(world.role(0), Role::Active);
}

// ha.md section 4: both act alone, until whoever is followed by most, or the higher epoch, is left
#[test]
fn two_that_start_without_reaching_each_other_come_to_one() {
    let mut world = World::new(&config(false));
    cut_the_two(&mut world);
    world.wait(3 * SECOND);
    for id in ALL {
        world.register(id);
    }
    let (began, mut without) = (world.now, Duration::ZERO);
    while world.now.since(began) < 120 * SECOND {
        world.wait(TENTH);
        if !world.roles().contains(&Role::Active) {
            without += TENTH;
        }
    }
    let acting = world.roles().iter().filter(|role| role.acts()).count();
    assert_eq!(acting, 1, "{:?}", world.roles());
    assert!(
        without < 12 * SECOND,
        "without an active one for {without:?}"
    );
}

// F-4, F-5, rule 6
#[test]
fn asking_for_votes_ends_no_registration_sooner() {
    let mut world = running();
    world.dead.insert(0);
    world.wait(87 * TENTH); // votes are asked for from 8.5 s on
    for id in ALL {
        world.cut.insert((1, Text::from(id)));
    }
    world.wait(2 * SECOND);
    assert_eq!(world.servers[1].node.totals().subscribers.len(), 3);
    world.cut.retain(|(which, _)| *which != 1);
    world.wait(5 * SECOND);
    assert_eq!(world.role(1), Role::Active);
}
