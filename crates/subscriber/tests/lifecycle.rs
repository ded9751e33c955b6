//! Starting, failing to start, faults on the way, leaving.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use futures::FutureExt;
use statestore_subscriber::{
    CatalogRegistration, CatalogVersion, ConfigError, InjectionPoint, NetworkAddress, StartError,
    Subscriber, Topic,
};
use statestore_wire::{Status, StatusCode};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{FakeStatestore, LIMIT, builder, delta, registered};

#[tokio::test]
async fn settings_that_make_no_subscriber_are_refused_by_name() {
    let fails = async |builder: statestore_subscriber::Builder| match builder.start().await {
        Err(StartError::Config(error)) => error,
        other => panic!("{other:?}"),
    };
    let with = |id: &str| Subscriber::builder(id.to_owned()).statestore("localhost", 1);
    assert_eq!(fails(with("")).await, ConfigError::EmptyId);
    assert_eq!(
        fails(Subscriber::builder("x")).await,
        ConfigError::NoStatestore
    );
    let three = with("x").statestore("b", 1).statestore("c", 1);
    assert_eq!(fails(three).await, ConfigError::TooManyStatestores(3));
    let twice = with("x").topic(Topic::new("t")).topic(Topic::new("t"));
    assert_eq!(fails(twice).await, ConfigError::DuplicateTopic("t".into())); // T-11
    let zero = with("x").recovery_interval(Duration::ZERO);
    assert_eq!(fails(zero).await, ConfigError::Zero("recovery_interval"));
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let start = Subscriber::builder("x").statestore("127.0.0.1", 1);
    let error = start
        .interface("127.0.0.1")
        .listen(port)
        .start()
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot listen on 127.0.0.1:{port}: "))
    );
}

// B-5
#[tokio::test]
async fn without_tolerance_the_start_waits_for_the_registration_and_fails_with_it() {
    let statestore = FakeStatestore::start(1).await;
    let fine = builder(&statestore)
        .tolerate_startup_delay(false)
        .start()
        .await
        .unwrap();
    assert!(fine.is_alive());

    let text = "Subscriber ID cannot be empty string";
    statestore.state.lock().unwrap().refuse = Some(Status::error(StatusCode::GENERAL, text));
    let refused = builder(&statestore)
        .tolerate_startup_delay(false)
        .start()
        .await;
    match refused.unwrap_err() {
        StartError::Registration {
            statestore: at,
            code,
            reason,
        } => {
            assert_eq!((at.port, code), (i32::from(statestore.port), 2));
            assert_eq!(reason, text);
        }
        other => panic!("{other:?}"),
    }
}

// B-5, B-11
#[tokio::test]
async fn with_tolerance_it_starts_without_a_statestored_and_joins_when_there_is_one() {
    let statestore = FakeStatestore::start(1).await;
    let refusal = Status::error(StatusCode::GENERAL, "not yet");
    statestore.state.lock().unwrap().refuse = Some(refusal);
    let subscriber = builder(&statestore).start().await.unwrap();
    subscriber
        .wait(|view| view.statestores[0].reregistrations >= 3)
        .await
        .unwrap();
    assert!(subscriber.recovering() && !subscriber.is_alive());
    assert!(subscriber.registered().now_or_never().is_none());
    statestore.state.lock().unwrap().refuse = None;
    subscriber.registered().await.unwrap();
    assert!(subscriber.is_alive() && !subscriber.recovering());
}

