//! Numbers of activations: ever higher, never equal on both servers (ha.md rule 16).
//!
//! An epoch is a counter and one bit for which of the two it is. The counter starts from the
//! calendar in microseconds, so that it rises also when nobody is left who knows the last one.
//!
//! Deliberately absent: who refuses which epoch.

use crate::time::Wall;
use statestore_wire::Epoch;

/// An epoch this far beyond our calendar is nobody's honest activation: ten years, in
/// microseconds.
const BELIEVABLE_AHEAD: i64 = 10 * 365 * 24 * 3_600 * 1_000_000;

/// Up to so many microseconds lie between what two processes make of the same epoch.
const APART: i64 = 0xffff;

/// 2026-01-01: no calendar is believed to be before this software. Otherwise a machine that
/// starts in 1970 would never learn what the others know.
const CALENDAR_BEGINS: Wall = Wall(1_767_225_600_000_000);

/// The next activation above everything seen. `second` is true on one of the two only, once they
/// have met; before, they differ by the calendar, and by `own`, random for each process, where an
/// epoch is known that the calendar has yet to reach.
pub(super) fn next(highest: Epoch, wall: Wall, second: bool, own: i64) -> Epoch {
    let seen = counter(highest);
    let apart = if seen < wall.0 { 0 } else { own & APART };
    let counter = seen.max(wall.0).saturating_add(1 + apart);
    Epoch(counter.min(i64::MAX >> 1) << 1 | i64::from(second))
}

/// The calendar part: microseconds since the Unix epoch, or a little more.
pub fn counter(epoch: Epoch) -> i64 {
    epoch.0 >> 1
}

/// False for an epoch that only garbage or malice can name. Believing it would leave no room for
/// higher ones.
pub fn is_believable(epoch: Epoch, wall: Wall) -> bool {
    let wall = wall.max(CALENDAR_BEGINS);
    epoch.0 >= 0 && counter(epoch) <= wall.0.saturating_add(BELIEVABLE_AHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule 16
    #[test]
    fn the_next_epoch_is_above_all_that_was_seen_and_above_the_calendar() {
        let wall = Wall(1_000);
        let first = next(Epoch::default(), wall, false, 0);
        assert_eq!(counter(first), 1_001);
        assert!(next(first, wall, true, 0) > first);
        assert!(next(first, Wall(5_000), false, 0) > first);
        assert!(next(Epoch(9_000), wall, false, 0) > Epoch(9_000));
    }

    // rule 16
    #[test]
    fn the_two_servers_never_have_the_same_epoch() {
        let seen = Epoch(40);
        assert_ne!(next(seen, Wall(0), true, 0), next(seen, Wall(0), false, 0));
    }

    // P9
    #[test]
    fn what_no_clock_can_say_is_not_believed() {
        let wall = Wall(1_800_000_000_000_000);
        assert!(is_believable(next(Epoch::default(), wall, true, 0), wall));
        assert!(!is_believable(Epoch(i64::MAX), wall));
        assert!(!is_believable(Epoch(-1), wall));
        assert_eq!(next(Epoch(i64::MAX), wall, true, 0), Epoch(i64::MAX));
    }
}
