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
//! | `unasked` | a subscriber publishes by a call of its own, and is polled seldom |
//! | `publish` | what it changes in the topics (T-21 to T-27) |
//! | `push` | who should hear of a change is told at once |
//! | `leave` | a registration ends and takes its transient entries along (T-30 to T-34, F-4) |
//! | `elect` | the active catalogd is elected and announced (C, N) |
//! | `pair` | as one of a pair: what the decided role changes here (H) |
//! | `peer` | what the two say to each other, `told` what of limits and members |
//! | `reach` | why the peer is not reached (observability.md section 6) |
//! | `tell` | every subscriber is told who is active (H-30, H-31) |
//! | `forget` | the topics of an activation end with it (W10) |
//! | `pages` | what the node looks like from outside |
//!
//! and some hold state: `topics` (the logs and how far everybody is), `audience` (who should hear
//! of a change), `calls` (what is pending); `work` says how much a step may do, and `fetch` asks
//! memory ahead of time.
//!
//! Deliberately absent: time (it comes with each input), and anything that waits. Invariants:
//! each request is answered in its own step, a publication when it is written; each lane has at
//! most one call pending per registration (S-3); a step's work is bounded by its input and by the
//! settings, not by how much is due or how large a topic is. Not so bounded: a topic that is
//! cleared or forgotten (T-23, W10) is freed at once, and one that changes faster than it is looked
//! through is looked through in larger and larger pieces.

mod audience;
mod calls;
mod complete;
mod elect;
mod fetch;
mod forget;
mod intake;
mod leave;
mod pace;
mod pages;
mod pair;
mod peer;
mod publish;
mod push;
mod reach;
mod register;
mod send;
mod tell;
mod told;
mod topics;
mod unasked;
mod work;

use crate::catalog::Election;
use crate::config::Config;
use crate::detector::Lateness;
use crate::event::Event;
use crate::ids::RequestId;
use crate::members::Members;
use crate::notice::Notice;
use crate::owned::Owned;
use crate::pair::Pair;
use crate::port::{Answer, Effect, Identity, Input, Outbox, Request};
use crate::schedule::{Schedule, Slot, Task, Upto};
use crate::time::{Now, Time, Wall};
use crate::view::Counters;
use alloc::collections::{BTreeSet, VecDeque};
use calls::Calls;
use core::time::Duration;
use intake::Intakes;
use pair::Paired;
use push::Telling;
use statestore_wire::{NetworkAddress, Text};
use topics::Topics;
use unasked::Writing;
use work::Work;

pub use fetch::AHEAD;
pub use unasked::too_large;

