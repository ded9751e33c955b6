//! Two nodes and their subscribers: what a decided role changes in what they send (rules H, ha.md).
//!
//! The network is perfect and takes no time unless a test cuts it; faults in masses are the
//! simulation's. Deliberately absent: who wins in which interleaving; `pair/tests` of the crate
//! and the model checker have that.
#![allow(clippy::unwrap_used, clippy::panic)]

mod alone;
mod in_a_row;
mod lives;
mod publishing;
mod telling;
mod together;
mod troubled;
mod world;
