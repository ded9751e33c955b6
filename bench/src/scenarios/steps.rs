//! P4 at its root: how long a step of the node takes at most, for while it lasts nobody else gets
//! a turn.
//!
//! The node runs alone, in this process. Deliberately absent: the driver and the system; what
//! they add is in the other scenarios.

use super::{NORMAL, PRIORITY};
use crate::bed::{Bed, Interest, Steps, cpu};
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section};
use clap::Parser;
use statestore_core::config::Config;
use statestore_core::port::Lane;
use statestore_core::topic::TopicLog;
use statestore_wire::{ItemBatch, Reader, TopicDelta, Wire};
use std::time::Duration;

/// The longest step of the node, in CPU time, in what it does worst
#[derive(Debug, Parser)]
pub(crate) struct Size {
    /// Rows of the topic
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) rows: usize,
    #[arg(long, default_value_t = 10_000)]
    pub(crate) subscribers: usize,
}

/// Gigabytes a second that codec and log are to take in.
const INTAKE: f64 = 1.0;
const ROUNDS: usize = 3;
/// What a step may take.
const MOST: f64 = 5.0;
const SECOND: Duration = Duration::from_secs(1);
const PREFIXES: [&str; 4] = ["a:", "b:", "c:", "d:"];

pub(crate) fn run(size: &Size) -> Result<Section, Failure> {
    let mut best = Figures::default();
    for _ in 0..ROUNDS {
        let mut figures = Figures::default();
        crowd(size, &mut figures);
        topic(size, &mut figures);
        filters(size, &mut figures);
        intake(size, &mut figures);
        best.take_better_of(figures);
    }
    let figures = best;
    Ok(Section {
        title: format!(
            "Steps: {} subscribers, {} rows",
            size.subscribers, size.rows
        ),
        how: "The node alone, without sockets: CPU time of the longest of its steps while it does \
              what is named. All of it three times, and the best of the three counts, for an \
              interrupt in the middle is CPU of the step it hits. Rows have 60 bytes of key and \
              value and four prefixes in turns. At the end a publication of larger rows goes from \
              bytes into a log; limit: the bytes are copied once."
            .to_owned(),
        figures: figures.0,
        ..Section::default()
    })
}

#[derive(Default)]
struct Figures(Vec<Figure>);

impl Figures {
    /// What a round has that is better than before: rates are, where they are higher.
    fn take_better_of(&mut self, round: Self) {
        if self.0.is_empty() {
            self.0 = round.0;
            return;
        }
        for (best, figure) in self.0.iter_mut().zip(round.0) {
            let better = match figure.unit {
                "ms" => figure.measured < best.measured,
                _ => figure.measured > best.measured,
            };
            if better {
                *best = figure;
            }
        }
    }

    fn longest(&mut self, key: &str, what: impl Into<String>, steps: Steps) {
        let what = format!("{}: step {} of {}", what.into(), steps.which, steps.count);
        self.took(key, what, steps.longest);
        let key = format!("steps.{key}_all");
        self.0.push(Figure::new(
            key,
            "- all of them",
            steps.all.as_secs_f64() * 1e3,
            "ms",
        ));
    }

    fn took(&mut self, key: &str, what: String, time: Duration) {
        let ms = time.as_secs_f64() * 1e3;
        let figure = Figure::new(format!("steps.{key}"), what, ms, "ms");
        self.0.push(figure.promised("P4", Bound::Most(MOST)));
    }
}

fn config(size: &Size) -> Config {
    Config {
        max_subscribers: size.subscribers + 1_000,
        ..Config::default()
    }
}

