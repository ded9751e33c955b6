//! One form for all states of a [`Pair`] that no future can tell apart, for who explores them.
//!
//! A search over states is finite only if a state comes back: not if it holds a clock that runs
//! on, or counts what happened. So all times move back by what has passed since, and what the
//! rules no longer look at is levelled: an acknowledgement that holds nothing any more is none,
//! votes of before an activation are none, the number of grants is only "moved" or "not moved".
//!
//! Deliberately absent: any use of it in a statestored. Nothing here decides.
//!
//! Invariant: a pair and its canonical form say and do the same from `now` on, shown by lockstep
//! in `sim/model`. Not the same are what is only shown, and how often voters are asked. Every
//! field is named below without `..`, so that a new one has to say what becomes of it.

use super::peer::{Acknowledgement, Peer};
use super::voter::Voter;
use super::{Claim, HelloSent, Pair, Tenure};
use crate::role::Role;
use crate::time::Time;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire::Epoch;

impl<V: Ord + Clone> Pair<V> {
    /// The same pair on a clock that reads `now`, where it read `now + back` before, and that is
    /// set back so whenever time passes. Times before the clock's zero become zero, so `now` has
    /// to lie further than every timeout from it; a wait that is longer than that is never over.
    /// `hellos` are all those under way; they are renumbered with it. News are dropped.
    ///
    /// For up to 256 voters and a peer that is one of ours.
    pub fn canonical(&mut self, now: Time, back: Duration, hellos: &mut [&mut HelloSent]) {
        let before = self.votes_from;
        self.shift(back);
        let from = self.votes_from;
        for voter in self.voters.iter_mut() {
            let counts = voter.voice.is_some_and(|voice| voice.sent > before);
            voter.shift(back);
            // At the clock's zero the order of the two would be lost.
            if let Some(voice) = voter.voice.as_mut().filter(|_| counts) {
                voice.sent = voice.sent.max(from + Duration::from_nanos(1));
            }
        }
        self.level(now);
        self.level_voices(now);
        for hello in hellos {
            hello.at = hello.at - back;
            hello.yielded = u64::from(hello.yielded == self.yielded);
        }
        self.yielded = 1;
    }

    /// The highest epoch that it has seen or taken, also for a claim that failed: of these there
    /// may be any number, each with a higher one, so a search has to say up to where it follows.
    pub fn highest_named(&self) -> Epoch {
        self.highest.max(self.taken)
    }

    /// What is known of a voter, and whether it is agreed on, proposed, the peer's member, and
    /// expected to be: all that tells it from another.
    pub fn seat(&self, voter: &V) -> (Option<&Voter>, [bool; 4]) {
        let within = |set: Option<&BTreeSet<V>>| set.is_some_and(|set| set.contains(voter));
        let sets = [
            within(Some(self.electorate.agreed())),
            within(self.electorate.proposed()),
            within(self.peer.members.as_ref()),
            within(Some(&self.peer.expected)),
        ];
        (self.voters.find(voter), sets)
    }

    /// The same pair with its voters under other names, no two under one.
    pub fn renamed(&mut self, name: impl Fn(&V) -> V) {
        let renamed = |set: &BTreeSet<V>| set.iter().map(&name).collect();
        self.electorate.rename(renamed);
        self.peer.members = self.peer.members.as_ref().map(renamed);
        self.peer.expected = renamed(&self.peer.expected);
        let limits = core::mem::take(&mut self.peer.short_limits).into_iter();
        self.peer.short_limits = limits.map(|(id, limit)| (name(&id), limit)).collect();
        self.voters.rename(&name);
    }

    fn shift(&mut self, back: Duration) {
        let Self {
            config: _,
            id: _,
            role: _,
            tenure,
            claim,
            epoch: _,
            highest: _,
            taken: _,
            peer:
                Peer {
                    id: _,
                    found: _,
                    extended: _,
                    missed: _,
                    left: _,
                    members: _,
                    members_version: _,
                    expected: _,
                    expected_until,
                    patience: _,
                    short_limits: _,
                },
            electorate: _,
            unilateral: _,
            adopted: _,
            voters: _,
            members_version: _,
            heard,
            contacted: _,
            resigned: _,
            muted: _,
            claim_failed: _,
            awaits_beat: _,
            peer_acknowledged,
            held_until,
            refreshed,
            votes_from,
            counted,
            yielded: _,
            undecided_since,
            intrusions: _,
            silent_until,
            silence_from,
            rounds: _,
            news: _,
        } = self;
        let mut times: Vec<&mut Time> = Vec::new();
        times.extend([heard, refreshed, votes_from, undecided_since, silence_from]);
        let known = [held_until, counted, silent_until];
        times.extend(known.into_iter().flatten());
        times.push(expected_until);
        if let Some(Acknowledgement { at, until }) = peer_acknowledged {
            times.extend([at, until]);
        }
        if let Some(Claim { epoch: _, since }) = claim {
            times.push(since);
        }
        if let Tenure::Alone { yields_from, .. } = tenure {
            times.push(yields_from);
        }
        for time in times {
            *time = *time - back;
        }
    }

