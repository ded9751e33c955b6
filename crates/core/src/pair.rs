//! The role of one statestored of a pair: who may act, and until when (ha.md).
//!
//! ```text
//!                      granted, or its claim acknowledged;
//!               majority lost the other; alone; forced
//!   Starting ------------------------------------------> Active
//!      |  the other acts                                  |   lease over, a higher epoch,
//!      v                                                  v   the other was forced
//!   Standby <--------- HA heartbeat, handshake -------- Recovery
//! ```
//!
//! An active server acts on a *lease*: its peer, or half of the electorate, has acknowledged it
//! recently. An inactive one takes over when its peer has been silent for the whole timeout *and*
//! the majority of the electorate has lost it too. The times are such that the one is over before
//! the other can begin (`limits`). Read `electorate`, `voters`, then `election`, `handshake`,
//! `beats`; `view` is what an operator sees.
//!
//! Deliberately absent: messages, subscribers' registrations and topics; the node translates. The
//! voter's name is a type parameter, so that a model checker walks these very types.
//!
//! Invariants: every way in first tests the lease with the state before the input (rule 4); a
//! lease that has expired never holds again in its epoch; epochs only rise.

mod beats;
mod canon;
mod election;
mod electorate;
pub mod epoch;
mod handshake;
mod hearing;
pub mod limits;
mod news;
mod peer;
mod turns;
mod view;
mod voter;
mod voters;

pub use beats::{Beat, BeatReply, BeatSent, Stranger};
pub use electorate::Electorate;
pub use handshake::{Hello, HelloSent, Welcome};
pub use limits::Limits;
pub use news::{News, Why};
pub use peer::Patience;
pub use view::{ElectorView, Obstacle, PairView};
pub use voter::{Terms, Voice, Voter, VoterReply};
pub use voters::Voters;

use crate::ids::StatestoreId;
use crate::role::Role;
use crate::time::{Now, Time};
use alloc::vec::Vec;
use core::time::Duration;
use peer::{Acknowledgement, Peer};
use statestore_wire::{Epoch, Text};

/// Settings of one statestored of a pair.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// How long things hold.
    pub limits: Limits,
    /// Own `hostname:ha_port`, as it is told to the peer.
    pub address: Text,
    /// Takes the active role from a peer that does not insist on it too.
    pub force: bool,
    /// Compare addresses instead of ids where both could be active.
    pub address_as_priority: bool,
    /// Failed HA heartbeats after which the peer counts as lost. Only shown: the lease decides.
    pub max_missed: u32,
}

/// What an active server's right to act rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tenure {
    /// Acknowledgements (rule 1).
    Leased,
    /// No peer was ever seen, or an operator said so: it acts without a lease (rule 18).
    Alone {
        /// From then on it yields to a majority that hears the other server.
        yields_from: Time,
        /// An operator's word; it also serves those who hear the other server.
        forced: bool,
    },
    /// The standby left on purpose: nobody can take over (rule 15).
    Unopposed,
}

/// The right to act as the driver checks it before each send (rule 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// What it is for; what was queued under another epoch is not covered.
    pub epoch: Epoch,
    /// When it ends; `None` does not end by itself.
    pub until: Option<Time>,
}

impl Fence {
    /// True if something of this epoch may go out now.
    pub fn lets(&self, epoch: Epoch, now: Time) -> bool {
        self.epoch == epoch && self.until.is_none_or(|until| now < until)
    }
}

/// The right to be active that was claimed, but not acknowledged yet (rule 7, last sentence).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Claim {
    epoch: Epoch,
    since: Time,
}

/// One statestored of a pair; see the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pair<V: Ord = Text> {
    config: Config,
    id: StatestoreId,
    role: Role,
    tenure: Tenure,
    claim: Option<Claim>,
    epoch: Epoch,
    highest: Epoch,
    /// The highest that this server has taken or claimed; perhaps nobody knows of it.
    taken: Epoch,
    peer: Peer<V>,
    electorate: Electorate<V>,
    /// The electorate is this server's own word: nothing was agreed on yet (rule 18).
    unilateral: bool,
    /// The active's electorate that this server has, by its epoch and version.
    adopted: Option<(Epoch, i64)>,
    voters: Voters<V>,
    members_version: i64,
    /// h: the last accepted HA heartbeat, handshake answer or own grant; process start.
    heard: Time,
    /// Ever heard the peer in this life.
    contacted: bool,
    /// It stops and has promised never to act again (rule 15).
    resigned: bool,
    /// It cannot say anything (H-9).
    muted: bool,
    /// A claim was not acknowledged in time: the peer is not reached from here, so it is granted
    /// the role when it asks next.
    claim_failed: bool,
    /// The peer said that it is active, but no HA heartbeat has followed.
    awaits_beat: bool,
    /// p, and how long it holds.
    peer_acknowledged: Option<Acknowledgement>,
    /// The lease holds at least until then.
    held_until: Option<Time>,
    refreshed: Time,
    /// Votes on older questions do not count.
    votes_from: Time,
    counted: Option<Time>,
    /// Counts grants and acceptances; a grant of the peer's is void if this has moved since.
    yielded: u64,
    /// Since when a role is looked for.
    undecided_since: Time,
    /// HA heartbeats of a reference peer while active (H-13).
    intrusions: u32,
    silent_until: Option<Time>,
    silence_from: Time,
    rounds: u32,
    news: Vec<News>,
}

