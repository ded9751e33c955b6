//! Topic items in the form they travel in.
//!
//! An item's encoding depends on nothing around it, so an item is encoded once, when it enters,
//! and the same bytes leave for every subscriber. [`ItemBatch`] holds such encodings, back to
//! back, with the place of each key and value.
//!
//! Deliberately absent: versions, and which item is still alive; that is the topic log's.
//!
//! Invariant: every item in a batch has the canonical encoding (fields 1, 2, 3 in order, nothing
//! else), whatever the sender wrote; so lengths follow from key and value alone, and any run of
//! neighbours is one slice. Nearly every sender writes that form, so reading copies whole
//! stretches of it and encodes anew only what differs.

use crate::thrift::{Fault, Reader, code, put_field, put_string};
use alloc::vec::Vec;

mod batch;
mod sifted;

pub use batch::{CHUNK_BYTES, CHUNK_ITEMS, Chunk, ItemBatch, ItemBatchBuilder};
pub use sifted::Sifted;

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
