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

/// Names one registration inside the core. Later registrations have greater keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey(pub u64);

/// A call that the core asked for; its outcome comes back under the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A request that the driver received; its answer goes out under the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

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
