//! P10: what one more subscriber costs, and one more byte, from few to very many.
//!
//! ```text
//!   subscribers 10 ... 10,000   heartbeats only: CPU and memory for each
//!   bytes   100 kB ... 1 GB     a topic to a few subscribers: CPU and memory for each byte
//! ```
//!
//! What the process takes with nobody there, and what registrations take without a topic, is
//! measured too and taken off: it does not grow. Deliberately absent: how punctual it was (`lanes`)
//! and how fast (`fanout`).

use super::{Bench, KEY, LIMIT, Meter, NORMAL, Publisher, Taken, numbered, others, too_late};
use crate::crowd::{Conduct, Crowd, Lane, Records, Subscriber, Topic};
use crate::failure::Failure;
use crate::figures::Section;
use crate::machine::Process;
use crate::server::Statestored;
use crate::straight::{self, message};
use clap::Parser;
use costs::{Cost, figures, plots};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod costs;

/// CPU and memory for each subscriber and each byte, over three decades, with graphs
#[derive(Debug, Parser)]
pub(crate) struct Size {
    /// Numbers of subscribers
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000, 10_000])]
    pub(crate) subscribers: Vec<usize>,
    /// Bytes of a topic, 100000 at least
    #[arg(long, value_delimiter = ',', default_values_t = [
        100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000,
    ])]
    pub(crate) bytes: Vec<usize>,
    /// Who is sent the topic
    #[arg(long, default_value_t = 4)]
    pub(crate) receivers: usize,
    /// Bytes sent for a size of the topic, about
    #[arg(long, default_value_t = 4_000_000_000)]
    pub(crate) sent: usize,
    /// Seconds in which the subscribers' heartbeats are measured
    #[arg(long, default_value_t = 8)]
    pub(crate) seconds: u64,
    /// Seconds before that
    #[arg(long, default_value_t = 3)]
    pub(crate) warm_up: u64,
}

/// Bytes of a value.
const VALUE: usize = 1_000 - KEY;
/// Connections of the limit; both ends are files of this process.
const LIMIT_CONNECTIONS: usize = 5_000;
/// A topic is sent at most so often.
const ROUNDS: usize = 100;
/// The allocator gives memory back after half a second, and looks now and then.
const DECAY: Duration = Duration::from_millis(1_500);

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let mut section = Section {
        title: "P10: cost grows with the work".to_owned(),
        how: how(size),
        ..Section::default()
    };
    let (mut subscribers, mut bytes, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for &n in &size.subscribers {
        if bench.allows(n) {
            let (cost, this) = one_more_subscriber(bench, size, n).await?;
            subscribers.push(cost);
            taken.push(this);
        } else {
            let files = bench.files;
            let note = format!("{n} subscribers need more open files than the {files} allowed.");
            section.notes.push(note);
        }
    }
    for &n in &size.bytes {
        bytes.push(one_more_byte(bench, size, n).await?);
    }
    section.figures = figures(&subscribers, &bytes);
    section.plots = plots(&subscribers, &bytes);
    section.others = others(&taken);
    Ok(section)
}

/// CPU in microseconds a second, memory in bytes, for each of `n`.
async fn one_more_subscriber(
    bench: &Bench,
    size: &Size,
    n: usize,
) -> Result<(Cost, Taken), Failure> {
    let (server, crowd) = bench.start(&[]).await?;
    let process = server.process();
    tokio::time::sleep(DECAY).await;
    let (rss, idle) = (process.rss()?, busy(process, DECAY * 2).await?);
    let records = Records::new();
    let all = crowd.add(n, Conduct::Answers, &records);
    crowd.register(&server.address(), &all, &[]).await?;
    tokio::time::sleep(Duration::from_secs(size.warm_up)).await;
    let (meter, window) = (Meter::start(&server)?, Duration::from_secs(size.seconds));
    records.start();
    let cpu = (busy(process, window).await? - idle).max(0.0);
    let calls: u64 = records.stop().iter().map(|lane| lane.calls).sum();
    let taken = meter.stop()?;
    let memory = (process.rss()? - rss).max(0.0) / n as f64;
    drop((server, crowd));

    let crowd = Crowd::open().await?;
    let all = crowd.add(n.min(LIMIT_CONNECTIONS), Conduct::Answers, &Records::new());
    let streams = straight::connect(all.iter().map(|one| crowd.address(one)).collect()).await?;
    let rate = calls as f64 / window.as_secs_f64();
    let (limit, _) =
        straight::calls(streams, message::heartbeat(), rate, window.min(DECAY * 3)).await?;
    let cost = Cost {
        size: n as f64,
        cpu: cpu / n as f64 * 1e6,
        cpu_limit: limit / n as f64 * 1e6,
        memory,
    };
    Ok((cost, taken))
}