impl<V: Ord + Clone> Pair<V> {
    /// A server that has just started: nothing is remembered, so it waits as if it had heard its
    /// peer a moment ago (rule 8).
    pub fn new(config: Config, id: StatestoreId, now: Time) -> Self {
        Self {
            config,
            id,
            role: Role::Starting,
            tenure: Tenure::Leased,
            claim: None,
            epoch: Epoch::default(),
            highest: Epoch::default(),
            taken: Epoch::default(),
            peer: Peer::default(),
            electorate: Electorate::default(),
            unilateral: false,
            adopted: None,
            voters: Voters::default(),
            members_version: 1,
            heard: now,
            contacted: false,
            resigned: false,
            muted: false,
            claim_failed: false,
            awaits_beat: false,
            peer_acknowledged: None,
            held_until: None,
            refreshed: now,
            votes_from: now,
            counted: None,
            yielded: 0,
            undecided_since: now,
            intrusions: 0,
            silent_until: None,
            silence_from: now,
            rounds: 0,
            news: Vec::new(),
        }
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Of the current activation, or of the last one.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The highest seen, of anybody.
    pub fn highest(&self) -> Epoch {
        self.highest
    }

    /// The epoch to put into what only an active server sends. Meaningful after a way in was
    /// taken at this moment, which tested the lease.
    pub fn acting(&self) -> Option<Epoch> {
        self.role.acts().then_some(self.epoch)
    }

    /// What the driver checks before each send.
    pub fn fence(&self) -> Option<Fence> {
        self.role.acts().then(|| Fence {
            epoch: self.epoch,
            until: match self.tenure {
                Tenure::Leased => Some(self.held_until.unwrap_or(Time::ZERO)),
                Tenure::Alone { .. } | Tenure::Unopposed => None,
            },
        })
    }

    /// True if an active server may serve this subscriber, and say to it that it is active. One
    /// that is alone asks first whether the other server is heard (rule 18).
    pub fn serves(&self, voter: &V) -> bool {
        match self.tenure {
            _ if !self.role.acts() => false,
            Tenure::Alone { forced: false, .. } => {
                self.voters.find(voter).is_some_and(|voter| voter.served)
            }
            _ => true,
        }
    }

    /// True if heartbeats are to ask how the other server is heard.
    pub fn asks(&self) -> bool {
        !self.role.acts() || matches!(self.tenure, Tenure::Alone { .. })
    }

    /// How often to send heartbeats while a takeover is near (rule 6); none while it is not.
    pub fn ask_period(&self, now: Time) -> Option<Duration> {
        let limits = self.limits();
        let begins = self.heard + limits.peer_timeout - limits.vote_age;
        if self.role.acts() || self.claim.is_some() || now < begins {
            return None;
        }
        let brisk = limits.ask_period(self.voters.count());
        // Where only the link between the two is cut, that would go on for ever: a vote still
        // gets asked for three times while it lasts.
        let patient = now >= begins + limits.peer_timeout * 2;
        Some(if patient {
            brisk.max(limits.vote_age / 3)
        } else {
            brisk
        })
    }

    /// Rule 19: says nothing to subscribers and takes no registrations, for the other's sake.
    pub fn is_silent(&self, now: Time) -> bool {
        self.silent_until.is_some_and(|until| now < until)
    }

    /// What happened since the last time.
    pub fn take_news(&mut self) -> Vec<News> {
        core::mem::take(&mut self.news)
    }

    /// What a voter said of itself.
    pub fn terms(&self, voter: &V) -> Option<Terms> {
        self.voters.find(voter).map(|voter| voter.terms)
    }

    /// Whether something happened.
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Time passes.
    pub fn tick(&mut self, now: Now) {
        self.observe(now.time);
        let limits = self.limits();
        if self
            .claim
            .is_some_and(|claim| now.time >= claim.since + limits.vote_age)
        {
            self.claim = None;
            self.claim_failed = true;
        }
        self.counted = None;
        self.consider(now);
        self.take_turns(now.time);
    }

    /// When to [`tick`](Self::tick), unless something else comes first.
    pub fn deadline(&self, now: Time) -> Option<Time> {
        let limits = self.limits();
        let timeout = self.heard + limits.peer_timeout;
        let inactive = !self.role.acts();
        let recount = self.counted.map(|at| at + limits.vote_age / 30);
        let candidates = [
            self.next_refresh().filter(|_| !inactive),
            Some(timeout - limits.vote_age).filter(|_| inactive),
            Some(timeout).filter(|_| inactive),
            Some(self.undecided_since + limits.preemption_wait).filter(|_| inactive),
            recount.filter(|_| inactive),
            self.claim.map(|claim| claim.since + limits.vote_age),
            self.silent_until,
            Some(self.next_turn()).filter(|_| inactive),
        ];
        candidates
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// A message named an epoch. An active server that is not the highest steps down and is
    /// elected anew, above it (rule 17).
    pub fn learn_epoch(&mut self, now: Now, seen: Option<Epoch>) {
        self.observe(now.time);
        let Some(seen) = seen.filter(|seen| *seen > self.highest) else {
            return;
        };
        if !epoch::is_believable(seen, now.wall) {
            return self.news.push(News::UnbelievableEpoch(seen));
        }
        self.highest = seen;
        self.claim.take_if(|claim| claim.epoch < seen);
        if self.role.acts() && self.epoch < seen {
            self.step_down(now.time, Why::HigherEpoch(seen));
        }
    }

    /// Rules 5 and 8: nothing that was acknowledged to the peer can hold its lease any more.
    fn peer_is_silent(&self, now: Time) -> bool {
        now >= self.heard + self.config.limits.peer_timeout
    }

    /// The limits with what the voters allow.
    fn limits(&self) -> Limits {
        let shortest = self.voters.shortest_timeout();
        shortest.map_or(self.config.limits, |shortest| {
            self.config.limits.with_shortest(shortest)
        })
    }

    pub(super) fn prune(&mut self) {
        let electorate = &self.electorate;
        self.voters.prune(|voter| electorate.contains(voter));
    }
}

#[cfg(test)]
mod tests;
