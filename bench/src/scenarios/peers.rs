//! The same work by servers that a user might pick instead.
//!
//! Deliberately absent: a ranking. They promise other things, and the section says which.

use super::{Bench, LIMIT, Meter, Taken, changes, others};
use crate::crowd::{Conduct, Crowd, Records};
use crate::failure::Failure;
use crate::figures::{Figure, Section, median, percentile};
use crate::peers::{Kind, Peer};
use crate::sender::{self, Sender};
use clap::Parser;
use std::time::{Duration, Instant};

/// One change to many watchers, and a large topic, by a statestored and by other servers
#[derive(Debug, Parser)]
pub(crate) struct Size {
    /// Numbers of watchers of a change
    #[arg(long, value_delimiter = ',', default_value = "100,1000")]
    pub(crate) watchers: Vec<usize>,
    /// Changes
    #[arg(long, default_value_t = 100)]
    pub(crate) rounds: usize,
    /// Entries of the large topic
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

/// Between two changes: longer than a statestored waits for more of them to come.
const APART: Duration = Duration::from_millis(20);

/// How often the limit is taken; the median counts.
const LIMITS: usize = 3;

/// What each guarantees and what not.
const GUARANTEES: [&str; 4] = [
    "A statestored keeps a topic in memory and sends each subscriber what it lacks, also one that \
     comes late or lost its connection. It knows who lives, removes what the dead have published, \
     and can say when all have a change. It does not deliver every single change: those of one key \
     that come together arrive as the last of them. It keeps nothing on disk: publishers bring \
     their entries again when it has restarted. Its figures here include heartbeats to everybody.",
    "etcd writes each change to disk before it answers (in a cluster, on a majority) and loses \
     none; reads are linearizable. A watcher is sent every change in order and may go on from any \
     revision that was not yet compacted. Keys can go with a lease that its owner must renew. That \
     is far more than what a topic needs, and is in its figures. It keeps old values until told to \
     compact; it does not say how far watchers are, and a slow one is caught up by batches.",
    "NATS (core) keeps nothing: who is not connected misses a message, and one who is too slow is \
     cut off. Each message is delivered at most once, in the order of its publisher. Who lives, \
     what was there before and what the dead have left is for the application to find out.",
    "Redis (pub/sub) keeps nothing either, with the same consequences; a subscriber that is too \
     slow is cut off unless its bound is lifted, as here. Its keys do stay, but are another thing \
     than what is published.",
];

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let mut section = Section {
        title: "Peers: the same work by others".to_owned(),
        how: format!(
            "{} changes of {CHANGE} bytes, one after the other and {} ms apart, from before the \
             publisher's first byte to when the last watcher has the last one; then {} entries of \
             {} bytes to {} watchers that were there before. CPU and memory are the server's. \
             Watchers are small clients of our own that speak the server's protocol, a connection \
             each, and only count what comes: what a client library costs is in no figure. Each \
             server once, in the order shown. Entries go to a statestored as one publication, to \
             etcd in transactions of a hundred puts with eight under way, to the others as one \
             stream of messages. The servers are Debian's, one process each, on this machine, at \
             their defaults but for bounds that would drop slow readers. Limit: blocking threads \
             write as much to as many open connections.",
            size.rounds,
            APART.as_millis(),
            size.items,
            size.value,
            size.receivers
        ),
        notes: GUARANTEES.map(str::to_owned).into(),
        ..Section::default()
    };
    let limits = limits(bench, size).await?;
    let mut taken = Vec::new();
    for kind in Kind::ALL {
        match measure(bench, size, kind, &limits, &mut taken).await {
            Ok(Some(figures)) => section.figures.extend(figures),
            Ok(None) => section.notes.push(format!(
                "{} was not measured: Debian package {} is not installed.",
                kind.name(),
                kind.package()
            )),
            // The others' figures are none the worse for it.
            Err(failure) if kind != Kind::Statestored => {
                let note = format!("{} was not measured: {failure}.", kind.name());
                section.notes.push(note);
            }
            Err(failure) => return Err(failure),
        }
    }
    section.others = others(&taken);
    Ok(section)
}

/// The same by the plainest means.
struct Limits {
    /// Of a change, sorted, for each number of watchers that is possible; milliseconds.
    changes: Vec<(usize, Vec<f64>)>,
    /// Of the large topic; seconds, and seconds of CPU.
    time: f64,
    cpu: f64,
}

