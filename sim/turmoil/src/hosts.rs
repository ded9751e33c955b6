//! Machines: a statestored or a subscriber each, as they ship, and what is seen of them.
//!
//! Each tells all the time how it is; the story reads that. Deliberately absent: web
//! pages, logs, processes; `main` of statestored has those.

use crate::net::{SimClock, SimNet};
use crate::sight::{Board, Member, SERVERS, SUBSCRIBERS, Server, entry_of};
use rand::rngs::StdRng;
use statestore_core::pair::Tenure;
use statestore_core::role::Role;
use statestore_daemon::flags::{Outcome, Program};
use statestore_daemon::rpc_statistics::ServiceStatistics;
use statestore_rpc::PoolLimits;
use statestore_subscriber::{Role as Seen, Subscriber, Topic};
use statestored::World;
use statestored::fanout::FanoutLimits;
use statestored::flags::Config;
use statestored::views::views;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const PORT: u16 = 24_000;
const PEER_PORT: u16 = 24_020;
const TOPIC: &str = "members";
/// How often a statestored tells how it is: each tick, see `sight`.
const LOOK: Duration = Duration::from_millis(1);
/// How often a subscriber does.
const GLANCE: Duration = Duration::from_millis(5);

type End = Result<(), Box<dyn std::error::Error>>;

/// Ends a process from outside.
pub(crate) type Kill = Rc<Notify>;

/// Runs a process until it is killed; then nothing is heard of it any more.
async fn until_killed(net: SimNet, kill: Kill, process: impl Future<Output = End>) -> End {
    let killed = async {
        kill.notified().await;
        net.end();
        std::future::pending().await
    };
    tokio::select! {
        biased;
        never = killed => never,
        ended = process => ended,
    }
}

/// Statestored `index` of the pair, until it is killed.
pub(crate) async fn serve(
    index: usize,
    dice: StdRng,
    clock: SimClock,
    board: Board,
    kill: Kill,
) -> End {
    let net = SimNet::default();
    let process = statestored(index, dice, clock, board, net.clone());
    until_killed(net, kill, process).await
}

async fn statestored(
    index: usize,
    dice: StdRng,
    clock: SimClock,
    board: Board,
    net: SimNet,
) -> End {
    let (views, questions) = views();
    let world = World {
        net,
        clock: Arc::new(clock),
        dice,
        bulk: tokio::runtime::Handle::current(),
        limits: FanoutLimits {
            max_reply: 1 << 20,
            pool: PoolLimits::default(),
        },
        statistics: ServiceStatistics::new("statestore", "StatestoreService"),
        ha_statistics: ServiceStatistics::new("StatestoreHa", "StatestoreHaService"),
    };
    let looks = async {
        loop {
            tokio::time::sleep(LOOK).await;
            let said = views.look(|scene| {
                let view = scene.node.pair(scene.now)?;
                let fence = scene.node.fence();
                let acts = fence.is_some_and(|it| it.lets(it.epoch, scene.now.time));
                Some(Server {
                    acts: acts && view.role == Role::Active,
                    alone: view.unilateral || matches!(view.tenure, Some(Tenure::Alone { .. })),
                    epoch: view.epoch.0,
                    agreed: view.agreed,
                })
            });
            let said = said.await.flatten().unwrap_or_default();
            board.borrow_mut().server(index, said);
        }
    };
    let config = config(index)?;
    let run = statestored::run(config, world, questions, |_| {}, std::future::pending());
    tokio::select! {
        biased;
        ended = run => ended.map_err(Into::into),
        () = looks => Ok(()),
    }
}

fn config(index: usize) -> Result<Config, Box<dyn std::error::Error>> {
    let program = Program {
        name: "statestored",
        usage: "",
        version: "",
        tables: statestored::flags::tables::ALL,
    };
    let flags = [
        format!("--state_store_port={PORT}"),
        "--enable_statestored_ha=true".to_owned(),
        format!("--state_store_ha_port={PEER_PORT}"),
        format!("--state_store_peer_host={}", SERVERS[1 - index]),
        format!("--state_store_peer_ha_port={PEER_PORT}"),
        "--statestore_heartbeat_frequency_ms=200".to_owned(),
        "--statestore_update_frequency_ms=400".to_owned(),
        "--statestore_priority_update_frequency_ms=100".to_owned(),
        "--statestore_ha_heartbeat_monitoring_frequency_ms=200".to_owned(),
        "--statestore_ha_preemption_wait_period_ms=2000".to_owned(),
        "--statestore_peer_timeout_seconds=2".to_owned(),
        "--statestore_subscriber_timeout_seconds=2".to_owned(),
        "--statestore_heartbeat_tcp_timeout_seconds=1".to_owned(),
        "--statestore_update_tcp_timeout_seconds=2".to_owned(),
    ];
    let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    match program.parse(&flags, &|_| None, &none) {
        Outcome::Run(flags) => Ok(Config::from_flags(&flags, SERVERS[index], 0)?),
        Outcome::Exit { stderr, .. } => Err(stderr.into()),
    }
}

/// Subscriber `index`, until it is killed.
pub(crate) async fn follow(index: usize, board: Board, kill: Kill) -> End {
    let net = SimNet::default();
    until_killed(net.clone(), kill, subscriber(index, board, net)).await
}

/// Publishes one entry and follows everybody's.
async fn subscriber(index: usize, board: Board, net: SimNet) -> End {
    let name = SUBSCRIBERS[index];
    let life = board.borrow().members[index].life + 1;
    let born = Member {
        life,
        ..Member::default()
    };
    board.borrow_mut().member(index, born);
    let mut builder = Subscriber::builder(name)
        .listen(23_000)
        .hostname(name)
        .timeout(Duration::from_secs(2))
        .heartbeat_period(Duration::from_millis(200))
        .call_timeout(Duration::from_secs(3))
        .topic(Topic::new(TOPIC).transient());
    for server in SERVERS {
        builder = builder.statestore(server, PORT);
    }
    let handle = builder.start_over(net.clone(), net).await?;
    handle.publish(TOPIC, name, entry_of(life)).await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    loop {
        tokio::time::sleep(GLANCE).await;
        let status = handle.status();
        let entries = handle.entries(TOPIC)?.into_iter();
        let pair = &status.statestores;
        let seen = Member {
            life,
            epoch: status.highest_epoch.unwrap_or(0),
            active: pair.iter().position(|it| it.role == Seen::Active),
            connected: pair.iter().filter(|it| it.connected).count(),
            failovers: status.failovers,
            topic: entries
                .map(|(key, value)| (text(key.as_bytes()), text(&value)))
                .collect(),
        };
        board.borrow_mut().member(index, seen);
    }
}
