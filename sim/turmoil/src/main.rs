//! The shipped drivers, statestored and the subscriber library, on a simulated network.
//!
//! ```text
//! statestore-turmoil run FIRST COUNT    seeds, each told twice: the two must be the same
//! statestore-turmoil replay SEED        what happened in one, a line each
//! statestore-turmoil sabotage           is it seen if a statestored's clock is far too slow?
//! ```
//!
//! Exits with 1 if anything did not hold (S1, S2, converges: see `sight`), or if there was no
//! failover to hold it against, and says how to see it again. Deliberately absent: masses of
//! seeds; `statestore-world` has those, with bare cores.

mod hosts;
mod net;
mod sight;
mod story;
mod troubles;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use story::Outcome;
use troubles::Trouble;

/// The seed that is told, for a panic, which may end the process.
static SEED: AtomicU64 = AtomicU64::new(0);
static PANICS: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| words.get(i).and_then(|word| word.parse::<u64>().ok());
    let mut out = io::stdout().lock();
    if cfg!(not(tokio_unstable)) {
        let why = "built outside of sim/turmoil, whose .cargo/config.toml seeds tokio's dice";
        let _ = writeln!(io::stderr(), "{why}: two runs of a seed may differ");
    }
    mind_panics();
    let held = match (words.first().map(String::as_str), number(1), number(2)) {
        (Some("run"), Some(first), Some(count)) => run(first, count, &mut out),
        (Some("replay"), Some(seed), None) => replay(seed, &mut out),
        (Some("sabotage"), None, None) => sabotage(&mut out),
        _ => {
            let usage = "statestore-turmoil run FIRST COUNT | replay SEED | sabotage";
            let _ = writeln!(io::stderr(), "{usage}");
            return ExitCode::from(2);
        }
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        // A reader that has seen enough is no failure of ours.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// A panic of a machine is a breach, whoever catches it.
fn mind_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        PANICS.fetch_add(1, Ordering::Relaxed);
        let again = again(SEED.load(Ordering::Relaxed));
        let _ = writeln!(io::stderr(), "see it again: {again}");
    }));
}

/// The command that replays a seed.
fn again(seed: u64) -> String {
    format!("(cd sim/turmoil && cargo run --profile turmoil -- replay {seed})")
}

fn tell(seed: u64) -> Outcome {
    tell_at(seed, 100)
}

fn tell_at(seed: u64, speed: u32) -> Outcome {
    SEED.store(seed, Ordering::Relaxed);
    let before = PANICS.load(Ordering::Relaxed);
    let mut outcome = story::tell(seed, speed);
    if PANICS.load(Ordering::Relaxed) > before {
        let breach = &mut outcome.breach;
        breach.get_or_insert_with(|| "a machine panicked".to_owned());
    }
    outcome
}

fn run(first: u64, count: u64, out: &mut impl Write) -> io::Result<bool> {
    let (mut failovers, mut excused, mut bad) = (0, 0, 0);
    let (mut settled, mut length) = (Duration::ZERO, Duration::ZERO);
    let mut troubles: BTreeMap<Trouble, u64> = BTreeMap::new();
    for seed in first..first + count {
        let outcome = tell(seed);
        failovers += outcome.failovers;
        excused += outcome.excused;
        settled = settled.max(outcome.settled);
        length += outcome.length;
        for trouble in &outcome.troubles {
            *troubles.entry(*trouble).or_default() += 1;
        }
        let differs = difference(&outcome, &tell(seed));
        if let Some(breach) = outcome.breach.or(differs) {
            bad += 1;
            writeln!(out, "seed {seed}: {breach}\n  {}", again(seed))?;
        }
    }
    writeln!(out, "{troubles:?}")?;
    writeln!(
        out,
        "{count} seeds from {first} on, each twice: {} s of their time, {failovers} failovers \
         seen, two acted {excused} times where one had agreed with nobody, all well again after at \
         most {:.1} s, {bad} breaches",
        length.as_secs(),
        settled.as_secs_f64()
    )?;
    Ok(bad == 0 && failovers > 0)
}

/// Where two runs of a seed part.
fn difference(one: &Outcome, other: &Outcome) -> Option<String> {
    let most = one.lines.len().max(other.lines.len());
    let at = (0..most).find(|i| one.lines.get(*i) != other.lines.get(*i))?;
    let (one, other) = (one.lines.get(at), other.lines.get(at));
    Some(format!("two runs differ: {one:?}, {other:?}"))
}

fn replay(seed: u64, out: &mut impl Write) -> io::Result<bool> {
    let outcome = tell(seed);
    for line in &outcome.lines {
        writeln!(out, "{line}")?;
    }
    let well = format!("all well after {:.1} s", outcome.settled.as_secs_f64());
    writeln!(out, "{}", outcome.breach.as_ref().unwrap_or(&well))?;
    Ok(outcome.breach.is_none())
}

/// A lease that lasts longer than its holder thinks: two act, sooner or later.
fn sabotage(out: &mut impl Write) -> io::Result<bool> {
    let breach = |seed: u64| Some((seed, tell_at(seed, 40).breach?));
    match (0..30).find_map(breach) {
        Some((seed, breach)) if breach.starts_with("one acts") => {
            writeln!(out, "sabotaged, seed {seed}: {breach}")?;
            Ok(true)
        }
        other => {
            writeln!(out, "sabotaged, and no two act: {other:?}")?;
            Ok(false)
        }
    }
}
