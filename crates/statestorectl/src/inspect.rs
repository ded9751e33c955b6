//! Commands that are answered from the statestored's pages.
//!
//! Deliberately absent: printing (`show`) and any interpretation beyond picking columns: the
//! fields are those of observability.md section 4, under the same names.

use serde_json::{Map, Value, json};

use crate::pages::{PageError, Pages};
use crate::show::Listing;

/// What an operator asks first.
pub(crate) fn status(pages: &Pages) -> Result<Listing, PageError> {
    let metrics = pages.json("/jsonmetrics")?;
    let metric = |key: &str| metrics.get(key).cloned().unwrap_or(Value::Null);
    let active = metric("statestore.active-status");
    let row = json!({
        "web": pages.address(),
        "version": metric("statestore.version"),
        "started": metric("process-start-time"),
        "service_started": metric("statestore.service-started"),
        "role": match active.as_bool() {
            Some(true) => json!("active"),
            Some(false) => json!("standby"),
            None => Value::Null,
        },
        "subscribers": metric("statestore.live-backends"),
        "key_bytes": metric("statestore.total-key-size-bytes"),
        "value_bytes": metric("statestore.total-value-size-bytes"),
        "active_catalogd": metric("statestore.active-catalogd-address"),
        "rss_bytes": metric("memory.rss"),
    });
    Ok(Listing::record(row))
}

/// `/subscribers`, sorted by id.
pub(crate) fn subscribers(pages: &Pages) -> Result<Listing, PageError> {
    let columns = [
        "id",
        "address",
        "num_topics",
        "num_priority_topics",
        "num_transient",
        "registration_id",
        "secs_since_heartbeat",
    ];
    Ok(Listing::rows(
        rows(pages, "/subscribers", "subscribers", "id")?,
        &columns,
    ))
}

/// `/topics`, sorted by name.
pub(crate) fn topics(pages: &Pages) -> Result<Listing, PageError> {
    let columns = [
        "topic_id",
        "num_entries",
        "version",
        "key_size",
        "value_size",
        "total_size",
        "prioritized",
        "oldest_version",
        "oldest_id",
    ];
    Ok(Listing::rows(
        rows(pages, "/topics", "topics", "topic_id")?,
        &columns,
    ))
}

/// `/varz`.
pub(crate) fn flags(pages: &Pages, only_changed: bool) -> Result<Listing, PageError> {
    let mut flags = rows(pages, "/varz", "flags", "name")?;
    if only_changed {
        flags.retain(|flag| flag.get("value_changed").is_some());
    }
    Ok(Listing::rows(
        flags,
        &["name", "type", "default", "current"],
    ))
}

fn rows(
    pages: &Pages,
    path: &str,
    field: &str,
    sort_by: &str,
) -> Result<Vec<Map<String, Value>>, PageError> {
    let mut document = pages.json(path)?;
    let Some(Value::Array(found)) = document.get_mut(field).map(Value::take) else {
        return Err(pages.not_as_expected(path, field));
    };
    let mut rows: Vec<Map<String, Value>> = found
        .into_iter()
        .filter_map(|row| match row {
            Value::Object(row) => Some(row),
            _ => None,
        })
        .collect();
    rows.sort_by_cached_key(|row| row.get(sort_by).map(Value::to_string));
    Ok(rows)
}
