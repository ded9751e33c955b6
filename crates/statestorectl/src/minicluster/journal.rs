//! What the daemons wrote down, and when: their logs, all by the one clock of this machine.
//!
//! Deliberately absent: whose log it is, and what a line means.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// When the first line with `what` in it was written at `since` or later.
pub(crate) fn said_since(log: &str, since: SystemTime, what: &str) -> Option<SystemTime> {
    first_since(log, since, what).map(|(at, _)| at)
}

/// When it was over what the first such line since then tells the end of. A process that had no
/// processor says late that its lease ended, and how long ago.
pub(crate) fn over_since(log: &str, since: SystemTime, what: &str) -> Option<SystemTime> {
    let (at, line) = first_since(log, since, what)?;
    at.checked_sub(ago(line).unwrap_or_default())
}

fn first_since<'a>(log: &'a str, since: SystemTime, what: &str) -> Option<(SystemTime, &'a str)> {
    let lines = log.lines().filter(|line| line.contains(what));
    let mut timed = lines.filter_map(|line| Some((written_at(line)?, line)));
    timed.find(|(at, _)| *at >= since)
}

/// `...; its lease ended N ms ago`
fn ago(line: &str) -> Option<Duration> {
    let (_, rest) = line.split_once("its lease ended ")?;
    let ms: f64 = rest.strip_suffix(" ms ago")?.parse().ok()?;
    Duration::try_from_secs_f64(ms / 1e3).ok()
}

/// The number that follows `what` in a log.
pub(crate) fn announced(log: &str, what: &str) -> Option<u16> {
    let rest = log.split(what).nth(1)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// When a line was written: `IYYYYMMDD HH:MM:SS.uuuuuu ...`, in local time.
fn written_at(line: &str) -> Option<SystemTime> {
    let clock = line.get(1..25)?;
    let parsed = strtime::parse("%Y%m%d %H:%M:%S%.f", clock).ok()?;
    let local: DateTime = parsed.to_datetime().ok()?;
    let zoned = local.to_zoned(TimeZone::system()).ok()?;
    Some(SystemTime::from(Timestamp::from(zoned)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LOG: &str = "\
I20261126 23:59:59.999999 1 x.rs:1] Web server listening on port 4711
W20261127 00:00:00.000001 1 x.rs:1] it happened
  a second line of it
I20261127 00:00:01.000001 1 x.rs:1] it happened
";

    #[test]
    fn a_line_tells_its_time_across_midnight() {
        let times: Vec<_> = LOG.lines().filter_map(written_at).collect();
        let gap = times[1].duration_since(times[0]).unwrap();
        assert_eq!((times.len(), gap), (3, Duration::from_micros(2)));
    }

    #[test]
    fn only_what_was_said_since_counts() {
        let times: Vec<_> = LOG.lines().filter_map(written_at).collect();
        let second = Duration::from_secs(1);
        assert_eq!(said_since(LOG, times[0], "it happened"), Some(times[1]));
        assert_eq!(
            said_since(LOG, times[1] + second / 2, "it happened"),
            Some(times[2])
        );
        assert_eq!(said_since(LOG, times[2] + second, "it happened"), None);
    }

    #[test]
    fn a_role_was_over_before_a_late_line_says_so() {
        let log = "\
I20261127 00:00:01.000000 1 x.rs:1] the end: the lease ran out; its lease ended 600.250 ms ago
I20261127 00:00:02.000000 1 x.rs:1] the end: another one is active
";
        let times: Vec<_> = log.lines().filter_map(written_at).collect();
        let before = times[0] - Duration::from_micros(600_250);
        assert_eq!(over_since(log, times[0], "the end"), Some(before));
        let later = times[0] + Duration::from_micros(1);
        assert_eq!(over_since(log, later, "the end"), Some(times[1]));
        assert_eq!(over_since(log, times[1], "the beginning"), None);
    }

    #[test]
    fn a_port_follows_its_announcement() {
        let what = "Web server listening on port";
        assert_eq!(announced(LOG, what), Some(4711));
        assert_eq!(announced("", what), None);
        let log = "StatestoreService listening on port 24000 without TLS";
        let what = "StatestoreService listening on port";
        assert_eq!(announced(log, what), Some(24000));
    }
}
