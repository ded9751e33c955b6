//! A subscriber of the demonstration: the process, its way to each statestored, and what it says
//! of the two.
//!
//! Deliberately absent: what it publishes or mirrors (`cluster`).

use std::cell::OnceCell;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use super::Failure;
use super::journal::{announced, said_since};
use super::links::{Link, Network};
use super::pair::{GLANCE, HEARTBEAT, LIMIT, Pair};
use super::process::Process;
use crate::pages::Pages;

/// One subscriber.
pub(crate) struct Agent {
    pub(crate) process: Process,
    /// Its id.
    pub(crate) id: String,
    /// The way to the desk of each of the two.
    doors: [Link; 2],
    pages: OnceCell<Pages>,
}

/// What it knows of one statestored at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// `primary`, `standby` or `unknown`.
    pub(crate) role: String,
    /// It is registered there, and heartbeats come.
    pub(crate) connected: bool,
    /// Seconds since the last heartbeat.
    pub(crate) heartbeat_age: Option<f64>,
    /// Missed since.
    pub(crate) missed: u64,
    /// Messages of an epoch that was over.
    pub(crate) refused: u64,
}

impl Seen {
    /// It is registered there and hears it; a registration alone is no heartbeat.
    pub(crate) fn is_heard(&self) -> bool {
        let limit = LIMIT.as_secs_f64();
        self.connected && self.heartbeat_age.is_some_and(|age| age < limit)
    }

    /// From the page `/statestores`, in the order in which the two were named.
    fn read(page: &Value) -> Option<[Self; 2]> {
        let row = |row: &Value| {
            Some(Self {
                role: row["role"].as_str()?.to_owned(),
                connected: row["connected"].as_bool()?,
                heartbeat_age: row["secs_since_heartbeat"]
                    .as_str()
                    .and_then(|age| age.parse().ok()),
                missed: row["missed_heartbeats"].as_u64()?,
                refused: row["epoch_refusals"].as_u64()?,
            })
        };
        let [one, other] = page["statestores"].as_array()?.as_slice() else {
            return None;
        };
        Some([row(one)?, row(other)?])
    }
}

/// How agents are started.
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Path,
    pub(crate) root: &'a Path,
    pub(crate) network: &'a Network,
    pub(crate) pair: &'a Pair,
}

impl Launch<'_> {
    /// Starts one; `n` makes its id, `more` are flags beside those that all have.
    pub(crate) fn agent(
        &self,
        name: &str,
        role: &str,
        n: u16,
        more: &[String],
    ) -> Result<Agent, Failure> {
        let door = |which: usize| {
            let door = self.network.link()?;
            door.lead_to(self.pair.0[which].desk.port());
            Ok::<_, Failure>(door)
        };
        let doors = [door(0)?, door(1)?];
        let folder = self.root.join(name);
        // Only part of the subscriber id: nothing listens there.
        let port = 27_000 + n;
        let mut args = vec![
            format!("--role={role}"),
            "--hostname=127.0.0.1".to_owned(),
            "--enable_statestored_ha".to_owned(),
            "--state_store_host=127.0.0.1".to_owned(),
            format!("--state_store_port={}", doors[0].port()),
            "--state_store_2_host=127.0.0.1".to_owned(),
            format!("--state_store_2_port={}", doors[1].port()),
            format!(
                "--statestore_subscriber_timeout_seconds={}",
                LIMIT.as_secs()
            ),
            format!(
                "--statestore_heartbeat_frequency_ms={}",
                HEARTBEAT.as_millis()
            ),
            "--logbuflevel=-1".to_owned(),
            "--state_store_subscriber_port=0".to_owned(),
            "--webserver_port=0".to_owned(),
            "--webserver_interface=127.0.0.1".to_owned(),
            format!("--krpc_port={port}"),
            format!("--log_dir={}", folder.display()),
        ];
        args.extend_from_slice(more);
        Ok(Agent {
            process: Process::start(name, self.program, &folder, &args)?,
            id: match role {
                "catalogd" => "catalog-server@127.0.0.1:26000".to_owned(),
                _ => format!("impalad@127.0.0.1:{port}"),
            },
            doors,
            pages: OnceCell::new(),
        })
    }
}

impl Agent {
    /// How it is called.
    pub(crate) fn name(&self) -> &str {
        self.process.name()
    }

    /// What it knows of both now; none if it does not answer.
    pub(crate) fn sees(&self) -> Option<[Seen; 2]> {
        Seen::read(&self.page()?)
    }

    /// The place of the statestored that is primary to it.
    pub(crate) fn follows(&self) -> Option<usize> {
        let both = self.sees()?;
        both.iter().position(|seen| seen.role == "primary")
    }

    /// How often another one became primary to it.
    pub(crate) fn failovers(&self) -> Option<u64> {
        self.page()?["failovers"].as_u64()
    }

    /// When its log first said since then that this statestored is lost.
    pub(crate) fn lost(&self, since: SystemTime, which: usize) -> Option<SystemTime> {
        let address = format!("statestored 127.0.0.1:{} lost", self.doors[which].port());
        said_since(&self.log(), since, &address)
    }

    /// When its log first said since then that this statestored is primary to it now.
    pub(crate) fn turned(&self, since: SystemTime, which: usize) -> Option<SystemTime> {
        let address = format!(" to 127.0.0.1:{} (version", self.doors[which].port());
        said_since(&self.log(), since, &address)
    }

    /// Cuts it and this statestored from each other, or joins them again.
    pub(crate) fn cut(&self, pair: &Pair, which: usize, cut: bool) {
        self.doors[which].cut(cut);
        pair.0[which].desk.cut(&self.id, cut);
    }

    fn log(&self) -> String {
        self.process.log("statestore-agent")
    }

    fn page(&self) -> Option<Value> {
        let pages = match self.pages.get() {
            Some(pages) => pages,
            None => {
                let port = announced(&self.log(), "Web server listening on port")?;
                self.pages
                    .get_or_init(|| Pages::within(GLANCE, format!("127.0.0.1:{port}")))
            }
        };
        pages.json("/statestores").ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_subscriber_says_of_both_is_read_in_their_order() {
        let row = |role: &str, age: Value, missed: u64| {
            json!({
                "role": role,
                "connected": missed == 0,
                "secs_since_heartbeat": age,
                "missed_heartbeats": missed,
                "epoch_refusals": 2,
            })
        };
        let rows = [
            row("standby", json!("0.125"), 0),
            row("primary", Value::Null, 3),
        ];
        let [one, other] = Seen::read(&json!({ "statestores": rows })).unwrap();
        assert_eq!(
            (one.role.as_str(), one.heartbeat_age),
            ("standby", Some(0.125))
        );
        assert_eq!((one.connected, one.missed, one.refused), (true, 0, 2));
        assert_eq!(
            (other.role.as_str(), other.heartbeat_age),
            ("primary", None)
        );
        assert_eq!((other.connected, other.missed), (false, 3));
        assert!(one.is_heard() && !other.is_heard());
        assert_eq!(Seen::read(&json!({ "statestores": [] })), None);
    }

    #[test]
    fn one_that_is_registered_anew_is_heard_with_its_next_heartbeat() {
        let seen = |age: f64| Seen {
            role: "standby".to_owned(),
            connected: true,
            heartbeat_age: Some(age),
            missed: 0,
            refused: 0,
        };
        assert!(seen(0.1).is_heard() && !seen(4.5).is_heard());
    }
}
