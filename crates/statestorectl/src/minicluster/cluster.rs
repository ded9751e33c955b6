//! The processes of the demonstration and the folders they work on.
//!
//! Deliberately absent: the story. This file knows who there is; flags are where the processes
//! are (`pair`, `agent`).

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::agent::{Agent, Launch, Seen};
use super::links::Network;
use super::pair::Pair;
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
    /// What the catalogd publishes.
    pub(crate) source: PathBuf,
    /// Its files when the demonstration began.
    pub(crate) listing: Listing,
    /// What of the folder that was named is not among them.
    pub(crate) left_out: LeftOut,
    /// The catalogd.
    pub(crate) catalogd: Agent,
    /// The coordinators, each with the folder that it keeps equal to the source.
    pub(crate) coordinators: Vec<(Agent, PathBuf)>,
    /// The executors.
    pub(crate) executors: Vec<Agent>,
    /// The two statestoreds.
    pub(crate) pair: Pair,
    /// Last, so that it outlives the processes that it joins.
    _network: Network,
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
        let network = Network::start()?;
        let pair = Pair::start(&network, &programs.statestored, root)?;
        let launch = Launch {
            program: &programs.agent,
            root,
            network: &network,
            pair: &pair,
        };
        let publish = format!("--publish_dir={CATALOG}:{}", source.display());
        let catalogd = launch.agent("catalogd", "catalogd", 0, &[publish])?;
        let follow = format!("--follow={MEMBERSHIP}");
        let mut coordinators = Vec::new();
        for n in 1..=2 {
            let mirror = root.join(format!("mirror-{n}"));
            let flags = [
                follow.clone(),
                format!("--mirror={CATALOG}::{}", mirror.display()),
            ];
            let name = format!("coordinator-{n}");
            coordinators.push((launch.agent(&name, "coordinator", n, &flags)?, mirror));
        }
        let executor = |n: u16| {
            let name = format!("executor-{}", n - 2);
            launch.agent(&name, "executor", n, std::slice::from_ref(&follow))
        };
        let executors = (3..=5).map(executor).collect::<Result<_, _>>()?;
        Ok(Self {
            source,
            listing,
            left_out,
            catalogd,
            coordinators,
            executors,
            pair,
            _network: network,
        })
    }

    /// Everybody who subscribes.
    pub(crate) fn agents(&self) -> impl Iterator<Item = &Agent> {
        std::iter::once(&self.catalogd).chain(self.witnesses())
    }

    /// How many processes are subscribers.
    pub(crate) fn size(&self) -> usize {
        self.agents().count()
    }

    /// An error if any process has ended by itself.
    pub(crate) fn expect_alive(&mut self) -> Result<(), Failure> {
        self.pair.expect_alive()?;
        self.catalogd.process.expect_alive()?;
        self.coordinators
            .iter_mut()
            .try_for_each(|(agent, _)| agent.process.expect_alive())?;
        self.executors
            .iter_mut()
            .try_for_each(|agent| agent.process.expect_alive())
    }

    /// The pages of the primary, or of the one that answers.
    pub(crate) fn pages(&self) -> &Pages {
        let answers = |i: &usize| self.pair.0[*i].standing().is_some();
        let which = self.pair.primary().or_else(|| (0..2).find(answers));
        self.pair.0[which.unwrap_or_default()].pages()
    }

    /// True if everybody follows this one and hears both.
    pub(crate) fn hears_both(&self, primary: usize) -> bool {
        self.agents().all(|agent| {
            let seen = agent.sees();
            seen.is_some_and(|both| {
                both[primary].role == "primary"
                    && both[1 - primary].role == "standby"
                    && both.iter().all(Seen::is_heard)
            })
        })
    }

    /// Everybody who prints what it learns of the membership.
    pub(crate) fn witnesses(&self) -> impl Iterator<Item = &Agent> {
        self.coordinators
            .iter()
            .map(|(agent, _)| agent)
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
