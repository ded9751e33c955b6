//! What subscribers do and say: they register, fail, leave, answer (ha.md rules 6, 9, 13, 14, 20).
//!
//! Deliberately absent: what is kept of each (`voters`), and what follows (`election`).

use super::{Pair, Terms, VoterReply};
use crate::time::{Now, Time};
use statestore_wire::{ConnState, Epoch};

impl<V: Ord + Clone> Pair<V> {
    /// A subscriber registered, for the first time or anew.
    pub fn voter_registered(&mut self, now: Time, voter: V, terms: Terms) {
        self.observe(now);
        let former = self.voters.find(&voter).map(|voter| voter.terms.timeout);
        let flag = self.config.limits.subscriber_timeout;
        self.voters.register(now, voter, terms, flag);
        self.members_version += 1;
        if former.is_some_and(|former| terms.timeout < former) {
            self.shorten(now); // its acknowledgement holds for a shorter time
        }
    }

    /// A registration ended: its subscriber failed, or stopped on purpose (rule 14). The vote does
    /// not end with it (rule 13): the same id may come back, and must find one seat on both sides.
    pub fn voter_removed(&mut self, now: Time, voter: &V) {
        self.observe(now);
        self.unregister(voter);
    }

    /// A voter answered a heartbeat that was sent at `sent` over this connection.
    pub fn heartbeat_answered(
        &mut self,
        now: Now,
        voter: &V,
        (sent, connection): (Time, u64),
        reply: &VoterReply,
    ) {
        self.observe(now.time);
        self.learn_epoch(now, reply.highest);
        let acts = self.role.acts();
        let waited = self.peer_is_silent(now.time);
        if let Some(entry) = self.voters.find_mut(voter) {
            entry.answered(now.time, (sent, connection), reply, acts);
            entry.served |= acts && entry.may_be_served(waited);
            if acts && entry.served {
                self.publish_epoch();
            }
        }
        if !acts || reply.state == Some(ConnState::OK) {
            self.consider(now);
        }
    }

    /// A voter did not answer a heartbeat, refused it, or said that it does not know yet whether
    /// it is the one that is meant; it may name a higher epoch all the same.
    pub fn heartbeat_failed(&mut self, now: Now, voter: &V, highest: Option<Epoch>) {
        self.observe(now.time);
        self.learn_epoch(now, highest);
        if let Some(entry) = self.voters.find_mut(voter) {
            entry.interrupted();
        }
    }

    /// A voter answered an update that was sent at `sent`: it processed it, or skipped it.
    pub fn update_answered(&mut self, now: Now, voter: &V, sent: Time, processed: bool) {
        self.observe(now.time);
        if !self.role.acts() {
            return;
        }
        if let Some(entry) = self.voters.find_mut(voter) {
            entry.updated(sent, processed);
        }
        let entry = self.voters.find(voter).filter(|_| !processed);
        let Some((extended, since)) = entry.map(|it| (it.terms.extended, it.skips_since)) else {
            return;
        };
        if !extended {
            self.shorten(now.time); // it does not hold the lease any more
        }
        let patience = self.config.limits.peer_lease;
        let persists = since.is_some_and(|since| now.time.since(since) >= patience);
        if persists && self.role.acts() {
            self.yield_to_skippers(now.time);
        }
    }

    /// True for a registered voter that speaks the extensions.
    pub fn is_extended(&self, voter: &V) -> bool {
        let entry = self.voters.find(voter);
        entry.is_some_and(|entry| entry.terms.extended)
    }

    fn unregister(&mut self, voter: &V) {
        self.voters.unregister(voter);
        self.members_version += 1;
        if !self.electorate.contains(voter) {
            self.voters.forget(voter);
        }
    }
}
