//! What time it is, as the core wants to be told.
//!
//! Decisions follow `CLOCK_BOOTTIME`: it never goes back, whatever an operator does to the
//! calendar, and it goes on while the machine sleeps, as the subscribers' clocks did. The
//! calendar only stamps. Deliberately absent: waiting; that is the runtime's.

use rustix::time::{ClockId, clock_gettime};
use statestore_core::time::{Now, Time, Wall};
use std::time::SystemTime;

/// A clock; a simulation brings its own.
pub trait Clock: Send + Sync {
    /// Both readings of this moment.
    fn now(&self) -> Now;

    /// The time of this moment, where nothing is stamped.
    fn time(&self) -> Time {
        self.now().time
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            time: self.time(),
            wall: Wall(i64::try_from(wall.as_micros()).unwrap_or(i64::MAX)),
        }
    }

    fn time(&self) -> Time {
        let boot = clock_gettime(ClockId::Boottime);
        // Neither is negative: the clock counts from the start of the machine.
        let seconds = u64::try_from(boot.tv_sec).unwrap_or_default();
        let nanos = u64::try_from(boot.tv_nsec).unwrap_or_default();
        Time::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_been_up_and_time_does_not_go_back() {
        let first = SystemClock.now();
        let second = SystemClock.now();
        assert!(first.time > Time::ZERO && second.time >= first.time);
        assert!(first.wall.as_millis() > 1_600_000_000_000);
    }
}
