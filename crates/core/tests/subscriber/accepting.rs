//! What is accepted from whom: B-20 to B-25, B-41.

use crate::support::*;
use crate::words::*;
use statestore_core::subscriber::port::*;
use statestore_wire::*;

fn v1_is_refused(status: &Status) {
    assert_eq!(
        status.status_code,
        StatusCode::STATESTORE_INCOMPATIBLE_PROTOCOL
    );
    assert_eq!(
        status.message(),
        "Subscriber 'me' has incompatible protocol version V2 conflicting with statestored's \
         version V1"
    );
}

#[test]
fn b20_whatever_speaks_an_older_protocol_is_not_processed() {
    let mut world = World::following(vec![topic("t")]);
    let heartbeat = HeartbeatRequest {
        protocol_version: ProtocolVersion::V1,
        registration_id: Some(id(1)),
        statestore_id: Some(id(10)),
        request_statestore_conn_state: None,
        epoch: None,
    };
    let Some(Answer::Heartbeat(answer)) = world.request(Request::Heartbeat(heartbeat)).1 else {
        panic!()
    };
    v1_is_refused(&answer.status);
    assert_eq!(world.view().statestores[0].last_heartbeat, None);

    let deltas = TopicDeltas(vec![("t".into(), delta("t", 0, 1, &[("a", "1")]))]);
    let request = UpdateStateRequest {
        protocol_version: ProtocolVersion::V1,
        topic_deltas: deltas,
        ..UpdateStateRequest::default()
    };
    let update = Request::Update {
        connection: ConnectionId(1),
        request,
    };
    let Some(Answer::Update(answer)) = world.request(update).1 else {
        panic!()
    };
    v1_is_refused(&answer.status);

    let old = UpdateCatalogdRequest {
        protocol_version: ProtocolVersion::V1,
        ..notice(10, 1, 1)
    };
    v1_is_refused(&world.notify(old).status);
    let role = UpdateStatestoredRoleRequest {
        protocol_version: ProtocolVersion::V1,
        registration_id: id(1),
        statestore_id: id(10),
        active_statestored_version: 1,
        is_active: true,
        catalogd_version: None,
        catalogd_registration: None,
        epoch: None,
    };
    let Some(Answer::Role(answer)) = world.request(Request::Role(role)).1 else {
        panic!()
    };
    v1_is_refused(&answer.status);
}

#[test]
fn b20_a_newer_protocol_is_accepted() {
    let mut world = World::following(vec![]);
    let newer = UpdateCatalogdRequest {
        protocol_version: ProtocolVersion(5),
        ..notice(10, 1, 1)
    };
    assert!(world.notify(newer).status.is_ok() && world.catalogds.len() == 1);
}

#[test]
fn b21_a_heartbeat_needs_the_registration_and_alone_no_statestore_id() {
    let mut world = World::following(vec![]);
    assert!(world.heartbeat(99, 1).status.is_ok());
    assert!(world.view().statestores[0].last_heartbeat.is_some());
    let mut pair = World::pair(vec![]);
    assert!(pair.heartbeat(20, 2).status.is_ok());
    assert_eq!(pair.view().statestores[0].last_heartbeat, None);
    assert!(pair.view().statestores[1].last_heartbeat.is_some());
}

#[test]
fn b21_w19_a_heartbeat_for_somebody_else_is_an_error_and_does_not_count() {
    let mut world = World::pair(vec![]);
    let wrong = world.heartbeat(10, 77);
    assert_eq!(
        wrong.status.message(),
        "Unexpected registration ID: 0000000000000000:000000000000004d, was expecting \
         0000000000000000:0000000000000001"
    );
    let unknown = world.heartbeat(33, 1);
    assert!(
        unknown
            .status
            .message()
            .to_str()
            .contains("unknown statestored")
    );
    assert!(
        world
            .view()
            .statestores
            .iter()
            .all(|it| it.last_heartbeat.is_none())
    );
}

