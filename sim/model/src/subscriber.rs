//! A voter: what it knows of the two servers, and what it says of them.
//!
//! Ours refuses an epoch lower than the highest it saw and votes after a whole timeout of
//! silence, its own life included (ha.md rules 9, 17). One of the reference knows no epochs,
//! says FAILED only of whom it has heard, and answers OK also to what it ignores.
//!
//! Deliberately absent: the shipped subscriber. Its rules about heartbeats are few, and theirs
//! are the tests of `statestore-core`; here they are written down once more, to be read.

use crate::sabotage::Sabotage;
use crate::scenario::Scenario;
use statestore_core::pair::VoterReply;
use statestore_wire::{ConnState, Epoch};

/// A voter. Times are ticks, no more than the timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Subscriber {
    /// Counts its processes.
    pub life: u8,
    /// It has stopped on purpose.
    pub gone: bool,
    /// Since it started, or heard each server.
    pub silence: [u8; 2],
    /// Whether it ever heard each.
    pub heard: [bool; 2],
    /// Whether what it heard last was of an active one.
    pub active: [bool; 2],
    /// The process of each server that it is registered with.
    pub registered: [Option<u8>; 2],
    /// The highest epoch that it saw.
    pub highest: Option<Epoch>,
    /// The server that it takes for the active one.
    pub follows: Option<usize>,
    /// Reference only: ignores that server's heartbeats until it registers anew.
    pub deaf: [bool; 2],
}

/// What the server of a heartbeat says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Heartbeat {
    /// Which server.
    pub from: usize,
    /// Its process.
    pub process: u8,
    /// Set if it acts.
    pub epoch: Option<Epoch>,
    /// It wants to know how the other server is heard.
    pub asks: bool,
}

/// A voter's answer: an error is a refusal, or no acknowledgement; with the epoch that it saw.
pub type Answer = Result<VoterReply, Option<Epoch>>;

impl Subscriber {
    /// The next process under the same name.
    pub fn restart(&mut self, rules: &Scenario) {
        let silence = match rules.sabotage {
            Sabotage::NewbornVotes => limit(rules),
            _ => 0,
        };
        *self = Self {
            life: self.life + 1,
            silence: [silence; 2],
            ..Self::default()
        };
    }

    /// Time passes.
    pub fn age(&mut self, rules: &Scenario, ticks: u64) {
        let ticks = u8::try_from(ticks).unwrap_or(u8::MAX);
        for silence in &mut self.silence {
            *silence = silence.saturating_add(ticks).min(limit(rules));
        }
    }

    /// It would tell the other one that it has lost this server.
    pub fn has_lost(&self, rules: &Scenario, server: usize) -> bool {
        self.silence[server] >= limit(rules)
    }

    /// A heartbeat for its process `life`. None if nobody answers. The flag is set if it follows
    /// a lower epoch than it did.
    pub fn heartbeat(
        &mut self,
        rules: &Scenario,
        life: u8,
        request: &Heartbeat,
        down: &mut bool,
    ) -> Option<Answer> {
        let meant = self.life == life && self.registered[request.from] == Some(request.process);
        if self.gone {
            return None;
        }
        if !rules.ours {
            return Some(Ok(self.reference_heartbeat(rules, meant, request)));
        }
        // Until its registration is answered it cannot tell whether it or a former life is meant:
        // it is there, but that is no acknowledgement (rule 9).
        let unnamed = self.registered[request.from].is_none();
        if !meant && !unnamed {
            return Some(Err(None));
        }
        if let Some(epoch) = request.epoch {
            if self.highest.is_some_and(|highest| epoch < highest) {
                if rules.sabotage != Sabotage::ObedientVoters {
                    return Some(Err(self.told(rules)));
                }
                *down = true;
            }
            self.highest = self.highest.max(Some(epoch));
            if rules.takes_turns() && !unnamed {
                self.follows = Some(request.from);
            }
        }
        if unnamed {
            let highest = self.told(rules);
            let reply = VoterReply {
                highest,
                ..VoterReply::default()
            };
            let acknowledges = rules.sabotage == Sabotage::NewbornAcknowledges;
            return Some(if acknowledges {
                Ok(reply)
            } else {
                Err(highest)
            });
        }
        self.hear(rules, request);
        let mut reply = VoterReply {
            highest: self.told(rules),
            ..VoterReply::default()
        };
        if request.asks {
            let other = 1 - request.from;
            reply.state = Some(self.state(rules, other));
            reply.other_is_lost = Some(self.has_lost(rules, other));
            reply.other_is_active = self.active[other] && !self.has_lost(rules, other);
        }
        Some(Ok(reply))
    }

    /// H-34.
    pub fn state(&self, rules: &Scenario, server: usize) -> ConnState {
        match self.heard[server] {
            false => ConnState::UNKNOWN,
            true if self.has_lost(rules, server) => ConnState::FAILED,
            true => ConnState::OK,
        }
    }

    /// True if it processes an update of that server.
    pub fn takes_updates(&self, life: u8, from: usize, process: u8) -> bool {
        let meant = self.life == life && self.registered[from] == Some(process);
        meant && !self.deaf[from] && self.follows == Some(from)
    }

    fn hear(&mut self, rules: &Scenario, request: &Heartbeat) {
        self.silence[request.from] = 0;
        self.heard[request.from] = true;
        self.active[request.from] = request.epoch.is_some() && rules.takes_turns();
    }

    fn told(&self, rules: &Scenario) -> Option<Epoch> {
        let secret = rules.sabotage == Sabotage::SecretEpochs;
        self.highest.filter(|_| !secret)
    }

    fn reference_heartbeat(
        &mut self,
        rules: &Scenario,
        meant: bool,
        request: &Heartbeat,
    ) -> VoterReply {
        if !meant || self.deaf[request.from] {
            return VoterReply::default();
        }
        self.hear(rules, request);
        let other = 1 - request.from;
        VoterReply {
            state: request.asks.then(|| self.state(rules, other)),
            ..VoterReply::default()
        }
    }
}

fn limit(rules: &Scenario) -> u8 {
    u8::try_from(rules.timeout).unwrap_or(u8::MAX)
}
