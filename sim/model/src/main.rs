//! `statestore-model`: walks the scenarios and the ablations, and says what came of them.
//!
//!     statestore-model [all | quick]       everything, or what takes less than half a minute
//!     statestore-model lockstep             levelled states against states as they are
//!     statestore-model only TEXT [SECONDS]  what has the text in its name, with its traces
//!
//! Fails if a scenario is not exhausted, violates something or misses a goal, if an ablation
//! violates nothing, or if a pair does not heal.

use statestore_model::ablations::{self, Ablation};
use statestore_model::report::{Outcome, run};
use statestore_model::scenario::Scenario;
use statestore_model::{heal, lockstep, scenarios};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads of a search whose traces need not be shortest.
const THREADS: usize = 2;
/// Random walks of each kind.
const WALKS: u64 = 1_000;
/// Actions of a walk.
const LENGTH: usize = 60;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = io::stdout().lock();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let well = match arguments[..] {
        [] | ["all"] => whole(&mut out, false),
        ["lockstep"] => lockstep(&mut out, WALKS),
        ["quick"] => whole(&mut out, true),
        ["only", text] => only(&mut out, text, 600),
        ["only", text, seconds] => only(&mut out, text, seconds.parse().unwrap_or(600)),
        _ => writeln!(
            out,
            "statestore-model [all | quick | lockstep | only TEXT [SECONDS]]"
        )
        .map(|()| false),
    };
    match well {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn whole(out: &mut impl Write, quick: bool) -> io::Result<bool> {
    let begun = Instant::now();
    let mut well = true;
    writeln!(
        out,
        "| scenario | bounds | states | seconds | result |\n|---|---|---|---|---|"
    )?;
    for rules in scenarios::all(quick) {
        well &= explore(out, &rules, Duration::from_secs(600), false)?;
    }
    writeln!(
        out,
        "\n| left out | violated | steps | states | seconds |\n|---|---|---|---|---|"
    )?;
    for ablation in ablations::all() {
        if !(quick && ablation.slow) {
            well &= ablate(out, &ablation, false)?;
        }
    }
    writeln!(out)?;
    let walks = if quick { WALKS / 10 } else { WALKS };
    well &= lockstep(out, walks)?;
    for (ours, agreed) in [(true, 0), (true, 3), (false, 0), (false, 3)] {
        well &= heals(out, ours, agreed, walks)?;
    }
    let result = if well {
        "all as it must be"
    } else {
        "**FAILED**"
    };
    let seconds = begun.elapsed().as_secs();
    writeln!(out, "{result}, after {seconds} s with {THREADS} threads")?;
    Ok(well)
}

fn only(out: &mut impl Write, text: &str, seconds: u64) -> io::Result<bool> {
    let mut well = true;
    let limit = Duration::from_secs(seconds);
    for rules in scenarios::all(false) {
        if rules.name.contains(text) {
            well &= explore(out, &rules, limit, true)?;
        }
    }
    for ablation in ablations::all() {
        if ablation.rules.name.contains(text) {
            well &= ablate(out, &ablation, true)?;
        }
    }
    Ok(well)
}

fn explore(
    out: &mut impl Write,
    rules: &Scenario,
    limit: Duration,
    traces: bool,
) -> io::Result<bool> {
    let outcome = run(rules, THREADS, limit);
    let well = outcome.exhausted && outcome.missed.is_empty();
    let result = match (outcome.violated.keys().next(), outcome.missed.first()) {
        (Some(violated), _) => format!("**violated: {violated}**"),
        (_, Some(missed)) => format!("**not reached: {missed}**"),
        _ if outcome.exhausted => "exhausted, none violated".to_owned(),
        _ => "**not exhausted**, none violated".to_owned(),
    };
    let (states, seconds) = (outcome.states, outcome.took.as_secs_f64());
    let (name, bounds) = (rules.name, rules.bounds());
    writeln!(
        out,
        "| {name} | {bounds} | {states} | {seconds:.1} | {result} |"
    )?;
    tell(out, &outcome, traces)?;
    out.flush()?;
    Ok(well)
}

fn ablate(out: &mut impl Write, ablation: &Ablation, traces: bool) -> io::Result<bool> {
    let outcome = run(&ablation.rules, 1, Duration::from_secs(300));
    let (states, seconds) = (outcome.states, outcome.took.as_secs_f64());
    let name = ablation.rules.name;
    let trace = outcome.violated.get(ablation.breaks);
    let (violated, steps) = match trace {
        Some(trace) => (ablation.breaks, trace.len()),
        None => ("**nothing that should be**", 0),
    };
    writeln!(
        out,
        "| {name} | {violated} | {steps} | {states} | {seconds:.1} |"
    )?;
    tell(out, &outcome, traces)?;
    out.flush()?;
    Ok(trace.is_some())
}

fn tell(out: &mut impl Write, outcome: &Outcome, traces: bool) -> io::Result<()> {
    if !traces {
        return Ok(());
    }
    for (name, trace) in outcome.violated.iter().chain(&outcome.reached) {
        writeln!(out, "\n{name}:")?;
        for line in trace {
            writeln!(out, "    {line}")?;
        }
    }
    writeln!(out)
}

/// Levelled states and states as they are, side by side.
fn lockstep(out: &mut impl Write, walks: u64) -> io::Result<bool> {
    let (mut actions, mut activations) = (0, 0);
    let kinds = lockstep::all();
    for rules in &kinds {
        for seed in 0..walks {
            match lockstep::walk(rules, seed, LENGTH * 3) {
                Ok(seen) => {
                    actions += seen.actions;
                    activations += seen.activations;
                }
                Err(what) => {
                    writeln!(out, "**lockstep** ({}), {what}", rules.name)?;
                    return Ok(false);
                }
            }
        }
    }
    let kinds = kinds.len();
    writeln!(
        out,
        "lockstep: {kinds} x {walks} walks, {actions} actions, {activations} activations: \
         a levelled state says and allows the same"
    )?;
    Ok(true)
}

fn heals(out: &mut impl Write, ours: bool, agreed: usize, walks: u64) -> io::Result<bool> {
    let rules = heal::troubled(ours, agreed);
    let mut longest = 0;
    for seed in 0..walks {
        match heal::walk(&rules, seed, LENGTH) {
            Ok(time) => longest = longest.max(time),
            Err(what) => {
                writeln!(
                    out,
                    "**does not heal** (ours: {ours}, agreed: {agreed}), {what}"
                )?;
                return Ok(false);
            }
        }
    }
    let whose = if ours { "ours" } else { "of the reference" };
    writeln!(
        out,
        "healed: {walks} walks of {LENGTH} actions, 3 voters {whose}, {agreed} agreed on; \
         whole after at most {longest} ticks"
    )?;
    Ok(true)
}
