//! What a statestored says of itself, read from its pages.
//!
//! Deliberately absent: any other way in. The demonstration sees what an operator can see.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Failure;
use crate::pages::Pages;

/// One line of the table of topics.
pub(crate) struct Topic {
    /// Its name.
    pub(crate) name: String,
    /// Keys.
    pub(crate) entries: u64,
    /// Version counter.
    pub(crate) version: u64,
    /// Keys and values, in bytes.
    pub(crate) bytes: u64,
}

/// The ids of everybody who is registered.
pub(crate) fn subscribers(pages: &Pages) -> Result<BTreeSet<String>, Failure> {
    let page = pages.json("/subscribers")?;
    let rows = page["subscribers"].as_array().cloned().unwrap_or_default();
    Ok(rows.iter().map(|row| text(&row["id"])).collect())
}

/// All topics.
pub(crate) fn topics(pages: &Pages) -> Result<Vec<Topic>, Failure> {
    let page = pages.json("/topics")?;
    let rows = page["topics"].as_array().cloned().unwrap_or_default();
    let mut topics: Vec<Topic> = rows.iter().map(topic).collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(topics)
}

fn topic(row: &Value) -> Topic {
    Topic {
        name: text(&row["topic_id"]),
        entries: row["num_entries"].as_u64().unwrap_or_default(),
        version: row["version"].as_u64().unwrap_or_default(),
        bytes: row["total_size_bytes"].as_u64().unwrap_or_default(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
