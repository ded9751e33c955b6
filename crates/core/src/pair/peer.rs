//! What one server knows of the other: which process it is, how patient, and what it acknowledged.
//!
//! Deliberately absent: messages (`handshake`, `beats`) and what follows for the role.
//!
//! Invariant: nothing that is learned later makes an acknowledgement hold longer.

use super::{News, Pair, limits};
use crate::ids::StatestoreId;
use crate::time::Time;
use alloc::collections::BTreeSet;
use core::time::Duration;
use statestore_wire::Epoch;

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
    /// Its T_p, as it says with all that holds a lease.
    pub(super) timeout: Option<Duration>,
    /// The longest limit of a voter that may hold its lease, in this epoch.
    pub(super) longest: Option<(Epoch, Duration)>,
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
            timeout: None,
            longest: None,
        }
    }
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
        let peers = self.peer.timeout.map(limits::lease);
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

    /// The peer says its T_p, with what is about to hold the lease.
    pub(super) fn learn_timeout(&mut self, now: Time, theirs: Option<Duration>) {
        let own = self.config.limits.peer_timeout;
        if let Some(theirs) = theirs
            && self.peer.timeout != Some(theirs)
        {
            self.peer.timeout = Some(theirs);
            if let Some(it) = &mut self.peer_acknowledged {
                it.until = it.until.min(it.at + limits::lease(theirs));
            }
            self.shorten();
            self.observe(now);
            if theirs != own {
                self.news.push(News::PeerTimeoutDiffers { own, theirs });
            }
        }
    }

    /// The active says how long a voter of its may hold its lease: a later life of that voter may
    /// have a shorter limit, and be registered only here.
    pub(super) fn learn_longest(&mut self, now: Time, epoch: Epoch, longest: Duration) {
        let known = self.peer.longest.filter(|(of, _)| *of == epoch);
        if known.is_none_or(|(_, known)| known < longest) {
            self.peer.longest = Some((epoch, longest));
            self.voters.wait_out(now, longest);
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
            self.peer.expected = self.electorate.sets().flatten().cloned().collect();
            self.peer.expected_until = now + self.registration_time();
            self.electorate.resend();
        }
        self.peer.missed = 0;
        if changed || !self.peer.found {
            self.peer.found = true;
            self.news.push(News::PeerFound { id, extended });
        }
    }

    /// In how long everybody who is alive has found out that a server is another process.
    fn registration_time(&self) -> Duration {
        let flag = self.config.limits.subscriber_timeout;
        let longest = self.voters.longest_timeout().max(Some(flag));
        longest.unwrap_or(flag) * 2 + REGISTRATION_PAUSE
    }

    /// Rule 12: the electorate is who is registered with both. Looked at only when the peer has
    /// just answered, so at most once a tick, and never while it is out of sight (rule 13).
    ///
    /// Whoever was agreed on keeps the seat while a new process of the peer is being found: an
    /// electorate of nobody would leave the lease to a peer that may crash again.
    pub(super) fn adjust_electorate(&mut self, now: Time) {
        let free = self.electorate.proposed().is_none() && self.electorate.is_adopted();
        let Some(members) = self.peer.members.as_ref().filter(|_| free) else {
            return;
        };
        let mut wanted = self.registered_set();
        let expected = &mut self.peer.expected;
        expected.retain(|voter| {
            now < self.peer.expected_until && wanted.contains(voter) && !members.contains(voter)
        });
        wanted.retain(|voter| members.contains(voter) || expected.contains(voter));
        if self.electorate.propose(wanted) {
            self.shorten(); // from now on both sets count
        }
    }
}
