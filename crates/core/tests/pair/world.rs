//! Two nodes, subscribers of one line each, and a clock that moves from deadline to deadline.

use statestore_core::config::{Config, HaConfig};
use statestore_core::ids::{CallId, RegistrationId, RequestId};
use statestore_core::node::Node;
use statestore_core::pair::{self, Limits};
use statestore_core::port::{
    Answer, Body, Call, CallFault, Effect, Event, Identity, Input, Reply, Request,
};
use statestore_core::role::Role;
use statestore_core::subscriber::{self, Subscriber};
use statestore_core::time::{Now, Time, Wall};
use statestore_wire as wire;
use statestore_wire::{NetworkAddress, ProtocolVersion, Status, StatusCode, Text, UniqueId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// T_p = T_s = 10 s.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const STEP: Duration = Duration::from_millis(10);

pub(crate) struct Server {
    pub(crate) node: Node,
    pub(crate) log: Vec<String>,
    pub(crate) recalled: usize,
    /// Every call that went out, in order.
    pub(crate) calls: Vec<String>,
    held: Vec<Call>,
}

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) servers: Vec<Server>,
    /// Links that carry nothing: (server, "peer" or subscriber).
    pub(crate) cut: BTreeSet<(usize, Text)>,
    /// Servers that do nothing at all.
    pub(crate) dead: BTreeSet<usize>,
    /// Subscribers that skip role messages, and how often yet.
    pub(crate) skips_role: BTreeMap<Text, u32>,
    /// Subscribers that role messages do not reach.
    pub(crate) unreachable_for_roles: BTreeSet<Text>,
    /// When each subscriber last heard each server, and whether that one acted.
    heard: BTreeMap<(Text, usize), (Time, bool)>,
    /// The highest epoch that each has seen.
    pub(crate) epochs: BTreeMap<Text, wire::Epoch>,
    /// Updates that hang, while some may.
    pub(crate) hanging: Option<Vec<(usize, CallId)>>,
    /// The shipped ones, in place of those of one line.
    pub(crate) shipped: BTreeMap<Text, Subscriber>,
    /// What those called; a test answers it, or nobody.
    pub(crate) unanswered: Vec<subscriber::port::Call>,
    drawn: i64,
    /// Of what happens, if that is by chance.
    pub(crate) seed: u64,
    /// How often a majority of votes decided.
    pub(crate) takeovers: usize,
}

pub(crate) fn config(catalogd_ha: bool) -> Config {
    let mut config = Config {
        ha: Some(HaConfig {
            pair: pair::Config {
                limits: Limits::new(TIMEOUT, TIMEOUT, Duration::from_secs(2)),
                address: Text::from("host:1"),
                force: false,
                address_as_priority: false,
                max_missed: 3,
            },
            peer: NetworkAddress::default(),
            tick: Duration::from_millis(500),
            hello_period: Duration::from_millis(200),
            call_timeout: Duration::from_millis(500),
            role_timeout: Duration::from_secs(1),
            role_resend: Duration::from_millis(100),
        }),
        ..Config::default()
    };
    config.catalog.ha = catalogd_ha;
    config.catalog.preemption_wait = Duration::ZERO;
    config
}

pub(crate) fn request(id: &str) -> wire::RegisterSubscriberRequest {
    wire::RegisterSubscriberRequest {
        protocol_version: ProtocolVersion::V2,
        subscriber_id: Text::from(id),
        subscriber_location: NetworkAddress {
            hostname: Text::from(id),
            ..NetworkAddress::default()
        },
        topic_registrations: vec![wire::TopicRegistration {
            topic_name: Text::from("t"),
            is_transient: false,
            ..Default::default()
        }],
        subscriber_type: None,
        subscribe_catalogd_change: Some(true),
        catalogd_registration: None,
        heartbeat_timeout_ms: Some(TIMEOUT.as_millis().try_into().unwrap()),
        publishes: None,
    }
}

impl World {
    pub(crate) fn new(config: &Config) -> Self {
        let now = Time::from_millis(1_000);
        let servers = [1, 2].map(|n| server(config, n, now)).into();
        Self {
            now,
            servers,
            cut: BTreeSet::new(),
            dead: BTreeSet::new(),
            skips_role: BTreeMap::new(),
            unreachable_for_roles: BTreeSet::new(),
            heard: BTreeMap::new(),
            epochs: BTreeMap::new(),
            hanging: None,
            shipped: BTreeMap::new(),
            unanswered: Vec::new(),
            drawn: 0,
            seed: 0,
            takeovers: 0,
        }
    }

