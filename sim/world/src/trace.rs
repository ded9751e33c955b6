//! What happened, as lines for people or as one number that tells two runs apart.
//!
//! Lines cost most of a run's time, so they are made only if somebody wants them. Deliberately
//! absent: where lines go.

use crate::clock::Real;
use std::fmt::{self, Write};

/// What becomes of lines.
pub enum Trace<'a> {
    /// Nobody wants them.
    Nothing,
    /// They become a number.
    Hash(&'a mut u64),
    /// Each is handed on.
    Lines(&'a mut dyn FnMut(&str)),
}

impl fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Hash(_) => "Hash",
            Self::Lines(_) => "Lines",
        })
    }
}

impl Trace<'_> {
    pub(crate) fn wants(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    pub(crate) fn line(&mut self, now: Real, who: &str, what: fmt::Arguments<'_>) {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write!(text, "{now} {who:<3} {what}");
        match self {
            Self::Nothing => {}
            Self::Hash(hash) => **hash = text.bytes().fold(**hash, mix),
            Self::Lines(hand) => hand(&text),
        }
    }
}

/// FNV-1a.
pub(crate) fn mix(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// The number of nothing.
pub(crate) const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;
