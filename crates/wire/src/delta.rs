//! An `UpdateState` call without copying the items.
//!
//! Everything but the items is some hundred bytes and differs per subscriber; the items are the
//! topic's own segments, the same for everybody at the same version. An [`UpdateFrame`] is the
//! list of pieces that go out one after the other: head, shared runs, what stands between two
//! topics, runs, tail. `min_subscriber_topic_version` follows the items in a delta, so it sits in
//! the small pieces too.
//!
//! Deliberately absent: which items a subscriber lacks (core), how pieces are written (rpc).
//!
//! Invariant: the pieces in order are, byte for byte, what
//! [`write_call`](crate::envelope::write_call) makes of the same request.

use crate::envelope::{Envelope, MessageKind, Rpc};
use crate::item::ItemBatch;
use crate::messages::{
    Epoch, ProtocolVersion, TopicDelta, TopicDeltas, UniqueId, UpdateStateRequest,
};
use crate::schema::{Wire, write_field};
use crate::text::Text;
use crate::thrift::{code, put_field, put_size};
use alloc::vec::Vec;
use bytes::Bytes;
use thiserror::Error;

/// Runs shorter than this are copied into the small pieces, for a piece of its own costs more in
/// the kernel than the copy.
const COPY_BELOW: usize = 2048;

/// Room for the small pieces of most calls.
const SMALL: usize = 512;

/// So much is copied per frame at most, lest thousands of short runs be held once a subscriber.
const COPY_TOTAL: usize = 64 << 10;

/// One topic of an update, its items borrowed as they lie in the topic's log.
#[derive(Debug, Clone, Copy)]
pub struct TopicParts<'a> {
    /// The topic.
    pub name: &'a Text,
    /// Canonical items back to back, in pieces of any number.
    pub runs: &'a [Bytes],
    /// How many items the runs hold together.
    pub items: usize,
    /// Relative to `from_version`, or complete.
    pub is_delta: bool,
    /// Base version.
    pub from_version: i64,
    /// Version reached.
    pub to_version: i64,
    /// Lowest version any subscriber has, where asked for.
    pub min_subscriber_topic_version: Option<i64>,
}

/// More items than a message can say; the caller's mistake, nothing was built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("topic {topic:?} has {items} items to send, a message holds at most 2147483647")]
pub struct TooManyItems {
    /// The topic.
    pub topic: Text,
    /// Its items.
    pub items: usize,
}

/// A whole `UpdateState` call in pieces: what is its own, and runs that are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateFrame<'a> {
    /// All small pieces.
    small: Vec<u8>,
    /// What comes between them, and where.
    shared: Vec<(usize, &'a [u8])>,
}

impl<'a> UpdateFrame<'a> {
    /// Builds the call for one subscriber, sequence id 0, protocol V2.
    ///
    /// # Errors
    /// If a topic has more than 2^31 - 1 items.
    pub fn new(
        registration_id: UniqueId,
        statestore_id: UniqueId,
        epoch: Option<Epoch>,
        topics: &[TopicParts<'a>],
    ) -> Result<Self, TooManyItems> {
        let mut frame = Self {
            small: Vec::with_capacity(SMALL),
            shared: Vec::new(),
        };
        let mut room = COPY_TOTAL;
        write_head(&mut frame.small, topics.len());
        for topic in topics {
            if i32::try_from(topic.items).is_err() {
                return Err(TooManyItems {
                    topic: topic.name.clone(),
                    items: topic.items,
                });
            }
            write_before_items(&mut frame.small, topic);
            for run in topic.runs {
                frame.add(run, &mut room);
            }
            write_after_items(&mut frame.small, topic);
        }
        write_field(&mut frame.small, 3, &registration_id);
        write_field(&mut frame.small, 4, &statestore_id);
        if let Some(epoch) = &epoch {
            write_field(&mut frame.small, 100, epoch);
        }
        frame.small.extend_from_slice(&[code::STOP; 2]);
        Ok(frame)
    }

    /// The message, if it is a single piece.
    pub fn into_single(self) -> Option<Vec<u8>> {
        self.shared.is_empty().then_some(self.small)
    }

    /// The pieces in the order in which they go out; none is empty.
    pub fn pieces(&self) -> Vec<&[u8]> {
        let mut pieces = Vec::with_capacity(2 * self.shared.len() + 1);
        let mut taken = 0;
        for (at, run) in &self.shared {
            if *at > taken {
                pieces.push(&self.small[taken..*at]);
                taken = *at;
            }
            pieces.push(run);
        }
        pieces.push(&self.small[taken..]);
        pieces
    }

    /// Adds a run, copied if it is short and within what may still be copied.
    fn add(&mut self, run: &'a [u8], room: &mut usize) {
        if run.len() < COPY_BELOW && run.len() <= *room {
            *room -= run.len();
            self.small.extend_from_slice(run);
        } else {
            self.shared.push((self.small.len(), run));
        }
    }
}

fn write_head(out: &mut Vec<u8>, topics: usize) {
    Envelope {
        kind: MessageKind::Call,
        method: Text::from_static(UpdateStateRequest::METHOD),
        seqid: 0,
    }
    .write(out);
    put_field(out, UpdateStateRequest::TYPE, 1);
    write_field(out, 1, &ProtocolVersion::V2);
    put_field(out, TopicDeltas::TYPE, 2);
    out.extend_from_slice(&[Text::TYPE, TopicDelta::TYPE]);
    put_size(out, topics);
}

fn write_before_items(out: &mut Vec<u8>, topic: &TopicParts<'_>) {
    topic.name.write(out);
    write_field(out, 1, topic.name);
    put_field(out, ItemBatch::TYPE, 2);
    out.push(code::STRUCT);
    put_size(out, topic.items);
}

fn write_after_items(out: &mut Vec<u8>, topic: &TopicParts<'_>) {
    write_field(out, 3, &topic.is_delta);
    write_field(out, 4, &topic.from_version);
    write_field(out, 5, &topic.to_version);
    if let Some(version) = &topic.min_subscriber_topic_version {
        write_field(out, 6, version);
    }
    out.push(code::STOP);
}

#[cfg(test)]
mod tests;
