//! The model's time: whole ticks, of a length that never matters.
//!
//! Deliberately absent: what takes how many of them (`scenario`).

use std::time::Duration;

const TICK: Duration = Duration::from_secs(1);
/// Longer than anything else.
pub const NEVER: u64 = 1_000_000;

/// So many ticks.
pub fn ticks(count: u64) -> Duration {
    TICK * u32::try_from(count).unwrap_or(u32::MAX)
}
