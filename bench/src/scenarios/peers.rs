//! The same work by servers that a user might pick instead.
//!
//! Deliberately absent: a ranking. They promise other things, and the section says which.

use super::{Bench, LIMIT};
use crate::failure::Failure;
use crate::figures::{Figure, Section, percentile};
use crate::peers::{KINDS, Kind, Peer};
use clap::Parser;

/// One change to many watchers, and a large topic, by other servers
#[derive(Debug, Parser)]
pub(crate) struct Size {
    /// Numbers of watchers of a change
    #[arg(long, value_delimiter = ',', default_value = "100,1000")]
    pub(crate) watchers: Vec<usize>,
    /// Changes
    #[arg(long, default_value_t = 100)]
    pub(crate) rounds: usize,
    /// Messages of the large topic
    #[arg(long, default_value_t = 100_000)]
    pub(crate) items: usize,
    /// Bytes of each
    #[arg(long, default_value_t = 1_000)]
    pub(crate) value: usize,
    /// Who receives it
    #[arg(long, default_value_t = 50)]
    pub(crate) receivers: usize,
}

/// Bytes of a small change, as in `changes`.
const CHANGE: usize = 100;

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let mut section = Section {
        title: "Peers: the same work by others".to_owned(),
        how: format!(
            "{} changes of {CHANGE} bytes, one after the other, from the first byte written to \
             when the last watcher has the last byte; then {} messages of {} bytes in one stream \
             to {} receivers. The servers are Debian's, on this machine, at their defaults but \
             for bounds that would drop slow readers. To be compared with P5 and P1.",
            size.rounds, size.items, size.value, size.receivers
        ),
        notes: vec![
            "What they do not promise: NATS (core) and Redis (pub/sub) keep nothing. Who is not \
             connected misses a message, nobody is sent what was there before, deletions and \
             failed publishers are the application's. A statestored keeps the topic, sends each \
             subscriber what it lacks, knows who lives, and says when all have a change."
                .to_owned(),
            "What a statestored does not promise: every single change. Changes of one key that \
             come together are delivered as the last of them."
                .to_owned(),
        ],
        ..Section::default()
    };
    for (kind, key) in KINDS.iter().zip(["nats", "redis"]) {
        match measure(bench, size, kind, key).await? {
            Some(figures) => section.figures.extend(figures),
            None => section.notes.push(format!(
                "{} was not measured: Debian package {} is not installed.",
                kind.name, kind.package
            )),
        }
    }
    Ok(section)
}

async fn measure(
    bench: &Bench,
    size: &Size,
    kind: &'static Kind,
    key: &str,
) -> Result<Option<Vec<Figure>>, Failure> {
    let mut figures = Vec::new();
    let name = kind.name;
    for &watchers in &size.watchers {
        if !bench.allows(watchers) {
            continue;
        }
        let Some(mut peer) = Peer::start(kind).await? else {
            return Ok(None);
        };
        peer.watch(watchers).await?;
        let mut delays = Vec::new();
        for _ in 0..size.rounds {
            let took = peer.publish(1, CHANGE, LIMIT).await?;
            delays.push(took.as_secs_f64() * 1e3);
        }
        delays.sort_by(f64::total_cmp);
        for (part, share) in [("p50", 0.5), ("p99", 0.99)] {
            let what = format!("{name}: a change at {watchers} watchers, {part}");
            let key = format!("peer.{key}.{watchers}.{part}");
            figures.push(Figure::new(key, what, percentile(&delays, share), "ms"));
        }
    }
    let Some(mut peer) = Peer::start(kind).await? else {
        return Ok(None);
    };
    peer.watch(size.receivers).await?;
    let before = peer.process().cpu()?;
    let took = peer.publish(size.items, size.value, LIMIT).await?;
    let cpu = peer.process().cpu()? - before;
    let gigabytes = (size.items * size.value * size.receivers) as f64 / 1e9;
    let seconds = took.as_secs_f64();
    let peak = peer.process().peak_rss()? / 1e6;
    let figure = |part: &str, what: &str, value, unit| {
        Figure::new(
            format!("peer.{key}.{part}"),
            format!("{name}: {what}"),
            value,
            unit,
        )
    };
    figures.extend([
        figure("time", "until the last has the large topic", seconds, "s"),
        figure("rate", "rate", gigabytes / seconds, "GB/s"),
        figure("cpu", "server's CPU", cpu / gigabytes, "s/GB"),
        figure("peak", "peak memory", peak, "MB"),
    ]);
    Ok(Some(figures))
}
