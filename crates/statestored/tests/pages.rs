//! Pages and metrics: names, order and formats are an interface (observability.md).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::subscriber::{Subscriber, call};
use common::{Statestored, eventually, http};
use serde_json::Value;
use statestore_wire::{CatalogRegistration, CatalogVersion, NetworkAddress, SubscriberType};

const CATALOG: &str = "catalog-update";
const MEMBERSHIP: &str = "impala-membership";

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// A statestored with one subscriber that has published an entry in each class.
fn with_a_subscriber(flags: &[&str]) -> (Statestored, Subscriber, String) {
    let statestored = Statestored::start(flags);
    let a = Subscriber::new("a");
    a.publish(
        CATALOG,
        &[(b"key", b"value", false), (b"gone", b"12", true)],
    );
    a.publish(MEMBERSHIP, &[(b"a", b"0123456789", false)]);
    let id = a.register(statestored.rpc, &[(MEMBERSHIP, true), (CATALOG, false)]);
    a.await_value(CATALOG, b"key", Some(b"value"));
    a.await_value(MEMBERSHIP, b"a", Some(b"0123456789"));
    (statestored, a, id.to_string())
}

// observability.md section 4, T-12
#[test]
fn topics_are_listed_with_versions_and_sizes() {
    let (statestored, _a, _) = with_a_subscriber(&[]);
    let page = statestored.json("/topics");
    assert_eq!(page["topics"].as_array().unwrap().len(), 2);
    let membership = statestored.topic(MEMBERSHIP).unwrap();
    assert_eq!(
        keys(&membership),
        [
            "topic_id",
            "num_entries",
            "version",
            "key_size",
            "value_size",
            "total_size",
            "key_size_bytes",
            "value_size_bytes",
            "total_size_bytes",
            "prioritized",
            "oldest_version",
            "oldest_id",
        ]
    );
    assert_eq!(membership["prioritized"], true);
    assert_eq!(membership["value_size"], "10.00 B");
    assert_eq!(membership["oldest_id"], "a");
    let catalog = statestored.topic(CATALOG).unwrap();
    assert_eq!(
        (&catalog["prioritized"], &catalog["version"]),
        (&false.into(), &2.into())
    );
    eventually("both versions are known", || {
        let rows = [CATALOG, MEMBERSHIP].map(|name| statestored.topic(name).unwrap());
        rows.iter()
            .all(|row| row["oldest_version"] == row["version"])
            .then_some(())
    });
    // The gauges are the sums.
    let topics = statestored.json("/topics")["topics"]
        .as_array()
        .unwrap()
        .clone();
    for (gauge, field) in [
        ("statestore.total-key-size-bytes", "key_size_bytes"),
        ("statestore.total-value-size-bytes", "value_size_bytes"),
        ("statestore.total-topic-size-bytes", "total_size_bytes"),
    ] {
        let sum: i64 = topics
            .iter()
            .map(|topic| topic[field].as_i64().unwrap())
            .sum();
        assert_eq!(statestored.metric(gauge), sum, "{gauge}");
    }
}

