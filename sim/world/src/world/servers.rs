//! Statestoreds: a core each, and its driver's duties in miniature.
//!
//! The fence is what the core said after its last step; whatever carries one asks it on this
//! machine's clock. StatestoreService opens when the role is decided (H-4), the other service at
//! once.

use super::World;
use super::transport::{Flight, Wanted};
use crate::event::{Event, Parcel, TopicLives};
use crate::message::{Purpose, Reply, Request};
use crate::plan::{Proc, TOPICS};
use statestore_core::Node;
use statestore_core::ids::RequestId;
use statestore_core::port::{Answer, Call, CallFault, Effect, Fence, Identity, Input, Outbox};
use statestore_wire as wire;
use statestore_wire::{Epoch, NetworkAddress, ProtocolVersion, Status, StatusCode, Text, UniqueId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a statestored that stops waits for its peer to hear so.
const GOODBYE: Duration = Duration::from_millis(300);

/// One statestored.
#[derive(Debug, Default)]
pub(crate) struct Server {
    pub(crate) node: Option<Node>,
    pub(crate) fence: Option<Fence>,
    topics: TopicLives,
    /// The last registration of each subscriber.
    pub(crate) registered: BTreeMap<Proc, UniqueId>,
    spare: Outbox,
}

impl World<'_> {
    pub(crate) fn start_server(&mut self, proc: Proc) {
        let identity = Identity::new(self.dice.id());
        let config = self.plan.config(proc);
        let node = Node::new(config, identity, self.clock(proc));
        self.servers[proc] = Server {
            node: Some(node),
            ..Server::default()
        };
        self.step_server(proc, Input::Timer);
    }

    pub(crate) fn stop_server(&mut self, proc: Proc) {
        self.processes[proc].ending = true;
        self.step_server(proc, Input::Stopping);
        let heard = self.dice.time(GOODBYE / 10..=GOODBYE);
        let life = self.processes[proc].life;
        self.queue.add(self.now + heard, Event::Exits(life));
    }

    pub(crate) fn listens(&self, proc: Proc, purpose: Purpose) -> bool {
        let server = self
            .servers
            .get(proc)
            .filter(|_| purpose == Purpose::Service);
        server.is_none_or(|it| it.node.as_ref().is_some_and(Node::is_decided))
    }

    pub(crate) fn fence_lets(&self, proc: Proc, epoch: Epoch) -> bool {
        let fence = self.servers.get(proc).and_then(|server| server.fence);
        fence.is_some_and(|fence| fence.lets(epoch, self.clock(proc).time))
    }

    /// True if this statestored may act at this moment.
    pub(crate) fn may_act(&self, proc: Proc) -> bool {
        let fence = self.servers[proc]
            .fence
            .filter(|_| self.processes[proc].alive);
        fence.is_some_and(|fence| fence.lets(fence.epoch, self.clock(proc).time))
    }

    pub(crate) fn wake_server(&mut self, proc: Proc) {
        self.step_server(proc, Input::Timer);
    }

    pub(crate) fn server_hears(&mut self, parcel: &Parcel) {
        let proc = parcel.to.proc;
        if let Request::Version = &*parcel.request {
            let reply = Reply::Version(wire::GetProtocolVersionResponse {
                status: Status::ok(),
                protocol_version: ProtocolVersion::V2,
                statestore_id: None,
            });
            return self.replies_to(parcel, proc, reply, None);
        }
        let drawn = self.dice.id();
        let Some(request) = parcel.request.to_server(drawn) else {
            return;
        };
        let answer = self.step_server(
            proc,
            Input::Request {
                request_id: RequestId(1),
                request,
            },
        );
        let fence = match &answer {
            Some(Answer::Register { fence, response }) => {
                let registered = &mut self.servers[proc].registered;
                let id = response.registration_id.filter(|_| response.status.is_ok());
                registered.extend(id.map(|id| (parcel.way_back.caller.proc, id)));
                *fence
            }
            _ => None,
        };
        if let Some(reply) = answer.and_then(Reply::from_server) {
            self.replies_to(parcel, proc, reply, fence);
        }
    }

    pub(crate) fn replies_to(
        &mut self,
        parcel: &Parcel,
        proc: Proc,
        reply: Reply,
        fence: Option<Epoch>,
    ) {
        if parcel.breaks {
            let back = &parcel.way_back;
            let at = self.network.arrival(self.now, proc, back.caller.proc);
            return self.queue.add(at, Event::Breaks(back.flight, back.attempt));
        }
        self.answers(&parcel.way_back, proc, reply, fence);
    }

    pub(crate) fn server_called(
        &mut self,
        flight: &Flight,
        outcome: Result<(Reply, u64), &'static str>,
    ) {
        if let Ok((reply, _)) = &outcome {
            self.notes_late(flight, reply);
        }
        let outcome = match outcome {
            Ok((reply, connection)) => reply.into_server(connection).ok_or("another reply"),
            Err(why) => Err(why),
        };
        let fault = |why| CallFault(Status::error(StatusCode::RPC_GENERAL_ERROR, why));
        let input = Input::Completed {
            call: flight.core,
            outcome: outcome.map_err(fault),
        };
        self.step_server(flight.caller.proc, input);
    }

    /// One step of a core, and all that it asks for. Gives the answer, if there is one.
    pub(crate) fn step_server(&mut self, proc: Proc, input: Input) -> Option<Answer> {
        let now = self.clock(proc);
        if self.trace.wants() {
            self.note(Some(proc), format_args!("<- {input:?}"));
        }
        let server = &mut self.servers[proc];
        let mut out = std::mem::take(&mut server.spare);
        let node = server.node.as_mut()?;
        node.step(now, input, &mut out);
        server.fence = node.fence();
        let mut answered = None;
        for effect in out.drain(..) {
            match effect {
                Effect::Answer { answer, .. } => answered = Some(answer),
                Effect::Call(call) => self.server_calls(proc, call),
                Effect::Recall => self.recall(proc),
                Effect::Disconnect(address) => self.disconnect(proc, &address),
                Effect::Log(event) => self.server_logs(proc, &event),
            }
        }
        self.servers[proc].spare = out;
        self.arm(proc);
        self.check_server(proc);
        answered
    }

    fn server_calls(&mut self, proc: Proc, call: Call) {
        let to = call.to.address.port as usize;
        let request = Request::from_server(call.body);
        if self.trace.wants() {
            self.note(Some(proc), format_args!("-> {:?} {request:?}", call.lane));
        }
        let topics = self.servers[proc].topics;
        let wanted = Wanted {
            core: call.id,
            to,
            timeout: call.timeout,
            fence: call.fence,
            request,
            topics,
        };
        self.calls(proc, wanted);
    }

    /// What carries a fence and is under way ends; what is sent already stays sent.
    fn recall(&mut self, proc: Proc) {
        let fenced = |flight: &Flight| flight.caller.proc == proc && flight.fence.is_some();
        let all = self.flights.iter().filter(|(_, flight)| fenced(flight));
        let all: Vec<_> = all.map(|(id, _)| *id).collect();
        for id in all {
            self.coverage.count("recalled");
            self.queue.add(self.now, Event::Recalled(id));
        }
    }

    fn disconnect(&mut self, proc: Proc, address: &NetworkAddress) {
        let idle = &mut self.processes[proc].idle;
        idle.retain(|idle| idle.to.proc != address.port as usize);
    }

    fn server_logs(&mut self, proc: Proc, event: &statestore_core::port::Event) {
        use statestore_core::port::Event as Said;
        self.note(Some(proc), format_args!("** {event}"));
        match event {
            Said::Pair(news) => {
                self.coverage.news(news);
                self.check_news(proc, news);
            }
            Said::TopicDropped { topic } => {
                self.coverage.count("topic dropped");
                if let Some(i) = topic_index(topic) {
                    self.servers[proc].topics[i] += 1;
                }
            }
            Said::Removed { .. } => self.coverage.count("registration ended by silence"),
            Said::Left { .. } => self.coverage.count("subscriber left"),
            Said::Refused { .. } => self.coverage.count("registration refused"),
            _ => {}
        }
    }
}

/// Its place among the topics of every subscriber.
pub(crate) fn topic_index(topic: &Text) -> Option<usize> {
    TOPICS.iter().position(|(name, _)| *topic == *name)
}
