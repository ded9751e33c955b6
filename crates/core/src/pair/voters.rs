//! What is known of each voter: how long its last acknowledgement holds a lease, and its vote.
//!
//! Both take the time at which the *request* was sent (ha.md rules 2 and 6): a voter that
//! acknowledged a heartbeat sent at `a` will not call the sender lost before `a` plus its timeout,
//! whenever the reply arrived.
//!
//! Subscribers of the reference know no epochs and answer OK also to what they ignore. Their
//! acknowledgement counts only once a later update was really processed (rule 20), and their
//! UNKNOWN only after a whole timeout on one connection (rule 9).
//!
//! Deliberately absent: who is in the electorate, and what follows from a count.

use super::limits::{certainly, lease};
use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire::{ConnState, Epoch};

/// What a subscriber said about itself when it registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Terms {
    /// T_s: its silence limit.
    pub timeout: Duration,
    /// It understands epochs: one of ours.
    pub extended: bool,
}

/// A voter's answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VoterReply {
    /// What it says of the other server (H-34); none if it was not asked.
    pub state: Option<ConnState>,
    /// Ours only: its whole timeout has passed without a heartbeat of the other server, its own
    /// life included (rule 9).
    pub other_is_lost: Option<bool>,
    /// Ours only: the other server's last heartbeat was an active one's.
    pub other_is_active: bool,
    /// Ours only: the highest epoch it has seen.
    pub highest: Option<Epoch>,
}

/// What a voter last said about the other server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Voice {
    /// When it was asked.
    pub sent: Time,
    /// Its word as on the wire.
    pub state: ConnState,
    /// It votes for a takeover.
    pub lost: bool,
    /// It says that the other server acts.
    pub other_is_active: bool,
}

/// Since when a voter says nothing but UNKNOWN, on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Unknown {
    pub(super) since: Time,
    connection: u64,
}

/// A heartbeat that a reference voter answered, whether it ignored it or not (rule 20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Unproven {
    pub(super) sent: Time,
    /// An update that was on its way by then may have been processed before.
    pub(super) answered: Time,
}

/// One voter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Voter {
    /// Registered here now.
    pub registered: bool,
    /// What it said of itself.
    pub terms: Terms,
    /// `a[v]`: send time of the last acknowledged heartbeat.
    pub acknowledged: Option<Time>,
    /// The first and the last heartbeat whose acknowledgement has yet to be proven by an update.
    pub(super) unproven: [Option<Unproven>; 2],
    /// `f[v]`, and more.
    pub voice: Option<Voice>,
    /// Since when it skips what an active sends (rule 21).
    pub skips_since: Option<Time>,
    /// One that is alone has asked it, and may serve it (rule 18).
    pub served: bool,
    pub(super) unknown: Option<Unknown>,
    /// Before that, a former life with a longer limit may have acknowledged the other server.
    pub(super) votes_after: Option<Time>,
}

impl Voter {
    fn new(terms: Terms) -> Self {
        Self {
            registered: false,
            terms,
            acknowledged: None,
            unproven: [None; 2],
            voice: None,
            skips_since: None,
            served: false,
            unknown: None,
            votes_after: None,
        }
    }

    /// Until when its acknowledgement holds a lease.
    pub fn holds_until(&self) -> Option<Time> {
        self.acknowledged.map(|at| at + lease(self.terms.timeout))
    }

    /// It answered a heartbeat sent at `sent`.
    pub(super) fn answered(
        &mut self,
        now: Time,
        (sent, connection): (Time, u64),
        reply: &VoterReply,
        acts: bool,
    ) {
        let later = |at: Option<Time>| at.is_none_or(|at| at < sent);
        if self.terms.extended || !acts {
            if later(self.acknowledged) {
                self.acknowledged = Some(sent);
            }
        } else {
            let answer = Unproven {
                sent,
                answered: now,
            };
            let [first, last] = &mut self.unproven;
            first.get_or_insert(answer);
            *last = Some(answer);
        }
        let Some(state) = reply.state else {
            return;
        };
        let lost = match reply.other_is_lost.filter(|_| self.terms.extended) {
            Some(lost) => lost,
            None => self.calls_it_lost(sent, connection, state),
        };
        if self.voice.is_none_or(|voice| voice.sent <= sent) {
            self.voice = Some(Voice {
                sent,
                state,
                lost,
                other_is_active: reply.other_is_active,
            });
        }
    }

