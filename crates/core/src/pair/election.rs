//! How a role is won and lost (ha.md rules 1, 4, 5, 18, 19, 21).
//!
//! Deliberately absent: messages between the two; `handshake` and `beats` come here with their
//! outcome.

use super::electorate::is_majority;
use super::{Fence, News, Pair, Tenure, Why, epoch};
use crate::role::Role;
use crate::time::{Now, Time};
use alloc::collections::BTreeSet;
use core::time::Duration;
use statestore_wire::{ConnState, Epoch};

/// Up to so many voters are counted at every answer; more, only now and then.
const FEW: usize = 256;
/// HA heartbeats of a reference peer that an active server stands (H-13).
const INTRUSIONS: u32 = 10;
/// A lease that nobody renews any more is not looked at more often than so.
const SOON: Duration = Duration::from_millis(1);

impl<V: Ord + Clone> Pair<V> {
    /// Rule 4: tests the lease with the state before whatever comes next. Every way in does it.
    pub fn observe(&mut self, now: Time) {
        if !self.role.acts() || self.tenure != Tenure::Leased {
            return;
        }
        if self.next_refresh().is_none_or(|at| at <= now) {
            self.look(now);
        }
    }

    /// Looks at the lease as it is known now; one that is over ends the role.
    fn look(&mut self, now: Time) {
        self.refreshed = now;
        let before = self.held_until;
        self.held_until = self.lease_end();
        if self.held_until.is_none_or(|until| until <= now) {
            self.held_until = self.held_until.max(before);
            self.step_down(now, Why::LeaseExpired);
        }
    }

    /// Rule 1: until when the acknowledgements that are known hold the lease.
    pub(super) fn lease_end(&self) -> Option<Time> {
        self.held_by_peer().max(self.held_by_voters())
    }

    /// Until when half of each set that counts holds the lease; none without an electorate.
    pub(super) fn held_by_voters(&self) -> Option<Time> {
        if self.peer.extended == Some(false) {
            let set: BTreeSet<V> = self.registered_set();
            return self.voters.held_until(&set, |id| self.longest_hold(id));
        }
        let mut end: Option<Time> = None;
        for set in self.electorate.sets() {
            let held = self.voters.held_until(set, |id| self.longest_hold(id))?;
            end = Some(end.map_or(held, |end| end.min(held)));
        }
        end
    }

    /// The lease is looked at anew well before it ends, however short, so that a fence never
    /// lapses while acknowledgements come in.
    pub(super) fn next_refresh(&self) -> Option<Time> {
        let until = self.held_until.filter(|_| self.tenure == Tenure::Leased)?;
        let half = (until.since(self.refreshed) / 2).max(SOON);
        let period = half.min(self.config.limits.vote_age / 4);
        Some(until.min(self.refreshed + period))
    }

    /// What holds the lease may hold it for a shorter time now. It is looked at anew at once: one
    /// that is over already, or before the next look, would end the role only with the next input.
    pub(super) fn shorten(&mut self, now: Time) {
        if !self.role.acts() {
            return;
        }
        match self.tenure {
            Tenure::Leased => self.look(now),
            Tenure::Alone { .. } | Tenure::Unopposed => self.held_until = self.lease_end(),
        }
    }

    /// The lease is longer now.
    pub(super) fn extend(&mut self, until: Time) {
        if self.held_until.is_some_and(|held| held < until) {
            self.held_until = Some(until);
        }
    }

    pub(super) fn step_down(&mut self, now: Time, why: Why) {
        let leased = self.tenure == Tenure::Leased;
        let until = self.held_until.take().filter(|_| leased);
        self.role = Role::Recovery;
        self.tenure = Tenure::Leased;
        self.forget_votes(now);
        self.peer_acknowledged = None;
        self.undecided_since = now;
        self.silence_from = now;
        self.news.push(News::SteppedDown {
            epoch: self.epoch,
            why,
            expired: until.map_or(Duration::ZERO, |until| now.since(until)),
        });
    }

