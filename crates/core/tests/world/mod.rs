//! A node, three subscribers that may do anything, one that watches, and a naive model.

mod mirror;
mod wire_forms;

use mirror::Mirror;
use proptest::sample::Index;
use statestore_core::ids::{CallId, RegistrationId, RequestId};
use statestore_core::port::{
    Body, Call, CallFault, Effect, Identity, Input, Lane, Outbox, Reply, Request, Update,
};
use statestore_core::time::{Now, Time, Wall};
use statestore_core::{Node, config::Config};
use statestore_wire as wire;
use statestore_wire::{ProtocolVersion, Status, StatusCode, Text, TopicDelta, UniqueId};
use std::collections::BTreeMap;
use std::time::Duration;
use wire_forms::{registration_of, to_wire};

/// The topics that exist, and one that does not.
const TOPICS: [&str; 4] = ["impala-membership", "bulk", "", "nowhere"];
const WATCHER: usize = 3;

#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) topic: usize,
    pub(crate) clear: bool,
    pub(crate) from: Option<i64>,
    pub(crate) items: Vec<(u8, u8, bool)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Ok(Vec<Publication>),
    Skip(Vec<Publication>),
    Error,
    FailBefore,
    FailAfter,
    Wrong,
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    Wait(u64),
    Register { who: usize, plan: usize },
    Answer { call: Index, answer: Answer },
    Die(usize),
    Network(bool),
}

/// What a naive topic holds: the value, and the registration that takes it along.
type Content = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

#[derive(Default)]
struct Subscriber {
    /// Its current registration, and what that subscribed to.
    registration: Option<i64>,
    plan: usize,
    mirrors: BTreeMap<Text, Mirror>,
}

pub(crate) struct World {
    node: Node,
    now: Time,
    drawn: i64,
    subscribers: [Subscriber; 4],
    pending: BTreeMap<CallId, Call>,
    topics: BTreeMap<Text, Content>,
    /// What each registration, also of the past, subscribed to.
    plans: BTreeMap<i64, usize>,
}

/// Topic, transient, prefix.
fn plan(number: usize) -> Vec<(&'static str, bool, &'static str)> {
    match number {
        0 => vec![(TOPICS[0], true, ""), (TOPICS[1], false, "")],
        1 => vec![(TOPICS[0], true, "\u{1}"), (TOPICS[2], true, "")],
        2 => vec![(TOPICS[1], true, "\u{2}")],
        _ => vec![
            (TOPICS[0], false, ""),
            (TOPICS[1], false, ""),
            (TOPICS[2], false, ""),
        ],
    }
}

fn transient(number: usize, topic: &Text) -> bool {
    plan(number)
        .iter()
        .any(|(name, transient, _)| *topic == *name && *transient)
}

fn name_of(who: usize) -> Text {
    Text::from(format!("s{who}"))
}

impl World {
    pub(crate) fn new(push: bool, items_per_step: usize) -> Self {
        let config = Config {
            push_coalesce: push.then_some(Duration::from_millis(10)),
            max_missed_heartbeats: 3,
            items_per_step,
            ..Config::default()
        };
        let identity = Identity::new(UniqueId { hi: 1, lo: 1 });
        let mut world = Self {
            node: Node::new(config, identity, Now::default()),
            now: Time::ZERO,
            drawn: 0,
            subscribers: Default::default(),
            pending: BTreeMap::new(),
            plans: BTreeMap::new(),
            topics: TOPICS[..3]
                .iter()
                .map(|name| (Text::from(*name), Content::new()))
                .collect(),
        };
        world.register(WATCHER, 3); // so that the topics always exist
        world
    }

    pub(crate) fn act(&mut self, act: Act) {
        match act {
            Act::Wait(millis) => self.wait(Duration::from_millis(millis)),
            Act::Register { who, plan } => self.register(who, plan),
            Act::Answer { call, answer } => {
                let calls: Vec<_> = self.pending.keys().copied().collect();
                if !calls.is_empty() {
                    self.answer(*call.get(&calls), &answer);
                }
            }
            Act::Die(who) => {
                // Missed heartbeats in a row end it.
                for _ in 0..3 {
                    let lane =
                        |c: &&Call| c.lane == Lane::Heartbeat && c.to.subscriber == name_of(who);
                    if let Some(call) = self.pending.values().rfind(lane).map(|call| call.id) {
                        self.answer(call, &Answer::FailBefore);
                    }
                    self.wait(Duration::from_secs(1));
                }
            }
            Act::Network(off) => {
                self.step(Input::NetworkDisabled(off));
                self.step(Input::NetworkDisabled(false));
            }
        }
    }

