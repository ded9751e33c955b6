//! The core's node alone, between subscribers that exist only here: what its steps cost.
//!
//! No sockets, no other threads, and time is a number that jumps to the node's next deadline.
//! Deliberately absent: what a driver adds. Invariant: every call that the node makes is answered
//! once, in the order in which it was made.

use statestore_core::config::Config;
use statestore_core::ids::{RegistrationId, RequestId};
use statestore_core::node::Node;
use statestore_core::port::{Body, Call, CallFault, Effect, Identity, Input, Lane, Reply, Request};
use statestore_core::time::{Now, Time, Wall};
use statestore_wire::{
    HeartbeatResponse, NetworkAddress, ProtocolVersion, RegisterSubscriberRequest, Status,
    StatusCode, Text, TopicDelta, TopicRegistration, UniqueId, UpdateStateResponse,
};
use std::collections::VecDeque;
use std::time::Duration;

/// A node and what it waits for.
pub(crate) struct Bed {
    node: Node,
    now: Time,
    calls: VecDeque<Call>,
    requests: u64,
    /// What the next answer in a lane publishes.
    publications: VecDeque<(Lane, Text, TopicDelta)>,
    steps: Steps,
    clock: bool,
}

/// What steps took, in CPU time of this thread.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Steps {
    pub(crate) count: u64,
    pub(crate) all: Duration,
    pub(crate) longest: Duration,
    /// Which one that was, counted from 1.
    pub(crate) which: u64,
}

/// One topic that a subscriber of a [`Bed`] registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interest<'a> {
    pub(crate) topic: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) transient: bool,
}

impl<'a> Interest<'a> {
    pub(crate) fn in_all_of(topic: &'a str) -> Self {
        Self::in_part_of(topic, "")
    }

    pub(crate) fn in_part_of(topic: &'a str, prefix: &'a str) -> Self {
        let transient = false;
        Self {
            topic,
            prefix,
            transient,
        }
    }
}

impl Bed {
    pub(crate) fn new(config: Config) -> Self {
        let identity = Identity::new(UniqueId { hi: 1, lo: 1 });
        Self {
            node: Node::new(config, identity, Now::default()),
            now: Time::ZERO,
            calls: VecDeque::new(),
            requests: 0,
            publications: VecDeque::new(),
            steps: Steps::default(),
            clock: true,
        }
    }

    /// One that looks at no clock: valgrind cannot run what finds the system's.
    pub(crate) fn without_clock(config: Config) -> Self {
        let mut bed = Self::new(config);
        bed.clock = false;
        bed
    }

    /// What the steps since the last time took.
    pub(crate) fn taken(&mut self) -> Steps {
        std::mem::take(&mut self.steps)
    }

    pub(crate) fn node(&self) -> (&Node, Now) {
        (&self.node, self.at())
    }

    pub(crate) fn register(&mut self, id: &str, interests: &[Interest<'_>]) {
        self.requests += 1;
        let topic = |interest: &Interest<'_>| TopicRegistration {
            topic_name: interest.topic.into(),
            is_transient: interest.transient,
            filter_prefix: Some(interest.prefix.into()),
            ..TopicRegistration::default()
        };
        let request = RegisterSubscriberRequest {
            subscriber_id: id.into(),
            subscriber_location: NetworkAddress {
                hostname: id.into(),
                port: 1,
                ..NetworkAddress::default()
            },
            topic_registrations: interests.iter().map(topic).collect(),
            protocol_version: ProtocolVersion::V2,
            subscriber_type: None,
            subscribe_catalogd_change: None,
            catalogd_registration: None,
            heartbeat_timeout_ms: None,
            publishes: None,
        };
        let drawn = RegistrationId(UniqueId {
            hi: 2,
            lo: self.requests.cast_signed(),
        });
        let request = Request::Register { request, drawn };
        let request_id = RequestId(self.requests);
        self.step(Input::Request {
            request_id,
            request,
        });
    }

    /// The next answer of this subscriber in this lane publishes this.
    pub(crate) fn publish(&mut self, lane: Lane, id: &str, delta: TopicDelta) {
        self.publications.push_back((lane, id.into(), delta));
    }

    /// A new connection of this subscriber fails as often as it takes.
    pub(crate) fn kill(&mut self, id: &str) {
        for _ in 0..20 {
            self.pass(Duration::from_millis(1_000));
            let (dead, alive): (Vec<_>, Vec<_>) = self
                .calls
                .drain(..)
                .partition(|call| call.to.subscriber == id);
            self.calls.extend(alive);
            for call in dead {
                let status = Status::error(StatusCode::GENERAL, "it is gone");
                let outcome = Err(CallFault(status));
                self.step(Input::Completed {
                    call: call.id,
                    outcome,
                });
            }
            self.answer();
        }
    }

    /// Calls that wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.calls.len()
    }

    /// Time passes without anything else happening; then what fell due is done.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        while self.node.deadline().is_some_and(|due| due <= self.now) {
            self.step(Input::Timer);
        }
    }

    /// Every call that waits is answered.
    pub(crate) fn answer(&mut self) {
        for call in std::mem::take(&mut self.calls) {
            let reply = self.reply(&call);
            // What was sent goes with the call, before the answer is taken in.
            let id = call.id;
            drop(call);
            self.step(Input::Completed {
                call: id,
                outcome: Ok(reply),
            });
        }
    }

    /// Time passes, and every call is answered at once.
    pub(crate) fn live(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.answer();
            match self.node.deadline() {
                Some(due) if due <= end => self.now = self.now.max(due),
                _ => break,
            }
            self.step(Input::Timer);
        }
        self.now = end;
    }

    fn reply(&mut self, call: &Call) -> Reply {
        match &call.body {
            Body::Heartbeat(_) => Reply::Heartbeat {
                response: HeartbeatResponse::default(),
                connection: 1,
            },
            _ => {
                let meant = |(lane, id, _): &(Lane, Text, TopicDelta)| {
                    *lane == call.lane && *id == call.to.subscriber
                };
                let place = self.publications.iter().position(meant);
                let next = place.and_then(|place| self.publications.remove(place));
                Reply::Update(UpdateStateResponse {
                    topic_updates: next.map(|(_, _, delta)| delta).into_iter().collect(),
                    ..UpdateStateResponse::default()
                })
            }
        }
    }

    fn at(&self) -> Now {
        let wall = Wall(1_700_000_000_000_000 + (self.now.as_nanos() / 1_000).cast_signed());
        let time = self.now;
        Now { time, wall }
    }

    fn step(&mut self, input: Input) {
        let (now, mut outbox) = (self.at(), Vec::new());
        let start = self.clock.then(cpu);
        self.node.step(now, input, &mut outbox);
        let took = start.map_or(Duration::ZERO, |start| cpu().saturating_sub(start));
        self.steps.count += 1;
        self.steps.all += took;
        if took > self.steps.longest {
            (self.steps.longest, self.steps.which) = (took, self.steps.count);
        }
        for effect in outbox {
            if let Effect::Call(call) = effect {
                self.calls.push_back(call);
            }
        }
    }
}

/// CPU time of this thread so far: others on this machine do not show in it.
pub(crate) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.cast_unsigned(),
        time.tv_nsec.cast_unsigned() as u32,
    )
}
