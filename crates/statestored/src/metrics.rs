//! The metrics of a statestored (observability.md section 1), made afresh from one [`Scene`].
//!
//! Keys, kinds, units and their order are an interface: monitoring of existing clusters reads
//! them. Deliberately absent: the process' own figures (`statestore_daemon::metrics::system`).

use crate::fanout::{HEARTBEAT, PEER, UPDATE_CATALOGD, UPDATE_STATE, UPDATE_STATESTORED};
use crate::views::{Scene, Views};
use statestore_core::role::Role;
use statestore_core::view::{Tally, Totals};
use statestore_daemon::metrics::{Group, Metric, StatsSnapshot, Units};
use statestore_daemon::rpc_statistics::ServiceStatistics;
use statestore_rpc::{Purpose, Usage};

/// Name of the root group.
const ROOT: &str = "statestore";

/// Everything that can be said now; `version` is the first line of `--version`.
pub async fn group(views: Views, servers: Vec<ServiceStatistics>, version: String) -> Group {
    let mut group = Group::new(ROOT);
    if let Some(figures) = views.look(Figures::take).await {
        group.metrics = membership(&figures.totals);
        group.metrics.extend(work(&figures.totals));
        group.metrics.extend(state(&figures, version));
        group
            .metrics
            .extend(figures.connections.iter().flat_map(client_cache));
    }
    let of_servers = servers.iter().flat_map(ServiceStatistics::server_metrics);
    group.metrics.extend(of_servers);
    let of_methods = servers.iter().flat_map(ServiceStatistics::method_metrics);
    group.metrics.extend(of_methods);
    group
}

struct Figures {
    totals: Totals,
    serving: bool,
    /// For one of a pair: whether its peer answers.
    found_peer: Option<bool>,
    /// Likewise, the HA heartbeats that it owes.
    missed_of_peer: Option<u64>,
    connections: Vec<(Purpose, Usage)>,
}

impl Figures {
    fn take(scene: &Scene<'_>) -> Self {
        let usage = |purpose| (purpose, (scene.connections)(purpose));
        let found_peer = scene.node.found_peer();
        let alone = [UPDATE_STATE, HEARTBEAT, UPDATE_CATALOGD];
        let paired = [UPDATE_STATESTORED, PEER];
        let paired = paired.into_iter().filter(|_| found_peer.is_some());
        Self {
            totals: scene.node.totals(),
            serving: scene.serving,
            found_peer,
            missed_of_peer: scene.node.missed_of_peer(scene.now),
            connections: alone.into_iter().chain(paired).map(usage).collect(),
        }
    }
}

fn membership(totals: &Totals) -> Vec<Metric> {
    let ids = totals.subscribers.iter().map(ToString::to_string).collect();
    let gauge = |key, value, about| Metric::gauge(key, Units::None, int(value), about);
    vec![
        gauge(
            "statestore.live-backends",
            totals.subscribers.len(),
            "The number of registered statestore subscribers.",
        ),
        Metric::set(
            "statestore.live-backends.list",
            ids,
            "The set of all live statestore subscribers.",
        ),
        gauge(
            "statestore.subscribers-received-heartbeat",
            totals.answered,
            "The number of subscribers that answered a heartbeat in the last monitoring period.",
        ),
        gauge(
            "statestore.total-key-size-bytes",
            totals.key_bytes,
            "The sum of the size of all keys of all topics.",
        ),
        gauge(
            "statestore.total-value-size-bytes",
            totals.value_bytes,
            "The sum of the size of all values of all topics.",
        ),
        gauge(
            "statestore.total-topic-size-bytes",
            totals.key_bytes.saturating_add(totals.value_bytes),
            "The sum of the size of all keys and values of all topics.",
        ),
    ]
}

