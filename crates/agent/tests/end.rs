//! How an agent ends, whatever becomes of those who read it. No statestored is needed.

#![allow(clippy::unwrap_used, reason = "tests")]

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Generous: reached only when something is broken.
const LIMIT: Duration = Duration::from_secs(30);

fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_reader_that_stands_still_keeps_no_agent_from_ending() {
    let logs = tempfile::tempdir().unwrap();
    let (reader, mut full) = io::pipe().unwrap();
    let room = rustix::pipe::fcntl_getpipe_size(&full).unwrap();
    full.write_all(&vec![b'x'; room]).unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_statestore-agent"))
        .args(["--subscriber_id=a", "--hostname=127.0.0.1", "--follow=t"])
        .args(["--state_store_host=127.0.0.1", "--state_store_port=1"])
        .args(["--webserver_port=0", "--webserver_interface=127.0.0.1"])
        .arg("--logbuflevel=-1")
        .arg(format!("--log_dir={}", logs.path().display()))
        .stdin(Stdio::null())
        .stdout(full)
        .spawn()
        .unwrap();
    let log = logs.path().join("statestore-agent.INFO");
    eventually("the agent listens", || {
        let log = fs::read_to_string(&log).ok()?;
        log.contains(" listens on ").then_some(())
    });
    let pid = Pid::from_raw(agent.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = eventually("the agent ends", || agent.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    drop(reader);
}
