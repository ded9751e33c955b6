//! Many worlds, or one again.
//!
//! ```text
//! statestore-world run --seeds 0..100000 [--mode M] [--threads 2] [--demand]
//! statestore-world replay SEED [--mode M] [--without 1,4]    every event, a line each
//! statestore-world twice SEED [--mode M]                     the same to the last event?
//! statestore-world shrink SEED [--mode M]                    which faults are needed?
//! statestore-world sabotage                                  is every broken rule seen?
//! ```
//!
//! Modes: `ours`, `reference` (some subscribers know no extensions), `forced` (operators force a
//! statestored); without one each seed has its own. `--demand` fails if something never happened
//! that should. `--sabotage clocks|epochs|deltas|calls|cuts` breaks a rule on purpose.
//!
//! Exits with 1 if anything did not hold, and says how to see it again. Deliberately absent: what
//! worlds are and what must hold in them; the library has that.

mod many;

use many::{Worlds, run};
use statestore_world::{DEMANDED, Mode, Outcome, Recipe, Sabotage, Trace, faults, simulate};
use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;

/// What is asked for.
struct Request {
    command: String,
    seeds: Range<u64>,
    /// None: each seed has its own.
    mode: Option<Mode>,
    recipe: Recipe,
    threads: usize,
    demand: bool,
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
        "sabotage" => sabotage(&mut out),
        _ => shrink(&request, &mut out),
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        // A reader that has seen enough is no failure of ours.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

const USAGE: &str = "statestore-world run --seeds A..B [--mode M] [--threads N] [--demand]
statestore-world replay|twice|shrink SEED [--mode M] [--without 1,4]
statestore-world sabotage
M: ours, reference, forced; every command takes --sabotage clocks|epochs|deltas|calls|cuts";

fn parse(words: &[String]) -> Result<Request, String> {
    let mut request = Request {
        command: words.first().cloned().unwrap_or_default(),
        seeds: 0..1_000,
        mode: None,
        recipe: Recipe::new(0, Mode::Ours),
        threads: 2,
        demand: false,
    };
    if !["run", "replay", "twice", "shrink", "sabotage"].contains(&request.command.as_str()) {
        return Err(format!("'{}' is no command", request.command));
    }
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        let bad = || format!("{word} wants another value");
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| bad());
        if !word.starts_with("--") {
            request.recipe.seed = number(word)?;
            continue;
        }
        if word == "--demand" {
            request.demand = true;
            continue;
        }
        let value = rest.next().ok_or_else(bad)?;
        match word.as_str() {
            "--seeds" => {
                let (from, to) = value.split_once("..").ok_or_else(bad)?;
                request.seeds = number(from)?..number(to)?;
            }
            "--mode" => request.mode = Some(mode(value).ok_or_else(bad)?),
            "--sabotage" => {
                let found = Sabotage::ALL.iter().find(|it| it.0 == value);
                request.recipe.sabotage = Some(found.ok_or_else(bad)?.1);
            }
            "--threads" => request.threads = number(value)? as usize,
            "--without" => {
                for part in value.split(',') {
                    request.recipe.without.push(number(part)? as usize);
                }
            }
            _ => return Err(format!("{word} is not known")),
        }
    }
    let seed = request.recipe.seed;
    request.recipe.mode = request.mode.unwrap_or_else(|| Mode::of(seed));
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
fn again(recipe: &Recipe) -> String {
    let mode = MODES.iter().find(|(_, mode)| *mode == recipe.mode);
    let mode = mode.map_or("ours", |(name, _)| *name);
    let mut text = format!(
        "cargo run --release --manifest-path sim/Cargo.toml -p statestore-world -- replay {} \
         --mode {mode}",
        recipe.seed
    );
    if !recipe.without.is_empty() {
        let list: Vec<String> = recipe.without.iter().map(usize::to_string).collect();
        text.push_str(&format!(" --without {}", list.join(",")));
    }
    let broken = Sabotage::ALL.iter();
    for (name, ..) in broken.filter(|it| Some(it.1) == recipe.sabotage) {
        text.push_str(&format!(" --sabotage {name}"));
    }
    text
}

