//! The two statestoreds of the demonstration: started as a pair, asked for their roles, killed,
//! halted, cut off, started again.
//!
//! All their ports are picked by the system and read from their logs; whoever has to know one
//! before it exists is given the near end of a link that leads there later.
//! Deliberately absent: the story. Invariant: only processes started here are ever signalled.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::Failure;
use super::desk::Desk;
use super::journal::{announced, over_since, said_since};
use super::links::{Link, Network};
use super::process::{Process, wait_for};
use crate::pages::Pages;

/// Silence after which the other one, or a subscriber, counts as lost.
pub(crate) const LIMIT: Duration = Duration::from_secs(2);
/// Between two heartbeats.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(200);
/// How long a page may take, lest one that was halted stops the table.
pub(crate) const GLANCE: Duration = Duration::from_secs(1);
/// How long a process may take until it serves.
const START: Duration = Duration::from_secs(30);

/// One statestored.
pub(crate) struct Statestored {
    pub(crate) process: Process,
    /// Where subscribers find it.
    pub(crate) desk: Desk,
    pages: Pages,
    /// The way to it for the other one.
    link: Link,
    program: PathBuf,
    folder: PathBuf,
    args: Vec<String>,
    lives: u32,
}

/// What it says of itself at one moment.
#[derive(Debug, PartialEq)]
pub(crate) struct Standing {
    pub(crate) role: String,
    /// It may act: its role says so, and what that rests on holds.
    pub(crate) acts: bool,
    pub(crate) epoch: i64,
    /// How long it may act if nobody answers any more; none if it needs no lease.
    pub(crate) lease: Option<Duration>,
    pub(crate) electorate: u64,
    pub(crate) peer_found: bool,
}

impl Standing {
    /// From the page `/ha`.
    fn read(page: &Value) -> Option<Self> {
        let millis = |field: &str| page[field].as_u64().map(Duration::from_millis);
        let by_peer = millis("lease_held_by_peer_ms")?;
        let by_voters = millis("lease_held_by_voters_ms")?;
        let is_active = page["is_active"].as_bool()?;
        let lease = (page["rests_on"] == "a lease").then(|| by_peer.max(by_voters));
        Some(Self {
            role: page["seed_role"].as_str()?.to_owned(),
            acts: is_active && lease.is_none_or(|lease| !lease.is_zero()),
            epoch: page["epoch"].as_i64()?,
            lease,
            electorate: page["electorate_size"].as_u64()?,
            peer_found: page["peer_found"].as_bool()?,
        })
    }
}

/// Both.
pub(crate) struct Pair(pub(crate) [Statestored; 2]);

impl Pair {
    /// Starts both and waits until they have agreed.
    pub(crate) fn start(network: &Network, program: &Path, root: &Path) -> Result<Self, Failure> {
        let links = [network.link()?, network.link()?];
        let start = |n: usize| {
            let own = links[n].clone();
            let args = flags(links[1 - n].port());
            let name = format!("statestored-{}", n + 1);
            Statestored::start(&name, program, root, args, own, Desk::open(network)?)
        };
        let mut pair = Self([start(0)?, start(1)?]);
        pair.0.iter_mut().try_for_each(Statestored::await_service)?;
        wait_for("one primary and one standby", START, || {
            pair.expect_alive()?;
            Ok(pair.is_settled().then_some(()))
        })?;
        Ok(pair)
    }

    /// The place of the primary, if one says so.
    pub(crate) fn primary(&self) -> Option<usize> {
        (0..2).find(|i| self.0[*i].standing().is_some_and(|it| it.acts))
    }

    /// True if one is primary and the other stands by.
    pub(crate) fn is_settled(&self) -> bool {
        let roles = self.0.each_ref().map(|it| it.standing().map(|it| it.role));
        let roles = roles.each_ref().map(|role| role.as_deref());
        matches!(
            roles,
            [Some("primary"), Some("standby")] | [Some("standby"), Some("primary")]
        )
    }

    /// An error if either has ended by itself.
    pub(crate) fn expect_alive(&mut self) -> Result<(), Failure> {
        self.0
            .iter_mut()
            .try_for_each(|it| it.process.expect_alive())
    }

    /// Cuts the two from each other, or joins them again.
    pub(crate) fn cut(&self, cut: bool) {
        self.0.iter().for_each(|it| it.link.cut(cut));
    }
}

/// With the other one behind this port.
fn flags(peer: u16) -> Vec<String> {
    let seconds = LIMIT.as_secs();
    vec![
        "--hostname=127.0.0.1".to_owned(),
        "--enable_statestored_ha".to_owned(),
        "--state_store_port=0".to_owned(),
        "--state_store_ha_port=0".to_owned(),
        "--state_store_peer_host=127.0.0.1".to_owned(),
        format!("--state_store_peer_ha_port={peer}"),
        "--webserver_port=0".to_owned(),
        "--webserver_interface=127.0.0.1".to_owned(),
        format!("--statestore_peer_timeout_seconds={seconds}"),
        format!("--statestore_subscriber_timeout_seconds={seconds}"),
        format!(
            "--statestore_heartbeat_frequency_ms={}",
            HEARTBEAT.as_millis()
        ),
        "--statestore_ha_heartbeat_monitoring_frequency_ms=100".to_owned(),
        "--statestore_ha_preemption_wait_period_ms=3000".to_owned(),
        // A dead subscriber is found after 6 x 200 ms, so that nobody waits for the story.
        "--statestore_max_missed_heartbeats=6".to_owned(),
        "--logbuflevel=-1".to_owned(),
    ]
}

