//! Effects and views as lines that read well.

use statestore_core::port::{Answer, Body, Call, Effect, Lane, TopicPart};
use statestore_core::topic::Delta;
use statestore_core::view::{CatalogView, SubscriberView, TopicView, Totals};
use statestore_wire::{
    CatalogRegistration, ItemBatch, Reader, RegisterSubscriberResponse, UniqueId, Wire,
};

/// One effect.
pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Answer {
            answer: Answer::Register { response, .. },
            ..
        } => {
            format!("  answer {}", answer(response))
        }
        Effect::Answer { answer, .. } => format!("  answer {answer:?}"),
        Effect::Recall => "  recall".to_owned(),
        Effect::Call(call) => format!("  {}", self::call(call)),
        Effect::Disconnect(address) => format!("  disconnect {address}"),
        Effect::Log(event) => {
            let text = short_ids(&event.to_string());
            format!("  log {:?}: {text}", event.severity())
        }
    }
}

/// The lane's short name.
pub(crate) fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Heartbeat => "heartbeat",
        Lane::Priority => "priority",
        Lane::Bulk => "bulk",
        Lane::Catalogd => "catalogd",
        Lane::Role => "role",
        Lane::Peer => "peer",
    }
}

fn id(id: UniqueId) -> String {
    if id.is_unset() {
        return "unset".to_owned();
    }
    format!("r{}", id.lo)
}

/// Registration ids are drawn as 1, 2, ...: `r1` reads better than 33 digits.
fn short_ids(text: &str) -> String {
    let zeros = "0000000000000000:";
    let Some(at) = text.find(zeros) else {
        return text.to_owned();
    };
    let (before, rest) = text.split_at(at);
    let (digits, rest) = rest[zeros.len()..].split_at(16);
    let number = u64::from_str_radix(digits, 16).unwrap();
    format!("{before}r{number}{}", short_ids(rest))
}

fn answer(response: &RegisterSubscriberResponse) -> String {
    let mut text = if response.status.is_ok() {
        "ok".to_owned()
    } else {
        let code = response.status.status_code.0;
        format!("error {code} \"{}\"", response.status.message())
    };
    let fields = [
        ("registration", response.registration_id.map(id)),
        (
            "protocol",
            response.protocol_version.map(|v| v.0.to_string()),
        ),
        ("statestore", response.statestore_id.map(id)),
        (
            "catalogd",
            response.catalogd_registration.as_ref().map(catalogd),
        ),
        ("version", response.catalogd_version.map(|v| v.to_string())),
        (
            "active",
            response.statestore_is_active.map(|v| v.to_string()),
        ),
        (
            "since",
            response.active_statestored_version.map(|v| v.to_string()),
        ),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            text += &format!(" {name}={value}");
        }
    }
    text
}

fn catalogd(catalogd: &CatalogRegistration) -> String {
    let time = catalogd.registration_time.unwrap_or(-1);
    format!("{}@{time}ms", catalogd.address)
}

fn call(call: &Call) -> String {
    let to = format!(
        "#{} {} -> {}",
        call.id.0.number,
        lane(call.lane),
        call.to.address
    );
    let again = if call.first_attempt { "" } else { " again" };
    match &call.body {
        Body::Heartbeat(request) => {
            let asks = request
                .request_statestore_conn_state
                .map_or("", |_| " asks");
            format!("{to} {}{asks}", id(request.registration_id.unwrap()))
        }
        Body::Update(update) => {
            let parts: Vec<_> = update.topics.iter().map(part).collect();
            format!(
                "{to} {} {}",
                id(update.registration_id.0),
                parts.join(" | ")
            )
        }
        Body::Catalogd(request) => format!(
            "{to} {} {} version {}{again}",
            id(request.registration_id),
            catalogd(&request.catalogd_registration),
            request.catalogd_version
        ),
        Body::Role(request) => format!("{to} {}{again}", id(request.registration_id)),
        Body::Handshake(_) | Body::HaHeartbeat(_) | Body::HaLeave(_) => {
            format!("{to} {:?}", call.body)
        }
    }
}