fn run_many(request: &Request, out: &mut impl Write) -> io::Result<bool> {
    let sabotage = request.recipe.sabotage;
    let recipe = |seed| Recipe {
        sabotage,
        ..Recipe::new(seed, request.mode.unwrap_or_else(|| Mode::of(seed)))
    };
    let Worlds {
        coverage,
        breaches,
        seeds,
        events,
        took,
    } = run(request.seeds.clone(), recipe, request.threads);
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
        writeln!(out, "  {}", again(&recipe(*seed)))?;
    }
    let never = DEMANDED.iter().filter(|name| coverage.of(name) == 0);
    let never: Vec<_> = never.filter(|_| request.demand).collect();
    if !never.is_empty() {
        writeln!(out, "never happened, so nothing is proven: {never:?}")?;
    }
    let seconds = took.as_secs_f64().max(1e-9);
    writeln!(
        out,
        "seeds {}..{}: {seeds} worlds, {events} events in {seconds:.1} s, {:.0} a second; \
         {} breaches",
        request.seeds.start,
        request.seeds.end,
        seeds as f64 / seconds,
        breaches.len()
    )?;
    Ok(breaches.is_empty() && never.is_empty())
}

fn replay(request: &Request, out: &mut impl Write) -> io::Result<bool> {
    let recipe = &request.recipe;
    for (i, fault) in faults(recipe.seed, recipe.mode).iter().enumerate() {
        let left_out = if recipe.without.contains(&i) {
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
    let outcome = simulate(recipe, Trace::Lines(&mut hand));
    failed?;
    tell(&outcome, recipe, out)
}

fn twice(request: &Request, out: &mut impl Write) -> io::Result<bool> {
    let mut hashes = [0; 2];
    for hash in &mut hashes {
        simulate(&request.recipe, Trace::Hash(hash));
    }
    let [first, second] = hashes;
    let seed = request.recipe.seed;
    writeln!(out, "seed {seed}: {first:016x} {second:016x}")?;
    Ok(first == second)
}

/// Seeds after which a rule that is broken counts as not seen.
const PATIENCE: u64 = 500;

fn sabotage(out: &mut impl Write) -> io::Result<bool> {
    let mut all = true;
    for (name, sabotage, invariant) in Sabotage::ALL {
        let sees = |seed: &u64| {
            let mut recipe = Recipe::new(*seed, Mode::Ours);
            recipe.sabotage = Some(sabotage);
            let breach = simulate(&recipe, Trace::Nothing).breach;
            breach.is_some_and(|breach| breach.invariant == invariant)
        };
        match (0..PATIENCE).find(sees) {
            Some(seed) => writeln!(out, "{name}: '{invariant}' breaks in seed {seed}")?,
            None => {
                all = false;
                writeln!(
                    out,
                    "{name}: '{invariant}' holds in {PATIENCE} seeds, and must not"
                )?;
            }
        }
    }
    Ok(all)
}

/// Leaves out one fault after the other as long as the same invariant breaks.
fn shrink(request: &Request, out: &mut impl Write) -> io::Result<bool> {
    let mut recipe = request.recipe.clone();
    let Some(breach) = simulate(&recipe, Trace::Nothing).breach else {
        writeln!(out, "seed {} breaks nothing", recipe.seed)?;
        return Ok(true);
    };
    for i in 0..faults(recipe.seed, recipe.mode).len() {
        recipe.without.push(i);
        let found = simulate(&recipe, Trace::Nothing).breach;
        if found.is_none_or(|it| it.invariant != breach.invariant) {
            recipe.without.pop();
        }
    }
    tell(&simulate(&recipe, Trace::Nothing), &recipe, out)
}

fn tell(outcome: &Outcome, recipe: &Recipe, out: &mut impl Write) -> io::Result<bool> {
    match &outcome.breach {
        None => writeln!(out, "all invariants hold, {} events", outcome.events)?,
        Some(breach) => {
            writeln!(out, "'{}' does not hold at {}", breach.invariant, breach.at)?;
            writeln!(out, "{}", breach.says)?;
            writeln!(out, "{}", again(recipe))?;
        }
    }
    Ok(outcome.breach.is_none())
}
