//! [`Handle`]: a running subscriber.
//!
//! Deliberately absent: waiting for locks or for the network where the answer is already known;
//! whatever only asks is answered from the last view.

use crate::driver::Reins;
use crate::error::Refused;
use crate::feed::{Feed, Follow};
use crate::inbox::{self, Message};
use crate::status::{Metrics, Status};
use crate::topic;
use bytes::Bytes;
use statestore_core::subscriber::port::{CatalogdChange, Command};
use statestore_core::subscriber::{Mirror, Role, View};
use statestore_wire::{NetworkAddress, Text};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A running subscriber. Clones are the same one; it stops when the last is dropped, or at
/// [`leave`](Self::leave).
#[derive(Clone)]
pub struct Handle(Arc<Running>);

struct Running {
    reins: Reins,
    tasks: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reins.stop.send_replace(true);
    }
}

/// Several wishes that reach the subscriber together, for [`Handle::publish_all`].
#[derive(Debug, Default)]
pub struct Batch {
    commands: Vec<Command>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// `topic` is to hold this entry.
    pub fn put(
        &mut self,
        topic: impl Into<Text>,
        key: impl Into<Text>,
        value: impl Into<Bytes>,
    ) -> Result<&mut Self, Refused> {
        self.commands
            .push(topic::put(topic.into(), key.into(), value.into())?);
        Ok(self)
    }

    /// `topic` is not to hold this key.
    pub fn delete(
        &mut self,
        topic: impl Into<Text>,
        key: impl Into<Text>,
    ) -> Result<&mut Self, Refused> {
        self.commands.push(topic::delete(topic.into(), key.into())?);
        Ok(self)
    }

    /// `topic` is to be empty, whoever wrote its entries; what this batch puts into it afterwards
    /// leaves in the same answer.
    pub fn clear(&mut self, topic: impl Into<Text>) -> &mut Self {
        self.commands.push(Command::Clear {
            topic: topic.into(),
        });
        self
    }
}

impl Handle {
    pub(crate) fn new(mut reins: Reins) -> Self {
        let tasks = Mutex::new(std::mem::take(&mut reins.tasks));
        Self(Arc::new(Running { reins, tasks }))
    }

    /// `topic` is to hold this entry. It leaves in the answer to statestored's next message, is
    /// sent again until it has provably arrived, and again whenever a statestored may have lost
    /// it, until it is deleted or cleared. Of several writes of one key the last one counts.
    pub async fn publish(
        &self,
        topic: impl Into<Text>,
        key: impl Into<Text>,
        value: impl Into<Bytes>,
    ) -> Result<(), Refused> {
        self.send(vec![topic::put(topic.into(), key.into(), value.into())?])
            .await
    }

    /// `topic` is not to hold this key, whoever wrote it.
    pub async fn delete(
        &self,
        topic: impl Into<Text>,
        key: impl Into<Text>,
    ) -> Result<(), Refused> {
        self.send(vec![topic::delete(topic.into(), key.into())?])
            .await
    }

    /// `topic` is to be empty, whoever wrote its entries; what is published afterwards is in. If
    /// the answer that carries this is lost, it is cleared a second time.
    pub async fn clear(&self, topic: impl Into<Text>) -> Result<(), Refused> {
        self.send(vec![Command::Clear {
            topic: topic.into(),
        }])
        .await
    }

    /// Wishes for nothing in `topic` any more, and leaves what it holds: for whoever hands it
    /// over to another. Nothing is sent.
    pub async fn forget(&self, topic: impl Into<Text>) -> Result<(), Refused> {
        self.send(vec![Command::Forget {
            topic: topic.into(),
        }])
        .await
    }

    /// Many wishes at once.
    pub async fn publish_all(&self, batch: Batch) -> Result<(), Refused> {
        self.send(batch.commands).await
    }

    /// Waits until everything published so far has provably arrived.
    pub async fn flush(&self) -> Result<(), Refused> {
        self.send(Vec::new()).await?;
        self.wait(|view| view.outstanding == 0).await
    }

    /// A stream of the topic's changes, beginning with its whole content.
    pub fn follow(&self, topic: impl Into<Text>) -> Result<Follow, Refused> {
        Ok(self.feed(&topic.into())?.follow())
    }

