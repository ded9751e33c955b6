//! What one server knows of the other: which process it is, how patient, and what it acknowledged.
//!
//! Deliberately absent: messages (`handshake`, `beats`) and what follows for the role.
//!
//! Invariant: nothing that is learned later makes an acknowledgement of the peer hold longer. One
//! of a voter may, but only where no vote can be used that relies on the shorter time:
//!
//! - A member's short limit is no longer told: it has ended its registration with the peer, and
//!   its vote with it. Whoever registers there under its id with a limit below the flag is held
//!   back anew, until this server has said that it knows of that one: it has shortened the hold
//!   by then (`learn_members`). With no such limit, it votes only after the flag's.
//! - A new process of the peer tells a longer flag: the votes of the former one ended with it, and
//!   the new one holds back by its own flag.
//! - The voter registers here anew with a longer limit: what its former life voted, it voted
//!   before. If that was used, this lease was over by the old terms when the oldest vote was
//!   asked for, and registering tests it first (rule 4).

use super::{BeatReply, News, Pair, Tenure, limits};
use crate::ids::StatestoreId;
use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

/// How long a subscriber rests before it tries to register again, at most (B-10).
const REGISTRATION_PAUSE: Duration = Duration::from_secs(5);

/// What is known of the other server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Peer<V: Ord> {
    pub(super) id: Option<StatestoreId>,
    /// It answers; shown as connected-with-peer.
    pub(super) found: bool,
    /// It is one of ours; none before it said anything.
    pub(super) extended: Option<bool>,
    pub(super) missed: u32,
    /// The process that left on purpose; nothing of it counts any more.
    pub(super) left: Option<StatestoreId>,
    pub(super) members: Option<BTreeSet<V>>,
    pub(super) members_version: i64,
    /// Agreed on with a former process, and not yet registered with this one.
    pub(super) expected: BTreeSet<V>,
    pub(super) expected_until: Time,
    /// As it says with all that may hold a lease.
    pub(super) patience: Option<Patience>,
    /// Limits of its members that are below its flag. A new process of ours tells anew, not before.
    pub(super) short_limits: BTreeMap<V, Duration>,
}

impl<V: Ord> Default for Peer<V> {
    fn default() -> Self {
        Self {
            id: None,
            found: false,
            extended: None,
            missed: 0,
            left: None,
            members: None,
            members_version: 0,
            expected: BTreeSet::new(),
            expected_until: Time::ZERO,
            patience: None,
            short_limits: BTreeMap::new(),
        }
    }
}

/// What a server goes by when it is to take over, as it tells the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Patience {
    /// Its T_p.
    pub peer: Duration,
    /// Its T_s, by its flag.
    pub subscriber: Duration,
}

/// The peer stands by for us: for what was sent when, and until when that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Acknowledgement {
    pub(super) at: Time,
    pub(super) until: Time,
}

impl<V: Ord + Clone> Pair<V> {
    /// Of what was sent at `at` and answered just now.
    pub(super) fn acknowledgement(&self, at: Time) -> Acknowledgement {
        // Against whoever of the two is less patient.
        let own = self.config.limits.peer_lease;
        let peers = self.peer.patience.map(|peers| limits::lease(peers.peer));
        let lease = peers.map_or(own, |peers| own.min(peers));
        Acknowledgement {
            at,
            until: at + lease,
        }
    }

    /// Until when the peer's acknowledgement holds the lease.
    pub(super) fn held_by_peer(&self) -> Option<Time> {
        self.peer_acknowledged.map(|it| it.until)
    }

    /// What it tells the peer.
    pub(super) fn patience(&self) -> Patience {
        Patience {
            peer: self.config.limits.peer_timeout,
            subscriber: self.config.limits.subscriber_timeout,
        }
    }

    /// The longest limit for which a voter's acknowledgement holds the lease: no longer than the
    /// peer knows of, since a later life of that voter may be registered with the peer alone.
    pub(super) fn longest_hold(&self, voter: &V) -> Duration {
        let own = self.config.limits.subscriber_timeout;
        let flag = self
            .peer
            .patience
            .map_or(own, |peers| own.min(peers.subscriber));
        let told = self.peer.short_limits.get(voter);
        told.map_or(flag, |told| flag.min(*told))
    }

    /// How long a voter may be silent without consequences, as far as the lease goes. The peer's
    /// word makes it no shorter than what is promised to work.
    pub fn patience_with(&self, voter: &V) -> Option<Duration> {
        let terms = self.terms(voter)?;
        let longest = self.longest_hold(voter).max(limits::SHORTEST_TIMEOUT);
        Some(terms.timeout.min(longest))
    }

