//! HA heartbeats: the active renews its lease and agrees on the electorate (ha.md rules 2, 10,
//! 12; H-10, H-13, H-14).
//!
//! Deliberately absent: the clock that says when the next one is due, and how it travels.

use super::peer::{Acknowledgement, Patience};
use super::{News, Pair, Tenure, Why};
use crate::ids::StatestoreId;
use crate::time::{Now, Time};
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;
use statestore_wire::Epoch;

/// StatestoreHaHeartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Beat<V: Ord> {
    /// The sender.
    pub src: StatestoreId,
    /// Who it thinks the receiver is.
    pub dst: StatestoreId,
    /// Ours only: under which the sender is active or claims to be.
    pub epoch: Option<Epoch>,
    /// The sender is not active yet: it asks to be (rule 7, last sentence).
    pub claims: bool,
    /// Names the electorate within the epoch.
    pub electorate_version: i64,
    /// The electorate, unless the receiver has this version.
    pub electorate: Option<BTreeSet<V>>,
    /// The version of the receiver's members that the sender has.
    pub known_members: i64,
    /// Ours only.
    pub patience: Option<Patience>,
}

/// What the sender of a [`Beat`] has to remember for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BeatSent {
    /// To whom.
    pub to: StatestoreId,
    /// When.
    pub at: Time,
    /// Under which.
    pub epoch: Epoch,
    /// With which electorate.
    pub electorate_version: i64,
}

/// The answer of a receiver of ours; of a reference, all is absent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BeatReply<V: Ord> {
    /// It stands by for the sender.
    pub accepted: bool,
    /// Ours only: the highest epoch it has seen.
    pub highest: Option<Epoch>,
    /// It is active itself.
    pub is_active: bool,
    /// The electorate it has adopted from this epoch.
    pub electorate_version: Option<i64>,
    /// Names its members.
    pub members_version: i64,
    /// Its registered subscribers, unless the sender has this version.
    pub members: Option<BTreeSet<V>>,
    /// Ours only: who of them has a limit below the receiver's flag.
    pub short_limits: BTreeMap<V, Duration>,
    /// Ours only: how long its acknowledgement is good, and what its votes wait for.
    pub patience: Option<Patience>,
}

/// A beat that does not count, and who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stranger {
    /// This process.
    pub own: StatestoreId,
}

impl<V: Ord + Clone> Pair<V> {
    /// The peer turns out to be another process than the one that was meant: it has restarted and
    /// cannot reach us, or has not yet.
    pub fn on_other_process(&mut self, now: Now, sent: BeatSent, id: StatestoreId) {
        self.observe(now.time);
        let news = self.peer.id == Some(sent.to) && id != sent.to && id != self.id;
        if news && !id.0.is_unset() && self.peer.left != Some(id) {
            self.meet(now.time, id, true);
        } else if self.peer.id == Some(sent.to) {
            self.beat_missed(); // it takes us for another process, until a handshake
        }
    }

    /// An HA heartbeat to send, by an active server or one that claims to be, to a peer that it
    /// has met (H-10).
    pub fn beat(&mut self, now: Time) -> Option<(Beat<V>, BeatSent)> {
        self.observe(now);
        let epoch = self.acting().or(self.claim.map(|claim| claim.epoch))?;
        let dst = self.peer.id?;
        let (set, version) = match self.claim {
            Some(_) => (self.electorate.to_send().0, 1),
            None => self.electorate.to_send(),
        };
        let due = (self.claim.is_some() || !self.electorate.is_adopted())
            && self.peer.extended != Some(false);
        let beat = Beat {
            src: self.id,
            dst,
            epoch: Some(epoch),
            claims: self.claim.is_some() || self.is_unknown(),
            electorate_version: version,
            electorate: due.then(|| set.clone()),
            known_members: self.peer.members_version,
            patience: Some(self.patience()),
        };
        let sent = BeatSent {
            to: dst,
            at: now,
            epoch,
            electorate_version: version,
        };
        Some((beat, sent))
    }

    /// True if nothing holds but what the next acknowledged HA heartbeat will make of it: a claim,
    /// or being alone.
    pub fn awaits_first_acknowledgement(&self) -> bool {
        let alone = self.role.acts() && matches!(self.tenure, Tenure::Alone { .. });
        self.claim.is_some() || alone
    }

    /// True for a beat of the peer that is known, or of one that knows us: worth reading.
    pub fn expects(&self, src: StatestoreId, dst: StatestoreId) -> bool {
        dst == self.id && self.peer.id.is_none_or(|peer| peer == src)
    }

    /// An HA heartbeat arrived. An error is one that is not from the peer, or not for us: its
    /// sender is to be told our id, so that it can do better.
    pub fn on_beat(&mut self, now: Now, beat: &Beat<V>) -> Result<BeatReply<V>, Stranger> {
        self.observe(now.time);
        let newcomer = beat.dst == self.id && self.peer.id.is_none();
        if newcomer && self.peer.left != Some(beat.src) {
            // Who knows our id has asked us before: a peer that we cannot reach ourselves.
            self.meet(now.time, beat.src, beat.epoch.is_some());
        }
        if beat.dst != self.id || self.peer.id != Some(beat.src) {
            self.news.push(News::Stranger(beat.src));
            return Err(Stranger { own: self.id }); // W34
        }
        self.learn_patience(now.time, beat.patience);
        let alike = self.role.acts() && beat.epoch == Some(self.epoch);
        if beat.epoch.is_some() && !beat.claims && self.yields(alike, beat.src) {
            self.step_down(now.time, Why::PeerActive);
        }
        let accepted = match beat.epoch {
            None => self.reference_beat(now.time),
            // The greeting that it claims on is older than this server's activation (H-5f).
            Some(_) if beat.claims && self.role.acts() => false,
            Some(epoch) => self.epoch_beat(now, epoch, beat),
        };
        let adopted = self
            .adopted
            .filter(|(epoch, _)| accepted && beat.epoch == Some(*epoch))
            .map(|(_, version)| version);
        let newer = beat.epoch.is_some() && beat.known_members != self.members_version;
        Ok(BeatReply {
            accepted,
            highest: Some(self.highest),
            is_active: self.role.acts(),
            electorate_version: adopted,
            members_version: self.members_version,
            members: newer.then(|| self.registered_set()),
            short_limits: match newer {
                true => self.short_limits(),
                false => BTreeMap::new(),
            },
            patience: Some(self.patience()),
        })
    }

