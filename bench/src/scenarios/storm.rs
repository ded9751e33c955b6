//! A registration storm: everybody at once, as after the start of a statestored.
//!
//! Deliberately absent: pauses between tries, which spread a real storm.

use super::{Bench, LIMIT, Meter, NORMAL, PRIORITY, others, too_late};
use crate::crowd::{Conduct, Records, Topic};
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section};
use clap::Parser;
use std::time::{Duration, Instant};

/// Everybody registers at once
#[derive(Debug, Parser)]
pub(crate) struct Size {
    #[arg(long, default_value_t = 10_000)]
    pub(crate) subscribers: usize,
}

/// All are to be registered by then, in seconds.
const MOST: f64 = 5.0;

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let n = size.subscribers;
    let mut section = Section {
        title: format!("A registration storm of {n}"),
        how: "All register with a priority and a normal topic, 64 at a time, each once; then \
              everybody waits for a heartbeat and the first update of each lane."
            .to_owned(),
        ..Section::default()
    };
    let topics = [PRIORITY, NORMAL].map(Topic::all_of);
    let topics: &[Topic] = if bench.allows(n * 3) { &topics } else { &[] };
    if topics.is_empty() {
        let (needed, allowed) = (n * 3, bench.files);
        section.notes.push(format!(
            "Without topics: with them {needed} open files are needed, {allowed} are allowed."
        ));
    }
    if !bench.allows(n) {
        section
            .notes
            .push("Not measured: too few open files.".to_owned());
        return Ok(section);
    }
    let (server, crowd) = bench.start(&[]).await?;
    let records = Records::new();
    let all = crowd.add(n, Conduct::Answers, &records);
    let lanes = if topics.is_empty() { 1 } else { 3 };
    let meter = Meter::start(&server)?;
    let start = Instant::now();
    let registered = crowd.register(&server.address(), &all, topics).await?;
    while all.iter().any(|one| !one.is_served(lanes)) {
        if start.elapsed() > LIMIT {
            return Err(too_late("a call of each lane to everybody".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let served = start.elapsed();
    let taken = meter.stop()?;
    let seconds = |time: Duration| time.as_secs_f64();
    let twice = server.subscribers().await?.abs_diff(n) as f64;
    section.figures = vec![
        Figure::new(
            "storm.registered",
            "all are registered",
            seconds(registered),
            "s",
        )
        .promised("Storm", Bound::Most(MOST)),
        Figure::new(
            "storm.served",
            "all had a heartbeat, and their first updates",
            seconds(served),
            "s",
        ),
        Figure::new(
            "storm.twice",
            "registered too often or not at all",
            twice,
            "subscribers",
        )
        .promised("Storm", Bound::Most(0.0)),
        Figure::new("storm.cpu", "CPU meanwhile", taken.server, "s"),
    ];
    section.others = others(&[taken]);
    Ok(section)
}
