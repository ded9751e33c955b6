//! Two statestoreds: the library follows the active one, votes, and tells both when it leaves.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use statestore_subscriber::{Builder, ConfigError, ConnState, Handle, Role, StartError, Topic};
use statestore_wire::{Epoch, HeartbeatResponse, ProtocolVersion, UpdateStatestoredRoleRequest};
use std::time::{Duration, Instant};
use support::{FakeStatestore, LIMIT, OnFarewell, builder, delta, entries};

/// The first is active, under an epoch if one is given; both are registered with.
async fn pair(
    epoch: Option<i64>,
    settings: impl Fn(Builder) -> Builder,
) -> (FakeStatestore, FakeStatestore, Handle) {
    let first = FakeStatestore::start(1).await;
    let second = FakeStatestore::start(2).await;
    first.state.lock().unwrap().epoch = epoch.map(Epoch);
    second.activate(None);
    let start = builder(&first).statestore("127.0.0.1", second.port);
    let start = settings(start.topic(Topic::new("t")));
    let subscriber = start.start().await.unwrap();
    subscriber.registered().await.unwrap();
    second.registration(1).await;
    subscriber
        .wait(|view| view.statestores[1].role == Role::Standby)
        .await
        .unwrap();
    (first, second, subscriber)
}

/// The vote, asked for until there is one: on a slow machine the asker itself may be lost.
async fn vote(of: &FakeStatestore) -> HeartbeatResponse {
    let begin = Instant::now();
    loop {
        let answer = of.ask().await;
        if answer.other_is_lost.is_some() {
            return answer;
        }
        assert!(begin.elapsed() < LIMIT);
        tokio::task::yield_now().await;
    }
}

fn role_message(of: &FakeStatestore, epoch: Option<i64>) -> UpdateStatestoredRoleRequest {
    UpdateStatestoredRoleRequest {
        protocol_version: ProtocolVersion::V2,
        registration_id: of.registration_id(),
        statestore_id: of.statestore_id(),
        active_statestored_version: 9,
        is_active: true,
        catalogd_version: None,
        catalogd_registration: None,
        epoch: epoch.map(Epoch),
    }
}

// B-2, B-4, B-22, B-30, B-35, H-34
#[tokio::test]
async fn when_the_standby_says_it_is_active_it_is_followed_and_gets_everything() {
    let (first, second, subscriber) = pair(None, |it| it).await;
    assert_eq!(
        subscriber.status().active().unwrap().address.port,
        i32::from(first.port)
    );

    subscriber.publish("t", "k", "v").await.unwrap();
    let full = || vec![delta("t", 0, 0, &[])];
    assert_eq!(second.update(full()).await.skipped, Some(true));
    assert_eq!(first.update(full()).await.topic_updates.len(), 1);
    let answer = second.ask().await;
    assert_eq!(answer.statestore_conn_state, Some(ConnState::UNKNOWN));
    first.heartbeat().await;
    let answer = second.ask().await;
    assert_eq!(answer.statestore_conn_state, Some(ConnState::OK));

    let role = role_message(&second, None);
    second.call("role", &role).await.unwrap();
    subscriber.wait(|view| view.failovers == 1).await.unwrap();
    assert!(subscriber.in_grace(), "B-40");
    assert_eq!(first.update(full()).await.skipped, Some(true));
    let reply = second.update(full()).await;
    assert_eq!(
        entries(&reply.topic_updates[0]),
        [("k".into(), "v".into(), false)]
    );
}

// W2; ha.md rule 17
#[tokio::test]
async fn an_active_that_was_replaced_is_refused_and_told_by_whom() {
    let (first, second, subscriber) = pair(Some(10), |it| it).await;
    subscriber.publish("t", "k", "v").await.unwrap();
    let reply = first.update(vec![delta("t", 0, 0, &[])]).await;
    assert_eq!(reply.highest_epoch, Some(Epoch(10)));
    assert_eq!(reply.topic_updates.len(), 1);

    // No role message comes; the heartbeat is as good.
    second.activate(Some(13));
    let answer = second.heartbeat().await;
    assert!(answer.status.is_ok());
    assert_eq!(answer.highest_epoch, Some(Epoch(13)));
    let reply = second.update(vec![delta("t", 0, 0, &[])]).await;
    assert_eq!(entries(&reply.topic_updates[0]).len(), 1, "all of it again");

    let refused = first.heartbeat().await;
    let text = "Heartbeat refused: epoch 10 is over, the highest seen is 13";
    assert_eq!(refused.status.message(), text);
    assert_eq!(refused.highest_epoch, Some(Epoch(13)));
    let late = first.update(vec![delta("t", 0, 7, &[("x", "y")])]).await;
    assert!(!late.status.is_ok());
    let role = role_message(&first, Some(10));
    let role = first.call("role", &role).await.unwrap();
    assert!(!role.status.is_ok());

    let status = subscriber.status();
    assert_eq!(status.highest_epoch, Some(13));
    assert_eq!(status.active().unwrap().epoch, Some(13));
    assert_eq!(status.statestores[0].refusals, 3);
    assert_eq!(status.statestores[0].last_heartbeat, None);
    assert_eq!(subscriber.value("t", "x").unwrap(), None);
}