    pub(crate) fn restart(&mut self, which: usize, id: i64) {
        self.dead.remove(&which);
        let config = self.servers[which].node.config().clone();
        self.servers[which] = server(&config, id, self.now);
    }

    pub(crate) fn stamp(&self) -> Now {
        Now {
            time: self.now,
            wall: Wall((self.now.as_nanos() / 1_000).cast_signed()),
        }
    }

    pub(crate) fn role(&self, which: usize) -> Role {
        self.servers[which].node.role()
    }

    pub(crate) fn roles(&self) -> [Role; 2] {
        [self.role(0), self.role(1)]
    }

    pub(crate) fn register_with(
        &mut self,
        which: usize,
        request: wire::RegisterSubscriberRequest,
    ) -> wire::RegisterSubscriberResponse {
        self.drawn += 1;
        let drawn = RegistrationId(UniqueId {
            hi: 1,
            lo: self.drawn,
        });
        match self.ask(which, Request::Register { request, drawn }) {
            Answer::Register { response, .. } => response,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn register(&mut self, id: &str) -> [wire::RegisterSubscriberResponse; 2] {
        [0, 1].map(|which| self.register_with(which, request(id)))
    }

    pub(crate) fn ask(&mut self, which: usize, request: Request) -> Answer {
        let input = Input::Request {
            request_id: RequestId(1),
            request,
        };
        self.step(which, input).pop().unwrap()
    }

    /// One step, and all that follows from it at once.
    pub(crate) fn step(&mut self, which: usize, input: Input) -> Vec<Answer> {
        let stamp = self.stamp();
        let mut effects = Vec::new();
        self.servers[which].node.step(stamp, input, &mut effects);
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::Answer { answer, .. } => answers.push(answer),
                Effect::Call(call) => self.call(which, call),
                Effect::Recall => self.servers[which].recalled += 1,
                Effect::Log(event) => self.log(which, &event),
                Effect::Disconnect(_) => {}
            }
        }
        answers
    }

    fn log(&mut self, which: usize, event: &Event) {
        let line = event.to_string();
        self.takeovers += usize::from(line.contains("took over"));
        self.servers[which].log.push(line);
    }

    fn call(&mut self, which: usize, call: Call) {
        let fence = self.servers[which].node.fence();
        if let Some(epoch) = call.fence {
            assert!(
                fence.is_some_and(|fence| fence.lets(epoch, self.now)),
                "rule 3: {call:?}"
            );
        }
        let name = format!(
            "{:?} {} {:?}",
            call.lane, call.to.subscriber, call.first_attempt
        );
        self.servers[which].calls.push(name);
        self.servers[which].held.push(call);
    }

