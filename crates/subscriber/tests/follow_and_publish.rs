//! The library over real sockets: what comes in is seen, what is published goes out.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use statestore_subscriber::{Builder, Refused, Subscriber, Topic};
use std::time::Duration;
use support::{FakeStatestore, delta, entries};

fn builder(statestore: &FakeStatestore) -> Builder {
    Subscriber::builder("tester")
        .statestore("127.0.0.1", statestore.port)
        .hostname("127.0.0.1")
        .recovery_interval(Duration::from_millis(20))
        .retry_interval(Duration::from_millis(20))
}

#[tokio::test]
async fn a_stream_begins_with_the_whole_content_and_goes_on_with_deltas() {
    let statestore = FakeStatestore::start(1).await;
    let subscriber = builder(&statestore)
        .topic(Topic::new("t"))
        .start()
        .await
        .unwrap();
    // B-1, B-2, B-3: the registration names the topics and the real port.
    let registration = statestore.registration(1).await;
    assert_eq!(registration.topic_registrations.len(), 1);
    assert_eq!(registration.subscriber_location, *subscriber.address());
    subscriber.registered().await.unwrap();

    let mut early = subscriber.follow("t").unwrap();
    statestore
        .update(vec![delta("t", 0, 2, &[("a", "1"), ("b", "2")])])
        .await;
    statestore
        .update(vec![delta("t", 2, 3, &[("a", "3")])])
        .await;
    let first = early.next().await.unwrap();
    assert!(!first.is_delta() && first.items().len() == 2);
    let second = early.next().await.unwrap();
    assert!(second.is_delta() && second.to_version() == 3);

    let mut late = subscriber.follow("t").unwrap();
    let all = late.next().await.unwrap();
    assert!(!all.is_delta() && all.to_version() == 3 && all.items().len() == 2);
    assert_eq!(subscriber.value("t", "a").unwrap().unwrap(), "3");
    subscriber.leave().await;
    assert!(
        early.next().await.is_none(),
        "streams end with the subscriber"
    );
}

#[tokio::test]
async fn what_is_published_leaves_with_the_next_answer_and_flush_waits_for_proof() {
    let statestore = FakeStatestore::start(1).await;
    let subscriber = builder(&statestore)
        .topic(Topic::new("t").transient())
        .start()
        .await
        .unwrap();
    subscriber.registered().await.unwrap();
    subscriber.publish("t", "k", "old").await.unwrap();
    subscriber.publish("t", "k", "new").await.unwrap();
    subscriber.delete("t", "gone").await.unwrap();
    let reply = statestore.update(vec![delta("t", 0, 0, &[])]).await;
    assert_eq!(
        entries(&reply.topic_updates[0]),
        [
            ("k".into(), "new".into(), false),
            ("gone".into(), String::new(), true)
        ]
    );
    assert_eq!(subscriber.status().outstanding, 2);
    let reply = statestore
        .update(vec![delta("t", 0, 2, &[("k", "new")])])
        .await;
    assert!(reply.topic_updates.is_empty());
    subscriber.flush().await.unwrap();
    assert_eq!(
        subscriber.publish("u", "k", "v").await,
        Err(Refused::UnknownTopic("u".into()))
    );
}

#[tokio::test]
async fn a_handler_publishes_within_the_same_answer() {
    let statestore = FakeStatestore::start(1).await;
    let echo = Topic::new("questions").handler(|delta, publish| {
        for item in delta.items().iter().filter(|item| !item.deleted) {
            publish.put("answers", item.key, item.value.to_ascii_uppercase()); // B-39
        }
    });
    let subscriber = builder(&statestore)
        .topic(echo)
        .topic(Topic::new("answers"));
    let subscriber = subscriber.start().await.unwrap();
    subscriber.registered().await.unwrap();
    let reply = statestore
        .update(vec![delta("questions", 0, 1, &[("q", "why")])])
        .await;
    assert_eq!(reply.topic_updates[0].topic_name, "answers");
    assert_eq!(
        entries(&reply.topic_updates[0]),
        [("q".into(), "WHY".into(), false)]
    );
}

#[tokio::test]
async fn silence_is_counted_and_a_silent_statestored_is_joined_again() {
    let statestore = FakeStatestore::start(1).await;
    let subscriber = builder(&statestore)
        .topic(Topic::new("t"))
        .heartbeat_period(Duration::from_millis(20))
        .timeout(Duration::from_millis(300))
        .start()
        .await
        .unwrap();
    subscriber.registered().await.unwrap();
    assert!(statestore.heartbeat().await.status.is_ok());
    let status = subscriber.status();
    let seen = status.active().unwrap();
    assert!(seen.connected && seen.last_heartbeat.is_some() && subscriber.is_alive());
    statestore.registration(2).await;
    subscriber
        .wait(|view| view.statestores[0].last_recovery.is_some())
        .await
        .unwrap();
    let status = subscriber.status();
    assert_eq!(status.statestores[0].connection_failures, 1);
    assert!(status.in_grace, "B-40");
}
