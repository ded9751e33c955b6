//! The server: `step(now, input, outbox)` and `deadline()`, the only door.
//!
//! This file holds the state and passes each input to the place that knows what it means; each
//! such place is one file and reads as one story:
//!
//! | file | story |
//! |---|---|
//! | `register` | a subscriber joins, or is refused (R) |
//! | `send` | a lane is due: a heartbeat or an update goes out (S) |
//! | `complete` | a call ends: who lives, who processed what (F, T-20, T-26) |
//! | `intake` | what a reply publishes enters in short steps |
//! | `publish` | what it changes in the topics (T-21 to T-27), and who should hear of it |
//! | `leave` | a registration ends and takes its transient entries along (T-30 to T-34, F-4) |
//! | `elect` | the active catalogd is elected and announced (C, N) |
//! | `pages` | what the node looks like from outside |
//!
//! and three hold state: `topics` (the logs and how far everybody is), `audience` (who should hear
//! of a change), `calls` (what is pending).
//!
//! Deliberately absent: time (it comes with each input), and anything that waits. Invariants:
//! each registration request is answered in its own step; each lane has at most one call pending
//! per registration (S-3); a step's work is bounded by its input and by what fell due.

mod audience;
mod calls;
mod complete;
mod elect;
mod intake;
mod leave;
mod pages;
mod publish;
mod register;
mod send;
mod topics;

use crate::catalog::Election;
use crate::config::Config;
use crate::detector::Lateness;
use crate::event::Event;
use crate::lanes::{Schedule, Slot, Task};
use crate::members::{MemberKey, Members};
use crate::notice::Notice;
use crate::port::{Effect, Identity, Input, Outbox};
use crate::role::Role;
use crate::time::{Now, Time, Wall};
use crate::topic::Version;
use crate::view::Counters;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use calls::Calls;
use core::time::Duration;
use intake::Intakes;
use statestore_wire::{NetworkAddress, Text};
use topics::Topics;

/// One statestored.
#[derive(Debug)]
pub struct Node {
    config: Config,
    identity: Identity,
    role: Role,
    active_since: Wall,
    network_disabled: bool,
    members: Members,
    topics: Topics,
    /// Topics with more tombstones to collect than one step should.
    uncollected: BTreeSet<Text>,
    intakes: Intakes,
    /// What is left of large expiries: topic, versions, owner.
    expiring: VecDeque<(Text, Vec<Version>, Option<MemberKey>)>,
    /// Topics that changed within the coalescing time after their last push.
    untold: BTreeSet<Text>,
    schedule: Schedule,
    calls: Calls,
    catalog: Catalog,
    lateness: Lateness,
    /// Who answered in the last report period (F-8).
    answered: usize,
    counters: Counters,
}

/// The catalogd election with the times and notices around it.
#[derive(Debug)]
struct Catalog {
    election: Election,
    notice: Notice,
    next_round: Option<Slot>,
    wait_began: bool,
    changed: Option<Wall>,
    announced: Option<NetworkAddress>,
}

/// A repeated task never comes more often than this.
const SHORTEST: Duration = Duration::from_millis(1);
/// Between two pieces of long work: as soon as the driver has looked around.
const AT_ONCE: Duration = Duration::from_nanos(1);

impl Node {
    /// A statestored without subscribers. Without HA it is active from its start on.
    pub fn new(config: Config, identity: Identity, now: Now) -> Self {
        let catalog = &config.catalog;
        let mut schedule = Schedule::default();
        let period = config.heartbeat_report_period.max(SHORTEST);
        schedule.add(now.time + period, Task::Report);
        Self {
            identity,
            role: Role::Active,
            active_since: now.wall,
            network_disabled: false,
            members: Members::default(),
            topics: Topics::new(config.hash_seed),
            uncollected: BTreeSet::new(),
            intakes: Intakes::new(),
            expiring: VecDeque::new(),
            untold: BTreeSet::new(),
            schedule,
            calls: Calls::default(),
            catalog: Catalog {
                election: Election::new(
                    catalog.ha,
                    catalog.subscriber_id_as_priority,
                    catalog.preemption_wait.is_zero(),
                ),
                notice: Notice::default(),
                next_round: None,
                wait_began: false,
                changed: None,
                announced: None,
            },
            lateness: Lateness::default(),
            answered: 0,
            counters: Counters::default(),
            config,
        }
    }

    /// Takes one input in, then does all that is due. Effects are added to `out`, in the order
    /// in which they must happen.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Outbox) {
        match input {
            Input::Timer => {}
            Input::Register {
                request_id,
                request,
                drawn,
            } => self.register(now, request_id, request, drawn, out),
            Input::Completed { call, outcome } => self.complete(now, call, outcome, out),
            Input::NetworkDisabled(disabled) => {
                if disabled != self.network_disabled {
                    out.push(Effect::Log(Event::NetworkSwitched { disabled }));
                }
                self.network_disabled = disabled;
            }
        }
        while let Some((slot, task)) = self.schedule.pop_due(now.time) {
            self.perform(now, slot, task, out);
        }
    }

    /// The pair's decision: this statestored is now active, or no longer. One that becomes active
    /// announces its election, also if it did not change (N-6); updates start by themselves.
    pub fn assume_role(&mut self, now: Now, role: Role, out: &mut Outbox) {
        let acted = core::mem::replace(&mut self.role, role).acts();
        if role.acts() && !acted {
            self.active_since = now.wall;
            self.announce_catalogd(now, out);
        }
    }

    /// When the node wants a step, if nothing else happens before.
    pub fn deadline(&self) -> Option<Time> {
        self.schedule.first()
    }

    fn perform(&mut self, now: Now, slot: Slot, task: Task, out: &mut Outbox) {
        match task {
            Task::Send(member, lane) => self.send(now, slot.at, member, lane, out),
            Task::Grace(member) => self.end_grace(now, member),
            Task::CatalogWait => {
                let verdict = self.catalog.election.wait_is_over();
                self.elected(now, verdict, out);
            }
            Task::CatalogRound => self.tell_catalogd(now, out),
            Task::Report => self.report(now, out),
            Task::Absorb => self.absorb(now, out),
            Task::Expire => self.expire_more(now, out),
            Task::Push => self.push(now),
            Task::Collect => self.collect_more(now),
        }
    }
}

#[cfg(test)]
mod tests;
