//! When to look at a published folder again: soon after the system says that something changed,
//! and every few seconds because it may forget to say so.
//!
//! Deliberately absent: what is in the folder (`folder.rs`).
//!
//! Invariant: a change that is never announced is found by the next full look; a burst of
//! announcements costs one look a path, or one look at everything, and bounded memory.

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Gathers what belongs to one change: an editor writes, renames and closes in a row.
const GATHER: Duration = Duration::from_millis(5);
/// How stale an unannounced change may become.
const FULL_LOOK: Duration = Duration::from_secs(5);
/// A full look may take this part of the time at most: rarer looks at large folders.
const FULL_LOOK_SHARE: u32 = 20;
/// More announced paths than this are cheaper to look at all together.
const MAX_PATHS: usize = 1_000;

/// Where to look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// At these paths and below them.
    At(BTreeSet<PathBuf>),
    /// Everywhere.
    Everywhere,
}

/// Announces when to look at a folder.
pub(crate) struct Watch {
    // Stops watching when dropped; none if the system offers no watches (any more).
    _watcher: Option<RecommendedWatcher>,
    announced: mpsc::Receiver<PathBuf>,
    missed: Arc<AtomicBool>,
    next_full_look: Instant,
}

impl Watch {
    /// Watches a folder and everything below it.
    pub(crate) fn start(root: &Path) -> Self {
        let (sender, announced) = mpsc::channel(MAX_PATHS);
        let missed = Arc::new(AtomicBool::new(false));
        let announce = Announce {
            sender,
            missed: Arc::clone(&missed),
        };
        let watcher = watcher(root, announce).map_err(|error| {
            tracing::warn!(
                "Cannot watch {} ({error}): changes are found every {FULL_LOOK:?}",
                root.display()
            );
        });
        Self {
            _watcher: watcher.ok(),
            announced,
            missed,
            next_full_look: Instant::now() + FULL_LOOK,
        }
    }

    /// Tells how long a look at everything took, which sets when the next one is due.
    pub(crate) fn looked_everywhere(&mut self, took: Duration) {
        self.next_full_look = Instant::now() + FULL_LOOK.max(took * FULL_LOOK_SHARE);
    }

    /// Waits until there is reason to look. Losing the future may lose announcements.
    pub(crate) async fn next(&mut self) -> Where {
        let mut paths = BTreeSet::new();
        let mut until = self.next_full_look;
        loop {
            let announced = tokio::select! {
                announced = self.announced.recv(), if !self.announced.is_closed() => announced,
                () = tokio::time::sleep_until(until) => None,
            };
            if self.missed.swap(false, Ordering::Relaxed) || Instant::now() >= self.next_full_look {
                break;
            }
            match announced {
                Some(path) if paths.len() < MAX_PATHS => {
                    if paths.is_empty() {
                        until = until.min(Instant::now() + GATHER);
                    }
                    paths.insert(path);
                }
                Some(_) => break, // too much changed
                None if !paths.is_empty() => return Where::At(paths),
                None => until = self.next_full_look,
            }
        }
        self.looked_everywhere(Duration::ZERO);
        Where::Everywhere
    }
}

/// The watcher's end of the channel.
struct Announce {
    sender: mpsc::Sender<PathBuf>,
    missed: Arc<AtomicBool>,
}

impl Announce {
    /// Never waits: what does not fit is noted as missed.
    fn event(&self, event: notify::Result<notify::Event>) {
        let missed = match event {
            Ok(event) if event.kind.is_access() => false,
            Ok(event) if !event.need_rescan() => {
                let mut paths = event.paths.into_iter();
                paths.any(|path| self.sender.try_send(path).is_err())
            }
            _ => true,
        };
        if missed {
            self.missed.store(true, Ordering::Relaxed);
            // No path, only to wake the reader; if there is no room, it is awake.
            let _ = self.sender.try_send(PathBuf::new());
        }
    }
}

fn watcher(root: &Path, announce: Announce) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event| announce.event(event))?;
    watcher.watch(root, RecursiveMode::Recursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn a_change_is_announced_by_its_path() {
        let root = tempfile::tempdir().unwrap();
        let root_path = root.path().canonicalize().unwrap();
        let mut watch = Watch::start(&root_path);
        fs::write(root_path.join("file"), "1").unwrap();
        let found = tokio::time::timeout(Duration::from_secs(30), watch.next())
            .await
            .unwrap();
        match found {
            Where::At(paths) => assert!(paths.contains(&root_path.join("file")), "{paths:?}"),
            Where::Everywhere => panic!("announced without its path"),
        }
    }

    #[tokio::test]
    async fn announcements_that_do_not_fit_end_in_one_look_at_everything() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(root.path());
        let (sender, announced) = mpsc::channel(2);
        watch.announced = announced;
        let announce = Announce {
            sender,
            missed: Arc::clone(&watch.missed),
        };
        let paths = ["a", "b", "c"].map(PathBuf::from).to_vec();
        let event = notify::Event::new(notify::EventKind::Any);
        announce.event(Ok(paths.into_iter().fold(event, notify::Event::add_path)));
        assert_eq!(watch.next().await, Where::Everywhere);
    }

    #[tokio::test(start_paused = true)]
    async fn without_announcements_there_is_a_full_look_every_few_seconds() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(root.path());
        let begin = Instant::now();
        assert_eq!(watch.next().await, Where::Everywhere);
        assert_eq!(watch.next().await, Where::Everywhere);
        assert!(begin.elapsed() >= 2 * FULL_LOOK);
    }
}
