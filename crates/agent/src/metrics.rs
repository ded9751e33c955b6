//! The agent's metrics (observability.md section 2), as a function of what the library counts.
//!
//! Deliberately absent: figures of the process itself (`statestore_daemon`), and any gauge that
//! is set by hand.

use statestore_daemon::metrics::system::local_time;
use statestore_daemon::metrics::{Group, Metric, StatsSnapshot, Units};
use statestore_subscriber::{Handle, StatestoreStatus, StatestoreView, Tally, View};

use crate::roles::Role;
use crate::standing::Standing;

const UNKNOWN: &str = "N/A";

/// All metrics of an agent.
pub(crate) fn group(handle: &Handle, role: Role, standing: &Standing) -> Group {
    let figures = handle.metrics();
    let mut root = Group::new("statestore-agent");
    let clients = |name: &str, number: usize, about: &'static str| {
        let key = format!("statestore-subscriber.statestore.client-cache.{name}");
        Metric::gauge(
            key,
            Units::None,
            i64::try_from(number).unwrap_or(i64::MAX),
            about,
        )
    };
    root.metrics = vec![
        clients(
            "clients-in-use",
            figures.clients_in_use,
            "Calls of the statestored under way.",
        ),
        clients(
            "total-clients",
            figures.clients_total,
            "Connections to the statestored.",
        ),
    ];
    if role.is_coordinator() {
        let catalogd = handle.catalogd();
        let address = catalogd
            .borrow()
            .as_ref()
            .map(|c| c.registration.address.to_string());
        root.metrics.push(Metric::text(
            "catalog.active-catalogd-address",
            address.unwrap_or_default(),
            "Address of the active catalogd.",
        ));
    }
    if role == Role::Catalogd {
        root.metrics.push(Metric::bool(
            "catalog-server.active-status",
            standing.is_active(),
            "Whether this is the active catalogd.",
        ));
        root.metrics.push(Metric::counter(
            "catalog-server.ha-number-active-status-change",
            standing.changes(),
            "How often this became the active catalogd or ceased to be it.",
        ));
    }
    let status = handle.status();
    let seen = figures.view.statestores.iter().zip(&status.statestores);
    for ((view, status), name) in seen.zip(GROUPS) {
        root.children.push(statestore_group(name, view, status));
    }
    // Updates come from one of them at a time and are counted together, in the first group.
    if let Some(first) = root.children.first_mut() {
        first.metrics.extend(updates(&figures.view));
    }
    root
}

/// The group of each statestored of a pair. The keys of a group begin with its name, so that no
/// two are equal (W30).
const GROUPS: [&str; 2] = ["statestore-subscriber", "statestore2-subscriber"];

fn statestore_group(name: &str, view: &StatestoreView, status: &StatestoreStatus) -> Group {
    let key = |what: &str| format!("{name}.{what}");
    let mut group = Group::new(name);
    group.metrics = registration(&key, view);
    group.metrics.extend(health(&key, view, status));
    group
}

fn registration(key: &impl Fn(&str) -> String, statestore: &StatestoreView) -> Vec<Metric> {
    let seconds = statestore
        .last_recovery
        .map_or(0.0, |duration| duration.as_secs_f64());
    let recovered = statestore.last_recovery_at.map(|wall| local_time(wall.0));
    let id = |id: Option<String>| id.unwrap_or_else(|| UNKNOWN.to_owned());
    vec![
        Metric::bool(
            key("connected"),
            statestore.connected,
            "Registered, and heartbeats come.",
        ),
        Metric::counter(
            key("num-connection-failures"),
            number(statestore.connection_failures),
            "How often the statestored was lost.",
        ),
        Metric::counter(
            key("num-re-register-attempt"),
            number(statestore.reregistrations),
            "Registrations tried because the statestored was lost.",
        ),
        Metric::gauge_f64(
            key("last-recovery-duration"),
            Units::TimeS,
            seconds,
            "How long the last recovery took.",
        ),
        Metric::text(
            key("last-recovery-time"),
            recovered.unwrap_or_else(|| UNKNOWN.to_owned()),
            "When the last recovery ended.",
        ),
        Metric::text(
            key("registration-id"),
            id(statestore.registration_id.map(|id| id.to_string())),
            "The current registration.",
        ),
        Metric::text(
            key("statestore-id"),
            id(statestore.statestore_id.map(|id| id.to_string())),
            "The statestored process.",
        ),
    ]
}

/// What the seed wants to be known of each statestored, beside the reference's own.
fn health(
    key: &impl Fn(&str) -> String,
    statestore: &StatestoreView,
    status: &StatestoreStatus,
) -> Vec<Metric> {
    let heard = statestore.last_heartbeat_at.map(|wall| local_time(wall.0));
    vec![
        Metric::text(
            key("statestore-address"),
            statestore.address.to_string(),
            "Host and port of this statestored.",
        ),
        Metric::text(
            key("statestore-role"),
            crate::pages::role(statestore.role),
            "The role of this statestored: primary, standby or unknown.",
        ),
        Metric::bool(
            key("statestore-active-status"),
            statestore.role == statestore_subscriber::Role::Active,
            "Whether this statestored is the active one.",
        ),
        Metric::text(
            key("last-heartbeat-time"),
            heard.unwrap_or_else(|| UNKNOWN.to_owned()),
            "When the last heartbeat was accepted.",
        ),
        Metric::gauge(
            key("missed-heartbeats"),
            Units::None,
            i64::from(status.missed_heartbeats),
            "Whole heartbeat periods since the last heartbeat or registration.",
        ),
        stats(
            key("heartbeat-interval-time"),
            &statestore.heartbeat_intervals,
            "Between accepted heartbeats.",
        ),
        Metric::counter(
            key("num-update-statestored-role-rpc"),
            number(statestore.role_notices),
            "Role messages from the standby.",
        ),
        Metric::counter(
            key("num-epoch-refusals"),
            number(statestore.refusals),
            "Messages refused because the sender's activation was over.",
        ),
    ]
}

/// What is counted over all statestoreds.
fn updates(view: &View) -> Vec<Metric> {
    let key = |name: &str| format!("statestore-subscriber.{name}");
    let mut metrics = vec![
        stats(
            key("topic-update-interval-time"),
            &view.update_intervals,
            "From the end of one update to the start of the next.",
        ),
        stats(
            key("topic-update-duration"),
            &view.update_durations,
            "Processing time of whole messages.",
        ),
        Metric::counter(
            key("num-update-catalogd-rpc"),
            number(view.catalogd_notices),
            "Accepted notices of the active catalogd.",
        ),
    ];
    for topic in &view.topics {
        let key = |what: &str| key(&format!("topic-{}.{what}", topic.name));
        metrics.push(stats(
            key("processing-time-s"),
            &topic.durations,
            "Processing time of the topic's updates.",
        ));
        metrics.push(stats(
            key("update-interval"),
            &topic.intervals,
            "From the end of one update of the topic to the start of the next.",
        ));
    }
    metrics
}

fn stats(key: String, tally: &Tally, about: &'static str) -> Metric {
    let snapshot = StatsSnapshot {
        count: tally.count,
        last: tally.last,
        min: tally.min,
        max: tally.max,
        mean: tally.mean,
        stddev: tally.variance().sqrt(),
    };
    Metric::stats(key, Units::TimeS, snapshot, about)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