async fn limits(bench: &Bench, size: &Size) -> Result<Limits, Failure> {
    let mut limits = Vec::new();
    for &watchers in size.watchers.iter().filter(|it| bench.allows(**it * 2)) {
        let delays = changes::limit(watchers, size.rounds).await?;
        limits.push((watchers, delays.last));
    }
    let crowd = Crowd::open().await?;
    let all = crowd.add(size.receivers, Conduct::Answers, &Records::new());
    let sender = Sender::start(sender::Wanted {
        items: size.items,
        value: size.value,
        prefixes: 0,
        to: all.iter().map(|one| crowd.address(one)).collect(),
    });
    let mut sender = sender.await?;
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..LIMITS {
        sender.connect().await?;
        let start = Instant::now();
        cpu.push(sender.send().await?);
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(Limits {
        changes: limits,
        time: median(times),
        cpu: median(cpu),
    })
}

async fn measure(
    bench: &Bench,
    size: &Size,
    kind: Kind,
    limits: &Limits,
    taken: &mut Vec<Taken>,
) -> Result<Option<Vec<Figure>>, Failure> {
    let mut figures = Vec::new();
    for (watchers, limit) in &limits.changes {
        match several(bench, size, kind, *watchers, limit).await? {
            Some(more) => figures.extend(more),
            None => return Ok(None),
        }
    }
    let Some(mut peer) = Peer::start(bench, kind).await? else {
        return Ok(None);
    };
    peer.watch(size.receivers).await?;
    let (meter, before) = (Meter::of(peer.process())?, peer.process().cpu_of_threads()?);
    let took = peer.publish(size.items, size.value, LIMIT * 2).await?;
    taken.push(meter.stop()?);
    let cpu = peer.process().cpu_of_threads()? - before;
    let gigabytes = (size.items * size.value * size.receivers) as f64 / 1e9;
    let seconds = took.as_secs_f64();
    let peak = peer.process().peak_rss()? / 1e6;
    let figure = |part: &str, what: &str, value, unit| figure(kind, part, what, value, unit);
    figures.extend([
        figure("time", "until the last has the large topic", seconds, "s").beside(limits.time),
        figure("rate", "its rate", gigabytes / seconds, "GB/s").beside(gigabytes / limits.time),
        figure("cpu", "server's CPU for it", cpu / gigabytes, "s/GB")
            .beside(limits.cpu / gigabytes),
        figure("peak", "peak memory with it", peak, "MB")
            .beside((size.items * size.value) as f64 / 1e6),
    ]);
    Ok(Some(figures))
}

/// Small changes to so many.
async fn several(
    bench: &Bench,
    size: &Size,
    kind: Kind,
    watchers: usize,
    limit: &[f64],
) -> Result<Option<Vec<Figure>>, Failure> {
    let Some(mut peer) = Peer::start(bench, kind).await? else {
        return Ok(None);
    };
    peer.watch(watchers).await?;
    // The first one also opens what is not open yet.
    peer.publish(1, CHANGE, LIMIT).await?;
    let before = peer.process().cpu_of_threads()?;
    let mut delays = Vec::new();
    for _ in 0..size.rounds {
        tokio::time::sleep(APART).await;
        let took = peer.publish(1, CHANGE, LIMIT).await?;
        delays.push(took.as_secs_f64() * 1e3);
    }
    let cpu = (peer.process().cpu_of_threads()? - before) * 1e3 / size.rounds as f64;
    let rss = peer.process().rss()? / 1e6;
    delays.sort_by(f64::total_cmp);
    let figure = |part: &str, what: &str, value, unit| {
        let what = format!("a change at {watchers} watchers, {what}");
        figure(kind, &format!("{watchers}.{part}"), &what, value, unit)
    };
    Ok(Some(vec![
        figure("p50", "p50", percentile(&delays, 0.5), "ms").beside(percentile(limit, 0.5)),
        figure("p99", "p99", percentile(&delays, 0.99), "ms").beside(percentile(limit, 0.99)),
        figure("cpu", "server's CPU", cpu, "ms"),
        figure("rss", "memory", rss, "MB"),
    ]))
}

fn figure(kind: Kind, part: &str, what: &str, value: f64, unit: &'static str) -> Figure {
    let key = format!("peer.{}.{part}", kind.key());
    Figure::new(key, format!("{}: {what}", kind.name()), value, unit)
}
