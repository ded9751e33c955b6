//! [`Mirror`]: the content of a topic, kept by applying its deltas.
//!
//! Values are copied out of the message they came in, so that one small entry does not keep a
//! large message alive. Deliberately absent: any doubt about a delta's base; what does not fit
//! is never delivered (B-38).
//!
//! Invariant: deltas applied in order leave exactly what a full message would bring.

use alloc::collections::BTreeMap;
use bytes::Bytes;
use statestore_wire::{ItemBatch, Text, TopicDelta};

/// Keys and values of one topic, as far as its filter lets them through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirror {
    entries: BTreeMap<Text, Bytes>,
    version: i64,
    min_version: Option<i64>,
}

impl Mirror {
    /// Applies one delta: a full message replaces everything.
    pub fn apply(&mut self, delta: &TopicDelta) {
        if !delta.is_delta {
            self.entries.clear();
        }
        for item in delta.topic_entries.iter() {
            if item.deleted {
                self.entries.remove(item.key);
            } else {
                let value = Bytes::copy_from_slice(item.value);
                match self.entries.get_mut(item.key) {
                    Some(known) => *known = value,
                    None => drop(self.entries.insert(Text::from(item.key), value)),
                }
            }
        }
        self.version = delta.to_version.unwrap_or(self.version);
        self.min_version = delta.min_subscriber_topic_version;
    }

    /// The value of a key.
    pub fn value(&self, key: &[u8]) -> Option<&Bytes> {
        self.entries.get(key)
    }

    /// All entries by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Bytes)> {
        self.entries.iter()
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The version reached.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The lowest version any subscriber has, where the registration asked for it.
    pub fn min_version(&self) -> Option<i64> {
        self.min_version
    }

    /// Everything as one full message.
    pub fn full(&self, topic: &Text) -> TopicDelta {
        let items = self
            .entries
            .iter()
            .map(|(key, value)| (key.as_bytes(), value.as_ref(), false));
        TopicDelta {
            topic_name: topic.clone(),
            topic_entries: ItemBatch::from_items(items),
            is_delta: false,
            from_version: Some(0),
            to_version: Some(self.version),
            min_subscriber_topic_version: self.min_version,
            clear_topic_entries: None,
        }
    }
}
