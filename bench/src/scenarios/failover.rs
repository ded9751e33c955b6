//! P6, P7: from `kill -9` of the active statestored until everybody follows the other one.
//!
//! The clock runs from before the signal. Deliberately absent: other ways to lose an active one;
//! the tests of the pair see to those.

use super::Bench;
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section, percentile};
use crate::followers::Followers;
use crate::machine::{self, Process};
use crate::pair::{Limits, Pair, Turn, overlap};
use clap::Parser;
use futures::future::try_join_all;
use jiff::Timestamp;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// The active one of a pair is killed: until the standby acts and all follow it
#[derive(Debug, Parser)]
pub(crate) struct Size {
    #[arg(long, value_delimiter = ',', default_values_t = [2, 20, 100])]
    pub(crate) subscribers: Vec<usize>,
    /// Kills for each number of subscribers
    #[arg(long, default_value_t = 50)]
    pub(crate) repetitions: usize,
    /// Pairs that are tried at the same time, each with subscribers of its own
    #[arg(long, default_value_t = 1)]
    pub(crate) pairs: usize,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

/// Seconds after the signal; none if it never happened.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    /// The majority of subscribers had lost the old one.
    detected: Option<f64>,
    /// The standby was active.
    took_over: Option<f64>,
    first: Option<f64>,
    last: Option<f64>,
}

/// What one pair went through.
struct Story {
    times: Vec<Times>,
    /// For how long two were active, in seconds.
    two: f64,
    /// Activations that nobody asked for.
    extra: usize,
}

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let limit = size.limits.limit();
    let (ms, seconds) = (size.limits.limit_ms(), limit.as_secs_f64());
    let mut section = Section {
        title: format!("P6, P7: failover with limits of {seconds} s"),
        how: how(size),
        ..Section::default()
    };
    let mut table = "| Subscribers | Seconds from kill -9 until | Minimum | Median | Maximum |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    for &count in &size.subscribers {
        let start = Instant::now();
        let before = machine::busy() - Process::this().cpu_with_ended()?;
        let stories = (0..size.pairs).map(|nth| story(bench, size, count, nth));
        let stories = try_join_all(stories).await?;
        let others = machine::busy() - Process::this().cpu_with_ended()? - before;
        let others = others / start.elapsed().as_secs_f64() / machine::cores() as f64;
        section.others = section.others.max(others);
        let times: Vec<Times> = stories.iter().flat_map(|it| it.times.clone()).collect();
        rows(&mut table, count, &times);
        let key = |what| format!("p6.{ms}.{count}.{what}");
        let named = |what| format!("limits of {seconds} s, {count} subscribers: {what}");
        let last = sorted(&times, |it| it.last);
        let missing = times.len() - last.len();
        let two: f64 = stories.iter().map(|it| it.two).sum();
        let extra: usize = stories.iter().map(|it| it.extra).sum();
        section.figures.extend([
            Figure::new(
                key("last"),
                named("until the last one follows, at most"),
                percentile(&last, 1.0),
                "s",
            )
            .promised("P6", Bound::Most(seconds + 0.25)),
            Figure::new(
                key("missing"),
                named("failovers missing"),
                missing as f64,
                "",
            )
            .promised("P6", Bound::Most(0.0)),
            Figure::new(
                key("extra"),
                named("failovers without a kill"),
                extra as f64,
                "",
            )
            .promised("P6", Bound::Most(0.0)),
            Figure::new(key("two"), named("two active, by the logs"), two, "s")
                .promised("P7", Bound::Most(0.0)),
        ]);
    }
    section.table = table;
    Ok(section)
}

