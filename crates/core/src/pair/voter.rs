//! One voter: how long its last acknowledgement holds a lease, and its vote.
//!
//! Both take the time at which the *request* was sent (ha.md rules 2 and 6): a voter that
//! acknowledged a heartbeat sent at `a` will not call the sender lost before `a` plus its timeout,
//! whenever the reply arrived.
//!
//! Subscribers of the reference know no epochs and answer OK also to what they ignore. Their
//! acknowledgement counts only once a later update was really processed (rule 20), and their
//! UNKNOWN only after a whole timeout on one connection (rule 9).
//!
//! Deliberately absent: all of them together (`voters`), and what follows from a count.

use super::limits::{certainly, lease};
use crate::time::Time;
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
    /// Before that, a former life with a longer limit may hold the other server's lease.
    pub(super) votes_after: Option<Time>,
}

impl Voter {
    pub(super) fn new(terms: Terms) -> Self {
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

    /// Until when its acknowledgement holds a lease; its limit counts for no more than `longest`.
    pub fn holds_until(&self, longest: Duration) -> Option<Time> {
        let limit = self.terms.timeout.min(longest);
        self.acknowledged.map(|at| at + lease(limit))
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
    pub(super) fn votes(&self, now: Time, from: Time, age: Duration) -> bool {
        let from = self.votes_after.map_or(from, |after| after.max(from));
        let voice = self.recent_voice(now, age);
        voice.is_some_and(|voice| voice.lost && voice.sent > from)
    }
}
