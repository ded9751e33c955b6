//! `statestore-bench`: one load generator for the figures of `docs/benchmarks.md`.
//!
//! ```text
//!   report, or one scenario --> scenarios: what is done and measured
//!                                  |-- server    the shipped statestored, as a process
//!                                  |-- pair      two of them
//!                                  |-- crowd     thousands of subscribers in this one
//!                                  |-- followers some that follow a pair: the library
//!                                  |-- straight  the machine's limit for the same work
//!                                  +-- figures --> report
//! ```
//!
//! Deliberately absent: a verdict by exit code; a figure that misses its promise is a figure, and
//! only a run that could not be made fails. Invariant: no number is shown that was not measured in
//! this run.

use clap::{Parser, Subcommand};
use failure::Failure;
use figures::Section;
use report::Circumstances;
use scenarios::{Bench, changes, failover, fanout, isolation, lanes, memory, steady};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

mod crowd;
mod failure;
mod figures;
mod followers;
mod machine;
mod pair;
mod report;
mod scenarios;
mod server;
mod stalls;
mod straight;

/// Measures a statestored beside the machine's limits
#[derive(Debug, Parser)]
#[command(name = "statestore-bench")]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The program to measure [default: the statestored beside this program]
    #[arg(long, global = true, value_name = "PROGRAM")]
    statestored: Option<PathBuf>,
    /// Also write the figures to this file, as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Seconds to wait at most until nobody else uses the machine
    #[arg(long, global = true, default_value_t = 0, value_name = "SECONDS")]
    wait_quiet: u64,
}

#[derive(Debug, Subcommand)]
enum What {
    /// All scenarios, at the sizes of the promises, as a page of Markdown
    Report {
        /// Those of a pair of statestoreds instead: a quarter of an hour
        #[arg(long)]
        pair: bool,
        /// Also write the page to this file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Sizes that take seconds: shows that the tool works
        #[arg(long)]
        tiny: bool,
    },
    #[command(flatten)]
    One(Scenario),
}

#[derive(Debug, Subcommand)]
enum Scenario {
    Fanout(fanout::Size),
    Memory(memory::Size),
    Heartbeats(lanes::Size),
    Isolation(isolation::Size),
    Changes(changes::Size),
    Failover(failover::Size),
    Steady(steady::Size),
}

/// A line of [`TABLE`].
#[derive(Debug, Parser)]
#[command(name = "statestore-bench", no_binary_name = true)]
struct Line {
    #[command(subcommand)]
    scenario: Scenario,
}

/// The report: each scenario at the size of the promise, and tiny.
const TABLE: &[[&str; 2]] = &[
    ["fanout", "fanout --items=300 --subscribers=3 --rounds=1"],
    ["memory", "memory --items=300 --subscribers=2 --rewrites=2"],
    [
        "heartbeats",
        "heartbeats --subscribers=2,3 --seconds=2 --warm-up=1",
    ],
    [
        "heartbeats --updates --subscribers=1000,5000",
        "heartbeats --updates --subscribers=2 --seconds=2 --warm-up=1",
    ],
    [
        "isolation",
        "isolation --subscribers=3 --hung=3 --items=300 --receivers=2 --slow=2 --seconds=1 \
         --warm-up=0",
    ],
    ["changes", "changes --subscribers=3 --rounds=3 --warm-up=1"],
];

/// The same, of a pair.
const PAIR_TABLE: &[[&str; 2]] = &[
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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(source) => return fail(&Failure::io("start threads")(source)),
    };
    match runtime.block_on(run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "ERROR: {failure}");
    ExitCode::FAILURE
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let bench = Bench {
        binary: arguments.statestored.clone().unwrap_or_else(server::beside),
        files: machine::open_files_allowed(),
    };
    let patience = Duration::from_secs(arguments.wait_quiet);
    let start = Instant::now();
    let (sections, page) = match &arguments.what {
        What::One(scenario) => {
            machine::wait_quiet(patience).await;
            let section = measure(&bench, scenario).await?;
            let text = report::text(&section);
            (vec![section], text)
        }
        What::Report { pair, out, tiny } => {
            let (head, table) = match pair {
                true => (report::PAIR_HEAD, PAIR_TABLE),
                false => (report::HEAD, TABLE),
            };
            let sections = report(&bench, table, *tiny, patience).await;
            let circumstances = Circumstances {
                seconds: start.elapsed().as_secs_f64(),
                tiny: *tiny,
            };
            let text = report::page(head, &circumstances, &sections);
            if let Some(out) = out {
                write(out, &text)?;
            }
            (sections, text)
        }
    };
    if let Some(json) = &arguments.json {
        let figures = sections.iter().flat_map(|section| &section.figures);
        let figures: Vec<_> = figures.map(figures::Figure::json).collect();
        write(json, &format!("{:#}\n", serde_json::Value::from(figures)))?;
    }
    let printed = std::io::stdout().write_all(page.as_bytes());
    printed.map_err(Failure::io("print the figures"))?;
    match sections.iter().filter(|section| section.failed).count() {
        0 => Ok(()),
        failed => Err(Failure::Incomplete(failed)),
    }
}

async fn measure(bench: &Bench, scenario: &Scenario) -> Result<Section, Failure> {
    match scenario {
        Scenario::Fanout(size) => fanout::run(bench, size).await,
        Scenario::Memory(size) => memory::run(bench, size).await,
        Scenario::Heartbeats(size) => lanes::run(bench, size).await,
        Scenario::Isolation(size) => isolation::run(bench, size).await,
        Scenario::Changes(size) => changes::run(bench, size).await,
        Scenario::Failover(size) => failover::run(bench, size).await,
        Scenario::Steady(size) => steady::run(bench, size).await,
    }
}

/// Every scenario of a table. One that fails does not take the others' figures away; its
/// section says why. Waits for nobody else to work before each, `patience` in all.
async fn report(
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
        let mut section = measure(bench, &scenario).await.unwrap_or_else(|failure| {
            let _ = writeln!(std::io::stderr(), "ERROR: {failure}");
            Section {
                title: format!("Not measured: {line}"),
                notes: vec![failure.to_string()],
                failed: true,
                ..Section::default()
            }
        });
        section.command = format!("statestore-bench {line}");
        sections.push(section);
    }
    sections
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(Failure::io(format!("write {}", path.display())))
}
