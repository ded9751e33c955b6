//! P2: what a topic costs in memory, and what is left when it has changed and gone.
//!
//! Live bytes are keys and values of what is alive, without any overhead; the limit of memory.

use super::{Bench, KEY, LIMIT, Meter, NORMAL, Publisher, items, numbered, others, too_late};
use crate::apart::Apart;
use crate::crowd::{Conduct, Records, Topic};
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section};
use crate::server::Statestored;
use crate::unasked::Caller;
use clap::Parser;
use std::time::{Duration, Instant};

/// The memory of a topic, idle, followed, rewritten and deleted.
#[derive(Debug, Parser)]
pub(crate) struct Size {
    /// Entries of the topic
    #[arg(long, default_value_t = 200_000)]
    pub(crate) items: usize,
    /// Bytes of a value
    #[arg(long, default_value_t = 1_000)]
    pub(crate) value: usize,
    /// Subscribers that follow it
    #[arg(long, default_value_t = 10)]
    pub(crate) subscribers: usize,
    /// How often every entry is written anew
    #[arg(long, default_value_t = 10)]
    pub(crate) rewrites: usize,
    /// Then so many publishers, each with as many keys, come and die
    #[arg(long, default_value_t = 1_000)]
    pub(crate) transient: usize,
}

/// The allocator gives memory back after half a second, and looks now and then.
const DECAY: Duration = Duration::from_millis(1_500);
/// Bytes of a value of a transient entry.
const TRANSIENT_VALUE: usize = 100;
/// What is to go back to the system when nothing is alive any more, per cent of what was. The rest
/// is what the allocator keeps to know where memory was, and what calls have opened since.
const TOPIC_BACK: (&str, f64) = ("of the topic", 98.0);
const KEYS_BACK: (&str, f64) = ("of their keys", 80.0);
/// What P2 allows for each subscriber.
const PER_SUBSCRIBER: f64 = 32.0 * 1024.0;

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    // So that the dead are soon known to be.
    let flags = ["--statestore_max_missed_heartbeats=3"];
    let (server, crowd) = bench.start(&flags).await?;
    let meter = Meter::start(&server)?;
    let records = Records::new();
    let publisher = Publisher::join(&crowd, &server, &records).await?;
    let live = (size.items * (KEY + size.value)) as f64;
    let mut figures = Vec::new();
    let empty = settled(&server).await?;
    figures.push(Figure::new(
        "p2.empty",
        "without a topic",
        empty / 1e6,
        "MB",
    ));
    let mut add = |key: &str, what: &str, rss: f64, subscribers: usize| {
        let allowed = 1.3 * live + PER_SUBSCRIBER * subscribers as f64;
        let figure = Figure::new(format!("p2.{key}"), what, rss / 1e6, "MB");
        figures.push(
            figure
                .beside(live / 1e6)
                .promised("P2", Bound::Most(allowed / 1e6)),
        );
    };
    let first = items(size.items, size.value, b'a', false);
    publisher.fill(&server, NORMAL, first).await?;
    add("idle", "topic idle", settled(&server).await?, 1);
    server.process().forget_peak();

    let followers = crowd.add(size.subscribers, Conduct::Answers, &records);
    let followed = [Topic::all_of(NORMAL)];
    crowd
        .register(&server.address(), &followers, &followed)
        .await?;
    let seen = records.larges(size.subscribers, LIMIT).await;
    seen.ok_or_else(|| too_late("the topic at all followers".to_owned()))?;
    let all = 1 + size.subscribers;
    let what = format!("with {} followers that have it", size.subscribers);
    add("followed", &what, settled(&server).await?, all);

    for rewrite in 0..size.rewrites {
        let letter = b'b' + (rewrite % 20) as u8;
        let again = items(size.items, size.value, letter, false);
        publisher.fill(&server, NORMAL, again).await?;
    }
    delivered(&server).await?;
    let what = format!("after {} full rewrites", size.rewrites);
    add("rewritten", &what, settled(&server).await?, all);
    let peak = server.process().peak_rss()?;

    figures.extend(delete(&publisher, &server, size.items, live, empty).await?);
    figures.extend(transient(&server, size.transient, all, empty).await?);
    let megabytes = peak / 1e6;
    figures.push(
        Figure::new("p2.peak", "peak while it was rewritten", megabytes, "MB").beside(live / 1e6),
    );
    Ok(Section {
        figures,
        others: others(&[meter.stop()?]),
        ..section(size)
    })
}

