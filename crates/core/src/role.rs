//! What this statestored is to the cluster, and what follows from it (behaviour.md 6.3).
//!
//! Deliberately absent: how a role is won or lost. Without HA a process is active from its start
//! to its end; the election of the pair comes to this file and moves the same enum.

/// The role of one statestored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends updates and notices; what it says about the catalogd holds.
    Active,
    /// Hears registrations and heartbeats, ready to take over.
    Standby,
    /// Lost its role and has not found another.
    Recovery,
}

impl Role {
    /// True if updates and notices may be sent (S-10, N-1).
    pub fn acts(self) -> bool {
        self == Self::Active
    }
}