    /// Everybody behaves for a while.
    pub(crate) fn settle(&mut self) {
        let end = self.now + Duration::from_secs(20);
        while self.now < end {
            while let Some(&call) = self.pending.keys().next() {
                self.answer(call, &Answer::Ok(Vec::new()));
            }
            let next = self
                .node
                .deadline()
                .map_or(end, |deadline| deadline.min(end));
            self.wait(next.since(self.now).max(Duration::from_millis(1)));
        }
    }

    pub(crate) fn check(&self) {
        let current: Vec<_> = self
            .subscribers
            .iter()
            .filter_map(|s| s.registration)
            .collect();
        for subscriber in self.subscribers.iter().filter(|s| s.registration.is_some()) {
            for (name, _, prefix) in plan(subscriber.plan) {
                let wanted = self.topics[&Text::from(name)]
                    .iter()
                    .filter(|(key, (_, owner))| {
                        key.starts_with(prefix.as_bytes())
                            && owner.is_none_or(|owner| current.contains(&owner))
                    });
                let wanted: BTreeMap<_, _> = wanted
                    .map(|(key, (value, _))| (key.clone(), value.clone()))
                    .collect();
                let mirror = &subscriber.mirrors[&Text::from(name)];
                assert_eq!(mirror.entries, wanted, "topic '{name}'");
            }
        }
        for topic in self.node.topics() {
            assert_eq!(topic.tombstones, 0, "everybody has seen all: {topic:?}");
        }
        assert_eq!(self.node.totals().calls_pending, self.pending.len());
    }

