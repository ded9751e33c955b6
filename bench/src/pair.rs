//! Two statestoreds as a pair: killed, started again, and asked who of them is active.
//!
//! When a role began is read from the log, whose times are of the clock that says when a process
//! was killed. Ports stay the same over restarts, below those that the system gives to others.
//! Invariant: no statestored outlives its [`Pair`].

use crate::failure::Failure;
use crate::scenarios::{LIMIT, too_late};
use crate::server::Statestored;
use clap::Parser;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Silence that means a loss, and how often to speak: as flags of both sides.
#[derive(Debug, Clone, Copy, Parser)]
pub(crate) struct Limits {
    /// Milliseconds of silence that mean a loss; 30000 leaves all flags at their defaults
    #[arg(long = "limit-ms", default_value_t = 30_000)]
    limit_ms: u32,
    /// Milliseconds between heartbeats, of subscribers and of the pair
    #[arg(long = "period-ms", default_value_t = 1_000)]
    period_ms: u32,
}

impl Limits {
    pub(crate) fn new(limit_ms: u32, period_ms: u32) -> Self {
        Self {
            limit_ms,
            period_ms,
        }
    }

    pub(crate) fn limit(self) -> Duration {
        Duration::from_millis(self.limit_ms.into())
    }

    pub(crate) fn period(self) -> Duration {
        Duration::from_millis(self.period_ms.into())
    }

    pub(crate) fn limit_ms(self) -> u32 {
        self.limit_ms
    }

    /// `--max_missed_heartbeat_request_num`; 0 is its default.
    pub(crate) fn missed(self) -> u32 {
        match self.limit_ms {
            30_000 => 0,
            ms => ms / self.period_ms.max(1),
        }
    }

    fn flags(self) -> Vec<String> {
        match self.missed() {
            0 => Vec::new(),
            missed => vec![
                format!("--max_missed_heartbeat_request_num={missed}"),
                format!("--statestore_heartbeat_frequency_ms={}", self.period_ms),
                format!(
                    "--statestore_ha_heartbeat_monitoring_frequency_ms={}",
                    self.period_ms
                ),
            ],
        }
    }
}

/// The two of them.
pub(crate) struct Pair {
    binary: PathBuf,
    limits: Limits,
    ports: [[u16; 2]; 2],
    running: [Option<Statestored>; 2],
    /// Logs of lives that are over.
    past: [String; 2],
}

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    pub(crate) wall: Timestamp,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            wall: Timestamp::now(),
        }
    }
}

/// What a log says of a role.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Turn {
    Began,
    Ended,
}

impl Pair {
    /// Starts both; one is active when this returns.
    pub(crate) async fn start(binary: &Path, limits: Limits) -> Result<Self, Failure> {
        let mut pair = Self {
            binary: binary.to_owned(),
            limits,
            ports: [[free_port()?, free_port()?], [free_port()?, free_port()?]],
            running: [None, None],
            past: Default::default(),
        };
        pair.launch(0)?;
        pair.launch(1)?;
        for server in pair.running.iter_mut().flatten() {
            server.become_ready().await?;
        }
        pair.await_settled(0).await?;
        Ok(pair)
    }

    fn launch(&mut self, which: usize) -> Result<(), Failure> {
        let [own, peer] = [self.ports[which], self.ports[1 - which]];
        let mut flags = vec![
            "--enable_statestored_ha".to_owned(),
            "--hostname=127.0.0.1".to_owned(),
            format!("--state_store_port={}", own[0]),
            format!("--state_store_ha_port={}", own[1]),
            "--state_store_peer_host=127.0.0.1".to_owned(),
            format!("--state_store_peer_ha_port={}", peer[1]),
        ];
        flags.extend(self.limits.flags());
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        self.running[which] = Some(Statestored::launch(&self.binary, &flags)?);
        Ok(())
    }

    /// Where each one's StatestoreService listens.
    pub(crate) fn ports(&self) -> [u16; 2] {
        self.ports.map(|own| own[0])
    }

    /// `kill -9`; the moment before it.
    pub(crate) fn kill(&mut self, which: usize) -> Moment {
        let moment = Moment::now();
        if let Some(mut server) = self.running[which].take() {
            server.end();
            self.past[which].push_str(&server.log());
        }
        moment
    }

    /// A new process in the place of one that was killed.
    pub(crate) async fn restart(&mut self, which: usize) -> Result<(), Failure> {
        self.launch(which)?;
        match &mut self.running[which] {
            Some(server) => server.become_ready().await,
            None => Ok(()),
        }
    }

