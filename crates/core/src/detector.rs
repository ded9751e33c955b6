//! Who is alive, judged by missed heartbeats (F-1 to F-6); and when we ourselves are late (S-8).
//!
//! A heartbeat that is answered makes all earlier misses good; only misses in a row count. So a
//! subscriber that answers every second time lives for ever (F-6), and a dead one is gone after
//! `limit` tries. An answer with an error status is a miss too (W19): somebody listens there, but
//! not the registration that we mean.
//!
//! Deliberately absent: sending, and what happens to the failed. Topic updates never come here
//! (S-9).

use crate::time::Time;
use core::time::Duration;

/// A heartbeat this much after its deadline is worth a warning (S-8).
pub const LATE: Duration = Duration::from_secs(2);
/// No more than one such warning in this time.
const QUIET: Duration = Duration::from_secs(10);

/// What is thought of a subscriber (F-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It never answered and never failed to.
    Unknown,
    /// It answers.
    Ok,
    /// It missed half of what ends its registration.
    Suspected,
    /// Its registration ends.
    Failed,
}

impl core::fmt::Display for Health {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Unknown => "UNKNOWN",
            Self::Ok => "OK",
            Self::Suspected => "SUSPECTED",
            Self::Failed => "FAILED",
        })
    }
}

/// The heartbeats of one registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Pulse {
    missed: u32,
    heard: Option<Time>,
    counted: Option<Time>,
}

impl Pulse {
    /// An answer came. Returns how many were missed before it.
    pub fn beat(&mut self, now: Time) -> u32 {
        self.heard = Some(now);
        core::mem::take(&mut self.missed)
    }

    /// No answer came, or a bad one. Returns how many in a row by now, if this one counts: of
    /// those that follow each other faster than the period (votes are asked for, ha.md rule 6)
    /// one counts in each, or a short trouble would end a registration.
    pub fn miss(&mut self, now: Time, period: Duration) -> Option<u32> {
        let soon = self
            .counted
            .is_some_and(|at| now.since(at) < period * 9 / 10);
        if self.missed > 0 && soon {
            return None;
        }
        self.counted = Some(now);
        self.missed = self.missed.saturating_add(1);
        Some(self.missed)
    }

    /// Misses in a row.
    pub fn missed(&self) -> u32 {
        self.missed
    }

    /// When the last answer came.
    pub fn heard(&self) -> Option<Time> {
        self.heard
    }

    /// F-3, with `limit` misses for FAILED and half of it (rounded down) for SUSPECTED.
    pub fn health(&self, limit: u32) -> Health {
        match (self.missed, self.heard) {
            (0, None) => Health::Unknown,
            (0, Some(_)) => Health::Ok,
            (missed, _) if missed >= limit => Health::Failed,
            (missed, _) if missed >= limit / 2 => Health::Suspected,
            _ => Health::Ok,
        }
    }
}

/// Keeps warnings about late heartbeats few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Lateness {
    warned: Option<Time>,
    silent: u64,
}

impl Lateness {
    /// A heartbeat due at `due` goes out now. If that is to be said, returns how late it is and
    /// how many late ones went unmentioned since the last warning.
    pub fn judge(&mut self, due: Time, now: Time) -> Option<(Duration, u64)> {
        let late = now.since(due);
        if late <= LATE {
            return None;
        }
        if self.warned.is_some_and(|at| now.since(at) < QUIET) {
            self.silent += 1;
            return None;
        }
        self.warned = Some(now);
        Some((late, core::mem::take(&mut self.silent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);

    fn at(second: usize) -> Time {
        Time::from_millis(second as u64 * 1_000)
    }

    // F-3
    #[test]
    fn half_of_the_limit_is_suspected_and_all_of_it_failed() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.health(5), Health::Unknown);
        let states: [Health; 5] = core::array::from_fn(|second| {
            pulse.miss(at(second), PERIOD);
            pulse.health(5)
        });
        use Health::{Failed, Ok, Suspected};
        assert_eq!(states, [Ok, Suspected, Suspected, Suspected, Failed]);
    }

    // F-2, F-6
    #[test]
    fn every_second_miss_never_fails() {
        let mut pulse = Pulse::default();
        for second in 0..1_000 {
            assert_eq!(pulse.miss(at(second), PERIOD), Some(1));
            assert!(pulse.health(2) < Health::Failed);
            assert_eq!(pulse.beat(at(second)), 1);
        }
        assert_eq!(pulse.health(2), Health::Ok);
    }

    // F-3
    #[test]
    fn a_limit_of_nothing_fails_at_the_first_miss() {
        let mut pulse = Pulse::default();
        pulse.miss(at(0), PERIOD);
        assert_eq!(pulse.health(0), Health::Failed);
    }

    // F-5, ha.md rule 6: asking for votes is no reason to be given up sooner
    #[test]
    fn of_misses_that_follow_each_other_quickly_one_counts_in_a_period() {
        let mut pulse = Pulse::default();
        let tenths = (0..100).map(|n| Time::from_millis(n * 100));
        let counted = tenths.filter_map(|now| pulse.miss(now, PERIOD)).count();
        assert_eq!(counted, 12, "ten seconds, each no more than a tenth early");
    }

    // S-8
    #[test]
    fn late_heartbeats_are_mentioned_rarely_and_counted() {
        let mut lateness = Lateness::default();
        let at = Time::from_millis;
        assert_eq!(lateness.judge(at(0), at(2_000)), None);
        let first = lateness.judge(at(0), at(2_001));
        assert_eq!(first, Some((Duration::from_millis(2_001), 0)));
        assert_eq!(lateness.judge(at(0), at(5_000)), None);
        assert_eq!(lateness.judge(at(0), at(6_000)), None);
        let second = lateness.judge(at(9_999), at(12_001));
        assert_eq!(second, Some((Duration::from_millis(2_002), 2)));
    }
}
