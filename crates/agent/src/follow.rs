//! What becomes of a followed topic: printed, mirrored into a folder, or given to a command.
//!
//! Each task reads a stream of its own and may be slow: the stream then begins again with the
//! whole content. Deliberately absent: which topics there are (`roles.rs`).

use statestore_subscriber::{Delta, Handle, Refused};
use std::io::{self, Write as _};
use std::process::Stdio;
use std::sync::Arc;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::args::{Follow, MirrorTopic, OnChange};
use crate::mirror::{Mirror, MirrorError};
use statestore_subscriber::json_lines;

/// Why following ended before the process was asked to.
#[derive(Debug, Error)]
pub(crate) enum FollowError {
    #[error("--follow: nobody reads standard output any more: {0}")]
    Output(io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Prints changes as JSON lines to standard output.
pub(crate) async fn print(handle: Handle, task: Follow) -> Result<(), FollowError> {
    let prefix = task.prefix.unwrap_or_default();
    let mut stream = handle.follow(task.topic.as_str())?;
    while let Some(delta) = stream.next().await {
        let lines = json_lines(&delta, prefix.as_bytes());
        let written = blocking(move || {
            let mut out = io::stdout().lock();
            out.write_all(lines.as_bytes()).and_then(|()| out.flush())
        });
        written.await.map_err(FollowError::Output)?;
    }
    Ok(())
}

/// Keeps a folder equal to a topic. A full disk or the like is logged, and mended by writing the
/// whole content again when the next change comes.
pub(crate) async fn mirror(
    handle: Handle,
    task: MirrorTopic,
    folder: Mirror,
) -> Result<(), FollowError> {
    let prefix = task.prefix.unwrap_or_default().into_bytes();
    let folder = Arc::new(folder);
    let mut stream = handle.follow(task.topic.as_str())?;
    let mut whole = true;
    while let Some(delta) = stream.next().await {
        let (to, prefix) = (Arc::clone(&folder), prefix.clone());
        let outcome = match whole || !delta.is_delta() {
            false => blocking(move || apply(&to, &delta, &prefix)).await,
            true => {
                let entries = handle.entries(task.topic.as_str())?;
                blocking(move || {
                    let entries = entries
                        .iter()
                        .filter(|(key, _)| key.as_bytes().starts_with(&prefix));
                    to.replace(entries.map(|(key, value)| (key.as_bytes(), value.as_ref())))
                })
                .await
            }
        };
        whole = matches!(outcome, Err(MirrorError::Io { .. }));
        if let Err(error) = outcome {
            tracing::error!("{error}");
        }
    }
    Ok(())
}

fn apply(folder: &Mirror, delta: &Delta, prefix: &[u8]) -> Result<(), MirrorError> {
    let mut first = Ok(());
    for item in delta
        .items()
        .iter()
        .filter(|item| item.key.starts_with(prefix))
    {
        let done = match item.deleted {
            true => folder.delete(item.key),
            false => folder.put(item.key, item.value),
        };
        first = first.and(done);
    }
    first
}

/// Runs a shell command after each change, one at a time, with the changes on its standard
/// input as JSON lines and the topic in `STATESTORE_TOPIC`. It ends with this process.
pub(crate) async fn run_command(handle: Handle, task: OnChange) -> Result<(), FollowError> {
    let mut stream = handle.follow(task.topic.as_str())?;
    while let Some(delta) = stream.next().await {
        match run_once(&task, json_lines(&delta, b"")).await {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::warn!("--on_change: '{}' ended with {status}", task.command),
            Err(error) => tracing::error!("--on_change: cannot run '{}': {error}", task.command),
        }
    }
    Ok(())
}

async fn run_once(task: &OnChange, input: String) -> io::Result<std::process::ExitStatus> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", &task.command])
        .env("STATESTORE_TOPIC", &task.topic)
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command need not read its input.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let (status, ()) = tokio::join!(child.wait(), feed);
    status
}

/// Runs on a thread that may wait for disks and pipes.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A panic is a bug of ours; it must not go unnoticed.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
