//! Subscribers: a core each, and its driver's duties in miniature.
//!
//! Deliberately absent: the wait of an update for the registration that it overtook; it would be
//! sent again anyway. What the application does is in `application`.

use super::World;
use super::application::{Application, Delivery, Mark};
use super::reference::{Call as Wish, Reference};
use super::transport::{Flight, Wanted};
use crate::event::{Event, Life, Parcel, TopicLives, WayBack};
use crate::message::{Reply, Request};
use crate::plan::{FIRST, Proc};
use crate::sabotage::Sabotage;
use statestore_core::ids::{CallId, RequestId};
use statestore_core::subscriber::Subscriber;
use statestore_core::subscriber::port::{Answer, Effect, Input, Outbox};
use statestore_core::time::Time;
use statestore_wire::{Epoch, Status, StatusCode};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// One subscriber.
#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) core: Option<Subscriber>,
    /// In its place, if it is one of the reference.
    pub(crate) reference: Option<Reference>,
    pub(crate) application: Application,
    /// Requests whose answer is due.
    asked: BTreeMap<RequestId, Asked>,
    next_request: u64,
    /// The highest epoch of an active's message that this life has accepted.
    pub(crate) accepted: Option<Epoch>,
    spare: Outbox,
}

/// A request that was taken in.
#[derive(Debug)]
struct Asked {
    way_back: WayBack,
    breaks: bool,
    epoch: Option<Epoch>,
    /// What had been accepted before it came.
    before: Option<Epoch>,
    topics: TopicLives,
}

impl Member {
    pub(crate) fn deadline(&self) -> Option<Time> {
        match &self.reference {
            Some(reference) => reference.deadline(),
            None => self.core.as_ref()?.deadline(),
        }
    }
}

