//! Runs every text of `scenarios/`: commands in, the trace of effects out.
//!
//! A text is comments (`#`), commands (`> `) and, below each command, what the node did. Nothing
//! happens by itself and no clock runs: `> wait` moves time from deadline to deadline. `UPDATE=1`
//! writes what the node does now into the texts; read the difference before you keep it. The
//! commands are explained in `scenarios/README.md`.

#![allow(clippy::unwrap_used, clippy::panic)]

mod scenario;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The text with every command followed by what it does now.
fn replay(text: &str) -> String {
    let mut world = scenario::World::new();
    let mut fresh = String::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            let effects = world.run(command);
            writeln!(fresh, "> {command}").unwrap();
            effects
                .iter()
                .for_each(|effect| writeln!(fresh, "{effect}").unwrap());
        } else if line.is_empty() || line.starts_with('#') {
            writeln!(fresh, "{line}").unwrap();
        }
    }
    fresh
}

fn texts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut texts: Vec<_> = files
        .filter(|path| path.extension() == Some("txt".as_ref()))
        .collect();
    texts.sort();
    texts
}

#[test]
fn every_scenario_goes_as_written() {
    let mut wrong = Vec::new();
    for path in texts() {
        let text = fs::read_to_string(&path).unwrap();
        let fresh = replay(&text);
        if let Some(mistake) = fresh.lines().find(|line| line.starts_with("  ? ")) {
            wrong.push(format!(
                "{}: a command of the text is wrong: {mistake}",
                path.display()
            ));
        }
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, fresh).unwrap();
        } else if fresh != text {
            let line = fresh.lines().zip(text.lines()).position(|(a, b)| a != b);
            let line = line.unwrap_or(fresh.lines().count().min(text.lines().count()));
            let at = |text: &str| text.lines().nth(line).unwrap_or("(end)").to_owned();
            wrong.push(format!(
                "{}:{}\n  written:  {}\n  happened: {}",
                path.display(),
                line + 1,
                at(&text),
                at(&fresh)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n(UPDATE=1 rewrites the texts)",
        wrong.join("\n")
    );
}
