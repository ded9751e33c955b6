//! P5: how long until a small change is known to everybody.
//!
//! The clock runs from the publisher's reply, the first moment at which a statestored can know.

use super::{Bench, LIMIT, Meter, NORMAL, PRIORITY, Publisher, others, too_late};
use crate::crowd::{Conduct, Crowd, Records, Topic, change};
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section, percentile};
use crate::server::Statestored;
use crate::straight::{self, message};
use clap::Parser;
use statestore_subscriber::{Handle, Refused, Subscriber};
use statestore_wire::ItemBatch;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One small change to many subscribers, time until all have it.
#[derive(Debug, Parser)]
pub(crate) struct Size {
    #[arg(long, default_value_t = 1_000)]
    pub(crate) subscribers: usize,
    /// Changes of each topic
    #[arg(long, default_value_t = 200)]
    pub(crate) rounds: usize,
    /// The publisher is the library, which calls instead of waiting for an update to answer
    #[arg(long)]
    pub(crate) at_once: bool,
    /// Seconds before the first, until connections are open
    #[arg(long, default_value_t = 3)]
    pub(crate) warm_up: u64,
}

/// How the publisher makes a change known.
enum Voice {
    Reply(Publisher),
    Library(Handle),
}

/// The key that is changed.
const PROBE: &str = "probe";
/// Bytes of the changed value.
const VALUE: usize = 100;

/// Milliseconds, sorted: until the last had it for each round, and for each subscriber.
pub(super) struct Delays {
    pub(super) last: Vec<f64>,
    each: Vec<f64>,
}

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let limit = limit(size.subscribers, size.rounds).await?;
    let (server, crowd) = bench.start(&[]).await?;
    let records = Records::new();
    let all = crowd.add(size.subscribers, Conduct::Answers, &records);
    let topics = [PRIORITY, NORMAL].map(Topic::all_of);
    crowd.register(&server.address(), &all, &topics).await?;
    let mut publisher = if size.at_once {
        Voice::Library(library(&server).await?)
    } else {
        Voice::Reply(Publisher::join(&crowd, &server, &records).await?)
    };
    tokio::time::sleep(Duration::from_secs(size.warm_up)).await;

    let mut section = Section {
        title: title(size),
        how: how(size),
        ..Section::default()
    };
    let (mut taken, mut number) = (Vec::new(), 0);
    for (name, topic) in [("priority", PRIORITY), ("normal", NORMAL)] {
        let meter = Meter::start(&server)?;
        let mut delays = Delays::new();
        for _ in 0..size.rounds {
            number += 1;
            records.expect(number, size.subscribers);
            match &mut publisher {
                Voice::Reply(publisher) => publisher.publish(topic, probe(number)),
                Voice::Library(handle) => {
                    records.published(Instant::now());
                    let value = change(number, VALUE);
                    let published = handle.publish(topic, PROBE, value).await;
                    published.map_err(not_by_library)?;
                }
            }
            delays.add(all_have(&records, number).await?);
        }
        taken.push(meter.stop()?);
        section
            .figures
            .extend(figures(size, name, &mut delays, &limit));
    }
    section.others = others(&taken);
    Ok(section)
}

/// The library in this process; of the topics it is sent nothing.
async fn library(server: &Statestored) -> Result<Handle, Failure> {
    let topic = |name| {
        let nothing = Topic::nothing_of(name);
        statestore_subscriber::Topic::new(name).prefix(nothing.prefix)
    };
    let started = Subscriber::builder("library")
        .statestore("127.0.0.1", server.address().port())
        .hostname("127.0.0.1")
        .interface("127.0.0.1")
        .topic(topic(PRIORITY))
        .topic(topic(NORMAL))
        .start();
    let handle = started.await?;
    handle.registered().await.map_err(not_by_library)?;
    Ok(handle)
}

fn not_by_library(refused: Refused) -> Failure {
    Failure::io("publish by the library")(std::io::Error::other(refused))
}

/// The same message, written to one connection after the other.
pub(super) async fn limit(subscribers: usize, rounds: usize) -> Result<Delays, Failure> {
    let crowd = Crowd::open().await?;
    let records = Records::new();
    let all = crowd.add(subscribers, Conduct::Answers, &records);
    let addresses = all.iter().map(|one| crowd.address(one)).collect();
    let mut streams = straight::connect(addresses).await?;
    let mut delays = Delays::new();
    for number in 1..=rounds as u64 {
        records.expect(number, subscribers);
        let message = message::update(PRIORITY, probe(number));
        let notes = Arc::clone(&records);
        let begin = move || notes.published(Instant::now());
        streams = straight::one_by_one(streams, message, begin).await?;
        delays.add(all_have(&records, number).await?);
    }
    delays.sort();
    Ok(delays)
}

async fn all_have(records: &Records, number: u64) -> Result<Vec<Duration>, Failure> {
    let delays = records.changes(LIMIT).await;
    delays.ok_or_else(|| too_late(format!("change {number} at everybody")))
}

fn probe(number: u64) -> ItemBatch {
    let value = change(number, VALUE);
    ItemBatch::from_items([(PROBE.as_bytes(), &value[..], false)])
}

impl Delays {
    fn new() -> Self {
        Self {
            last: Vec::new(),
            each: Vec::new(),
        }
    }

    fn add(&mut self, round: Vec<Duration>) {
        let ms = round.iter().map(|delay| delay.as_secs_f64() * 1e3);
        self.each.extend(ms.clone());
        self.last.extend(ms.reduce(f64::max));
    }

    fn sort(&mut self) {
        self.last.sort_by(f64::total_cmp);
        self.each.sort_by(f64::total_cmp);
    }
}

fn figures(size: &Size, name: &str, delays: &mut Delays, limit: &Delays) -> Vec<Figure> {
    delays.sort();
    let (voice, most) = match size.at_once {
        false => ("p5", 50.0),
        true => ("at_once", 60.0),
    };
    let figure = |key: &str, what: &str, delays: &[f64], limit: &[f64], share: f64| {
        let key = format!("{voice}.{}.{name}_{key}", size.subscribers);
        let what = format!("{name} topic: {what}");
        let limit = percentile(limit, share);
        Figure::new(key, what, percentile(delays, share), "ms").beside(limit)
    };
    let (last, each) = (&delays.last, &delays.each);
    vec![
        figure("p50", "until all have it, p50", last, &limit.last, 0.5),
        figure("p99", "until all have it, p99", last, &limit.last, 0.99)
            .promised("P5", Bound::Most(most)),
        figure("max", "until all have it, max", last, &limit.last, 1.0),
        figure("each_p50", "until one has it, p50", each, &limit.each, 0.5),
        figure("each_p99", "until one has it, p99", each, &limit.each, 0.99),
    ]
}

fn title(size: &Size) -> String {
    let n = size.subscribers;
    match size.at_once {
        false => format!("P5: one change to {n} subscribers"),
        true => format!("P5: one change to {n} subscribers, published by the library"),
    }
}

fn how(size: &Size) -> String {
    let voice = match size.at_once {
        false => "its reply",
        true => "the library's `publish`",
    };
    format!(
        "All {} subscribers follow a priority and a normal topic with the default periods and \
         push settings. A publisher changes one value of {VALUE} bytes by {voice}; the clock \
         runs from that to when the last subscriber has read the change. {} changes in each \
         topic, one after the other. Limit: one thread writes the same message to {} open \
         connections, one after the other.",
        size.subscribers, size.rounds, size.subscribers
    )
}
