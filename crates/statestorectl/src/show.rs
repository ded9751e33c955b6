//! Answers on the terminal: a table for people, JSON for programs.
//!
//! Deliberately absent: where the answers come from.
//! Invariant: whatever a daemon or a topic says is escaped before it is printed (`escape.rs`).

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value};
use std::io::{self, Write as _};

use crate::escape;

/// Characters of one cell: enough for any flag, bounded for a name of a mebibyte.
const CELL_WIDTH: usize = 1000;

/// What a command found.
#[derive(Debug)]
pub(crate) enum Listing {
    /// One thing with named properties.
    Record(Value),
    /// Things of one kind; `columns` are shown to people, programs get all fields.
    Rows {
        /// The things.
        rows: Vec<Map<String, Value>>,
        /// What people see of them.
        columns: Vec<String>,
    },
    /// One thing and others that belong to it.
    WithRows {
        /// The thing, as programs see it: all in one.
        document: Map<String, Value>,
        /// Which of its properties are the others, shown to people as a table below.
        list: &'static str,
        /// What people see of these.
        columns: Vec<String>,
    },
}

impl Listing {
    pub(crate) fn record(value: Value) -> Self {
        Self::Record(value)
    }

    pub(crate) fn rows(rows: Vec<Map<String, Value>>, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|name| (*name).to_owned());
        Self::table(rows, columns.collect())
    }

    pub(crate) fn with_rows(
        document: Map<String, Value>,
        list: &'static str,
        columns: &[&str],
    ) -> Self {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        Self::WithRows {
            document,
            list,
            columns,
        }
    }

    pub(crate) fn table(rows: Vec<Map<String, Value>>, columns: Vec<String>) -> Self {
        Self::Rows { rows, columns }
    }
}

/// Prints a listing to stdout.
pub(crate) fn listing(listing: &Listing, as_json: bool) -> io::Result<()> {
    bytes(text(listing, as_json).as_bytes())
}

fn text(listing: &Listing, as_json: bool) -> String {
    let mut text = match (listing, as_json) {
        (Listing::Record(value), true) => escape::json(&format!("{value:#}")),
        (Listing::Rows { rows, .. }, true) => {
            let rows: Vec<Value> = rows.iter().cloned().map(Value::Object).collect();
            escape::json(&format!("{:#}", Value::Array(rows)))
        }
        (Listing::WithRows { document, .. }, true) => {
            escape::json(&format!("{:#}", Value::Object(document.clone())))
        }
        (Listing::Record(value), false) => properties(value),
        (Listing::Rows { rows, columns }, false) => table(rows, columns),
        (
            Listing::WithRows {
                document,
                list,
                columns,
            },
            false,
        ) => {
            let mut own = document.clone();
            own.retain(|name, _| name != list);
            let rows = document.get(*list).and_then(Value::as_array);
            let rows = rows.into_iter().flatten().filter_map(Value::as_object);
            let rows: Vec<_> = rows.cloned().collect();
            properties(&Value::Object(own)) + "\n" + &table(&rows, columns)
        }
    };
    text.push('\n');
    text
}

/// Writes to stdout, all of it and at once.
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Says on stderr why the command failed, with all causes.
pub(crate) fn complain(error: &dyn std::error::Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        // Some errors tell their cause themselves.
        if !text.contains(&why) {
            text.push_str(": ");
            text.push_str(&why);
        }
        cause = error.source();
    }
    note(&text);
}

/// Says something on stderr, beside the answer.
pub(crate) fn note(text: &str) {
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(io::stderr(), "statestorectl: {}", escape::message(text));
}

/// A number of bytes for people, in the format of the daemon's pages.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KB", "MB", "GB"];
    if bytes == 0 {
        return "0 B".to_owned();
    }
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{amount:.2} {}", UNITS[unit]),
    }
}

/// A table of cells that are escaped already; `right` are the columns of numbers.
pub(crate) fn plain_table<const N: usize>(
    header: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
    right: &[usize],
) -> String {
    let mut table = bordered();
    table.set_header(header);
    table.add_rows(rows);
    align_right(&mut table, right.iter().copied());
    table.to_string()
}