impl World<'_> {
    pub(crate) fn start_member(&mut self, proc: Proc) {
        let plan = &self.plan.members[proc - FIRST];
        let life = self.processes[proc].life.number;
        let (config, now) = (plan.config(life), self.clock(proc));
        self.members[proc - FIRST] = match plan.reference {
            true => Member {
                reference: Some(Reference::new(&config, now.time)),
                ..Member::default()
            },
            false => Member {
                core: Some(Subscriber::new(config, now)),
                ..Member::default()
            },
        };
        self.wake_member(proc);
        self.wishes_soon(proc);
    }

    /// It leaves on purpose and ends soon after.
    pub(crate) fn leave_member(&mut self, proc: Proc) {
        if self.members[proc - FIRST].reference.is_some() {
            return self.dies(proc, false); // It knows no farewell.
        }
        self.processes[proc].ending = true;
        self.step_member(proc, Input::Leave);
        let limit = self.plan.members[proc - FIRST].farewell();
        let life = self.processes[proc].life;
        self.queue.add(self.now + limit, Event::Exits(life));
    }

    pub(crate) fn wake_member(&mut self, proc: Proc) {
        let now = self.clock(proc).time;
        let member = &mut self.members[proc - FIRST];
        match &mut member.reference {
            Some(reference) => {
                let calls = reference.tick(now);
                self.reference_calls(proc, calls);
            }
            None => self.step_member(proc, Input::Timer),
        }
    }

    fn reference_calls(&mut self, proc: Proc, calls: Vec<Wish>) {
        for call in calls {
            let wanted = Wanted {
                core: CallId::numbered(0),
                to: call.to,
                timeout: call.timeout,
                fence: None,
                request: call.request,
                topics: TopicLives::default(),
            };
            self.calls(proc, wanted);
        }
        self.arm(proc);
    }

    pub(crate) fn member_hears(&mut self, parcel: &Parcel) {
        let proc = parcel.to.proc;
        let now = self.clock(proc).time;
        let member = &mut self.members[proc - FIRST];
        if let Some(reference) = &mut member.reference {
            let application = &mut member.application;
            let reply = reference.hears(now, &parcel.request, parcel.to, application);
            if let Some(reply) = reply {
                self.replies_to(parcel, proc, reply, None);
            }
            return self.arm(proc);
        }
        let shown = match self.plan.sabotage {
            Some(Sabotage::Epochs) => Rc::new(parcel.request.without_epoch()),
            _ => Rc::clone(&parcel.request),
        };
        let Some(request) = shown.to_member(parcel.way_back.connection) else {
            return;
        };
        let member = &mut self.members[proc - FIRST];
        member.next_request += 1;
        let id = RequestId(member.next_request);
        let asked = Asked {
            way_back: parcel.way_back,
            breaks: parcel.breaks,
            epoch: parcel.request.epoch(),
            before: member.accepted,
            topics: parcel.topics,
        };
        member.asked.insert(id, asked);
        self.step_member(proc, Input::Request { id, request });
    }

    pub(crate) fn member_called(
        &mut self,
        flight: &Flight,
        outcome: Result<(Reply, u64), &'static str>,
    ) {
        let proc = flight.caller.proc;
        let now = self.clock(proc).time;
        if let Some(reference) = &mut self.members[proc - FIRST].reference {
            let reply = outcome.ok().map(|(reply, _)| reply);
            let calls = reference.called(now, flight.to, reply);
            return self.reference_calls(proc, calls);
        }
        let outcome = match outcome {
            Ok((reply, _)) => reply.into_member().ok_or("another reply"),
            Err(why) => Err(why),
        };
        let fault = |why| Status::error(StatusCode::RPC_GENERAL_ERROR, why);
        let input = Input::Completed {
            call: flight.core,
            outcome: outcome.map_err(fault),
        };
        self.step_member(proc, input);
    }

    pub(crate) fn step_member(&mut self, proc: Proc, input: Input) {
        let now = self.clock(proc);
        if self.trace.wants() {
            self.note(Some(proc), format_args!("<- {input:?}"));
        }
        let member = &mut self.members[proc - FIRST];
        let mut out = std::mem::take(&mut member.spare);
        let Some(core) = &mut member.core else { return };
        core.step(now, input, &mut out);
        for effect in out.drain(..) {
            self.member_does(proc, effect);
        }
        self.members[proc - FIRST].spare = out;
        self.arm(proc);
    }

    fn member_does(&mut self, proc: Proc, effect: Effect) {
        match effect {
            Effect::Call(call) => {
                let wanted = Wanted {
                    core: call.id,
                    to: call.to.port as usize,
                    timeout: call.timeout,
                    fence: None,
                    request: Request::from_member(call.body),
                    topics: TopicLives::default(),
                };
                if self.trace.wants() {
                    self.note(Some(proc), format_args!("-> {:?}", wanted.request));
                }
                self.calls(proc, wanted);
            }
            Effect::Answer { id, answer } => self.member_answers(proc, id, answer),
            Effect::Deliver {
                token,
                request,
                topics,
            } => {
                let member = &mut self.members[proc - FIRST];
                let Some(asked) = member.asked.get(&request) else {
                    return;
                };
                let mark = Mark {
                    server: asked.way_back.caller,
                    epoch: asked.epoch,
                    topics: asked.topics,
                };
                let delivery = Delivery { topics, mark };
                member.application.deliveries.insert(token, delivery);
                let takes = self.network.lag();
                let life = self.processes[proc].life;
                self.queue
                    .add(self.now + takes, Event::Processed(life, token));
            }
            Effect::Log(event) => self.note(Some(proc), format_args!("** {event}")),
            Effect::Active { failover, .. } => {
                if failover {
                    self.coverage.count("subscriber failed over");
                }
            }
            Effect::Catalogd(_) | Effect::StartFailed { .. } => {}
        }
    }

    fn member_answers(&mut self, proc: Proc, id: RequestId, answer: Answer) {
        let Some(asked) = self.members[proc - FIRST].asked.remove(&id) else {
            return self.breaks_rule("answers once", format!("{id:?} was answered already"));
        };
        let reply = Reply::from_member(answer);
        if self.trace.wants() {
            self.note(Some(proc), format_args!("=> {reply:?}"));
        }
        if let Some(epoch) = asked.epoch {
            self.check_accepted(proc, (asked.before, epoch), &reply);
        }
        if asked.breaks {
            let WayBack {
                flight,
                attempt,
                caller,
                ..
            } = asked.way_back;
            let at = self.network.arrival(self.now, proc, caller.proc);
            return self.queue.add(at, Event::Breaks(flight, attempt));
        }
        self.answers(&asked.way_back, proc, reply, None);
    }

    /// A process of either kind starts.
    pub(crate) fn starts(&mut self, proc: Proc) {
        if self.processes[proc].alive {
            return;
        }
        self.processes[proc].begins();
        let life = self.processes[proc].life.number;
        self.note(Some(proc), format_args!("starts, life {life}"));
        match proc {
            0 | 1 => self.start_server(proc),
            _ => self.start_member(proc),
        }
    }

    /// A process of either kind is gone.
    pub(crate) fn dies(&mut self, proc: Proc, silent: bool) {
        self.note(Some(proc), format_args!("dies"));
        self.processes[proc].ends(silent);
        self.hang_up(proc, silent);
        match proc {
            0 | 1 => self.servers[proc] = Default::default(),
            _ => self.members[proc - FIRST] = Member::default(),
        }
    }

    pub(crate) fn exits(&mut self, life: Life) {
        if !self.lives(life) {
            return;
        }
        self.dies(life.proc, false);
        if self.phase.revives(life.proc) {
            let late = self.dice.time(Duration::ZERO..=self.plan.unit / 4);
            self.queue.add(self.now + late, Event::Starts(life.proc));
        }
    }
}
