//! A subscriber that restarts, the shipped one, between two nodes that do not reach each other:
//! what its new life says to the registration of the former one (ha.md rules 9, 20).
//!
//! Deliberately absent: its own calls, apart from the registrations that a test makes for it.

use super::world::{World, config};
use statestore_core::ids::{RequestId, StatestoreId};
use statestore_core::port as node;
use statestore_core::role::Role;
use statestore_core::subscriber::{self, Subscriber, port};
use statestore_core::time::Now;
use statestore_wire as wire;
use statestore_wire::{NetworkAddress, Text};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Every line of its own, so that it is known which call goes where.
fn settings(patience: Duration) -> subscriber::Config {
    let address = |port| NetworkAddress {
        hostname: Text::from("host"),
        port,
        uds_address: None,
    };
    let mut config = subscriber::Config::new("v", address(9), vec![address(0), address(1)]);
    config.timeout = patience;
    config
}

impl World {
    /// The subscriber of this name is a new process, the shipped one. Nothing that it calls
    /// arrives by itself.
    fn restart_subscriber(&mut self, patience: Duration) {
        let subscriber = Subscriber::new(settings(patience), self.stamp());
        self.shipped.insert(Text::from("v"), subscriber);
    }

    /// One step; gives what it answers.
    fn step_shipped(&mut self, id: &Text, input: port::Input) -> Option<port::Answer> {
        let now: Now = self.stamp();
        let mut out = port::Outbox::new();
        let subscriber = self.shipped.get_mut(id).unwrap();
        subscriber.step(now, input, &mut out);
        let mut given = None;
        for effect in out {
            match effect {
                port::Effect::Call(call) => self.unanswered.push(call),
                port::Effect::Answer { answer, .. } => given = Some(answer),
                _ => {}
            }
        }
        given
    }

    /// It registers with one of the two; an answer of the other is still to come.
    fn register_shipped(&mut self, which: usize) -> StatestoreId {
        let response = self.try_to_register(which);
        assert!(response.status.is_ok());
        StatestoreId(response.statestore_id.unwrap())
    }

    fn try_to_register(&mut self, which: usize) -> wire::RegisterSubscriberResponse {
        let id = Text::from("v");
        self.step_shipped(&id, port::Input::Timer);
        loop {
            let mut calls = self.unanswered.iter();
            let at = calls.position(|call| call.statestore == which);
            let call = self.unanswered.remove(at.unwrap());
            let (reply, registered) = match call.body {
                port::Body::ProtocolVersion(_) => {
                    let version = wire::GetProtocolVersionResponse::default();
                    (port::Reply::ProtocolVersion(version), None)
                }
                port::Body::Register(request) => {
                    let response = self.register_with(which, *request);
                    (port::Reply::Register(response.clone()), Some(response))
                }
                other => panic!("{other:?}"),
            };
            let input = port::Input::Completed {
                call: call.id,
                outcome: Ok(reply),
            };
            self.step_shipped(&id, input);
            if let Some(response) = registered {
                return response;
            }
        }
    }

    /// What a shipped subscriber answers to a call; none if it is another kind of call.
    pub(crate) fn shipped_answers(&mut self, to: &Text, body: &node::Body) -> Option<node::Reply> {
        self.shipped.get(to)?;
        match body {
            node::Body::Heartbeat(request) => {
                let input = port::Input::Request {
                    id: RequestId(1),
                    request: port::Request::Heartbeat(request.clone()),
                };
                let answer = self.step_shipped(to, input);
                let Some(port::Answer::Heartbeat(response)) = answer else {
                    panic!("{answer:?}")
                };
                Some(node::Reply::Heartbeat {
                    response,
                    connection: 1,
                })
            }
            // It does not follow who has not answered its registration.
            node::Body::Update(_) => Some(node::Reply::Update(wire::UpdateStateResponse {
                skipped: Some(true),
                ..Default::default()
            })),
            _ => None,
        }
    }
}

fn apart() -> World {
    let mut world = World::new(&config(false));
    world.wait(SECOND);
    world.register("v");
    world.wait(3 * SECOND);
    assert_eq!(world.roles(), [Role::Active, Role::Standby]);
    for which in 0..2 {
        world.cut.insert((which, Text::from("peer")));
    }
    world
}

// rules 1, 9, B-21: `wait` sees to it that never two act
#[test]
fn what_a_new_life_answers_to_a_registration_of_the_former_one_holds_no_lease() {
    let mut world = apart();
    world.restart_subscriber(3 * SECOND);
    world.wait(SECOND / 2);
    world.register_shipped(1);
    world.wait(6 * SECOND);
    let missed = world.servers[0]
        .log
        .iter()
        .filter(|it| it.contains("missed"));
    assert_eq!(missed.count(), 0, "it is alive all the same");
    world.cut.insert((0, Text::from("v")));
    world.wait(12 * SECOND);
    assert_eq!(world.role(1), Role::Active);
    assert!(!world.role(0).acts());
}

// rules 9, 12, 13, W19, F-4: its former seat would block every majority of two for ever
#[test]
fn who_is_refused_in_its_new_life_loses_the_registration_and_then_the_seat_of_the_former_one() {
    for refusing in [vec![0], vec![1], vec![0, 1]] {
        let mut world = World::new(&config(false));
        world.wait(SECOND);
        world.register("v");
        world.register("w");
        world.wait(3 * SECOND);
        assert_eq!(world.roles(), [Role::Active, Role::Standby]);
        let agreed = |world: &World| {
            let view = |which: usize| world.servers[which].node.pair(world.stamp()).unwrap();
            [0, 1].map(|which| view(which).agreed)
        };
        // A limit that a server of more subscribers refuses, say.
        world.restart_subscriber(SECOND / 5);
        world.wait(SECOND / 10);
        for which in &refusing {
            assert!(!world.try_to_register(*which).status.is_ok());
        }
        world.wait(6 * SECOND);
        assert_eq!(agreed(&world), [2, 2], "a moment's trouble ends nothing");
        world.wait(8 * SECOND);
        assert_eq!(agreed(&world), [1, 1], "refused by {refusing:?}");
        assert_eq!(world.roles(), [Role::Active, Role::Standby]);
        world.dead.insert(0);
        world.wait(15 * SECOND);
        assert_eq!(world.role(1), Role::Active, "one of one");
    }
}