// B-6, B-41
#[tokio::test]
async fn the_active_catalogd_is_watched() {
    let catalogd = CatalogRegistration {
        protocol: CatalogVersion::V2,
        address: NetworkAddress {
            hostname: "c1".into(),
            port: 26000,
            uds_address: None,
        },
        enable_catalogd_ha: None,
        force_catalogd_active: None,
        registration_time: None,
    };
    let statestore = FakeStatestore::start(1).await;
    statestore.state.lock().unwrap().catalogd = Some((catalogd.clone(), 3));
    let subscriber = builder(&statestore)
        .follow_catalogd(true)
        .start()
        .await
        .unwrap();
    let mut watch = subscriber.catalogd();
    watch.wait_for(Option::is_some).await.unwrap();
    let registration = statestore.registration(1).await;
    assert_eq!(registration.subscribe_catalogd_change, Some(true));
    let change = statestore_wire::UpdateCatalogdRequest {
        protocol_version: statestore_wire::ProtocolVersion::V2,
        registration_id: statestore.registration_id(),
        statestore_id: statestore.statestore_id(),
        catalogd_version: 4,
        catalogd_registration: catalogd,
        epoch: None,
    };
    statestore.call("catalogd", &change).await.unwrap();
    let seen = watch
        .wait_for(|it| it.as_ref().is_some_and(|it| it.version == 4))
        .await
        .unwrap();
    assert!(!seen.as_ref().unwrap().is_registration_reply);
}

#[tokio::test]
async fn the_resolved_address_is_registered_instead_of_the_name() {
    let statestore = FakeStatestore::start(1).await;
    let start = builder(&statestore)
        .hostname("localhost")
        .use_resolved_address(true);
    let subscriber = start.start().await.unwrap();
    let registered = statestore.registration(1).await.subscriber_location;
    assert_eq!(registered.hostname, "127.0.0.1");
    assert_eq!(subscriber.address().hostname, "localhost");
}

#[tokio::test]
async fn faults_are_injected_where_flags_of_the_reference_inject_them() {
    let statestore = FakeStatestore::start(1).await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    let inject: statestore_subscriber::Inject = Arc::new(move |point: InjectionPoint| {
        let first = !record.lock().unwrap().contains(&point);
        record.lock().unwrap().push(point);
        let failure = first.then(|| format!("Debug Action: {}:FAIL", point.label()));
        async move { failure.map_or(Ok(()), Err) }.boxed()
    });
    let subscriber = builder(&statestore).inject(inject).start().await.unwrap();
    subscriber.registered().await.unwrap();
    use InjectionPoint::*;
    assert_eq!(
        *asked.lock().unwrap(),
        [
            RegisterOnStartup, // fails the whole registration; what follows is recovery
            ProtocolVersionFirstAttempt, // fails one attempt
            RegisterFirstAttempt, // likewise, of the second call
        ]
    );
    assert_eq!(subscriber.status().statestores[0].reregistrations, 1);
}

#[tokio::test]
async fn leaving_closes_the_port_and_ends_every_wait() {
    let statestore = FakeStatestore::start(1).await;
    let subscriber = registered(&statestore, Topic::new("t")).await;
    let (other, port) = (subscriber.clone(), subscriber.address().port);
    let waiting = tokio::spawn(async move { other.wait(|_| false).await });
    let left = tokio::time::timeout(LIMIT, subscriber.leave());
    left.await.unwrap();
    assert!(waiting.await.unwrap().is_err());
    let refused = tokio::net::TcpStream::connect(("127.0.0.1", port as u16)).await;
    assert!(refused.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn dropping_the_last_handle_is_leaving() {
    let statestore = FakeStatestore::start(1).await;
    let subscriber = registered(&statestore, Topic::new("t")).await;
    let mut stream = subscriber.follow("t").unwrap();
    statestore
        .update(vec![delta("t", 0, 1, &[("a", "1")])])
        .await;
    assert!(stream.next().await.is_some());
    drop(subscriber);
    let end = tokio::time::timeout(LIMIT, stream.next());
    assert!(end.await.unwrap().is_none());
}

// W8: zero attempts would be none at all
#[tokio::test]
async fn attempts_for_ever_keep_trying() {
    let statestore = FakeStatestore::start(1).await;
    let start = builder(&statestore).attempts(NonZeroU32::new(0));
    start.start().await.unwrap().registered().await.unwrap();
}
