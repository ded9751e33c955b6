//! Many items: chunks of encodings, each of a bounded length.
//!
//! A chunk is one block of memory that can be taken over as it is by whoever keeps the items. So
//! a publication of a gigabyte is neither copied again nor freed in one go.
//!
//! Deliberately absent: how an item is encoded; that is the parent module's.
//!
//! Invariant: a chunk is longer than [`CHUNK_BYTES`] only if it is a single item, and how items
//! fall into chunks depends on nothing but their lengths.

use super::{ITEM_OVERHEAD, Item, KEY_AT, Sifted, canonical, put_item, read_item};
use crate::schema::Wire;
use crate::thrift::{Fault, Reader, code, put_size};
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Range;

/// The longest chunk of several items, in bytes.
pub const CHUNK_BYTES: usize = 256 << 10;
/// The most items of a chunk: taking one over is a short step.
pub const CHUNK_ITEMS: usize = 2_048;

/// Items encoded back to back: `list<TTopicItem>` without its header.
#[derive(Clone, Default)]
pub struct ItemBatch {
    chunks: Vec<Chunk>,
    len: usize,
    bytes: usize,
}

/// Neighbours of a batch, in one block of memory.
#[derive(Clone)]
pub struct Chunk {
    /// The place of the first item in the batch.
    first: usize,
    bytes: Bytes,
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u32,
    key_len: u32,
    value_len: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + ITEM_OVERHEAD + self.key_len as usize + self.value_len as usize
    }

    /// Where the value stands.
    fn value(self) -> Range<usize> {
        let start = self.start as usize + KEY_AT + self.key_len as usize + 7;
        start..start + self.value_len as usize
    }
}

impl Chunk {
    /// The places of its items in the batch.
    pub fn items(&self) -> Range<usize> {
        self.first..self.first + self.spans.len()
    }

    /// All its encodings back to back.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The item at this place of the batch.
    ///
    /// # Panics
    /// If it is not in this chunk.
    pub fn item(&self, place: usize) -> Item<'_> {
        let span = self.spans[place - self.first];
        let encoded = &self.bytes[span.range()];
        let key_end = KEY_AT + span.key_len as usize;
        let value_at = key_end + 7;
        Item {
            encoded,
            key: &encoded[KEY_AT..key_end],
            value: &encoded[value_at..value_at + span.value_len as usize],
            deleted: encoded[encoded.len() - 2] != 0,
        }
    }

    /// Where its encoding stands in [`bytes`](Self::bytes).
    ///
    /// # Panics
    /// If it is not in this chunk.
    pub fn range(&self, place: usize) -> Range<usize> {
        self.spans[place - self.first].range()
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
        self.len
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all encodings.
    pub fn byte_len(&self) -> usize {
        self.bytes
    }

    /// All encodings, in order. None is without an item.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The chunks from the one on that holds the item at this place.
    pub fn chunks_from(&self, place: usize) -> &[Chunk] {
        let before = self
            .chunks
            .partition_point(|chunk| chunk.items().end <= place);
        &self.chunks[before..]
    }

    /// The i-th item.
    ///
    /// # Panics
    /// If there is no such item.
    pub fn item(&self, i: usize) -> Item<'_> {
        self.chunks_from(i)[0].item(i)
    }

    /// The i-th item's value, sharing its chunk's memory.
    ///
    /// # Panics
    /// If there is no such item.
    pub fn value_bytes(&self, i: usize) -> Bytes {
        let chunk = &self.chunks_from(i)[0];
        chunk.bytes.slice(chunk.spans[i - chunk.first].value())
    }

    /// All items in order.
    pub fn iter(&self) -> impl Iterator<Item = Item<'_>> + '_ {
        let chunks = self.chunks.iter();
        chunks.flat_map(|chunk| chunk.items().map(|place| chunk.item(place)))
    }
}

impl PartialEq for ItemBatch {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl Eq for ItemBatch {}

impl core::fmt::Debug for ItemBatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ItemBatch({} items, {} bytes)", self.len, self.bytes)
    }
}

/// Collects items into one [`ItemBatch`].
#[derive(Default)]
pub struct ItemBatchBuilder {
    done: ItemBatch,
    pub(super) bytes: Vec<u8>,
    pub(super) spans: Vec<Span>,
}

