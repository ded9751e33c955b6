//! What time it is, as the core wants to be told: a monotonic reading to decide by, the calendar
//! to stamp with. Under a paused runtime it stands still too.
//!
//! Deliberately absent: waiting; that is the owner's.

use statestore_core::time::{Now, Time, Wall};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Readings of the clocks, as the core wants them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        // Above zero, so that no reading before the start is cut off.
        Self {
            origin: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
        let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now {
            time: Time::from_nanos(nanos),
            wall: Wall(micros),
        }
    }

    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.origin + Duration::from_nanos(time.as_nanos())
    }
}
