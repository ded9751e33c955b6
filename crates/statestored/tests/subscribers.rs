//! Registration and topics, seen by subscribers of the real process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::subscriber::{Subscriber, call, honest};
use common::{Statestored, eventually};
use statestore_wire::{
    CatalogRegistration, CatalogVersion, GetProtocolVersionRequest, NetworkAddress,
    ProtocolVersion, RegisterSubscriberResponse, SetStatestoreDebugActionRequest, StatusCode,
    SubscriberType, UpdateStateRequest, UpdateStateResponse,
};

/// Failure detection within a fraction of a second.
const QUICK: [&str; 3] = [
    "--statestore_heartbeat_frequency_ms=50",
    "--statestore_max_missed_heartbeats=3",
    "--statestore_heartbeat_tcp_timeout_seconds=1",
];
const MEMBERSHIP: &str = "impala-membership";
const CATALOG: &str = "catalog-update";

// S-2, S-4, T-9
#[test]
fn a_subscriber_is_welcomed_and_at_once_gets_heartbeats_and_empty_topics() {
    let statestored = Statestored::start(&[]);
    let a = Subscriber::new("a");
    let request = a.request(&[(MEMBERSHIP, true), (CATALOG, false)]);
    let response: RegisterSubscriberResponse = call(statestored.rpc, &request).unwrap();
    assert!(response.status.is_ok());
    assert_eq!(response.protocol_version, Some(ProtocolVersion::V2));
    assert_eq!(response.statestore_is_active, Some(true));
    assert!(response.active_statestored_version.unwrap() > 1_600_000_000_000_000);
    assert_eq!(response.catalogd_registration, None);
    let asked = GetProtocolVersionRequest {
        protocol_version: ProtocolVersion::V2,
    };
    let version = call(statestored.rpc, &asked).unwrap();
    assert_eq!(version.protocol_version, ProtocolVersion::V2);
    assert_eq!(version.statestore_id, response.statestore_id);

    a.await_heartbeats(1);
    eventually("both topics", || {
        (a.state.lock().unwrap().topics.len() == 2).then_some(())
    });
    let state = a.state.lock().unwrap();
    let (_, beat) = &state.heartbeats[0];
    assert_eq!(beat.registration_id, response.registration_id);
    assert_eq!(beat.statestore_id, response.statestore_id);
    assert_eq!(beat.request_statestore_conn_state, None);
    for (_, update) in &state.updates {
        assert_eq!(update.registration_id, response.registration_id);
        let [(name, delta)] = update.topic_deltas.0.as_slice() else {
            panic!("priority and normal topics travel apart: {update:?}");
        };
        assert_eq!(*name, delta.topic_name);
        let versions = (delta.is_delta, delta.from_version, delta.to_version);
        assert_eq!(versions, (false, Some(0), Some(0)));
    }
}

// T-2, T-5, T-6, T-20, T-24
#[test]
fn what_one_publishes_reaches_the_other_and_deletions_too() {
    let statestored = Statestored::start(&["--statestore_update_frequency_ms=100"]);
    let (a, b) = (Subscriber::new("a"), Subscriber::new("b"));
    a.publish(
        CATALOG,
        &[(b"k1", b"v1", false), (b"k2\0\xff", b"v2", false)],
    );
    a.register(statestored.rpc, &[(CATALOG, false)]);
    b.register(statestored.rpc, &[(CATALOG, false)]);
    b.await_value(CATALOG, b"k1", Some(b"v1"));
    b.await_value(CATALOG, b"k2\0\xff", Some(b"v2"));
    a.await_value(CATALOG, b"k1", Some(b"v1"));
    a.publish(CATALOG, &[(b"k1", b"", true), (b"k3", b"", false)]);
    b.await_value(CATALOG, b"k1", None);
    b.await_value(CATALOG, b"k3", Some(b""));
    let topic = statestored.topic(CATALOG).unwrap();
    assert_eq!(topic["version"], 4);
}

