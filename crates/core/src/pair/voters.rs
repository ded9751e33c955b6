//! All voters: who is registered here or counts, with which limits, and how many vote.
//!
//! Deliberately absent: what one voter said (`voter`), who is in the electorate, and what follows
//! from a count.
//!
//! Invariant: whoever counts is here; a life with a shorter limit than a former one may have had
//! votes only when the lease that the former one may hold elsewhere is over.

use super::electorate::is_majority;
use super::limits::certainly;
use super::voter::{Terms, Voter};
use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

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

    /// A registration begins. What was said under an older one is no answer of this one's. A
    /// former life may hold the other server's lease for a limit of up to the flag's.
    pub(super) fn register(&mut self, now: Time, voter: V, terms: Terms, flag: Duration) {
        if let Some(former) = self.all.get(&voter) {
            self.uncount(former.terms.timeout);
        }
        self.count_timeout(terms.timeout);
        let entry = self.all.entry(voter).or_insert_with(|| Voter::new(terms));
        self.registered += usize::from(!entry.registered);
        entry.registered = true;
        let impatient = terms.timeout < flag;
        let after = impatient.then(|| now + certainly(flag));
        entry.votes_after = entry.votes_after.max(after);
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

    /// The other server counts on nobody for longer than is known here.
    pub(super) fn release(&mut self) {
        for voter in self.all.values_mut() {
            voter.votes_after = None;
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
    /// in the set, or too few have acknowledged anything. No limit counts for more than `longest`.
    pub fn held_until(&self, set: &BTreeSet<V>, longest: impl Fn(&V) -> Duration) -> Option<Time> {
        let needed = super::electorate::blocking(set.len());
        let held = set
            .iter()
            .filter_map(|id| self.all.get(id)?.holds_until(longest(id)));
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

    /// The one that more than half do not exceed.
    pub(super) fn timeout_of_most(&self) -> Option<Duration> {
        let mut most = 0;
        let mut by_length = self.timeouts.iter();
        let reached = by_length.find(|(_, count)| {
            most += **count;
            is_majority(most, self.all.len())
        });
        reached.map(|(timeout, _)| *timeout)
    }
}
