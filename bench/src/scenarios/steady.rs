//! Short limits on a busy machine: how often a role changes although nobody is lost.
//!
//! Deliberately absent: a kill; every change of role that is counted is a false one.

use super::Bench;
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section};
use crate::followers::Followers;
use crate::machine::{self, Process};
use crate::pair::{Limits, Pair, Turn, overlap};
use crate::stalls::{Seen, Stalls};
use clap::Parser;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// A pair with short limits on a busy machine: role changes that should not be
#[derive(Debug, Parser)]
pub(crate) struct Size {
    #[arg(long, default_value_t = 10.0)]
    pub(crate) minutes: f64,
    /// Processes that do nothing but burn CPU
    #[arg(long, default_value_t = 2)]
    pub(crate) load: usize,
    #[arg(long, default_value_t = 20)]
    pub(crate) subscribers: usize,
    /// Milliseconds of silence that mean a loss
    #[arg(long, default_value_t = 300)]
    pub(crate) limit_ms: u32,
    /// Milliseconds between heartbeats, of subscribers and of the pair
    #[arg(long, default_value_t = 50)]
    pub(crate) period_ms: u32,
}

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let limits = Limits::new(size.limit_ms, size.period_ms);
    let load = Load::start(size.load)?;
    let mut pair = Pair::start(&bench.binary, limits).await?;
    let followers = Followers::start(size.subscribers, &pair, limits).await?;
    pair.await_settled(size.subscribers).await?;
    // The lease lasts for three quarters of the limit, and is renewed by then.
    let long = Duration::from_millis(u64::from(size.limit_ms) / 2);
    let stalls = Stalls::watch(long);
    let (losses, changes) = (followers.losses(), changes(&pair));
    let start = Instant::now();
    let time = Duration::from_secs_f64(size.minutes * 60.0);
    let beside = |pair: &Pair| -> Result<f64, Failure> {
        Ok(machine::busy() - Process::this().cpu_with_ended()? - pair.cpu() - load.cpu()?)
    };
    let (mut minute, before) = (0, beside(&pair)?);
    while start.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(200).min(time)).await;
        pair.expect_alive()?;
        let now = start.elapsed().as_secs() / 60;
        if now > minute {
            minute = now;
            let (changed, lost) = (self::changes(&pair) - changes, followers.losses() - losses);
            let _ = writeln!(
                std::io::stderr(),
                "{minute} min: {changed} role changes, {lost} losses, {:?}",
                stalls.seen()
            );
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let others = (beside(&pair)? - before) / seconds / machine::cores() as f64;
    drop(load);
    let outcome = Outcome {
        changed: self::changes(&pair) - changes,
        lost: followers.losses() - losses,
        refused: followers.refusals(),
        stalls: stalls.seen(),
        two_seconds: overlap([&pair.turns(0), &pair.turns(1)], [&[], &[]]).as_secs_f64(),
    };
    Ok(Section {
        title: format!("Limits of {} ms on a busy machine", size.limit_ms),
        how: how(size, seconds),
        figures: outcome.figures(size, seconds / 3_600.0),
        others: others.max(0.0),
        ..Section::default()
    })
}

/// What happened meanwhile.
struct Outcome {
    changed: u64,
    lost: u64,
    refused: u64,
    stalls: Seen,
    two_seconds: f64,
}

impl Outcome {
    fn figures(&self, size: &Size, hours: f64) -> Vec<Figure> {
        let key = |what| format!("steady.{}.{what}", size.limit_ms);
        let count = |what, text: &str, count: u64| Figure::new(key(what), text, count as f64, "");
        vec![
            count("changes", "activations", self.changed),
            Figure::new(
                key("rate"),
                "activations an hour",
                self.changed as f64 / hours,
                "",
            ),
            count(
                "losses",
                "statestoreds that a subscriber counted as lost",
                self.lost,
            ),
            Figure::new(key("two"), "two active, by the logs", self.two_seconds, "s")
                .promised("P7", Bound::Most(0.0)),
            Figure::new(
                key("stall"),
                "the longest that a thread which only sleeps was late meanwhile",
                self.stalls.longest.as_secs_f64() * 1_000.0,
                "ms",
            ),
            count(
                "stalls",
                "how often it was late by more than half of the limit",
                self.stalls.long,
            ),
            count(
                "refused",
                "messages of an activation that was over, refused by subscribers",
                self.refused,
            ),
        ]
    }
}

fn changes(pair: &Pair) -> u64 {
    let turns = [0, 1].map(|which| pair.turns(which));
    let began = turns.iter().flatten();
    began.filter(|(_, turn)| *turn == Turn::Began).count() as u64
}

fn how(size: &Size, seconds: f64) -> String {
    format!(
        "--max_missed_heartbeat_request_num={} with heartbeats and HA heartbeats every {} ms on \
         both sides, {} subscribers in one process, for {:.1} minutes, beside {} processes that \
         burn all the CPU they get, on {} cores. Nothing is killed: every activation after the \
         first is a false failover.",
        size.limit_ms / size.period_ms.max(1),
        size.period_ms,
        size.subscribers,
        seconds / 60.0,
        size.load,
        machine::cores()
    )
}

/// Processes that burn CPU until dropped.
struct Load(Vec<Child>);

impl Load {
    fn start(processes: usize) -> Result<Self, Failure> {
        let mut load = Self(Vec::new());
        for _ in 0..processes {
            let mut burner = machine::session_of(Path::new("sh"));
            let child = burner.args(["-c", "while :; do :; done"]).spawn();
            load.0.push(child.map_err(Failure::io("burn CPU"))?);
        }
        Ok(load)
    }

    fn cpu(&self) -> Result<f64, Failure> {
        let each = self.0.iter().map(|child| Process::new(child.id()).cpu());
        each.sum()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
