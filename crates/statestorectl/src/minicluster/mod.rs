//! A whole cluster of real processes on this machine, to watch and to kill: what `./demo` runs.
//!
//! A pair of statestoreds; a catalogd that publishes a folder; two coordinators that mirror it;
//! three executors. The story is told in `story.rs`, the scenes about the pair in `failover.rs`;
//! `cluster.rs`, `pair.rs` and `agent.rs` start the processes; `links.rs` and `desk.rs` are the
//! network between them; `actives.rs` looks who acts, `turns.rs` who was followed; `observe.rs`
//! reads the primary's pages, `journal.rs` the logs; `tree.rs` compares folders, `table.rs` draws.
//!
//! Deliberately absent: any short cut into the processes. Everything that is shown comes from
//! their pages, their output, their logs and the files that they write; everything that is done
//! to them is a signal or a cut link.

mod actives;
mod agent;
mod cluster;
mod desk;
mod failover;
mod journal;
mod links;
mod observe;
mod pair;
mod process;
mod story;
mod table;
mod tree;
mod turns;

use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

use crate::pages::PageError;

/// What the demonstration may be asked.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Folder whose files the catalogd publishes (a copy of it; nothing in it is changed)
    #[arg(long, value_name = "FOLDER", default_value = "/usr/share/zoneinfo")]
    pub(crate) dir: PathBuf,
    /// Run the whole story once and exit with 0 (all as promised) or 1
    #[arg(long)]
    pub(crate) once: bool,
    /// Folder of the statestored and statestore-agent programs [default: this program's]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) bin: Option<PathBuf>,
    /// Leave the processes' logs and folders behind
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Why the demonstration ended early.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The machine's fault.
    #[error("cannot {what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A process ended by itself.
    #[error("{name} ended by itself ({status}); its logs are in {logs}\n{stderr}")]
    Ended {
        /// Which.
        name: String,
        /// How.
        status: String,
        /// What it said last.
        stderr: String,
        /// Where its logs are.
        logs: PathBuf,
    },
    /// Something did not happen in time.
    #[error("{what}: not within {limit:?}")]
    TooLate {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// Something is not as promised.
    #[error("{0}")]
    Broken(String),
    /// A page could not be read.
    #[error(transparent)]
    Page(#[from] PageError),
}

impl Failure {
    fn io(what: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            error,
        }
    }
}

/// Runs the demonstration; returns when it is over or was interrupted.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    process::watch_for_interrupt()?;
    match story::tell(options) {
        Err(Failure::Interrupted) if !options.once => Ok(()),
        outcome => outcome,
    }
}
