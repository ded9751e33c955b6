//! What a review found: restarts and crashes in a row, seen with real nodes and subscribers.

use super::world::{World, config, request};
use statestore_core::role::Role;
use statestore_wire::Text;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn running() -> World {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    for id in ["a", "b", "c"] {
        world.register(id);
    }
    world.wait(3 * SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    world
}

// rules 1, 12, 13; section 4: "the standby dies: 0". Subscribers register with the new process only
// when the former one has been silent for T_s; until then nobody is registered with both.
#[test]
fn a_standby_that_dies_again_right_after_its_restart_costs_nothing() {
    let mut world = running();
    world.dead.insert(1);
    world.wait(SECOND);
    world.restart(1, 9);
    world.wait(2 * SECOND);
    assert_eq!(world.role(1), Role::Standby);
    let view = world.servers[0].node.pair(world.stamp()).unwrap();
    let agreed = view.agreed;
    world.dead.insert(1);
    for _ in 0..30 {
        world.wait(SECOND);
        let log = &world.servers[0].log;
        assert!(
            log.iter().all(|line| !line.contains("No longer")),
            "all three answer it, {agreed} were agreed on: {log:#?}"
        );
    }
}

// the same, but the link between the two breaks: "0" as well
#[test]
fn a_link_that_breaks_right_after_a_restart_of_the_standby_costs_nothing() {
    let mut world = running();
    world.dead.insert(1);
    world.wait(SECOND);
    world.restart(1, 9);
    world.wait(2 * SECOND);
    world
        .cut
        .extend([0, 1].map(|which| (which, Text::from("peer"))));
    world.wait(7 * SECOND);
    for id in ["a", "b", "c"] {
        world.register_with(1, request(id)); // T_s after its former process was heard last
    }
    let mut without = 0;
    for _ in 0..300 {
        world.wait(SECOND);
        without += usize::from(world.roles().iter().all(|role| !role.acts()));
    }
    assert_eq!(
        without, 0,
        "seconds without an active: {:#?}",
        world.servers[0].log
    );
}

// rule 18: a former registration of that id was asked, this one was not
#[test]
fn one_that_is_alone_tells_nobody_its_role_before_it_has_asked() {
    let mut world = running();
    world.dead.insert(1);
    world
        .cut
        .extend([0, 1].map(|which| (which, Text::from("peer"))));
    world.wait(SECOND);
    world.restart(1, 9);
    world.wait(3 * SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Active], "it is alone");
    // A new subscriber that finds only the second one at first, and crashes as it is told.
    let x = Text::from("x");
    world.unreachable_for_roles.insert(x.clone());
    world.register_with(1, request("x"));
    world.wait(SECOND / 2);
    world.cut.insert((1, x.clone()));
    world.wait(SECOND);
    // It is back, and finds both.
    world.epochs.remove(&x);
    world.register_with(0, request("x"));
    world.wait(SECOND);
    world.unreachable_for_roles.clear();
    world.cut.remove(&(1, x));
    let answer = world.register_with(1, request("x"));
    assert_eq!(answer.statestore_is_active, Some(false), "not asked yet");
    world.wait(SECOND);
    let log = &world.servers[0].log;
    assert_eq!(
        world.role(0),
        Role::Active,
        "x says that it follows it: {log:#?}"
    );
}