fn work(totals: &Totals) -> Vec<Metric> {
    let counters = &totals.counters;
    let stats = |key, tally, about| Metric::stats(key, Units::TimeS, seconds(tally), about);
    let count = |key, value: u64, about| {
        Metric::counter(key, i64::try_from(value).unwrap_or(i64::MAX), about)
    };
    vec![
        stats(
            "statestore.topic-update-durations",
            &counters.updates,
            "The time taken by topic updates, processing of the reply included.",
        ),
        stats(
            "statestore.priority-topic-update-durations",
            &counters.priority_updates,
            "The time taken by priority topic updates, processing of the reply included.",
        ),
        stats(
            "statestore.heartbeat-durations",
            &counters.heartbeats,
            "The time taken by heartbeats that were answered.",
        ),
        count(
            "statestore.num-successful-update-catalogd-rpc",
            counters.catalogd_told,
            "The number of successful UpdateCatalogd RPCs.",
        ),
        count(
            "statestore.num-failed-update-catalogd-rpc",
            counters.catalogd_failed,
            "The number of failed UpdateCatalogd RPCs.",
        ),
        count(
            "statestore.num-successful-update-statestored-role-rpc",
            counters.role_told,
            "The number of successful UpdateStatestoredRole RPCs.",
        ),
        count(
            "statestore.num-failed-update-statestored-role-rpc",
            counters.role_failed,
            "The number of failed UpdateStatestoredRole RPCs.",
        ),
        count(
            "statestore.num-clear-topic-entries-requests",
            counters.clears,
            "The number of topic updates that asked for the topic to be cleared.",
        ),
    ]
}

fn state(figures: &Figures, version: String) -> Vec<Metric> {
    let totals = &figures.totals;
    let catalogd = totals.active_catalogd_address.as_ref();
    let mut metrics = vec![
        Metric::text(
            "statestore.active-catalogd-address",
            catalogd.map(ToString::to_string).unwrap_or_default(),
            "The address of the active catalogd, as announced last.",
        ),
        Metric::bool(
            "statestore.active-status",
            totals.role == Role::Active,
            "Whether this statestored is the active one.",
        ),
        Metric::bool(
            "statestore.service-started",
            figures.serving,
            "Whether StatestoreService is open.",
        ),
    ];
    if let Some(found) = figures.found_peer {
        metrics.push(Metric::bool(
            "statestore.in-ha-recovery-mode",
            totals.role == Role::Recovery,
            "Whether this statestored lost its role and looks for another.",
        ));
        metrics.push(Metric::bool(
            "statestore.connected-with-peer-statestored",
            found,
            "Whether the other statestored of the pair answers.",
        ));
    }
    let about = "The full version string.";
    metrics.push(Metric::text("statestore.version", version, about));
    metrics.extend(own(figures));
    metrics
}

/// Not the reference's, so behind those. Its properties of a pair are no gauges, and Prometheus is
/// given gauges alone.
fn own(figures: &Figures) -> Vec<Metric> {
    let Some(found) = figures.found_peer else {
        return Vec::new();
    };
    let gauge = |key, value, about| Metric::gauge(key, Units::None, value, about);
    let role = figures.totals.role;
    let missed = figures.missed_of_peer.unwrap_or_default();
    vec![
        gauge(
            "statestore.missed-heartbeats-of-peer",
            i64::try_from(missed).unwrap_or(i64::MAX),
            "The number of HA heartbeat periods in a row without one of the primary, on a \
             statestored that is not active.",
        ),
        gauge(
            "statestore.acts-as-active",
            (role == Role::Active).into(),
            "1 if this statestored is the active one of the pair, else 0.",
        ),
        gauge(
            "statestore.in-recovery",
            (role == Role::Recovery).into(),
            "1 if this statestored lost its role and looks for another, else 0.",
        ),
        gauge(
            "statestore.connected-with-peer",
            found.into(),
            "1 if the other statestored of the pair answers, else 0.",
        ),
    ]
}

fn client_cache((purpose, usage): &(Purpose, Usage)) -> [Metric; 2] {
    let gauge = |what, value, about: &'static str| {
        let key = format!("{}.client-cache.{what}", purpose.0);
        Metric::gauge(key, Units::None, int(value), about)
    };
    [
        gauge(
            "clients-in-use",
            usage.in_use,
            "The number of connections that are in use.",
        ),
        gauge(
            "total-clients",
            usage.total,
            "The number of connections, idle ones included.",
        ),
    ]
}

fn seconds(tally: &Tally) -> StatsSnapshot {
    StatsSnapshot {
        count: tally.count,
        last: tally.last,
        min: tally.min,
        max: tally.max,
        mean: tally.mean,
        stddev: tally.variance().sqrt(),
    }
}

fn int(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
