//! The network: which directions are cut, how long a message takes, what breaks.
//!
//! ```text
//!   caller                                             receiver
//!     |-- open (both ways must be free) ---------------->|
//!     |   ask the fence, then:                           |
//!     |-- request --- cut on arrival? sent again later ->|
//!     |<----------------------------------------- reply -|
//! ```
//!
//! A cut works like a cut under TCP: what is on its way is tried again for a while, and may
//! arrive long after its caller has given up. Deliberately absent: bytes, and what is said.

use crate::clock::Real;
use crate::dice::Dice;
use crate::plan::{MOST, Proc, Weather};
use std::time::Duration;

/// So often is a message tried again that meets a cut.
const TRIES: u8 = 9;

/// One direction of a link.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    /// Cuts that lie on it.
    cuts: u16,
    /// What delays lie on it, at most.
    delay: Duration,
}

#[derive(Debug)]
pub(crate) struct Network {
    ways: [[Way; MOST]; MOST],
    pub(crate) weather: Weather,
    pub(crate) dice: Dice,
    connections: u64,
}

/// What becomes of a message that meets a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    Again(Duration),
    Lost,
}

/// What becomes of a call's connection while it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luck {
    Good,
    /// It breaks before the request arrives.
    BreaksBefore,
    /// It breaks before the reply arrives.
    BreaksAfter,
}

impl Network {
    pub(crate) fn new(weather: Weather, dice: Dice) -> Self {
        Self {
            ways: Default::default(),
            weather,
            dice,
            connections: 0,
        }
    }

    pub(crate) fn is_cut(&self, from: Proc, to: Proc) -> bool {
        self.ways[from][to].cuts > 0
    }

    /// Nothing gets through in one direction at least.
    pub(crate) fn is_cut_between(&self, one: Proc, other: Proc) -> bool {
        self.is_cut(one, other) || self.is_cut(other, one)
    }

    pub(crate) fn cut(&mut self, ways: &[(Proc, Proc)]) {
        for (from, to) in ways {
            self.ways[*from][*to].cuts += 1;
        }
    }

    pub(crate) fn mend(&mut self, ways: &[(Proc, Proc)]) {
        for (from, to) in ways {
            let cuts = &mut self.ways[*from][*to].cuts;
            *cuts = cuts.saturating_sub(1);
        }
    }

    pub(crate) fn slow(&mut self, ways: &[(Proc, Proc)], most: Duration) {
        for (from, to) in ways {
            self.ways[*from][*to].delay = most;
        }
    }

    /// Everything works again, but for cuts that are to be kept.
    pub(crate) fn heal(&mut self, keep_cuts: bool) {
        if !keep_cuts {
            self.ways = Default::default();
        }
        self.weather = Weather::calm();
    }

    /// How long the next message takes.
    pub(crate) fn delay(&mut self, from: Proc, to: Proc) -> Duration {
        let weather = &self.weather;
        let mut time = self.dice.time(weather.fastest..=weather.slowest);
        if weather.stragglers > 0 && self.dice.chance(weather.stragglers) {
            time += self.dice.time(Duration::ZERO..=weather.straggle);
        }
        let most = self.ways[from][to].delay;
        if !most.is_zero() {
            time += self.dice.time(Duration::ZERO..=most);
        }
        time
    }

    /// A message, or an attempt to connect, meets a cut for the `tries`-th time.
    pub(crate) fn blocked(&mut self, tries: u8) -> Blocked {
        if tries >= TRIES || self.dice.chance(60) {
            return Blocked::Lost;
        }
        let most = Duration::from_millis(10) * (1 << tries.min(6));
        Blocked::Again(self.dice.time(most / 2..=most))
    }

    pub(crate) fn luck(&mut self) -> Luck {
        if self.weather.breaks == 0 || !self.dice.chance(self.weather.breaks) {
            return Luck::Good;
        }
        match self.dice.below(2) {
            0 => Luck::BreaksBefore,
            _ => Luck::BreaksAfter,
        }
    }

    /// How much later than told a process does something.
    pub(crate) fn lag(&mut self) -> Duration {
        if self.weather.lags == 0 || !self.dice.chance(self.weather.lags) {
            return Duration::ZERO;
        }
        self.dice.time(Duration::ZERO..=self.weather.lag)
    }

    /// The number of a new connection, never used twice.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.connections += 1;
        self.connections
    }

    /// When something that is sent now arrives.
    pub(crate) fn arrival(&mut self, now: Real, from: Proc, to: Proc) -> Real {
        now + self.delay(from, to)
    }
}
