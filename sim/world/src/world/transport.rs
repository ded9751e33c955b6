//! Calls on their way: what the daemons' drivers and connection pools do, in miniature.
//!
//! A call has one limit over everything. It goes out over an idle connection or a new one, asks
//! its fence right before it is sent, and again if the connection breaks and it is sent a second
//! time (K-2). Whoever is paused does none of that until it goes on; what has reached its machine
//! waits for it there.
//!
//! Deliberately absent: what a call is about.

use super::World;
use crate::event::{Event, FlightId, Life, Parcel, Return, TopicLives, WayBack};
use crate::message::{Purpose, Reply, Request};
use crate::network::{Blocked, Luck};
use crate::plan::{FIRST, Proc};
use crate::process::Idle;
use crate::sabotage::Sabotage;
use statestore_core::ids::CallId;
use statestore_wire::Epoch;
use std::rc::Rc;
use std::time::Duration;

/// It has reached the machine, and no cut can stop it any more.
const THERE: u8 = u8::MAX;

/// A call under way.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    pub(crate) caller: Life,
    pub(crate) core: CallId,
    pub(crate) to: Proc,
    pub(crate) fence: Option<Epoch>,
    request: Rc<Request>,
    topics: TopicLives,
    attempt: u8,
    /// What it was sent over, if it was.
    connection: Option<(u64, Life)>,
}

/// A call that a core asks for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) core: CallId,
    pub(crate) to: Proc,
    pub(crate) timeout: Duration,
    pub(crate) fence: Option<Epoch>,
    pub(crate) request: Request,
    pub(crate) topics: TopicLives,
}

impl Flight {
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }
}