fn properties(value: &Value) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for (name, value) in value.as_object().into_iter().flatten() {
        let shown = match value.as_u64() {
            Some(bytes) if name.ends_with("_bytes") => size(bytes),
            _ => cell(value),
        };
        table.add_row([escape::text(name), shown]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}

fn table(rows: &[Map<String, Value>], columns: &[String]) -> String {
    let mut table = bordered();
    table.set_header(columns.iter().map(|name| escape::text(name)));
    for row in rows {
        let cells = columns.iter().map(|name| row.get(name).map(cell));
        table.add_row(cells.map(|cell| cell.unwrap_or_else(|| ABSENT.to_owned())));
    }
    let numbers = columns.iter().enumerate().filter(|(_, name)| {
        let of_numbers = |row: &Map<String, Value>| row.get(*name).is_some_and(Value::is_number);
        name.starts_with("secs_") || name.ends_with("_size") || rows.iter().any(of_numbers)
    });
    align_right(&mut table, numbers.map(|(at, _)| at));
    table.to_string()
}

fn bordered() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn align_right(table: &mut Table, columns: impl Iterator<Item = usize>) {
    for at in columns {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// What the daemon does not say.
const ABSENT: &str = "-";

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => escape::preview(text.as_bytes(), CELL_WIDTH),
        Value::Null => ABSENT.to_owned(),
        other => escape::preview(other.to_string().as_bytes(), CELL_WIDTH),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn rows(rows: Value) -> Vec<Map<String, Value>> {
        serde_json::from_value(rows).unwrap()
    }

    #[test]
    fn a_hostile_name_cannot_drive_the_terminal() {
        let hostile = rows(json!([{"id": "\u{1b}]0;mine\u{7}\u{9b}2J\u{202e}"}]));
        let listing = Listing::rows(hostile.clone(), &["id"]);
        for as_json in [false, true] {
            let seen = text(&listing, as_json);
            let harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
            assert!(seen.chars().all(harmless), "{seen:?}");
        }
        assert!(text(&listing, false).contains("\\u{1b}]0;mine\\u{7}"));
        let back: Vec<Map<String, Value>> = serde_json::from_str(&text(&listing, true)).unwrap();
        assert_eq!(back, hostile, "nothing is lost in JSON");
    }

    #[test]
    fn what_is_not_said_is_a_dash_and_bytes_are_readable() {
        let record = json!({"role": null, "rss_bytes": 1536, "n": 1536, "on": true});
        let seen = text(&Listing::record(record), false);
        let lines: Vec<Vec<&str>> = seen
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let wanted = [
            vec!["role", "-"],
            vec!["rss_bytes", "1.50", "KB"],
            vec!["n", "1536"],
            vec!["on", "true"],
        ];
        assert_eq!(lines, wanted);
        let lacking = Listing::rows(rows(json!([{"id": "a"}])), &["id", "address"]);
        assert!(text(&lacking, false).contains("│ a    -       │"));
    }

    #[test]
    fn what_belongs_to_a_thing_is_a_table_below_it() {
        let document = json!({"web": "h:1", "parts": [{"n": 1, "more": 2}], "last": true});
        let Value::Object(document) = document else {
            unreachable!()
        };
        let listing = Listing::with_rows(document.clone(), "parts", &["n"]);
        let seen = text(&listing, false);
        let lines: Vec<&str> = seen.lines().collect();
        assert!(
            lines[0].starts_with("web ") && lines[0].ends_with("h:1"),
            "{seen}"
        );
        assert!(lines[1].starts_with("last "), "{seen}");
        assert!(lines[2..].contains(&"│ 1 │"), "{seen}");
        assert!(!seen.contains("parts") && !seen.contains("more"), "{seen}");
        let back: Value = serde_json::from_str(&text(&listing, true)).unwrap();
        assert_eq!(back, Value::Object(document), "all of it");
    }

    #[test]
    fn numbers_stand_right() {
        let two = rows(json!([{"id": "a", "n": 1, "key_size": "1 B"}]));
        let seen = text(&Listing::rows(two, &["id", "n", "key_size"]), false);
        assert!(seen.contains("│ a    1        1 B │"), "{seen}");
    }

    #[test]
    fn sizes_are_those_of_the_pages() {
        for (bytes, wanted) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.50 KB"),
            (10_003_415, "9.54 MB"),
            (5 << 40, "5120.00 GB"),
        ] {
            assert_eq!(size(bytes), wanted);
        }
    }
}
