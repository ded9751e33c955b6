//! The library over real sockets: what comes in is seen, what is published goes out.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use statestore_subscriber::{Refused, Topic, View};
use statestore_wire::{TopicDeltas, UpdateStateRequest};
use std::sync::Arc;
use std::time::Duration;
use support::{FakeStatestore, LIMIT, builder, delta, entries, registered};
use tokio::sync::Semaphore;

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
    let subscriber = registered(&statestore, Topic::new("t").transient()).await;
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
    // All of one view: silence may be counted again before the next look.
    let heard = |view: &View| {
        let seen = &view.statestores[0];
        seen.connected && seen.last_heartbeat.is_some()
    };
    subscriber.wait(heard).await.unwrap();
    statestore.registration(2).await;
    let joined_again = |view: &View| {
        let seen = &view.statestores[0];
        seen.connection_failures >= 1 && seen.last_recovery.is_some()
    };
    subscriber.wait(joined_again).await.unwrap();
    assert!(subscriber.status().in_grace, "B-40");
}

// W23, B-36
#[tokio::test]
async fn a_handler_that_blocks_delays_no_heartbeat_and_no_other_topic() {
    let statestore = FakeStatestore::start(1).await;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let slow = Topic::new("slow").handler(move |_, _| released.recv().unwrap_or(()));
    let start = builder(&statestore)
        .topic(slow)
        .topic(Topic::new("other-impala-membership"));
    let subscriber = start.start().await.unwrap();
    subscriber.registered().await.unwrap();
    let deltas = TopicDeltas(vec![("slow".into(), delta("slow", 0, 1, &[("a", "1")]))]);
    let request = UpdateStateRequest {
        topic_deltas: deltas,
        registration_id: Some(statestore.registration_id()),
        statestore_id: Some(statestore.statestore_id()),
        ..UpdateStateRequest::default()
    };
    let mut slow = std::pin::pin!(statestore.call("bulk", &request));
    let meanwhile = async {
        while !statestore
            .call("second", &request)
            .await
            .unwrap()
            .skipped
            .unwrap_or(false)
        {}
        for _ in 0..20 {
            assert!(statestore.heartbeat().await.status.is_ok());
        }
        let other = delta("other-impala-membership", 0, 1, &[("a", "1")]);
        assert_eq!(statestore.update(vec![other]).await.skipped, None);
    };
    tokio::select! {
        biased;
        _ = &mut slow => panic!("the handler has not been released"),
        () = async { tokio::time::timeout(LIMIT, meanwhile).await.unwrap() } => {}
    }
    release.send(()).unwrap();
    drop(release);
    let answer = tokio::time::timeout(LIMIT, slow).await.unwrap().unwrap();
    assert!(answer.status.is_ok() && answer.skipped.is_none());
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_message_only() {
    let statestore = FakeStatestore::start(1).await;
    let mut first = true;
    let fragile = Topic::new("t").handler(move |_, _| {
        assert!(!std::mem::take(&mut first), "not today");
    });
    let subscriber = builder(&statestore).topic(fragile).start().await.unwrap();
    subscriber.registered().await.unwrap();
    let answer = statestore
        .update(vec![delta("t", 0, 1, &[("a", "1")])])
        .await;
    assert_eq!(
        answer.status.message(),
        "the handler of topic 't' panicked: not today"
    );
    let again = statestore
        .update(vec![delta("t", 0, 1, &[("a", "1")])])
        .await;
    assert!(again.status.is_ok());
    assert_eq!(subscriber.status().topics[0].version, 1);
}

// K-2, T-26
#[tokio::test]
async fn what_was_in_a_lost_answer_is_sent_again() {
    let statestore = FakeStatestore::start(1).await;
    let subscriber = registered(&statestore, Topic::new("t")).await;
    subscriber.publish("t", "k", "v").await.unwrap();
    for _ in 0..3 {
        let reply = statestore.update(vec![delta("t", 0, 0, &[])]).await;
        assert_eq!(
            entries(&reply.topic_updates[0]),
            [("k".into(), "v".into(), false)]
        );
        statestore.disconnect();
    }
    let reply = statestore
        .update(vec![delta("t", 0, 1, &[("k", "v")])])
        .await;
    assert!(reply.topic_updates.is_empty());
    subscriber.flush().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_falls_behind_gets_the_whole_content_instead() {
    let statestore = FakeStatestore::start(1).await;
    let subscriber = registered(&statestore, Topic::new("t")).await;
    let mut stream = subscriber.follow("t").unwrap();
    statestore
        .update(vec![delta("t", 0, 1, &[("k0", "x")])])
        .await;
    assert!(!stream.next().await.unwrap().is_delta());
    for i in 1..1000 {
        let key = format!("k{}", i % 10);
        statestore
            .update(vec![delta("t", i, i + 1, &[(&key, &i.to_string())])])
            .await;
    }
    let all = stream.next().await.unwrap();
    assert!(!all.is_delta() && all.items().len() == 10 && all.to_version() > 256);
    let mut version = all.to_version();
    while version < 1000 {
        let delta = stream.next().await.unwrap();
        assert_eq!((delta.is_delta(), delta.from_version()), (true, version));
        version = delta.to_version();
    }
}

#[tokio::test]
async fn an_update_that_overtakes_the_answer_to_the_registration_is_taken_in() {
    // S-4: statestored sends both at once. Skipped, it would come again after two periods (S-5).
    let statestore = FakeStatestore::start(1).await;
    let gate = Arc::new(Semaphore::new(0));
    statestore.state.lock().unwrap().gate = Some(Arc::clone(&gate));
    let subscriber = builder(&statestore).topic(Topic::new("t"));
    let subscriber = subscriber.start().await.unwrap();
    statestore.registration(1).await;
    let mut update = Box::pin(statestore.update(vec![delta("t", 0, 1, &[("k", "v")])]));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut update).await;
    assert!(early.is_err(), "it waits for the answer: {early:?}");
    gate.add_permits(1);
    assert_ne!(update.await.skipped, Some(true));
    assert_eq!(subscriber.value("t", "k").unwrap().unwrap(), "v");
}
