//! A statestored as a process, and what the tests need to look into it.
//!
//! The real binary runs on ports that the system picks; they are read from its log. Nothing here
//! waits for a fixed time: [`eventually`] asks until a condition holds or a generous limit ends.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

pub mod pair;
pub mod port;
pub mod subscriber;
pub mod voter;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How much of the log a failed test shows.
const LOG_LINES: usize = 40;

/// Asks until there is an answer; what is awaited is named in the failure.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running statestored; killed when dropped.
pub struct Statestored {
    child: Child,
    pub rpc: SocketAddr,
    pub web: SocketAddr,
    dir: TempDir,
}

/// The built statestored; tests of other crates find it beside their own binary.
fn binary() -> PathBuf {
    if let Some(path) = option_env!("CARGO_BIN_EXE_statestored") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap();
    let path = folder.join("statestored");
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--package=statestored", "--bin=statestored"]);
        build.args(folder.ends_with("release").then_some("--release"));
        build.arg("--target-dir").arg(folder.parent().unwrap());
        assert!(build.status().unwrap().success(), "{build:?}");
    }
    path
}

/// The binary with flags that suit a test.
pub fn command(dir: &TempDir, flags: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args([
            "--state_store_port=0",
            "--webserver_port=0",
            "--hostname=localhost",
        ])
        .args(["--redirect_stdout_stderr=false", "--logtostderr"])
        .arg(format!("--log_dir={}", dir.path().display()))
        .args(flags)
        .stdin(Stdio::null())
        .stdout(File::create(dir.path().join("stdout")).unwrap())
        .stderr(File::create(dir.path().join("stderr")).unwrap());
    command
}

impl Statestored {
    /// Starts one and waits until it is ready.
    pub fn start(flags: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let command = command(&dir, flags);
        Self::spawn(command, dir)
    }

    /// The same with a limit of open files.
    pub fn start_with_files(files: u32, flags: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let inner = command(&dir, flags);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")])
            .arg(inner.get_program())
            .args(inner.get_args())
            .stdout(File::create(dir.path().join("stdout")).unwrap())
            .stderr(File::create(dir.path().join("stderr")).unwrap());
        Self::spawn(command, dir)
    }

    fn spawn(command: Command, dir: TempDir) -> Self {
        let mut this = Self::launch(command, dir);
        this.await_ready();
        this
    }

    /// Starts one and waits for nothing.
    pub fn launch(mut command: Command, dir: TempDir) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            child: command.spawn().unwrap(),
            rpc: nowhere,
            web: nowhere,
            dir,
        }
    }

    /// Waits until its web server is open; pages can be read from then on.
    pub fn await_web(&mut self) {
        let port = self.await_port("Web server listening on port ");
        self.web.set_port(port);
    }

    /// Waits until it is ready.
    pub fn await_ready(&mut self) {
        self.await_web();
        let port = self.await_port("StatestoreService listening on port ");
        self.rpc.set_port(port);
        eventually("the ready line", || {
            self.log().contains("statestored is ready").then_some(())
        });
    }

    /// The port that stands after these words in the log, once it does.
    fn await_port(&mut self, before: &str) -> u16 {
        eventually(before, || {
            assert!(!self.has_ended(), "it ended:\n{}", self.log());
            self.logged_port(before)
        })
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn logged_port(&self, before: &str) -> Option<u16> {
        let log = self.log();
        let (_, after) = log.split_once(before)?;
        // A line may be read while it is written.
        let (digits, _) = after.split_once(|c: char| !c.is_ascii_digit())?;
        Some(digits.parse().unwrap())
    }

    /// Everything it has logged, wherever its flags sent it.
    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        match read("stderr") {
            stderr if stderr.is_empty() => read("statestored.INFO"),
            stderr => stderr,
        }
    }

    /// Waits for a text in the log. What a page or a peer shows may be there sooner than the line
    /// about it, which another thread writes.
    pub fn await_log(&self, text: &str) {
        eventually(&format!("'{text}' in the log"), || {
            self.log().contains(text).then_some(())
        });
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }

    /// Open files.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// The JSON document of a page, e.g. `/topics`.
    pub fn json(&self, path: &str) -> Value {
        let join = if path.contains('?') { '&' } else { '?' };
        let (status, body) = http(self.web, "GET", &format!("{path}{join}json")).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// One metric's value.
    pub fn metric(&self, key: &str) -> Value {
        self.json("/jsonmetrics")[key].clone()
    }

    /// The row of `/topics` for one topic.
    pub fn topic(&self, name: &str) -> Option<Value> {
        let topics = self.json("/topics")["topics"].as_array().unwrap().clone();
        topics.into_iter().find(|topic| topic["topic_id"] == name)
    }

    /// The ids on `/subscribers`.
    pub fn subscribers(&self) -> Vec<String> {
        let page = self.json("/subscribers");
        let ids = page["subscribers"].as_array().unwrap().iter();
        ids.map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Whether it says to be active.
    pub fn is_active(&self) -> bool {
        self.metric("statestore.active-status") == true
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// How it ended, within the limit.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the end of the process", || self.child.try_wait().unwrap())
    }
}

impl Drop for Statestored {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("--- end of statestored's log\n{}", end.join("\n"));
        }
    }
}

/// Runs the binary to its end: exit code, stdout, stderr.
pub fn run_to_end(flags: &[&str]) -> (Option<i32>, String, String) {
    let dir = TempDir::new().unwrap();
    let mut child = command(&dir, flags).spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{flags:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let read = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
    (status.code(), read("stdout"), read("stderr"))
}

/// One HTTP request: status and body.
pub fn http(to: SocketAddr, method: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&to, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    Ok((status, body.to_owned()))
}
