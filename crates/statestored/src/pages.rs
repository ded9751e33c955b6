//! `/topics`, `/subscribers`, `/catalog_ha_info` (observability.md section 4).
//!
//! Fields, types and formats are an interface: Impala's tests and operators' scripts read them.
//! Deliberately absent: HTML; a page is its document until it is given a rendering of its own.

use crate::views::{Scene, Views};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use statestore_core::config::Config;
use statestore_core::role::Role;
use statestore_core::view::{CatalogView, NotifiedView, SubscriberView, TopicView};
use statestore_daemon::metrics::pretty;
use statestore_daemon::metrics::system::format_millis;
use statestore_daemon::serde_json::{Value as Json, json};
use statestore_daemon::web::{Document, Page, Site};
use statestore_wire::{CatalogRegistration, SubscriberType};

mod ha;

/// Adds the pages of a statestored to a site.
pub fn register(site: &Site, views: &Views, config: &Config) {
    let ask = views.clone();
    site.add(page("/topics", move || topics(ask.clone())));
    let ask = views.clone();
    site.add(page("/subscribers", move || subscribers(ask.clone())));
    if let Some(ha) = &config.ha {
        site.add(ha::page(views.clone(), ha.clone()));
    }
    if config.catalog.ha {
        let ask = views.clone();
        site.add(page("/catalog_ha_info", move || {
            catalog_ha_info(ask.clone())
        }));
    }
}

/// What `/` shows of a statestored beside the facts of every daemon.
pub async fn front(views: Views) -> Document {
    let look = |scene: &Scene<'_>| (scene.node.role(), scene.node.found_peer().is_some());
    let (role, paired) = views.look(look).await.unzip();
    let status = if role == Some(Role::Active) {
        "Active"
    } else {
        "Standby"
    };
    let mut page = document([
        ("is_statestore", true.into()),
        ("is_catalog", false.into()),
        ("statestore_active_status", status.into()),
    ]);
    if paired == Some(true) {
        // The navigation bar's entries are the reference's.
        page.insert("ha_link".to_owned(), ha::PATH.into());
    }
    page
}

fn page<F, R>(path: &str, make: F) -> Page
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Option<Document>> + Send + 'static,
{
    Page::document(path, move |_| {
        let made = make();
        async move { made.await.unwrap_or_else(gone) }
    })
    .in_navbar()
}

fn gone() -> Document {
    document([("error", "statestored is shutting down".into())])
}

async fn topics(views: Views) -> Option<Document> {
    let topics = views.look(|scene| scene.node.topics()).await?;
    Some(document([("topics", topics.iter().map(topic).collect())]))
}

fn topic(topic: &TopicView) -> Json {
    let (keys, values) = (topic.key_bytes as u64, topic.value_bytes as u64);
    let total = keys.saturating_add(values);
    json!({
        "topic_id": topic.name.to_str(),
        "num_entries": topic.entries,
        "version": topic.version,
        "key_size": pretty::bytes_u64(keys),
        "value_size": pretty::bytes_u64(values),
        "total_size": pretty::bytes_u64(total),
        "key_size_bytes": keys,
        "value_size_bytes": values,
        "total_size_bytes": total,
        "prioritized": topic.prioritized,
        "oldest_version": topic.oldest_version,
        "oldest_id": topic.oldest_id.to_str(),
    })
}

async fn subscribers(views: Views) -> Option<Document> {
    let rows = views
        .look(|scene| scene.node.subscribers(scene.now))
        .await?;
    Some(document([(
        "subscribers",
        rows.iter().map(subscriber).collect(),
    )]))
}

fn subscriber(row: &SubscriberView) -> Json {
    json!({
        "id": row.id.to_str(),
        "address": row.address.to_string(),
        "num_topics": row.num_topics,
        "num_priority_topics": row.num_priority_topics,
        "num_transient": row.num_transient,
        "registration_id": row.registration_id.to_string(),
        "secs_since_heartbeat": format!("{:.3}", row.since_heartbeat.as_secs_f64()),
    })
}

async fn catalog_ha_info(views: Views) -> Option<Document> {
    let view = views.look(|scene| scene.node.catalog()).await?;
    Some(catalog_document(&view))
}