impl Statestored {
    fn start(
        name: &str,
        program: &Path,
        root: &Path,
        args: Vec<String>,
        link: Link,
        desk: Desk,
    ) -> Result<Self, Failure> {
        let folder = root.join(name);
        let mut process = spawn(name, program, &folder, &args, 1)?;
        let pages = await_pages(&mut process, &link)?;
        Ok(Self {
            process,
            desk,
            pages,
            link,
            program: program.to_owned(),
            folder,
            args,
            lives: 1,
        })
    }

    /// A new process in the place of one that has ended.
    pub(crate) fn start_again(&mut self) -> Result<(), Failure> {
        self.lives += 1;
        let name = self.name().to_owned();
        self.process = spawn(&name, &self.program, &self.folder, &self.args, self.lives)?;
        self.pages = await_pages(&mut self.process, &self.link)?;
        self.await_service()
    }

    /// It takes registrations only once its role is decided.
    fn await_service(&mut self) -> Result<(), Failure> {
        let port = await_port(&mut self.process, "StatestoreService")?;
        self.desk.hand_on_to(port);
        Ok(())
    }

    /// How it is called.
    pub(crate) fn name(&self) -> &str {
        self.process.name()
    }

    /// Its pages, which no link is cut for: that is how it is watched.
    pub(crate) fn pages(&self) -> &Pages {
        &self.pages
    }

    /// What it says now; none if it does not answer.
    pub(crate) fn standing(&self) -> Option<Standing> {
        let pages = Pages::within(GLANCE, self.pages.address());
        Standing::read(&pages.json("/ha").ok()?)
    }

    /// Whether it acts, for somebody who goes on looking: a halted one answers when it goes on.
    pub(crate) fn acts(&self) -> impl Fn() -> bool + Send + 'static {
        let pages = self.pages.clone();
        let standing = move || Standing::read(&pages.json("/ha").ok()?);
        move || standing().is_some_and(|it| it.acts)
    }

    /// When its log first said so since then.
    pub(crate) fn said(&self, since: SystemTime, what: &str) -> Option<SystemTime> {
        said_since(&self.process.log("statestored"), since, what)
    }

    /// When it was over what its log first told the end of since then.
    pub(crate) fn over(&self, since: SystemTime, what: &str) -> Option<SystemTime> {
        over_since(&self.process.log("statestored"), since, what)
    }
}

/// Each life has a folder of its own, so that no log of an earlier one is read.
fn spawn(
    name: &str,
    program: &Path,
    folder: &Path,
    args: &[String],
    life: u32,
) -> Result<Process, Failure> {
    let folder = folder.join(format!("life-{life}"));
    let mut args = args.to_owned();
    args.push(format!("--log_dir={}", folder.display()));
    Process::start(name, program, &folder, &args)
}

/// Its pages; the link leads to it from now on.
fn await_pages(process: &mut Process, link: &Link) -> Result<Pages, Failure> {
    link.lead_to(await_port(process, "StatestoreHaService")?);
    let web = await_port(process, "Web server")?;
    Ok(Pages::new(format!("127.0.0.1:{web}")))
}

fn await_port(process: &mut Process, service: &str) -> Result<u16, Failure> {
    let what = format!("{service} listening on port");
    wait_for(&what, START, || {
        process.expect_alive()?;
        Ok(announced(&process.log("statestored"), &what))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(is_active: bool, rests_on: &str, by_peer: u64, by_voters: u64) -> Value {
        json!({
            "seed_role": if is_active { "primary" } else { "standby" },
            "is_active": is_active,
            "rests_on": rests_on,
            "lease_held_by_peer_ms": by_peer,
            "lease_held_by_voters_ms": by_voters,
            "epoch": 7,
            "electorate_size": 5,
            "peer_found": true,
        })
    }

    #[test]
    fn who_has_the_role_but_no_lease_does_not_act() {
        let acts = |page: Value| Standing::read(&page).map(|it| it.acts);
        assert_eq!(acts(page(true, "a lease", 0, 3)), Some(true));
        assert_eq!(acts(page(true, "a lease", 0, 0)), Some(false));
        assert_eq!(
            acts(page(true, "nobody else being there", 0, 0)),
            Some(true)
        );
        assert_eq!(acts(page(false, "nothing: not active", 9, 9)), Some(false));
        assert_eq!(acts(json!({"error": "gone"})), None);
    }

    #[test]
    fn the_lease_ends_when_its_last_support_does() {
        let lease = |page| Standing::read(&page).and_then(|it| it.lease);
        let longer = Some(Duration::from_millis(40));
        assert_eq!(lease(page(true, "a lease", 40, 3)), longer);
        assert_eq!(lease(page(true, "nobody else being there", 40, 3)), None);
    }
}