/// One pair: killed again and again, whichever is active.
async fn story(bench: &Bench, size: &Size, count: usize, nth: usize) -> Result<Story, Failure> {
    let mut pair = Pair::start(&bench.binary, size.limits).await?;
    let followers = Followers::start(count, &pair, size.limits).await?;
    let share = size.repetitions / size.pairs + usize::from(nth < size.repetitions % size.pairs);
    let (mut times, mut killed) = (Vec::new(), [Vec::new(), Vec::new()]);
    for round in 0..share {
        let active = pair.await_settled(count).await?;
        // Another moment of the period each time.
        let phase = ((nth * share + round) * 37 % 100) as u32;
        tokio::time::sleep(size.limits.period() * phase / 100).await;
        let (wall, took) = fail_over(&mut pair, &followers, active, size.limits.limit()).await;
        killed[active].push(wall);
        times.push(took);
        pair.restart(active).await?;
    }
    pair.await_settled(count).await?;
    let turns = [pair.turns(0), pair.turns(1)];
    let began = turns.iter().flatten();
    let began = began.filter(|(_, turn)| *turn == Turn::Began);
    let wanted = 1 + times.iter().filter(|it| it.took_over.is_some()).count();
    Ok(Story {
        two: overlap([&turns[0], &turns[1]], [&killed[0], &killed[1]]).as_secs_f64(),
        extra: began.count().saturating_sub(wanted),
        times,
    })
}

async fn fail_over(
    pair: &mut Pair,
    followers: &Followers,
    active: usize,
    limit: Duration,
) -> (Timestamp, Times) {
    let patience = limit * 2 + Duration::from_secs(10);
    let watch = followers.watch(active, patience);
    let killed = pair.kill(active);
    let noticed = watch.noticed().await;
    let since = |at: &Instant| at.duration_since(killed.at).as_secs_f64();
    let mut lost: Vec<f64> = noticed.lost.iter().map(since).collect();
    lost.sort_by(f64::total_cmp);
    let followed = noticed.followed.iter().map(since);
    let all = followed.len() == followers.count();
    let times = Times {
        detected: lost.get(followers.count() / 2).copied(),
        took_over: pair.began(1 - active, killed, Duration::from_secs(1)).await,
        first: followed.clone().reduce(f64::min),
        last: followed.reduce(f64::max).filter(|_| all),
    };
    (killed.wall, times)
}

fn rows(table: &mut String, count: usize, times: &[Times]) {
    type Part = fn(&Times) -> Option<f64>;
    let parts: [(&str, Part); 4] = [
        ("more than half have lost it", |it| it.detected),
        ("the standby is active", |it| it.took_over),
        ("the first one follows", |it| it.first),
        ("the last one follows", |it| it.last),
    ];
    for (what, part) in parts {
        let values = sorted(times, part);
        let at = |share| percentile(&values, share);
        let (min, median, max) = (at(0.0), at(0.5), at(1.0));
        let _ = writeln!(
            table,
            "| {count} | {what} | {min:.3} | {median:.3} | {max:.3} |"
        );
    }
}

fn sorted(times: &[Times], part: impl Fn(&Times) -> Option<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = times.iter().filter_map(part).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn how(size: &Size) -> String {
    let flags = match size.limits.missed() {
        0 => "All flags at their defaults: limits of 30 s, heartbeats every second.".to_owned(),
        missed => format!(
            "Limits of {} s on both sides: --max_missed_heartbeat_request_num={missed} with \
             heartbeats and HA heartbeats every {} ms.",
            size.limits.limit().as_secs_f64(),
            size.limits.period().as_millis()
        ),
    };
    let together = match size.pairs {
        1 => String::new(),
        pairs => format!(" {pairs} pairs at the same time, each with its own subscribers."),
    };
    format!(
        "{flags} The active statestored is killed with SIGKILL at another moment of the period \
         each time; the standby takes over, the old one is started again and stands by, and the \
         next kill hits the new active one: {} kills for each number of subscribers.{together} \
         Subscribers are the shipped library, all in one process. When a role began is the time \
         of its line in the log; the rest is seen by the subscribers.",
        size.repetitions
    )
}