    fn register(&mut self, who: usize, number: usize) {
        self.drawn += 1;
        let drawn = UniqueId {
            hi: 0,
            lo: self.drawn,
        };
        let topics = plan(number)
            .into_iter()
            .map(|(name, is_transient, prefix)| wire::TopicRegistration {
                topic_name: Text::from(name),
                is_transient,
                populate_min_subscriber_topic_version: true,
                filter_prefix: Some(Text::from(prefix)),
            });
        let request = wire::RegisterSubscriberRequest {
            protocol_version: ProtocolVersion::V2,
            subscriber_id: name_of(who),
            subscriber_location: wire::NetworkAddress::default(),
            topic_registrations: topics.collect(),
            subscriber_type: None,
            subscribe_catalogd_change: None,
            catalogd_registration: None,
            heartbeat_timeout_ms: None,
            publishes: None,
        };
        self.plans.insert(self.drawn, number);
        let subscriber = &mut self.subscribers[who];
        (subscriber.registration, subscriber.plan) = (Some(self.drawn), number);
        let answered = self.step(Input::Request {
            request_id: RequestId(7),
            request: Request::Register {
                request,
                drawn: RegistrationId(drawn),
            },
        });
        assert_eq!(answered, 1, "each registration is answered in its own step");
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.node.deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.step(Input::Timer);
        }
        self.now = end;
    }

    /// One step. Gives how many registrations were answered.
    fn step(&mut self, input: Input) -> usize {
        let mut out = Outbox::new();
        let wall = Wall((self.now.as_nanos() / 1_000).cast_signed());
        self.node.step(
            Now {
                time: self.now,
                wall,
            },
            input,
            &mut out,
        );
        let mut answered = 0;
        for effect in out {
            match effect {
                Effect::Answer { answer, .. } => {
                    let statestore_core::port::Answer::Register { response, .. } = answer else {
                        panic!("{answer:?}")
                    };
                    assert!(response.status.is_ok());
                    answered += 1;
                }
                Effect::Call(call) => self.called(call),
                Effect::Disconnect(_) | Effect::Log(_) | Effect::Recall => {}
            }
        }
        let known: Vec<_> = self.node.totals().subscribers;
        for (who, subscriber) in self.subscribers.iter_mut().enumerate() {
            if !known.contains(&name_of(who)) {
                subscriber.registration = None;
            }
        }
        answered
    }

    fn called(&mut self, call: Call) {
        let same = |other: &&Call| {
            other.lane == call.lane && registration_of(other) == registration_of(&call)
        };
        assert_eq!(self.pending.values().find(same).map(|c| c.id), None, "S-3");
        if let Body::Update(update) = &call.body {
            for part in &update.topics {
                assert!(part.delta.from <= part.delta.to || !part.delta.is_delta);
                assert!(
                    part.min_version.unwrap() <= part.delta.to.max(part.delta.from),
                    "T-10"
                );
            }
        }
        assert!(self.pending.insert(call.id, call).is_none());
    }

    fn answer(&mut self, id: CallId, answer: &Answer) {
        let call = self.pending.remove(&id).unwrap();
        let alive = matches!(answer, Answer::Ok(_) | Answer::Skip(_));
        let outcome = match (&call.body, answer) {
            (Body::Heartbeat(_), _) if alive || call.to.subscriber == name_of(WATCHER) => {
                Ok(Reply::Heartbeat {
                    response: wire::HeartbeatResponse::default(),
                    connection: 1,
                })
            }
            (Body::Heartbeat(_), Answer::Wrong) => {
                Ok(Reply::Catalogd(wire::UpdateCatalogdResponse::default()))
            }
            (Body::Update(update), answer) => self.updated(update, answer),
            _ => Err(CallFault(Status::error(
                StatusCode::RPC_GENERAL_ERROR,
                "no",
            ))),
        };
        self.step(Input::Completed { call: id, outcome });
    }

    fn updated(&mut self, update: &Update, answer: &Answer) -> Result<Reply, CallFault> {
        let fault = Err(CallFault(Status::error(
            StatusCode::RPC_GENERAL_ERROR,
            "no",
        )));
        let registration = update.registration_id.0.lo;
        let mut response = wire::UpdateStateResponse::default();
        match answer {
            Answer::FailBefore => return fault,
            Answer::FailAfter => {
                self.process(registration, update);
                return fault;
            }
            Answer::Wrong => {
                return Ok(Reply::Heartbeat {
                    response: wire::HeartbeatResponse::default(),
                    connection: 1,
                });
            }
            Answer::Error => response.status = Status::error(StatusCode::GENERAL, "no"),
            Answer::Skip(publications) => {
                response.skipped = Some(true);
                response.topic_updates = publications.iter().map(to_wire).collect();
            }
            Answer::Ok(publications) => {
                response.topic_updates = self.process(registration, update);
                response
                    .topic_updates
                    .extend(publications.iter().map(to_wire));
                publications
                    .iter()
                    .for_each(|p| self.publish(registration, p));
            }
        }
        Ok(Reply::Update(response))
    }

    /// The subscriber applies an update (B-38, B-39), unless its registration is over.
    fn process(&mut self, registration: i64, update: &Update) -> Vec<TopicDelta> {
        let is_it = |s: &&mut Subscriber| s.registration == Some(registration);
        let Some(subscriber) = self.subscribers.iter_mut().find(is_it) else {
            return Vec::new();
        };
        let mirrors = &mut subscriber.mirrors;
        let parts = update.topics.iter();
        parts
            .filter_map(|part| {
                let mirror = mirrors.entry(part.name.clone()).or_default();
                let own = mirror.apply(&part.delta).err()?;
                Some(TopicDelta {
                    topic_name: part.name.clone(),
                    from_version: Some(own.to_wire()),
                    ..Default::default()
                })
            })
            .collect()
    }

    /// What a publication does to the naive topics.
    fn publish(&mut self, registration: i64, publication: &Publication) {
        let name = Text::from(TOPICS[publication.topic]);
        let Some(content) = self.topics.get_mut(&name) else {
            return; // T-21
        };
        if publication.clear {
            content.clear();
        }
        let owner = transient(self.plans[&registration], &name).then_some(registration);
        for (key, value, deleted) in &publication.items {
            if *deleted {
                content.remove(&vec![*key]);
            } else {
                content.insert(vec![*key], (vec![*value], owner));
            }
        }
    }
}