impl ItemBatchBuilder {
    /// Bytes of memory that an item takes beside its encoding.
    pub(super) const PLACE: usize = size_of::<Span>();

    /// Adds one item.
    ///
    /// # Panics
    /// If key or value is longer than 2^31 - 1 bytes, or the batch has that many items: more than
    /// the protocol can say. Whoever takes them from a user checks first.
    pub fn put(&mut self, key: &[u8], value: &[u8], deleted: bool) {
        if self.is_full(0, ITEM_OVERHEAD + key.len() + value.len()) {
            self.close();
            self.bytes.reserve(CHUNK_BYTES);
        }
        let start = self.bytes.len();
        put_item(&mut self.bytes, key, value, deleted);
        self.note(start, key.len() as u32, value.len() as u32);
    }

    /// How many items so far.
    pub fn len(&self) -> usize {
        self.done.len + self.spans.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of encodings so far.
    pub fn byte_len(&self) -> usize {
        self.done.bytes + self.bytes.len()
    }

    /// The batch, holding no more memory than it needs.
    pub fn finish(mut self) -> ItemBatch {
        self.close();
        self.done.chunks.shrink_to_fit();
        self.done
    }

    fn note(&mut self, start: usize, key_len: u32, value_len: u32) {
        let items = self.len();
        assert!(
            items < i32::MAX as usize,
            "a batch of {items} items is full"
        );
        self.spans.push(Span {
            start: start as u32,
            key_len,
            value_len,
        });
    }

    /// True if the chunk has no room for another item of this length, when `coming` bytes are
    /// still to be copied into it.
    fn is_full(&self, coming: usize, len: usize) -> bool {
        let long = self.bytes.len() + coming + len > CHUNK_BYTES;
        !self.spans.is_empty() && (long || self.spans.len() == CHUNK_ITEMS)
    }

    fn close(&mut self) {
        if self.spans.is_empty() {
            return;
        }
        let mut bytes = core::mem::take(&mut self.bytes);
        let mut spans = core::mem::take(&mut self.spans);
        bytes.shrink_to_fit();
        spans.shrink_to_fit();
        let chunk = Chunk {
            first: self.done.len,
            bytes: Bytes::from(bytes),
            spans,
        };
        self.done.len += chunk.spans.len();
        self.done.bytes += chunk.bytes.len();
        self.done.chunks.push(chunk);
    }

    /// Reads `n` items: copies canonical stretches whole, encodes the others anew.
    pub(super) fn read_items(&mut self, r: &mut Reader<'_>, n: usize) -> Result<(), Fault> {
        let mut stretch = 0;
        for _ in 0..n {
            let next = r.rest().get(stretch..).unwrap_or_default();
            if let Some((key_len, value_len)) = canonical(next) {
                let len = ITEM_OVERHEAD + key_len as usize + value_len as usize;
                if self.is_full(stretch, len) {
                    self.bytes.extend_from_slice(r.take(stretch, "items")?);
                    stretch = 0;
                    self.close();
                }
                self.note(self.bytes.len() + stretch, key_len, value_len);
                stretch += len;
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

impl core::fmt::Debug for ItemBatchBuilder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (items, bytes) = (self.len(), self.byte_len());
        write!(f, "ItemBatchBuilder({items} items, {bytes} bytes)")
    }
}

impl Wire for ItemBatch {
    const TYPE: u8 = code::LIST;
    const LEAST: usize = 5;

    fn write(&self, out: &mut Vec<u8>) {
        out.push(code::STRUCT);
        put_size(out, self.len());
        let chunks = self.chunks.iter();
        chunks.for_each(|chunk| out.extend_from_slice(&chunk.bytes));
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
        let (element, n) = r.list()?;
        if n > 0 && element != code::STRUCT {
            return Err(Fault::BadType(element));
        }
        let aside = r.aside::<Sifted>();
        let taken = aside.map(|sifted| sifted.of_list(r.rest().len()));
        let mut builder = taken.unwrap_or_default();
        r.nested(|r| builder.read_items(r, n))?;
        Ok(builder.finish())
    }
}
