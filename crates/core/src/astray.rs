//! [`Astray`]: when a subscriber that knows no epochs is sent whole topics anew (ha.md rule 21).
//!
//! It keeps one copy of each topic for both statestoreds. Whoever skipped an update and then took
//! the notice of who is active may have followed the other one in between, and what that sent is in
//! the copy; or it just had no time for a topic that it is still busy with, and nobody can tell.
//! So it is sent all at once, and again while it goes on skipping, after waits that double.
//!
//! Deliberately absent: what is sent. Invariant: a suspicion is followed by whole topics, at the
//! latest after the longest wait.

use crate::time::Time;
use core::time::Duration;

/// The longest wait, in first ones.
const MOST: u32 = 128;

/// One subscriber.
#[derive(Debug, Clone, Copy, Default)]
pub struct Astray {
    /// It is to be sent all from then on.
    due: Option<Time>,
    /// When it was last.
    last: Option<Time>,
    /// From then to the next time.
    wait: Duration,
}

impl Astray {
    /// True if it is going to be sent all.
    pub fn is_suspected(&self) -> bool {
        self.due.is_some()
    }

    /// It may have followed another one. `first` is the first wait between two times.
    pub fn suspect(&mut self, now: Time, first: Duration) {
        if self.due.is_some() {
            return;
        }
        match self.last.filter(|last| now.since(*last) < self.wait * 2) {
            Some(last) => {
                self.due = Some(now.max(last + self.wait));
                self.wait = (self.wait * 2).min(first * MOST);
            }
            None => {
                self.due = Some(now);
                self.wait = first;
            }
        }
    }

    /// True once for each suspicion, when all is to be sent.
    pub fn begins_anew(&mut self, now: Time) -> bool {
        let begins = self.due.is_some_and(|due| due <= now);
        if begins {
            self.due = None;
            self.last = Some(now);
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const FIRST: Duration = Duration::from_secs(4);

    /// The seconds in which it is sent all, if it skips every 200 ms from second 1 on.
    fn anew(astray: &mut Astray, seconds: core::ops::Range<u64>) -> Vec<u64> {
        let mut when = Vec::new();
        for tick in seconds.start * 5..seconds.end * 5 {
            let now = Time::from_millis(tick * 200);
            astray.suspect(now, FIRST);
            if astray.begins_anew(now) {
                when.push(tick / 5);
            }
        }
        when
    }

    // rule 21
    #[test]
    fn who_goes_on_skipping_is_sent_all_after_waits_that_double() {
        let mut astray = Astray::default();
        assert!(!astray.begins_anew(Time::from_millis(999)));
        assert_eq!(anew(&mut astray, 1..100), [1, 5, 13, 29, 61]);
        let day = anew(&mut astray, 100..86_400);
        assert!(day.windows(2).all(|two| two[1] - two[0] <= 512));
        assert!(day.len() < 86_400 / 500);
    }

    // rule 21
    #[test]
    fn after_a_calm_it_is_sent_all_at_once_again() {
        let mut astray = Astray::default();
        assert_eq!(anew(&mut astray, 1..6), [1, 5]);
        assert_eq!(anew(&mut astray, 60..61), [60]);
    }

    // rule 21
    #[test]
    fn one_suspicion_is_not_forgotten_and_not_doubled() {
        let mut astray = Astray::default();
        let at = Time::from_millis;
        astray.suspect(at(0), FIRST);
        assert!(astray.begins_anew(at(10)) && !astray.begins_anew(at(20)));
        astray.suspect(at(30), FIRST);
        assert!(!astray.begins_anew(at(4_000)));
        assert!(astray.begins_anew(at(4_010)) && !astray.begins_anew(at(9_000_000)));
    }
}
