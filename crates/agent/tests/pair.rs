//! An agent and the two statestoreds of a pair, which do what the test tells them to.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../subscriber/tests/support/mod.rs"]
mod support;

use common::{Agent, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::{FakeStatestore, OnFarewell, delta};

/// The first is active under epoch 10; the agent is registered with both.
async fn pair(flags: &[&str]) -> (FakeStatestore, FakeStatestore, Agent) {
    let first = FakeStatestore::start(1).await;
    let second = FakeStatestore::start(2).await;
    first.activate(Some(10));
    second.activate(None);
    let first_port = format!("--state_store_port={}", first.port);
    let second_port = format!("--state_store_2_port={}", second.port);
    let own = [
        "--subscriber_id=a",
        "--enable_statestored_ha",
        "--state_store_2_host=127.0.0.1",
        "--statestore_subscriber_timeout_seconds=3600",
        &first_port,
        &second_port,
    ];
    let agent = Agent::spawn(None, &[&own, flags].concat());
    second.registration(1).await;
    let known =
        || (agent.json("/statestores")["statestores"][1]["role"] == "standby").then_some(());
    eventually("both roles", known);
    (first, second, agent)
}

// B-2, B-4; the seed: address, role, last heartbeat, missed heartbeats of each statestored
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_page_tells_of_both_and_who_is_primary() {
    let period = "--statestore_heartbeat_frequency_ms=100";
    let (first, second, agent) = pair(&[period]).await;
    first.heartbeat().await;
    let rows = || agent.json("/statestores")["statestores"].clone();
    let found = rows();
    for (row, statestore) in [(&found[0], &first), (&found[1], &second)] {
        assert_eq!(row["address"], format!("127.0.0.1:{}", statestore.port));
        let id = statestore.statestore_id().to_string();
        assert_eq!(row["statestore_id"], id);
        let registration = statestore.registration_id().to_string();
        assert_eq!(row["registration_id"], registration);
    }
    let words = |row: &Value| json!([row["role"], row["status"], row["state"], row["epoch"]]);
    assert_eq!(words(&found[0]), json!(["primary", "active", "ok", 10]));
    let standby = json!(["standby", "standby", "unknown", null]);
    assert_eq!(words(&found[1]), standby, "never heard (H-34)");
    assert!(found[0]["last_heartbeat"].is_string());
    assert_eq!(found[1]["last_heartbeat"], Value::Null);
    eventually("a missed heartbeat", || {
        rows()[0]["missed_heartbeats"].as_i64().filter(|it| *it > 0)
    });

    second.activate(Some(13));
    second.heartbeat().await;
    assert!(!first.heartbeat().await.status.is_ok(), "W2");
    let found = rows();
    assert_eq!(words(&found[0]), json!(["standby", "standby", "ok", 10]));
    assert_eq!(words(&found[1]), json!(["primary", "active", "ok", 13]));
    assert_eq!(found[0]["epoch_refusals"], 1);
    assert_eq!(agent.json("/statestores")["highest_epoch"], 13);
    assert!(agent.get("/statestores").1.contains("primary"));
}

// W30
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_two_metrics_of_a_pair_have_the_same_key() {
    let (first, second, agent) = pair(&["--follow=t"]).await;
    first.update(vec![delta("t", 0, 1, &[("k", "v")])]).await;
    let metrics = agent.json("/jsonmetrics");
    let value = |key: &str| metrics[key].clone();
    for (group, statestore, role) in [
        ("statestore-subscriber", &first, "primary"),
        ("statestore2-subscriber", &second, "standby"),
    ] {
        let id = statestore.statestore_id().to_string();
        assert_eq!(value(&format!("{group}.statestore-id")), id);
        let address = format!("127.0.0.1:{}", statestore.port);
        assert_eq!(value(&format!("{group}.statestore-address")), address);
        assert_eq!(value(&format!("{group}.statestore-role")), role);
        let active = value(&format!("{group}.statestore-active-status"));
        assert_eq!(active, role == "primary");
        assert_eq!(value(&format!("{group}.connected")), true);
        assert!(value(&format!("{group}.missed-heartbeats")).is_number());
        assert_eq!(value(&format!("{group}.num-epoch-refusals")), 0);
        assert_eq!(value(&format!("{group}.last-heartbeat-time")), "N/A");
    }
    let (_, text) = agent.get("/metrics_prometheus");
    let types = text.lines().filter(|line| line.starts_with("# TYPE "));
    let mut seen = BTreeSet::new();
    for line in types {
        assert!(seen.insert(line.to_owned()), "twice: {line}");
    }
    assert!(text.contains("\nimpala_statestore2_subscriber_num_connection_failures 0"));
}

// ha.md rule 14
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_agent_that_is_told_to_end_tells_both_and_waits_for_nobody() {
    let (first, second, mut agent) = pair(&[]).await;
    second.state.lock().unwrap().on_farewell = OnFarewell::Hangs;
    agent.signal(Signal::TERM);
    for statestore in [&first, &second] {
        let farewell = statestore.farewell().await;
        assert_eq!(farewell.subscriber_id, "a");
        assert_eq!(farewell.registration_id, statestore.registration_id());
    }
    assert_eq!(agent.wait().code(), Some(0));
}