    /// Answers what was called, until nothing is left to answer.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            let Some(which) = (0..2).find(|i| !self.servers[*i].held.is_empty()) else {
                return;
            };
            let call = self.servers[which].held.remove(0);
            if let (Body::Update(_), Some(hanging)) = (&call.body, &mut self.hanging) {
                hanging.push((which, call.id));
                continue;
            }
            let (id, outcome) = (call.id, self.outcome(which, call));
            if !self.dead.contains(&which) {
                self.step(which, completed(id, outcome));
            }
        }
        panic!("it never settles");
    }

    /// Time passes, step by step, and at no moment may two act.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.settle();
            for which in 0..2 {
                let due = self.servers[which].node.deadline();
                if !self.dead.contains(&which) && due.is_some_and(|due| due <= self.now) {
                    self.step(which, Input::Timer);
                }
            }
            self.settle();
            self.check_one_acts();
            self.now = self.now + STEP;
        }
    }

    /// S1. Who is alone, or was elected without anything agreed, knows only what its own
    /// subscribers know; that another acts all the same is the case that nobody can exclude
    /// (ha.md section 4).
    fn check_one_acts(&self) {
        let acts = |which: &usize| {
            let node = &self.servers[*which].node;
            let view = node.pair(self.stamp()).unwrap();
            let alone = matches!(view.tenure, Some(pair::Tenure::Alone { .. })) || view.unilateral;
            let fence = node
                .fence()
                .filter(|_| !alone && !self.dead.contains(which));
            fence.is_some_and(|fence| fence.lets(fence.epoch, self.now))
        };
        let acting: Vec<usize> = (0..2).filter(acts).collect();
        if acting.len() > 1 {
            let logs: Vec<_> = self
                .servers
                .iter()
                .map(|server| server.log.join("\n"))
                .collect();
            let views = [0, 1].map(|which| self.servers[which].node.pair(self.stamp()));
            panic!(
                "seed {}: both act at {}\n{views:#?}\n{}",
                self.seed,
                self.now,
                logs.join("\n--\n")
            );
        }
    }

    fn outcome(&mut self, which: usize, call: Call) -> Result<Reply, CallFault> {
        let peer = call.to.subscriber.is_empty();
        let to = if peer {
            Text::from("peer")
        } else {
            call.to.subscriber.clone()
        };
        if self.cut.contains(&(which, to.clone())) || (peer && self.dead.contains(&(1 - which))) {
            return Err(fault());
        }
        if let Some(reply) = self.shipped_answers(&to, &call.body) {
            return Ok(reply);
        }
        match call.body {
            Body::Handshake(request) => match self.ask(1 - which, Request::Handshake(*request)) {
                Answer::Handshake(reply) => Ok(Reply::Handshake(Box::new(reply))),
                other => panic!("{other:?}"),
            },
            Body::HaHeartbeat(request) => {
                match self.ask(1 - which, Request::HaHeartbeat(*request)) {
                    Answer::HaHeartbeat(reply) => Ok(Reply::HaHeartbeat(Box::new(reply))),
                    other => panic!("{other:?}"),
                }
            }
            Body::HaLeave(request) => match self.ask(1 - which, Request::HaLeave(*request)) {
                Answer::HaLeave(reply) => Ok(Reply::HaLeave(reply)),
                other => panic!("{other:?}"),
            },
            Body::Heartbeat(request) => Ok(self.heartbeat(which, &to, &request)),
            Body::Update(update) => {
                assert!(update.epoch.is_some());
                Ok(Reply::Update(wire::UpdateStateResponse::default()))
            }
            Body::Catalogd(_) => Ok(Reply::Catalogd(wire::UpdateCatalogdResponse::default())),
            Body::Role(_) if self.unreachable_for_roles.contains(&to) => Err(fault()),
            Body::Role(request) => {
                self.epochs.insert(to.clone(), request.epoch.unwrap());
                let left = self.skips_role.entry(to).or_default();
                let skipped = *left > 0;
                *left = left.saturating_sub(1);
                Ok(Reply::Role(wire::UpdateStatestoredRoleResponse {
                    skipped: skipped.then_some(true),
                    ..Default::default()
                }))
            }
        }
    }

    fn heartbeat(&mut self, which: usize, id: &Text, request: &wire::HeartbeatRequest) -> Reply {
        let mut response = wire::HeartbeatResponse {
            highest_epoch: self.epochs.get(id).copied(),
            ..Default::default()
        };
        let lower = |epoch: wire::Epoch| self.epochs.get(id).is_some_and(|seen| epoch < *seen);
        if request.epoch.is_some_and(lower) {
            response.status = Status::error(StatusCode::GENERAL, "lower epoch");
        } else {
            if let Some(epoch) = request.epoch {
                self.epochs.insert(id.clone(), epoch); // B-34: it follows
                response.highest_epoch = Some(epoch);
            }
            self.heard
                .insert((id.clone(), which), (self.now, request.epoch.is_some()));
        }
        if request.request_statestore_conn_state == Some(true) {
            let other = self.heard.get(&(id.clone(), 1 - which));
            let lost = other.is_none_or(|(at, _)| self.now.since(*at) > TIMEOUT);
            response.statestore_conn_state = Some(match other {
                None => wire::ConnState::UNKNOWN,
                Some(_) if lost => wire::ConnState::FAILED,
                Some(_) => wire::ConnState::OK,
            });
            response.other_is_lost = Some(other.is_some() && lost);
            response.other_is_active = Some(other.is_some_and(|(_, acts)| *acts) && !lost);
        }
        Reply::Heartbeat {
            response,
            connection: 1,
        }
    }
}

pub(crate) fn completed(call: CallId, outcome: Result<Reply, CallFault>) -> Input {
    Input::Completed { call, outcome }
}

pub(crate) fn fault() -> CallFault {
    CallFault(Status::error(StatusCode::RPC_GENERAL_ERROR, "cut"))
}

fn server(config: &Config, n: i64, now: Time) -> Server {
    let identity = Identity::new(UniqueId { hi: 0, lo: n });
    let stamp = Now {
        time: now,
        wall: Wall((now.as_nanos() / 1_000).cast_signed()),
    };
    Server {
        node: Node::new(config.clone(), identity, stamp),
        log: Vec::new(),
        recalled: 0,
        calls: Vec::new(),
        held: Vec::new(),
    }
}
