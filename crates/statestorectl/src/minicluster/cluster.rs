//! The processes of the demonstration and the folders they work on.
//!
//! Deliberately absent: the story. This file knows who there is and with which flags; ports are
//! picked by the system and read from what the daemons log.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::pair::{LIMIT, Pair};
use super::process::Process;
use super::tree::{self, LeftOut, Listing};
use super::{Failure, Options};
use crate::pages::Pages;

/// The topic that the catalogd publishes.
pub(crate) const CATALOG: &str = "catalog-update";
/// The topic in which everybody publishes itself.
pub(crate) const MEMBERSHIP: &str = "impala-membership";

/// A running cluster.
pub(crate) struct Cluster {
    /// The primary's pages.
    pub(crate) pages: Pages,
    /// What the catalogd publishes.
    pub(crate) source: PathBuf,
    /// Its files when the demonstration began.
    pub(crate) listing: Listing,
    /// What of the folder that was named is not among them.
    pub(crate) left_out: LeftOut,
    /// The coordinators, each with the folder that it keeps equal to the source.
    pub(crate) coordinators: Vec<(Process, PathBuf)>,
    /// The executors.
    pub(crate) executors: Vec<Process>,
    /// The two statestoreds.
    pub(crate) pair: Pair,
    catalogd: Process,
}

/// A subscriber's own page.
pub(crate) struct AgentPages {
    /// The process.
    pub(crate) name: String,
    pages: Pages,
}

impl AgentPages {
    /// True if its primary is the statestored with this port.
    pub(crate) fn follows(&self, port: u16) -> bool {
        let page = self.pages.json("/statestores").unwrap_or_default();
        let rows = page["statestores"].as_array().cloned().unwrap_or_default();
        rows.iter().any(|row| {
            let address = row["address"].as_str().unwrap_or_default();
            row["role"] == "primary" && address.ends_with(&format!(":{port}"))
        })
    }
}

impl Cluster {
    /// Starts everything below `root`.
    pub(crate) fn start(options: &Options, root: &Path) -> Result<Self, Failure> {
        let programs = Programs::find(options)?;
        let source = root.join("source");
        let (listing, left_out) = tree::copy(&options.dir, &source)?;
        if listing.is_empty() {
            return Err(Failure::Broken(format!(
                "--dir {} holds no file that can be published: {left_out:?}",
                options.dir.display()
            )));
        }
        let pair = Pair::start(&programs.statestored, root)?;
        let primary = pair.primary().unwrap_or_default();
        let pages = pair.0[primary].pages.clone();
        let launch = Launch {
            programs: &programs,
            root,
            ports: [pair.0[0].port, pair.0[1].port],
        };
        let publish = format!("--publish_dir={CATALOG}:{}", source.display());
        let catalogd = launch.agent("catalogd", "catalogd", 0, &[publish])?;
        let mut coordinators = Vec::new();
        for n in 1..=2 {
            let mirror = root.join(format!("mirror-{n}"));
            let flag = format!("--mirror={CATALOG}::{}", mirror.display());
            let name = format!("coordinator-{n}");
            coordinators.push((launch.agent(&name, "coordinator", n, &[flag])?, mirror));
        }
        let executors = (3..=5)
            .map(|n| launch.agent(&format!("executor-{}", n - 2), "executor", n, &[]))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            pages,
            source,
            listing,
            left_out,
            coordinators,
            executors,
            catalogd,
            pair,
        })
    }

    /// How many processes are subscribers.
    pub(crate) fn size(&self) -> usize {
        1 + self.coordinators.len() + self.executors.len()
    }

    /// An error if any process has ended by itself.
    pub(crate) fn expect_alive(&mut self) -> Result<(), Failure> {
        self.pair.expect_alive()?;
        self.catalogd.expect_alive()?;
        self.coordinators
            .iter_mut()
            .try_for_each(|(process, _)| process.expect_alive())?;
        self.executors
            .iter_mut()
            .try_for_each(Process::expect_alive)
    }

    /// From now on the pages of this statestored are shown.
    pub(crate) fn look_at(&mut self, which: usize) {
        self.pages = self.pair.0[which].pages.clone();
    }

    /// The pages of everybody who subscribes.
    pub(crate) fn agents(&self) -> Vec<AgentPages> {
        let all = std::iter::once(&self.catalogd).chain(self.witnesses());
        let pages = all.filter_map(|process| {
            let log = process.log("statestore-agent");
            let port = announced_port(&log, "Web server listening on port")?;
            Some(AgentPages {
                name: process.name().to_owned(),
                pages: Pages::new(format!("127.0.0.1:{port}")),
            })
        });
        pages.collect()
    }

    /// The place of the statestored that everybody follows, if there is one.
    pub(crate) fn following(&self) -> Option<usize> {
        let agents = self.agents();
        let followed = |which: &usize| {
            let port = self.pair.0[*which].port;
            agents.len() == self.size() && agents.iter().all(|agent| agent.follows(port))
        };
        (0..2).find(followed)
    }

    /// Everybody who prints what it learns of the membership, by name.
    pub(crate) fn witnesses(&self) -> impl Iterator<Item = &Process> {
        self.coordinators
            .iter()
            .map(|(process, _)| process)
            .chain(&self.executors)
    }
}

