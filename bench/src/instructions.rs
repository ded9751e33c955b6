//! Instructions counted with callgrind: what codec, log and steps cost, without a clock.
//!
//! This program runs itself under valgrind, once for each work of `works`, and compares the
//! counts with those kept in a file of the tree. A count differs little from run to run and from
//! machine to machine, so a regression shows on a busy one too. Deliberately absent: caches and
//! branches, which no count of instructions knows.

use crate::failure::Failure;
use crate::machine;
use crate::works::WORKS;
use clap::Parser;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// Instructions of codec, log and steps, beside those kept in the tree (needs valgrind)
#[derive(Debug, Parser)]
pub(crate) struct Wanted {
    /// Where the counts are kept
    #[arg(long, default_value = "bench/instructions.toml", value_name = "FILE")]
    file: PathBuf,
    /// Keep what is counted now
    #[arg(long)]
    write: bool,
}

/// So much more than kept is a regression; so much less is worth to be kept.
const TOLERANCE: f64 = 0.03;
const HEAD: &str = "\
# Instructions of some works (bench/src/works.rs), counted with callgrind: written by
# `./check instructions --write`, compared by `./check instructions`.
";

/// Runs the named work; what is counted is in [`counted_work`] alone.
pub(crate) fn work(name: &str) -> Result<(), Failure> {
    let work = WORKS.iter().find(|work| work.name == name);
    let work = work.ok_or_else(|| Failure::Counting(format!("there is no work named {name}")))?;
    let mut run = (work.prepare)();
    counted_work(&mut *run);
    Ok(())
}

/// Callgrind counts from here to its end.
#[inline(never)]
fn counted_work(work: &mut dyn FnMut()) {
    work();
    std::hint::black_box(()); // not a jump into the work instead of a call
}

/// Counts all; the table, and whether nothing got worse.
pub(crate) fn run(wanted: &Wanted) -> Result<String, Failure> {
    let kept = std::fs::read_to_string(&wanted.file).unwrap_or_default();
    let kept: BTreeMap<&str, &str> = kept.lines().filter_map(|l| l.split_once(" = ")).collect();
    let compiler = format!("\"{}\"", machine::compiler());
    let same = kept.get("compiler").is_some_and(|kept| *kept == compiler);
    let mut table = "| Work | Instructions | Kept | Difference |\n|---|---|---|---|\n".to_owned();
    let mut file = format!("{HEAD}compiler = {compiler}\n");
    let mut worse = Vec::new();
    for work in WORKS {
        let count = count(work.name)? / work.units;
        let _ = writeln!(file, "{} = {count}", work.name);
        let before: Option<f64> = kept.get(work.name).and_then(|kept| kept.parse().ok());
        let difference = before.map(|before| count as f64 / before - 1.0);
        if difference.is_some_and(|difference| difference > TOLERANCE) {
            worse.push(work.name);
        }
        let shown = difference.map_or("new".to_owned(), |d| format!("{:+.1} %", d * 100.0));
        let before = before.map_or(String::new(), |before| before.to_string());
        let _ = writeln!(table, "| {} | {count} | {before} | {shown} |", work.what);
    }
    if wanted.write {
        let path = wanted.file.display();
        std::fs::write(&wanted.file, file).map_err(Failure::io(format!("write {path}")))?;
        return Ok(table);
    }
    if !same {
        table.push_str("\nThe compiler is not the one of the kept counts: nothing is judged.\n");
        return Ok(table);
    }
    match worse[..] {
        [] => Ok(table),
        _ => Err(Failure::Counting(format!(
            "more than {:.0} % more instructions: {}\n\n{table}",
            TOLERANCE * 100.0,
            worse.join(", ")
        ))),
    }
}

fn count(name: &str) -> Result<u64, Failure> {
    let this = std::env::current_exe().map_err(Failure::io("find this program"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*counted_work*"])
        .arg(this)
        .args(["work", name])
        .output()
        .map_err(Failure::io("run valgrind (Debian package valgrind)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    let count = count.filter(|count| output.status.success() && *count > 0);
    count.ok_or_else(|| Failure::Counting(format!("{name} was not counted:\n{said}")))
}
