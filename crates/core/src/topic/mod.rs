//! One topic: a log of encoded items, and what a subscriber at some version lacks of it.
//!
//! ```text
//!  write, expire, clear                                   delta(since, prefix)
//!        |                                                        |
//!     TopicLog --- Index: key -> version of its current row       |
//!        |                                                        v
//!        +-------- Store: segments of items, by version ---> runs of bytes
//! ```
//!
//! A row is named by its version and by nothing else: the index holds versions, and the store
//! finds a version by binary search. So rows may move when a segment is rewritten, and nobody
//! has to be told. Read `log` first, then `store`, `lacking` and `delta`; `reach` stands apart: it
//! knows how far the subscribers are.
//!
//! Deliberately absent: who subscribed, who owns a transient entry, when to send.
//!
//! Invariants: index entries and live rows are one to one; versions only rise; memory is the
//! live items plus an eighth, whatever was written before.

mod assembly;
mod cache;
mod delta;
mod index;
mod lacking;
mod log;
mod reach;
mod segment;
mod store;

pub use delta::Delta;
pub use lacking::Looks;
pub use log::{Entry, Sizes, TopicLog};
pub use reach::Reach;

use core::fmt;

/// A point in a topic's history: the number of the last item written so far. Zero is before
/// the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl Version {
    /// Before anything was written.
    pub const ZERO: Self = Self(0);

    /// As it travels.
    pub fn to_wire(self) -> i64 {
        self.0.cast_signed()
    }

    /// From a message; `None` if negative, which no version is.
    pub fn from_wire(version: i64) -> Option<Self> {
        u64::try_from(version).ok().map(Self)
    }

    /// The version that follows.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }

    fn plus(self, items: usize) -> Self {
        Self(self.0 + items as u64)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
