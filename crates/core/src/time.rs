//! Time as an argument.
//!
//! [`Time`] is a monotonic reading that the driver takes; this crate cannot ask for one.
//! [`Wall`] is the calendar, for stamps that people and peers read. Deliberately absent: any way
//! to decide something by the calendar.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// Whole milliseconds, as the wire has them.
pub(crate) fn to_millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// From the wire; what is no time at all says nothing.
pub(crate) fn from_millis(millis: Option<i64>) -> Option<Duration> {
    let millis = millis.and_then(|ms| u64::try_from(ms).ok());
    millis.filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// A point of the driver's monotonic clock, in nanoseconds since an origin of its choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);

    /// `nanos` after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// `millis` after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The first multiple of `grain` that is not earlier; the time itself if that is nothing.
    pub(crate) fn up_to(self, grain: Duration) -> Self {
        match u64::try_from(grain.as_nanos()) {
            Ok(grain @ 1..) => Self(self.0.checked_next_multiple_of(grain).unwrap_or(self.0)),
            _ => self,
        }
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Time {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:03}s",
            self.0 / 1_000_000_000,
            self.0 / 1_000_000 % 1_000
        )
    }
}

/// The calendar: microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub i64);

impl Wall {
    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0 / 1_000
    }
}

/// Both readings of one moment, as each step gets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Decides.
    pub time: Time,
    /// Only stamps.
    pub wall: Wall,
}
