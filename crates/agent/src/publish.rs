//! Publishing what the operator gave: single entries, files, and folders that are watched.
//!
//! Deliberately absent: sending again after a failure; the library keeps what is published until
//! it has arrived, and publishes it anew after each registration.
//!
//! Invariant: a catalogd publishes the catalog only while it is the active one. On becoming it,
//! it replaces the whole topic, since nobody else may write it and what an earlier one left is
//! stale; on ceasing to be it, it forgets the topic and leaves what it holds. What one look at
//! files finds leaves together, also all that is known at the start.

use bytes::Bytes;
use statestore_subscriber::{Batch, Handle, NetworkAddress, Refused};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use thiserror::Error;

use crate::args::{Publish, PublishFolder, PublishValue};
use crate::folder::{Change, Folder, Look};
use crate::roles::CATALOG_TOPIC;
use crate::standing::Standing;
use crate::watch::{Watch, Where};

/// Why something cannot be published: the operator's or the machine's fault.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    #[error("{flag}: cannot read {}: {error}", path.display())]
    Unreadable {
        /// As it was given.
        flag: String,
        path: PathBuf,
        error: io::Error,
    },
    #[error("{flag}: {refused}")]
    Impossible { flag: String, refused: Refused },
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

    /// Reads the value from its file if it is in one; refuses what can never be published.
    pub(crate) fn load(publish: &Publish) -> Result<Self, PublishError> {
        let value = match &publish.value {
            PublishValue::Text(text) => Bytes::from(text.clone()),
            PublishValue::File(path) => {
                let value = std::fs::read(path).map_err(|error| PublishError::Unreadable {
                    flag: publish.to_string(),
                    path: path.clone(),
                    error,
                })?;
                Bytes::from(value)
            }
        };
        let entry = Self::new(publish.topic.clone(), publish.key.clone(), value);
        match entry.put_into(&mut Batch::new()) {
            Ok(()) => Ok(entry),
            Err(refused) => Err(PublishError::Impossible {
                flag: publish.to_string(),
                refused,
            }),
        }
    }

    fn put_into(&self, batch: &mut Batch) -> Result<(), Refused> {
        let (topic, key) = (self.topic.as_str(), self.key.as_str());
        batch.put(topic, key, self.value.clone()).map(drop)
    }
}

/// Everything that one process publishes.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    pub(crate) handle: Handle,
    pub(crate) entries: Vec<Entry>,
    pub(crate) folders: Vec<PublishFolder>,
    /// A catalogd's own address: publish the catalog only while that is the active one's.
    pub(crate) only_as: Option<NetworkAddress>,
    /// Where that is noted.
    pub(crate) standing: Standing,
}

impl Publisher {
    /// Checks that the folders can be read, before anything is started.
    pub(crate) fn check(folders: &[PublishFolder]) -> Result<(), PublishError> {
        folders.iter().try_for_each(|task| open(task).map(drop))
    }

    /// Publishes until the subscriber leaves.
    pub(crate) async fn run(mut self) -> Result<(), PublishError> {
        let Some(own) = self.only_as.take() else {
            return self.publish(false).await;
        };
        let mut catalog = self.clone();
        let is_catalog = |topic: &str| topic == CATALOG_TOPIC;
        catalog.entries.retain(|entry| is_catalog(&entry.topic));
        catalog.folders.retain(|folder| is_catalog(&folder.topic));
        self.entries.retain(|entry| !is_catalog(&entry.topic));
        self.folders.retain(|folder| !is_catalog(&folder.topic));
        let both = futures::future::try_join(self.publish(false), catalog.publish_as(&own));
        both.await.map(|((), ())| ())
    }

