//! The processes of the demonstration and the folders they work on.
//!
//! Deliberately absent: the story. This file knows who there is and with which flags; ports are
//! picked by the system and read from what the daemons log.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::process::{Process, wait_for};
use super::tree::{self, LeftOut, Listing};
use super::{Failure, Options};
use crate::pages::Pages;

/// How long a process may take until it serves.
const START: Duration = Duration::from_secs(30);
/// The topic that the catalogd publishes.
pub(crate) const CATALOG: &str = "catalog-update";
/// The topic in which everybody publishes itself.
pub(crate) const MEMBERSHIP: &str = "impala-membership";

/// A running cluster.
pub(crate) struct Cluster {
    /// The statestored's pages.
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
    catalogd: Process,
    statestored: Process,
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
        let (mut statestored, ports) = start_statestored(&programs, root)?;
        let pages = Pages::new(format!("127.0.0.1:{}", ports.web));
        wait_for("the statestored's pages", START, || {
            statestored.expect_alive()?;
            Ok(pages.json("/subscribers").ok())
        })?;
        let launch = Launch {
            programs: &programs,
            root,
            port: ports.service,
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
            statestored,
        })
    }

    /// How many processes are subscribers.
    pub(crate) fn size(&self) -> usize {
        1 + self.coordinators.len() + self.executors.len()
    }

    /// An error if any process has ended by itself.
    pub(crate) fn expect_alive(&mut self) -> Result<(), Failure> {
        self.statestored.expect_alive()?;
        self.catalogd.expect_alive()?;
        self.coordinators
            .iter_mut()
            .try_for_each(|(process, _)| process.expect_alive())?;
        self.executors
            .iter_mut()
            .try_for_each(Process::expect_alive)
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

struct Ports {
    service: u16,
    web: u16,
}

/// A dead executor is found after 3 x 500 ms, so that nobody has to wait for the story.
fn start_statestored(programs: &Programs, root: &Path) -> Result<(Process, Ports), Failure> {
    let folder = root.join("statestored");
    let args = [
        "--state_store_port=0".to_owned(),
        "--webserver_port=0".to_owned(),
        "--webserver_interface=127.0.0.1".to_owned(),
        "--hostname=127.0.0.1".to_owned(),
        "--statestore_heartbeat_frequency_ms=500".to_owned(),
        "--statestore_max_missed_heartbeats=3".to_owned(),
        "--logbuflevel=-1".to_owned(),
        format!("--log_dir={}", folder.display()),
    ];
    let mut process = Process::start("statestored", &programs.statestored, &folder, &args)?;
    let ports = wait_for("the statestored's ports in its log", START, || {
        process.expect_alive()?;
        let log = process.log("statestored");
        let service = announced_port(&log, "StatestoreService listening on port");
        let web = announced_port(&log, "Web server listening on port");
        Ok(service
            .zip(web)
            .map(|(service, web)| Ports { service, web }))
    })?;
    Ok((process, ports))
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
    port: u16,
}

impl Launch<'_> {
    fn agent(&self, name: &str, role: &str, n: usize, more: &[String]) -> Result<Process, Failure> {
        let folder = self.root.join(name);
        let mut args = vec![
            format!("--role={role}"),
            "--hostname=127.0.0.1".to_owned(),
            "--state_store_host=127.0.0.1".to_owned(),
            format!("--state_store_port={}", self.port),
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
