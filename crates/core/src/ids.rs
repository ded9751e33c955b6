//! Names for things, one type each, so that none is taken for another.
//! No arithmetic and no meaning here: they can be compared and shown, nothing else.

use core::fmt;
use statestore_wire::UniqueId;

/// One statestored process; random, so a restart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StatestoreId(pub UniqueId);

/// One registration of a subscriber; random, fences what belongs to an older one (R-3, S-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RegistrationId(pub UniqueId);

/// Names one of many things of a kind, and says where it is. Later ones have greater keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Never used again.
    pub number: u64,
    /// Used again; 0 where nothing is found by it.
    pub place: u32,
}

/// Names one registration inside the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey(pub Key);

/// A call that the core asked for; its outcome comes back under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub Key);

/// A request that the driver received; its answer goes out under the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl CallId {
    /// One whose place nobody asks for.
    pub fn numbered(number: u64) -> Self {
        Self(Key { number, place: 0 })
    }
}

#[cfg(test)]
impl MemberKey {
    /// One whose place nobody asks for.
    pub fn numbered(number: u64) -> Self {
        Self(Key { number, place: 0 })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

impl fmt::Display for StatestoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RegistrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