    /// Rule 9, for who knows no extensions.
    fn calls_it_lost(&mut self, sent: Time, connection: u64, state: ConnState) -> bool {
        if state != ConnState::UNKNOWN {
            self.unknown = None;
            return state == ConnState::FAILED;
        }
        if self.terms.extended {
            return false;
        }
        let unknown = self
            .unknown
            .filter(|unknown| unknown.connection == connection)
            .unwrap_or(Unknown {
                since: sent,
                connection,
            });
        self.unknown = Some(unknown);
        sent.since(unknown.since) >= certainly(self.terms.timeout)
    }

    /// Rule 18: whether one that is alone may serve it, going by what it has just said. Whoever
    /// knows another server is left to that one until, by rule 8, none of its leases can be left.
    pub(super) fn may_be_served(&self, waited: bool) -> bool {
        self.voice.is_some_and(|voice| match voice.state {
            ConnState::UNKNOWN => true,
            ConnState::OK => waited && self.terms.extended && !voice.other_is_active,
            _ => waited && voice.lost,
        })
    }

    /// What it said last, if it was asked no longer ago than this.
    pub(super) fn recent_voice(&self, now: Time, age: Duration) -> Option<Voice> {
        self.voice.filter(|voice| now <= voice.sent + age)
    }

    /// It says that it follows the other server; one of the reference, that it hears it.
    pub(super) fn follows_other(&self) -> bool {
        self.voice.is_some_and(|voice| {
            voice.state == ConnState::OK && (voice.other_is_active || !self.terms.extended)
        })
    }

    /// Its connection broke, or it did not answer: a new process may be behind it (rule 9).
    pub(super) fn interrupted(&mut self) {
        self.unknown = None;
    }

    /// An update sent at `sent` was answered (rules 20, 21).
    pub(super) fn updated(&mut self, sent: Time, processed: bool) {
        if !processed {
            self.skips_since.get_or_insert(sent);
            if !self.terms.extended {
                self.acknowledged = None;
                self.unproven = [None; 2];
            }
            return;
        }
        self.skips_since = None;
        // Also if a vote that was counted since is newer: kept, it would hide every later one.
        let [first, last] = self.unproven;
        let proven = |it: &Unproven| it.answered < sent;
        if let Some(last) = last.filter(proven) {
            self.acknowledged = self.acknowledged.max(Some(last.sent));
            self.unproven = [None; 2];
        } else if let Some(first) = first.filter(proven) {
            self.acknowledged = self.acknowledged.max(Some(first.sent));
            self.unproven = [last; 2];
        }
    }

    /// Its vote, if it is for a takeover and may be used.
    fn votes(&self, now: Time, from: Time, age: Duration) -> bool {
        let from = self.votes_after.map_or(from, |after| after.max(from));
        let voice = self.recent_voice(now, age);
        voice.is_some_and(|voice| voice.lost && voice.sent > from)
    }
}

/// All voters: registered here, or in the electorate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Voters<V: Ord> {
    all: BTreeMap<V, Voter>,
    registered: usize,
    /// How many have which timeout.
    timeouts: BTreeMap<Duration, usize>,
}

impl<V: Ord> Default for Voters<V> {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            registered: 0,
            timeouts: BTreeMap::new(),
        }
    }
}

impl<V: Ord + Clone> Voters<V> {
    /// Of this voter.
    pub fn find(&self, voter: &V) -> Option<&Voter> {
        self.all.get(voter)
    }

    pub(super) fn find_mut(&mut self, voter: &V) -> Option<&mut Voter> {
        self.all.get_mut(voter)
    }