/// Many subscribers.
fn crowd(size: &Size, figures: &mut Figures) {
    let mut bed = Bed::new(config(size));
    let n = size.subscribers;
    let topics = [PRIORITY, NORMAL].map(Interest::in_all_of);
    for i in 0..n {
        bed.register(&format!("subscriber-{i:05}"), &topics);
    }
    figures.longest("register", format!("{n} register"), bed.taken());
    bed.live(3 * SECOND);
    bed.taken();
    // A pause of the whole process: everything is due at one moment.
    bed.pass(30 * SECOND);
    figures.longest(
        "due",
        format!("{} calls due at one moment", bed.waiting()),
        bed.taken(),
    );
    bed.answer();
    figures.longest("done", "they are answered", bed.taken());
    bed.live(3 * SECOND);

    bed.publish(
        Lane::Priority,
        "subscriber-00000",
        change(PRIORITY, rows(1, 100)),
    );
    bed.live(Duration::from_millis(150));
    bed.taken();
    bed.publish(
        Lane::Priority,
        "subscriber-00000",
        change(PRIORITY, rows(1, 100)),
    );
    bed.live(Duration::from_millis(150));
    figures.longest("told", format!("a change is told to {n}"), bed.taken());
    bed.pass(70 * SECOND);
    figures.longest("report", "a report of all who are silent", bed.taken());

    let (node, now) = bed.node();
    let start = cpu();
    let shown = node.subscribers(now);
    let look = cpu() - start;
    figures.took(
        "view",
        format!("{} rows of the page of subscribers", shown.len()),
        look,
    );
    let start = cpu();
    let totals = node.totals();
    let look = cpu() - start;
    figures.took(
        "totals",
        format!("metrics of {}", totals.subscribers.len()),
        look,
    );
}

/// A topic of many rows.
fn topic(size: &Size, figures: &mut Figures) {
    let mut bed = Bed::new(config(size));
    bed.register("owner", &owner());
    bed.live(SECOND);
    written(&mut bed, size.rows, figures);
    joined(&mut bed, figures);
    ended(&mut bed, size.rows, figures);
}

/// Interests of one whose rows go with it.
fn owner() -> [Interest<'static>; 2] {
    let owned = Interest {
        transient: true,
        ..Interest::in_all_of(NORMAL)
    };
    [owned, Interest::in_all_of(PRIORITY)]
}

fn written(bed: &mut Bed, n: usize, figures: &mut Figures) {
    let writes = [
        ("rows", format!("{n} rows are published"), rows(n, 47)),
        ("anew", format!("{n} rows are published anew"), rows(n, 48)),
        // One in a hundred changes: holes in every segment.
        (
            "few",
            "one of a hundred is published".to_owned(),
            sparse(n, 100),
        ),
    ];
    for (key, what, rows) in writes {
        bed.taken();
        bed.publish(Lane::Priority, "owner", change(NORMAL, rows));
        bed.live(3 * SECOND);
        figures.longest(key, what, bed.taken());
    }
}

fn joined(bed: &mut Bed, figures: &mut Figures) {
    let mut join = |key: &str, what: &str, count, prefix: &dyn Fn(usize) -> String| {
        bed.live(SECOND);
        bed.taken();
        for i in 0..count {
            let interest = prefix(i);
            bed.register(
                &format!("{key}-{i}"),
                &[Interest::in_part_of(NORMAL, &interest)],
            );
        }
        bed.live(SECOND);
        figures.longest(key, what, bed.taken());
    };
    join("whole", "50 get the topic", 50, &|_| String::new());
    join("prefix", "20 get the topic by 4 prefixes", 20, &|i| {
        PREFIXES[i % 4].to_owned()
    });
    join(
        "prefixes",
        "1000 get the topic by 100 prefixes",
        1_000,
        &|i| format!("a:{:02}", i % 100),
    );
}

fn ended(bed: &mut Bed, n: usize, figures: &mut Figures) {
    let mut after = |bed: &mut Bed, what: &str, key| {
        bed.live(3 * SECOND);
        figures.longest(key, what, bed.taken());
    };
    let refill = |bed: &mut Bed, name| {
        bed.publish(Lane::Priority, name, change(NORMAL, rows(n, 47)));
        bed.live(3 * SECOND);
        bed.taken();
    };
    bed.taken();
    bed.register("owner", &owner());
    after(bed, "their owner registers anew and they go", "again");
    refill(bed, "owner");
    bed.kill("owner");
    after(bed, "their owner fails and they go", "fails");
    bed.register("other", &[PRIORITY, NORMAL].map(Interest::in_all_of));
    refill(bed, "other");
    let clear = TopicDelta {
        clear_topic_entries: Some(true),
        ..change(NORMAL, rows(10, 47))
    };
    bed.publish(Lane::Priority, "other", clear);
    after(bed, "the topic is cleared", "clear");
}

