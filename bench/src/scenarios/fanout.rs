//! P1: a whole topic to many subscribers at once, beside threads that only write.
//!
//! Rounds of the limit and of the statestored alternate, so that a disturbance meets both.

use super::{
    Bench, KEY, LIMIT, Meter, NORMAL, Publisher, by_prefix, in_turns, numbered, others, too_late,
};
use crate::crowd::{Conduct, Records, Subscriber, Topic};
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section, median};
use crate::sender::{self, Sender};
use crate::server::Statestored;
use clap::Parser;
use futures::future::try_join_all;
use std::sync::Arc;
use std::time::Instant;

/// A topic to many subscribers: time, CPU and memory beside the limit.
#[derive(Debug, Parser)]
pub(crate) struct Size {
    /// Begins the names of its figures
    #[arg(long, default_value = "p1")]
    pub(crate) name: String,
    /// Entries of the topic
    #[arg(long, default_value_t = 100_000)]
    pub(crate) items: usize,
    /// Bytes of a value
    #[arg(long, default_value_t = 1_000)]
    pub(crate) value: usize,
    #[arg(long, default_value_t = 50)]
    pub(crate) subscribers: usize,
    /// Keys begin with so many prefixes in turns, and each subscriber wants one of them; 4 at most
    #[arg(long, default_value_t = 0)]
    pub(crate) prefixes: usize,
    /// Rounds of each, at least one; the median counts
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
}

/// Keys and values published in one reply, in bytes.
const PART: usize = 500_000_000;

/// What a round took; seconds, and seconds of CPU.
#[derive(Debug, Clone, Copy)]
struct Round {
    time: f64,
    cpu: f64,
    bytes: f64,
}

impl Round {
    /// Gigabytes a second.
    fn rate(&self) -> f64 {
        self.bytes / self.time / 1e9
    }
}

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let (server, crowd) = bench.start(&[]).await?;
    let records = Records::new();
    let publisher = Publisher::join(&crowd, &server, &records).await?;
    let filling = Meter::start(&server)?;
    fill(size, &server, &publisher).await?;
    let filling = filling.stop()?;
    let peak_filling = server.process().peak_rss()?;
    let resident = server.process().rss()?;
    server.process().forget_peak();

    let all = crowd.add(size.subscribers, Conduct::Answers, &records);
    let groups = by_prefix(&all, size.prefixes);
    let mut sender = Sender::start(sender::Wanted {
        items: size.items,
        value: size.value,
        prefixes: size.prefixes,
        to: all.iter().map(|one| crowd.address(one)).collect(),
    })
    .await?;
    let (mut limits, mut rounds, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds.max(1) {
        limits.push(limit(&mut sender, size, &records).await?);
        let meter = Meter::start(&server)?;
        let start = Instant::now();
        records.forget_larges();
        // Registering again under the same id begins with the whole topic again.
        let address = server.address();
        let register = |(prefix, who): (&'static str, Vec<Arc<Subscriber>>)| {
            let topic = Topic {
                prefix,
                ..Topic::all_of(NORMAL)
            };
            let (crowd, address) = (&crowd, &address);
            async move { crowd.register(address, &who, &[topic]).await }
        };
        try_join_all(groups.clone().into_iter().map(register)).await?;
        let (time, bytes) = arrival(&records, size, start).await?;
        settle(&server, size).await?;
        let this = meter.stop()?;
        rounds.push(Round {
            time,
            cpu: this.server,
            bytes,
        });
        taken.push(this);
    }
    let mut section = figures(size, &limits, &rounds);
    let peak = server.process().peak_rss()?;
    let key = |what: &str| format!("{}.{what}", size.name);
    let megabytes = |key: String, what, bytes: f64| Figure::new(key, what, bytes / 1e6, "MB");
    // Each of the groups is sent its part of the topic.
    let whole = sender.bytes as f64 / size.subscribers as f64 * groups.len() as f64 / 1e6;
    section.figures.extend([
        megabytes(key("peak_rss"), "peak memory while sending", peak).beside(whole),
        megabytes(key("rss"), "memory before sending", resident).beside(whole),
        megabytes(
            key("peak_rss_filling"),
            "peak memory while the topic came",
            peak_filling,
        )
        .beside(whole),
        Figure::new(
            key("filling_cpu"),
            "CPU to receive the topic",
            filling.server,
            "s",
        ),
    ]);
    section.others = others(&taken);
    Ok(section)
}

