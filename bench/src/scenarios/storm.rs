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
    /// Registrations under way at one time
    #[arg(long, default_value_t = 1_000)]
    pub(crate) at_once: usize,
}

/// All are to be registered by then, in seconds.
const MOST: f64 = 5.0;

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let n = size.subscribers;
    let mut section = Section {
        title: format!("A registration storm of {n}"),
        how: format!(
            "All register with a priority and a normal topic where files allow it, {} at a time, \
             each once and over a connection of its own; then everybody waits for a heartbeat and \
             the first update of each lane.",
            size.at_once
        ),
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
    let registered = crowd
        .register_at_once(&server.address(), &all, topics, size.at_once)
        .await?;
    while all.iter().any(|one| !one.is_served(lanes)) {
        if start.elapsed() > LIMIT {
            return Err(too_late("a call of each lane to everybody".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let served = start.elapsed();
    let taken = meter.stop()?;
    let seconds = |time: Duration| time.as_secs_f64();
    let missing = server.subscribers().await?.abs_diff(n);
    // Lines are written by a thread that has time.
    while registered_by(&server.log()) < n && start.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let wrong = (missing + wrongly_registered(&server.log(), n)) as f64;
    let figure =
        |key: &str, what, value, unit| Figure::new(format!("storm.{key}"), what, value, unit);
    let promised = |figure: Figure, most| figure.promised("Storm", Bound::Most(most));
    let all_had = "all had a heartbeat, and their first updates";
    let twice = "registered too often or not at all";
    section.figures = vec![
        promised(
            figure("registered", "all are registered", seconds(registered), "s"),
            MOST,
        ),
        promised(figure("served", all_had, seconds(served), "s"), MOST),
        promised(figure("twice", twice, wrong, "subscribers"), 0.0),
        figure("cpu", "CPU meanwhile", taken.server, "s"),
    ];
    section.others = others(&[taken]);
    Ok(section)
}

/// Registrations by the log that are too many or too few: its page names each subscriber once,
/// however often it was registered.
fn wrongly_registered(log: &str, n: usize) -> usize {
    let again = log.matches(" registered again").count();
    registered_by(log).abs_diff(n) + again
}

fn registered_by(log: &str) -> usize {
    log.matches(" registered (registration id").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_registered_twice_or_not_at_all_is_counted() {
        let log = "Subscriber 'a' registered (registration id 1) at x\n\
                   Subscriber 'b' registered (registration id 2) at x\n\
                   Subscriber 'b' registered again (registration id 3) at x\n";
        assert_eq!(wrongly_registered(log, 2), 1);
        assert_eq!(wrongly_registered(log, 3), 2);
        assert_eq!(wrongly_registered("", 0), 0);
    }
}
