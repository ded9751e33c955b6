//! The words for heartbeats: missed, late, answered again, and the report of who answers.
//!
//! Deliberately absent: every other event.

use super::{Brief, Event, NAMED};
use core::fmt;

impl Event {
    pub(super) fn heartbeat(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeartbeatMissed {
                subscriber,
                address,
                missed,
                health,
                status,
            } => write!(
                f,
                "Heartbeat to subscriber '{subscriber}' at {address} failed ({missed} in a row, \
                 now {health}): {}",
                Brief(&status.message())
            ),
            Self::HeartbeatRecovered { subscriber, missed } => write!(
                f,
                "Subscriber '{subscriber}' answers again after {missed} missed heartbeats"
            ),
            Self::HeartbeatLate {
                subscriber,
                late,
                unreported,
            } => write!(
                f,
                "Heartbeat to subscriber '{subscriber}' was sent {} ms late ({unreported} more \
                 late ones since the last such warning). Consider increasing \
                 --statestore_heartbeat_frequency_ms (on statestored)",
                late.as_millis()
            ),
            Self::HeartbeatsShortened {
                subscriber,
                limit,
                period,
                timeout,
            } => write!(
                f,
                "Heartbeats to subscriber '{subscriber}' are shorter than the flags say, for its \
                 own limit of {} ms: every {} ms, each within {} ms. Limits that are hardly \
                 shorter, or longer, are not told of: /ha has them",
                limit.as_millis(),
                period.as_millis(),
                timeout.as_millis()
            ),
            Self::HeartbeatReport {
                answered,
                subscribers,
                silent,
            } => {
                write!(
                    f,
                    "{answered}/{subscribers} subscribers successfully heartbeat"
                )?;
                for (i, name) in silent.iter().take(NAMED).enumerate() {
                    f.write_str(if i == 0 { "; silent: " } else { ", " })?;
                    write!(f, "'{name}'")?;
                }
                match silent.len().checked_sub(NAMED) {
                    Some(more @ 1..) => write!(f, " and {more} more"),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