async fn fill(size: &Size, server: &Statestored, publisher: &Publisher) -> Result<(), Failure> {
    // A reply may be as large as the topic; in parts neither side holds all of it twice.
    let part = PART / (KEY + size.value);
    for first in (0..size.items).step_by(part.max(1)) {
        let numbers = first..size.items.min(first + part.max(1));
        let items = match size.prefixes {
            0 => numbered(numbers, size.value),
            prefixes => in_turns(numbers, size.value, prefixes, |_| true),
        };
        publisher.fill(server, NORMAL, items).await?;
    }
    Ok(())
}

async fn limit(sender: &mut Sender, size: &Size, records: &Records) -> Result<Round, Failure> {
    sender.connect().await?;
    records.forget_larges();
    let start = Instant::now();
    let cpu = sender.send().await?;
    let (time, bytes) = arrival(records, size, start).await?;
    Ok(Round { time, cpu, bytes })
}

/// From `start` to when the last had it all, and the bytes.
async fn arrival(records: &Records, size: &Size, start: Instant) -> Result<(f64, f64), Failure> {
    let all = records.larges(size.subscribers, LIMIT).await;
    let (last, bytes) = all.ok_or_else(|| too_late("the topic at everybody".to_owned()))?;
    Ok(((last - start).as_secs_f64(), bytes as f64))
}

/// Waits until the answers are counted too.
async fn settle(server: &Statestored, size: &Size) -> Result<(), Failure> {
    let key = "subscriber-update-state.client-cache.clients-in-use";
    let start = Instant::now();
    loop {
        let page = server.page("/jsonmetrics").await?;
        if page[key].as_u64() == Some(0) || start.elapsed() > LIMIT {
            return match server.subscribers().await? > size.subscribers {
                true => Ok(()),
                false => Err(too_late("all subscribers, still registered".to_owned())),
            };
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// The limit and the round that stand for all: those whose rates have the median ratio. The
/// machine is slower for seconds at a time, so medians of either alone would not belong together.
fn typical<'a>(limits: &'a [Round], rounds: &'a [Round]) -> (&'a Round, &'a Round) {
    let mut pairs: Vec<_> = limits.iter().zip(rounds).collect();
    pairs.sort_by(|a, b| f64::total_cmp(&(a.1.rate() / a.0.rate()), &(b.1.rate() / b.0.rate())));
    pairs[(pairs.len() - 1) / 2]
}

fn figures(size: &Size, limits: &[Round], rounds: &[Round]) -> Section {
    let cpu = |rounds: &[Round]| {
        let each = rounds.iter().map(|round| round.cpu / (round.bytes / 1e9));
        median(each.collect())
    };
    let (limit, round) = typical(limits, rounds);
    let key = |what: &str| format!("{}.{what}", size.name);
    let n = size.subscribers;
    let megabytes = round.bytes / n as f64 / 1e6;
    let filters = match size.prefixes {
        0 => String::new(),
        prefixes => format!(
            " Keys begin with {prefixes} prefixes in turns, so neighbours never leave together, \
             and each subscriber filters by one of them; for the limit, a thread for each prefix \
             copies the entries that begin with it from a list of all into the message, once a \
             round."
        ),
    };
    Section {
        title: match size.prefixes {
            0 => format!("P1: a topic of {megabytes:.0} MB to {n} subscribers"),
            prefixes => {
                format!("P1: {megabytes:.0} MB, 1/{prefixes} of a topic, to each of {n} by prefix")
            }
        },
        how: format!(
            "A topic of {} entries with values of {} bytes.{filters} {} subscribers register at \
             once; the clock runs from the first registration to when the last subscriber has read \
             the last byte. Limit: as many blocking threads of a process of its own, each with one \
             open connection to the same receivers, write the same message from one shared buffer \
             with `writev`. {} rounds of each in turns; shown are rate and time of the one whose \
             ratio of rates is the median, and medians of CPU.",
            size.items, size.value, size.subscribers, size.rounds
        ),
        figures: vec![
            Figure::new(key("rate"), "rate", round.rate(), "GB/s")
                .beside(limit.rate())
                .promised("P1", Bound::LeastOfLimit(0.9)),
            Figure::new(key("time"), "until the last has it", round.time, "s").beside(limit.time),
            Figure::new(key("cpu"), "sender's CPU", cpu(rounds), "s/GB")
                .beside(cpu(limits))
                .promised("P1", Bound::Most(0.25)),
        ],
        ..Section::default()
    }
}
