//! `/statestores`: the agent's own page, what it knows of each statestored and of its topics.
//!
//! Deliberately absent: pages that every daemon has, and how a document becomes HTML.

use serde_json::{Value, json};
use statestore_daemon::metrics::system::local_time;
use statestore_daemon::web::{Document, Page};
use statestore_subscriber::{ConnState, Role, StatestoreStatus, Status};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::agent::Shared;

/// The page; empty lists until the subscriber has started.
pub(crate) fn statestores(shared: &Shared) -> Page {
    let shared = shared.clone();
    let show = move |_| {
        let status = shared.get().map(|(handle, _)| handle.status());
        std::future::ready(status.map_or_else(nobody, |status| document(&status)))
    };
    Page::document("/statestores", show).in_navbar()
}

fn nobody() -> Document {
    fields(json!({ "statestores": [], "topics": [] }))
}

fn document(status: &Status) -> Document {
    let statestores: Vec<Value> = status.statestores.iter().map(statestore).collect();
    let topic = |topic: &statestore_subscriber::TopicStatus| {
        json!({
            "topic_id": topic.name.to_str(),
            "version": topic.version,
            "received": topic.seen,
        })
    };
    let topics: Vec<Value> = status.topics.iter().map(topic).collect();
    fields(json!({
        "subscriber_id": status.id.to_str(),
        "address": status.address.to_string(),
        "statestores": statestores,
        "topics": topics,
        "outstanding": status.outstanding,
        "in_grace": status.in_grace,
        "failovers": status.failovers,
        "highest_epoch": status.highest_epoch,
    }))
}

fn statestore(it: &StatestoreStatus) -> Value {
    let seconds = |age: std::time::Duration| format!("{:.3}", age.as_secs_f64());
    json!({
        "address": it.address.to_string(),
        "role": role(it.role),
        "status": it.role.to_string(),
        "state": state(it.state),
        "connected": it.connected,
        "recovering": it.recovering,
        "last_heartbeat": it.last_heartbeat_at.map(calendar),
        "secs_since_heartbeat": it.heartbeat_age.map(seconds),
        "missed_heartbeats": it.missed_heartbeats,
        "registration_id": it.registration_id.map(|id| id.to_string()),
        "statestore_id": it.statestore_id.map(|id| id.to_string()),
        "secs_since_registration": it.registered_since.map(seconds),
        "connection_failures": it.connection_failures,
        "re_register_attempts": it.reregistrations,
        "epoch": it.epoch,
        "epoch_refusals": it.refusals,
    })
}

/// In the words of an operator: the active one is the primary.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Active => "primary",
        Role::Standby => "standby",
        Role::Unknown => "unknown",
    }
}

/// What a standby would be told of it (H-34).
fn state(state: ConnState) -> &'static str {
    match state {
        ConnState::OK => "ok",
        ConnState::FAILED => "failed",
        _ => "unknown",
    }
}

fn calendar(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    local_time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn fields(document: Value) -> Document {
    match document {
        Value::Object(fields) => fields,
        _ => Document::new(),
    }
}
