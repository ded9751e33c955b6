//! Taking turns at being silent, so that voters lose exactly one of two idle servers (ha.md rule
//! 19).
//!
//! Deliberately absent: safety. Nothing here makes a server active or keeps it so.

use super::electorate::is_majority;
use super::{News, Pair};
use crate::time::Time;
use core::time::Duration;
use statestore_wire::ConnState;

impl<V: Ord + Clone> Pair<V> {
    /// When the next round of rule 19 may begin.
    pub(super) fn next_turn(&self) -> Time {
        self.silence_from + self.turn_time()
    }

    /// How long a turn lasts: until a majority has lost whoever is silent, each by its own limit.
    fn turn_time(&self) -> Duration {
        self.config.limits.peer_timeout + self.timeout_of_most()
    }

    /// Rule 19: neither side gets votes while subscribers hear both. In each round a server is
    /// silent or not by one bit of its random id, so that soon exactly one of the two is.
    pub(super) fn take_turns(&mut self, now: Time) {
        if self.silent_until.is_some_and(|until| until <= now) {
            self.silent_until = None;
            self.silence_from = now;
        }
        let limits = self.config.limits;
        let waits = !self.role.acts() && self.claim.is_none() && self.silent_until.is_none();
        if !waits || now < self.next_turn() || !self.peer_is_silent(now) {
            return;
        }
        let hears_idle = |voter: &super::Voter| {
            let voice = voter.recent_voice(now, limits.subscriber_timeout);
            voice.is_some_and(|voice| voice.state == ConnState::OK && !voice.other_is_active)
        };
        let hearing = self.voters.registered().filter(|(_, v)| hears_idle(v));
        if !is_majority(hearing.count(), self.voters.count()) {
            return;
        }
        let bits = self.id.0.hi ^ self.id.0.lo;
        let silent = bits.rotate_right(self.rounds % 64) & 1 == 1;
        self.rounds = self.rounds.wrapping_add(1);
        self.silence_from = now;
        if silent {
            self.silent_until = Some(now + self.turn_time());
            self.news.push(News::Silent);
        }
    }
}
