//! `get` against a real statestored: what is in a topic, whole or in part, and what is not there.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Statestored, ctl, eventually, failure, stdout};
use serde_json::json;

/// A value that would clear the screen, and a key that is no text.
const HOSTILE: &[u8] = b"\x1b[2J\xff\n";
const ENTRIES: [(&[u8], &[u8]); 4] = [
    (b"a1", b"one"),
    (b"a2", HOSTILE),
    (b"b\xfe", b"\"two\""),
    (b"a10", b""),
];

#[tokio::test(flavor = "multi_thread")]
async fn people_see_a_table_that_cannot_drive_their_terminal() {
    let statestored = Statestored::start(&[]);
    let _publisher = statestored.publisher("t", &ENTRIES).await;
    let shown = stdout(statestored.ctl(&["get", "t"]));
    let words: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for row in [
        &["│", "a1", "3", "one", "│"][..],
        &["│", "a10", "0", "│"],
        &["│", "a2", "6", "\\u{1b}[2J\\xff\\n", "│"],
        &["│", "b\\xfe", "5", "\"two\"", "│"],
    ] {
        assert!(
            words.iter().any(|words| words == row),
            "{row:?} in\n{shown}"
        );
    }
    assert!(
        shown.ends_with("4 entries, 9 B in keys, 14 B in values, version 4\n"),
        "{shown}"
    );
    assert!(!shown.contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_given_every_byte() {
    let statestored = Statestored::start(&[]);
    let _publisher = statestored.publisher("t", &ENTRIES).await;
    let all = json!([
        {"topic": "t", "key": "a1", "value": "one"},
        {"topic": "t", "key": "a10", "value": ""},
        {"topic": "t", "key": "a2", "value_base64": "G1sySv8K"},
        {"topic": "t", "key_base64": "Yv4=", "value": "\"two\""},
    ]);
    assert_eq!(statestored.json(&["get", "t"]), all);
    let prefixed = statestored.json(&["get", "t", "--prefix", "a1"]);
    assert_eq!(prefixed.as_array().unwrap(), &all.as_array().unwrap()[..2]);
    assert_eq!(
        statestored.json(&["get", "t", "--key", "a1"]),
        json!([all[0]])
    );
    assert_eq!(
        statestored.json(&["get", "t", "--prefix", "zzz"]),
        json!([])
    );

    let raw = statestored
        .ctl(&["get", "t", "--key", "a2", "--raw"])
        .output()
        .unwrap();
    assert_eq!(
        (raw.status.code(), raw.stdout.as_slice()),
        (Some(0), HOSTILE)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_there_is_a_failure() {
    let statestored = Statestored::start(&[]);
    let _publisher = statestored.publisher("t", &ENTRIES).await;
    for raw in [&[][..], &["--raw"]] {
        let (code, said) = failure(statestored.ctl(&[&["get", "t", "--key", "a"], raw].concat()));
        assert_eq!(code, 1);
        assert_eq!(said, "statestorectl: topic 't' has no key 'a'\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_topic_is_neither_created_nor_registered_for() {
    let statestored = Statestored::start(&[]);
    let (code, said) = failure(statestored.ctl(&["get", "catalog-update"]));
    assert_eq!(code, 1);
    assert!(
        said.contains("no topic 'catalog-update'; it has none yet"),
        "{said}"
    );

    let _publisher = statestored.publisher("catalog-update", &[]).await;
    for command in ["get", "watch"] {
        let (code, said) = failure(statestored.ctl(&[command, "catalog-updat\u{1b}"]));
        assert_eq!(code, 1);
        let wanted = "no topic 'catalog-updat\\u{1b}'; it has 'catalog-update'";
        assert!(said.contains(wanted), "{said}");
        assert!(
            said.contains(&format!("127.0.0.1:{}", statestored.web)),
            "{said}"
        );
    }
    // T-1: a registration would have created it.
    assert_eq!(statestored.topics(), ["catalog-update"]);
    assert_eq!(
        statestored.json(&["subscribers"]).as_array().unwrap().len(),
        1
    );
    // A topic that exists is no mistake, even if it is empty.
    assert_eq!(statestored.json(&["get", "catalog-update"]), json!([]));
}

#[test]
fn without_its_pages_only_an_explicit_wish_registers() {
    let statestored = Statestored::start(&[]);
    let rpc = format!("127.0.0.1:{}", statestored.rpc);
    let blind = ["get", "t", "--web", "127.0.0.1:1", "--rpc", &rpc];
    let (code, said) = failure(ctl(&blind));
    assert_eq!(code, 1);
    assert!(said.contains("http://127.0.0.1:1/topics"), "{said}");
    assert!(said.contains("--unchecked"), "{said}");
    assert!(statestored.topics().is_empty());

    let (code, said) = failure(ctl(&[&blind[..], &["--unchecked"]].concat()));
    assert_eq!(code, 1);
    assert!(
        said.contains("topic 't' is empty and nobody has ever written"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_forgotten_by_missed_heartbeats() {
    let statestored = Statestored::start(&[
        "--statestore_heartbeat_frequency_ms=50",
        "--statestore_max_missed_heartbeats=3",
    ]);
    let _publisher = statestored.publisher("t", &ENTRIES).await;
    stdout(statestored.ctl(&["get", "t"]));
    statestored.await_log("statestorectl@");
    eventually("the guest's removal", || {
        let present = statestored.json(&["subscribers"]);
        (present.as_array().unwrap().len() == 1).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rpc_address_where_nobody_answers_is_named() {
    let statestored = Statestored::start(&[]);
    let _publisher = statestored.publisher("t", &ENTRIES).await;
    let web = format!("127.0.0.1:{}", statestored.web);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    // Refused, never answered, and answered by something else: the web server itself.
    for rpc in ["127.0.0.1:1", &silent, &web] {
        let args = ["get", "t", "--web", &web, "--rpc", rpc, "--timeout", "1"];
        let (code, said) = failure(ctl(&args));
        assert_eq!(code, 1);
        assert!(
            said.contains(rpc) && said.contains("--rpc"),
            "{rpc}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_address_that_cannot_be_reached_is_named() {
    let statestored = Statestored::start(&[]);
    let _publisher = statestored.publisher("t", &ENTRIES).await;
    // Statestored calls back where nobody listens: on another loopback address.
    let mut lost = statestored.ctl(&["get", "t", "--hostname", "127.0.0.2", "--timeout", "1"]);
    lost.args(["--listen", "127.0.0.1:0"]);
    let (code, said) = failure(lost);
    assert_eq!(code, 1);
    assert!(said.contains("it sends to 127.0.0.2:"), "{said}");
    assert!(said.contains("--hostname, --listen"), "{said}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (code, said) = failure(statestored.ctl(&["get", "t", "--listen", &taken]));
    assert_eq!(code, 1);
    assert!(said.contains(&taken) && said.contains("--listen"), "{said}");
}
