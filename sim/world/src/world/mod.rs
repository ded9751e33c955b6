//! A cluster of bare cores under one clock: what happens next, to whom, and who is asked whether
//! it was allowed.
//!
//! ```text
//!   queue --> event --> transport | servers | members | faults --> more events
//!                                      |
//!                                      +--> invariants: the first breach ends the world
//! ```
//!
//! Deliberately absent: chance outside `Dice`, and anything of the machine that this runs on.

mod application;
mod faults;
mod heal;
pub(crate) mod invariants;
mod late;
mod members;
mod reference;
mod servers;
mod transport;

use crate::clock::Real;
use crate::coverage::Coverage;
use crate::dice::{Dice, Stream};
use crate::event::{Event, FlightId, Life};
use crate::network::Network;
use crate::plan::{FIRST, Plan, Proc, name};
use crate::process::Process;
use crate::queue::Queue;
use crate::trace::Trace;
use faults::Struck;
use heal::Phase;
use invariants::{Breach, Watch};
use late::Late;
use members::Member;
use servers::Server;
use statestore_core::time::Now;
use std::collections::BTreeMap;
use std::fmt;
use transport::Flight;

/// Events after which a world is taken to go round in circles.
const MOST_EVENTS: u64 = 3_000_000;

pub(crate) struct World<'a> {
    pub(crate) plan: Plan,
    pub(crate) now: Real,
    pub(crate) queue: Queue<Event>,
    pub(crate) network: Network,
    /// Of processes and what operators do.
    pub(crate) dice: Dice,
    /// Of what applications wish.
    pub(crate) whims: Dice,
    pub(crate) processes: Vec<Process>,
    pub(crate) servers: [Server; 2],
    pub(crate) members: Vec<Member>,
    pub(crate) flights: BTreeMap<FlightId, Flight>,
    pub(crate) next_flight: FlightId,
    pub(crate) struck: Vec<Option<Struck>>,
    pub(crate) phase: Phase,
    pub(crate) late: Late,
    pub(crate) watch: Watch,
    pub(crate) breach: Option<Breach>,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace<'a>,
    pub(crate) events: u64,
}

impl<'a> World<'a> {
    pub(crate) fn new(plan: Plan, trace: Trace<'a>) -> Self {
        let seed = plan.seed;
        let mut queue = Queue::new();
        for (proc, machine) in plan.machines.iter().enumerate() {
            queue.add(machine.starts, Event::Starts(proc));
        }
        for (i, strike) in plan.strikes.iter().enumerate() {
            queue.add(strike.at, Event::Strikes(i));
        }
        queue.add(plan.heals, Event::Heals);
        let machines = plan.machines.iter().enumerate();
        let processes = machines.map(|(proc, it)| Process::new(proc, it.clock.clone()));
        Self {
            now: Real(0),
            network: Network::new(plan.weather.clone(), Dice::new(seed, Stream::Network)),
            dice: Dice::new(seed, Stream::Processes),
            whims: Dice::new(seed, Stream::Application),
            processes: processes.collect(),
            servers: Default::default(),
            members: plan.members.iter().map(|_| Member::default()).collect(),
            flights: BTreeMap::new(),
            next_flight: 0,
            struck: plan.strikes.iter().map(|_| None).collect(),
            phase: Phase::Troubles,
            late: Late::default(),
            watch: Watch::default(),
            breach: None,
            coverage: Coverage::default(),
            trace,
            events: 0,
            queue,
            plan,
        }
    }

    /// Lets it all happen. The world is over with the first breach, or when all is well.
    pub(crate) fn run(&mut self) {
        while self.breach.is_none() && self.phase != Phase::Over {
            let Some((at, event)) = self.queue.pop() else {
                return;
            };
            self.now = at;
            self.events += 1;
            if self.events > MOST_EVENTS {
                return self.breaks_rule("ends", format!("{} events", self.events));
            }
            self.happens(event);
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Starts(proc) => self.starts(proc),
            Event::Exits(life) => self.exits(life),
            Event::Wakes(proc, at) => self.wakes(proc, at),
            Event::Leaves(flight, attempt) => self.leaves(flight, attempt),
            Event::Opens(flight, attempt, tries) => self.opens(flight, attempt, tries),
            Event::Arrives(parcel) => self.arrives(parcel),
            Event::Replies(reply, fence) => self.replies(reply, fence),
            Event::Returns(reply) => self.returns(reply),
            Event::Breaks(flight, attempt) => self.breaks(flight, attempt),
            Event::Expires(flight) => {
                self.ends_without(flight, "timed out", Event::Expires(flight))
            }
            Event::Recalled(flight) => {
                self.ends_without(flight, "recalled", Event::Recalled(flight));
            }
            Event::Processed(life, token) => self.processed(life, token),
            Event::Wishes(life) => self.wishes(life),
            Event::Strikes(i) => self.strikes(i),
            Event::Ends(i) => self.strike_ends(i),
            Event::Heals => self.heals(),
            Event::Looks => self.looks(),
        }
    }

    /// Keeps an event for later if its process is paused.
    pub(crate) fn waits(&mut self, proc: Proc, event: Event) -> Option<Event> {
        let process = &mut self.processes[proc];
        if process.paused {
            process.waiting.push(event);
            return None;
        }
        Some(event)
    }

    /// True if this life is not over.
    pub(crate) fn lives(&self, life: Life) -> bool {
        let process = &self.processes[life.proc];
        process.alive && process.life == life
    }

    pub(crate) fn clock(&self, proc: Proc) -> Now {
        self.processes[proc].now(self.now)
    }

    /// Sets a process's alarm; an earlier one that is set does it too.
    pub(crate) fn arm(&mut self, proc: Proc) {
        let deadline = match proc {
            0 | 1 => self.servers[proc]
                .node
                .as_ref()
                .and_then(|node| node.deadline()),
            _ => self.members[proc - FIRST].deadline(),
        };
        let Some(deadline) = deadline else { return };
        let process = &mut self.processes[proc];
        let at = process.clock.when(deadline).max(self.now);
        if process.alarm.is_none_or(|alarm| at < alarm) {
            let late = self.network.lag();
            process.alarm = Some(at + late);
            self.queue.add(at + late, Event::Wakes(proc, at + late));
        }
    }

    fn wakes(&mut self, proc: Proc, at: Real) {
        if self.processes[proc].alarm != Some(at) || !self.processes[proc].alive {
            return;
        }
        let Some(_) = self.waits(proc, Event::Wakes(proc, at)) else {
            return;
        };
        self.processes[proc].alarm = None;
        match proc {
            0 | 1 => self.wake_server(proc),
            _ => self.wake_member(proc),
        }
    }

    /// Notes what happens, if anybody wants to know.
    pub(crate) fn note(&mut self, proc: Option<Proc>, what: fmt::Arguments<'_>) {
        if self.trace.wants() {
            let who = proc.map_or_else(|| "--".to_owned(), name);
            self.trace.line(self.now, &who, what);
        }
    }

    /// An invariant does not hold: the world is over.
    pub(crate) fn breaks_rule(&mut self, invariant: &'static str, says: String) {
        self.note(None, format_args!("BREACH of {invariant}: {says}"));
        let at = self.now;
        self.breach.get_or_insert(Breach {
            invariant,
            at: at.to_string(),
            says,
        });
    }
}
