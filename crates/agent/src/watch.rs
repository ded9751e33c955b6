//! When to look at a published folder again: soon after the system says that something changed,
//! and every few seconds because it may forget to say so.
//!
//! Deliberately absent: what is in the folder (`folder.rs`).
//!
//! Invariant: a change that is never announced is found by the next full look; a burst of
//! announcements costs one look a path.

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Gathers what belongs to one change: an editor writes, renames and closes in a row.
const GATHER: Duration = Duration::from_millis(5);
/// How stale an unannounced change may become.
const FULL_LOOK: Duration = Duration::from_secs(5);
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
    announced: mpsc::UnboundedReceiver<Option<PathBuf>>,
    next_full_look: Instant,
}

impl Watch {
    /// Watches a folder and everything below it.
    pub(crate) fn start(root: &Path) -> Self {
        let (announce, announced) = mpsc::unbounded_channel();
        let watcher = watcher(root, announce).map_err(|error| {
            tracing::warn!(
                "Cannot watch {} ({error}): changes are found every {FULL_LOOK:?}",
                root.display()
            );
        });
        let next_full_look = Instant::now() + FULL_LOOK;
        Self {
            _watcher: watcher.ok(),
            announced,
            next_full_look,
        }
    }

    /// Waits until there is reason to look.
    pub(crate) async fn next(&mut self) -> Where {
        let mut paths = BTreeSet::new();
        let mut until = self.next_full_look;
        loop {
            let announced = tokio::select! {
                announced = self.announced.recv(), if !self.announced.is_closed() => announced,
                () = tokio::time::sleep_until(until) => None,
            };
            match announced {
                Some(Some(path)) if paths.len() < MAX_PATHS => {
                    if paths.is_empty() {
                        until = until.min(Instant::now() + GATHER);
                    }
                    paths.insert(path);
                }
                _ if Instant::now() >= self.next_full_look => break,
                None if !paths.is_empty() => return Where::At(paths),
                None if self.announced.is_closed() => until = self.next_full_look,
                _ => break, // something was missed, or too much changed
            }
        }
        self.next_full_look = Instant::now() + FULL_LOOK;
        Where::Everywhere
    }
}

fn watcher(
    root: &Path,
    announce: mpsc::UnboundedSender<Option<PathBuf>>,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Nobody listens any more if sending fails: the folder is not published any longer.
        match event {
            Ok(event) if event.need_rescan() => drop(announce.send(None)),
            Ok(event) if event.kind.is_access() => {}
            Ok(event) => event
                .paths
                .into_iter()
                .for_each(|p| drop(announce.send(Some(p)))),
            Err(_) => drop(announce.send(None)),
        }
    })?;
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
