//! [`Sifted`]: items that were taken out of a message while it arrived, by their lists.
//!
//! Deliberately absent: taking them out (`sift`).
//!
//! Invariant: lists stand in the order of the message, and what is given back was taken out of the
//! list that is asked for.

use super::{CHUNK_BYTES, ItemBatchBuilder};
use crate::thrift::{Fault, Reader};
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;

/// Items of the lists of one message.
#[derive(Default)]
pub struct Sifted {
    lists: Vec<List>,
    items: usize,
    bytes: usize,
    /// Of what is left of the message, once it has ended.
    len: usize,
}

struct List {
    /// Where its size stands in what is left of the message.
    size_at: usize,
    items: Cell<ItemBatchBuilder>,
}

impl Sifted {
    /// Bytes of all items in the message.
    pub fn byte_len(&self) -> usize {
        self.bytes
    }

    /// Memory that they take at most.
    pub fn memory(&self) -> usize {
        self.bytes + self.items * ItemBatchBuilder::PLACE + self.lists.len() * CHUNK_BYTES
    }

    /// Takes so many items, which are the next ones of the list whose size stands there.
    pub(crate) fn take(&mut self, size_at: usize, items: &[u8], count: usize) -> Result<(), Fault> {
        if self.lists.last().is_none_or(|list| list.size_at != size_at) {
            let items = Cell::default();
            self.lists.push(List { size_at, items });
        }
        if let Some(list) = self.lists.last_mut() {
            let list = list.items.get_mut();
            list.read_items(&mut Reader::new(items), count)?;
        }
        self.items += count;
        self.bytes += items.len();
        Ok(())
    }

    /// The message has ended, and so many bytes are left of it: now they can be read.
    pub fn end(&mut self, len: usize) {
        self.len = len;
    }

    /// What was taken out of the list behind whose size so many bytes are left; given once.
    pub(super) fn of_list(&self, behind: usize) -> ItemBatchBuilder {
        let size_at = self.len.saturating_sub(behind + 4);
        let found = self
            .lists
            .binary_search_by_key(&size_at, |list| list.size_at);
        let list = found.ok().map(|place| &self.lists[place]);
        list.map(|list| list.items.take()).unwrap_or_default()
    }
}

impl fmt::Debug for Sifted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lists, bytes) = (self.lists.len(), self.bytes);
        write!(f, "Sifted({lists} lists, {bytes} bytes)")
    }
}