    fn level(&mut self, now: Time) {
        self.news.clear();
        self.counted = None; // so few voters are counted every time
        self.unilateral = false; // only shown
        let limits = self.config.limits;
        let over = |end: Time| end <= now;
        let level = |time: Time, alike: bool| if alike { Time::ZERO } else { time };
        self.held_until.take_if(|until| over(*until));
        self.peer_acknowledged.take_if(|it| over(it.until));
        if over(self.peer.expected_until) {
            self.peer.expected.clear();
        }
        if self.peer.expected.is_empty() {
            self.peer.expected_until = Time::ZERO;
        }
        if let Some(claim) = &mut self.claim {
            claim.since = level(claim.since, over(claim.since + limits.vote_age));
        }
        let acts = self.role.acts();
        let leased = acts && self.tenure == Tenure::Leased;
        let looked_at = self.next_refresh().is_some_and(|at| !over(at));
        self.refreshed = level(self.refreshed, !leased || !looked_at);
        self.heard = level(self.heard, over(self.heard + limits.peer_timeout));
        // Whatever ends an activation sets these anew.
        let never = !over(Time::ZERO + limits.preemption_wait);
        self.undecided_since = level(self.undecided_since, acts || never);
        self.silence_from = level(self.silence_from, acts || !self.takes_turns(now));
        self.awaits_beat &= self.role == Role::Standby;
        let highest = self.highest;
        if self.taken <= highest {
            self.taken = Epoch::default();
        }
        self.adopted.take_if(|(epoch, _)| *epoch < highest);
        if !acts {
            self.epoch = Epoch::default();
            self.electorate.begin(0);
        }
    }

    /// True if rule 19 is in reach of this clock.
    fn takes_turns(&self, now: Time) -> bool {
        let limits = self.config.limits;
        Time::ZERO + limits.peer_timeout + limits.subscriber_timeout <= now
    }

    /// Voices that no count looks at any more.
    fn level_voices(&mut self, now: Time) {
        let alone = matches!(self.tenure, Tenure::Alone { .. });
        let leads = self.role.acts() && !alone;
        let (from, limits) = (self.votes_from, self.config.limits);
        // Who may start alone looks at voices of any age.
        let starts = Time::ZERO + limits.preemption_wait <= now && self.electorate.is_none();
        let only_votes = !alone && !starts && !self.takes_turns(now);
        for voter in self.voters.iter_mut() {
            let lease = super::limits::lease(voter.terms.timeout);
            voter.served &= alone;
            voter.acknowledged.take_if(|at| *at + lease <= now);
            let Some(voice) = &mut voter.voice else {
                continue;
            };
            let counts = !leads && voice.sent > from;
            let fresh = now <= voice.sent + limits.vote_age;
            voice.lost &= counts && fresh;
            let patience = limits.subscriber_timeout;
            let spoken = match leads {
                true => voice.sent < now,
                false if only_votes => !fresh,
                false => !counts && !alone && voice.sent + patience < now,
            };
            voter.voice.take_if(|_| spoken);
        }
        if leads || (only_votes && from + limits.vote_age < now) {
            self.votes_from = Time::ZERO;
        }
    }
}

impl Voter {
    fn shift(&mut self, back: Duration) {
        let Self {
            registered: _,
            terms: _,
            acknowledged,
            unproven,
            voice,
            skips_since,
            served: _,
            unknown,
            votes_after,
        } = self;
        let asked = voice.as_mut().map(|voice| &mut voice.sent);
        let since = unknown.as_mut().map(|unknown| &mut unknown.since);
        let own = [acknowledged, skips_since, votes_after];
        let answers = unproven.iter_mut().flatten();
        let answers = answers.flat_map(|it| [&mut it.sent, &mut it.answered]);
        let own = own.into_iter().flatten().chain(answers);
        for time in own.chain(asked).chain(since) {
            *time = *time - back;
        }
    }
}