impl World<'_> {
    pub(crate) fn calls(&mut self, caller: Proc, wanted: Wanted) {
        self.next_flight += 1;
        let id = self.next_flight;
        let process = &self.processes[caller];
        let limit = process.clock.lasts(self.now, wanted.timeout);
        self.flights.insert(
            id,
            Flight {
                caller: process.life,
                core: wanted.core,
                to: wanted.to,
                fence: wanted.fence,
                request: Rc::new(wanted.request),
                topics: wanted.topics,
                attempt: 1,
                connection: None,
            },
        );
        self.queue.add(self.now + limit, Event::Expires(id));
        match self.network.lag() {
            Duration::ZERO => self.leaves(id, 1),
            lag => self.queue.add(self.now + lag, Event::Leaves(id, 1)),
        }
    }

    fn flight(&self, id: FlightId, attempt: u8) -> Option<&Flight> {
        let flight = self.flights.get(&id);
        flight.filter(|flight| flight.attempt == attempt)
    }

    /// Over an idle connection if there is one. That its other end is gone shows, or does not.
    pub(crate) fn leaves(&mut self, id: FlightId, attempt: u8) {
        let Some(flight) = self.flight(id, attempt) else {
            return;
        };
        let (caller, to) = (flight.caller.proc, flight.to);
        let purpose = flight.request.purpose();
        if self.waits(caller, Event::Leaves(id, attempt)).is_none() {
            return;
        }
        while let Some(idle) = self.processes[caller].lend(to, purpose) {
            let stale = !self.lives(idle.to);
            let shows = stale && !self.network.is_cut(to, caller) && !self.network.dice.chance(300);
            if !shows {
                return self.sends(id, idle.number, idle.to);
            }
        }
        self.connects(id);
    }

    fn connects(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get(&id) else {
            return;
        };
        let (caller, to, attempt) = (flight.caller.proc, flight.to, flight.attempt);
        let there = self.network.delay(caller, to) + self.network.delay(to, caller);
        self.queue
            .add(self.now + there, Event::Opens(id, attempt, 0));
    }

    pub(crate) fn opens(&mut self, id: FlightId, attempt: u8, tries: u8) {
        let Some(flight) = self.flight(id, attempt) else {
            return;
        };
        let (caller, to) = (flight.caller.proc, flight.to);
        let purpose = flight.request.purpose();
        if tries != THERE && self.network.is_cut_between(caller, to) {
            if let Blocked::Again(pause) = self.network.blocked(tries) {
                let again = Event::Opens(id, attempt, tries + 1);
                self.queue.add(self.now + pause, again);
            }
            return;
        }
        let event = Event::Opens(id, attempt, THERE);
        if self.waits(caller, event).is_none() {
            return;
        }
        let process = &self.processes[to];
        if process.alive && self.listens(to, purpose) {
            let number = self.network.fresh();
            let life = self.processes[to].life;
            self.sends(id, number, life);
        } else if !process.silent {
            self.fails(id, "connection refused");
        }
    }

    /// Right before the first byte the fence is asked (ha.md rule 3).
    fn sends(&mut self, id: FlightId, connection: u64, to: Life) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let (caller, attempt, fence) = (flight.caller, flight.attempt, flight.fence);
        flight.connection = Some((connection, to));
        let (request, topics) = (Rc::clone(&flight.request), flight.topics);
        if let Some(epoch) = fence.filter(|epoch| !self.fence_lets(caller.proc, *epoch)) {
            self.coverage.count("barred by the fence");
            self.note(Some(caller.proc), format_args!("barred: epoch {epoch}"));
            // Not at once: the step that asked for this call has more to do first.
            return self.queue.add(self.now, Event::Recalled(id));
        }
        let luck = self.network.luck();
        let at = self.network.arrival(self.now, caller.proc, to.proc);
        if luck == Luck::BreaksBefore {
            return self.queue.add(at, Event::Breaks(id, attempt));
        }
        let parcel = Parcel {
            way_back: WayBack {
                flight: id,
                attempt,
                caller,
                connection,
            },
            to,
            request,
            topics,
            tries: 0,
            breaks: luck == Luck::BreaksAfter,
        };
        self.queue.add(at, Event::Arrives(Box::new(parcel)));
    }

    pub(crate) fn arrives(&mut self, mut parcel: Box<Parcel>) {
        let (from, to) = (parcel.way_back.caller.proc, parcel.to.proc);
        if parcel.tries != THERE && self.network.is_cut(from, to) {
            if let Blocked::Again(pause) = self.network.blocked(parcel.tries) {
                parcel.tries += 1;
                self.coverage.count("sent again through a cut");
                self.queue.add(self.now + pause, Event::Arrives(parcel));
            }
            return;
        }
        if !self.lives(parcel.to) {
            let silent = self.processes[to].silent && !self.processes[to].alive;
            if !silent && !self.network.is_cut(to, from) {
                let at = self.network.arrival(self.now, to, from);
                let WayBack {
                    flight, attempt, ..
                } = parcel.way_back;
                self.queue.add(at, Event::Breaks(flight, attempt));
            }
            return;
        }
        parcel.tries = THERE;
        let Some(Event::Arrives(parcel)) = self.waits(to, Event::Arrives(parcel)) else {
            return;
        };
        match to {
            0 | 1 => self.server_hears(&parcel),
            _ => self.member_hears(&parcel),
        }
    }

    /// The reply to a request, as soon as its process gets to it.
    pub(crate) fn answers(&mut self, to: &WayBack, from: Proc, reply: Reply, fence: Option<Epoch>) {
        let reply = Box::new(Return {
            way_back: *to,
            from: self.processes[from].life,
            reply,
            tries: 0,
        });
        match self.network.lag() {
            Duration::ZERO => self.replies(reply, fence),
            lag => self.queue.add(self.now + lag, Event::Replies(reply, fence)),
        }
    }

    pub(crate) fn replies(&mut self, mut reply: Box<Return>, fence: Option<Epoch>) {
        if !self.lives(reply.from) {
            return;
        }
        let from = reply.from.proc;
        if self.processes[from].paused {
            self.waits(from, Event::Replies(reply, fence));
            return;
        }
        if fence.is_some_and(|epoch| !self.fence_lets(from, epoch)) {
            self.coverage.count("answer barred by the fence");
            reply.reply.withdraws();
        }
        let at = self
            .network
            .arrival(self.now, from, reply.way_back.caller.proc);
        self.queue.add(at, Event::Returns(reply));
    }

    pub(crate) fn returns(&mut self, mut reply: Box<Return>) {
        let WayBack {
            flight: id,
            attempt,
            caller,
            connection,
        } = reply.way_back;
        let from = reply.from;
        if reply.tries != THERE && self.network.is_cut(from.proc, caller.proc) {
            if let Blocked::Again(pause) = self.network.blocked(reply.tries) {
                reply.tries += 1;
                self.queue.add(self.now + pause, Event::Returns(reply));
            }
            return;
        }
        if !self.lives(caller) {
            return;
        }
        reply.tries = THERE;
        let Some(Event::Returns(reply)) = self.waits(caller.proc, Event::Returns(reply)) else {
            return;
        };
        let Some(flight) = self.flight(id, attempt) else {
            self.coverage.count("reply came too late");
            return;
        };
        let purpose = flight.request.purpose();
        self.processes[caller.proc].idle.push(Idle {
            to: from,
            purpose,
            number: connection,
        });
        self.ends(id, Ok((reply.reply, connection)));
    }

    /// K-2: once more over a new connection, within the same limit.
    pub(crate) fn breaks(&mut self, id: FlightId, attempt: u8) {
        let Some(flight) = self.flight(id, attempt) else {
            return;
        };
        let caller = flight.caller.proc;
        if self.waits(caller, Event::Breaks(id, attempt)).is_none() {
            return;
        }
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if attempt > 1 {
            return self.fails(id, "the connection broke again");
        }
        flight.attempt += 1;
        flight.connection = None;
        self.coverage.count("call sent again");
        self.connects(id);
    }

    /// A call ends by itself.
    pub(crate) fn ends_without(&mut self, id: FlightId, why: &'static str, event: Event) {
        let Some(flight) = self.flights.get(&id) else {
            return;
        };
        if self.waits(flight.caller.proc, event).is_some() {
            self.fails(id, why);
        }
    }

    fn fails(&mut self, id: FlightId, why: &'static str) {
        self.ends(id, Err(why));
    }

    fn ends(&mut self, id: FlightId, outcome: Result<(Reply, u64), &'static str>) {
        let Some(flight) = self.flights.remove(&id) else {
            return;
        };
        if self.plan.sabotage == Some(Sabotage::Calls) && flight.caller.proc < FIRST {
            self.keeps(&flight);
        }
        match flight.caller.proc {
            0 | 1 => self.server_called(&flight, outcome),
            _ => self.member_called(&flight, outcome),
        }
    }

    /// Sabotage: a heartbeat that has ended stays on the list.
    fn keeps(&mut self, flight: &Flight) {
        if flight.request.purpose() == Purpose::Heartbeat && self.network.dice.chance(1) {
            self.next_flight += 1;
            self.flights.insert(self.next_flight, flight.clone());
        }
    }

    /// Nothing is left of a process's calls; those to it break, if anybody is there to say so.
    pub(crate) fn hang_up(&mut self, proc: Proc, silent: bool) {
        self.flights.retain(|_, flight| flight.caller.proc != proc);
        if !silent {
            self.break_connections(proc);
        }
    }

    /// What was sent to or by this process breaks.
    pub(crate) fn break_connections(&mut self, proc: Proc) {
        let all = self.flights.iter();
        let broken = all.filter(|(_, flight)| {
            let concerned = flight.to == proc || flight.caller.proc == proc;
            concerned && flight.connection.is_some()
        });
        let broken: Vec<_> = broken
            .map(|(id, flight)| (*id, flight.attempt, flight.caller.proc, flight.to))
            .collect();
        for (id, attempt, caller, to) in broken {
            if !self.network.is_cut(to, caller) || caller == proc {
                let at = self.network.arrival(self.now, to, caller);
                self.queue.add(at, Event::Breaks(id, attempt));
            }
        }
        self.processes[proc].idle.clear();
    }
}
