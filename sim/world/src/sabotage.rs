//! Worlds that break a rule on purpose: an invariant that cannot fail says nothing.
//!
//! | name | what is broken | what must be seen |
//! |---|---|---|
//! | `clocks` | clocks drift apart by far more than r (ha.md section 1) | one acts |
//! | `epochs` | subscribers are shown no epochs, so refuse none (rule 17) | epochs rise |
//! | `deltas` | now and then a mirror does not apply a delta | one source |
//! | `calls` | a driver does not let go of a call that has ended | bounded |
//! | `cuts` | cuts stay when all is said to be well | converges |
//!
//! `statestore-world sabotage` looks whether each is seen. Deliberately absent: rules left out of
//! the core, which is the one that ships; and `epochs_differ`, which has a test of its own.

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Clocks drift apart.
    Clocks,
    /// Nobody sees epochs.
    Epochs,
    /// Deltas are not applied.
    Deltas,
    /// Calls are not let go of.
    Calls,
    /// Cuts stay.
    Cuts,
}

impl Sabotage {
    /// Name, what it is, and the invariant that it breaks.
    pub const ALL: [(&'static str, Self, &'static str); 5] = [
        ("clocks", Self::Clocks, "one acts"),
        ("epochs", Self::Epochs, "epochs rise"),
        ("deltas", Self::Deltas, "one source"),
        ("calls", Self::Calls, "bounded"),
        ("cuts", Self::Cuts, "converges"),
    ];
}