/// Deletes all entries: what is left of so many live bytes.
async fn delete(
    publisher: &Publisher,
    server: &Statestored,
    items: usize,
    live: f64,
    empty: f64,
) -> Result<[Figure; 3], Failure> {
    let none = self::items(items, 0, 0, true);
    publisher.fill(server, NORMAL, none).await?;
    let tombstones = gone(server).await?;
    let left = settled(server).await?;
    let megabytes = |key: &str, what, bytes: f64| Figure::new(key, what, bytes / 1e6, "MB");
    Ok([
        megabytes("p2.deleted", "after all was deleted", left).beside(empty / 1e6),
        given_back("p2.given_back", TOPIC_BACK, live, left - empty),
        Figure::new("p2.tombstones", "tombstones left", tombstones, "entries")
            .promised("P2", Bound::Most(0.0)),
    ])
}

fn section(size: &Size) -> Section {
    Section {
        title: format!("P2: memory of a topic of {} entries", size.items),
        how: format!(
            "Values of {} bytes, published in one reply, every rewrite again in one reply. \
             Resident memory, read {} s after the last change because the allocator gives memory \
             back with a delay. Limit: the bytes of the keys and values that are alive. Promised \
             are 1.3 times these and 32 KiB for each subscriber. When nothing is alive, the \
             limit is what the process had before the first topic.",
            size.value,
            DECAY.as_secs_f64()
        ),
        notes: vec![
            "The process itself, without a topic, is part of every figure.".to_owned(),
            "The peak holds a whole publication of the topic's size beside the topic.".to_owned(),
        ],
        ..Section::default()
    }
}

/// How much of what was alive went back to the system, where so many bytes more than before are
/// left.
fn given_back(key: &str, (of, least): (&str, f64), alive: f64, left: f64) -> Figure {
    let share = (1.0 - left / alive).max(0.0) * 100.0;
    let what = format!("memory {of} that was given back");
    Figure::new(key, what, share, "%").promised("P2", Bound::Least(least))
}

/// Publishers whose keys go with them, beside `others`: resident memory with them, and after their
/// death.
async fn transient(
    server: &Statestored,
    count: usize,
    others: usize,
    empty: f64,
) -> Result<[Figure; 3], Failure> {
    const TOPIC: &str = "transient";
    let apart = Apart::start()?;
    let crowd = apart.crowd("transient").await?;
    let records = Records::new();
    for number in 0..count {
        let topics = [Topic::owned(TOPIC)];
        let mut caller = Caller::join(&crowd, server.address(), &topics, &records).await?;
        let keys = numbered(number * count..(number + 1) * count, TRANSIENT_VALUE);
        caller.publish(TOPIC, keys).await?;
    }
    let before = settled(server).await?;
    drop(crowd);
    drop(apart);
    let start = Instant::now();
    while server.entries(TOPIC).await? > 0 {
        if start.elapsed() > LIMIT {
            return Err(too_late("the end of all transient entries".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = settled(server).await?;
    let bytes = (count * count * (KEY + TRANSIENT_VALUE)) as f64;
    let allowed = 1.3 * bytes + PER_SUBSCRIBER * (count + others) as f64;
    let what = format!("with {count} transient publishers of {count} keys");
    let died = "after all of them died";
    Ok([
        Figure::new("p2.transient", what, before / 1e6, "MB")
            .beside(bytes / 1e6)
            .promised("P2", Bound::Most(allowed / 1e6)),
        Figure::new("p2.dead", died, after / 1e6, "MB").beside(empty / 1e6),
        given_back("p2.dead_given_back", KEYS_BACK, bytes, after - empty),
    ])
}

/// Resident memory when nothing has changed for a while.
async fn settled(server: &Statestored) -> Result<f64, Failure> {
    tokio::time::sleep(DECAY).await;
    server.process().rss()
}

/// Waits until no update has been under way for a while.
async fn delivered(server: &Statestored) -> Result<(), Failure> {
    const UNDER_WAY: &str = "subscriber-update-state.client-cache.clients-in-use";
    const QUIET: u32 = 10;
    let (start, mut quiet) = (Instant::now(), 0);
    while quiet < QUIET {
        let page = server.page("/jsonmetrics").await?;
        quiet = if page[UNDER_WAY].as_u64() == Some(0) {
            quiet + 1
        } else {
            0
        };
        if start.elapsed() > LIMIT {
            return Err(too_late("the rewritten topic at all followers".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Waits until tombstones have been collected; how many stay.
async fn gone(server: &Statestored) -> Result<f64, Failure> {
    // Everybody must have been told, which takes a period of updates, and a little more.
    const PATIENCE: Duration = Duration::from_secs(10);
    let start = Instant::now();
    loop {
        let left = server.entries(NORMAL).await?;
        if left == 0 || start.elapsed() > PATIENCE {
            return Ok(left as f64);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
