//! The daemon as a library: on a test's own thread, network, clock and dice.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::subscriber::Subscriber;
use rand::SeedableRng;
use rand::rngs::StdRng;
use statestore_daemon::flags::{Outcome, Program};
use statestore_daemon::rpc_statistics::ServiceStatistics;
use statestore_rpc::{PoolLimits, TcpNet};
use statestored::clock::SystemClock;
use statestored::fanout::FanoutLimits;
use statestored::flags::Config;
use statestored::views::views;
use statestored::{RunError, World};
use std::net::SocketAddr;
use tokio::runtime::LocalOptions;
use tokio::sync::oneshot;

fn config(flag: &str) -> Config {
    let program = Program {
        name: "statestored",
        usage: "",
        version: "",
        tables: statestored::flags::tables::ALL,
    };
    let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    match program.parse(&[flag.to_owned()], &|_| None, &none) {
        Outcome::Run(flags) => Config::from_flags(&flags, "localhost", 0).unwrap(),
        Outcome::Exit { stderr, .. } => panic!("{stderr}"),
    }
}

fn world(bulk: tokio::runtime::Handle) -> World<TcpNet> {
    World {
        net: TcpNet,
        clock: std::sync::Arc::new(SystemClock),
        dice: StdRng::seed_from_u64(7),
        bulk,
        limits: FanoutLimits {
            max_reply: 1 << 20,
            pool: PoolLimits::default(),
        },
        statistics: ServiceStatistics::new("statestore", "StatestoreService"),
        ha_statistics: ServiceStatistics::new("StatestoreHa", "StatestoreHaService"),
    }
}

// the ids come from the dice that the world brings
#[test]
fn it_runs_on_any_thread_until_it_is_told_to_stop() {
    let bulk = tokio::runtime::Runtime::new().unwrap();
    let ids = [0; 2].map(|_| {
        let (views, questions) = views();
        let (stop, stopped) = oneshot::channel::<()>();
        let (at, started) = oneshot::channel::<SocketAddr>();
        let handle = bulk.handle().clone();
        let daemon = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
                .unwrap();
            let stopped = async {
                let _ = stopped.await;
            };
            let started = |address| at.send(address).unwrap();
            let (config, world) = (config("--state_store_port=0"), world(handle));
            runtime.block_on(statestored::run(config, world, questions, started, stopped))
        });
        let port = started.blocking_recv().unwrap().port();
        let a = Subscriber::new("a");
        let id = a.register(SocketAddr::from(([127, 0, 0, 1], port)), &[]);
        a.await_heartbeats(1);
        let ask = || views.look(|scene| (scene.node.totals().subscribers.len(), scene.serving));
        assert_eq!(bulk.block_on(ask()), Some((1, true)));
        stop.send(()).unwrap();
        daemon.join().unwrap().unwrap();
        assert_eq!(bulk.block_on(ask()), None, "nobody answers any more");
        id
    });
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_views, questions) = views();
    let world = world(runtime.handle().clone());
    let config = config(&format!("--state_store_port={port}"));
    let never = std::future::pending();
    let local = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    let result = local.block_on(statestored::run(config, world, questions, |_| {}, never));
    let error = result.unwrap_err();
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    assert!(matches!(error, RunError::Listen { .. }));
}
