//! Commands that are answered from the statestored's pages.
//!
//! Deliberately absent: printing (`show`) and any interpretation beyond picking columns: the
//! fields are those of observability.md section 4, under the same names.

use serde_json::{Map, Value, json};

use crate::pages::{PageError, Pages};
use crate::show::Listing;

/// What an operator asks first, of a statestored or of an agent. What it does not say is null.
pub(crate) fn status(pages: &Pages) -> Result<Listing, PageError> {
    let metrics = pages.json("/jsonmetrics")?;
    let metric = |key: &str| match metrics.get(key) {
        Some(Value::String(text)) if text.is_empty() => Value::Null,
        Some(value) => value.clone(),
        None => Value::Null,
    };
    let subscribers = metric("statestore.live-backends");
    if subscribers.is_null() {
        let lacks = || pages.lacks("/jsonmetrics", "metric named statestore.live-backends");
        return subscriber_status(pages).ok_or_else(lacks);
    }
    let topics = rows(pages, "/topics", "topics", "topic_id")?;
    let members = rows(pages, "/subscribers", "subscribers", "id")?;
    let quietest = quietest(&members);
    // Without HA there is no such page, and nothing to say.
    let recovers = metric("statestore.in-ha-recovery-mode");
    let ha = match recovers.is_null() {
        true => Value::Null,
        false => pages.json("/ha")?,
    };
    let row = json!({
        "web": pages.address(),
        "version": metric("statestore.version"),
        "started": metric("process-start-time"),
        "service_started": metric("statestore.service-started"),
        "role": match (ha["role"].as_str(), metric("statestore.active-status").as_bool()) {
            (Some(role), _) => json!(role),
            (None, Some(true)) => json!("active"),
            (None, Some(false)) => json!("standby"),
            (None, None) => Value::Null,
        },
        "in_ha_recovery": recovers,
        "peer": ha["peer_address"],
        "peer_connected": metric("statestore.connected-with-peer-statestored"),
        "active_catalogd": metric("statestore.active-catalogd-address"),
        "subscribers": subscribers,
        "longest_silence_secs": quietest.map(|(secs, _)| secs),
        "longest_silence_id": quietest.map(|(_, id)| id),
        "topics": topics.len(),
        "keys": topics.iter().filter_map(|row| row.get("num_entries")?.as_u64()).sum::<u64>(),
        "key_bytes": metric("statestore.total-key-size-bytes"),
        "value_bytes": metric("statestore.total-value-size-bytes"),
        "rss_bytes": metric("memory.rss"),
    });
    Ok(Listing::record(row))
}

/// What people see of a statestored that a subscriber knows.
const STATESTORED: [&str; 11] = [
    "address",
    "role",
    "registered",
    "connected",
    "last_heartbeat",
    "secs_since_heartbeat",
    "missed_heartbeats",
    "secs_since_registration",
    "connection_failures",
    "epoch",
    "epoch_refusals",
];

/// What an agent knows of each statestored (its page `/statestores`); none if this is no agent.
fn subscriber_status(pages: &Pages) -> Option<Listing> {
    let Ok(Value::Object(mut page)) = pages.json("/statestores") else {
        return None;
    };
    for statestored in page.get_mut("statestores")?.as_array_mut()? {
        let registered = !statestored["registration_id"].is_null();
        statestored
            .as_object_mut()?
            .insert("registered".to_owned(), registered.into());
    }
    page.retain(|name, _| !name.starts_with("__") && name != "topics");
    let mut document = Map::from_iter([("web".to_owned(), pages.address().into())]);
    document.append(&mut page);
    Some(Listing::with_rows(document, "statestores", &STATESTORED))
}

/// Who has not answered a heartbeat for longest, with the seconds.
fn quietest(members: &[Map<String, Value>]) -> Option<(f64, &str)> {
    let silence = |row: &'_ Map<String, Value>| -> Option<f64> {
        row.get("secs_since_heartbeat")?.as_str()?.parse().ok()
    };
    let known = members
        .iter()
        .filter_map(|row| Some((silence(row)?, row.get("id")?.as_str()?)));
    known.max_by(|(a, _), (b, _)| a.total_cmp(b))
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

/// The list `field` of a page, as the daemon says it but in the order of the texts `sort_by`.
fn rows(
    pages: &Pages,
    path: &str,
    field: &str,
    sort_by: &str,
) -> Result<Vec<Map<String, Value>>, PageError> {
    let mut document = pages.json(path)?;
    let Some(Value::Array(found)) = document.get_mut(field).map(Value::take) else {
        return Err(pages.lacks(path, &format!("list named {field}")));
    };
    let objects = found.into_iter().filter_map(|row| match row {
        Value::Object(row) => Some(row),
        _ => None,
    });
    let mut rows: Vec<Map<String, Value>> = objects.collect();
    rows.sort_by_cached_key(|row| row.get(sort_by).and_then(Value::as_str).map(str::to_owned));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_quietest_is_who_answered_longest_ago() {
        let members: Vec<Map<String, Value>> = serde_json::from_value(json!([
            {"id": "a", "secs_since_heartbeat": "0.500"},
            {"id": "b", "secs_since_heartbeat": "10.250"},
            {"id": "c", "secs_since_heartbeat": "9.000"},
            {"id": "d"},
        ]))
        .unwrap();
        assert_eq!(quietest(&members), Some((10.25, "b")));
        assert_eq!(quietest(&[]), None);
    }
}
