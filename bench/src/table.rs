//! What `./check bench` runs, a line for each scenario, and how a table is worked through.
//!
//! A line is what a person would type after `statestore-bench`, so each can be repeated alone.
//! Deliberately absent: sizes that are not in a line or a default. Invariant: a table at full size
//! takes less than half an hour on a quiet machine of two cores.

use crate::failure::Failure;
use crate::figures::Section;
use crate::machine;
use crate::scenarios::{
    Bench, changes, failover, fanout, growth, isolation, lanes, library, memory, peers as others,
    steady, steps, storm, stream,
};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::time::{Duration, Instant};

#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    Fanout(fanout::Size),
    Memory(memory::Size),
    Heartbeats(lanes::Size),
    Isolation(isolation::Size),
    Changes(changes::Size),
    Steps(steps::Size),
    Storm(storm::Size),
    Stream(stream::Size),
    Growth(growth::Size),
    Library(library::Size),
    Peers(others::Size),
    Failover(failover::Size),
    Steady(steady::Size),
}

/// A line of a table.
#[derive(Debug, Parser)]
#[command(name = "statestore-bench", no_binary_name = true)]
struct Line {
    #[command(subcommand)]
    scenario: Scenario,
}

/// Each scenario at the size of the promise, and tiny.
pub(crate) const ALL: &[[&str; 2]] = &[
    ["fanout", "fanout --items=300 --subscribers=3 --rounds=1"],
    [
        "fanout --name=p1_gigabyte --items=1000000 --subscribers=10 --rounds=3",
        "fanout --name=p1_gigabyte --items=300 --subscribers=2 --rounds=1",
    ],
    [
        "fanout --name=p1_large --items=2500000 --subscribers=2 --rounds=5",
        "fanout --name=p1_large --items=300 --subscribers=2 --rounds=1",
    ],
    [
        "fanout --name=p1_small_items --items=1000000 --value=48 --rounds=5",
        "fanout --name=p1_small_items --items=3000 --value=48 --subscribers=2 --rounds=1",
    ],
    [
        "fanout --name=p1_filters --prefixes=4 --subscribers=20 --rounds=7",
        "fanout --name=p1_filters --prefixes=2 --items=300 --subscribers=4 --rounds=1",
    ],
    ["library", "library --items=300 --subscribers=2 --rounds=2"],
    [
        "memory --items=1000000 --subscribers=50",
        "memory --items=300 --subscribers=2 --rewrites=2 --transient=3",
    ],
    [
        "heartbeats --over=4",
        "heartbeats --subscribers=2,3 --seconds=2 --warm-up=1",
    ],
    [
        "heartbeats --updates --subscribers=1000,5000,10000",
        "heartbeats --updates --subscribers=2 --seconds=2 --warm-up=1",
    ],
    [
        "heartbeats --updates --min-version --subscribers=1000",
        "heartbeats --updates --min-version --subscribers=2 --seconds=2 --warm-up=1",
    ],
    [
        "isolation",
        "isolation --subscribers=3 --hung=1,3 --skipping=1 --far=1 --items=300 --receivers=2 \
         --slow=2 --seconds=2 --windows=1 --turns=1 --windows-of-a-turn=1 --warm-up=0",
    ],
    [
        "changes --subscribers=100",
        "changes --subscribers=2 --rounds=3 --warm-up=1",
    ],
    ["changes", "changes --subscribers=3 --rounds=3 --warm-up=1"],
    [
        "changes --subscribers=5000 --rounds=50",
        "changes --subscribers=4 --rounds=3 --warm-up=1",
    ],
    [
        "changes --at-once",
        "changes --at-once --subscribers=3 --rounds=3 --warm-up=1",
    ],
    ["stream", "stream --subscribers=3 --rate=100 --seconds=1"],
    ["storm", "storm --subscribers=20"],
    [
        "peers",
        "peers --watchers=2,3 --rounds=3 --items=300 --receivers=2",
    ],
    [
        "heartbeats --publishing --subscribers=5000,10000 --over=4 --warm-up=4 --seconds=8",
        "heartbeats --publishing --subscribers=2 --seconds=1 --warm-up=0",
    ],
    [
        "growth",
        "growth --subscribers=2,4 --bytes=100000,200000 --receivers=2 --sent=400000 --seconds=1 \
         --warm-up=1",
    ],
    [
        "failover --limit-ms=1000 --period-ms=100 --subscribers=100 --repetitions=5",
        "failover --limit-ms=1000 --period-ms=100 --subscribers=2 --repetitions=1",
    ],
    ["steps", "steps --rows=3000 --subscribers=20"],
];

/// The same, of a pair.
pub(crate) const PAIR: &[[&str; 2]] = &[
    [
        "failover --limit-ms=1000 --period-ms=100",
        "failover --limit-ms=1000 --period-ms=100 --subscribers=2,3 --repetitions=2",
    ],
    [
        "failover --pairs=10",
        "failover --limit-ms=900 --period-ms=90 --subscribers=2 --repetitions=2 --pairs=2",
    ],
    [
        "steady --minutes=3",
        "steady --minutes=0.03 --load=1 --subscribers=2 --limit-ms=2000",
    ],
];

impl Scenario {
    pub(crate) async fn measure(&self, bench: &Bench) -> Result<Section, Failure> {
        match self {
            Scenario::Fanout(size) => fanout::run(bench, size).await,
            Scenario::Memory(size) => memory::run(bench, size).await,
            Scenario::Heartbeats(size) => lanes::run(bench, size).await,
            Scenario::Isolation(size) => isolation::run(bench, size).await,
            Scenario::Changes(size) => changes::run(bench, size).await,
            Scenario::Steps(size) => steps::run(size),
            Scenario::Stream(size) => stream::run(bench, size).await,
            Scenario::Storm(size) => storm::run(bench, size).await,
            Scenario::Peers(size) => others::run(bench, size).await,
            Scenario::Failover(size) => failover::run(bench, size).await,
            Scenario::Steady(size) => steady::run(bench, size).await,
            Scenario::Library(size) => library::run(bench, size).await,
            Scenario::Growth(size) => growth::run(bench, size).await,
        }
    }
}

/// Every scenario of a table. One that fails does not take the others' figures away; its
/// section says why. Waits for nobody else to work before each, `patience` in all.
pub(crate) async fn measure(
    bench: &Bench,
    table: &[[&str; 2]],
    tiny: bool,
    mut patience: Duration,
) -> Vec<Section> {
    let mut sections = Vec::new();
    for line in table {
        let line = line[usize::from(tiny)];
        let Line { scenario } = Line::parse_from(line.split_ascii_whitespace());
        if !patience.is_zero() {
            let start = Instant::now();
            machine::wait_quiet(patience).await;
            patience = patience.saturating_sub(start.elapsed());
        }
        let _ = writeln!(std::io::stderr(), "statestore-bench {line}");
        let start = Instant::now();
        let mut section = scenario.measure(bench).await.unwrap_or_else(|failure| {
            let _ = writeln!(std::io::stderr(), "ERROR: {failure}");
            Section {
                title: format!("Not measured: {line}"),
                notes: vec![failure.to_string()],
                failed: true,
                ..Section::default()
            }
        });
        section.seconds = start.elapsed().as_secs_f64();
        section.command = format!("statestore-bench {line}");
        sections.push(section);
    }
    sections
}
