//! Topic items are taken out of a message while it arrives.
//!
//! ```text
//!   arriving: | envelope | .. | size 9 | item item item ite          three whole items
//!   left:     | envelope | .. | size 6 | ite                         taken out: six follow
//! ```
//!
//! A publication of a gigabyte is nearly all items, each of which means the same wherever it
//! stands. Read as they come, they never are in memory twice. What is left of the message is as
//! valid as the whole was, and a [reader](crate::Reader::beside) that knows of the items puts them
//! back.
//!
//! Deliberately absent: buffers, and how many bytes of items are worth it.
//!
//! Invariant: what is left, read beside the items, is what the message would have been.

use crate::item::Sifted;
use crate::scan::{Scanner, Step};
use crate::thrift::Fault;
use core::ops::Range;

/// Where the items of an answer to UpdateState stand.
pub const ITEMS_OF_UPDATE_ANSWER: &[Step] = &[
    Step::Field(0), // the result
    Step::Field(2), // topic_updates
    Step::Element,
    Step::Field(2), // topic_entries
];

/// Takes whole items out of the message that the scanner is at, if it has passed `least` bytes of
/// them. `received` is what it was given; the range is to be removed from there.
///
/// # Errors
/// The sender's fault: something that is no item.
pub fn sift(
    sifted: &mut Sifted,
    scanner: &mut Scanner,
    received: &mut [u8],
    least: usize,
) -> Result<Option<Range<usize>>, Fault> {
    let whole = scanner.whole_elements();
    let Some(whole) = whole.filter(|whole| whole.bytes.len() >= least) else {
        return Ok(None);
    };
    let items = &received[whole.bytes.clone()];
    sifted.take(whole.size_at, items, whole.count)?;
    let size = (whole.left as u32).to_be_bytes();
    received[whole.size_at..][..size.len()].copy_from_slice(&size);
    scanner.cut();
    Ok(Some(whole.bytes))
}

#[cfg(test)]
mod tests;
