//! `statestorectl`: look into a running statestore.
//!
//! This file is the command line: what one can ask, and exit codes (0 done, 1 failed, 2 wrong
//! usage). `inspect.rs` answers from the daemon's pages, `entries.rs` from its topics, by
//! registering as a subscriber for the time of the command; `minicluster/` is the demonstration.
//!
//! Deliberately absent: changing anything in a cluster.

mod inspect;
mod minicluster;
mod pages;
mod show;

use clap::{CommandFactory as _, Parser, Subcommand};
use std::process::ExitCode;

use pages::Pages;

/// Look into a running statestore.
#[derive(Debug, Parser)]
#[command(name = "statestorectl", version, max_term_width = 100)]
struct Cli {
    /// Web server of the statestored (its --webserver_port)
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:25010"
    )]
    web: String,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Is it up, is it active, who and how much is in it
    Status,
    /// Everybody who is registered
    Subscribers,
    /// All topics with their sizes and versions
    Topics,
    /// The daemon's flags
    Flags {
        /// Only flags that differ from their defaults
        #[arg(long)]
        changed: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Run a whole cluster of processes on this machine, to watch and to kill
    Minicluster(minicluster::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            show::complain(&*error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn std::error::Error>> {
    let pages = Pages::new(&cli.web);
    let document = match &cli.command {
        Command::Status => inspect::status(&pages)?,
        Command::Subscribers => inspect::subscribers(&pages)?,
        Command::Topics => inspect::topics(&pages)?,
        Command::Flags { changed } => inspect::flags(&pages, *changed)?,
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(
                *shell,
                &mut command,
                "statestorectl",
                &mut std::io::stdout(),
            );
            return Ok(());
        }
        Command::Minicluster(options) => return Ok(minicluster::run(options)?),
    };
    Ok(show::listing(&document, cli.json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
