//! [`Publication`]: the wishes for one topic and which of them are still to be sent.
//!
//! Deliberately absent: where an answer went and whether it arrived; `Publisher` judges that.
//!
//! Invariant: what is unsent is the newest write of its key.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use statestore_wire::{Text, TopicDelta};

/// Wishes of one topic.
#[derive(Debug, Default)]
pub(super) struct Publication {
    pub(super) transient: bool,
    /// The filter of the own registration; `None` if the topic is not subscribed.
    pub(super) prefix: Option<Text>,
    entries: BTreeMap<Text, Entry>,
    /// Wishes to send, in the order of writing.
    unsent: BTreeMap<u64, Text>,
    /// Wishes for a key to be gone, in the order of writing. Nothing but a statestored that takes
    /// them ends them, so they are what can grow without end.
    deletions: BTreeMap<u64, Text>,
    /// Some of them were given up since something arrived last.
    gives_up: bool,
    pub(super) clear: Clear,
    /// Times that a clear was sent and nothing told whether it arrived.
    doubts: u8,
    next: u64,
}

/// A clear that never can be proven must not go on emptying the topic for ever.
const MAX_DOUBTS: u8 = 8;

#[derive(Debug)]
struct Entry {
    /// `None`: the key is to be deleted.
    value: Option<Bytes>,
    /// Names this write; a newer write of the key has another.
    write: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Clear {
    #[default]
    None,
    Unsent,
    InFlight,
}

/// What a message may carry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Of all its items; counted down.
    pub(super) bytes: usize,
    /// Of one key and value; a longer one is not taken.
    pub(super) value: usize,
    /// What an item counts beside its key and value.
    pub(super) overhead: usize,
    /// Of topics.
    pub(super) topics: usize,
}

impl Most {
    /// So many bytes of keys and values; one item always fits.
    pub(super) fn bytes(bytes: usize) -> Self {
        Self {
            bytes,
            value: usize::MAX,
            overhead: 0,
            topics: usize::MAX,
        }
    }
}

/// One write of one key.
pub(super) type Write = (u64, Text);

impl Publication {
    /// Wishes for a key. Beyond `most` deletions the oldest is given up; true if that is news.
    pub(super) fn write(&mut self, key: Text, value: Option<Bytes>, most: usize) -> bool {
        let write = self.next;
        self.next += 1;
        if value.is_none() {
            self.deletions.insert(write, key.clone());
        }
        let entry = Entry { value, write };
        if let Some(old) = self.entries.insert(key.clone(), entry) {
            self.unsent.remove(&old.write);
            self.deletions.remove(&old.write);
        }
        self.unsent.insert(write, key);
        if self.deletions.len() <= most {
            return false;
        }
        if let Some((oldest, key)) = self.deletions.pop_first() {
            self.unsent.remove(&oldest);
            self.entries.remove(&key);
        }
        !core::mem::replace(&mut self.gives_up, true)
    }

    /// The topic is to be empty.
    pub(super) fn wipe(&mut self) {
        self.entries.clear();
        self.unsent.clear();
        self.deletions.clear();
        self.clear = Clear::Unsent;
        self.doubts = 0;
    }

