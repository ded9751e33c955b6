//! A real statestored, a publisher, and the program under test.
//!
//! The binaries of statestored and agent are looked for in `STATESTORE_BIN_DIR`, then beside the
//! binary under test, where `cargo build --workspace` puts them; what is in neither place is built
//! there.
//! Nothing waits for a fixed time: [`eventually`] asks until a condition holds.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

#[path = "../../../statestored/tests/common/port.rs"]
pub mod port;

use assert_cmd::Command;
use serde_json::Value;
use statestore_subscriber::{Handle, Subscriber, Topic};
use std::fs::{File, read_to_string};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub const LIMIT: Duration = Duration::from_secs(30);

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

/// The program under test.
pub const STATESTORECTL: &str = env!("CARGO_BIN_EXE_statestorectl");

fn binary(name: &str) -> PathBuf {
    let beside = Path::new(STATESTORECTL).parent().unwrap();
    let named = std::env::var_os("STATESTORE_BIN_DIR").map(PathBuf::from);
    for folder in named.iter().map(PathBuf::as_path).chain([beside]) {
        let path = folder.join(name);
        if path.is_file() {
            return path;
        }
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = std::process::Command::new(cargo);
    build.args(["build", "--quiet", "--package", name, "--target-dir"]);
    build.arg(beside.parent().unwrap());
    if beside.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "{name} does not build");
    beside.join(name)
}

/// A running statestored; killed when dropped.
pub struct Statestored {
    child: Child,
    pub rpc: u16,
    pub web: u16,
    dir: TempDir,
}

impl Statestored {
    /// Starts one that hurries, on ports that the system picks; flags come on top.
    pub fn start(flags: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let child = std::process::Command::new(binary("statestored"))
            .args(["--state_store_port=0", "--webserver_port=0"])
            .args(["--hostname=127.0.0.1", "--webserver_interface=127.0.0.1"])
            .arg("--statestore_update_frequency_ms=50")
            .args(["--logbuflevel=-1", "--redirect_stdout_stderr=false"])
            .arg(format!("--log_dir={}", dir.path().display()))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let (rpc, web) = (0, 0);
        let mut this = Self {
            child,
            rpc,
            web,
            dir,
        };
        (this.rpc, this.web) = eventually("the statestored's ports in its log", || {
            assert!(
                this.child.try_wait().unwrap().is_none(),
                "it ended:\n{}",
                this.log()
            );
            let rpc = this.logged_port("StatestoreService listening on port ")?;
            Some((rpc, this.logged_port("Web server listening on port ")?))
        });
        eventually("its pages", || {
            this.ctl(&["topics"])
                .output()
                .unwrap()
                .status
                .success()
                .then_some(())
        });
        this
    }

    fn logged_port(&self, before: &str) -> Option<u16> {
        port_after(&self.log(), before)
    }

    /// Waits for a text in the log. What a page or a peer shows may be there sooner than the line
    /// about it, which another thread writes.
    pub fn await_log(&self, text: &str) {
        eventually(&format!("'{text}' in the log"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// Everything it has said.
    pub fn log(&self) -> String {
        let read = |name| read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("stderr") + &read("statestored.INFO")
    }

    /// Where it is, as arguments.
    pub fn reach(&self) -> [String; 4] {
        let at = |port| format!("127.0.0.1:{port}");
        [
            "--web".to_owned(),
            at(self.web),
            "--rpc".to_owned(),
            at(self.rpc),
        ]
    }

    /// A command for the program under test.
    pub fn ctl(&self, args: &[&str]) -> Command {
        let mut command = ctl(args);
        command.args(self.reach());
        command
    }

    /// What a command prints with `--json`.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.ctl(args).arg("--json").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// The names on `/topics`.
    pub fn topics(&self) -> Vec<String> {
        let rows = self.json(&["topics"]);
        let names = rows.as_array().unwrap().iter();
        names
            .map(|row| row["topic_id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A subscriber that publishes into `topic`, once all of it has arrived.
    pub async fn publisher(&self, topic: &str, entries: &[(&[u8], &[u8])]) -> Handle {
        let publisher = Subscriber::builder("publisher")
            .statestore("127.0.0.1", self.rpc)
            .hostname("127.0.0.1")
            .topic(Topic::new(topic))
            .start()
            .await
            .unwrap();
        publisher.registered().await.unwrap();
        for (key, value) in entries {
            publisher
                .publish(topic, *key, value.to_vec())
                .await
                .unwrap();
        }
        tokio::time::timeout(LIMIT, publisher.flush())
            .await
            .unwrap()
            .unwrap();
        publisher
    }
}

impl Drop for Statestored {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of statestored\n{}", self.log());
        }
    }
}

/// A running agent; killed when dropped.
pub struct Agent {
    child: Child,
    pub web: u16,
    dir: TempDir,
}

impl Agent {
    /// Starts one of both statestoreds of a pair, that waits for nobody.
    pub fn start(id: &str, pair: [&Statestored; 2]) -> Self {
        let dir = TempDir::new().unwrap();
        let child = std::process::Command::new(binary("statestore-agent"))
            .args(["--hostname=127.0.0.1", "--state_store_host=127.0.0.1"])
            .args(["--state_store_2_host=127.0.0.1", "--enable_statestored_ha"])
            .arg(format!("--state_store_port={}", pair[0].rpc))
            .arg(format!("--state_store_2_port={}", pair[1].rpc))
            .arg(format!("--subscriber_id={id}"))
            .args(["--state_store_subscriber_port=0", "--webserver_port=0"])
            .args(["--webserver_interface=127.0.0.1", "--logbuflevel=-1"])
            .arg(format!("--log_dir={}", dir.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut this = Self { child, web: 0, dir };
        this.web = eventually("the agent's port in its log", || {
            let log = read_to_string(this.dir.path().join("statestore-agent.INFO")).ok()?;
            port_after(&log, "Web server listening on port ")
        });
        this
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn port_after(log: &str, before: &str) -> Option<u16> {
    let (_, after) = log.split_once(before)?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    // A line may be read while it is written.
    after.contains('\n').then(|| digits.parse().unwrap())
}

/// A command for the program under test that names no statestored.
pub fn ctl(args: &[&str]) -> Command {
    let mut command = Command::new(STATESTORECTL);
    command.args(args).timeout(LIMIT).env("COLUMNS", "200");
    command
}

/// Stdout of a command that must succeed.
pub fn stdout(mut command: Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and stderr of a command that must fail and print nothing else.
pub fn failure(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    let (out, err) = (output.stdout, String::from_utf8(output.stderr).unwrap());
    assert_eq!(String::from_utf8_lossy(&out), "", "{command:?}: {err}");
    (output.status.code().unwrap(), err)
}
