//! [`Topic`]: what to ask of a topic; [`Delta`]: what comes; [`Publish`]: what goes in answer.
//!
//! Deliberately absent: delivery (`delivery`) and streams (`feed`).

use crate::error::{Refused, check_len};
use bytes::Bytes;
use statestore_core::subscriber::TopicConfig;
use statestore_core::subscriber::port::Command;
use statestore_wire::{ItemBatch, Text, TopicDelta};
use std::fmt;

pub(crate) type Handler = Box<dyn FnMut(&Delta, &mut Publish) + Send>;

/// A topic to follow or to publish into, for the builder.
pub struct Topic {
    pub(crate) config: TopicConfig,
    pub(crate) handlers: Vec<Handler>,
    mirrored: Option<bool>,
}

impl Topic {
    /// A topic with lasting entries, all of its keys, mirrored.
    pub fn new(name: impl Into<Text>) -> Self {
        let config = TopicConfig {
            name: name.into(),
            ..TopicConfig::default()
        };
        Self {
            config,
            handlers: Vec::new(),
            mirrored: None,
        }
    }

    /// What this subscriber publishes vanishes when it is gone.
    pub fn transient(mut self) -> Self {
        self.config.transient = true;
        self
    }

    /// Only keys that begin with `prefix` are sent to this subscriber. A prefix that no key has
    /// makes a publisher that is sent nothing; catalogds use `!`.
    pub fn prefix(mut self, prefix: impl Into<Text>) -> Self {
        self.config.prefix = prefix.into();
        self
    }

    /// Each delta tells the lowest version that any subscriber has.
    pub fn min_version(mut self) -> Self {
        self.config.min_version = true;
        self
    }

    /// Calls `handler` with each delta, in order, also with empty ones: each is a chance to
    /// publish within the same answer. It may block: heartbeats go on, but the answer, and the
    /// next deltas of all topics that came in the same message, wait for it. A topic with a
    /// handler is not mirrored unless asked for.
    pub fn handler(mut self, handler: impl FnMut(&Delta, &mut Publish) + Send + 'static) -> Self {
        self.handlers.push(Box::new(handler));
        self
    }

    /// Keeps a copy of the topic, for `Handle::follow` and `Handle::entries`.
    pub fn mirrored(mut self, mirrored: bool) -> Self {
        self.mirrored = Some(mirrored);
        self
    }

    pub(crate) fn is_mirrored(&self) -> bool {
        self.mirrored.unwrap_or(self.handlers.is_empty())
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("config", &self.config)
            .field("handlers", &self.handlers.len())
            .field("mirrored", &self.is_mirrored())
            .finish()
    }
}

/// Changes of one topic, or its whole content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta(pub(crate) TopicDelta);

impl Delta {
    /// The topic.
    pub fn topic(&self) -> &Text {
        &self.0.topic_name
    }

    /// False: this is the whole content, and what was known before is void.
    pub fn is_delta(&self) -> bool {
        self.0.is_delta
    }

    /// The version before.
    pub fn from_version(&self) -> i64 {
        self.0.from_version.unwrap_or(0)
    }

    /// The version after.
    pub fn to_version(&self) -> i64 {
        self.0.to_version.unwrap_or(0)
    }

    /// The lowest version any subscriber has, if the topic asked for it.
    pub fn min_version(&self) -> Option<i64> {
        self.0.min_subscriber_topic_version
    }

    /// Keys, values and deletions in the order of writing.
    pub fn items(&self) -> &ItemBatch {
        &self.0.topic_entries
    }

    /// True if a topic that nobody has written to since its statestored started came whole: the
    /// sign of a fresh statestored (T-9).
    pub fn is_fresh(&self) -> bool {
        !self.is_delta() && self.to_version() == 0
    }
}

/// Gathers what a handler publishes; it leaves in the answer to the delta that was handled.
#[derive(Debug, Default)]
pub struct Publish {
    pub(crate) commands: Vec<Command>,
}

impl Publish {
    /// `topic` is to hold this entry.
    ///
    /// # Panics
    /// If key or value is longer than [`MAX_LEN`](crate::MAX_LEN).
    pub fn put(&mut self, topic: impl Into<Text>, key: impl Into<Text>, value: impl Into<Bytes>) {
        self.push(put(topic.into(), key.into(), value.into()));
    }

    /// `topic` is not to hold this key.
    ///
    /// # Panics
    /// If the key is longer than [`MAX_LEN`](crate::MAX_LEN).
    pub fn delete(&mut self, topic: impl Into<Text>, key: impl Into<Text>) {
        self.push(delete(topic.into(), key.into()));
    }

    /// `topic` is to be empty, whoever wrote its entries; what is put afterwards is in.
    pub fn clear(&mut self, topic: impl Into<Text>) {
        self.commands.push(Command::Clear {
            topic: topic.into(),
        });
    }

    fn push(&mut self, command: Result<Command, Refused>) {
        match command {
            Ok(command) => self.commands.push(command),
            Err(refused) => panic!("{refused}"),
        }
    }
}

pub(crate) fn put(topic: Text, key: Text, value: Bytes) -> Result<Command, Refused> {
    check_len("key", key.len())?;
    check_len("value", value.len())?;
    Ok(Command::Put { topic, key, value })
}

pub(crate) fn delete(topic: Text, key: Text) -> Result<Command, Refused> {
    check_len("key", key.len())?;
    Ok(Command::Delete { topic, key })
}
