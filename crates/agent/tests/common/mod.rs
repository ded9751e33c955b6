//! Agents as processes around a real statestored, and folders to compare.
//!
//! Ports are the system's and read from logs; the statestored and the waiting are shared with
//! its own tests. Periods are short, so that a test takes seconds; nothing relies on them.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "../../../statestored/tests/common/mod.rs"]
mod statestored;

pub use statestored::port::free_port;
pub use statestored::{LIMIT, Statestored, eventually, http};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use tempfile::TempDir;

/// A statestored that is quick to notice and to send.
pub fn statestored(flags: &[&str]) -> Statestored {
    let quick = [
        "--statestore_heartbeat_frequency_ms=100",
        "--statestore_max_missed_heartbeats=5",
        "--statestore_update_frequency_ms=100",
    ];
    Statestored::start(&[&quick, flags].concat())
}

/// A running agent; killed when dropped.
pub struct Agent {
    pub child: Child,
    pub web: SocketAddr,
    dir: TempDir,
}

/// The binary with flags that suit a test: it finds nobody unless `statestored` is given.
pub fn command(dir: &TempDir, statestored: Option<SocketAddr>, flags: &[&str]) -> Command {
    let port = statestored.map_or(1, |address| address.port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_statestore-agent"));
    command
        .args(["--hostname=localhost", "--state_store_host=127.0.0.1"])
        .arg(format!("--state_store_port={port}"))
        .args(["--state_store_subscriber_port=0", "--webserver_port=0"])
        .args(["--webserver_interface=127.0.0.1", "--logbuflevel=-1"])
        .arg("--statestore_subscriber_timeout_seconds=1")
        .arg("--statestore_subscriber_cnxn_attempts=0")
        .arg("--statestore_subscriber_cnxn_retry_interval_ms=50")
        .arg("--statestore_subscriber_recovery_grace_period_ms=1000")
        .arg(format!("--log_dir={}", dir.path().display()))
        .args(flags)
        .stdin(Stdio::null())
        .stdout(File::create(dir.path().join("stdout")).unwrap())
        .stderr(File::create(dir.path().join("stderr")).unwrap());
    command
}

impl Agent {
    /// Starts one and waits until it is registered.
    pub fn start(statestored: &Statestored, flags: &[&str]) -> Self {
        let agent = Self::spawn(Some(statestored.rpc), flags);
        agent.await_log("statestore-agent is ready");
        agent
    }

    /// Starts one and waits for its web server only.
    pub fn spawn(statestored: Option<SocketAddr>, flags: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let command = command(&dir, statestored, flags);
        Self::from_command(command, dir)
    }

    pub fn from_command(mut command: Command, dir: TempDir) -> Self {
        let mut agent = Self {
            child: command.spawn().unwrap(),
            web: SocketAddr::from(([127, 0, 0, 1], 0)),
            dir,
        };
        let port = agent.await_log("Web server listening on port ");
        agent.web.set_port(port.parse().unwrap());
        agent
    }

    /// Waits for a text in the log; the answer is the word after it.
    pub fn await_log(&self, text: &str) -> String {
        eventually(text, || {
            let log = self.log();
            let after = log.split_once(text)?.1;
            let line = after.split_once('\n')?.0;
            Some(line.split(' ').next().unwrap().to_owned())
        })
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("statestore-agent.INFO")).unwrap_or_default()
    }

    pub fn stdout(&self) -> String {
        fs::read_to_string(self.dir.path().join("stdout")).unwrap()
    }

    /// What `--follow` printed, whole lines only.
    pub fn lines(&self) -> Vec<Value> {
        let stdout = self.stdout();
        let whole = stdout.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What a topic holds, as who reads the printed lines knows it.
    pub fn content(&self, topic: &str) -> BTreeMap<String, String> {
        let mut content = BTreeMap::new();
        for line in self.lines().iter().filter(|line| line["topic"] == topic) {
            if line["snapshot"] == true {
                content.clear();
            } else if let Some(value) = line["value"].as_str() {
                content.insert(line["key"].as_str().unwrap().to_owned(), value.to_owned());
            } else {
                content.remove(line["key"].as_str().unwrap());
            }
        }
        content
    }

    /// The JSON document of a page, e.g. `/statestores`.
    pub fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(&format!("{path}?json"));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        http(self.web, "GET", path).unwrap()
    }

    pub fn metric(&self, key: &str) -> Value {
        self.json("/jsonmetrics")[key].clone()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        eventually("the end of the agent", || self.child.try_wait().unwrap())
    }

    /// A folder that goes with the agent.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- agent's log\n{}", self.log());
        }
    }
}

/// Runs the binary to its end: exit code, stdout, stderr.
pub fn run_to_end(statestored: Option<SocketAddr>, flags: &[&str]) -> (i32, String, String) {
    let dir = TempDir::new().unwrap();
    let mut child = command(&dir, statestored, flags).spawn().unwrap();
    let status = eventually(&format!("the end of {flags:?}"), || {
        child.try_wait().unwrap()
    });
    let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
    (status.code().unwrap(), read("stdout"), read("stderr"))
}

/// Every file below a folder, by its path; a mirror's own files left out.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        // Files come and go while a mirror works.
        let Ok(entries) = fs::read_dir(&next) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.strip_prefix(folder).unwrap().to_owned();
            if path.is_dir() {
                open.push(path);
            } else if !name.to_string_lossy().starts_with(".statestore-") {
                files.extend(fs::read(&path).map(|bytes| (name, bytes)));
            }
        }
    }
    files
}

/// Waits until two folders hold the same files, byte for byte.
pub fn await_equal(source: &Path, mirror: &Path) {
    let what = format!("{} equals {}", mirror.display(), source.display());
    eventually(&what, || (tree(source) == tree(mirror)).then_some(()));
}

/// Writes a file and the folders above it.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // In one step: a file that is half written would be published as it is.
    let staged = tempfile::NamedTempFile::new().unwrap();
    fs::write(staged.path(), content).unwrap();
    staged.persist(path).unwrap();
}