    /// Waits until one is active, the other stands by, and both have agreed on so many voters;
    /// the active one.
    pub(crate) async fn await_settled(&self, voters: usize) -> Result<usize, Failure> {
        let start = Instant::now();
        let limit = LIMIT + self.limits.limit() * 2;
        while start.elapsed() < limit {
            if let Some(active) = self.settled(voters).await {
                return Ok(active);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(too_late(format!(
            "an active and a standby with {voters} voters"
        )))
    }

    async fn settled(&self, voters: usize) -> Option<usize> {
        let mut roles = [const { Value::Null }; 2];
        for (role, server) in roles.iter_mut().zip(&self.running) {
            let page = server.as_ref()?.page("/ha").await.ok()?;
            let agreed = page["electorate_size"].as_u64()? == voters as u64;
            *role = agreed.then(|| page["role"].clone())?;
        }
        let is = |which: usize, role| roles[which] == role;
        (0..2).find(|which| is(*which, "active") && is(1 - which, "standby"))
    }

    /// Waits until the log of one says that it became active after a moment: how long after.
    pub(crate) async fn began(&self, which: usize, since: Moment, limit: Duration) -> Option<f64> {
        let start = Instant::now();
        loop {
            let turns = self.turns(which).into_iter();
            let mut began = turns.filter(|(at, turn)| *turn == Turn::Began && *at > since.wall);
            if let Some((at, _)) = began.next() {
                return Some(at.duration_since(since.wall).as_secs_f64());
            }
            if start.elapsed() > limit {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// An error if either has ended by itself.
    pub(crate) fn expect_alive(&mut self) -> Result<(), Failure> {
        let mut running = self.running.iter_mut().flatten();
        running.try_for_each(Statestored::expect_alive)
    }

    /// When one became active and when it ceased to be, in all its lives.
    pub(crate) fn turns(&self, which: usize) -> Vec<(Timestamp, Turn)> {
        let now = self.running[which].as_ref().map(Statestored::log);
        let log = self.past[which].clone() + &now.unwrap_or_default();
        log.lines().filter_map(turn).collect()
    }

    /// CPU of those that run, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let running = self.running.iter().flatten();
        running.filter_map(|one| one.process().cpu().ok()).sum()
    }
}

/// `I20260131 23:59:59.123456  4711 owner.rs:42] text`, in UTC.
fn turn(line: &str) -> Option<(Timestamp, Turn)> {
    let (head, text) = line.split_once("] ")?;
    let turn = match text {
        _ if text.starts_with("Active statestored (epoch ") => Turn::Began,
        _ if text.starts_with("No longer the active statestored ") => Turn::Ended,
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d %H:%M:%S.%f", head.get(1..25)?).ok()?;
    let said = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // Who gets no CPU notices late that its lease is over.
    let late = text.split_once("; its lease ended ").map(|(_, late)| late);
    let late = late.and_then(|late| late.split(' ').next()?.parse::<f64>().ok());
    let late = SignedDuration::from_secs_f64(late.unwrap_or_default() / 1e3);
    Some((said - late, turn))
}

/// For how long both of two were active at once: from their turns, and from when each was killed.
pub(crate) fn overlap(
    turns: [&[(Timestamp, Turn)]; 2],
    kills: [&[Timestamp]; 2],
) -> SignedDuration {
    let spans = [0, 1].map(|which| {
        let (turns, kills) = (turns[which], kills[which]);
        let began = turns.iter().filter(|(_, turn)| *turn == Turn::Began);
        let span = |(from, _): &(Timestamp, Turn)| {
            let ends = turns.iter().map(|(at, _)| at).chain(kills);
            let end = ends.filter(|at| *at > from).min();
            (*from, end.copied().unwrap_or(Timestamp::MAX))
        };
        began.map(span).collect::<Vec<_>>()
    });
    let [first, second] = &spans;
    let pairs = first
        .iter()
        .flat_map(|a| second.iter().map(move |b| (a, b)));
    let together = pairs.map(|(a, b)| a.1.min(b.1).duration_since(a.0.max(b.0)));
    together.filter(SignedDuration::is_positive).sum()
}

/// A port that nobody has and that the system gives to nobody.
fn free_port() -> Result<u16, Failure> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const COUNT: u16 = 15_000;
    let first = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 15_000 + first.wrapping_add(step) % COUNT;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return Ok(port);
        }
    }
    let none = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    Err(Failure::io("find a free port")(none))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn log(lines: &[&str]) -> Vec<(Timestamp, Turn)> {
        let line = |line: &&str| turn(&format!("I20260131 {line}"));
        lines.iter().filter_map(line).collect()
    }

    #[test]
    fn two_overlap_from_when_one_began_to_when_the_others_lease_ended() {
        let first = log(&[
            "23:59:58.000000  7 owner.rs:1] Active statestored (epoch 1): why",
            "23:59:58.500000  7 owner.rs:1] Peer statestored found",
            "23:59:59.300000  7 owner.rs:1] No longer the active statestored (epoch 1 is over), \
             recovery begins: why; its lease ended 250.500 ms ago",
        ]);
        let second = log(&["23:59:59.000000  8 owner.rs:1] Active statestored (epoch 2): why"]);
        assert_eq!((first.len(), second.len()), (2, 1));
        let together = overlap([&first, &second], [&[], &[]]);
        assert_eq!(together, SignedDuration::from_micros(49_500));
        let killed = [second[0].0];
        assert!(overlap([&first, &second], [&killed, &[]]).is_zero());
    }

    #[test]
    fn default_limits_set_no_flags() {
        assert!(Limits::new(30_000, 1_000).flags().is_empty());
        assert_eq!(Limits::new(300, 50).missed(), 6);
    }
}