// observability.md section 4
#[test]
fn subscribers_are_listed_with_their_registrations() {
    let (statestored, a, id) = with_a_subscriber(&[]);
    let page = statestored.json("/subscribers");
    assert_eq!(keys(&page), ["subscribers", "__common__"]);
    let row = &page["subscribers"][0];
    assert_eq!(
        keys(row),
        [
            "id",
            "address",
            "num_topics",
            "num_priority_topics",
            "num_transient",
            "registration_id",
            "secs_since_heartbeat",
        ]
    );
    assert_eq!(row["id"], "a");
    assert_eq!(row["address"], a.address.to_string());
    assert_eq!(
        (&row["num_topics"], &row["num_priority_topics"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        (&row["num_transient"], &row["registration_id"]),
        (&1.into(), &id.into())
    );
    let since = row["secs_since_heartbeat"].as_str().unwrap();
    assert_eq!(since.split('.').nth(1).unwrap().len(), 3, "{since}");
}

/// Keys of the root group for a statestored that was asked to register only.
const ROOT_METRICS: [&str; 36] = [
    "statestore.live-backends",
    "statestore.live-backends.list",
    "statestore.subscribers-received-heartbeat",
    "statestore.total-key-size-bytes",
    "statestore.total-value-size-bytes",
    "statestore.total-topic-size-bytes",
    "statestore.topic-update-durations",
    "statestore.priority-topic-update-durations",
    "statestore.heartbeat-durations",
    "statestore.num-successful-update-catalogd-rpc",
    "statestore.num-failed-update-catalogd-rpc",
    "statestore.num-successful-update-statestored-role-rpc",
    "statestore.num-failed-update-statestored-role-rpc",
    "statestore.num-clear-topic-entries-requests",
    "statestore.active-catalogd-address",
    "statestore.active-status",
    "statestore.service-started",
    "statestore.version",
    "subscriber-update-state.client-cache.clients-in-use",
    "subscriber-update-state.client-cache.total-clients",
    "subscriber-heartbeat.client-cache.clients-in-use",
    "subscriber-heartbeat.client-cache.total-clients",
    "subscriber-update-catalogd.client-cache.clients-in-use",
    "subscriber-update-catalogd.client-cache.total-clients",
    "impala.thrift-server.StatestoreService.connections-in-use",
    "impala.thrift-server.StatestoreService.total-connections",
    "impala.thrift-server.StatestoreService.connection-setup-queue-size",
    "impala.thrift-server.StatestoreService.timedout-cnxn-requests",
    "impala.thrift-server.StatestoreService.connection-setup-time",
    "impala.thrift-server.StatestoreService.svc-thread-wait-time",
    "rpc-method.statestore.StatestoreService.RegisterSubscriber.call_duration",
    "rpc-method.statestore.StatestoreService.RegisterSubscriber.read_duration",
    "rpc-method.statestore.StatestoreService.RegisterSubscriber.write_duration",
    "process-start-time",
    "thread-manager.running-threads",
    "thread-manager.total-threads-created",
];

// observability.md section 1
#[test]
fn every_metric_of_the_reference_is_there_in_its_order() {
    let (statestored, a, _) = with_a_subscriber(&[]);
    a.await_heartbeats(1);
    let page = statestored.json("/metrics");
    let root = &page["metric_group"];
    assert_eq!(root["name"], "statestore");
    let rows = root["metrics"].as_array().unwrap();
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ROOT_METRICS);
    let groups = root["child_groups"].as_array().unwrap().iter();
    assert!(
        groups
            .map(|group| group["name"].as_str().unwrap())
            .any(|name| name == "memory")
    );

    let flat = statestored.json("/jsonmetrics");
    assert_eq!(flat["statestore.live-backends"], 1);
    assert_eq!(
        flat["statestore.live-backends.list"],
        serde_json::json!(["a"])
    );
    assert_eq!(flat["statestore.active-status"], true);
    assert_eq!(flat["statestore.service-started"], true);
    assert_eq!(flat["statestore.active-catalogd-address"], "");
    assert!(
        flat["statestore.heartbeat-durations"]["count"]
            .as_f64()
            .unwrap()
            >= 1.0
    );
    assert_eq!(
        flat["impala.thrift-server.StatestoreService.total-connections"],
        1
    );
    assert!(
        flat.get("statestore.in-ha-recovery-mode").is_none(),
        "only with HA"
    );
}

// observability.md section 4
#[test]
fn prometheus_gets_the_gauges_under_its_own_names() {
    let (statestored, _a, _) = with_a_subscriber(&[]);
    let (status, text) = http(statestored.web, "GET", "/metrics_prometheus").unwrap();
    assert_eq!(status, 200);
    for line in [
        "# TYPE impala_statestore_live_backends gauge",
        "impala_statestore_live_backends 1",
        "impala_thrift_server_StatestoreService_total_connections 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert!(
        !text.contains("active_catalogd_address"),
        "properties are left out"
    );
}

// observability.md section 4
#[test]
fn rpcz_lists_the_methods_called_so_far() {
    let (statestored, _a, _) = with_a_subscriber(&[]);
    let page = statestored.json("/rpcz");
    let server = &page["servers"][0];
    assert_eq!(server["name"], "statestore");
    let methods = server["methods"].as_array().unwrap();
    assert_eq!(methods.len(), 1);
    assert_eq!(methods[0]["name"], "StatestoreService.RegisterSubscriber");
    assert_eq!(methods[0]["in_flight"], 0);
    assert!(
        methods[0]["summary"]
            .as_str()
            .unwrap()
            .starts_with("Count: 1")
    );
}

// observability.md section 3
#[test]
fn the_navigation_bar_is_the_references() {
    let bar = |flags: &[&str]| {
        let page = Statestored::start(flags).json("/");
        assert_eq!(page["__common__"]["process-name"], "statestored");
        assert_eq!(
            (&page["is_statestore"], &page["is_catalog"]),
            (&true.into(), &false.into())
        );
        assert_eq!(page["statestore_active_status"], "Active");
        let links = page["__common__"]["navbar"].as_array().unwrap().clone();
        links
            .iter()
            .map(|row| row["link"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut expected = vec![
        "/",
        "/log_level",
        "/memz",
        "/metrics",
        "/profile_docs",
        "/rpcz",
        "/subscribers",
        "/threadz",
        "/topics",
        "/varz",
    ];
    assert_eq!(bar(&[]), expected);
    expected.insert(1, "/catalog_ha_info");
    expected.insert(3, "/logs");
    assert_eq!(
        bar(&[
            "--enable_catalogd_ha",
            "--alsologtostderr",
            "--nologtostderr"
        ]),
        expected
    );
}

// observability.md section 4, C-2, N-7
#[test]
fn the_catalogd_page_exists_with_the_flag_only_and_names_the_active_one() {
    let plain = Statestored::start(&[]);
    let (status, _) = http(plain.web, "GET", "/catalog_ha_info?json").unwrap();
    assert_eq!(status, 404);
    let statestored = Statestored::start(&["--enable_catalogd_ha"]);
    let page = statestored.json("/catalog_ha_info");
    assert_eq!(
        keys(&page),
        [
            "is_active_statestored",
            "has_active_catalogd",
            "active_catalogd_version",
            "notified_subscribers",
            "__common__",
        ]
    );
    let coordinator = Subscriber::new("c");
    let mut request = coordinator.request(&[]);
    request.subscribe_catalogd_change = Some(true);
    call(statestored.rpc, &request).unwrap();
    let catalogd = Subscriber::new("catalogd");
    let mut request = catalogd.request(&[]);
    request.subscriber_type = Some(SubscriberType::CATALOGD);
    request.catalogd_registration = Some(CatalogRegistration {
        protocol: CatalogVersion::V2,
        address: NetworkAddress {
            hostname: "::1".into(),
            port: 26_000,
            uds_address: None,
        },
        enable_catalogd_ha: Some(true),
        force_catalogd_active: Some(true),
        registration_time: None,
    });
    call(statestored.rpc, &request).unwrap();
    let page = eventually("the coordinator was told", || {
        let page = statestored.json("/catalog_ha_info");
        let told = page["notified_subscribers"][0]["catalogd_version"] == 1;
        told.then_some(page)
    });
    assert_eq!(page["has_active_catalogd"], true);
    assert_eq!(page["active_catalogd_address"], "[::1]:26000");
    assert_eq!(page["active_catalogd_force_catalogd_active"], true);
    let row = &page["notified_subscribers"][0];
    assert_eq!(
        keys(row),
        [
            "id",
            "address",
            "registration_id",
            "subscriber_type",
            "catalogd_version",
            "catalogd_address",
            "last_subscriber_update_catalogd_time",
        ]
    );
    assert_eq!(row["subscriber_type"], "COORDINATOR");
    assert_eq!(row["catalogd_address"], "[::1]:26000");
    assert_eq!(
        statestored.metric("statestore.active-catalogd-address"),
        "[::1]:26000"
    );
}
