//! What must hold in every world, one file each; the first breach ends the world.
//!
//! | file | statement |
//! |---|---|
//! | `one_acts` | at no real instant may two statestoreds act (S1) |
//! | `epochs_differ` | no two activations have the same epoch |
//! | `epochs_rise` | no subscriber accepts an active's message of a lower epoch than before (S2) |
//! | `one_source` | no mirror mixes two activations, and mirrors of one version are equal |
//! | `bounded` | what a statestored remembers is bounded by who is there |
//! | `converged` | once nothing is in the way, all is as it should be, and stays so |

mod bounded;
mod converged;
mod epochs_differ;
mod epochs_rise;
mod one_acts;
mod one_source;

use super::application::Source;
use crate::event::Life;
use statestore_wire::Epoch;
use std::collections::BTreeMap;

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which one.
    pub invariant: &'static str,
    /// When, in the world's own time.
    pub at: String,
    /// What was seen.
    pub says: String,
}

/// What invariants remember.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Who was activated under which epoch.
    activations: BTreeMap<Epoch, Life>,
    /// What a topic holds at a version, of one activation and life of the topic.
    contents: BTreeMap<(Source, usize, i64), u64>,
    /// Two act where nobody can know better; remembered so that it is counted once.
    excused: bool,
}