    pub(super) fn become_active(&mut self, now: Now, tenure: Tenure, why: Why) {
        let claimed = self.claim.take().map(|claim| claim.epoch);
        let epoch = claimed.filter(|_| why == Why::Acknowledged);
        self.epoch = epoch.unwrap_or_else(|| self.next_epoch(now));
        self.taken = self.taken.max(self.epoch);
        self.role = Role::Active;
        self.tenure = tenure;
        self.claim_failed = false;
        self.intrusions = 0;
        self.silent_until = None;
        let alone = matches!(tenure, Tenure::Alone { .. });
        let serves = self
            .voters
            .serve(|voter| alone && voter.may_be_served(false));
        if serves || !matches!(tenure, Tenure::Alone { forced: false, .. }) {
            self.publish_epoch();
        }
        self.electorate.begin(1);
        self.forget_votes(now.time);
        self.held_until = self.lease_end();
        self.refreshed = now.time;
        let epoch = self.epoch;
        self.news.push(News::Active { epoch, why });
    }

    pub(super) fn stand_by(&mut self, now: Time, why: Why) {
        self.claim = None;
        self.claim_failed = false;
        self.awaits_beat = true;
        self.heard = now;
        self.contacted = true;
        self.undecided_since = now;
        self.silence_from = now;
        self.silent_until = None;
        self.forget_votes(now);
        // One that cannot say anything still looks for a role (H-9).
        let looks_on = self.muted && self.role == Role::Recovery;
        if self.role != Role::Standby && !looks_on {
            self.role = Role::Standby;
            self.news.push(News::StandsBy(why));
        }
    }

    /// Votes are dropped: only answers to what is asked from now on count (rule 6).
    fn forget_votes(&mut self, now: Time) {
        self.votes_from = now;
        self.counted = None;
    }

    pub(super) fn next_epoch(&self, now: Now) -> Epoch {
        let second = match self.peer.id.or(self.peer.left) {
            Some(peer) => self.id > peer,
            None => self.id.0.lo & 1 == 1,
        };
        let own = self.id.0.hi >> 24;
        epoch::next(self.highest.max(self.taken), now.wall, second, own)
    }

    /// True for one that is alone, and nobody knows that it is active.
    pub(super) fn is_unknown(&self) -> bool {
        self.role.acts() && self.epoch > self.highest
    }

    /// From now on somebody may know this activation's epoch. That of one that is alone and serves
    /// nobody is no reason for anybody to step down (rule 18).
    pub(super) fn publish_epoch(&mut self) {
        self.highest = self.highest.max(self.epoch);
    }

    /// Whether an inactive server becomes active, or one that is alone yields.
    pub(super) fn consider(&mut self, now: Now) {
        let many = self.voters.count() > FEW;
        let recently = |at: Time| now.time < at + self.limits().vote_age / 30;
        let just_counted = many && self.counted.is_some_and(recently);
        if let Tenure::Alone { yields_from, .. } = self.tenure
            && self.role.acts()
        {
            if !just_counted {
                self.counted = Some(now.time);
                self.yield_to_the_heard(now.time, yields_from);
            }
            return;
        }
        let waits = self.claim.is_some() || self.is_mute() || self.is_silent(now.time);
        if self.role.acts() || waits {
            return;
        }
        if just_counted {
            return;
        }
        self.counted = Some(now.time);
        if self.may_start_alone(now.time) {
            let tenure = Tenure::Alone {
                yields_from: now.time,
                forced: false,
            };
            return self.become_active(now, tenure, Why::Alone);
        }
        let Some((lost, of)) = self.majority_lost(now.time) else {
            return;
        };
        if !self.peer_is_silent(now.time) {
            return self.warn_of_majority(now.time, lost, of);
        }
        self.take_over(now, lost, of);
    }

    /// Rule 5.
    fn take_over(&mut self, now: Now, lost: usize, of: usize) {
        let stranger = self.peer.extended == Some(false);
        if self.electorate.agreed().is_empty() || stranger {
            let proposed = self.electorate.proposed().filter(|_| !stranger).cloned();
            let voters = proposed.unwrap_or_else(|| self.registered_set());
            self.electorate.settle(voters);
            self.unilateral = true;
        } else if self.electorate.proposed().is_some_and(BTreeSet::is_empty) {
            // Half of nobody would hold no lease.
            self.electorate.settle(self.electorate.agreed().clone());
            self.unilateral = true;
        }
        self.peer_acknowledged = None;
        self.peer.found = false;
        self.become_active(now, Tenure::Leased, Why::TakeOver { lost, of });
    }

