//! How often each subscriber of a pair gets heartbeats, and what is said about it.
//!
//! Deliberately absent: sending them, and what their answers hold.
//!
//! Invariant: several tries fit into the time that one acknowledgement holds a lease, whatever the
//! settings are.

use super::Node;
use crate::event::Event;
use crate::pair::limits;
use crate::port::{Effect, Outbox};
use crate::time::Now;
use core::time::Duration;
use statestore_wire::Text;

impl Node {
    /// Period and limit of a subscriber's heartbeats: short enough that several tries fit into
    /// the time that one acknowledgement holds (ha.md section 5), and brisk while a takeover is
    /// near (rule 6).
    pub fn heartbeat_pace(&self, now: Now, id: &Text) -> (Duration, Duration) {
        let (period, timeout) = (self.config.heartbeat.period, self.config.heartbeat.timeout);
        let Some(ha) = &self.ha else {
            return (period, timeout);
        };
        let patience = ha.pair.patience_with(id).unwrap_or(timeout);
        let (period, timeout) = tightened(period, timeout, patience);
        (
            ha.pair.ask_period(now.time).unwrap_or(period).min(period),
            timeout,
        )
    }

    /// An own limit that shortens heartbeats is worth a line if it is shorter by a quarter than
    /// any that was: a dozen lines at most, whatever limits there are.
    pub(super) fn note_short_limit(&mut self, id: &Text, limit: Duration, out: &mut Outbox) {
        let heartbeat = &self.config.heartbeat;
        let flags = (heartbeat.period, heartbeat.timeout);
        let Some(ha) = &mut self.ha else {
            return;
        };
        let (period, timeout) = tightened(flags.0, flags.1, limit);
        // What the limit without an own one makes of them is said at the start.
        let common = tightened(flags.0, flags.1, ha.config.pair.limits.subscriber_timeout);
        let known = |shortest: Duration| limit > shortest * 3 / 4;
        if [flags, common].contains(&(period, timeout)) || ha.shortest_logged.is_some_and(known) {
            return;
        }
        ha.shortest_logged = Some(limit);
        out.push(Effect::Log(Event::HeartbeatsShortened {
            subscriber: id.clone(),
            limit,
            period,
            timeout,
        }));
    }
}

/// Several tries fit into the time that one acknowledgement holds the lease.
fn tightened(period: Duration, timeout: Duration, patience: Duration) -> (Duration, Duration) {
    let lease = limits::lease(patience);
    if period + timeout < lease / 2 {
        return (period, timeout);
    }
    (period.min(lease / 5), timeout.min(lease / 4))
}
