//! Topic items in the form they travel in.
//!
//! An item's encoding depends on nothing around it, so an item is encoded once, when it enters,
//! and the same bytes leave for every subscriber. [`ItemBatch`] is a run of such encodings, back
//! to back, with the place of each key and value.
//!
//! Deliberately absent: versions, and which item is still alive; that is the topic log's.
//!
//! Invariant: every item in a batch has the canonical encoding (fields 1, 2, 3 in order, nothing
//! else), whatever the sender wrote; so lengths follow from key and value alone, and any run of
//! neighbours is one slice. Nearly every sender writes that form, so reading copies whole
//! stretches of it and encodes anew only what differs.

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

/// The key of a canonical encoding.
///
/// # Panics
/// As [`Item::from_canonical`].
pub fn canonical_key(encoded: &[u8]) -> &[u8] {
    let (head, rest) = encoded.split_at(KEY_AT);
    let len = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    &rest[..len as usize]
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
    ///
    /// # Panics
    /// As [`ItemBatchBuilder::put`].
    pub fn from_items<'a>(items: impl IntoIterator<Item = (&'a [u8], &'a [u8], bool)>) -> Self {
        let mut builder = ItemBatchBuilder::default();
        items
            .into_iter()
            .for_each(|(key, value, deleted)| builder.put(key, value, deleted));
        builder.finish()
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

    /// The encodings of neighbours, back to back, sharing the batch's memory.
    ///
    /// # Panics
    /// If `items` reaches past the end.
    pub fn run(&self, items: core::ops::Range<usize>) -> Bytes {
        if items.is_empty() {
            return Bytes::new();
        }
        let start = self.spans[items.start].start;
        self.bytes.slice(start..self.range(items.end - 1).end)
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

/// Collects items into one [`ItemBatch`].
#[derive(Debug, Default)]
pub struct ItemBatchBuilder {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl ItemBatchBuilder {
    /// Nothing yet, with room for `bytes` of encodings ([`ITEM_OVERHEAD`] an item, key, value).
    pub fn with_capacity(items: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            spans: Vec::with_capacity(items),
        }
    }

    /// Adds one item.
    ///
    /// # Panics
    /// If key or value is longer than 2^31 - 1 bytes, or the batch has that many items: more than
    /// the protocol can say. Whoever takes them from a user checks first.
    pub fn put(&mut self, key: &[u8], value: &[u8], deleted: bool) {
        let start = self.bytes.len();
        put_item(&mut self.bytes, key, value, deleted);
        self.note(start, key.len() as u32, value.len() as u32);
    }

    /// How many items so far.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of encodings so far.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The batch, holding no more memory than it needs.
    pub fn finish(mut self) -> ItemBatch {
        self.bytes.shrink_to_fit();
        self.spans.shrink_to_fit();
        ItemBatch {
            bytes: Bytes::from(self.bytes),
            spans: self.spans,
        }
    }

    fn note(&mut self, start: usize, key_len: u32, value_len: u32) {
        assert!(
            self.spans.len() < i32::MAX as usize,
            "a batch of {} items is full",
            self.spans.len()
        );
        self.spans.push(Span {
            start,
            key_len,
            value_len,
        });
    }

    /// Reads `n` items: copies canonical stretches whole, encodes the others anew.
    fn read_items(&mut self, r: &mut Reader<'_>, n: usize) -> Result<(), Fault> {
        let mut stretch = 0;
        for _ in 0..n {
            let next = r.rest().get(stretch..).unwrap_or_default();
            if let Some((key_len, value_len)) = canonical(next) {
                self.note(self.bytes.len() + stretch, key_len, value_len);
                stretch += ITEM_OVERHEAD + key_len as usize + value_len as usize;
            } else {
                self.bytes.extend_from_slice(r.take(stretch, "items")?);
                stretch = 0;
                let (key, value, deleted) = read_item(r)?;
                self.put(key, value, deleted);
            }
        }
        self.bytes.extend_from_slice(r.take(stretch, "items")?);
        Ok(())
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
        let mut builder = ItemBatchBuilder::with_capacity(r.capacity(n, ITEM_OVERHEAD), 0);
        r.nested(|r| builder.read_items(r, n))?;
        Ok(builder.finish())
    }
}

/// The lengths of key and value if `bytes` starts with a whole canonical item.
fn canonical(bytes: &[u8]) -> Option<(u32, u32)> {
    let (key_len, rest) = canonical_string(bytes, 1)?;
    let (value_len, rest) = canonical_string(rest, 2)?;
    let end = rest.first_chunk::<5>()?;
    matches!(end, [code::BOOL, 0, 3, 0 | 1, code::STOP]).then_some((key_len, value_len))
}

fn canonical_string(bytes: &[u8], id: u8) -> Option<(u32, &[u8])> {
    let (&[ty, hi, lo, a, b, c, d], rest) = bytes.split_first_chunk::<KEY_AT>()?;
    let len = i32::from_be_bytes([a, b, c, d]);
    let rest = rest.get(usize::try_from(len).ok()?..)?;
    (ty == code::STRING && hi == 0 && lo == id).then_some((len as u32, rest))
}

fn read_item<'a>(r: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8], bool), Fault> {
    let (mut key, mut value, mut deleted) = (None, None, None);
    r.nested(|r| {
        loop {
            match r.field()? {
                (code::STOP, _) => return Ok(()),
                (code::STRING, 1) => key = Some(r.string()?),
                (code::STRING, 2) => value = Some(r.string()?),
                (code::BOOL, 3) => deleted = Some(r.u8()? != 0),
                (ty, _) => r.skip(ty)?,
            }
        }
    })?;
    Ok((
        key.ok_or(Fault::MissingField("TopicItem.key"))?,
        value.ok_or(Fault::MissingField("TopicItem.value"))?,
        deleted.ok_or(Fault::MissingField("TopicItem.deleted"))?,
    ))
}

#[cfg(test)]
mod tests;
