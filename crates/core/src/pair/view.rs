//! What an operator sees of a pair: what the lease rests on, every vote and its age, and why a
//! takeover has not happened.
//!
//! Read only. Deliberately absent: formatting.

use super::{Pair, Tenure, Voice};
use crate::ids::StatestoreId;
use crate::role::Role;
use crate::time::Time;
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire::Epoch;

/// A pair at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairView<V> {
    /// This process.
    pub id: StatestoreId,
    /// The role.
    pub role: Role,
    /// What it rests on, if active.
    pub tenure: Option<Tenure>,
    /// Of this activation, or of the last one; 0 if there was none.
    pub epoch: Epoch,
    /// The highest seen.
    pub highest: Epoch,
    /// An HA heartbeat under a claim has yet to be acknowledged.
    pub claims: bool,
    /// The peer's process, once known.
    pub peer: Option<StatestoreId>,
    /// The peer answers.
    pub found_peer: bool,
    /// The peer is one of ours; none before it said anything.
    pub peer_is_extended: Option<bool>,
    /// HA heartbeats to the peer that failed in a row.
    pub missed: u32,
    /// Since the peer was last heard or granted something; since the start, if never.
    pub silence: Duration,
    /// How long the lease holds by the peer's acknowledgement; zero if it does not.
    pub held_by_peer: Duration,
    /// How long by the voters'.
    pub held_by_voters: Duration,
    /// Agreed with the peer.
    pub agreed: usize,
    /// The electorate is this server's own word: its peer has not agreed to it.
    pub unilateral: bool,
    /// Size of the change that is under way.
    pub proposed: Option<usize>,
    /// All voters, in order.
    pub voters: Vec<ElectorView<V>>,
    /// Why an inactive server has not become active; empty if nothing is in the way.
    pub obstacles: Vec<Obstacle>,
    /// Silent for the other's sake, for so long (rule 19).
    pub silent_for: Option<Duration>,
}

/// One voter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectorView<V> {
    /// Subscriber id.
    pub id: V,
    /// Registered here.
    pub registered: bool,
    /// In the agreed electorate.
    pub agreed: bool,
    /// In the proposed one.
    pub proposed: bool,
    /// Understands epochs.
    pub extended: bool,
    /// Its silence limit.
    pub timeout: Duration,
    /// Since the request that it acknowledged last.
    pub acknowledged: Option<Duration>,
    /// What it said last about the other server.
    pub voice: Option<Voice>,
    /// How long ago it was asked.
    pub voice_age: Option<Duration>,
}

/// What is in the way of a takeover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The peer was heard too recently; the wait ends in this time.
    PeerHeard(Duration),
    /// Not enough voters have lost the other server.
    TooFewVotes {
        /// Votes for a takeover that are fresh.
        lost: usize,
        /// Voters.
        of: usize,
        /// Votes needed.
        needed: usize,
    },
    /// Nobody is registered and nothing agreed; it looks for its peer for this time yet.
    LooksForPeer(Duration),
    /// It is silent for the other's sake.
    Silent(Duration),
    /// Its claim waits for the peer's acknowledgement.
    AwaitsAcknowledgement,
}

impl<V: Ord + Clone> Pair<V> {
    /// What is to be seen.
    pub fn view(&self, now: Time) -> PairView<V> {
        let left = |until: Option<Time>| until.map_or(Duration::ZERO, |until| until.since(now));
        PairView {
            id: self.id,
            role: self.role,
            tenure: self.role.acts().then_some(self.tenure),
            epoch: self.epoch,
            highest: self.highest,
            claims: self.claim.is_some(),
            peer: self.peer.id,
            found_peer: self.peer.found,
            peer_is_extended: self.peer.extended,
            missed: self.peer.missed,
            silence: self.silence(now),
            held_by_peer: left(self.held_by_peer()),
            held_by_voters: left(self.held_by_voters()),
            agreed: self.electorate.agreed().len(),
            unilateral: self.unilateral,
            proposed: self.electorate.proposed().map(|set| set.len()),
            voters: self
                .voters
                .iter()
                .map(|(id, voter)| ElectorView {
                    id: id.clone(),
                    registered: voter.registered,
                    agreed: self.electorate.agreed().contains(id),
                    proposed: self
                        .electorate
                        .proposed()
                        .is_some_and(|set| set.contains(id)),
                    extended: voter.terms.extended,
                    timeout: voter.terms.timeout,
                    acknowledged: voter.acknowledged.map(|at| now.since(at)),
                    voice: voter.voice,
                    voice_age: voter.voice.map(|voice| now.since(voice.sent)),
                })
                .collect(),
            obstacles: self.obstacles(now),
            silent_for: self.silent_until.map(|until| until.since(now)),
        }
    }

    /// True while the peer answers (`connected-with-peer-statestored`).
    pub fn found_peer(&self) -> bool {
        self.peer.found
    }

    /// Since the peer was last heard or granted something; since the start, if never.
    pub fn silence(&self, now: Time) -> Duration {
        now.since(self.heard)
    }

    /// True from when the peer stopped on purpose until another process of it is there.
    pub fn peer_has_left(&self) -> bool {
        self.peer.left.is_some() && self.peer.id.is_none()
    }

    /// The peer's process, once known.
    pub fn peer_id(&self) -> Option<StatestoreId> {
        self.peer.id
    }

    fn obstacles(&self, now: Time) -> Vec<Obstacle> {
        let mut all = Vec::new();
        if self.role.acts() {
            return all;
        }
        let limits = self.limits();
        if self.claim.is_some() {
            all.push(Obstacle::AwaitsAcknowledgement);
        }
        if let Some(until) = self.silent_until {
            all.push(Obstacle::Silent(until.since(now)));
        }
        let heard = self.heard + limits.peer_timeout;
        if now < heard {
            all.push(Obstacle::PeerHeard(heard.since(now)));
        }
        let nobody = self.electorate.is_none() && self.voters.count() == 0;
        if nobody {
            let until = self.undecided_since + limits.preemption_wait;
            all.push(Obstacle::LooksForPeer(until.since(now)));
            return all;
        }
        let registered = self.registered_set();
        let sets = match self.electorate.is_none() {
            true => alloc::vec![&registered],
            false => self.electorate.deciding().collect(),
        };
        for set in sets {
            let lost = self
                .voters
                .votes(set, now, self.votes_from, limits.vote_age);
            let (of, needed) = (set.len(), set.len() / 2 + 1);
            if lost < needed {
                all.push(Obstacle::TooFewVotes { lost, of, needed });
            }
        }
        all
    }
}
