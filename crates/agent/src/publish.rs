//! Publishing what the operator gave: single entries, files, and folders that are watched.
//!
//! Deliberately absent: sending again after a failure; the library keeps what is published until
//! it has arrived, and publishes it anew after each registration.
//!
//! Invariant: a catalogd publishes only while it is the active one. On becoming it, it replaces
//! the whole topic, since nobody else may write it and what an earlier one left is stale.

use bytes::Bytes;
use statestore_subscriber::{Batch, Handle, NetworkAddress, Refused};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

use crate::args::{Publish, PublishFolder, PublishValue};
use crate::folder::{Change, Folder, Look};
use crate::standing::Standing;
use crate::watch::{Watch, Where};

/// Bytes of files that are handed over at once.
const MAX_BATCH: usize = 16 << 20;

/// Why something cannot be published: the operator's or the machine's fault.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    #[error("--publish: cannot read {}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("--publish_dir: cannot read {}: {error}", path.display())]
    Folder { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// An entry whose value is known.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    topic: String,
    key: String,
    value: Bytes,
}

impl Entry {
    pub(crate) fn new(topic: String, key: String, value: impl Into<Bytes>) -> Self {
        Self {
            topic,
            key,
            value: value.into(),
        }
    }

    /// Reads the value from its file if it is in one.
    pub(crate) fn load(publish: &Publish) -> Result<Self, PublishError> {
        let value = match &publish.value {
            PublishValue::Text(text) => Bytes::from(text.clone()),
            PublishValue::File(path) => {
                std::fs::read(path)
                    .map(Bytes::from)
                    .map_err(|error| PublishError::File {
                        path: path.clone(),
                        error,
                    })?
            }
        };
        Ok(Self::new(publish.topic.clone(), publish.key.clone(), value))
    }
}

/// Everything that one process publishes.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    pub(crate) handle: Handle,
    pub(crate) entries: Vec<Entry>,
    pub(crate) folders: Vec<PublishFolder>,
    /// A catalogd's own address: publish only while that is the active one's.
    pub(crate) only_as: Option<NetworkAddress>,
    /// Where that is noted.
    pub(crate) standing: Standing,
}

impl Publisher {
    /// Checks that the folders can be read, before anything is started.
    pub(crate) fn check(folders: &[PublishFolder]) -> Result<(), PublishError> {
        folders.iter().try_for_each(|it| open(&it.folder).map(drop))
    }

    /// Publishes until the subscriber leaves.
    pub(crate) async fn run(self) -> Result<(), PublishError> {
        let Some(own) = &self.only_as else {
            return self.publish(false).await;
        };
        let mut catalogd = self.handle.catalogd();
        loop {
            let is_active = catalogd
                .wait_for(|change| is_own(change.as_ref().map(|c| &c.registration.address), own));
            if is_active.await.is_err() {
                return Ok(()); // left
            }
            self.standing.set(true);
            tracing::info!("This is the active catalogd: publishing");
            let mut lost = self.handle.catalogd();
            let until_lost = lost
                .wait_for(|change| !is_own(change.as_ref().map(|c| &c.registration.address), own));
            tokio::select! {
                done = self.publish(true) => return done,
                _ = until_lost => {
                    self.standing.set(false);
                    tracing::info!("Another catalogd is active: publishing ends");
                }
            }
        }
    }

    async fn publish(&self, replace: bool) -> Result<(), PublishError> {
        let topics: BTreeSet<&String> = self
            .entries
            .iter()
            .map(|e| &e.topic)
            .chain(self.folders.iter().map(|f| &f.topic))
            .collect();
        if replace {
            for topic in topics {
                self.handle.clear(topic.as_str()).await?;
            }
        }
        let mut batch = Batch::new();
        for entry in &self.entries {
            batch.put(
                entry.topic.as_str(),
                entry.key.as_str(),
                entry.value.clone(),
            )?;
        }
        self.handle.publish_all(batch).await?;
        let folders = self.folders.iter().map(|it| self.publish_folder(it));
        futures::future::try_join_all(folders).await?;
        // What was published stays; it must not end while the process runs.
        std::future::pending().await
    }

    async fn publish_folder(&self, task: &PublishFolder) -> Result<(), PublishError> {
        // The watch begins first: what changes during the first look is looked at again.
        let mut folder = open(&task.folder)?;
        let mut watch = Watch::start(folder.root());
        let mut next = Where::Everywhere;
        loop {
            for path in places(&next) {
                let (back, look) = look(folder, path).await;
                folder = back;
                self.hand_over(&task.topic, look).await?;
            }
            next = watch.next().await;
        }
    }

    async fn hand_over(&self, topic: &str, look: Look) -> Result<(), PublishError> {
        for (path, reason) in &look.unreadable {
            tracing::warn!("Cannot publish {}: {reason}", path.display());
        }
        let (mut batch, mut bytes) = (Batch::new(), 0);
        for Change { key, value } in look.changes {
            bytes += value.as_ref().map_or(0, Bytes::len);
            match value {
                Some(value) => batch.put(topic, key, value)?,
                None => batch.delete(topic, key)?,
            };
            if bytes >= MAX_BATCH {
                self.handle.publish_all(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        Ok(self.handle.publish_all(batch).await?)
    }
}

fn is_own(active: Option<&NetworkAddress>, own: &NetworkAddress) -> bool {
    active == Some(own)
}

fn open(path: &Path) -> Result<Folder, PublishError> {
    let failed = |error| PublishError::Folder {
        path: path.to_owned(),
        error,
    };
    // Announcements name real paths.
    let root = path.canonicalize().map_err(failed)?;
    Folder::open(&root).map_err(failed)
}

fn places(place: &Where) -> Vec<Option<PathBuf>> {
    match place {
        Where::Everywhere => vec![None],
        Where::At(paths) => paths.iter().cloned().map(Some).collect(),
    }
}

/// Looks on a thread that may wait for the disk.
async fn look(mut folder: Folder, at: Option<PathBuf>) -> (Folder, Look) {
    let looking = tokio::task::spawn_blocking(move || {
        let look = match &at {
            Some(path) => folder.look_at(path),
            None => folder.look(),
        };
        (folder, look)
    });
    match looking.await {
        Ok(done) => done,
        // A panic is a bug of ours; it must not go unnoticed.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
