//! Two statestored processes that are each other's peer.
//!
//! Each has to know the other's HA port before it starts, so the ports are picked
//! before; whoever finds his taken meanwhile is started again.

use super::port::free_port;
use super::{Statestored, command, eventually};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

/// T_p and T_s that follow from [`FLAGS`].
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Ten times as quick as by default, with periods of 100 ms.
const FLAGS: [&str; 11] = [
    "--enable_statestored_ha",
    "--hostname=127.0.0.1",
    "--state_store_peer_host=127.0.0.1",
    "--use_network_address_as_statestore_priority",
    "--max_missed_heartbeat_request_num=20",
    "--statestore_ha_heartbeat_monitoring_frequency_ms=100",
    "--statestore_heartbeat_frequency_ms=100",
    "--statestore_ha_preemption_wait_period_ms=1000",
    "--statestore_peer_cnxn_attempts=20",
    "--statestore_update_frequency_ms=100",
    "--statestore_max_missed_heartbeats=20",
];

/// Where the two are.
pub struct Pair {
    /// Of StatestoreHaService, the lower address first: that one has priority.
    pub ports: [u16; 2],
    flags: Vec<String>,
}

impl Pair {
    /// Ports for two that are not running yet; the flags are for both.
    pub fn new(flags: &[&str]) -> Self {
        Self {
            ports: free_ports(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        }
    }

    /// Two that are ready: the active one first.
    pub fn start(flags: &[&str]) -> (Self, Statestored, Statestored) {
        let pair = Self::new(flags);
        let (mut first, mut second) = (pair.launch(0, &[]), pair.launch(1, &[]));
        first.await_ready();
        second.await_ready();
        await_role(&first, "active");
        await_role(&second, "standby");
        (pair, first, second)
    }

    /// Where the peer of one is called.
    pub fn ha(&self, which: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[which]))
    }

    /// One of the two, as soon as it listens for its peer and on the web.
    pub fn launch(&self, which: usize, more: &[&str]) -> Statestored {
        let own = format!("--state_store_ha_port={}", self.ports[which]);
        let peer = format!("--state_store_peer_ha_port={}", self.ports[1 - which]);
        let flags = FLAGS.iter().copied().chain([&*own, &*peer]);
        let flags = flags.chain(self.flags.iter().map(String::as_str));
        let flags: Vec<&str> = flags.chain(more.iter().copied()).collect();
        eventually("a statestored on the HA port that was picked", || {
            let dir = TempDir::new().unwrap();
            let command = command(&dir, &flags);
            let mut statestored = Statestored::launch(command, dir);
            let opened = eventually("its HA port, or its end", || {
                let port = statestored.logged_port("StatestoreHaService listening on port ");
                match port {
                    Some(_) => Some(true),
                    None => statestored.has_ended().then_some(false),
                }
            });
            let log = statestored.log();
            assert!(opened || log.contains("in use"), "{log}");
            opened.then(|| {
                statestored.await_web();
                statestored
            })
        })
    }
}

/// Waits for a role on `/ha`.
pub fn await_role(statestored: &Statestored, role: &str) {
    eventually(&format!("role {role}"), || {
        (statestored.json("/ha")["role"] == role).then_some(())
    });
}

/// Two ports that are free at this moment; the address of the first sorts first.
fn free_ports() -> [u16; 2] {
    let mut ports = [(); 2].map(|()| free_port());
    ports.sort_by_key(|port| format!("127.0.0.1:{port}"));
    ports
}