/// Where the programs are.
struct Programs {
    statestored: PathBuf,
    agent: PathBuf,
}

impl Programs {
    fn find(options: &Options) -> Result<Self, Failure> {
        let folder = match &options.bin {
            Some(folder) => folder.clone(),
            None => {
                let own = std::env::current_exe()
                    .map_err(|e| Failure::io("find", Path::new("this program"), e))?;
                own.parent().map(Path::to_owned).unwrap_or_default()
            }
        };
        let found = Self {
            statestored: folder.join("statestored"),
            agent: folder.join("statestore-agent"),
        };
        for path in [&found.statestored, &found.agent] {
            if !path.is_file() {
                return Err(Failure::Broken(format!(
                    "{} is not there: build it (`cargo build --release`) or name its folder with \
                     --bin",
                    path.display()
                )));
            }
        }
        Ok(found)
    }
}

/// The port that follows `what` in a log.
fn announced_port(log: &str, what: &str) -> Option<u16> {
    log.split(what)
        .nth(1)?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// How agents are started.
struct Launch<'a> {
    programs: &'a Programs,
    root: &'a Path,
    ports: [u16; 2],
}

impl Launch<'_> {
    fn agent(&self, name: &str, role: &str, n: usize, more: &[String]) -> Result<Process, Failure> {
        let folder = self.root.join(name);
        let mut args = vec![
            format!("--role={role}"),
            "--hostname=127.0.0.1".to_owned(),
            "--enable_statestored_ha".to_owned(),
            "--state_store_host=127.0.0.1".to_owned(),
            format!("--state_store_port={}", self.ports[0]),
            "--state_store_2_host=127.0.0.1".to_owned(),
            format!("--state_store_2_port={}", self.ports[1]),
            format!(
                "--statestore_subscriber_timeout_seconds={}",
                LIMIT.as_secs()
            ),
            "--statestore_heartbeat_frequency_ms=200".to_owned(),
            "--logbuflevel=-1".to_owned(),
            "--state_store_subscriber_port=0".to_owned(),
            "--webserver_port=0".to_owned(),
            "--webserver_interface=127.0.0.1".to_owned(),
            // Only part of the subscriber id: nothing listens there.
            format!("--krpc_port={}", 27_000 + n),
            format!("--log_dir={}", folder.display()),
        ];
        if role != "catalogd" {
            args.push(format!("--follow={MEMBERSHIP}"));
        }
        args.extend_from_slice(more);
        Process::start(name, &self.programs.agent, &folder, &args)
    }
}

/// When the first line about `key` came to `process` after `since`, in the form `look` accepts.
pub(crate) fn learned(
    process: &Process,
    since: Instant,
    key: &str,
    look: impl Fn(&str) -> bool,
) -> Option<Instant> {
    process
        .line_since(since, |line| line.contains(key) && look(line))
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::announced_port;

    #[test]
    fn a_port_follows_its_announcement() {
        let log = "I2026 x.rs:1] Web server listening on port 4711\nmore";
        assert_eq!(
            announced_port(log, "Web server listening on port"),
            Some(4711)
        );
        assert_eq!(announced_port("", "Web server listening on port"), None);
        let log = "StatestoreService listening on port 24000 without TLS";
        assert_eq!(
            announced_port(log, "StatestoreService listening on port"),
            Some(24000)
        );
    }
}
