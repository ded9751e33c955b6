//! What is answered from a real statestored's pages: for people, as JSON, and not at all.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Statestored, ctl, failure, stdout};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn status_says_what_an_operator_asks_first() {
    let statestored = Statestored::start(&[]);
    let entries: [(&[u8], &[u8]); 2] = [(b"key", b"value"), (b"k", b"")];
    let _publisher = statestored.publisher("t", &entries).await;
    let status = statestored.json(&["status"]);
    for (field, wanted) in [
        ("web", json!(format!("127.0.0.1:{}", statestored.web))),
        ("service_started", json!(true)),
        ("role", json!("active")),
        ("in_ha_recovery", Value::Null),
        ("peer", Value::Null),
        ("peer_connected", Value::Null),
        ("active_catalogd", Value::Null),
        ("subscribers", json!(1)),
        ("longest_silence_id", json!("publisher")),
        ("topics", json!(1)),
        ("keys", json!(2)),
        ("key_bytes", json!(4)),
        ("value_bytes", json!(5)),
    ] {
        assert_eq!(status[field], wanted, "{field}");
    }
    assert!(
        status["version"]
            .as_str()
            .unwrap()
            .starts_with("statestored version ")
    );
    assert!(status["started"].as_str().unwrap().starts_with("20"));
    assert!(status["longest_silence_secs"].as_f64().unwrap() < 30.0);
    assert!(status["rss_bytes"].as_u64().unwrap() > 1 << 20);

    let shown = stdout(statestored.ctl(&["status"]));
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap();
    let last = |name: &str| line(name).split_whitespace().last().unwrap();
    assert_eq!(
        (last("role"), last("keys"), last("peer_connected")),
        ("active", "2", "-")
    );
    assert!(line("rss_bytes").ends_with(" MB"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_and_topics_are_listed_in_order() {
    let statestored = Statestored::start(&[]);
    let publisher = statestored
        .publisher("a-topic", &[(b"k", &[7; 1536])])
        .await;

    let subscribers = statestored.json(&["subscribers"]);
    assert_eq!(subscribers.as_array().unwrap().len(), 1);
    assert_eq!(subscribers[0]["id"], "publisher");
    assert_eq!(subscribers[0]["address"], publisher.address().to_string());
    let shown = stdout(statestored.ctl(&["subscribers"]));
    assert!(
        shown.contains("publisher") && shown.contains("secs_since_heartbeat"),
        "{shown}"
    );

    let topics = statestored.json(&["topics"]);
    assert_eq!(
        (&topics[0]["topic_id"], &topics[0]["version"]),
        (&json!("a-topic"), &json!(1))
    );
    assert_eq!(topics[0]["value_size_bytes"], 1536);
    let shown = stdout(statestored.ctl(&["topics"]));
    assert!(
        shown.contains("a-topic") && shown.contains("1.50 KB"),
        "{shown}"
    );
}

#[test]
fn flags_are_all_or_only_those_that_were_set() {
    let statestored = Statestored::start(&["--statestore_max_missed_heartbeats=7"]);
    let all = statestored.json(&["flags"]);
    let changed = statestored.json(&["flags", "--changed"]);
    let value = |flags: &Value, name: &str| {
        let mut rows = flags.as_array().unwrap().iter();
        rows.find(|row| row["name"] == name)
            .map(|row| row["current"].clone())
    };
    assert_eq!(
        value(&changed, "statestore_max_missed_heartbeats"),
        Some(json!("7"))
    );
    assert_eq!(value(&changed, "statestore_max_subscribers"), None);
    assert_eq!(
        value(&all, "statestore_max_subscribers"),
        Some(json!("10000"))
    );
    let shown = stdout(statestored.ctl(&["flags", "--changed"]));
    assert!(
        shown.contains("statestore_max_missed_heartbeats"),
        "{shown}"
    );
}

#[test]
fn an_address_where_nobody_answers_is_named() {
    let (code, said) = failure(ctl(&["status", "--web", "127.0.0.1:1"]));
    assert_eq!(code, 1);
    assert!(said.contains("http://127.0.0.1:1/jsonmetrics"), "{said}");
    assert!(said.contains("refused"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_port_that_is_no_web_server_costs_no_more_than_the_limit() {
    // Accepts, as the kernel does by itself, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (code, said) = failure(ctl(&["topics", "--web", &address, "--timeout", "0.2"]));
    assert_eq!(code, 1);
    assert!(
        said.contains(&address) && said.contains("timeout"),
        "{said}"
    );
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    for args in [
        &[][..],
        &["nonsense"],
        &["get"],
        &["get", "t", "--raw"],
        &["get", "t", "--key", "k", "--prefix", "p"],
        &["status", "--web", "host:port"],
        &["status", "--timeout", "0"],
        &["watch", "t", "--listen", "host:port"],
    ] {
        let (code, said) = failure(ctl(args));
        assert_eq!(code, 2, "{args:?}: {said}");
    }
    let (_, said) = failure(ctl(&["status", "--web", "host:port"]));
    assert!(
        said.contains("--web") && said.contains("'port' is no port"),
        "{said}"
    );
}

#[test]
fn help_and_completions_are_there_for_everything() {
    let help = stdout(ctl(&["get", "--help"]));
    for word in [
        "--rpc",
        "--timeout",
        "--unchecked",
        "--raw",
        "statestorectl@HOST:PID",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(ctl(&["completions", shell]));
        for word in ["statestorectl", "watch", "unchecked"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