// F-4, F-7, T-30, T-31
#[test]
fn what_a_dead_subscriber_published_for_its_lifetime_goes_with_it() {
    let statestored = Statestored::start(&QUICK);
    let (a, b) = (Subscriber::new("a"), Subscriber::new("b"));
    b.register(statestored.rpc, &[(MEMBERSHIP, true), (CATALOG, false)]);
    a.publish(MEMBERSHIP, &[(b"a", b"here", false)]);
    a.publish(CATALOG, &[(b"t", b"stays", false)]);
    a.register(statestored.rpc, &[(MEMBERSHIP, true), (CATALOG, false)]);
    b.await_value(MEMBERSHIP, b"a", Some(b"here"));
    b.await_value(CATALOG, b"t", Some(b"stays"));
    drop(a);
    b.await_value(MEMBERSHIP, b"a", None);
    assert_eq!(b.value(CATALOG, b"t").as_deref(), Some(&b"stays"[..]));
    assert_eq!(statestored.subscribers(), ["b"]);
    assert_eq!(statestored.metric("statestore.live-backends"), 1);
}

// S-7
#[test]
fn a_second_registration_of_an_id_replaces_the_first() {
    let statestored = Statestored::start(&QUICK);
    let (first, second) = (Subscriber::new("a"), Subscriber::new("a"));
    let one = first.register(statestored.rpc, &[(CATALOG, false)]);
    first.await_heartbeats(2);
    let two = second.register(statestored.rpc, &[(CATALOG, false)]);
    assert_ne!(one, two);
    let before = first.heartbeats();
    second.await_heartbeats(10);
    // One may have been under way, and have come whenever its thread had its turn.
    assert!(
        first.heartbeats() <= before + 1,
        "the old registration is told nothing more"
    );
    assert_eq!(statestored.subscribers(), ["a"]);
}

//
#[test]
fn refusals_say_why_and_change_nothing() {
    let statestored = Statestored::start(&["--statestore_max_subscribers=1"]);
    let nobody = Subscriber::new("");
    let response = call(statestored.rpc, &nobody.request(&[(CATALOG, false)])).unwrap();
    assert_eq!(
        response.status.message(),
        "Subscriber ID cannot be empty string"
    );
    let old = Subscriber::new("old");
    let mut request = old.request(&[(CATALOG, false)]);
    request.protocol_version = ProtocolVersion::V1;
    let response = call(statestored.rpc, &request).unwrap();
    assert_eq!(
        response.status.status_code,
        StatusCode::STATESTORE_INCOMPATIBLE_PROTOCOL
    );
    assert_eq!(response.registration_id, None);
    assert_eq!(response.protocol_version, Some(ProtocolVersion::V2));
    assert!(statestored.topic(CATALOG).is_none());
    //
    let (a, b) = (Subscriber::new("a"), Subscriber::new("b"));
    a.register(statestored.rpc, &[]);
    let response = call(statestored.rpc, &b.request(&[])).unwrap();
    let text = response.status.message();
    assert!(
        text.to_str()
            .starts_with("Maximum subscriber limit reached: 1"),
        "{text}"
    );
    assert_eq!(statestored.subscribers(), ["a"]);
    assert_eq!(statestored.metric("statestore.live-backends"), 1);
}

// T-26, S-5
#[test]
fn a_skipped_update_is_sent_again_and_publishes_nothing() {
    let statestored = Statestored::start(&["--statestore_update_frequency_ms=50"]);
    let a = Subscriber::with("a", |call, state| {
        let count = state.lock().unwrap().updates.len();
        if call.method() != "UpdateState" || count >= 3 {
            return honest(call, state);
        }
        let request = call.args::<UpdateStateRequest>();
        let skipped = Some(count != 1);
        let mut response = UpdateStateResponse {
            skipped,
            ..Default::default()
        };
        if count == 1 {
            response.status = statestore_wire::Status::error(StatusCode::GENERAL, "not now");
        }
        let published = std::mem::take(&mut state.lock().unwrap().publish);
        response.topic_updates = published;
        state
            .lock()
            .unwrap()
            .updates
            .push((std::time::Instant::now(), request));
        call.reply::<UpdateStateRequest>(&response)
    });
    a.publish(CATALOG, &[(b"k", b"lost", false)]);
    a.register(statestored.rpc, &[(CATALOG, false)]);
    eventually("five updates", || {
        (a.state.lock().unwrap().updates.len() >= 5).then_some(())
    });
    let topic = statestored.topic(CATALOG).unwrap();
    assert_eq!(
        (&topic["num_entries"], &topic["version"]),
        (&0.into(), &0.into())
    );
}

