//! `statestore-bench`: one load generator for the figures of `docs/benchmarks.md`.
//!
//! ```text
//!   table, or one scenario ---> scenarios: what is done and measured
//!                                  |-- server    the shipped statestored, as a process
//!                                  |-- pair      two of them
//!                                  |-- crowd     thousands of subscribers in this one
//!                                  |-- followers some that follow a pair: the library
//!                                  |-- peers     other servers, for the same work
//!                                  |-- straight  the machine's limit for the same work
//!                                  |-- sender    the same, as a process
//!                                  +-- figures --> report, plot
//! ```
//!
//! Deliberately absent: a verdict by exit code; a figure that misses its promise is a figure, and
//! only a run that could not be made fails. Invariant: no number is shown that was not measured in
//! this run.

use clap::{Parser, Subcommand};
use failure::Failure;
use figures::Section;
use report::Circumstances;
use scenarios::Bench;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

mod apart;
mod bed;
mod crowd;
mod failure;
mod figures;
mod followers;
mod instructions;
mod machine;
mod pair;
mod peers;
mod plot;
mod receiver;
mod report;
mod scenarios;
mod sender;
mod server;
mod stalls;
mod straight;
mod table;
mod unasked;
mod works;

/// The one of `statestored`, so that what runs of it in this process costs the same.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    /// All scenarios, at the sizes of the promises, as a page of Markdown with graphs
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
    Instructions(instructions::Wanted),
    /// The process of subscribers that `library` starts
    #[command(hide = true)]
    Receive(receiver::Wanted),
    /// The process that writes what a statestored would
    #[command(hide = true)]
    Send(sender::Wanted),
    /// One of the works that are counted
    #[command(hide = true)]
    Work {
        name: String,
    },
    #[command(flatten)]
    One(table::Scenario),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let counted = match &arguments.what {
        What::Work { name } => Some(instructions::work(name).map(|()| String::new())),
        What::Instructions(wanted) => Some(instructions::run(wanted)),
        _ => None,
    };
    if let Some(counted) = counted {
        return match counted.and_then(|table| print(&table)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => fail(&failure),
        };
    }
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
            let section = scenario.measure(&bench).await?;
            let text = report::text(&section);
            (vec![section], text)
        }
        What::Receive(wanted) => return receiver::live(wanted).await,
        What::Send(wanted) => return sender::live(wanted).await,
        // Done already, without a runtime.
        What::Instructions(_) | What::Work { .. } => return Ok(()),
        What::Report { pair, out, tiny } => {
            let (head, table) = match pair {
                true => (report::PAIR_HEAD, table::PAIR),
                false => (report::HEAD, table::ALL),
            };
            let sections = table::measure(&bench, table, *tiny, patience).await;
            let circumstances = Circumstances {
                seconds: start.elapsed().as_secs_f64(),
                tiny: *tiny,
            };
            let text = report::page(head, &circumstances, &sections);
            if let Some(out) = out {
                write(out, &text)?;
                draw(&out.with_file_name(report::PLOTS), &sections)?;
            }
            (sections, text)
        }
    };
    if let Some(json) = &arguments.json {
        let figures = sections.iter().flat_map(|section| &section.figures);
        let figures: Vec<_> = figures.map(figures::Figure::json).collect();
        write(json, &format!("{:#}\n", serde_json::Value::from(figures)))?;
    }
    print(&page)?;
    match sections.iter().filter(|section| section.failed).count() {
        0 => Ok(()),
        failed => Err(Failure::Incomplete(failed)),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let printed = std::io::stdout().write_all(text.as_bytes());
    printed.map_err(Failure::io("print the figures"))
}

/// The graphs, in a folder of their own.
fn draw(folder: &Path, sections: &[Section]) -> Result<(), Failure> {
    let plots: Vec<_> = sections.iter().flat_map(|it| &it.plots).collect();
    if !plots.is_empty() {
        let made = std::fs::create_dir_all(folder);
        made.map_err(Failure::io(format!("make {}", folder.display())))?;
    }
    for plot in plots {
        write(&folder.join(format!("{}.svg", plot.name)), &plot.svg())?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(Failure::io(format!("write {}", path.display())))
}