/// Seconds of CPU a second.
async fn busy(process: Process, window: Duration) -> Result<f64, Failure> {
    let (start, before) = (Instant::now(), process.cpu_of_threads()?);
    tokio::time::sleep(window).await;
    Ok((process.cpu_of_threads()? - before) / start.elapsed().as_secs_f64())
}

/// CPU in seconds for each gigabyte sent, memory in bytes for each byte of the topic.
async fn one_more_byte(bench: &Bench, size: &Size, bytes: usize) -> Result<Cost, Failure> {
    let (server, crowd) = bench.start(&[]).await?;
    let records = Records::new();
    let publisher = Publisher::join(&crowd, &server, &records).await?;
    tokio::time::sleep(DECAY).await;
    let process = server.process();
    let rss = process.rss()?;
    let count = bytes / (KEY + VALUE);
    publisher
        .fill(&server, NORMAL, numbered(0..count, VALUE))
        .await?;
    tokio::time::sleep(DECAY).await;
    let memory = (process.rss()? - rss).max(0.0) / (count * (KEY + VALUE)) as f64;

    let all = crowd.add(size.receivers, Conduct::Answers, &records);
    let rounds = (size.sent / (bytes * size.receivers).max(1)).clamp(1, ROUNDS);
    // The first times open connections.
    registered(&server, &crowd, &all, &records, 2).await?;
    let before = process.cpu_of_threads()?;
    registered(&server, &crowd, &all, &records, rounds).await?;
    let without = process.cpu_of_threads()? - before;
    sent(&server, &crowd, &all, &records, 1).await?;
    let before = process.cpu_of_threads()?;
    let gigabytes = sent(&server, &crowd, &all, &records, rounds).await? as f64 / 1e9;
    let cpu = (process.cpu_of_threads()? - before - without).max(0.0);
    drop(server);
    Ok(Cost {
        size: bytes as f64,
        cpu: cpu / gigabytes,
        cpu_limit: limit(&crowd, &all, count, rounds).await? / gigabytes,
        memory,
    })
}

/// All register so often for a topic that does not exist, and are told so.
async fn registered(
    server: &Statestored,
    crowd: &Crowd,
    who: &[Arc<Subscriber>],
    records: &Records,
    rounds: usize,
) -> Result<(), Failure> {
    let topics = [Topic::all_of("nothing")];
    for _ in 0..rounds {
        records.start();
        crowd.register(&server.address(), who, &topics).await?;
        let start = Instant::now();
        while records.calls(Lane::Normal) < who.len() as u64 {
            if start.elapsed() > LIMIT {
                return Err(too_late("an update of an empty topic".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

/// All are sent the whole topic so often; how many bytes that were.
async fn sent(
    server: &Statestored,
    crowd: &Crowd,
    who: &[Arc<Subscriber>],
    records: &Records,
    rounds: usize,
) -> Result<u64, Failure> {
    let mut bytes = 0;
    for _ in 0..rounds {
        records.forget_larges();
        let topics = [Topic::all_of(NORMAL)];
        crowd.register(&server.address(), who, &topics).await?;
        let all = records.larges(who.len(), LIMIT).await;
        bytes += all
            .ok_or_else(|| too_late("the topic at everybody".to_owned()))?
            .1;
    }
    Ok(bytes)
}

/// Seconds of CPU to write the same to the same.
async fn limit(
    crowd: &Crowd,
    who: &[Arc<Subscriber>],
    count: usize,
    rounds: usize,
) -> Result<f64, Failure> {
    let message = Arc::new(message::update(NORMAL, numbered(0..count, VALUE)));
    let mut cpu = 0.0;
    for _ in 0..rounds {
        let addresses = who.iter().map(|one| crowd.address(one)).collect();
        let streams = straight::connect(addresses).await?;
        let message = Arc::clone(&message);
        cpu += straight::fan_out(streams, || message).await?;
    }
    Ok(cpu)
}

fn how(size: &Size) -> String {
    format!(
        "Subscribers: heartbeats every second and no topics, {} s measured after {} s of warm-up; \
         what the process takes with nobody there is taken off. Limit: one thread with blocking \
         sockets makes as many calls a second; it wakes up a hundred times a second, which \
         shows where calls are few. Bytes: {} subscribers register for a topic of \
         entries of 1000 bytes, again and again until some {} MB are sent, at most {ROUNDS} times; \
         what as many registrations for an empty topic take is taken off. Limit: blocking threads \
         write the same message; for memory, the bytes themselves. CPU in nanoseconds is what \
         the system counts for the threads that live. Promised is that nothing costs more for each \
         than where there is less of it; how far costs fall is shown beside.",
        size.seconds,
        size.warm_up,
        size.receivers,
        size.sent / 1_000_000,
    )
}
