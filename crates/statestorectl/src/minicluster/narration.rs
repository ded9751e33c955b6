//! How the story is told: lines, numbers, the table; and how long a scene may last.
//!
//! Deliberately absent: what happens (`story`, `mirrors`, `failover`).

use std::io::Write as _;
use std::time::Duration;

use super::Failure;
use super::cluster::Cluster;
use super::table::Board;

/// How long any scene may take before it counts as failed.
pub(crate) const SCENE: Duration = Duration::from_secs(30);

/// The table as it is now.
pub(crate) fn draw_once(cluster: &Cluster) -> Result<(), Failure> {
    Board::default().draw(cluster)
}

/// For people.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// For people.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// A line of the story.
pub(crate) fn say(line: &str) {
    // The processes must be ended and the folders removed also if nobody listens any more.
    let _ = writeln!(std::io::stdout(), "{line}");
}
