//! What a pair shows of itself: `/ha`, and what it adds to the pages and metrics of one alone
//! (observability.md sections 1, 3, 4).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::pair::Pair;
use common::voter::{Voter, join};
use common::{Statestored, eventually, http};
use serde_json::Value;

/// The fields of `/ha` in their order.
const FIELDS: [&str; 25] = [
    "statestore_id",
    "role",
    "seed_role",
    "is_active",
    "epoch",
    "highest_epoch",
    "rests_on",
    "lease_held_by_peer_ms",
    "lease_held_by_voters_ms",
    "peer_address",
    "peer_id",
    "peer_found",
    "peer_last_error",
    "peer_knows_epochs",
    "peer_missed_heartbeats",
    "missed_heartbeats_of_peer",
    "since_peer_was_heard_ms",
    "electorate_size",
    "electorate_is_agreed",
    "electorate_proposed_size",
    "guarantee",
    "limits",
    "obstacles",
    "voters",
    "__common__",
];

fn keys(value: &Value) -> Vec<&str> {
    let fields = value.as_object().unwrap().keys();
    fields.map(String::as_str).collect()
}

/// Keys of the root group, in order, from the first to the last one that is named.
fn metrics(of: &Statestored, from: &str, to: &str) -> Vec<String> {
    let page = of.json("/metrics");
    let rows = page["metric_group"]["metrics"].as_array().unwrap().iter();
    let names = rows.map(|row| row["name"].as_str().unwrap().to_owned());
    let mut names: Vec<_> = names.skip_while(|name| name != from).collect();
    let end = names.iter().position(|name| name == to).unwrap();
    names.truncate(end + 1);
    names
}

// ha.md: everything that a role rests on
#[test]
fn the_page_of_the_pair_says_who_acts_and_why_with_every_vote() {
    let (pair, first, second) = Pair::start(&[]);
    let voters = ["a", "b", "c"].map(Voter::new);
    join(&voters, &first, &second);
    let page = first.json("/ha");
    assert_eq!(keys(&page), FIELDS);
    assert_eq!(
        (&page["role"], &page["seed_role"]),
        (&"active".into(), &"primary".into())
    );
    assert_eq!(
        (&page["rests_on"], &page["electorate_size"]),
        (&"a lease".into(), &3.into())
    );
    assert_eq!(page["peer_id"], second.json("/ha")["statestore_id"]);
    assert_eq!(page["peer_address"], format!("127.0.0.1:{}", pair.ports[1]));
    assert_eq!(page["peer_knows_epochs"], true);
    assert_eq!(page["guarantee"], "at most one active");
    assert_eq!(page["limits"]["peer_timeout_ms"], 2000);
    assert_eq!(page["limits"]["subscriber_lease_ms"], 1500);
    assert_eq!(page["obstacles"].as_array().unwrap().len(), 0);
    for held in ["lease_held_by_peer_ms", "lease_held_by_voters_ms"] {
        let left = eventually(held, || page[held].as_u64().filter(|left| *left > 0));
        assert!(left <= 1500, "{held}: {left}");
    }
    let voter = &page["voters"][0];
    assert_eq!(
        (&voter["id"], &voter["timeout_ms"]),
        (&"a".into(), &2000.into())
    );
    assert_eq!(
        (&voter["registered"], &voter["in_electorate"]),
        (&true.into(), &true.into())
    );
    // A limit of 2 s leaves no room for heartbeats of 3 s, as the flags say.
    let pace = ["heartbeat_period_ms", "heartbeat_call_limit_ms"].map(|name| &voter[name]);
    assert_eq!(pace, [100, 375]);
    assert!(voter["acknowledged_ms_ago"].as_u64().unwrap() < 1500);

    let (status, html) = http(first.web, "GET", "/ha").unwrap();
    assert_eq!(status, 200);
    assert!(html.contains("at most one active") && html.contains("vote_age_ms"));
    the_standby_says_why_it_is_none(&second);
}

