//! `--on_change`: a shell command for every change of a topic.
//!
//! One run at a time. Changes that come meanwhile wait in the topic's stream, which is bounded,
//! and are the next run's input together. A run reads them from its standard input as JSON lines;
//! it need not. It begins when the mirrors of that topic, if any, hold what it is told. What it
//! prints goes to standard error, since standard output belongs to
//! `--follow`.
//!
//! Deliberately absent: a limit of a run's time; only the operator knows one (`timeout 10 ...`).
//!
//! Invariant: a run that is still going ends with this process, and with it whatever it started in
//! its process group. What a run left in the background when its shell ended is the operator's.

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
use crate::follow::Progress;

/// How long a run may take to end after SIGTERM.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What a command waits for.
pub(crate) struct Surroundings {
    /// The mirrors of its topic.
    pub(crate) mirrors: Vec<watch::Receiver<Progress>>,
    /// True: it ends.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Runs the command after each change until told to stop.
pub(crate) async fn run(
    handle: Handle,
    task: OnChange,
    mut around: Surroundings,
) -> Result<(), Refused> {
    let mut stop = around.stop.clone();
    let topic = task.topic.as_str();
    let mut stream = handle.follow(topic)?;
    let mut known_sweeps = 0;
    loop {
        let changes = tokio::select! {
            changes = next(&mut stream, &mut around.mirrors, known_sweeps) => changes,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        let changes = match changes {
            Next::Changes(changes) => changes,
            // Nothing new was told, but a mirror has changed: begin with the whole content.
            Next::Swept => {
                known_sweeps = sweeps(&around.mirrors);
                stream = handle.follow(topic)?;
                continue;
            }
            Next::Left => return Ok(()),
        };
        match run_once(&task, &changes, &mut around.stop).await {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::warn!("--on_change: '{}' ended with {status}", task.command),
            Err(error) => tracing::error!("--on_change: cannot run '{}': {error}", task.command),
        }
    }
}

enum Next {
    Changes(Vec<Arc<Delta>>),
    Swept,
    Left,
}

/// Waits for a change, and until all mirrors hold it.
async fn next(
    stream: &mut Follow,
    mirrors: &mut [watch::Receiver<Progress>],
    known_sweeps: u64,
) -> Next {
    let first = tokio::select! {
        biased;
        change = stream.next() => change,
        () = swept(mirrors, known_sweeps) => return Next::Swept,
    };
    let Some(first) = first else {
        return Next::Left;
    };
    let changes = gather(first, stream);
    let position = stream.position();
    for mirror in mirrors {
        let reached = mirror.wait_for(|progress| progress.position >= position);
        if reached.await.is_err() {
            return Next::Left;
        }
    }
    Next::Changes(changes)
}

/// Returns when mirrors have removed something later than their streams told.
async fn swept(mirrors: &mut [watch::Receiver<Progress>], known: u64) {
    while sweeps(mirrors) <= known {
        let changes = mirrors.iter_mut().map(|mirror| mirror.changed().boxed());
        let changes: Vec<_> = changes.collect();
        if changes.is_empty() || futures::future::select_all(changes).await.0.is_err() {
            return std::future::pending().await;
        }
    }
}

fn sweeps(mirrors: &[watch::Receiver<Progress>]) -> u64 {
    mirrors.iter().map(|mirror| mirror.borrow().sweeps).sum()
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