    /// Nothing is wished for; an answer under way may still arrive.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
        self.unsent.clear();
        self.deletions.clear();
        self.clear = Clear::None;
    }

    /// What a key is to hold; `None` for a key to be deleted.
    pub(super) fn value(&self, key: &Text) -> Option<Bytes> {
        self.entries.get(key).and_then(|entry| entry.value.clone())
    }

    pub(super) fn unsent_len(&self) -> usize {
        self.unsent.len() + usize::from(self.clear == Clear::Unsent)
    }

    /// Takes the oldest unsent writes that fit; at least one if anything is left that may go.
    pub(super) fn ship(&mut self, most: &mut Most) -> Vec<Write> {
        let mut writes = Vec::new();
        while !self.first_is_over(most.value)
            && let Some((write, key)) = self.unsent.pop_first()
        {
            let size = self.size(&key) + most.overhead;
            most.bytes = most.bytes.saturating_sub(size);
            writes.push((write, key));
            if most.bytes == 0 {
                break;
            }
        }
        writes
    }

    /// True if the oldest unsent write is larger than that.
    pub(super) fn first_is_over(&self, most: usize) -> bool {
        let first = self.unsent.first_key_value();
        first.is_some_and(|(_, key)| self.size(key) > most)
    }

    fn size(&self, key: &Text) -> usize {
        let entry = self.entries.get(key);
        let value = entry.and_then(|entry| entry.value.as_ref());
        key.len() + value.map_or(0, Bytes::len)
    }

    pub(super) fn is_current(&self, write: u64, key: &Text) -> bool {
        self.entries
            .get(key)
            .is_some_and(|entry| entry.write == write)
    }

    pub(super) fn arrived(&mut self, clear: bool, writes: &[Write]) {
        if clear && self.clear == Clear::InFlight {
            self.clear = Clear::None;
        }
        for (write, key) in writes {
            if self.is_deletion(*write, key) {
                self.unsent.remove(write);
                self.deletions.remove(write);
                self.entries.remove(key);
                self.gives_up = false;
            }
        }
    }

    fn is_deletion(&self, write: u64, key: &Text) -> bool {
        let entry = self.entries.get(key);
        entry.is_some_and(|entry| entry.write == write && entry.value.is_none())
    }

    /// Only what the next delta shows is proven.
    pub(super) fn unclear(
        &mut self,
        clear: bool,
        cleared: bool,
        writes: &[Write],
        delta: &TopicDelta,
    ) {
        self.doubts += u8::from(clear && !cleared);
        if clear && !cleared && self.doubts < MAX_DOUBTS {
            return self.lost(clear, writes);
        }
        let (seen, unseen) = self.find(writes, delta);
        self.arrived(clear, &seen);
        self.lost(false, &unseen);
    }

    pub(super) fn lost(&mut self, clear: bool, writes: &[Write]) {
        if clear && self.clear == Clear::InFlight {
            // A second clear would take with it what went out since the first.
            self.clear = Clear::Unsent;
            self.renew();
        }
        for (write, key) in writes {
            if self.is_current(*write, key) {
                self.unsent.insert(*write, key.clone());
            }
        }
    }

    /// Everything is to be sent again.
    pub(super) fn renew(&mut self) {
        self.unsent = self
            .entries
            .iter()
            .map(|(key, entry)| (entry.write, key.clone()))
            .collect();
    }

    /// Splits writes into those that the delta shows and the others.
    fn find(&self, writes: &[Write], delta: &TopicDelta) -> (Vec<Write>, Vec<Write>) {
        let wanted: BTreeSet<&[u8]> = writes.iter().map(|(_, key)| key.as_bytes()).collect();
        let shown: BTreeSet<Text> = delta
            .topic_entries
            .iter()
            .filter(|item| wanted.contains(item.key))
            .filter(|item| self.is_as_wished(item.key, item.value, item.deleted))
            .map(|item| Text::from(item.key))
            .collect();
        let shown = |write: &Write| shown.contains(&write.1);
        writes.iter().cloned().partition(shown)
    }

    fn is_as_wished(&self, key: &[u8], value: &[u8], deleted: bool) -> bool {
        match self.entries.get(key).map(|entry| &entry.value) {
            Some(Some(wish)) => !deleted && wish == value,
            Some(None) => deleted,
            None => true,
        }
    }

    /// Sends again what a delta says is gone: a late answer to a former registration may have
    /// taken it along (T-32).
    pub(super) fn restore(&mut self, delta: &TopicDelta) {
        for item in delta.topic_entries.iter().filter(|item| item.deleted) {
            let wish = self.entries.get_key_value(item.key);
            if let Some((key, entry)) = wish.filter(|(_, entry)| entry.value.is_some()) {
                self.unsent.insert(entry.write, key.clone());
            }
        }
    }

    /// Compares what arrived with a full message, and sends again what is not in it. From an
    /// empty topic everything is missing (T-9); what the filter hides is otherwise trusted.
    pub(super) fn compare(&mut self, full: &TopicDelta) {
        if full.to_version.unwrap_or(0) == 0 {
            return self.renew();
        }
        let Some(prefix) = &self.prefix else { return };
        let mut missing: BTreeMap<&[u8], u64> = self
            .entries
            .iter()
            .filter(|(key, entry)| {
                entry.value.is_some() && key.as_bytes().starts_with(prefix.as_bytes())
            })
            .map(|(key, entry)| (key.as_bytes(), entry.write))
            .collect();
        if missing.is_empty() {
            return;
        }
        for item in full.topic_entries.iter() {
            if self.is_as_wished(item.key, item.value, item.deleted) {
                missing.remove(item.key);
            }
        }
        let missing: Vec<Write> = missing
            .into_iter()
            .map(|(key, write)| (write, Text::from(key)))
            .collect();
        self.unsent.extend(missing);
    }
}
