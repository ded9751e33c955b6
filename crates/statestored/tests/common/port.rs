//! Ports for flags that cannot be 0.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many ports a process takes before it takes those of another one.
const SHARE: u32 = 32;

/// A free port below those that the system picks for others, so that nobody gets it by chance:
/// neither a listener at port 0 nor a connection. Each process begins elsewhere.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(SHARE);
    loop {
        let next = first.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + next % 20_000).unwrap();
        // Not by opening it: a process that is started at that moment would keep it open.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            return port;
        }
    }
}
