//! The words of a command, parsed. A word that means nothing ends the test.

use statestore_core::config::Config;
use statestore_wire as wire;
use statestore_wire::{ItemBatch, NetworkAddress, ProtocolVersion, SubscriberType, Text};
use std::time::Duration;

/// `100ms` or `2s`.
pub(crate) fn duration(word: &str) -> Duration {
    match word.strip_suffix("ms") {
        Some(millis) => Duration::from_millis(millis.parse().unwrap()),
        None => Duration::from_secs(word.strip_suffix('s').unwrap().parse().unwrap()),
    }
}

/// `KEY=VALUE ...`, times in milliseconds.
pub(crate) fn config(words: &str) -> Config {
    let mut config = Config {
        push_coalesce: None,
        ..Config::default()
    };
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap();
        let number = || value.parse::<u64>().unwrap();
        let millis = || Duration::from_millis(number());
        match key {
            "heartbeat" => config.heartbeat.period = millis(),
            "priority" => config.priority.period = millis(),
            "bulk" => config.bulk.period = millis(),
            "push" => config.push_coalesce = (value != "off").then(millis),
            "missed" => config.max_missed_heartbeats = value.parse().unwrap(),
            "max" => config.max_subscribers = value.parse().unwrap(),
            "grace" => config.transient_grace = millis(),
            "report" => config.heartbeat_report_period = millis(),
            "catalog_ha" => config.catalog.ha = value == "on",
            "by_id" => config.catalog.subscriber_id_as_priority = value == "on",
            "wait" => config.catalog.preemption_wait = millis(),
            "resend" => config.catalog.resend = millis(),
            _ => panic!("no such setting: {word}"),
        }
    }
    config
}

fn address(host: &str) -> NetworkAddress {
    NetworkAddress {
        hostname: Text::from(host),
        port: 23_000,
        uds_address: None,
    }
}

/// `ID [WORD ...]`; `''` is the empty id, or a topic with an empty name.
pub(crate) fn registration(words: &str) -> wire::RegisterSubscriberRequest {
    let mut words = words.split_whitespace();
    let id = words.next().unwrap().trim_matches('\'');
    let mut request = wire::RegisterSubscriberRequest::new(Text::from(id), address(id));
    let mut flags = (None, None);
    for word in words {
        match word.split_once('=') {
            Some(("at", host)) => request.subscriber_location = address(host),
            Some(("type", n)) => {
                request.subscriber_type = Some(SubscriberType(n.parse().unwrap()));
            }
            Some(("proto", n)) => request.protocol_version = ProtocolVersion(n.parse().unwrap()),
            Some(("catalogd", host)) => {
                request.catalogd_registration = Some(wire::CatalogRegistration {
                    protocol: wire::CatalogVersion::V2,
                    address: address(host),
                    enable_catalogd_ha: None,
                    force_catalogd_active: None,
                    registration_time: None,
                });
            }
            _ if word == "wants-catalogd" => request.subscribe_catalogd_change = Some(true),
            _ if word == "ha" => flags.0 = Some(true),
            _ if word == "force" => flags.1 = Some(true),
            _ => request.topic_registrations.push(topic(word)),
        }
    }
    if let Some(catalogd) = &mut request.catalogd_registration {
        (catalogd.enable_catalogd_ha, catalogd.force_catalogd_active) = flags;
    }
    request
}

fn topic(word: &str) -> wire::TopicRegistration {
    let mut parts = word.split(',');
    let mut topic = wire::TopicRegistration {
        topic_name: Text::from(parts.next().unwrap().trim_matches('\'')),
        ..Default::default()
    };
    for part in parts {
        match part.split_once('=') {
            Some(("prefix", prefix)) => topic.filter_prefix = Some(Text::from(prefix)),
            _ if part == "transient" => topic.is_transient = true,
            _ if part == "min" => topic.populate_min_subscriber_topic_version = true,
            _ => panic!("no such topic option: {part}"),
        }
    }
    topic
}

/// `TOPIC WORD ... ; TOPIC WORD ...`
pub(crate) fn deltas(words: &str) -> Vec<wire::TopicDelta> {
    let parts = words
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(delta).collect()
}

fn delta(words: &str) -> wire::TopicDelta {
    let mut words = words.split_whitespace();
    let mut delta = wire::TopicDelta {
        topic_name: Text::from(words.next().unwrap().trim_matches('\'')),
        ..Default::default()
    };
    let mut items = Vec::new();
    for word in words {
        match (word.split_once('='), word.strip_prefix('-')) {
            (Some(("from", n)), _) => delta.from_version = Some(n.parse().unwrap()),
            (Some((key, value)), _) => items.push((key, value, false)),
            (None, Some(key)) => items.push((key, "", true)),
            (None, None) if word == "clear" => delta.clear_topic_entries = Some(true),
            (None, None) => panic!("not an item: {word}"),
        }
    }
    let items = items
        .iter()
        .map(|(k, v, deleted)| (k.as_bytes(), v.as_bytes(), *deleted));
    delta.topic_entries = ItemBatch::from_items(items);
    delta
}
