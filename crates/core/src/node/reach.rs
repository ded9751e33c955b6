//! Whether calls reach the peer: what the last one ended with, and when one was last answered.
//!
//! For people only; deliberately absent: anything that decides. The pair knows of a call no more
//! than that it failed.
//!
//! Invariant: from one time that the peer is found to the next, a reason is said once, and no more
//! than [`MOST_REASONS`] are.

use super::Node;
use crate::event::{Brief, Event};
use crate::port::{Effect, Outbox};
use crate::time::{Now, Time};
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire::{Status, Text};

/// A host of several addresses may fail now for this and now for that, and some reasons differ in
/// a number each time.
const MOST_REASONS: usize = 8;

/// How calls to the peer end.
#[derive(Debug, Default)]
pub(super) struct Reach {
    answered: Option<Time>,
    /// Why the last call failed; none since the peer was found or has answered.
    error: Option<Text>,
    /// Since the peer was last found.
    said: Vec<Text>,
}

impl Reach {
    pub(super) fn answered(&mut self, now: Time) {
        self.answered = Some(now);
        self.error = None;
    }

    pub(super) fn failed(&mut self, status: &Status) {
        self.error = Some(format!("{}", Brief(&status.message())).into());
    }

    /// Whatever keeps it from being reached after that is news.
    fn found(&mut self) {
        self.error = None;
        self.said.clear();
    }

    /// The reason, if it is worth a line.
    fn unsaid(&mut self) -> Option<Text> {
        let error = self.error.as_ref()?;
        if self.said.len() >= MOST_REASONS || self.said.contains(error) {
            return None;
        }
        self.said.push(error.clone());
        Some(error.clone())
    }
}

impl Node {
    /// Why the last call to the peer failed, unless the peer was found or has answered since.
    pub fn peer_error(&self) -> Option<&Text> {
        self.ha.as_ref()?.reach.error.as_ref()
    }

    /// For one of a pair: since the peer was last heard or granted something; since the start, if
    /// never. An active one hears it by its answers.
    pub fn peer_silence(&self, now: Now) -> Option<Duration> {
        let ha = self.ha.as_ref()?;
        let silence = ha.pair.silence(now.time);
        let answered = ha.reach.answered.filter(|_| self.acts());
        Some(answered.map_or(silence, |at| silence.min(now.time.since(at))))
    }

    pub(super) fn peer_is_found(&mut self) {
        if let Some(ha) = &mut self.ha {
            ha.reach.found();
        }
    }

    /// A call has ended, with all that follows: the operator of a peer that is not found is told
    /// why.
    pub(super) fn explain_absence(&mut self, out: &mut Outbox) {
        let Some(ha) = self.ha.as_mut().filter(|ha| !ha.pair.found_peer()) else {
            return;
        };
        if let Some(reason) = ha.reach.unsaid() {
            out.push(Effect::Log(Event::PeerNotFound {
                peer: ha.config.peer.clone(),
                planned: ha.pair.peer_has_left(),
                reason,
            }));
        }
    }
}