fn part(part: &TopicPart) -> String {
    let delta = &part.delta;
    let kind = if delta.is_delta { "delta" } else { "full" };
    let min = part
        .min_version
        .map_or(String::new(), |min| format!(" min {min}"));
    let items: Vec<_> = items(delta)
        .iter()
        .map(|(key, value, deleted)| {
            let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
            match (deleted, value.is_empty()) {
                (false, _) => format!("{key}={value}"),
                (true, true) => format!("-{key}"),
                (true, false) => format!("-{key}={value}"),
            }
        })
        .collect();
    let name = if part.name.is_empty() {
        "''".into()
    } else {
        part.name.to_string()
    };
    format!(
        "{name} {kind} {}..{} [{}]{min}",
        delta.from,
        delta.to,
        items.join(" ")
    )
}

/// The items of a delta as (key, value, deleted).
pub(crate) fn items(delta: &Delta) -> Vec<(Vec<u8>, Vec<u8>, bool)> {
    let mut list = vec![12];
    list.extend_from_slice(&u32::try_from(delta.count).unwrap().to_be_bytes());
    delta
        .runs
        .iter()
        .for_each(|run| list.extend_from_slice(run));
    let batch = ItemBatch::read(&mut Reader::new(&list)).unwrap();
    let items = batch.iter();
    items
        .map(|item| (item.key.to_vec(), item.value.to_vec(), item.deleted))
        .collect()
}

/// `/subscribers`.
pub(crate) fn subscribers(rows: &[SubscriberView]) -> Vec<String> {
    let row = |s: &SubscriberView| {
        format!(
            "  {} at {} {} topics {}/{} transient {} heard {:?} ago missed {} {}",
            s.id,
            s.address,
            id(s.registration_id.0),
            s.num_priority_topics,
            s.num_topics,
            s.num_transient,
            s.since_heartbeat,
            s.missed,
            s.health
        )
    };
    rows.iter().map(row).collect()
}

/// `/topics`.
pub(crate) fn topics(rows: &[TopicView]) -> Vec<String> {
    let row = |t: &TopicView| {
        format!(
            "  {} entries {} (tombstones {}) version {} keys {} B values {} B {} oldest {} '{}' \
             subscribers {}",
            if t.name.is_empty() {
                "''".into()
            } else {
                t.name.to_string()
            },
            t.entries,
            t.tombstones,
            t.version,
            t.key_bytes,
            t.value_bytes,
            if t.prioritized { "priority" } else { "bulk" },
            t.oldest_version,
            t.oldest_id,
            t.subscribers
        )
    };
    rows.iter().map(row).collect()
}

/// `/catalog_ha_info`.
pub(crate) fn catalog(view: &CatalogView) -> Vec<String> {
    let name = |c: &Option<CatalogRegistration>| c.as_ref().map_or("none".into(), catalogd);
    let mut lines = vec![format!(
        "  active {} standby {} version {} changed {:?}",
        name(&view.active),
        name(&view.standby),
        view.version,
        view.last_change.map(|at| at.as_millis())
    )];
    for row in &view.notified {
        let knows = row.knows.as_ref().map_or("nothing".into(), |k| {
            format!(
                "{} version {} since {}ms",
                k.address,
                k.version,
                k.at.as_millis()
            )
        });
        let who = id(row.registration_id.0);
        lines.push(format!(
            "  {} {who} type {} knows {knows}",
            row.id, row.subscriber_type.0
        ));
    }
    lines
}

/// Metrics.
pub(crate) fn totals(totals: &Totals) -> Vec<String> {
    let counters = &totals.counters;
    let names: Vec<_> = totals.subscribers.iter().map(ToString::to_string).collect();
    vec![
        format!(
            "  {:?} subscribers [{}] answered {} keys {} B values {} B pending calls {}",
            totals.role,
            names.join(" "),
            totals.answered,
            totals.key_bytes,
            totals.value_bytes,
            totals.calls_pending
        ),
        format!(
            "  heartbeats {} priority updates {} updates {} (last {} s) clears {} catalogd told {} \
             failed {}",
            counters.heartbeats.count,
            counters.priority_updates.count,
            counters.updates.count,
            counters.updates.last,
            counters.clears,
            counters.catalogd_told,
            counters.catalogd_failed
        ),
    ]
}
