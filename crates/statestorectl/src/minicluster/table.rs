//! The live table: who is here, what is in the topics.
//!
//! Deliberately absent: deciding when to draw. On a terminal the table replaces its predecessor;
//! elsewhere it is printed once each time.

use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use super::Failure;
use super::observe::{Subscriber, Topic};
use super::pair::Pair;

/// Draws the two tables, again and again in the same place.
#[derive(Default)]
pub(crate) struct Board {
    lines_drawn: usize,
}

impl Board {
    /// Draws the state of the cluster.
    pub(crate) fn draw(
        &mut self,
        pair: &Pair,
        subscribers: &[Subscriber],
        topics: &[Topic],
    ) -> Result<(), Failure> {
        let text = format!(
            "{}\n{}\n{}\n",
            pair_table(pair),
            subscriber_table(subscribers),
            topic_table(topics)
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

fn pair_table(pair: &Pair) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(["statestored", "role", "epoch", "voters", "peer"]);
    for it in &pair.0 {
        let name = it.process.name().to_owned();
        let row = match it.standing() {
            None => [name, "-".into(), "-".into(), "-".into(), "-".into()],
            Some(now) => [
                name,
                match now.role.as_str() {
                    "active" => "primary".to_owned(),
                    other => other.to_owned(),
                },
                now.epoch.to_string(),
                now.electorate.to_string(),
                if now.peer_found { "found" } else { "lost" }.to_owned(),
            ],
        };
        table.add_row(row);
    }
    align_right(&mut table, 2..4);
    table
}

fn subscriber_table(subscribers: &[Subscriber]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header([
        "subscriber",
        "address",
        "topics",
        "transient",
        "last heartbeat",
    ]);
    for row in subscribers {
        table.add_row([
            row.id.clone(),
            row.address.clone(),
            row.topics.to_string(),
            row.transient.to_string(),
            format!("{:.1} s ago", row.heartbeat_age),
        ]);
    }
    align_right(&mut table, 2..5);
    table
}

fn topic_table(topics: &[Topic]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(["topic", "entries", "version", "bytes"]);
    for row in topics {
        table.add_row([
            row.name.clone(),
            row.entries.to_string(),
            row.version.to_string(),
            row.bytes.to_string(),
        ]);
    }
    align_right(&mut table, 1..4);
    table
}

fn align_right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
