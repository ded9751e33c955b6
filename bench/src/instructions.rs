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
use std::path::{Path, PathBuf};
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
    let compiler = format!("\"{}\"", machine::compiler());
    let mut file = format!("{HEAD}compiler = {compiler}\n");
    let mut counts = Vec::new();
    for work in WORKS {
        let count = count(work.name)? / work.units;
        let _ = writeln!(file, "{} = {count}", work.name);
        counts.push((work.name, work.what, count));
    }
    let judged = judge(&kept, &compiler, &counts);
    if !wanted.write {
        return judged.verdict(&wanted.file);
    }
    let path = wanted.file.display();
    std::fs::write(&wanted.file, file).map_err(Failure::io(format!("write {path}")))?;
    Ok(judged.table)
}

/// What is to be said of counts.
struct Judged {
    table: String,
    /// Why they are not as the kept ones; empty if they are.
    wrong: Vec<String>,
}

impl Judged {
    fn verdict(self, file: &Path) -> Result<String, Failure> {
        let Self { table, wrong } = self;
        if wrong.is_empty() {
            return Ok(table);
        }
        Err(Failure::Counting(format!(
            "{}; if that is right, keep the new counts in {} with `./check instructions \
             --write`\n\n{table}",
            wrong.join("; "),
            file.display()
        )))
    }
}

/// Counts, each with its work's name and what it is, beside the text of the file of kept ones.
fn judge(kept: &str, compiler: &str, counts: &[(&str, &str, u64)]) -> Judged {
    let kept: BTreeMap<&str, &str> = kept.lines().filter_map(|l| l.split_once(" = ")).collect();
    let mut table = "| Work | Instructions | Kept | Difference |\n|---|---|---|---|\n".to_owned();
    let (mut wrong, mut unknown, mut worse) = (Vec::new(), Vec::new(), Vec::new());
    for (name, what, count) in counts {
        let before: Option<f64> = kept.get(name).and_then(|kept| kept.parse().ok());
        let difference = before.map(|before| *count as f64 / before - 1.0);
        match difference {
            None => unknown.push(*name),
            Some(difference) if difference > TOLERANCE => worse.push(*name),
            Some(_) => {}
        }
        let shown = difference.map_or("new".to_owned(), |d| format!("{:+.1} %", d * 100.0));
        let before = before.map_or(String::new(), |before| before.to_string());
        let _ = writeln!(table, "| {what} | {count} | {before} | {shown} |");
    }
    match kept.get("compiler") {
        // Another compiler's counts say nothing of what is better or worse.
        Some(of) if *of != compiler => {
            let other = format!("the kept counts are of {of}, and this is {compiler}");
            return Judged {
                table,
                wrong: vec![format!("{other}: nothing can be judged")],
            };
        }
        Some(_) => {}
        None => wrong.push("no counts are kept that name their compiler".to_owned()),
    }
    if !unknown.is_empty() {
        wrong.push(format!("no count is kept of {}", unknown.join(", ")));
    }
    if !worse.is_empty() {
        let share = TOLERANCE * 100.0;
        let worse = worse.join(", ");
        wrong.push(format!("more than {share:.0} % more instructions: {worse}"));
    }
    Judged { table, wrong }
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "# words\ncompiler = \"rustc 1\"\na = 100\nb = 1000\n";

    /// What is wrong with counts of `a` and `b`.
    fn wrong(kept: &str, compiler: &str, a: u64, b: u64) -> String {
        let counts = [("a", "this", a), ("b", "that", b)];
        let judged = judge(kept, compiler, &counts);
        assert!(judged.table.contains(&format!("| this | {a} | ")));
        match judged.verdict(Path::new("kept.toml")) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn counts_may_fall_and_rise_by_little() {
        assert_eq!(wrong(KEPT, "\"rustc 1\"", 102, 1), "");
        let said = wrong(KEPT, "\"rustc 1\"", 104, 1000);
        assert!(
            said.starts_with("more than 3 % more instructions: a;"),
            "{said}"
        );
    }

    #[test]
    fn what_cannot_be_judged_fails_and_says_how_it_can_be() {
        let said = wrong(KEPT, "\"rustc 2\"", 100, 1000);
        let both = said.contains("\"rustc 1\"") && said.contains("\"rustc 2\"");
        assert!(
            both && said.contains("kept.toml with `./check instructions --write`"),
            "{said}"
        );
        let said = wrong("", "\"rustc 1\"", 100, 1000);
        assert!(
            said.contains("compiler") && said.contains("kept of a, b"),
            "{said}"
        );
        let said = wrong(&KEPT.replace("a = ", "c = "), "\"rustc 1\"", 100, 1000);
        assert!(said.starts_with("no count is kept of a;"), "{said}");
    }
}