    async fn publish_as(&self, own: &NetworkAddress) -> Result<(), PublishError> {
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
            // Both branches only tell, so that no lock is held while others are awaited.
            let ended = tokio::select! {
                done = self.publish(true) => Some(done),
                _ = until_lost => None,
            };
            if let Some(done) = ended {
                return done;
            }
            self.standing.set(false);
            self.handle.forget(CATALOG_TOPIC).await?;
            tracing::info!("Another catalogd is active: publishing ends");
        }
    }

    async fn publish(&self, replace: bool) -> Result<(), PublishError> {
        let mut folders = Vec::new();
        for task in &self.folders {
            folders.push(PublishedFolder::look_first(task).await?);
        }
        let mut batch = Batch::new();
        if replace {
            let entries = self.entries.iter().map(|entry| &entry.topic);
            let topics: BTreeSet<&String> = entries
                .chain(self.folders.iter().map(|task| &task.topic))
                .collect();
            for topic in topics {
                batch.clear(topic.as_str());
            }
        }
        for entry in &self.entries {
            entry.put_into(&mut batch)?;
        }
        for folder in &mut folders {
            let look = std::mem::take(&mut folder.first);
            add(&folder.topic, look, &mut batch)?;
        }
        self.handle.publish_all(batch).await?;
        let follow = folders.into_iter().map(|folder| self.follow(folder));
        futures::future::try_join_all(follow).await?;
        // What was published stays; it must not end while the process runs.
        std::future::pending().await
    }

    async fn follow(&self, mut published: PublishedFolder) -> Result<(), PublishError> {
        loop {
            let look = published.look_again().await;
            let mut batch = Batch::new();
            add(&published.topic, look, &mut batch)?;
            self.handle.publish_all(batch).await?;
        }
    }
}

/// What a look found goes into one batch: nobody is to see half of it.
fn add(topic: &str, look: Look, batch: &mut Batch) -> Result<(), Refused> {
    for Change { key, value } in look.changes {
        match value {
            Some(value) => batch.put(topic, key, value)?,
            None => batch.delete(topic, key)?,
        };
    }
    Ok(())
}

/// A folder that is watched.
struct PublishedFolder {
    topic: String,
    folder: Option<Folder>,
    watch: Watch,
    /// What the first look found.
    first: Look,
    /// What could not be read and has been reported.
    reported: BTreeSet<PathBuf>,
    is_lost: bool,
}

impl PublishedFolder {
    async fn look_first(task: &PublishFolder) -> Result<Self, PublishError> {
        let folder = open(task)?;
        let mut published = Self {
            topic: task.topic.clone(),
            // The watch begins first: what changes during the first look is looked at again.
            watch: Watch::start(folder.root()),
            folder: Some(folder),
            first: Look::default(),
            reported: BTreeSet::new(),
            is_lost: false,
        };
        published.first = published.look(Where::Everywhere).await;
        Ok(published)
    }

    /// Waits for a change, and finds it.
    async fn look_again(&mut self) -> Look {
        let place = self.watch.next().await;
        self.look(place).await
    }

    /// Looks on a thread that may wait for the disk.
    async fn look(&mut self, place: Where) -> Look {
        let Some(mut folder) = self.folder.take() else {
            return Look::default(); // a cancelled look took it, and with it all of this
        };
        let everywhere = place == Where::Everywhere;
        let looking = tokio::task::spawn_blocking(move || {
            let start = Instant::now();
            let look = match &place {
                Where::At(paths) => folder.look_at(paths),
                Where::Everywhere => folder.look(),
            };
            (folder, look, start.elapsed())
        });
        match looking.await {
            Ok((folder, look, took)) => {
                if everywhere {
                    self.looked_everywhere(&folder, &look, took);
                }
                self.is_lost |= look.is_lost;
                self.report(&look);
                self.folder = Some(folder);
                look
            }
            // A panic is a bug of ours; it must not go unnoticed.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn looked_everywhere(&mut self, folder: &Folder, look: &Look, took: Duration) {
        if self.is_lost && !look.is_lost {
            // The old watch is one of a folder that is gone.
            self.watch = Watch::start(folder.root());
        }
        self.is_lost = look.is_lost;
        self.watch.looked_everywhere(took);
        let unreadable: BTreeSet<&PathBuf> = look.unreadable.iter().map(|(path, _)| path).collect();
        self.reported.retain(|path| unreadable.contains(path));
    }

    /// Once for each file, not again with every look.
    fn report(&mut self, look: &Look) {
        for (path, reason) in &look.unreadable {
            if self.reported.insert(path.clone()) {
                tracing::warn!("Cannot publish {}: {reason}", path.display());
            }
        }
    }
}

fn is_own(active: Option<&NetworkAddress>, own: &NetworkAddress) -> bool {
    active == Some(own)
}

fn open(task: &PublishFolder) -> Result<Folder, PublishError> {
    let failed = |error| PublishError::Unreadable {
        flag: task.to_string(),
        path: task.folder.clone(),
        error,
    };
    // Announcements name real paths.
    let root = task.folder.canonicalize().map_err(failed)?;
    Folder::open(&root).map_err(failed)
}
