//! Many worlds, or one again.
//!
//! ```text
//! statestore-world run --seeds 0..100000 [--mode ours|reference|forced] [--threads 2]
//! statestore-world replay SEED [--mode M] [--without 1,4]    every event, a line each
//! statestore-world twice SEED [--mode M]                     the same to the last event?
//! statestore-world shrink SEED [--mode M]                    which faults are needed?
//! ```
//!
//! Exits with 1 if anything did not hold, and says how to see it again.

mod many;

use many::{Worlds, run};
use statestore_world::{Mode, Outcome, Trace, faults, simulate};
use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;

/// What is asked for.
struct Request {
    command: String,
    seed: u64,
    seeds: Range<u64>,
    mode: Mode,
    without: Vec<usize>,
    threads: usize,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let request = match parse(&words) {
        Ok(request) => request,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut out = io::stdout().lock();
    let held = match request.command.as_str() {
        "run" => run_many(&request, &mut out),
        "replay" => replay(&request, &mut out),
        "twice" => twice(&request, &mut out),
        _ => shrink(&request, &mut out),
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        // A reader that has seen enough is no failure of ours.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

const USAGE: &str = "statestore-world run --seeds A..B [--mode ours|reference|forced] [--threads N]
statestore-world replay|twice|shrink SEED [--mode M] [--without 1,4]";

fn parse(words: &[String]) -> Result<Request, String> {
    let mut request = Request {
        command: words.first().cloned().unwrap_or_default(),
        seed: 0,
        seeds: 0..1_000,
        mode: Mode::Ours,
        without: Vec::new(),
        threads: 2,
    };
    if !["run", "replay", "twice", "shrink"].contains(&request.command.as_str()) {
        return Err(format!("'{}' is no command", request.command));
    }
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        let bad = || format!("{word} wants another value");
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| bad());
        if !word.starts_with("--") {
            request.seed = number(word)?;
            continue;
        }
        let value = rest.next().ok_or_else(bad)?;
        match word.as_str() {
            "--seeds" => {
                let (from, to) = value.split_once("..").ok_or_else(bad)?;
                request.seeds = number(from)?..number(to)?;
            }
            "--mode" => request.mode = mode(value).ok_or_else(bad)?,
            "--threads" => request.threads = number(value)? as usize,
            "--without" => {
                for part in value.split(',') {
                    request.without.push(number(part)? as usize);
                }
            }
            _ => return Err(format!("{word} is not known")),
        }
    }
    Ok(request)
}

const MODES: [(&str, Mode); 3] = [
    ("ours", Mode::Ours),
    ("reference", Mode::Reference),
    ("forced", Mode::Forced),
];

fn mode(name: &str) -> Option<Mode> {
    MODES
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, mode)| *mode)
}

/// How to see a world again.
fn again(seed: u64, request: &Request) -> String {
    let name = MODES.iter().find(|(_, mode)| *mode == request.mode);
    let name = name.map_or("ours", |(name, _)| *name);
    let mut text = format!(
        "cargo run --release --manifest-path sim/Cargo.toml -p statestore-world -- replay {seed} \
         --mode {name}"
    );
    if !request.without.is_empty() {
        let list: Vec<String> = request.without.iter().map(usize::to_string).collect();
        text.push_str(&format!(" --without {}", list.join(",")));
    }
    text
}

fn run_many(request: &Request, out: &mut impl Write) -> io::Result<bool> {
    let Worlds {
        coverage,
        breaches,
        seeds,
        events,
        took,
    } = run(request.seeds.clone(), request.mode, request.threads);
    for (name, count) in coverage.iter() {
        writeln!(out, "{count:>10}  {name}")?;
    }
    let (slowest, seed) = coverage.slowest();
    writeln!(
        out,
        "slowest recovery: {slowest} % of what is allowed (seed {seed})"
    )?;
    for (seed, breach) in &breaches {
        let says = breach.says.lines().next().unwrap_or_default();
        writeln!(
            out,
            "seed {seed}: '{}' does not hold at {}: {says}",
            breach.invariant, breach.at
        )?;
        writeln!(out, "  {}", again(*seed, request))?;
    }
    let seconds = took.as_secs_f64().max(1e-9);
    writeln!(
        out,
        "{seeds} seeds, {events} events in {seconds:.1} s: {:.0} seeds/s; {} breaches",
        seeds as f64 / seconds,
        breaches.len()
    )?;
    Ok(breaches.is_empty())
}

fn replay(request: &Request, out: &mut impl Write) -> io::Result<bool> {
    for (i, fault) in faults(request.seed, request.mode).iter().enumerate() {
        let left_out = if request.without.contains(&i) {
            " (left out)"
        } else {
            ""
        };
        writeln!(out, "fault {i}: {fault}{left_out}")?;
    }
    let mut failed = Ok(());
    let mut hand = |line: &str| {
        if failed.is_ok() {
            failed = writeln!(out, "{line}");
        }
    };
    let outcome = world(request, Trace::Lines(&mut hand));
    failed?;
    tell(&outcome, request, out)
}

fn twice(request: &Request, out: &mut impl Write) -> io::Result<bool> {
    let mut hashes = [0; 2];
    for hash in &mut hashes {
        world(request, Trace::Hash(hash));
    }
    let [first, second] = hashes;
    writeln!(out, "seed {}: {first:016x} {second:016x}", request.seed)?;
    Ok(first == second)
}

/// Leaves out one fault after the other as long as the same invariant breaks.
fn shrink(request: &Request, out: &mut impl Write) -> io::Result<bool> {
    let outcome = world(request, Trace::Nothing);
    let Some(breach) = outcome.breach else {
        writeln!(out, "seed {} breaks nothing", request.seed)?;
        return Ok(true);
    };
    let mut without = request.without.clone();
    for i in 0..faults(request.seed, request.mode).len() {
        without.push(i);
        let outcome = simulate(request.seed, request.mode, &without, Trace::Nothing);
        if outcome
            .breach
            .is_none_or(|it| it.invariant != breach.invariant)
        {
            without.pop();
        }
    }
    let shorter = Request {
        without,
        command: request.command.clone(),
        seeds: request.seeds.clone(),
        ..*request
    };
    tell(&world(&shorter, Trace::Nothing), &shorter, out)
}

fn world(request: &Request, trace: Trace<'_>) -> Outcome {
    simulate(request.seed, request.mode, &request.without, trace)
}

fn tell(outcome: &Outcome, request: &Request, out: &mut impl Write) -> io::Result<bool> {
    match &outcome.breach {
        None => writeln!(out, "all invariants hold, {} events", outcome.events)?,
        Some(breach) => {
            writeln!(out, "'{}' does not hold at {}", breach.invariant, breach.at)?;
            writeln!(out, "{}", breach.says)?;
            writeln!(out, "{}", again(request.seed, request))?;
        }
    }
    Ok(outcome.breach.is_none())
}