// C-1, R-7, N-2, N-3
#[test]
fn the_active_catalogd_is_announced_and_told_to_newcomers() {
    let statestored = Statestored::start(&[]);
    let coordinator = Subscriber::new("coordinator");
    let mut request = coordinator.request(&[(CATALOG, true)]);
    request.subscribe_catalogd_change = Some(true);
    call(statestored.rpc, &request).unwrap();
    let catalogd = Subscriber::new("catalogd");
    let mut registration = catalogd.request(&[(CATALOG, false)]);
    registration.subscriber_type = Some(SubscriberType::CATALOGD);
    let address = NetworkAddress {
        hostname: "localhost".into(),
        port: 26_000,
        uds_address: None,
    };
    registration.catalogd_registration = Some(CatalogRegistration {
        protocol: CatalogVersion::V2,
        address: address.clone(),
        enable_catalogd_ha: Some(false),
        force_catalogd_active: Some(false),
        registration_time: None,
    });
    call(statestored.rpc, &registration).unwrap();
    eventually("the news", || {
        (!coordinator.state.lock().unwrap().catalogds.is_empty()).then_some(())
    });
    let told = coordinator.state.lock().unwrap().catalogds[0].clone();
    assert_eq!(
        (told.catalogd_version, &told.catalogd_registration.address),
        (1, &address)
    );
    let newcomer = Subscriber::new("newcomer");
    let response = call(statestored.rpc, &newcomer.request(&[])).unwrap();
    assert_eq!(response.catalogd_version, Some(1));
    assert_eq!(response.catalogd_registration.unwrap().address, address);
    eventually("the count", || {
        let told = statestored.metric("statestore.num-successful-update-catalogd-rpc");
        (told == 1).then_some(())
    });
    assert_eq!(
        statestored.metric("statestore.active-catalogd-address"),
        "localhost:26000"
    );
}

// N-3, N-4
#[test]
fn an_injected_failure_of_the_first_catalogd_notice_is_counted_and_made_good() {
    let flags = ["--debug_actions=SEND_UPDATE_CATALOGD_RPC_FIRST_ATTEMPT:FAIL@1.0"];
    let statestored = Statestored::start(&flags);
    let a = Subscriber::new("a");
    let mut request = a.request(&[]);
    request.subscribe_catalogd_change = Some(true);
    call(statestored.rpc, &request).unwrap();
    let catalogd = Subscriber::new("catalogd");
    let mut registration = catalogd.request(&[]);
    registration.catalogd_registration = Some(CatalogRegistration {
        protocol: CatalogVersion::V2,
        address: NetworkAddress::default(),
        enable_catalogd_ha: None,
        force_catalogd_active: None,
        registration_time: None,
    });
    registration.subscriber_type = Some(SubscriberType::CATALOGD);
    call(statestored.rpc, &registration).unwrap();
    eventually("the second attempt", || {
        (!a.state.lock().unwrap().catalogds.is_empty()).then_some(())
    });
    eventually("the counts", || {
        let failed = statestored.metric("statestore.num-failed-update-catalogd-rpc");
        let told = statestored.metric("statestore.num-successful-update-catalogd-rpc");
        (failed == 1 && told == 1).then_some(())
    });
    statestored.await_log("Injected RPC error to");
}

// H-9
#[test]
fn the_network_switch_drops_everybody_and_refuses_newcomers_until_turned_back() {
    let mut flags = QUICK.to_vec();
    flags.push("--debug_actions=DISABLE_STATESTORE_NETWORK");
    let statestored = Statestored::start(&flags);
    let a = Subscriber::new("a");
    a.register(statestored.rpc, &[]);
    let switch = |disable| SetStatestoreDebugActionRequest {
        protocol_version: ProtocolVersion::V2,
        disable_network: Some(disable),
    };
    assert!(call(statestored.rpc, &switch(true)).unwrap().status.is_ok());
    eventually("nobody left", || {
        statestored.subscribers().is_empty().then_some(())
    });
    let refused = call(statestored.rpc, &a.request(&[])).unwrap();
    assert_eq!(
        refused.status.message(),
        "Reject registration since network is disabled."
    );
    call(statestored.rpc, &switch(false)).unwrap();
    a.register(statestored.rpc, &[]);
    a.await_heartbeats(2);
}

// H-9
#[test]
fn without_the_flag_the_network_switch_answers_ok_and_does_nothing() {
    let statestored = Statestored::start(&[]);
    let request = SetStatestoreDebugActionRequest {
        protocol_version: ProtocolVersion::V2,
        disable_network: Some(true),
    };
    assert!(call(statestored.rpc, &request).unwrap().status.is_ok());
    Subscriber::new("a").register(statestored.rpc, &[]);
}
