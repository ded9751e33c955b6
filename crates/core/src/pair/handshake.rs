//! The two meet: who of them is active (H-3, H-5; ha.md rule 7).
//!
//! An answer "you are active" is a promise: whoever gives it will not take over for a whole
//! timeout. An answer "I am" by a server that is not active yet is a claim, which counts only
//! once the other one has acknowledged an HA heartbeat under it.
//!
//! Deliberately absent: when to send; addresses and versions of the protocol.

use super::{Claim, News, Pair, Patience, Tenure, Why};
use crate::ids::StatestoreId;
use crate::role::Role;
use crate::time::{Now, Time};
use statestore_wire::{Epoch, Text};

/// StatestoreHaHandshake, as far as it decides something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hello {
    /// The sender.
    pub id: StatestoreId,
    /// Its `hostname:ha_port`.
    pub address: Text,
    /// It insists on being active.
    pub force: bool,
    /// Ours only: the highest epoch it has seen.
    pub highest: Option<Epoch>,
    /// Ours only: it is active, alone so far, under this epoch.
    pub active: Option<Epoch>,
    /// Ours only.
    pub patience: Option<Patience>,
}

/// What the sender of a [`Hello`] has to remember for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HelloSent {
    /// When.
    pub at: Time,
    /// To whom, as far as was known.
    pub(super) to: Option<StatestoreId>,
    pub(super) yielded: u64,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Welcome {
    /// The answering process; unset if it is the sender itself.
    pub id: StatestoreId,
    /// It is active, or claims to be; otherwise the sender is.
    pub active: bool,
    /// Ours only: the highest epoch it has seen.
    pub highest: Option<Epoch>,
    /// Ours only: how long its promise is good, and what its votes wait for.
    pub patience: Option<Patience>,
}

impl<V: Ord + Clone> Pair<V> {
    /// True while the peer is to be looked for: without a role, or alone.
    pub fn seeks_peer(&self, now: Time) -> bool {
        match self.role {
            Role::Starting | Role::Recovery => true,
            Role::Standby if self.awaits_beat => now >= self.heard + self.limits().vote_age,
            Role::Standby => self.peer_is_silent(now),
            Role::Active => {
                let alone = matches!(self.tenure, Tenure::Alone { .. });
                self.peer.id.is_none() || (alone && !self.peer.found)
            }
        }
    }

    /// A handshake to send.
    pub fn hello(&mut self, now: Time) -> (Hello, HelloSent) {
        self.observe(now);
        let hello = Hello {
            id: self.id,
            address: self.config.address.clone(),
            force: self.config.force,
            highest: Some(self.highest),
            active: self.acting(),
            patience: Some(self.patience()),
        };
        let sent = HelloSent {
            at: now,
            to: self.peer.id,
            yielded: self.yielded,
        };
        (hello, sent)
    }

    /// The peer says hello (H-5). None if it is a process that has left for good.
    pub fn on_hello(&mut self, now: Now, hello: &Hello) -> Option<Welcome> {
        self.observe(now.time);
        if hello.id == self.id {
            self.news.push(News::PeerIsMyself);
            return Some(Welcome {
                id: StatestoreId::default(),
                active: false,
                highest: None,
                patience: None,
            });
        }
        if self.peer.left == Some(hello.id) {
            self.news.push(News::Stranger(hello.id));
            return None;
        }
        self.learn_epoch(now, hello.highest);
        if self.is_unknown() {
            let known = hello.active.is_some() && hello.active <= hello.highest;
            match known {
                true => self.step_down(now.time, Why::PeerActive),
                // Of two that serve nobody the lower one yields.
                false => self.learn_epoch(now, hello.active),
            }
        }
        self.meet(now.time, hello.id, hello.highest.is_some());
        self.learn_patience(now.time, hello.patience);
        self.contacted = true;
        let active = self.decide(now, hello);
        if active && self.tenure == Tenure::Unopposed {
            self.face_newcomer(now.time);
        }
        Some(Welcome {
            id: self.id,
            active,
            highest: Some(self.highest),
            patience: Some(self.patience()),
        })
    }