    /// If a majority of every set that counts has lost the other: how many, of how many. Without
    /// an electorate those count that are registered here (rule 18).
    fn majority_lost(&self, now: Time) -> Option<(usize, usize)> {
        let count = |set: &BTreeSet<V>| {
            let age = self.limits().vote_age;
            let lost = self.voters.votes(set, now, self.votes_from, age);
            is_majority(lost, set.len()).then_some((lost, set.len()))
        };
        if self.electorate.is_none() || self.peer.extended == Some(false) {
            return count(&self.registered_set());
        }
        let mut counts = self.electorate.deciding().map(count);
        let agreed = counts.next()??;
        counts.all(|count| count.is_some()).then_some(agreed)
    }

    fn warn_of_majority(&mut self, now: Time, lost: usize, of: usize) {
        if self.role == Role::Standby && !self.news.iter().any(News::is_majority_lost) {
            let silence = now.since(self.heard);
            self.news
                .push(News::MajorityLostActive { lost, of, silence });
        }
    }

    /// Rule 18: nothing is agreed with anybody, the wait is over, and nobody who is registered
    /// has ever heard another server.
    fn may_start_alone(&self, now: Time) -> bool {
        let limits = &self.config.limits;
        self.electorate.is_none()
            && now >= self.undecided_since + limits.preemption_wait
            && (!self.contacted || self.peer_is_silent(now))
            && self.voters.registered().all(|(_, voter)| {
                let voice = voter.recent_voice(now, limits.subscriber_timeout);
                voice.is_some_and(|voice| {
                    voice.sent > self.votes_from && voice.state == ConnState::UNKNOWN
                })
            })
    }

    /// Rule 18: one that is alone yields when most of those who are registered follow the other.
    fn yield_to_the_heard(&mut self, now: Time, from: Time) {
        if now < from {
            return;
        }
        let follows = |voter: &super::Voter| {
            let voice = voter.recent_voice(now, self.config.limits.subscriber_timeout);
            voice.is_some_and(|voice| voice.sent >= from) && voter.follows_other()
        };
        let hearing = self.voters.registered().filter(|(_, voter)| follows(voter));
        if is_majority(hearing.count(), self.voters.count()) {
            self.step_down(now, Why::OthersHearPeer);
        }
    }

    /// Rule 21: more than half of the electorate skip persistently, so they follow somebody else.
    pub(super) fn yield_to_skippers(&mut self, now: Time) {
        let patience = self.config.limits.peer_lease;
        let skips = |id: &&V| {
            let since = self.voters.find(id).and_then(|voter| voter.skips_since);
            since.is_some_and(|since| now.since(since) >= patience)
        };
        let agreed = self.electorate.agreed();
        if is_majority(agreed.iter().filter(skips).count(), agreed.len()) {
            self.step_down(now, Why::Skipped);
        }
    }

    /// H-13, for a reference peer that does not know epochs.
    pub(super) fn intruded(&mut self, now: Time) {
        self.intrusions += 1;
        if self.intrusions > INTRUSIONS {
            self.step_down(now, Why::DualActive);
        }
    }

    /// An operator makes this server active, at the risk of two (ha.md section 4). None if it has
    /// said that it never will be again.
    pub fn force(&mut self, now: Now) -> Option<Fence> {
        self.observe(now.time);
        if self.resigned {
            return None;
        }
        let limits = self.config.limits;
        let tenure = Tenure::Alone {
            yields_from: now.time + limits.peer_timeout + limits.subscriber_timeout,
            forced: true,
        };
        if !self.role.acts() {
            self.electorate.settle(BTreeSet::new());
            self.peer_acknowledged = None;
            self.become_active(now, tenure, Why::Forced);
        } else if matches!(self.tenure, Tenure::Alone { forced: false, .. }) {
            self.tenure = tenure; // from now on it serves everybody
            self.publish_epoch();
        }
        Some(Fence {
            epoch: self.epoch,
            until: None,
        })
    }

    /// True if it must not become active, or could not say so.
    pub(super) fn is_mute(&self) -> bool {
        self.muted || self.resigned
    }

    pub(super) fn registered_set(&self) -> BTreeSet<V> {
        self.voters.registered().map(|(id, _)| id.clone()).collect()
    }
}

impl News {
    fn is_majority_lost(&self) -> bool {
        matches!(self, Self::MajorityLostActive { .. })
    }
}
