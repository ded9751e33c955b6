//! How a daemon begins and ends, seen from outside: `examples/bare.rs` as a process
//! (flags.md sections 9 and 11).
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

/// Built by cargo beside the tests.
fn bare() -> Command {
    let deps = std::env::current_exe().unwrap();
    let path: PathBuf = deps.ancestors().nth(2).unwrap().join("examples/bare");
    assert!(
        path.exists(),
        "{} is missing: cargo build --examples",
        path.display()
    );
    let mut command = Command::new(path);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Should an abort leave a core file, then not in the source tree.
    command.current_dir(std::env::temp_dir());
    command
        .env_remove("NOTIFY_SOCKET")
        .env("RUST_BACKTRACE", "0");
    command
}

fn output(args: &[&str]) -> Output {
    bare().args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

struct Daemon {
    child: Option<Child>,
    dir: tempfile::TempDir,
}

impl Daemon {
    /// Runs until it tells the service manager that it is ready.
    fn start(args: &[&str]) -> Self {
        Self::spawn(bare(), args)
    }

    /// The same where files can hold only so many blocks of 512 bytes, as on a full disk.
    fn start_on_full_disk(blocks: u32, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(bare().get_program());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self::spawn(command, args)
    }

    fn spawn(mut command: Command, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        command
            .arg(format!("--log_dir={}", dir.path().display()))
            .args(args);
        command.env("NOTIFY_SOCKET", dir.path().join("notify"));
        let child = Some(command.spawn().unwrap());
        let daemon = Daemon { child, dir };
        let mut ready = [0; 64];
        let length = socket.recv(&mut ready).unwrap();
        assert_eq!(&ready[..length], b"READY=1");
        daemon
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn end(mut self, signal: Signal) -> (Output, tempfile::TempDir) {
        self.signal(signal);
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        (
            output,
            std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap()),
        )
    }

    /// Waits until the INFO log has this text.
    fn wait_for(&self, wanted: &str) {
        let start = Instant::now();
        while !log(self.dir.path(), "INFO").contains(wanted) {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "no '{wanted}' in the log"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn log(dir: &Path, severity: &str) -> String {
    fs::read_to_string(dir.join(format!("bare.{severity}"))).unwrap_or_default()
}

#[test]
fn a_signal_ends_it_with_status_0_and_a_word_in_the_log() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let (output, dir) = Daemon::start(&[]).end(signal);
        assert_eq!(output.status.code(), Some(0));
        let line = format!("Caught signal: {name}. Daemon will exit.\n");
        // stdout leads to the INFO file, so the bare line stands there too.
        assert!(log(dir.path(), "INFO").ends_with(&line));
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn sigusr1_is_logged_and_survived() {
    let daemon = Daemon::start(&[]);
    daemon.signal(Signal::USR1);
    daemon.wait_for("SIGUSR1");
    assert_eq!(daemon.end(Signal::TERM).0.status.code(), Some(0));
}

#[test]
fn the_log_begins_with_version_host_pid_and_changed_flags() {
    let daemon = Daemon::start(&["--hostname=somewhere", "--krb5_conf=/x", "--be_port=1"]);
    let id = daemon.child.as_ref().unwrap().id();
    let (_, dir) = daemon.end(Signal::TERM);
    let info = log(dir.path(), "INFO");
    for wanted in [
        "] bare version ",
        "] Using hostname: somewhere\n",
        &format!("] Process ID: {id}\n"),
        "] --hostname=somewhere\n",
        "] --webserver_port=0\n",
        "] flag krb5_conf is accepted but has no effect\n",
        "] Ignoring removed flag be_port\n",
        "] Webserver started on 0.0.0.0:",
    ] {
        assert!(info.contains(wanted), "no '{wanted}' in\n{info}");
    }
    assert!(log(dir.path(), "WARNING").contains("Ignoring removed flag be_port"));
}

#[test]
fn buffered_lines_reach_the_file_within_the_buffer_time() {
    let daemon = Daemon::start(&["--logbufsecs=1"]);
    daemon.wait_for("] Webserver started on ");
}

#[test]
fn stdout_leads_to_the_info_file_and_stderr_to_the_error_file() {
    let (output, dir) = Daemon::start(&["--say=hello"]).end(Signal::TERM);
    assert!(log(dir.path(), "INFO").contains("hello on stdout\n"));
    assert!(log(dir.path(), "ERROR").contains("hello on stderr\n"));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}

#[test]
fn without_redirection_messages_can_go_to_stderr_alone() {
    let args = ["--noredirect_stdout_stderr", "--logtostderr", "--say=hello"];
    let (output, dir) = Daemon::start(&args).end(Signal::TERM);
    assert!(text(&output.stderr).contains("] Using hostname: "));
    assert!(text(&output.stdout).starts_with("hello on stdout\nCaught signal: SIGTERM."));
    assert_eq!(log(dir.path(), "INFO"), "");
}

#[test]
fn logtostderr_alone_changes_nothing() {
    let (output, dir) = Daemon::start(&["--logtostderr"]).end(Signal::TERM);
    assert!(output.stderr.is_empty());
    assert!(log(dir.path(), "INFO").contains("Using hostname"));
    let warning = "flag logtostderr has no effect while redirect_stdout_stderr is true";
    assert!(log(dir.path(), "WARNING").contains(warning));
}

#[test]
fn bad_flags_help_and_version_have_their_exit_codes() {
    let bad = output(&["--no_such"]);
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(
        text(&bad.stderr),
        "ERROR: unknown command line flag 'no_such'\n"
    );
    let help = output(&["--help"]);
    assert_eq!(help.status.code(), Some(1));
    assert!(text(&help.stdout).contains("Flags from examples/bare.rs:"));
    let version = output(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert!(text(&version.stdout).starts_with("bare version "));
    let file = output(&["--flagfile=/no/file"]);
    assert_eq!(file.status.code(), Some(1));
    assert_eq!(text(&file.stderr), "/no/file: No such file or directory\n");
}

#[test]
fn an_unwritable_log_folder_ends_the_start_with_its_name() {
    let output = output(&["--log_dir=/no/such/folder"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    let named = "Could not open file in log_dir /no/such/folder: No such file";
    assert!(stderr.starts_with(named), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
}

#[test]
fn a_bad_configuration_is_an_error_line_and_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = format!("--log_dir={}", dir.path().display());
    let output = output(&[&log_dir, "--webserver_password_file=/no/file"]);
    assert_eq!(output.status.code(), Some(1));
    let error = log(dir.path(), "ERROR");
    assert!(
        error.ends_with("] Webserver: Password file does not exist: /no/file\n"),
        "{error}"
    );
}

#[test]
fn a_taken_port_is_a_fatal_line_and_an_abort() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let log_dir = format!("--log_dir={}", dir.path().display());
    let port = taken.local_addr().unwrap().port();
    let output = output(&[&log_dir, &format!("--webserver_port={port}")]);
    assert_eq!(output.status.signal(), Some(Signal::ABORT.as_raw()));
    for severity in ["INFO", "WARNING", "ERROR", "FATAL"] {
        let log = log(dir.path(), severity);
        let line = log.lines().last().unwrap_or_default();
        assert!(
            line.starts_with('F') && line.ends_with(". Impalad exiting."),
            "{severity}: {log}"
        );
        assert!(line.contains(&format!("0.0.0.0:{port}")));
    }
}

#[test]
fn links_that_cannot_be_made_are_told_once() {
    let (output, _dir) = Daemon::start(&["--log_filename=a/b"]).end(Signal::TERM);
    let stderr = text(&output.stderr);
    let told = " has no links --log_filename=a/b to its files: No such file";
    assert!(stderr.contains(told), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

// flags.md section 9
#[test]
fn a_full_disk_is_told_once_and_costs_only_lines() {
    let daemon = Daemon::start_on_full_disk(1, &["--logbuflevel=-1"]);
    let limit = Rlimit {
        current: None,
        maximum: None,
    };
    // There is room again.
    prlimit(Some(daemon.pid()), Resource::Fsize, limit).unwrap();
    let folder = daemon.dir.path().to_owned();
    let (output, _dir) = daemon.end(Signal::TERM);
    assert_eq!(output.status.code(), Some(0));
    let stderr = text(&output.stderr);
    let told = format!("WARNING: the log in --log_dir={} cannot", folder.display());
    assert!(stderr.starts_with(&told), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");

    let log = log(&folder, "INFO");
    let (before, after) = log.split_at(512);
    assert!(before.ends_with('\n') || after.starts_with('\n'), "{log}");
    let mut after = after.lines();
    let missing = after.find(|line| line.contains(" lines are missing above: "));
    assert!(missing.is_some_and(|line| line.starts_with('W')), "{log}");
    let last = after.last().unwrap_or_default();
    assert_eq!(last, "Caught signal: SIGTERM. Daemon will exit.", "{log}");
}