    /// H-5c to H-5f. True: this side is active, or claims to be.
    fn decide(&mut self, now: Now, hello: &Hello) -> bool {
        let (mine, theirs) = (self.config.force, hello.force);
        if theirs && !mine {
            if self.role.acts() {
                self.step_down(now.time, Why::PeerForced);
            }
            return self.grant(now.time, Why::PeerForced); // H-5c
        }
        if self.role.acts() {
            return true; // H-5f
        }
        if hello.active.is_some() {
            return self.grant(now.time, Why::PeerActive);
        }
        if self.claim.is_some() {
            return true;
        }
        let claims = (mine && !theirs) || self.precedes(hello); // H-5d, H-5e
        if !claims || self.is_mute() || self.claim_failed {
            return self.grant(now.time, Why::Granted);
        }
        let epoch = self.next_epoch(now);
        // A heartbeat of a claim that failed may arrive late: it must not speak for another one.
        self.taken = self.taken.max(epoch);
        self.claim = Some(Claim {
            epoch,
            since: now.time,
        });
        true
    }

    /// The promise of rule 7.
    fn grant(&mut self, now: Time, why: Why) -> bool {
        self.yielded += 1;
        self.stand_by(now, why);
        false
    }

    /// H-5e: the lower one leads.
    fn precedes(&self, hello: &Hello) -> bool {
        if self.config.address_as_priority {
            self.config.address < hello.address
        } else {
            self.id < hello.id
        }
    }

    /// A new process is there after the standby had left (rule 15): from now on a lease is
    /// needed again; without one, until the newcomer acknowledges, as one that is alone.
    fn face_newcomer(&mut self, now: Time) {
        // Nobody could take over meanwhile, so the electorate is who is registered here.
        self.electorate.settle(self.registered_set());
        self.unilateral = true;
        self.prune();
        self.expect(self.registered_set(), now);
        self.held_until = self.held_by_voters();
        self.refreshed = now;
        self.tenure = match self.held_until {
            Some(until) if now < until => Tenure::Leased,
            _ => Tenure::Alone {
                yields_from: now,
                forced: true,
            },
        };
    }

    /// The peer answered a hello.
    pub fn on_welcome(&mut self, now: Now, sent: HelloSent, welcome: &Welcome) {
        self.observe(now.time);
        if welcome.id.0.is_unset() || welcome.id == self.id {
            return self.news.push(News::PeerIsMyself);
        }
        let overtaken = self.peer.id != sent.to && self.peer.id != Some(welcome.id);
        if overtaken || self.peer.left == Some(welcome.id) {
            return; // That process is gone.
        }
        self.learn_epoch(now, welcome.highest);
        self.meet(now.time, welcome.id, welcome.highest.is_some());
        self.learn_patience(now.time, welcome.patience);
        self.contacted = true;
        let unmoved = self.yielded == sent.yielded;
        if self.role.acts() {
            // Elected since it asked, it was answered as one that is inactive, perhaps by a
            // claim. Of two of ours that have leases epochs decide, and they have already.
            let decided = self.tenure == Tenure::Leased && welcome.highest.is_some();
            if welcome.active && unmoved && !decided {
                self.step_down(now.time, Why::PeerActive);
                self.yielded += 1;
                self.stand_by(now.time, Why::PeerActive);
            } else if self.tenure == Tenure::Unopposed {
                self.face_newcomer(now.time);
            }
        } else if welcome.active {
            self.yielded += 1;
            self.stand_by(now.time, Why::PeerActive);
        } else if unmoved && !self.is_mute() {
            let granted = self.acknowledgement(sent.at);
            if granted.until <= now.time {
                return;
            }
            self.peer_acknowledged = Some(granted);
            self.become_active(now, Tenure::Leased, Why::Granted);
        }
    }

    /// This server stops on purpose: it acts no more, now and for ever (rule 15). None if it has
    /// no peer to tell so.
    pub fn resign(&mut self, now: Time) -> Option<StatestoreId> {
        self.observe(now);
        if self.role.acts() {
            self.step_down(now, Why::Stopping);
        }
        self.claim = None;
        self.resigned = true;
        self.peer.id
    }

    /// Its network is disabled, so it cannot become active (H-9); or that is over.
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// The peer stops on purpose and acts no more (rule 15): an active server needs no lease any
    /// more, an inactive one need not wait. False if that is not the peer that is known.
    pub fn peer_left(&mut self, now: Now, id: StatestoreId) -> bool {
        self.observe(now.time);
        if self.peer.id != Some(id) {
            self.news.push(News::Stranger(id));
            return false;
        }
        self.peer.left = Some(id);
        self.peer.id = None;
        self.peer.found = false;
        self.peer.members = None;
        self.news.push(News::PeerLeft(id));
        if self.role.acts() {
            self.tenure = Tenure::Unopposed;
            self.publish_epoch();
        } else if !self.is_mute() {
            self.peer_acknowledged = None;
            self.become_active(now, Tenure::Unopposed, Why::PeerLeft);
        }
        true
    }
}
