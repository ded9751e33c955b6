//! An agent and a statestored that takes no publications unasked, as the reference's does not.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../subscriber/tests/support/mod.rs"]
mod support;

use common::{Agent, LIMIT, write};
use std::time::{Duration, Instant};
use support::{FakeStatestore, delta, entries};
use tempfile::TempDir;

const REFUSED: &str = "Publication was not taken in: ";

/// An agent that publishes a folder, and is registered.
async fn publisher(statestore: &FakeStatestore, folder: &TempDir) -> Agent {
    let port = format!("--state_store_port={}", statestore.port);
    let publish = format!("--publish_dir=t:{}", folder.path().display());
    let patient = "--statestore_subscriber_timeout_seconds=3600";
    let agent = Agent::spawn(None, &["--subscriber_id=a", patient, &port, &publish]);
    let registration = statestore.registration(1).await;
    assert_eq!(registration.publishes, Some(true), "it could");
    agent.await_log("statestore-agent is ready");
    agent
}

/// Asks until an answer publishes the entry, as a statestored does once a period. The topic is at
/// this version, and the agent has all of it.
async fn await_published(statestore: &FakeStatestore, version: i64, key: &str, value: &str) {
    let wanted = (key.to_owned(), value.to_owned(), false);
    let start = Instant::now();
    loop {
        let nothing_new = delta("t", version, version, &[]);
        let answer = statestore.update(vec![nothing_new]).await;
        assert!(answer.status.is_ok(), "{:?}", answer.status);
        let mut published = answer.topic_updates.iter().flat_map(entries);
        if published.any(|entry| entry == wanted) {
            return;
        }
        assert!(start.elapsed() < LIMIT, "{wanted:?} was not published");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What was published comes back with the next update, as from a statestored.
async fn keeps(statestore: &FakeStatestore, version: i64, key: &str, value: &str) {
    let taken = delta("t", version - 1, version, &[(key, value)]);
    assert!(statestore.update(vec![taken]).await.status.is_ok());
}

// wire.md section 5.6: the reference's answer to a registration does not name `Publish`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_an_agent_publishes_comes_in_its_answers_where_publish_is_not_known() {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("first"), "1");
    let statestore = FakeStatestore::start(1).await;
    let agent = publisher(&statestore, &folder).await;
    await_published(&statestore, 0, "first", "1").await;
    keeps(&statestore, 1, "first", "1").await;
    write(&folder.path().join("second"), "2");
    await_published(&statestore, 1, "second", "2").await;
    assert!(!agent.log().contains(REFUSED), "it did not try");
}

// The same of one whose answer names it, and which does not know it all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_refused_as_an_unknown_method_comes_in_answers() {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("first"), "1");
    let statestore = FakeStatestore::start(1).await;
    statestore.state.lock().unwrap().publication_limit = Some(64 << 20);
    let agent = publisher(&statestore, &folder).await;
    await_published(&statestore, 0, "first", "1").await;
    keeps(&statestore, 1, "first", "1").await;
    write(&folder.path().join("second"), "2");
    // It is asked for no update meanwhile, so it has tried to publish this by a call.
    agent.await_log(REFUSED);
    agent.await_log("Invalid method name: 'Publish'");
    await_published(&statestore, 1, "second", "2").await;
    keeps(&statestore, 2, "second", "2").await;
    write(&folder.path().join("third"), "3");
    await_published(&statestore, 2, "third", "3").await;
    assert_eq!(agent.log().matches(REFUSED).count(), 1, "asked once only");
}
