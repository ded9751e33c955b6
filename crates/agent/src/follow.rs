//! What becomes of a followed topic: printed, or mirrored into a folder.
//!
//! Each task reads a stream of its own and may be slow: the stream then begins again with the
//! whole content. Deliberately absent: which topics there are (`roles.rs`), commands
//! (`command.rs`).
//!
//! Invariant: whatever goes wrong with a mirror, it ends equal to the topic once it can be.

use statestore_subscriber::{Delta, Handle, Refused, json_line_iter};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::args::{Follow, MirrorTopic};
use crate::mirror::{Mirror, MirrorError};
use crate::output::Output;

/// Pause before a mirror is written anew after a failure; doubled with each in a row.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const LAST_RETRY: Duration = Duration::from_secs(30);
/// How often a mirror looks whether the time of grace is over.
const GRACE_LOOK: Duration = Duration::from_millis(250);

/// Why following ended before the process was asked to.
#[derive(Debug, Error)]
pub(crate) enum FollowError {
    #[error("--follow: nobody reads standard output any more")]
    NobodyReads,
    #[error("--follow: cannot write to standard output: {0}")]
    Output(io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// How far a mirror is, for commands that look into it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// That of the stream that was written (`Follow::position`).
    pub(crate) position: u64,
    /// Times that something was removed later than its stream told, when grace was over.
    pub(crate) sweeps: u64,
}

/// Prints changes as JSON lines.
pub(crate) async fn print(handle: Handle, task: Follow, to: Output) -> Result<(), FollowError> {
    let prefix = Arc::new(task.prefix.unwrap_or_default());
    let mut stream = handle.follow(task.topic.as_str())?;
    loop {
        let delta = tokio::select! {
            delta = stream.next() => delta,
            () = to.closed() => return Err(FollowError::NobodyReads),
        };
        let Some(delta) = delta else { return Ok(()) };
        let (to, prefix) = (to.clone(), Arc::clone(&prefix));
        let write = move || to.write(json_line_iter(&delta, prefix.as_bytes()));
        blocking(write).await.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => FollowError::NobodyReads,
            _ => FollowError::Output(error),
        })?;
    }
}

/// Keeps a folder equal to a topic. After a full disk or the like the whole content is written
/// again, now and then until it succeeds.
///
/// After a recovery, and at the start from a fresh statestored (T-9), publishers may not be back
/// yet: what a whole content lacks is removed only when `grace` is over (B-40).
pub(crate) async fn mirror(
    handle: Handle,
    task: MirrorTopic,
    opened: Mirror,
    grace: Duration,
    progress: watch::Sender<Progress>,
) -> Result<(), FollowError> {
    let started = Instant::now();
    let mut opened = Some(opened);
    let mut pause = FIRST_RETRY;
    loop {
        let folder = match opened.take() {
            Some(folder) => Ok(folder),
            None => reopen(&task).await,
        };
        let failure = match folder {
            Err(error) => error,
            Ok(folder) => {
                let keeping = Keeping {
                    handle: &handle,
                    task: &task,
                    folder: Arc::new(folder),
                    fresh_until: started + grace,
                    progress: &progress,
                };
                let (whole, failure) = keeping.run().await?;
                if whole {
                    pause = FIRST_RETRY;
                }
                match failure {
                    Some(failure) => failure,
                    None => return Ok(()), // left
                }
            }
        };
        tracing::error!("{failure}; everything is written again in {pause:?}");
        tokio::time::sleep(pause).await;
        pause = LAST_RETRY.min(pause * 2);
    }
}

async fn reopen(task: &MirrorTopic) -> Result<Mirror, MirrorError> {
    let task = task.clone();
    blocking(move || Mirror::open(&task)).await
}

/// A mirror from one whole content to the next failure.
struct Keeping<'a> {
    handle: &'a Handle,
    task: &'a MirrorTopic,
    folder: Arc<Mirror>,
    fresh_until: Instant,
    progress: &'a watch::Sender<Progress>,
}

impl Keeping<'_> {
    /// Whether a whole content was written, and what ended it; nothing if the subscriber left.
    async fn run(&self) -> Result<(bool, Option<MirrorError>), Refused> {
        let mut written = false;
        let mut stream = self.handle.follow(self.task.topic.as_str())?;
        let (mut put_off, mut sweeping) = (false, false);
        loop {
            let delta = tokio::select! {
                delta = stream.next() => delta,
                () = self.grace_over(), if put_off => {
                    // A new stream begins with the whole content.
                    stream = self.handle.follow(self.task.topic.as_str())?;
                    (put_off, sweeping) = (false, true);
                    continue;
                }
            };
            let Some(delta) = delta else {
                return Ok((written, None));
            };
            let whole = !delta.is_delta();
            let spare = whole && (self.handle.in_grace() || self.is_too_fresh(&delta));
            put_off |= spare;
            match self.write(delta, spare).await {
                Ok(()) => {}
                Err(error @ MirrorError::Impossible { .. }) => tracing::error!("{error}"),
                Err(error) => return Ok((written, Some(error))),
            }
            written |= whole;
            self.progress.send_modify(|progress| {
                progress.position = stream.position();
                progress.sweeps += u64::from(std::mem::take(&mut sweeping));
            });
        }
    }

    fn is_too_fresh(&self, delta: &Delta) -> bool {
        delta.is_fresh() && Instant::now() < self.fresh_until
    }

    async fn grace_over(&self) {
        loop {
            tokio::time::sleep(GRACE_LOOK).await;
            if !self.handle.in_grace() && Instant::now() >= self.fresh_until {
                return;
            }
        }
    }

    async fn write(&self, delta: Arc<Delta>, spare: bool) -> Result<(), MirrorError> {
        let folder = Arc::clone(&self.folder);
        let prefix = self.task.prefix.clone().unwrap_or_default().into_bytes();
        let write = move || match delta.is_delta() || spare {
            true => apply(&folder, &delta, &prefix),
            false => {
                let items = delta.items().iter();
                let items = items.filter(|item| !item.deleted && item.key.starts_with(&prefix));
                folder.replace(items.map(|item| (item.key, item.value)))
            }
        };
        blocking(write).await
    }
}

/// Applies every change that can be; tells the worst failure.
fn apply(folder: &Mirror, delta: &Delta, prefix: &[u8]) -> Result<(), MirrorError> {
    let mut failure = Ok(());
    let items = delta.items().iter();
    for item in items.filter(|item| item.key.starts_with(prefix)) {
        let done = match item.deleted {
            true => folder.delete(item.key),
            false => folder.put(item.key, item.value),
        };
        match done {
            Err(error @ MirrorError::Impossible { .. }) => failure = failure.and(Err(error)),
            done => done?, // the whole content will be written again
        }
    }
    failure
}

/// Runs on a thread that may wait for disks and pipes.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A panic is a bug of ours; it must not go unnoticed.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