    /// The value of a key, as far as it is known here.
    pub fn value(
        &self,
        topic: impl Into<Text>,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Bytes>, Refused> {
        self.read(topic, |mirror| mirror.value(key.as_ref()).cloned())
    }

    /// All entries by key, as far as they are known here.
    pub fn entries(&self, topic: impl Into<Text>) -> Result<Vec<(Text, Bytes)>, Refused> {
        let copy = |(key, value): (&Text, &Bytes)| (key.clone(), value.clone());
        self.read(topic, |mirror| mirror.iter().map(copy).collect())
    }

    /// Looks at a topic's mirror without copying it. Deltas wait meanwhile: be quick.
    pub fn read<R>(
        &self,
        topic: impl Into<Text>,
        read: impl FnOnce(&Mirror) -> R,
    ) -> Result<R, Refused> {
        Ok(self.feed(&topic.into())?.read(read))
    }

    /// What is known of the statestoreds: address, role, last heartbeat, missed ones and more.
    pub fn status(&self) -> Status {
        let reins = &self.0.reins;
        Status::new(&self.view(), &reins.config, reins.clock)
    }

    /// Counters and tallies.
    pub fn metrics(&self) -> Metrics {
        let usage = (self.0.reins.usage)();
        Metrics {
            view: self.view(),
            clients_in_use: usage.in_use,
            clients_total: usage.total,
        }
    }

    /// True while registered with the statestored that sends updates and its heartbeats come.
    pub fn is_alive(&self) -> bool {
        self.status()
            .active()
            .is_some_and(|active| active.connected)
    }

    /// True while a statestored is lost and is being registered with anew.
    pub fn recovering(&self) -> bool {
        self.view().statestores.iter().any(|it| it.recovering)
    }

    /// True shortly after a recovery or failover, while members may be missing from topics
    /// without being gone (B-40).
    pub fn in_grace(&self) -> bool {
        let reins = &self.0.reins;
        self.view().in_grace(&reins.config, reins.clock.now().time)
    }

    /// Waits until registered with the statestored that sends updates; with a pair, until it is
    /// known which one that is.
    pub async fn registered(&self) -> Result<(), Refused> {
        self.wait(|view| match view.statestores.as_slice() {
            [only] => only.connected,
            pair => pair
                .iter()
                .any(|it| it.connected && it.role == Role::Active),
        })
        .await
    }

    /// Waits until a topic has come whole in the current registration.
    pub async fn synced(&self, topic: impl Into<Text>) -> Result<(), Refused> {
        let topic = topic.into();
        if !self.0.reins.application.topics.contains_key(&topic) {
            return Err(Refused::UnknownTopic(topic));
        }
        let seen = |view: &View| view.topics.iter().any(|it| it.name == topic && it.seen);
        self.wait(seen).await
    }

    /// Waits until the core's view, which changes with every step, is as wanted.
    pub async fn wait(&self, wanted: impl Fn(&View) -> bool) -> Result<(), Refused> {
        let mut views = self.0.reins.shown.view.clone();
        let view = views.wait_for(|view| view.left || wanted(view)).await;
        let view = view.map_err(|_| Refused::Left)?;
        if wanted(&view) {
            Ok(())
        } else {
            Err(Refused::Left)
        }
    }

    /// The active catalogd, and each change of it; needs `follow_catalogd`.
    pub fn catalogd(&self) -> watch::Receiver<Option<CatalogdChange>> {
        self.0.reins.shown.catalogd.clone()
    }

    /// Where the own server listens, as registered: with the real port.
    pub fn address(&self) -> &NetworkAddress {
        &self.0.reins.config.location
    }

    /// Stops: answers calls in hand, closes the server, ends streams, and tells the statestoreds,
    /// for half a second at most. One of Impala's does not know that word and notices by missing
    /// heartbeats.
    pub async fn leave(self) {
        // Unless the owner is gone already, so that calls in hand are told.
        let _ = self.0.reins.inbox.send(Message::Leave).await;
        self.0.reins.stop.send_replace(true);
        let tasks =
            std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A panic has been reported where it happened.
            let _ = task.await;
        }
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.0.reins.shown.view.borrow())
    }

    fn feed(&self, topic: &Text) -> Result<&Arc<Feed>, Refused> {
        let audience = self.0.reins.application.topics.get(topic);
        let audience = audience.ok_or_else(|| Refused::UnknownTopic(topic.clone()))?;
        audience
            .feed
            .as_ref()
            .ok_or_else(|| Refused::NotMirrored(topic.clone()))
    }

    async fn send(&self, commands: Vec<Command>) -> Result<(), Refused> {
        for command in &commands {
            let (Command::Put { topic, .. }
            | Command::Delete { topic, .. }
            | Command::Clear { topic }
            | Command::Forget { topic }) = command;
            if !self.0.reins.application.topics.contains_key(topic) {
                return Err(Refused::UnknownTopic(topic.clone()));
            }
        }
        inbox::publish(&self.0.reins.inbox, commands).await
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("status", &self.status())
            .finish()
    }
}
