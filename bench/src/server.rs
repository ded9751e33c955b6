//! The statestored under test: the shipped binary, as a process of its own.
//!
//! Ports are the system's choice and are read from its log. Invariant: no statestored outlives
//! its [`Statestored`], and no other process is ever ended.

use crate::failure::Failure;
use crate::machine::{self, Process};
use serde_json::Value;
use statestore_rpc::HostPort;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take.
const START: Duration = Duration::from_secs(30);

/// A running statestored.
pub(crate) struct Statestored {
    child: Child,
    folder: TempDir,
    port: u16,
    web: u16,
}

/// The binary beside this program.
pub(crate) fn beside() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.with_file_name("statestored")
}

impl Statestored {
    /// Starts the binary and waits until it is ready.
    pub(crate) async fn start(binary: &Path, flags: &[&str]) -> Result<Self, Failure> {
        let mut this = Self::launch(binary, flags)?;
        this.become_ready().await?;
        Ok(this)
    }

    /// Starts the binary.
    pub(crate) fn launch(binary: &Path, flags: &[&str]) -> Result<Self, Failure> {
        let folder = TempDir::new().map_err(Failure::io("make a folder for logs"))?;
        let log = File::create(folder.path().join("log")).map_err(Failure::io("make a log"))?;
        let child = machine::session_of(binary)
            .args(["--state_store_port=0", "--webserver_port=0"])
            .args(["--hostname=localhost", "--redirect_stdout_stderr=false"])
            .arg("--logtostderr")
            .arg(format!("--log_dir={}", folder.path().display()))
            .args(flags)
            // The times of its log.
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Failure::io(format!("start {}", binary.display())))?;
        Ok(Self {
            child,
            folder,
            port: 0,
            web: 0,
        })
    }

    /// Waits until it is ready.
    pub(crate) async fn become_ready(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        while !self.log().contains("statestored is ready") {
            self.expect_alive()?;
            if start.elapsed() > START {
                return Err(self.failure(format!("was not ready within {START:?}")));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.port = self.logged_port("StatestoreService listening on port ")?;
        self.web = self.logged_port("Web server listening on port ")?;
        Ok(())
    }

    /// An error if it has ended.
    pub(crate) fn expect_alive(&mut self) -> Result<(), Failure> {
        let ended = self.child.try_wait().map_err(Failure::io("wait for it"))?;
        ended.map_or(Ok(()), |status| {
            Err(self.failure(format!("ended: {status}")))
        })
    }

    /// Where StatestoreService listens.
    pub(crate) fn address(&self) -> HostPort {
        HostPort::new("127.0.0.1", self.port)
    }

    /// What the system says of it.
    pub(crate) fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// The JSON document of a page.
    pub(crate) async fn page(&self, path: &str) -> Result<Value, Failure> {
        let address = format!("http://127.0.0.1:{}{path}?json", self.web);
        let failed = |page: &str, why: String| Failure::Page {
            page: page.to_owned(),
            why,
        };
        let read = tokio::task::spawn_blocking(move || {
            // A proxy of this user's knows nothing of our loopback device.
            let direct = ureq::Agent::config_builder().proxy(None).build();
            let answer = ureq::Agent::from(direct).get(&address).call();
            answer.and_then(|mut answer| answer.body_mut().read_to_string())
        });
        let body = read
            .await
            .map_err(|error| failed(path, error.to_string()))?
            .map_err(|error| failed(path, error.to_string()))?;
        serde_json::from_str(&body).map_err(|error| failed(path, error.to_string()))
    }

    /// Entries of a topic, tombstones included; 0 if there is no such topic.
    pub(crate) async fn entries(&self, topic: &str) -> Result<u64, Failure> {
        Ok(self.topic(topic).await?["num_entries"]
            .as_u64()
            .unwrap_or_default())
    }

    /// The version of a topic: how many changes it has seen.
    pub(crate) async fn version(&self, topic: &str) -> Result<u64, Failure> {
        Ok(self.topic(topic).await?["version"]
            .as_u64()
            .unwrap_or_default())
    }

    /// Registrations that it counts.
    pub(crate) async fn subscribers(&self) -> Result<usize, Failure> {
        let page = self.page("/subscribers").await?;
        Ok(page["subscribers"].as_array().map_or(0, Vec::len))
    }

    async fn topic(&self, name: &str) -> Result<Value, Failure> {
        let page = self.page("/topics").await?;
        let topics = page["topics"].as_array().cloned().unwrap_or_default();
        let found = topics.into_iter().find(|topic| topic["topic_id"] == name);
        Ok(found.unwrap_or_default())
    }

    /// `kill -9`, and waits for its end.
    pub(crate) fn end(&mut self) {
        // Both fail only if it is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn logged_port(&self, before: &str) -> Result<u16, Failure> {
        let log = self.log();
        let after = log.split_once(before).map_or("", |(_, after)| after);
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits
            .parse()
            .map_err(|_| self.failure(format!("did not log '{before}'")))
    }

    fn failure(&self, why: String) -> Failure {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        Failure::Statestored {
            why,
            log: lines[lines.len().saturating_sub(20)..].join("\n"),
        }
    }
}

impl Drop for Statestored {
    fn drop(&mut self) {
        self.end();
    }
}
