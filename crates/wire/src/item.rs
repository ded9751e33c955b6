//! Topic items in the form they travel in.
//!
//! An item's encoding depends on nothing around it, so an item is encoded once, when it enters,
//! and the same bytes leave for every subscriber. [`ItemBatch`] is a run of such encodings, back
//! to back, with the place of each key and value.
//!
//! Invariant: every item in a batch has the canonical encoding (fields 1, 2, 3 in order, nothing
//! else), whatever the sender wrote; so lengths follow from key and value alone.

use crate::schema::Wire;
use crate::thrift::{Fault, Reader, code, put_field, put_size, put_string};
use alloc::vec::Vec;
use bytes::Bytes;

/// Bytes of a canonical item beyond its key and value.
pub const ITEM_OVERHEAD: usize = 19;
const KEY_AT: usize = 7;

/// One topic item, borrowed from its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// The canonical encoding: what goes into a list of items.
    pub encoded: &'a [u8],
    /// The key's bytes.
    pub key: &'a [u8],
    /// The value's bytes; a deletion may carry some too.
    pub value: &'a [u8],
    /// True if the key is removed.
    pub deleted: bool,
}

impl<'a> Item<'a> {
    /// The item that a canonical encoding holds.
    ///
    /// # Panics
    /// If `encoded` is shorter than it claims, so was not taken from a batch or [`put_item`].
    pub fn from_canonical(encoded: &'a [u8]) -> Self {
        let size = |at: usize| {
            let bytes: [u8; 4] = core::array::from_fn(|i| encoded[at + i]);
            u32::from_be_bytes(bytes) as usize
        };
        let key_end = KEY_AT + size(KEY_AT - 4);
        let value_at = key_end + 7;
        Self {
            encoded,
            key: &encoded[KEY_AT..key_end],
            value: &encoded[value_at..value_at + size(value_at - 4)],
            deleted: encoded[encoded.len() - 2] != 0,
        }
    }
}

/// Items encoded back to back: `list<TTopicItem>` without its header.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ItemBatch {
    bytes: Bytes,
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    key_len: u32,
    value_len: u32,
}

impl Span {
    fn len(self) -> usize {
        ITEM_OVERHEAD + self.key_len as usize + self.value_len as usize
    }
}

impl ItemBatch {
    /// A batch of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes items given as (key, value, deleted).
    pub fn from_items<'a>(items: impl IntoIterator<Item = (&'a [u8], &'a [u8], bool)>) -> Self {
        let mut build = Build::default();
        items
            .into_iter()
            .for_each(|(key, value, deleted)| build.put(key, value, deleted));
        build.finish()
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// All encodings back to back, sharing the batch's memory.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The i-th item.
    ///
    /// # Panics
    /// If there is no such item.
    pub fn item(&self, i: usize) -> Item<'_> {
        let span = self.spans[i];
        let encoded = &self.bytes[span.start..span.start + span.len()];
        let key_end = KEY_AT + span.key_len as usize;
        let value_at = key_end + 7;
        Item {
            encoded,
            key: &encoded[KEY_AT..key_end],
            value: &encoded[value_at..value_at + span.value_len as usize],
            deleted: encoded[encoded.len() - 2] != 0,
        }
    }

    /// Where the i-th item's encoding stands in [`bytes`](Self::bytes).
    ///
    /// # Panics
    /// If there is no such item.
    pub fn range(&self, i: usize) -> core::ops::Range<usize> {
        let span = self.spans[i];
        span.start..span.start + span.len()
    }

    /// The i-th item's value, sharing the batch's memory.
    ///
    /// # Panics
    /// If there is no such item.
    pub fn value_bytes(&self, i: usize) -> Bytes {
        let span = self.spans[i];
        let at = span.start + KEY_AT + span.key_len as usize + 7;
        self.bytes.slice(at..at + span.value_len as usize)
    }

    /// All items in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Item<'_>> + '_ {
        (0..self.len()).map(|i| self.item(i))
    }
}

impl core::fmt::Debug for ItemBatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "ItemBatch({} items, {} bytes)",
            self.len(),
            self.bytes.len()
        )
    }
}

#[derive(Default)]
struct Build {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Build {
    fn put(&mut self, key: &[u8], value: &[u8], deleted: bool) {
        let start = self.bytes.len();
        put_item(&mut self.bytes, key, value, deleted);
        self.spans.push(Span {
            start,
            key_len: key.len() as u32,
            value_len: value.len() as u32,
        });
    }

    fn finish(mut self) -> ItemBatch {
        // A batch may stay for long, as part of a topic.
        if self.bytes.capacity() - self.bytes.len() > self.bytes.len() / 8 {
            self.bytes.shrink_to_fit();
        }
        ItemBatch {
            bytes: Bytes::from(self.bytes),
            spans: self.spans,
        }
    }
}

/// Appends one canonical item.
///
/// # Panics
/// If key or value is longer than 2^31 - 1 bytes.
pub fn put_item(out: &mut Vec<u8>, key: &[u8], value: &[u8], deleted: bool) {
    put_field(out, code::STRING, 1);
    put_string(out, key);
    put_field(out, code::STRING, 2);
    put_string(out, value);
    put_field(out, code::BOOL, 3);
    out.push(u8::from(deleted));
    out.push(code::STOP);
}

impl Wire for ItemBatch {
    const TYPE: u8 = code::LIST;
    const LEAST: usize = 5;

    fn write(&self, out: &mut Vec<u8>) {
        out.push(code::STRUCT);
        put_size(out, self.len());
        out.extend_from_slice(&self.bytes);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
        let (element, n) = r.list()?;
        if n > 0 && element != code::STRUCT {
            return Err(Fault::BadType(element));
        }
        let mut build = Build {
            bytes: Vec::new(),
            spans: Vec::with_capacity(r.capacity(n, ITEM_OVERHEAD)),
        };
        r.nested(|r| {
            for _ in 0..n {
                let (key, value, deleted) = read_item(r)?;
                build.put(key, value, deleted);
            }
            Ok(())
        })?;
        Ok(build.finish())
    }
}

fn read_item<'a>(r: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8], bool), Fault> {
    let (mut key, mut value, mut deleted) = (None, None, None);
    loop {
        match r.field()? {
            (code::STOP, _) => break,
            (code::STRING, 1) => key = Some(r.string()?),
            (code::STRING, 2) => value = Some(r.string()?),
            (code::BOOL, 3) => deleted = Some(r.u8()? != 0),
            (ty, _) => r.skip(ty)?,
        }
    }
    Ok((
        key.ok_or(Fault::MissingField("TopicItem.key"))?,
        value.ok_or(Fault::MissingField("TopicItem.value"))?,
        deleted.ok_or(Fault::MissingField("TopicItem.deleted"))?,
    ))
}