    /// Everybody, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&V, &Voter)> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Voter> {
        self.all.values_mut()
    }

    /// The same voters under other names (`canon`).
    pub(super) fn rename(&mut self, name: impl Fn(&V) -> V) {
        let all = core::mem::take(&mut self.all).into_iter();
        self.all = all.map(|(id, voter)| (name(&id), voter)).collect();
    }

    /// Who is registered here, in order.
    pub fn registered(&self) -> impl Iterator<Item = (&V, &Voter)> {
        self.all.iter().filter(|(_, voter)| voter.registered)
    }

    /// How many are registered here.
    pub fn count(&self) -> usize {
        self.registered
    }

    /// A registration begins. What was said under an older one is no answer of this one's.
    pub(super) fn register(&mut self, now: Time, voter: V, terms: Terms) {
        let former = self.all.get(&voter).map(|former| former.terms.timeout);
        if let Some(timeout) = former {
            self.uncount(timeout);
        }
        let longer = former.filter(|former| *former > terms.timeout);
        self.count_timeout(terms.timeout);
        let entry = self.all.entry(voter).or_insert_with(|| Voter::new(terms));
        self.registered += usize::from(!entry.registered);
        entry.registered = true;
        if let Some(longer) = longer {
            entry.votes_after = Some(now + certainly(longer));
        }
        entry.terms = terms;
        entry.unproven = [None; 2];
        entry.voice = None;
        entry.unknown = None;
        entry.skips_since = None;
        entry.served = false;
    }

    /// Nobody is served any more by one that is alone, or all who may be are. True if any is.
    pub(super) fn serve(&mut self, may: impl Fn(&Voter) -> bool) -> bool {
        for voter in self.all.values_mut() {
            voter.served = may(voter);
        }
        self.all.values().any(|voter| voter.served)
    }

    /// A registration ends; its acknowledgement does not (rule 13).
    pub(super) fn unregister(&mut self, voter: &V) {
        if let Some(entry) = self.all.get_mut(voter) {
            self.registered -= usize::from(entry.registered);
            entry.registered = false;
            entry.unproven = [None; 2];
            entry.voice = None;
            entry.unknown = None;
        }
    }

    /// Makes room for voters of whom only the peer has told.
    pub(super) fn admit(&mut self, voters: &BTreeSet<V>, terms: Terms) {
        for voter in voters {
            if !self.all.contains_key(voter) {
                self.all.insert(voter.clone(), Voter::new(terms));
                self.count_timeout(terms.timeout);
            }
        }
    }

    /// Forgets everybody who is neither registered nor counts.
    pub(super) fn prune(&mut self, counts: impl Fn(&V) -> bool) {
        let gone = |(id, voter): &(&V, &Voter)| !voter.registered && !counts(id);
        let gone = self.all.iter().filter(gone).map(|(id, _)| id.clone());
        let gone: Vec<V> = gone.collect();
        gone.iter().for_each(|id| self.forget(id));
    }

    /// Forgets one who is not registered.
    pub(super) fn forget(&mut self, voter: &V) {
        if self.all.get(voter).is_some_and(|voter| !voter.registered)
            && let Some(gone) = self.all.remove(voter)
        {
            self.uncount(gone.terms.timeout);
        }
    }

    fn count_timeout(&mut self, timeout: Duration) {
        *self.timeouts.entry(timeout).or_default() += 1;
    }

    fn uncount(&mut self, timeout: Duration) {
        if let Some(count) = self.timeouts.get_mut(&timeout) {
            *count -= 1;
            if *count == 0 {
                self.timeouts.remove(&timeout);
            }
        }
    }

    /// Until when enough of these hold a lease that the rest is no majority. None if nobody is
    /// in the set, or too few have acknowledged anything.
    pub fn held_until(&self, set: &BTreeSet<V>) -> Option<Time> {
        let needed = super::electorate::blocking(set.len());
        let held = set.iter().filter_map(|id| self.all.get(id)?.holds_until());
        let mut held: Vec<Time> = held.collect();
        let place = held.len().checked_sub(needed).filter(|_| needed > 0)?;
        Some(*held.select_nth_unstable(place).1)
    }

    /// How many of these vote for a takeover, with votes asked for after `from` and not
    /// older than `age`.
    pub fn votes(&self, set: &BTreeSet<V>, now: Time, from: Time, age: Duration) -> usize {
        let votes = |id: &&V| {
            let voter = self.all.get(*id);
            voter.is_some_and(|voter| voter.votes(now, from, age))
        };
        set.iter().filter(votes).count()
    }

    /// The shortest timeout among who counts.
    pub(super) fn shortest_timeout(&self) -> Option<Duration> {
        self.timeouts.keys().next().copied()
    }
}
