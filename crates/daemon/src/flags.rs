//! The command line, read as gflags reads it (flags.md section 11).
//!
//! A daemon lists its flags in `const` tables ([`FlagTable`]); [`Program::parse`] turns arguments,
//! environment and flagfiles into [`Flags`], or into the text and exit code with which to leave.
//! Parsing is pure: the environment and the file system come in as closures.
//!
//! Deliberately not here: what a flag means. A daemon reads `Flags` once into its own typed
//! configuration; nothing else asks for a flag by name.
//!
//! Invariant: arguments never panic the parser, and every flag of the tables always has a value
//! of its declared type that its validator accepts.

mod def;
mod flagfile;
mod help;
mod parse;
mod set;
pub mod tables;
mod value;

pub use def::{Effect, FlagDef, FlagTable};
pub use parse::{Outcome, Program};
pub use set::{FlagInfo, Flags};
pub use value::Value;

#[cfg(test)]
mod tests;