    /// One that is alone and serves nobody yields to whoever acts (rule 18). Of two with the same
    /// epoch the other one does: no subscriber could tell them apart.
    fn yields(&self, alike: bool, to: StatestoreId) -> bool {
        self.is_unknown() || (alike && self.id > to)
    }

    /// H-13, H-14.
    fn reference_beat(&mut self, now: Time) -> bool {
        if self.role.acts() {
            self.intruded(now);
            return false;
        }
        self.accept(now);
        true
    }

    /// Rule 10.
    fn epoch_beat(&mut self, now: Now, epoch: Epoch, beat: &Beat<V>) -> bool {
        self.learn_epoch(now, Some(epoch));
        // Higher than the highest is only one that is not believed.
        if self.role.acts() || epoch != self.highest {
            return false;
        }
        self.accept(now.time);
        self.confirmed(beat.known_members);
        // A late message must not bring back what was changed since.
        let newer = self
            .adopted
            .is_none_or(|(of, version)| of != epoch || version < beat.electorate_version);
        if let Some(voters) = beat.electorate.as_ref().filter(|_| newer) {
            let terms = super::Terms {
                timeout: self.config.limits.subscriber_timeout,
                extended: false,
            };
            self.voters.admit(voters, terms);
            self.electorate.settle(voters.clone());
            self.unilateral = false;
            self.adopted = Some((epoch, beat.electorate_version));
            self.prune();
        }
        true
    }

    fn accept(&mut self, now: Time) {
        self.yielded += 1;
        self.peer.missed = 0;
        self.found_again();
        self.stand_by(now, Why::PeerActive);
        self.awaits_beat = false;
    }

    /// The peer that is known is there, whether or not it was lost before.
    fn found_again(&mut self) {
        if !core::mem::replace(&mut self.peer.found, true)
            && let (Some(id), Some(extended)) = (self.peer.id, self.peer.extended)
        {
            self.news.push(News::PeerFound { id, extended });
        }
    }

    /// An HA heartbeat was answered; none if it was not, or refused as a stranger's.
    pub fn on_beat_reply(&mut self, now: Now, sent: BeatSent, reply: Option<BeatReply<V>>) {
        self.observe(now.time);
        if self.peer.id != Some(sent.to) {
            return; // It has left, or another process is there.
        }
        let Some(mut reply) = reply else {
            return self.beat_missed();
        };
        self.peer.missed = 0;
        self.found_again();
        self.learn_epoch(now, reply.highest);
        self.learn_patience(now.time, reply.patience);
        // One of ours that does not say so itself has not looked at it (H-9).
        let looked = reply.highest.is_some() || self.peer.extended == Some(false);
        if reply.is_active {
            self.claim.take_if(|claim| claim.epoch == sent.epoch);
            let alike = self.acting() == Some(sent.epoch) && reply.highest == Some(sent.epoch);
            if self.yields(alike, sent.to) {
                self.step_down(now.time, Why::PeerActive);
            }
        }
        if !reply.accepted || reply.is_active || !looked {
            return;
        }
        if self.claim.is_some_and(|claim| claim.epoch == sent.epoch) {
            let acknowledged = self.acknowledgement(sent.at);
            self.peer_acknowledged = Some(acknowledged);
            if now.time < acknowledged.until {
                self.become_active(now, Tenure::Leased, Why::Acknowledged);
            }
        }
        if self.acting() != Some(sent.epoch) {
            return;
        }
        self.renewed(sent, &reply);
        self.learn_members(now.time, &mut reply);
        self.adjust_electorate(now.time);
    }

    /// The peer acknowledged this active server.
    fn renewed(&mut self, sent: BeatSent, reply: &BeatReply<V>) {
        let news = self.acknowledgement(sent.at);
        let later = |known: Acknowledgement| known.at < news.at;
        if self.peer_acknowledged.is_none_or(later) {
            self.peer_acknowledged = Some(news);
        }
        if self.tenure != Tenure::Leased {
            self.tenure = Tenure::Leased;
            self.publish_epoch();
            self.held_until = self.lease_end();
        }
        self.extend(news.until);
        if reply.electorate_version == Some(sent.electorate_version) {
            if !self.electorate.is_adopted() {
                self.electorate.acknowledged(sent.electorate_version);
                self.unilateral = false;
                self.held_until = self.lease_end();
                self.prune();
            }
        } else if reply.highest.is_some() {
            self.electorate.resend();
        }
    }

    /// The peer did not answer a handshake, or refused it (W4, H-19).
    pub fn hello_missed(&mut self, now: Time) {
        self.observe(now);
        self.beat_missed();
    }

    fn beat_missed(&mut self) {
        self.peer.missed = self.peer.missed.saturating_add(1);
        if self.peer.missed >= self.config.max_missed && self.peer.found {
            self.peer.found = false;
            self.news.push(News::PeerLost);
        }
    }
}
