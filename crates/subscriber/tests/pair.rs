//! Two statestoreds: the library follows the active one.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use statestore_subscriber::{ConnState, Role, Topic};
use statestore_wire::{HeartbeatRequest, ProtocolVersion, UpdateStatestoredRoleRequest};
use support::{FakeStatestore, builder, delta, entries};

// B-2, B-4, B-22, B-30, B-35, H-34
#[tokio::test]
async fn when_the_standby_says_it_is_active_it_is_followed_and_gets_everything() {
    let first = FakeStatestore::start(1).await;
    let second = FakeStatestore::start(2).await;
    second.state.lock().unwrap().is_active = false;
    let start = builder(&first).statestore("127.0.0.1", second.port);
    let subscriber = start.topic(Topic::new("t")).start().await.unwrap();
    subscriber.registered().await.unwrap();
    second.registration(1).await;
    subscriber
        .wait(|view| view.statestores[1].role == Role::Standby)
        .await
        .unwrap();
    assert_eq!(
        subscriber.status().active().unwrap().address.port,
        i32::from(first.port)
    );

    subscriber.publish("t", "k", "v").await.unwrap();
    let full = || vec![delta("t", 0, 0, &[])];
    assert_eq!(second.update(full()).await.skipped, Some(true));
    assert_eq!(first.update(full()).await.topic_updates.len(), 1);
    let ask = HeartbeatRequest {
        registration_id: Some(second.registration_id()),
        statestore_id: Some(second.statestore_id()),
        request_statestore_conn_state: Some(true),
        ..HeartbeatRequest::default()
    };
    let answer = second.call("heartbeat", &ask).await.unwrap();
    assert_eq!(answer.statestore_conn_state, Some(ConnState::UNKNOWN));
    first.heartbeat().await;
    let answer = second.call("heartbeat", &ask).await.unwrap();
    assert_eq!(answer.statestore_conn_state, Some(ConnState::OK));

    let role = UpdateStatestoredRoleRequest {
        protocol_version: ProtocolVersion::V2,
        registration_id: second.registration_id(),
        statestore_id: second.statestore_id(),
        active_statestored_version: 9,
        is_active: true,
        catalogd_version: None,
        catalogd_registration: None,
        epoch: None,
    };
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
