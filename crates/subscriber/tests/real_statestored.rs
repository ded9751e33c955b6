//! Subscribers of a real statestored, run as a library.

#![allow(clippy::unwrap_used, reason = "tests")]

use rand::SeedableRng;
use rand::rngs::StdRng;
use statestore_daemon::flags::{Outcome, Program};
use statestore_daemon::rpc_statistics::ServiceStatistics;
use statestore_rpc::{PoolLimits, TcpNet};
use statestore_subscriber::{Builder, Handle, Subscriber, Topic};
use statestored::World;
use statestored::clock::SystemClock;
use statestored::fanout::FanoutLimits;
use statestored::flags::Config;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Generous: reached only when something is broken.
const LIMIT: Duration = Duration::from_secs(60);
const MEMBERSHIP: &str = "impala-membership";

struct Statestored {
    port: u16,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Statestored {
    async fn start(port: u16, seed: u64) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (at, started) = oneshot::channel();
        let bulk = tokio::runtime::Handle::current();
        let thread = std::thread::spawn(move || {
            let world = World {
                net: TcpNet,
                clock: std::sync::Arc::new(SystemClock),
                dice: StdRng::seed_from_u64(seed),
                bulk,
                limits: FanoutLimits {
                    max_reply: 1 << 30,
                    pool: PoolLimits::default(),
                },
                statistics: ServiceStatistics::new("statestore", "StatestoreService"),
                ha_statistics: ServiceStatistics::new("StatestoreHa", "StatestoreHaService"),
            };
            let (_views, questions) = statestored::views::views();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default());
            let stopped = async move { drop(stopped.await) };
            let started = |address: std::net::SocketAddr| at.send(address.port()).unwrap();
            let run = statestored::run(config(port), world, questions, started, stopped);
            runtime.unwrap().block_on(run).unwrap();
        });
        Self {
            port: started.await.unwrap(),
            stop,
            thread,
        }
    }

    async fn stop(self) -> u16 {
        self.stop.send(()).unwrap();
        tokio::task::spawn_blocking(move || self.thread.join().unwrap())
            .await
            .unwrap();
        self.port
    }

    fn builder(&self, id: &str) -> Builder {
        Subscriber::builder(id.to_owned())
            .statestore("127.0.0.1", self.port)
            .hostname("127.0.0.1")
            .retry_interval(Duration::from_millis(50))
            .recovery_interval(Duration::from_millis(50))
    }
}

fn config(port: u16) -> Config {
    let program = Program {
        name: "statestored",
        usage: "",
        version: "",
        tables: statestored::flags::tables::ALL,
    };
    let flags = [
        format!("--state_store_port={port}"),
        "--statestore_heartbeat_frequency_ms=50".to_owned(),
        "--statestore_max_missed_heartbeats=4".to_owned(),
        "--statestore_update_frequency_ms=50".to_owned(),
        "--statestore_priority_update_frequency_ms=20".to_owned(),
    ];
    let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    match program.parse(&flags, &|_| None, &none) {
        Outcome::Run(flags) => Config::from_flags(&flags, "localhost", 0).unwrap(),
        Outcome::Exit { stderr, .. } => panic!("{stderr}"),
    }
}

/// Waits until a topic's mirror holds exactly these keys.
async fn holds(subscriber: &Handle, topic: &str, keys: &[&str]) {
    let waiting = async {
        let mut changes = subscriber.follow(topic).unwrap();
        loop {
            let held = subscriber.entries(topic).unwrap();
            if held
                .iter()
                .map(|(key, _)| key.to_string())
                .collect::<Vec<_>>()
                == keys
            {
                return;
            }
            changes.next().await.unwrap();
        }
    };
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    waited.unwrap_or_else(|_| panic!("{keys:?} expected in {:?}", subscriber.entries(topic)));
}

async fn member(statestored: &Statestored, id: &str) -> Handle {
    let start = statestored
        .builder(id)
        .topic(Topic::new(MEMBERSHIP).transient());
    let subscriber = start.start().await.unwrap();
    subscriber.publish(MEMBERSHIP, id, "here").await.unwrap();
    subscriber
}

