//! The two statestoreds of the demonstration: started as a pair, asked for their roles, killed,
//! halted, cut off, started again.
//!
//! Who acted when is read from their logs: both are written on this machine, with its one clock.
//! Deliberately absent: the story. Invariant: only processes started here are ever signalled.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use statestore_wire::{ProtocolVersion, SetStatestoreDebugActionRequest};

use super::Failure;
use super::process::{Process, wait_for};
use crate::address::Address;
use crate::pages::Pages;
use crate::rpc;

/// Silence after which the other one, or a subscriber, counts as lost.
pub(crate) const LIMIT: Duration = Duration::from_secs(2);
/// How long a process may take until it serves.
const START: Duration = Duration::from_secs(30);

/// One statestored.
pub(crate) struct Statestored {
    pub(crate) process: Process,
    pub(crate) pages: Pages,
    /// Port of its service.
    pub(crate) port: u16,
    program: PathBuf,
    folder: PathBuf,
    args: Vec<String>,
}

/// What it says of itself at one moment.
pub(crate) struct Standing {
    pub(crate) role: String,
    pub(crate) epoch: i64,
    pub(crate) electorate: u64,
    pub(crate) peer_found: bool,
    /// Voters that have lost the other one.
    pub(crate) lost: usize,
    pub(crate) voters: usize,
}

/// Both.
pub(crate) struct Pair(pub(crate) [Statestored; 2]);

impl Pair {
    /// Starts both and waits until they have agreed.
    pub(crate) fn start(program: &Path, root: &Path) -> Result<Self, Failure> {
        let ports = free_ports()?;
        let [service_1, service_2, ha_1, ha_2, web_1, web_2] = ports;
        let first = Statestored::new(
            "statestored-1",
            program,
            root,
            [service_1, ha_1, ha_2, web_1],
        )?;
        let second = Statestored::new(
            "statestored-2",
            program,
            root,
            [service_2, ha_2, ha_1, web_2],
        )?;
        let mut pair = Self([first, second]);
        wait_for("one primary and one standby", START, || {
            pair.expect_alive()?;
            Ok(pair.is_settled().then_some(()))
        })?;
        Ok(pair)
    }

    /// The place of the primary, if one says so.
    pub(crate) fn primary(&self) -> Option<usize> {
        (0..2).find(|i| self.0[*i].standing().is_some_and(|it| it.role == "active"))
    }

    /// True if one is active and the other stands by.
    pub(crate) fn is_settled(&self) -> bool {
        let roles = self.0.iter().map(|it| it.standing().map(|it| it.role));
        let mut roles: Vec<Option<String>> = roles.collect();
        roles.sort();
        roles == [Some("active".to_owned()), Some("standby".to_owned())]
    }

    /// An error if either has ended by itself.
    pub(crate) fn expect_alive(&mut self) -> Result<(), Failure> {
        self.0
            .iter_mut()
            .try_for_each(|it| it.process.expect_alive())
    }
}

impl Statestored {
    fn new(
        name: &str,
        program: &Path,
        root: &Path,
        [service, own_ha, peer_ha, web]: [u16; 4],
    ) -> Result<Self, Failure> {
        let folder = root.join(name);
        let seconds = LIMIT.as_secs();
        let args = vec![
            "--hostname=127.0.0.1".to_owned(),
            "--enable_statestored_ha".to_owned(),
            format!("--state_store_port={service}"),
            format!("--state_store_ha_port={own_ha}"),
            "--state_store_peer_host=127.0.0.1".to_owned(),
            format!("--state_store_peer_ha_port={peer_ha}"),
            format!("--webserver_port={web}"),
            "--webserver_interface=127.0.0.1".to_owned(),
            format!("--statestore_peer_timeout_seconds={seconds}"),
            format!("--statestore_subscriber_timeout_seconds={seconds}"),
            "--statestore_heartbeat_frequency_ms=200".to_owned(),
            "--statestore_ha_heartbeat_monitoring_frequency_ms=100".to_owned(),
            "--statestore_ha_preemption_wait_period_ms=3000".to_owned(),
            // A dead subscriber is found after 6 x 200 ms, so that nobody waits for the story.
            "--statestore_max_missed_heartbeats=6".to_owned(),
            // For the scene in which the primary is cut off.
            "--debug_actions=DISABLE_STATESTORE_NETWORK".to_owned(),
            "--logbuflevel=-1".to_owned(),
            format!("--log_dir={}", folder.display()),
        ];
        Ok(Self {
            process: Process::start(name, program, &folder, &args)?,
            pages: Pages::new(format!("127.0.0.1:{web}")),
            port: service,
            program: program.to_owned(),
            folder,
            args,
        })
    }

    /// A new process in the place of one that has ended.
    pub(crate) fn start_again(&mut self) -> Result<(), Failure> {
        let name = self.process.name().to_owned();
        self.process = Process::start(&name, &self.program, &self.folder, &self.args)?;
        Ok(())
    }

    /// What it says now; none if it does not answer.
    pub(crate) fn standing(&self) -> Option<Standing> {
        let page = self.pages.json("/ha").ok()?;
        let voters = page["voters"].as_array()?;
        let lost = |row: &&Value| row["vote_is_for_takeover"] == true;
        Some(Standing {
            role: page["role"].as_str()?.to_owned(),
            epoch: page["epoch"].as_i64()?,
            electorate: page["electorate_size"].as_u64()?,
            peer_found: page["peer_found"].as_bool()?,
            lost: voters.iter().filter(lost).count(),
            voters: voters.len(),
        })
    }

    /// Cuts it off from everybody, in both directions, or joins it again (H-9).
    pub(crate) fn cut_off(&self, cut: bool) -> Result<(), Failure> {
        let request = SetStatestoreDebugActionRequest {
            protocol_version: ProtocolVersion::V2,
            disable_network: Some(cut),
        };
        let to = Address::new("127.0.0.1", self.port);
        let answer = rpc::call(&to, START, &request);
        answer.map(drop).map_err(|e| Failure::Broken(e.to_string()))
    }

    /// When its log last said so, in microseconds of the day.
    pub(crate) fn said(&self, what: &str) -> Option<i64> {
        let log = self.process.log("statestored");
        let line = log.lines().rfind(|line| line.contains(what))?;
        micros_of_day(line.split_whitespace().nth(1)?)
    }
}

/// `HH:MM:SS.uuuuuu` of a log line.
fn micros_of_day(clock: &str) -> Option<i64> {
    let mut parts = clock.split([':', '.']).map(|part| part.parse::<i64>().ok());
    let mut next = || parts.next().flatten();
    let (hours, minutes, seconds, micros) = (next()?, next()?, next()?, next()?);
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

/// Ports that were free a moment ago: each of the two must know the other's before it starts.
fn free_ports() -> Result<[u16; 6], Failure> {
    let failed = |e| Failure::io("find free ports for", Path::new("127.0.0.1"), e);
    let mut held = Vec::new();
    let mut ports = [0; 6];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        *port = listener.local_addr().map_err(failed)?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::micros_of_day;

    #[test]
    fn a_log_line_tells_the_time_of_day() {
        assert_eq!(micros_of_day("00:00:01.000002"), Some(1_000_002));
        assert_eq!(micros_of_day("23:59:59.999999"), Some(86_399_999_999));
        assert_eq!(micros_of_day("noon"), None);
    }
}
