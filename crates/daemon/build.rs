//! Which commit a release is of, for `--version` and `statestore.version`.
//!
//! What `STATESTORE_BUILD_HASH` and `STATESTORE_BUILD_TIME` say is taken; else git is asked, and
//! without it both stay unknown. Builds for development never ask, so that a commit does not
//! compile everything anew.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return;
    }
    // A commit, a checkout, a reset: each adds a line to this file.
    if let Some(log) = said("git", &["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo::rerun-if-changed={log}");
    }
    tell("STATESTORE_BUILD_HASH", || {
        said("git", &["rev-parse", "--short=12", "HEAD"])
    });
    tell("STATESTORE_BUILD_TIME", || {
        said("date", &["-u", "+%Y-%m-%d %H:%M:%S UTC"])
    });
}

fn tell(name: &str, ask: impl FnOnce() -> Option<String>) {
    println!("cargo::rerun-if-env-changed={name}");
    if std::env::var_os(name).is_none()
        && let Some(value) = ask()
    {
        println!("cargo::rustc-env={name}={value}");
    }
}

/// The first line that a command prints, if it succeeds.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
