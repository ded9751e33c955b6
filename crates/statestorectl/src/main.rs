//! `statestorectl`: look into a running statestore.
//!
//! This file is the command line: what one can ask, and exit codes (0 done, 1 failed, 2 wrong
//! usage). `inspect.rs` answers from the daemon's pages, `entries.rs` from its topics, by
//! registering as a subscriber for the time of the command (`guest.rs`); `minicluster/` is the
//! demonstration.
//!
//! Deliberately absent: changing anything in a cluster, but for `force-active` (`pair.rs`).

mod address;
mod entries;
mod escape;
mod guest;
mod inspect;
mod minicluster;
mod pages;
mod pair;
mod rpc;
mod show;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use statestore_subscriber::Text;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::time::Duration;

use address::Address;
use entries::Form;
use guest::{Interest, Invitation};
use pages::Pages;
use pair::ForceError;

/// The statestored's ports, unless it was told others.
const RPC_PORT: u16 = 24_000;
const WEB_PORT: u16 = 25_010;

/// Look into a running statestore.
///
/// Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage. Names, keys and
/// values are escaped for the terminal; --json gives them whole.
#[derive(Debug, Parser)]
#[command(name = "statestorectl", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    reach: Reach,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// Where the statestored is.
#[derive(Debug, Args)]
struct Reach {
    /// Web server of the statestored (its --webserver_port)
    /// [default: port 25010 on the host of --rpc, or 127.0.0.1]
    #[arg(long, global = true, value_name = "HOST[:PORT]",
          value_parser = |text: &str| Address::parse(text, WEB_PORT))]
    web: Option<Address>,
    /// Where it takes registrations (its --state_store_port), for get, watch, force-active
    /// [default: port 24000 on the host of --web, or 127.0.0.1]
    #[arg(long, global = true, value_name = "HOST[:PORT]",
          value_parser = |text: &str| Address::parse(text, RPC_PORT))]
    rpc: Option<Address>,
    /// Name or IP under which the statestored reaches this command, for get and watch
    /// [default: this machine's address on the way to --rpc]
    #[arg(long, global = true, value_name = "HOST")]
    hostname: Option<String>,
    /// Address and port of this command's own server, for get and watch
    /// [default: that same address, or all with --hostname; a port that the system picks]
    #[arg(long, global = true, value_name = "[HOST:]PORT", value_parser = parse_listen)]
    listen: Option<Address>,
    /// Limit for an answer, connecting included; for get and watch, until the content is there
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10",
          value_parser = guest::parse_limit)]
    timeout: Duration,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Is it up, is it active, who and how much is in it
    ///
    /// Of an agent (--web is its --webserver_port): each statestored that it knows, with role,
    /// last heartbeat and missed heartbeats.
    Status,
    /// Everybody who is registered
    Subscribers,
    /// All topics with their sizes and versions
    Topics,
    /// The pair: who is active and why, the lease, the electorate, every vote, what stands in
    /// the way of a takeover
    ///
    /// Of one statestored, or of several side by side: `statestorectl ha s1 s2`. One that does
    /// not answer is named on stderr, exit code 1, after what the others say.
    Ha {
        /// Web servers of the statestoreds; with --json an array then
        /// [default: that of --web]
        #[arg(value_name = "HOST[:PORT]",
              value_parser = |text: &str| Address::parse(text, WEB_PORT))]
        of: Vec<Address>,
    },
    /// Make this statestored of a pair active, at the risk of two for a moment
    ///
    /// The way out when nobody can act: more than half of the subscribers that may vote are gone
    /// and so is the other statestored. Takes the statestored of --rpc.
    ForceActive {
        /// If the other one is active too, both are for a moment: that is known and accepted
        #[arg(long)]
        accept_two_actives: bool,
    },
    /// The entries of a topic
    ///
    /// Registers as a subscriber for the time of the command, as statestorectl@HOST:PID.
    Get {
        #[command(flatten)]
        what: What,
        /// Only the entry with exactly this key
        #[arg(long, value_name = "KEY", conflicts_with = "prefix")]
        key: Option<OsString>,
        /// Print nothing but the value of --key, byte for byte
        #[arg(long, requires = "key", conflicts_with = "json")]
        raw: bool,
    },
    /// The entries of a topic, then each change as it happens, until Ctrl-C
    ///
    /// Each line has the time, a sign, the key and, for values, size and beginning: "=" the whole
    /// content follows, "+" written, "-" deleted. With --json: JSON lines. Registers as a
    /// subscriber for the time of the command, see get.
    Watch {
        #[command(flatten)]
        what: What,
    },
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

