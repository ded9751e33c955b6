//! What the subscriber library takes for each byte that it receives.
//!
//! Its subscribers live in a process of their own. Deliberately absent: how fast; the server and
//! the receivers share this machine's cores, so that is `fanout`'s to say.

use super::{Bench, KEY, Meter, NORMAL, Publisher, Taken, items, others};
use crate::crowd::Records;
use crate::failure::Failure;
use crate::figures::{Figure, Section};
use crate::receiver::Receiver;
use crate::straight::{self, message};
use clap::Parser;
use std::sync::Arc;
use std::time::Instant;

/// A topic to subscribers of the shipped library: their own CPU and memory for it
#[derive(Debug, Parser)]
pub(crate) struct Size {
    /// Entries of the topic
    #[arg(long, default_value_t = 100_000)]
    pub(crate) items: usize,
    /// Bytes of a value
    #[arg(long, default_value_t = 1_000)]
    pub(crate) value: usize,
    #[arg(long, default_value_t = 4)]
    pub(crate) subscribers: usize,
    /// How often every entry is written anew and received
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
}

/// What it took to receive, by the gigabyte, and what is kept, by the subscriber and byte.
struct Receiving {
    cpu: f64,
    rate: f64,
    kept: f64,
    peak: f64,
}

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let mut section = Section {
        title: format!(
            "The library: a topic of {:.0} MB received",
            topic(size) / 1e6
        ),
        how: how(size),
        ..Section::default()
    };
    let message = Arc::new(message::update(
        NORMAL,
        items(size.items, size.value, b'v', false),
    ));
    let limit = straight::read(message, size.subscribers, size.rounds).await?;
    let limit = limit / (topic(size) * (size.subscribers * size.rounds) as f64 / 1e9);
    let mut taken = Vec::new();
    for (key, what, mirrored) in [
        ("handler", "to a handler", false),
        ("mirror", "to a mirror", true),
    ] {
        let (receiving, this) = receive(bench, size, mirrored).await?;
        taken.push(this);
        let figure = |part: &str, name: &str, value, unit| {
            let key = format!("library.{key}.{part}");
            Figure::new(key, format!("{what}: {name}"), value, unit)
        };
        section.figures.extend([
            figure("cpu", "receivers' CPU", receiving.cpu, "s/GB").beside(limit),
            figure("rate", "rate, with server and all", receiving.rate, "GB/s"),
            figure(
                "kept",
                "kept for each byte of the topic",
                receiving.kept,
                "B",
            )
            .beside(if mirrored { 1.0 } else { 0.0 }),
            figure(
                "peak",
                "at most for each byte of the topic",
                receiving.peak,
                "B",
            ),
        ]);
    }
    section.others = others(&taken);
    Ok(section)
}

/// Keys and values.
fn topic(size: &Size) -> f64 {
    (size.items * (KEY + size.value)) as f64
}

async fn receive(
    bench: &Bench,
    size: &Size,
    mirrored: bool,
) -> Result<(Receiving, Taken), Failure> {
    let (server, crowd) = bench.start(&[]).await?;
    let publisher = Publisher::join(&crowd, &server, &Records::new()).await?;
    let address = server.address();
    let mut receiver = Receiver::start(&address, size.subscribers, size.items, mirrored).await?;
    let process = receiver.process();
    let empty = process.rss()?;
    let meter = Meter::start(&server)?;
    let (start, before) = (Instant::now(), process.cpu()?);
    for round in 0..size.rounds {
        let letter = b'a' + (round % 26) as u8;
        let anew = items(size.items, size.value, letter, false);
        publisher.fill(&server, NORMAL, anew).await?;
        receiver.received(1 + round as u64).await?;
    }
    let (cpu, seconds) = (process.cpu()? - before, start.elapsed().as_secs_f64());
    let mut taken = meter.stop()?;
    // It is not the rest of the machine.
    let share = cpu / seconds / crate::machine::cores() as f64;
    taken.others = (taken.others - share).max(0.0);
    let peak = process.peak_rss()? - empty;
    // The allocator gives memory back after half a second, and looks now and then.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let kept = (process.rss()? - empty).max(0.0);
    receiver.end().await;
    let each = topic(size) * size.subscribers as f64;
    let sent = each * size.rounds as f64 / 1e9;
    let receiving = Receiving {
        cpu: cpu / sent,
        rate: sent / seconds,
        kept: kept / each,
        peak: peak / each,
    };
    Ok((receiving, taken))
}

fn how(size: &Size) -> String {
    format!(
        "{} subscribers of the shipped library in a process of their own follow a topic of {} \
         entries with values of {} bytes, which is written anew {} times. CPU and memory are that \
         process's: it reads, decodes and hands a delta to a handler that only counts; a mirror \
         also keeps every entry. Limit: as many blocking threads read the same bytes and forget \
         them; for memory, the bytes of keys and values. The rate includes publishing, which is \
         one reply after the other.",
        size.subscribers, size.items, size.value, size.rounds
    )
}
