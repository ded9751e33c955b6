//! What tests say to a [`World`](crate::support::World), in short: messages, wishes, answers.

use statestore_core::subscriber::TopicConfig;
use statestore_core::subscriber::port::*;
use statestore_wire::*;

pub(crate) fn topic(name: &str) -> TopicConfig {
    TopicConfig {
        name: name.into(),
        ..TopicConfig::default()
    }
}

pub(crate) fn id(n: i64) -> UniqueId {
    UniqueId { hi: 0, lo: n }
}

pub(crate) fn accepted(
    statestore: i64,
    registration: i64,
    active: bool,
) -> RegisterSubscriberResponse {
    RegisterSubscriberResponse {
        registration_id: Some(id(registration)),
        statestore_id: Some(id(statestore)),
        protocol_version: Some(ProtocolVersion::V2),
        statestore_is_active: Some(active),
        active_statestored_version: Some(statestore * 100),
        ..RegisterSubscriberResponse::default()
    }
}

/// A message of puts: full if `from` is 0.
pub(crate) fn delta(topic: &str, from: i64, to: i64, entries: &[(&str, &str)]) -> TopicDelta {
    let items = entries
        .iter()
        .map(|(key, value)| (key.as_bytes(), value.as_bytes(), false));
    TopicDelta {
        topic_name: topic.into(),
        topic_entries: ItemBatch::from_items(items),
        is_delta: from > 0,
        from_version: Some(from),
        to_version: Some(to),
        ..TopicDelta::default()
    }
}

pub(crate) fn put(topic: &str, key: &str, value: &str) -> Command {
    let value = bytes::Bytes::copy_from_slice(value.as_bytes());
    Command::Put {
        topic: topic.into(),
        key: key.into(),
        value,
    }
}

pub(crate) fn delete(topic: &str, key: &str) -> Command {
    Command::Delete {
        topic: topic.into(),
        key: key.into(),
    }
}

/// What an answer publishes: `topic key=value`, `topic -key`, `topic clear`, `topic from=N`.
pub(crate) fn published(answer: &UpdateAnswer) -> Vec<String> {
    assert!(answer.status.is_ok() && !answer.skipped, "{answer:?}");
    let mut lines = Vec::new();
    for update in &answer.updates {
        let topic = &update.topic;
        assert!(!(update.clear && update.from_version.is_some()), "T-22");
        lines.extend(
            update
                .from_version
                .map(|from| format!("{topic} from={from}")),
        );
        lines.extend(update.clear.then(|| format!("{topic} clear")));
        lines.extend(update.items.iter().map(|(key, value)| match value {
            Some(value) => format!("{topic} {key}={}", value.escape_ascii()),
            None => format!("{topic} -{key}"),
        }));
    }
    lines
}

pub(crate) fn catalogd(host: &str) -> CatalogRegistration {
    CatalogRegistration {
        protocol: CatalogVersion::V2,
        address: NetworkAddress {
            hostname: host.into(),
            port: 26000,
            uds_address: None,
        },
        enable_catalogd_ha: None,
        force_catalogd_active: None,
        registration_time: None,
    }
}

/// Statestored 10 knows registration 1, 20 knows 2.
pub(crate) fn role_message(statestore: i64, version: i64) -> UpdateStatestoredRoleRequest {
    UpdateStatestoredRoleRequest {
        protocol_version: ProtocolVersion::V2,
        registration_id: id(statestore / 10),
        statestore_id: id(statestore),
        active_statestored_version: version,
        is_active: true,
        catalogd_version: None,
        catalogd_registration: None,
        epoch: None,
    }
}

pub(crate) fn notice(statestore: i64, registration: i64, version: i64) -> UpdateCatalogdRequest {
    UpdateCatalogdRequest {
        protocol_version: ProtocolVersion::V2,
        registration_id: id(registration),
        statestore_id: id(statestore),
        catalogd_version: version,
        catalogd_registration: catalogd("c2"),
        epoch: None,
    }
}