#[test]
fn b21_before_the_registration_is_answered_any_registration_id_matches() {
    let mut world = World::new(config(1));
    world.answer_version(0);
    assert!(world.heartbeat(10, 1).status.is_ok());
    assert!(world.view().statestores[0].last_heartbeat.is_some());
    // Of a pair it is not known whose it is, so it is neither an error nor counted.
    let mut pair = World::new(config(2));
    let answer = pair.heartbeat(10, 1);
    assert!(answer.status.is_ok() && answer.unacknowledged == Some(true));
    assert!(
        pair.view()
            .statestores
            .iter()
            .all(|it| it.last_heartbeat.is_none())
    );
}

#[test]
fn b22_updates_are_taken_from_the_active_only_and_not_while_registering() {
    let message = || vec![delta("t", 0, 1, &[("a", "1")])];
    let mut world = World::pair(vec![topic("t")]);
    assert!(
        world.update_from((20, 2), 1, message()).skipped,
        "the standby"
    );
    assert!(world.update_from((30, 1), 1, message()).skipped, "unknown");
    assert!(!world.update_from((10, 1), 1, message()).skipped);

    let mut early = World::new(config(1));
    early.answer_version(0);
    assert!(
        early.update(1, message()).skipped,
        "before the registration is answered"
    );
}

#[test]
fn b23_w18_an_update_for_another_registration_is_an_error() {
    let mut world = World::following(vec![topic("t")]);
    let answer = world.update_from((10, 5), 1, vec![delta("t", 0, 1, &[("a", "1")])]);
    assert_eq!(answer.status.status_code, StatusCode::GENERAL);
    assert!(
        answer
            .status
            .message()
            .to_str()
            .starts_with("Unexpected registration ID: 0")
    );
    assert_eq!(world.view().topics[0].version, 0);
}

#[test]
fn b24_catalogd_notices_are_taken_from_the_active_for_this_registration_only() {
    let mut world = World::pair(vec![]);
    for (statestore, registration) in [(20, 2), (30, 1), (10, 5)] {
        let answer = world.notify(notice(statestore, registration, 9));
        assert_eq!(answer.skipped, Some(true), "{statestore} {registration}");
    }
    assert!(world.catalogds.is_empty());
    assert_eq!(world.notify(notice(10, 1, 9)).skipped, None);
    let change = world.catalogds.pop().unwrap();
    assert!(!change.is_registration_reply && change.version == 9);
    assert_eq!(world.view().catalogd_notices, 1);
}

#[test]
fn b41_a_notice_must_be_newer_and_a_registration_reply_need_not() {
    let mut world = World::new(config(1));
    world.answer_version(0);
    let reply = RegisterSubscriberResponse {
        catalogd_registration: Some(catalogd("c1")),
        catalogd_version: Some(4),
        ..accepted(10, 1, true)
    };
    world.answer_registration(0, reply);
    world.log.clear();
    assert!(world.notify(notice(10, 1, 4)).status.is_ok());
    assert!(
        world.log.is_empty(),
        "a silent duplicate right after the reply"
    );
    world.notify(notice(10, 1, 4));
    world.notify(notice(10, 1, 3));
    let ignored = world
        .log
        .iter()
        .filter(|e| matches!(e, Event::CatalogdIgnored { .. }));
    assert_eq!(ignored.count(), 2);
    world.notify(notice(10, 1, 5));
    assert_eq!(world.catalogds.len(), 2);

    // A restarted statestored counts from the beginning; its reply is believed.
    world.seconds(31);
    world.answer_version(0);
    let reply = RegisterSubscriberResponse {
        catalogd_registration: Some(catalogd("c1")),
        catalogd_version: Some(0),
        ..accepted(11, 2, true)
    };
    world.answer_registration(0, reply);
    assert_eq!(
        (world.catalogds.len(), world.view().catalogd_version),
        (3, 0)
    );
    world.notify(notice(11, 2, 1));
    assert_eq!(world.view().catalogd_version, 1);
}
