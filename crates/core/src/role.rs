//! What this statestored is to the cluster, and what follows from it (behaviour.md 6.3).
//!
//! Deliberately absent: how a role is won or lost; that is `pair`. Without HA a process is active
//! from its start to its end.

use core::fmt;

/// The role of one statestored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks for its peer; its service is not open yet (H-1, H-4).
    Starting,
    /// Sends updates and notices; what it says about the catalogd holds.
    Active,
    /// Hears registrations and heartbeats, ready to take over.
    Standby,
    /// Lost its role and looks for another.
    Recovery,
}

impl Role {
    /// True if updates and notices may be sent (S-10, N-1).
    pub fn acts(self) -> bool {
        self == Self::Active
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Recovery => "recovery",
        })
    }
}
