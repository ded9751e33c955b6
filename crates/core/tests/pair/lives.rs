//! A subscriber that restarts, the shipped one, between two nodes that do not reach each other:
//! what its new life says to the registration of the former one (ha.md rules 9, 20).
//!
//! Deliberately absent: its own calls, apart from the one registration that a test makes for it.

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
    /// arrives.
    fn restart_subscriber(&mut self, patience: Duration) {
        let subscriber = Subscriber::new(settings(patience), self.stamp());
        self.shipped.insert(Text::from("v"), subscriber);
    }

    fn step_shipped(&mut self, id: &Text, input: port::Input) -> port::Outbox {
        let now: Now = self.stamp();
        let mut out = port::Outbox::new();
        let subscriber = self.shipped.get_mut(id).unwrap();
        subscriber.step(now, input, &mut out);
        out
    }

    /// It registers with one of the two; an answer of the other is still to come.
    fn register_shipped(&mut self, which: usize) -> StatestoreId {
        let id = Text::from("v");
        let mut input = port::Input::Timer;
        loop {
            let out = self.step_shipped(&id, input);
            let call = out.into_iter().find_map(|effect| match effect {
                port::Effect::Call(call) if call.statestore == which => Some(call),
                _ => None,
            });
            let call = call.unwrap();
            let reply = match call.body {
                port::Body::ProtocolVersion(_) => {
                    port::Reply::ProtocolVersion(wire::GetProtocolVersionResponse::default())
                }
                port::Body::Register(request) => {
                    let response = self.register_with(which, *request);
                    assert!(response.status.is_ok());
                    let own = StatestoreId(response.statestore_id.unwrap());
                    let input = port::Input::Completed {
                        call: call.id,
                        outcome: Ok(port::Reply::Register(response)),
                    };
                    self.step_shipped(&id, input);
                    return own;
                }
                other => panic!("{other:?}"),
            };
            input = port::Input::Completed {
                call: call.id,
                outcome: Ok(reply),
            };
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
                let out = self.step_shipped(to, input);
                let response = out.into_iter().find_map(|effect| match effect {
                    port::Effect::Answer {
                        answer: port::Answer::Heartbeat(response),
                        ..
                    } => Some(response),
                    _ => None,
                });
                Some(node::Reply::Heartbeat {
                    response: response.unwrap(),
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
