//! How long things hold in a pair, and the one relation that everything rests on.
//!
//! ```text
//!   send time of what was acknowledged        the voter, or the peer, may call us lost
//!        |------------ lease -----------|          |
//!        |------------------------- timeout -------|     (lease + vote age)(1 + r) <= timeout
//! ```
//!
//! Whoever takes over does so on votes that are at most [`Limits::vote_age`] old, after a whole
//! timeout of silence; by then every lease that counts from before that silence is over (ha.md
//! section 1). Deliberately absent: flags; `statestored` maps them here (ha.md section 5).
//!
//! Invariant: no value of this type breaks the relation, whatever it was made from.

use core::time::Duration;

/// The bound on the difference of two clocks' rates, in per cent: 5.
const CLOCK_RATE_PERCENT: u32 = 5;
/// The shortest timeout that is promised to work.
pub const SHORTEST_TIMEOUT: Duration = Duration::from_millis(300);

/// The limits of one statestored of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// T_p: silence of HA heartbeats that allows a takeover.
    pub peer_timeout: Duration,
    /// T_s of subscribers that do not say their own: silence of one server's heartbeats that
    /// makes a subscriber report it as lost.
    pub subscriber_timeout: Duration,
    /// L_p: how long an acknowledged HA heartbeat holds the lease.
    pub peer_lease: Duration,
    /// W: the oldest vote that may be used.
    pub vote_age: Duration,
    /// How long a starting server looks for its peer before it acts alone.
    pub preemption_wait: Duration,
}

impl Limits {
    /// The limits for these timeouts. Anything shorter than 300 ms is taken as 300 ms.
    pub fn new(
        peer_timeout: Duration,
        subscriber_timeout: Duration,
        preemption_wait: Duration,
    ) -> Self {
        let peer_timeout = peer_timeout.max(SHORTEST_TIMEOUT);
        let subscriber_timeout = subscriber_timeout.max(SHORTEST_TIMEOUT);
        Self {
            peer_timeout,
            subscriber_timeout,
            peer_lease: lease(peer_timeout),
            vote_age: peer_timeout.min(subscriber_timeout) * 15 / 100,
            // Looking for the peer takes a moment at least.
            preemption_wait: preemption_wait.max(Duration::from_millis(1)),
        }
    }

    /// The same with the vote age that a subscriber of this timeout allows.
    pub(super) fn with_shortest(mut self, timeout: Duration) -> Self {
        self.vote_age = self.vote_age.min(timeout * 15 / 100);
        self
    }

    /// How often every voter is asked while a takeover is near: ten times in the time that a
    /// vote lasts, and ten times a second at the most leisurely; fewer where the voters are so
    /// many that asking would be all we do.
    pub fn ask_period(&self, voters: usize) -> Duration {
        let bearable = Duration::from_micros(50) * u32::try_from(voters).unwrap_or(u32::MAX);
        let brisk = Duration::from_millis(100).min(self.vote_age / 10);
        brisk.min(self.vote_age / 3).max(bearable)
    }
}

/// How long an acknowledgement holds a lease against somebody who waits for `timeout`.
pub fn lease(timeout: Duration) -> Duration {
    timeout * 3 / 4
}

/// A time that is certainly over on every clock once this much has passed on ours.
pub(super) fn certainly(time: Duration) -> Duration {
    time * (100 + CLOCK_RATE_PERCENT) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    // ha.md section 1
    #[test]
    fn lease_and_vote_age_fit_into_either_timeout_on_any_clock() {
        for (peer, subscriber) in [(30_000, 30_000), (300, 60_000), (2_000, 400), (1, 1)] {
            let limits = Limits::new(
                Duration::from_millis(peer),
                Duration::from_millis(subscriber),
                Duration::ZERO,
            );
            let fits = |lease, timeout| certainly(lease + limits.vote_age) <= timeout;
            assert!(fits(limits.peer_lease, limits.peer_timeout), "{limits:?}");
            let subscriber = limits.subscriber_timeout;
            assert!(fits(lease(subscriber), subscriber), "{limits:?}");
        }
    }

    // ha.md rule 6
    #[test]
    fn asking_is_brisk_for_few_and_bearable_for_many() {
        let limits = Limits::new(
            Duration::from_secs(30),
            Duration::from_secs(30),
            Duration::ZERO,
        );
        assert_eq!(limits.ask_period(100), Duration::from_millis(100));
        assert_eq!(limits.ask_period(10_000), Duration::from_millis(500));
        let short = Limits::new(
            Duration::from_secs(2),
            Duration::from_secs(2),
            Duration::ZERO,
        );
        assert_eq!(short.ask_period(100), Duration::from_millis(30));
    }
}
