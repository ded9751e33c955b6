//! A node, a clock that only commands move, and the calls that nobody answered yet.

mod command;
mod trace;

use statestore_core::ids::{CallId, RegistrationId, RequestId};
use statestore_core::port::{Body, CallFault, Effect, Identity, Input, Lane, Reply, Request};
use statestore_core::time::{Now, Time, Wall};
use statestore_core::{Node, config::Config};
use statestore_wire as wire;
use statestore_wire::{Status, StatusCode, Text, TopicDelta, UniqueId};
use std::collections::BTreeMap;
use std::time::Duration;

/// The world of one scenario.
pub(crate) struct World {
    node: Node,
    now: Time,
    drawn: i64,
    pending: BTreeMap<CallId, (Text, Lane)>,
}

/// What a subscriber does with a call.
enum Answer<'a> {
    Ok(Vec<TopicDelta>),
    Skip(Vec<TopicDelta>),
    Error(&'a str),
    Fail(&'a str),
    Wrong,
}

fn wall(now: Time) -> Wall {
    Wall((now.as_nanos() / 1_000).cast_signed())
}

impl World {
    /// A node with the reference's periods, at time zero, without push.
    pub(crate) fn new() -> Self {
        let config = Config {
            push_coalesce: None,
            ..Config::default()
        };
        Self::with(config)
    }

    fn with(config: Config) -> Self {
        let identity = Identity::new(UniqueId { hi: 9, lo: 9 });
        Self {
            node: Node::new(config, identity, Now::default()),
            now: Time::ZERO,
            drawn: 0,
            pending: BTreeMap::new(),
        }
    }

    /// Does one command and says what happened.
    pub(crate) fn run(&mut self, command: &str) -> Vec<String> {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "config" => {
                *self = Self::with(command::config(rest));
                Vec::new()
            }
            "register" => self.register(rest),
            "ok" | "skip" | "error" | "fail" | "wrong" => self.answer(verb, rest),
            "wait" => self.wait(command::duration(rest)),
            "late" => {
                self.now = self.now + command::duration(rest);
                self.step(Input::Timer)
            }
            "network" => self.step(Input::NetworkDisabled(rest == "off")),
            "subscribers" => trace::subscribers(&self.node.subscribers(self.stamp())),
            "topics" => trace::topics(&self.node.topics()),
            "catalog" => trace::catalog(&self.node.catalog()),
            "totals" => trace::totals(&self.node.totals()),
            _ => panic!("no such command: {command}"),
        }
    }

    fn stamp(&self) -> Now {
        Now {
            time: self.now,
            wall: wall(self.now),
        }
    }

    fn register(&mut self, words: &str) -> Vec<String> {
        let request = command::registration(words);
        self.drawn += 1;
        self.step(Input::Request {
            request_id: RequestId(self.drawn.cast_unsigned()),
            request: Request::Register {
                request,
                drawn: RegistrationId(UniqueId {
                    hi: 0,
                    lo: self.drawn,
                }),
            },
        })
    }

    /// Moves from deadline to deadline.
    fn wait(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut all = Vec::new();
        while let Some(deadline) = self.node.deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            let effects = self.step(Input::Timer);
            if !effects.is_empty() {
                all.push(format!("at {}", self.now));
                all.extend(effects);
            }
        }
        self.now = end;
        all
    }

    fn answer(&mut self, verb: &str, rest: &str) -> Vec<String> {
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let call = self
            .call(name)
            .filter(|call| self.pending.contains_key(call));
        let Some(call) = call else {
            return vec![format!("  ? {name} is not pending")];
        };
        let (_, lane) = self.pending.remove(&call).unwrap();
        let answer = match verb {
            "ok" => Answer::Ok(command::deltas(rest)),
            "skip" => Answer::Skip(command::deltas(rest)),
            "error" => Answer::Error(rest),
            "fail" => Answer::Fail(rest),
            _ => Answer::Wrong,
        };
        let outcome = outcome(lane, answer);
        self.step(Input::Completed { call, outcome })
    }

    fn call(&self, name: &str) -> Option<CallId> {
        if let Some(number) = name.strip_prefix('#') {
            let number = number.parse().unwrap();
            let named = |call: &&CallId| call.0.number == number;
            return self.pending.keys().find(named).copied();
        }
        let (id, lane) = name.rsplit_once('.').unwrap();
        let named = |(_, (who, which)): &(&CallId, &(Text, Lane))| {
            *who == id && trace::lane(*which) == lane
        };
        self.pending.iter().rfind(named).map(|(call, _)| *call)
    }

    fn step(&mut self, input: Input) -> Vec<String> {
        let mut effects = Vec::new();
        let stamp = self.stamp();
        self.node.step(stamp, input, &mut effects);
        for effect in &effects {
            if let Effect::Call(call) = effect {
                let about = (call.to.subscriber.clone(), call.lane);
                assert!(
                    matches!(
                        (&call.body, call.lane),
                        (Body::Heartbeat(_), Lane::Heartbeat)
                            | (Body::Update(_), Lane::Priority | Lane::Bulk)
                            | (Body::Catalogd(_), Lane::Catalogd)
                    ),
                    "{call:?}"
                );
                assert!(self.pending.insert(call.id, about).is_none());
            }
        }
        effects.iter().map(trace::effect).collect()
    }
}

fn outcome(lane: Lane, answer: Answer<'_>) -> Result<Reply, CallFault> {
    let (status, topic_updates, skipped) = match answer {
        Answer::Fail(text) => {
            let status = Status::error(StatusCode::RPC_GENERAL_ERROR, text);
            return Err(CallFault(status));
        }
        Answer::Wrong => {
            return Ok(match lane {
                Lane::Heartbeat => Reply::Update(wire::UpdateStateResponse::default()),
                _ => Reply::Heartbeat {
                    response: wire::HeartbeatResponse::default(),
                    connection: 1,
                },
            });
        }
        Answer::Error(text) => (Status::error(StatusCode::GENERAL, text), Vec::new(), None),
        Answer::Ok(deltas) => (Status::ok(), deltas, None),
        Answer::Skip(deltas) => (Status::ok(), deltas, Some(true)),
    };
    Ok(match lane {
        Lane::Peer => panic!("a node alone has no peer"),
        Lane::Heartbeat => Reply::Heartbeat {
            response: wire::HeartbeatResponse {
                status,
                ..Default::default()
            },
            connection: 1,
        },
        Lane::Priority | Lane::Bulk => Reply::Update(wire::UpdateStateResponse {
            status,
            topic_updates,
            skipped,
            highest_epoch: None,
        }),
        Lane::Catalogd => Reply::Catalogd(wire::UpdateCatalogdResponse {
            status,
            skipped,
            highest_epoch: None,
        }),
        Lane::Role => Reply::Role(wire::UpdateStatestoredRoleResponse {
            status,
            skipped,
            highest_epoch: None,
        }),
    })
}