/// One statestored.
#[derive(Debug)]
pub struct Node {
    config: Config,
    identity: Identity,
    /// Set for one of a pair.
    ha: Option<Paired>,
    /// Counts the times that all topics were forgotten.
    life: u64,
    active_since: Wall,
    network_disabled: bool,
    members: Members,
    topics: Topics,
    /// Topics with more tombstones to collect than one step should.
    uncollected: BTreeSet<Text>,
    intakes: Intakes,
    writing: Writing,
    /// What is left of large expiries.
    expiring: VecDeque<(Text, Owned)>,
    /// Topics that changed within the coalescing time after their last push, and when it is over.
    untold: BTreeSet<(Time, Text)>,
    telling: Telling,
    schedule: Schedule,
    work: Work,
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
    /// A statestored without subscribers. Alone it is active from its start on; one of a pair
    /// looks for its peer first.
    pub fn new(config: Config, identity: Identity, now: Now) -> Self {
        let catalog = &config.catalog;
        let mut schedule = Schedule::default();
        let period = config.heartbeat_report_period.max(SHORTEST);
        schedule.add(now.time + period, Task::Report);
        let ha = config.ha.clone().map(|ha| {
            let turn = schedule.add(now.time, Task::PeerTurn);
            let pair = Pair::new(ha.pair.clone(), identity.statestore_id, now.time);
            Paired::new(ha, pair, turn)
        });
        Self {
            identity,
            active_since: if ha.is_some() { Wall(0) } else { now.wall },
            ha,
            life: 0,
            network_disabled: false,
            members: Members::default(),
            topics: Topics::new(config.hash_seed),
            uncollected: BTreeSet::new(),
            intakes: Intakes::default(),
            writing: Writing::new(),
            expiring: VecDeque::new(),
            untold: BTreeSet::new(),
            telling: Telling::default(),
            schedule,
            work: Work::of_a_step(&config, Upto::Polls),
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

    /// Takes one input in, then does what is due, or as much of it as a step should: then
    /// [`deadline`](Self::deadline) lies in the past. After the end of a call nothing else is done,
    /// and pieces of long work are the timer's. Effects are added to `out`, in the order in which
    /// they must happen.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Outbox) {
        let upto = match input {
            Input::Timer => Upto::Long,
            Input::News => Upto::News,
            _ => Upto::Polls,
        };
        self.work = Work::of_a_step(&self.config, upto);
        self.observe_lease(now, out);
        match input {
            Input::Timer | Input::News => {}
            Input::Request {
                request_id,
                request,
            } => {
                self.answer(now, request_id, request, out);
                self.act_on_news(now, out);
            }
            Input::Stopping => self.say_goodbye(now, out),
            Input::Completed { call, outcome } => {
                // Dozens may end at once, and what is due is not for each of them to do.
                self.complete(now, call, outcome, out);
                return self.arm_pair(now);
            }
            Input::NetworkDisabled(disabled) => {
                if disabled != self.network_disabled {
                    out.push(Effect::Log(Event::NetworkSwitched { disabled }));
                }
                self.network_disabled = disabled;
                if let Some(ha) = &mut self.ha {
                    ha.pair.mute(disabled);
                }
            }
        }
        self.do_what_is_due(now, out);
        self.arm_pair(now);
    }

    fn do_what_is_due(&mut self, now: Now, out: &mut Outbox) {
        for done in 0.. {
            if self.work.is_done() {
                break;
            }
            if done % AHEAD == 0 {
                self.fetch_due(now.time);
            }
            let Some((slot, task)) = self.schedule.pop_due(now.time, self.work.upto()) else {
                break;
            };
            self.work.spend(Work::TASK);
            self.perform(now, slot, task, out);
        }
    }

    fn answer(&mut self, now: Now, request_id: RequestId, request: Request, out: &mut Outbox) {
        let answer = match request {
            Request::Register { request, drawn } => {
                return self.register(now, request_id, request, drawn, out);
            }
            Request::Publish(request) => {
                return self.publish_unasked(now, request_id, request, out);
            }
            Request::Unregister(request) => Answer::Unregister(self.unregister(now, &request, out)),
            Request::ForceActive(request) => Answer::ForceActive(self.force_active(now, &request)),
            Request::Handshake(request) => Answer::Handshake(self.handshake(now, request)),
            Request::HaHeartbeat(request) => Answer::HaHeartbeat(self.ha_heartbeat(now, request)),
            Request::HaLeave(request) => Answer::HaLeave(self.peer_leaves(now, &request)),
        };
        out.push(Effect::Answer { request_id, answer });
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// When the node wants a step of its timer, whatever else happens before.
    pub fn deadline(&self) -> Option<Time> {
        self.schedule.first()
    }

    /// When something is due that subscribers should hear of soon: anything but polls, which only
    /// ask, and long work.
    pub fn news_due(&self) -> Option<Time> {
        self.schedule.first_news()
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
            Task::Tell => self.tell_more(now),
            Task::Collect => self.collect_more(now),
            Task::PairWake => self.wake_pair(now, out),
            Task::PeerTurn => self.peer_turn(now, out),
            Task::RoleRound => self.tell_role(now, out),
        }
    }
}

#[cfg(test)]
mod tests;