fn the_standby_says_why_it_is_none(second: &Statestored) {
    let page = eventually("the standby has asked everybody", || {
        let page = second.json("/ha");
        let rows = page["voters"].as_array().unwrap().clone();
        rows.iter().all(|row| row["vote"] == "OK").then_some(page)
    });
    assert_eq!(
        (&page["role"], &page["seed_role"]),
        (&"standby".into(), &"standby".into())
    );
    assert_eq!(page["rests_on"], "nothing: not active");
    let obstacles = page["obstacles"].as_array().unwrap();
    assert!(
        obstacles[0]
            .as_str()
            .unwrap()
            .starts_with("the peer was heard")
    );
    assert_eq!(
        obstacles[1],
        "0 of 3 voters have lost the other statestored, 2 are needed"
    );
    assert_eq!(page["voters"][0]["vote_says_other_is_active"], true);
}

// observability.md section 3: the list of the navigation bar is an interface
#[test]
fn the_front_page_links_to_the_pair_and_the_navigation_bar_does_not() {
    let pair = Pair::new(&[]);
    let one = pair.launch(0, &[]);
    let front = one.json("/");
    assert_eq!(front["ha_link"], "/ha");
    let links = front["__common__"]["navbar"].as_array().unwrap();
    assert!(links.iter().all(|row| row["link"] != "/ha"));
    let (_, html) = http(one.web, "GET", "/").unwrap();
    assert!(html.contains("<a href=\"/ha\">"));

    let alone = Statestored::start(&[]);
    assert!(alone.json("/").get("ha_link").is_none());
    let (status, _) = http(alone.web, "GET", "/ha?json").unwrap();
    assert_eq!(status, 404);
}

// observability.md section 1
#[test]
fn a_pair_has_the_references_metrics_of_a_pair_in_its_order() {
    let (_pair, first, second) = Pair::start(&["--enable_catalogd_ha"]);
    let state = metrics(&first, "statestore.active-status", "statestore.version");
    assert_eq!(
        state,
        [
            "statestore.active-status",
            "statestore.service-started",
            "statestore.in-ha-recovery-mode",
            "statestore.connected-with-peer-statestored",
            "statestore.version",
        ]
    );
    // Prometheus knows no properties.
    for (daemon, [active, recovery, connected]) in [(&first, [1, 0, 1]), (&second, [0, 0, 1])] {
        let (_, text) = http(daemon.web, "GET", "/metrics_prometheus").unwrap();
        for line in [
            format!("impala_statestore_acts_as_active {active}"),
            format!("impala_statestore_in_recovery {recovery}"),
            format!("impala_statestore_connected_with_peer {connected}"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
    let caches = metrics(
        &first,
        "subscriber-update-state.client-cache.clients-in-use",
        "statestored-ha.client-cache.total-clients",
    );
    assert_eq!(caches.len(), 10, "{caches:?}");
    assert_eq!(
        caches[6],
        "subscriber-update-statestored.client-cache.clients-in-use"
    );
    let server = |what: &str| format!("impala.thrift-server.StatestoreHaService.{what}");
    let servers = metrics(
        &first,
        "impala.thrift-server.StatestoreService.connections-in-use",
        &server("svc-thread-wait-time"),
    );
    assert_eq!(servers.len(), 12, "{servers:?}");

    // Which of the two asked in the handshake is chance; the heartbeats come to the standby.
    let rpc = "rpc-method.StatestoreHa.StatestoreHaService.StatestoreHaHeartbeat";
    let durations = ["call", "read", "write"].map(|what| format!("{rpc}.{what}_duration"));
    assert_eq!(metrics(&second, &durations[0], &durations[2]), durations);
    assert!(
        second
            .metric(&server("connections-in-use"))
            .as_u64()
            .unwrap()
            >= 1
    );
    assert!(
        first
            .metric("statestored-ha.client-cache.total-clients")
            .as_u64()
            .unwrap()
            >= 1
    );
    let rpcz = second.json("/rpcz");
    let names = rpcz["servers"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["statestore", "StatestoreHa"]);

    // N-1: a standby knows nothing of catalogds.
    let page = second.json("/catalog_ha_info");
    assert_eq!(keys(&page), ["is_active_statestored", "__common__"]);
    assert_eq!(page["is_active_statestored"], false);
}