// B-2, T-30
#[tokio::test(flavor = "multi_thread")]
async fn members_see_each_other_come_and_go() {
    let statestored = Statestored::start(0, 1).await;
    let a = member(&statestored, "a").await;
    let b = member(&statestored, "b").await;
    holds(&a, MEMBERSHIP, &["a", "b"]).await;
    holds(&b, MEMBERSHIP, &["a", "b"]).await;
    a.flush().await.unwrap();
    b.leave().await;
    holds(&a, MEMBERSHIP, &["a"]).await;
    let status = a.status();
    let statestore = status.active().unwrap();
    assert!(statestore.connected && statestore.last_heartbeat.is_some());
    while a.metrics().view.statestores[0].heartbeat_intervals.count == 0 {
        tokio::task::yield_now().await;
    }
    a.leave().await;
    statestored.stop().await;
}

// T-8, built otherwise: polled every 20 ms it would be sent some fifty updates.
#[tokio::test(flavor = "multi_thread")]
async fn who_publishes_at_once_is_left_alone_while_nothing_changes() {
    let statestored = Statestored::start(0, 1).await;
    let a = member(&statestored, "a").await;
    let b = member(&statestored, "b").await;
    holds(&a, MEMBERSHIP, &["a", "b"]).await;
    a.flush().await.unwrap();
    b.flush().await.unwrap();
    let counts = || {
        let view = a.metrics().view;
        let heartbeats = view.statestores[0].heartbeat_intervals.count;
        (heartbeats, view.update_intervals.count)
    };
    let (heartbeats, updates) = counts();
    while counts().0 < heartbeats + 20 {
        tokio::task::yield_now().await;
    }
    let more = counts().1 - updates;
    assert!(more < 5, "{more} updates in twenty heartbeats");
    b.publish(MEMBERSHIP, "late", "news").await.unwrap();
    holds(&a, MEMBERSHIP, &["a", "b", "late"]).await;
    statestored.stop().await;
}

// B-10..B-13, R-8, T-9
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_statestored_gets_everything_again() {
    let statestored = Statestored::start(0, 1).await;
    let a = member(&statestored, "a").await;
    let publisher = statestored
        .builder("p")
        .topic(Topic::new("lasting").prefix("!"));
    let publisher = publisher.start().await.unwrap();
    let reader = statestored.builder("r").topic(Topic::new("lasting"));
    let reader = reader.start().await.unwrap();
    publisher.publish("lasting", "k", "v").await.unwrap();
    publisher.publish("lasting", "gone", "v").await.unwrap();
    holds(&reader, "lasting", &["gone", "k"]).await;
    publisher.delete("lasting", "gone").await.unwrap();
    holds(&reader, "lasting", &["k"]).await;
    let before = a.status().statestores[0].statestore_id;

    let port = statestored.stop().await;
    let statestored = Statestored::start(port, 2).await;
    for subscriber in [&a, &publisher, &reader] {
        let again = subscriber.wait(|view| {
            let now = view.statestores[0].statestore_id.map(|id| id.0);
            view.statestores[0].connected && now.is_some() && now != before
        });
        tokio::time::timeout(LIMIT, again).await.unwrap().unwrap();
    }
    reader.synced("lasting").await.unwrap();
    holds(&reader, "lasting", &["k"]).await;
    a.synced(MEMBERSHIP).await.unwrap();
    holds(&a, MEMBERSHIP, &["a"]).await;
    assert!(a.in_grace(), "B-40");
    publisher.clear("lasting").await.unwrap();
    holds(&reader, "lasting", &[]).await;
    drop((a, publisher, reader));
    statestored.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_topic_arrives_whole() {
    let statestored = Statestored::start(0, 1).await;
    let publisher = statestored
        .builder("p")
        .topic(Topic::new("big").prefix("!"));
    let publisher = publisher.start().await.unwrap();
    let reader = statestored
        .builder("r")
        .topic(Topic::new("big"))
        .start()
        .await
        .unwrap();
    let mut batch = statestore_subscriber::Batch::new();
    let keys: Vec<String> = (0..2000).map(|i| format!("key-{i:05}")).collect();
    for key in &keys {
        batch.put("big", key.as_str(), vec![7; 10_000]).unwrap();
    }
    publisher.publish_all(batch).await.unwrap();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    holds(&reader, "big", &names).await;
    tokio::time::timeout(LIMIT, publisher.flush())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        reader.value("big", "key-00042").unwrap().unwrap(),
        vec![7; 10_000]
    );
    assert_eq!(reader.status().statestores[0].connection_failures, 0);
    drop((publisher, reader));
    statestored.stop().await;
}
