//! The world's own time, and what each machine's clocks make of it.
//!
//! No process ever sees [`Real`]: it sees its machine's monotonic clock, which began somewhere
//! and runs a little fast or slow, and a calendar that somebody may set. Rates differ by no more
//! than the bound r of ha.md section 1.

use crate::dice::Dice;
use statestore_core::time::{Now, Time, Wall};
use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Nanoseconds since the world began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Real(pub(crate) u64);

impl Real {
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Real {
    type Output = Self;
    fn add(self, time: Duration) -> Self {
        Self(self.0 + time.as_nanos() as u64)
    }
}

impl Dice {
    /// A time within the first `span` of the world.
    pub(crate) fn moment(&mut self, span: Duration) -> Real {
        Real(0) + self.time(Duration::ZERO..=span)
    }
}

impl fmt::Display for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 1_000;
        write!(f, "{:3}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

/// 1.0243 / 0.9757 is just below 1.05.
const FASTEST: u64 = 24_300;
/// A day in 2027, in microseconds.
const TODAY: i64 = 1_800_000_000_000_000;

/// The clocks of one machine; they go on while a process is dead.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    origin: u64,
    /// How much faster than the world's, in millionths.
    rate: i64,
    /// How far the calendar is off, in microseconds.
    pub(crate) calendar: i64,
}

impl Clock {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let rate = match dice.below(4) {
            0 => 0,
            1 => FASTEST.cast_signed(),
            2 => -FASTEST.cast_signed(),
            _ => dice.number(0..=2 * FASTEST).cast_signed() - FASTEST.cast_signed(),
        };
        Self {
            origin: dice.below(1_000_000_000_000),
            rate,
            calendar: dice.below(2_000_000).cast_signed() - 1_000_000,
        }
    }

    /// It is far too fast or far too slow.
    pub(crate) fn drift(&mut self, fast: bool) {
        let far = 400_000;
        self.rate = if fast { far } else { -far };
    }

    pub(crate) fn time(&self, now: Real) -> Time {
        let nanos = i128::from(now.0);
        let drift = nanos * i128::from(self.rate) / 1_000_000;
        Time::from_nanos(self.origin + (nanos + drift) as u64)
    }

    pub(crate) fn now(&self, now: Real) -> Now {
        let micros = (now.0 / 1_000).cast_signed();
        Now {
            time: self.time(now),
            wall: Wall(TODAY + self.calendar + micros),
        }
    }

    /// The first moment of the world at which this clock shows `at` or later.
    pub(crate) fn when(&self, at: Time) -> Real {
        let ahead = i128::from(at.as_nanos().saturating_sub(self.origin));
        let nanos = ahead * 1_000_000 / (1_000_000 + i128::from(self.rate));
        let mut real = Real(nanos as u64);
        while self.time(real) < at {
            real.0 += 1;
        }
        while real.0 > 0 && self.time(Real(real.0 - 1)) >= at {
            real.0 -= 1;
        }
        real
    }

    /// How long in the world until this clock has moved by `time`.
    pub(crate) fn lasts(&self, now: Real, time: Duration) -> Duration {
        self.when(self.time(now) + time).since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Stream;

    #[test]
    fn an_alarm_never_rings_before_the_clock_shows_its_time() {
        let mut dice = Dice::new(1, Stream::Plan);
        for _ in 0..200 {
            let clock = Clock::draw(&mut dice);
            let now = dice.moment(Duration::from_secs(100));
            let at = clock.time(now) + dice.time(Duration::ZERO..=Duration::from_secs(9));
            let rings = clock.when(at);
            assert!(clock.time(rings) >= at && rings >= now, "{clock:?}");
            assert!(rings.0 == 0 || clock.time(Real(rings.0 - 1)) < at || rings == now);
        }
    }
}
