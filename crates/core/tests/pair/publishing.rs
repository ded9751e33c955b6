//! Publications by calls of the subscribers' own, to one of a pair (wire.md section 5.6): whose
//! word on epochs counts (ha.md rule 17), and that a call belongs to one activation (W10).
//!
//! Deliberately absent: what is published; `node/tests/unasked` has that.

use super::world::{World, config};
use statestore_core::port::{Answer, Request};
use statestore_core::role::Role;
use statestore_wire as wire;
use statestore_wire::{Epoch, ItemBatch, Text, TopicDelta, UniqueId};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn publication(id: &str, registration: UniqueId, sequence: i64, epoch: Epoch) -> Request {
    Request::Publish(wire::PublishRequest {
        subscriber_id: Text::from(id),
        registration_id: registration,
        sequence,
        highest_epoch: Some(epoch),
        stream: 1,
        topic_updates: vec![TopicDelta {
            topic_name: Text::from("t"),
            topic_entries: ItemBatch::from_items([(&b"k"[..], &b"v"[..], false)]),
            is_delta: true,
            ..Default::default()
        }],
        ..Default::default()
    })
}

/// A pair that serves `a` and `b`: the active one, its epoch, and their registrations with it.
fn served() -> (World, usize, Epoch, [UniqueId; 2]) {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    let replies = ["a", "b"].map(|id| world.register(id));
    world.wait(5 * SECOND);
    let active = (0..2).find(|i| world.role(*i) == Role::Active).unwrap();
    let epoch = world.servers[active].node.fence().unwrap().epoch;
    let ids = replies.map(|of| of.map(|reply| reply.registration_id.unwrap())[active]);
    (world, active, epoch, ids)
}

fn is_taken(world: &mut World, server: usize, request: Request) -> bool {
    let Answer::Publish(response) = world.ask(server, request) else {
        panic!("answered by another method")
    };
    response.status.is_ok()
}

// Rule 17
#[test]
fn only_a_registered_subscriber_s_word_ends_an_activation() {
    let (mut world, active, epoch, [mine, _]) = served();
    let newer = Epoch(epoch.0 + 2);
    for (id, registration) in [("nobody", mine), ("a", UniqueId { hi: 3, lo: 3 })] {
        let stranger = publication(id, registration, 1, newer);
        assert!(!is_taken(&mut world, active, stranger));
        assert_eq!(world.role(active), Role::Active);
    }
    assert!(!is_taken(
        &mut world,
        active,
        publication("a", mine, 1, newer)
    ));
    assert_ne!(world.role(active), Role::Active);
}

// W10: it was sent under the former activation and came when the same server was active again.
#[test]
fn a_call_of_a_former_activation_is_refused() {
    let (mut world, active, first, [mine, other]) = served();
    for (sequence, taken) in [(5, true), (4, false)] {
        let call = publication("a", mine, sequence, first);
        assert_eq!(is_taken(&mut world, active, call), taken);
    }
    // It is replaced and comes back, and its registrations stay.
    world.dead.insert(1 - active);
    let newer = publication("b", other, 1, Epoch(first.0 + 2));
    assert!(!is_taken(&mut world, active, newer));
    let mut seconds = 0;
    while world.role(active) != Role::Active {
        world.wait(SECOND);
        seconds += 1;
        assert!(seconds < 120);
    }
    world.wait(2 * SECOND);
    let second = world.servers[active].node.fence().unwrap().epoch;
    for (sequence, epoch, taken) in [(4, first, false), (6, first, false), (6, second, true)] {
        let call = publication("a", mine, sequence, epoch);
        assert_eq!(is_taken(&mut world, active, call), taken);
    }
}