fn catalog_document(view: &CatalogView) -> Document {
    if !view.is_active_statestored {
        return document([("is_active_statestored", false.into())]);
    }
    let mut page = document([
        ("is_active_statestored", true.into()),
        ("has_active_catalogd", view.active.is_some().into()),
        ("active_catalogd_version", view.version.into()),
    ]);
    if view.version > 0 {
        let time = view
            .last_change
            .map(|wall| local_time(wall.as_millis()))
            .unwrap_or_default();
        page.insert("last_update_catalogd_time".to_owned(), time.into());
    }
    for (who, registration) in [("active", &view.active), ("standby", &view.standby)] {
        if let Some(registration) = registration {
            page.extend(catalogd(who, registration));
        }
    }
    let notified = view
        .notified
        .iter()
        .map(|row| notified(row, view.version))
        .collect();
    page.insert("notified_subscribers".to_owned(), notified);
    page
}

fn catalogd(who: &str, registration: &CatalogRegistration) -> Document {
    let time = registration
        .registration_time
        .map(local_time)
        .unwrap_or_default();
    let fields: [(&str, Json); 4] = [
        (
            "enable_catalogd_ha",
            registration.enable_catalogd_ha.unwrap_or_default().into(),
        ),
        ("address", registration.address.to_string().into()),
        (
            "force_catalogd_active",
            registration
                .force_catalogd_active
                .unwrap_or_default()
                .into(),
        ),
        ("registration_time", time.into()),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (format!("{who}_catalogd_{name}"), value))
        .collect()
}

fn notified(row: &NotifiedView, version: i64) -> Json {
    let mut page = document([
        ("id", row.id.to_str().into()),
        ("address", row.address.to_string().into()),
        ("registration_id", row.registration_id.to_string().into()),
        ("subscriber_type", type_name(row.subscriber_type).into()),
    ]);
    if version > 0 {
        let known = row.knows.as_ref();
        page.extend(document([
            (
                "catalogd_version",
                known.map_or(0, |known| known.version).into(),
            ),
            (
                "catalogd_address",
                known
                    .map(|known| known.address.to_string())
                    .unwrap_or_default()
                    .into(),
            ),
            (
                "last_subscriber_update_catalogd_time",
                known
                    .map(|known| local_time(known.at.as_millis()))
                    .unwrap_or_default()
                    .into(),
            ),
        ]));
    }
    page.into()
}

fn type_name(kind: SubscriberType) -> &'static str {
    match kind {
        SubscriberType::ADMISSIOND => "ADMISSIOND",
        SubscriberType::CATALOGD => "CATALOGD",
        SubscriberType::COORDINATOR => "COORDINATOR",
        SubscriberType::EXECUTOR => "EXECUTOR",
        SubscriberType::COORDINATOR_EXECUTOR => "COORDINATOR AND EXECUTOR",
        _ => "UNKNOWN",
    }
}

/// Milliseconds since the epoch as local time; "" for what no calendar holds.
fn local_time(millis: i64) -> String {
    let time = Timestamp::from_millisecond(millis);
    time.map(|time| format_millis(&time.to_zoned(TimeZone::system())))
        .unwrap_or_default()
}

fn document<const N: usize>(fields: [(&str, Json); N]) -> Document {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use statestore_core::time::Wall;
    use statestore_wire::{CatalogVersion, NetworkAddress};

    fn names(page: &Document) -> Vec<&str> {
        page.keys().map(String::as_str).collect()
    }

    #[test]
    fn an_inactive_statestored_says_nothing_else_of_catalogds() {
        let view = CatalogView {
            is_active_statestored: false,
            active: None,
            standby: None,
            version: 3,
            last_change: None,
            notified: Vec::new(),
        };
        assert_eq!(names(&catalog_document(&view)), ["is_active_statestored"]);
    }

    #[test]
    fn the_active_catalogd_is_described_in_full() {
        let address = NetworkAddress {
            hostname: "h".into(),
            port: 26_000,
            uds_address: None,
        };
        let registration = CatalogRegistration {
            protocol: CatalogVersion::V2,
            address,
            enable_catalogd_ha: Some(true),
            force_catalogd_active: Some(false),
            registration_time: Some(1_700_000_000_123),
        };
        let view = CatalogView {
            is_active_statestored: true,
            active: Some(registration),
            standby: None,
            version: 1,
            last_change: Some(Wall(1_700_000_000_123_000)),
            notified: Vec::new(),
        };
        let page = catalog_document(&view);
        let expected = [
            "is_active_statestored",
            "has_active_catalogd",
            "active_catalogd_version",
            "last_update_catalogd_time",
            "active_catalogd_enable_catalogd_ha",
            "active_catalogd_address",
            "active_catalogd_force_catalogd_active",
            "active_catalogd_registration_time",
            "notified_subscribers",
        ];
        assert_eq!(names(&page), expected);
        assert_eq!(page["active_catalogd_address"], "h:26000");
        assert!(
            page["last_update_catalogd_time"]
                .as_str()
                .unwrap()
                .ends_with(".123")
        );
    }
}