    /// Who is registered here with a limit below the flag's.
    pub(super) fn short_limits(&self) -> BTreeMap<V, Duration> {
        let flag = self.config.limits.subscriber_timeout;
        let short = self
            .voters
            .registered()
            .filter(|(_, it)| it.terms.timeout < flag);
        short
            .map(|(id, it)| (id.clone(), it.terms.timeout))
            .collect()
    }

    /// The peer's registered subscribers, and which of them have limits below its flag.
    pub(super) fn learn_members(&mut self, now: Time, reply: &mut BeatReply<V>) {
        let newer = reply.members_version >= self.peer.members_version;
        if let Some(members) = reply.members.take().filter(|_| newer) {
            self.peer.members = Some(members);
            self.peer.members_version = reply.members_version;
            let limits = core::mem::take(&mut reply.short_limits);
            if limits != self.peer.short_limits {
                self.peer.short_limits = limits;
                self.shorten(now);
            }
        }
    }

    /// The peer says how patient it is.
    pub(super) fn learn_patience(&mut self, now: Time, theirs: Option<Patience>) {
        let own = self.patience();
        if let Some(theirs) = theirs
            && self.peer.patience != Some(theirs)
        {
            self.peer.patience = Some(theirs);
            if let Some(it) = &mut self.peer_acknowledged {
                it.until = it.until.min(it.at + limits::lease(theirs.peer));
            }
            self.shorten(now);
            if theirs != own {
                self.news.push(News::PeerPatienceDiffers { own, theirs });
            }
        }
    }

    /// The peer said something.
    pub(super) fn meet(&mut self, now: Time, id: StatestoreId, extended: bool) {
        let changed = self.peer.id != Some(id) || self.peer.extended != Some(extended);
        if changed {
            self.peer.id = Some(id);
            self.peer.extended = Some(extended);
            self.peer.members = None;
            self.peer.members_version = 0;
            if !extended {
                // It will never tell other limits than its former process did.
                self.peer.patience = None;
                self.peer.short_limits.clear();
            }
            self.expect(self.seated(), now);
            self.electorate.resend();
        }
        self.peer.missed = 0;
        if changed || !self.peer.found {
            self.peer.found = true;
            self.news.push(News::PeerFound { id, extended });
        }
    }

    /// The active names the members that it knows of. If these are the present ones, it counts on
    /// none of them for longer than the limit that is known here.
    pub(super) fn confirmed(&mut self, known_members: i64) {
        if known_members == self.members_version {
            self.voters.release();
        }
    }

    /// Who is to have a seat beside whoever has just appeared: those agreed on, or, where nothing
    /// is, who has answered one that is alone what it asks.
    fn seated(&self) -> BTreeSet<V> {
        let alone = matches!(self.tenure, Tenure::Alone { .. });
        if self.role.acts() && alone && self.electorate.is_none() {
            let answered = self
                .voters
                .registered()
                .filter(|(_, it)| it.voice.is_some());
            return answered.map(|(id, _)| id.clone()).collect();
        }
        self.electorate.sets().flatten().cloned().collect()
    }

    /// These keep their seats for the time in which everybody who is alive finds out that a server
    /// is another process.
    pub(super) fn expect(&mut self, voters: BTreeSet<V>, now: Time) {
        self.peer.expected = voters;
        self.peer.expected_until = now + self.timeout_of_most() * 2 + REGISTRATION_PAUSE;
    }

    /// The limit that more than half of the voters do not exceed; the flag's at least, and not
    /// more than ten times that.
    pub(super) fn timeout_of_most(&self) -> Duration {
        let flag = self.config.limits.subscriber_timeout;
        let most = self.voters.timeout_of_most().unwrap_or(flag);
        most.clamp(flag, flag * 10)
    }

    /// Rule 12: the electorate of who is active is who is registered with both. Looked at only when
    /// the peer has just answered, so at most once a tick, and never while it is out of sight
    /// (rule 13).
    ///
    /// Whoever was agreed on keeps the seat while a new process of the peer is being found: an
    /// electorate of nobody would leave the lease to a peer that may crash again.
    pub(super) fn adjust_electorate(&mut self, now: Time) {
        let free = self.electorate.proposed().is_none() && self.electorate.is_adopted();
        let Some(members) = self
            .peer
            .members
            .as_ref()
            .filter(|_| free && self.role.acts())
        else {
            return;
        };
        let mut wanted = self.registered_set();
        let expected = &mut self.peer.expected;
        expected.retain(|voter| {
            now < self.peer.expected_until && wanted.contains(voter) && !members.contains(voter)
        });
        wanted.retain(|voter| members.contains(voter) || expected.contains(voter));
        if self.electorate.propose(wanted) {
            self.shorten(now); // from now on both sets count
        }
    }
}
