//! The live table: who is here and who acts, what is in the topics.
//!
//! Deliberately absent: deciding when to draw. On a terminal the table replaces its predecessor;
//! elsewhere it is printed once each time. Whoever does not answer has dashes.

use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use super::Failure;
use super::agent::Seen;
use super::cluster::Cluster;
use super::observe::{self, Topic};

/// Draws the tables, again and again in the same place.
#[derive(Default)]
pub(crate) struct Board {
    lines_drawn: usize,
}

impl Board {
    /// Draws the state of the cluster.
    pub(crate) fn draw(&mut self, cluster: &Cluster) -> Result<(), Failure> {
        let topics = observe::topics(cluster.pages()).unwrap_or_default();
        let text = format!(
            "{}\n{}\n{}\n",
            pair_table(cluster),
            subscriber_table(cluster),
            topic_table(&topics)
        );
        let mut out = String::new();
        if self.lines_drawn > 0 && std::io::stdout().is_terminal() {
            // Up to the first line of the last table, and clear from there.
            let _ = write!(out, "\x1b[{}A\x1b[J", self.lines_drawn);
        }
        out.push_str(&text);
        self.lines_drawn = text.lines().count();
        let mut stdout = std::io::stdout().lock();
        stdout
            .write_all(out.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|e| Failure::io("write to", std::path::Path::new("stdout"), e))
    }
}

fn pair_table(cluster: &Cluster) -> Table {
    let mut table = table(&[
        "statestored",
        "process",
        "role",
        "epoch",
        "lease",
        "voters",
        "peer",
        "pages",
    ]);
    for it in &cluster.pair.0 {
        let mut row = vec![it.name().to_owned(), it.process.id().to_string()];
        match it.standing() {
            None => row.extend(["-"; 5].map(str::to_owned)),
            Some(now) => row.extend([
                now.role,
                now.epoch.to_string(),
                now.lease.map_or("-".to_owned(), |left| {
                    format!("{:.1} s", left.as_secs_f64())
                }),
                now.electorate.to_string(),
                if now.peer_found { "found" } else { "lost" }.to_owned(),
            ]),
        }
        row.push(it.pages().address().to_owned());
        table.add_row(row);
    }
    align_right(&mut table, &[1, 3, 4, 5]);
    table
}

fn subscriber_table(cluster: &Cluster) -> Table {
    let mut table = table(&[
        "subscriber",
        "process",
        "follows",
        "heard 1 (missed)",
        "heard 2 (missed)",
    ]);
    for agent in cluster.agents() {
        let both = agent.sees();
        let primary = both.iter().flatten().position(|it| it.role == "primary");
        let cell = |which: usize| both.as_ref().map_or("-".to_owned(), |it| heard(&it[which]));
        table.add_row([
            agent.id.clone(),
            agent.process.id().to_string(),
            primary.map_or("-".to_owned(), |i| cluster.pair.0[i].name().to_owned()),
            cell(0),
            cell(1),
        ]);
    }
    align_right(&mut table, &[1, 3, 4]);
    table
}

/// When it was heard last, and how many heartbeats were missed since.
fn heard(seen: &Seen) -> String {
    match seen.heartbeat_age {
        Some(age) if seen.connected => format!("{age:.1} s ago ({})", seen.missed),
        Some(age) => format!("lost, {age:.1} s ago ({})", seen.missed),
        None => "never".to_owned(),
    }
}

fn topic_table(topics: &[Topic]) -> Table {
    let mut table = table(&["topic", "entries", "version", "bytes"]);
    for row in topics {
        table.add_row([
            row.name.clone(),
            row.entries.to_string(),
            row.version.to_string(),
            row.bytes.to_string(),
        ]);
    }
    align_right(&mut table, &[1, 2, 3]);
    table
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(header);
    table
}

fn align_right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statestored_is_heard_lost_or_was_never_heard() {
        let seen = |connected, heartbeat_age| Seen {
            role: "standby".to_owned(),
            connected,
            heartbeat_age,
            missed: 3,
            refused: 0,
        };
        assert_eq!(heard(&seen(true, Some(0.125))), "0.1 s ago (3)");
        assert_eq!(heard(&seen(false, Some(2.0))), "lost, 2.0 s ago (3)");
        assert_eq!(heard(&seen(false, None)), "never");
    }
}