/// A large publication past many filters.
fn filters(size: &Size, figures: &mut Figures) {
    let mut bed = Bed::new(config(size));
    bed.register("writer", &[Interest::in_all_of(PRIORITY)]);
    for i in 0..1_000 {
        // The last letter of a key never is z.
        let prefix = format!("{}{i:03}z", PREFIXES[i % 4]);
        bed.register(
            &format!("filter-{i}"),
            &[Interest::in_part_of(NORMAL, &prefix)],
        );
    }
    bed.live(SECOND);
    bed.taken();
    bed.publish(
        Lane::Priority,
        "writer",
        change(NORMAL, rows(size.rows, 47)),
    );
    bed.live(SECOND);
    figures.longest(
        "filters",
        format!("{} rows past 1000 filters", size.rows),
        bed.taken(),
    );
}

/// A publication from bytes into a log, in rows of a thousand bytes: codec and log alone. Then the
/// same keys again, so that each row takes another one's place.
fn intake(size: &Size, figures: &mut Figures) {
    let mut bytes = Vec::new();
    rows(size.rows / 10, 987).write(&mut bytes);
    let mut log = TopicLog::new(1);
    let (decoded, all) = take_in(&bytes, &mut log);
    let rows = log.last().0;
    let (_, merged) = take_in(&bytes, &mut log);
    let start = cpu();
    let copy = std::hint::black_box(bytes.clone());
    let copied = cpu() - start;
    let rate = |time: Duration| copy.len() as f64 / 1e9 / time.as_secs_f64().max(1e-9);
    let megabytes = copy.len() as f64 / 1e6;
    let what = format!("{megabytes:.0} MB of {rows} rows are taken in: codec and log");
    let promised = |key: &str, what, time| {
        let figure = Figure::new(key, what, rate(time), "GB/s").beside(rate(copied));
        figure.promised("Intake", Bound::Least(INTAKE))
    };
    let decode = Figure::new("steps.decode", "- codec alone", rate(decoded), "GB/s");
    figures.0.extend([
        promised("steps.intake", what, all),
        decode.beside(rate(copied)),
        promised("steps.merge", "- over the same keys".to_owned(), merged),
    ]);
}

/// What decoding takes, and that with writing into a log.
fn take_in(bytes: &[u8], log: &mut TopicLog) -> (Duration, Duration) {
    let start = cpu();
    let read = ItemBatch::read(&mut Reader::new(bytes));
    let decoded = cpu() - start;
    // Bytes that were just written can be read.
    if let Ok(batch) = &read {
        log.write(batch);
    }
    (decoded, cpu() - start)
}

fn change(topic: &str, items: ItemBatch) -> TopicDelta {
    TopicDelta {
        topic_name: topic.into(),
        topic_entries: items,
        is_delta: true,
        ..TopicDelta::default()
    }
}

fn key(i: usize) -> String {
    format!("{}{i:010}", PREFIXES[i % 4])
}

fn rows(count: usize, value: usize) -> ItemBatch {
    every(0..count, 1, value)
}

/// Some keys of the first `count`, apart by `stride` in an order of no meaning.
fn sparse(count: usize, stride: usize) -> ItemBatch {
    every(0..count, stride, 47)
}

fn every(range: std::ops::Range<usize>, stride: usize, value: usize) -> ItemBatch {
    let value = vec![b'v'; value];
    let keys: Vec<String> = range
        .step_by(stride)
        .map(|i| key(i + i / stride % 4))
        .collect();
    ItemBatch::from_items(keys.iter().map(|key| (key.as_bytes(), &value[..], false)))
}
