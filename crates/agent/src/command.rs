//! `--on_change`: a shell command for every change of a topic.
//!
//! One run at a time. Changes that come meanwhile wait in the topic's stream, which is bounded,
//! and are the next run's input together. A run reads them from its standard input as JSON lines;
//! it need not. What it prints goes to standard error, since standard output belongs to
//! `--follow`.
//!
//! Deliberately absent: a limit of a run's time; only the operator knows one (`timeout 10 ...`).
//!
//! Invariant: a run ends with this process, and with it whatever it started in its process group.

use futures::FutureExt as _;
use rustix::process::{Pid, Signal, kill_process_group};
use statestore_subscriber::{Delta, Follow, Handle, Refused, json_line_iter};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;

use crate::args::OnChange;

/// How long a run may take to end after SIGTERM.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Runs the command after each change until told to stop.
pub(crate) async fn run(
    handle: Handle,
    task: OnChange,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Refused> {
    let mut stream = handle.follow(task.topic.as_str())?;
    loop {
        let change = tokio::select! {
            change = stream.next() => change,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(first) = change else { return Ok(()) };
        let changes = gather(first, &mut stream);
        match run_once(&task, &changes, &mut stop).await {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::warn!("--on_change: '{}' ended with {status}", task.command),
            Err(error) => tracing::error!("--on_change: cannot run '{}': {error}", task.command),
        }
    }
}

/// All changes that wait, but those that a later whole content makes void.
fn gather(first: Arc<Delta>, stream: &mut Follow) -> Vec<Arc<Delta>> {
    let mut changes = vec![first];
    while let Some(Some(next)) = stream.next().now_or_never() {
        if !next.is_delta() {
            changes.clear();
        }
        changes.push(next);
    }
    changes
}

async fn run_once(
    task: &OnChange,
    changes: &[Arc<Delta>],
    stop: &mut watch::Receiver<bool>,
) -> io::Result<ExitStatus> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", &task.command])
        .env("STATESTORE_TOPIC", &task.topic)
        .stdin(Stdio::piped())
        .stdout(Stdio::from(io::stderr()))
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let feed = feed(child.stdin.take(), changes);
    tokio::pin!(feed);
    let mut fed = false;
    loop {
        tokio::select! {
            biased;
            status = child.wait() => return status,
            () = &mut feed, if !fed => fed = true,
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    signal(group, Signal::TERM);
    let ended = tokio::time::timeout(LAST_WORDS, child.wait()).await;
    signal(group, Signal::KILL);
    match ended {
        Ok(status) => status,
        Err(_) => child.wait().await,
    }
}

/// One line at a time: the largest entry is what is held, not all of them.
async fn feed(stdin: Option<ChildStdin>, changes: &[Arc<Delta>]) {
    let Some(mut stdin) = stdin else { return };
    for delta in changes {
        for line in json_line_iter(delta, b"") {
            if stdin.write_all(line.as_bytes()).await.is_err() {
                return; // a command need not read its input
            }
        }
    }
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // Gone already is as good.
        let _ = kill_process_group(group, signal);
    }
}