// H-34; ha.md rules 6 and 9
#[tokio::test]
async fn the_vote_falls_when_the_other_one_was_not_heard_for_the_whole_limit() {
    let short = |it: Builder| it.timeout(Duration::from_millis(400));
    let (first, second, subscriber) = pair(Some(10), short).await;
    let registration = first.registration(1).await;
    assert_eq!(registration.heartbeat_timeout_ms, Some(400));
    let limit = Duration::from_millis(400);
    let heard = Instant::now();
    first.heartbeat().await;
    let mut answer = vote(&second).await;
    if heard.elapsed() < limit {
        assert_eq!(answer.other_is_lost, Some(false));
        assert_eq!(answer.other_is_active, Some(true));
    }
    while answer.other_is_lost != Some(true) {
        assert!(heard.elapsed() < LIMIT);
        answer = vote(&second).await;
    }
    assert_eq!(answer.other_is_active, Some(false));
    assert!(heard.elapsed() >= limit);
    // Silent as it is, the first goes on accepting registrations.
    first.registration(2).await;
    let answer = vote(&second).await;
    assert_eq!(answer.other_is_lost, Some(true), "no heartbeat, no change");
    drop(subscriber);
}

// ha.md rule 14
#[tokio::test]
async fn who_leaves_or_is_dropped_tells_both() {
    for drops in [false, true] {
        let (first, second, subscriber) = pair(Some(10), |it| it).await;
        match drops {
            true => drop(subscriber),
            false => subscriber.leave().await,
        }
        for statestore in [first, second] {
            let farewell = statestore.farewell().await;
            assert_eq!(farewell.subscriber_id, "tester");
            assert_eq!(farewell.registration_id, statestore.registration_id());
        }
    }
}

// ha.md rule 14
#[tokio::test]
async fn who_does_not_understand_or_does_not_answer_a_farewell_keeps_nobody() {
    let (first, second, subscriber) = pair(None, |it| it).await;
    first.state.lock().unwrap().on_farewell = OnFarewell::Unknown;
    second.state.lock().unwrap().on_farewell = OnFarewell::Hangs;
    tokio::time::timeout(LIMIT, subscriber.leave())
        .await
        .unwrap();
    second.farewell().await;
}

#[tokio::test]
async fn settings_that_make_no_pair_or_no_sense_are_refused_by_name() {
    let statestore = FakeStatestore::start(1).await;
    let fails = async |builder: Builder| match builder.start().await {
        Err(StartError::Config(error)) => error,
        other => panic!("{other:?}"),
    };
    let twice = builder(&statestore).statestore("127.0.0.1", statestore.port);
    let twice = fails(twice).await;
    assert!(matches!(twice, ConfigError::SameStatestore(_)), "{twice}");
    let short = builder(&statestore).timeout(Duration::from_millis(299));
    let text = fails(short).await.to_string();
    assert!(
        text.starts_with("timeout ") && text.contains("299ms"),
        "{text}"
    );
    let few = builder(&statestore)
        .heartbeat_period(Duration::from_millis(100))
        .max_missed_heartbeats(2);
    let text = fails(few).await.to_string();
    assert!(text.starts_with("max_missed_heartbeats "), "{text}");
}

// B-21; ha.md rule 20
#[tokio::test]
async fn a_standby_that_asks_is_answered_while_the_other_is_being_registered_with() {
    let short = |it: Builder| it.timeout(Duration::from_millis(300));
    let (first, second, subscriber) = pair(Some(10), short).await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    first.state.lock().unwrap().gate = Some(gate);
    first.registration(2).await;
    // The answer to that registration never comes, and nothing waits for it (W23).
    let answer = vote(&second).await;
    assert_eq!(answer.other_is_lost, Some(true));
    drop(subscriber);
}
