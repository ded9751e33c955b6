//! Answers on the terminal: a table for people, JSON for programs.
//!
//! Deliberately absent: where the answers come from.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value};
use std::io::Write as _;

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
        columns: Vec<&'static str>,
    },
}

impl Listing {
    pub(crate) fn record(value: Value) -> Self {
        Self::Record(value)
    }

    pub(crate) fn rows(rows: Vec<Map<String, Value>>, columns: &[&'static str]) -> Self {
        Self::Rows {
            rows,
            columns: columns.to_vec(),
        }
    }
}

/// Prints a listing to stdout.
pub(crate) fn listing(listing: &Listing, as_json: bool) -> std::io::Result<()> {
    let text = match (listing, as_json) {
        (Listing::Record(value), true) => format!("{value:#}"),
        (Listing::Rows { rows, .. }, true) => {
            let rows: Vec<Value> = rows.iter().cloned().map(Value::Object).collect();
            format!("{:#}", Value::Array(rows))
        }
        (Listing::Record(value), false) => properties(value).to_string(),
        (Listing::Rows { rows, columns }, false) => table(rows, columns).to_string(),
    };
    line(&text)
}

/// Prints one line; a reader that has gone away is no failure worth a message.
pub(crate) fn line(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Says on stderr why the command failed, with all causes.
pub(crate) fn complain(error: &dyn std::error::Error) {
    let mut text = format!("statestorectl: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn properties(value: &Value) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for (name, value) in value.as_object().into_iter().flatten() {
        table.add_row([name.clone(), cell(value)]);
    }
    table
}

fn table(rows: &[Map<String, Value>], columns: &[&'static str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns);
    for row in rows {
        table.add_row(
            columns
                .iter()
                .map(|name| row.get(*name).map(cell).unwrap_or_default()),
        );
    }
    for (i, name) in columns.iter().enumerate() {
        let numeric = rows
            .iter()
            .any(|row| row.get(*name).is_some_and(Value::is_number));
        if let (true, Some(column)) = (numeric, table.column_mut(i)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