/// A topic or a part of it.
#[derive(Debug, Args)]
struct What {
    /// The topic
    topic: OsString,
    /// Only keys that begin so
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    prefix: OsString,
    /// Do not ask --web whether the topic exists: registering creates one that does not
    #[arg(long)]
    unchecked: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read this has seen enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            show::complain(&*error);
            match error.downcast_ref() {
                Some(ForceError::NotAccepted) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let reach = &cli.reach;
    let pages = Pages::within(reach.timeout, reach.web().to_string());
    let document = match &cli.command {
        Command::Status => inspect::status(&pages)?,
        Command::Subscribers => inspect::subscribers(&pages)?,
        Command::Topics => inspect::topics(&pages)?,
        Command::Ha { of } => return ha(reach, of, pages, cli.json),
        Command::ForceActive { accept_two_actives } => {
            let done = pair::force_active(&reach.rpc(), reach.timeout, *accept_two_actives)?;
            return Ok(done.show(cli.json)?);
        }
        Command::Flags { changed } => inspect::flags(&pages, *changed)?,
        Command::Get { what, key, raw } => {
            let mut interest = what.interest();
            let form = Form {
                json: cli.json,
                key: key.as_deref().map(text),
                raw: *raw,
            };
            if let Some(key) = &form.key {
                interest.prefix = key.clone();
            }
            return Ok(entries::get(
                &reach.invitation(what, pages),
                &interest,
                &form,
            )?);
        }
        Command::Watch { what } => {
            let invitation = reach.invitation(what, pages);
            return Ok(entries::watch(&invitation, &what.interest(), cli.json)?);
        }
        Command::Completions { shell } => return Ok(completions(*shell)?),
        Command::Minicluster(options) => return Ok(minicluster::run(options)?),
    };
    Ok(show::listing(&document, cli.json)?)
}

fn ha(reach: &Reach, of: &[Address], own: Pages, as_json: bool) -> Result<(), Box<dyn Error>> {
    let named = of
        .iter()
        .map(|it| Pages::within(reach.timeout, it.to_string()));
    let mut all: Vec<Pages> = named.collect();
    if all.is_empty() {
        all.push(own);
    }
    let (views, errors) = pair::ha(&all, of.is_empty());
    views.show(as_json)?;
    let mut errors = errors.into_iter();
    let last = errors.next_back();
    errors.for_each(|error| show::complain(&error));
    last.map_or(Ok(()), |error| Err(error.into()))
}

impl Reach {
    fn web(&self) -> Address {
        let beside = |rpc: &Address| Address::new(&rpc.host, WEB_PORT);
        let given = self.web.clone().or_else(|| self.rpc.as_ref().map(beside));
        given.unwrap_or_else(|| Address::new("127.0.0.1", WEB_PORT))
    }

    fn rpc(&self) -> Address {
        let beside = |web: &Address| Address::new(&web.host, RPC_PORT);
        let given = self.rpc.clone().or_else(|| self.web.as_ref().map(beside));
        given.unwrap_or_else(|| Address::new("127.0.0.1", RPC_PORT))
    }

    fn invitation(&self, what: &What, pages: Pages) -> Invitation {
        Invitation {
            rpc: self.rpc(),
            web: (!what.unchecked).then_some(pages),
            hostname: self.hostname.clone(),
            listen: self.listen.clone(),
            limit: self.timeout,
        }
    }
}

impl What {
    fn interest(&self) -> Interest {
        Interest {
            topic: text(&self.topic),
            prefix: text(&self.prefix),
        }
    }
}

/// Keys and topics are bytes, and so are arguments.
fn text(argument: &OsStr) -> Text {
    argument.as_bytes().into()
}

/// `PORT` is that port on all interfaces.
fn parse_listen(text: &str) -> Result<Address, String> {
    match text.parse() {
        Ok(port) => Ok(Address::new("", port)),
        Err(_) => Address::parse(text, 0),
    }
}

fn completions(shell: clap_complete::Shell) -> io::Result<()> {
    // Into memory first: the generator does not expect that writing may fail.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "statestorectl", &mut script);
    show::bytes(&script)
}

/// True if the error, or one of its causes, is that nobody reads any more.
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let this = error.downcast_ref::<io::Error>();
    let broken = this.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
    broken || error.source().is_some_and(is_broken_pipe)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn one_address_is_enough_for_both() {
        for (args, web, rpc) in [
            (&[][..], "127.0.0.1:25010", "127.0.0.1:24000"),
            (&["--web", "s1"], "s1:25010", "s1:24000"),
            (&["--rpc", "s1:1"], "s1:25010", "s1:1"),
            (&["--web", "[::1]:2"], "[::1]:2", "[::1]:24000"),
            (&["--web", "s1:1", "--rpc", "s2"], "s1:1", "s2:24000"),
        ] {
            let given = ["statestorectl", "status"].iter().chain(args);
            let reach = Cli::try_parse_from(given).unwrap().reach;
            let both = (reach.web().to_string(), reach.rpc().to_string());
            assert_eq!(both, (web.to_owned(), rpc.to_owned()), "{args:?}");
        }
    }

    #[test]
    fn a_port_alone_listens_everywhere() {
        assert_eq!(parse_listen("7").unwrap(), Address::new("", 7));
        assert_eq!(parse_listen("h:7").unwrap(), Address::new("h", 7));
        assert!(parse_listen("h:x").is_err());
    }
}
