//! All states of a pair of statestoreds, within bounds: two [`Pair`]s as they ship, one to four
//! voters, a network that loses and delays, processes that pause, crash and leave.
//!
//! ```text
//!   scenario ---> step(World, Action) -> World ---> search (stateright): every state
//!   sabotage --/                             |\--> heal: random walks, then all faults end
//!                                             \--> lockstep: levelled states have the same future
//! ```
//!
//! Read `world`, `action`, `step`, `exchange`; then `scenarios` and `ablations`. Results:
//! `docs/model.md`.
//!
//! Deliberately absent: the node around the pair, and the shipped subscriber; `subscriber` has
//! the few rules of it that matter here. Clocks of different rates: an argument (ha.md
//! section 6).
//!
//! [`Pair`]: statestore_core::pair::Pair

pub mod ablations;
pub mod action;
pub mod exchange;
pub mod heal;
pub mod letter;
pub mod lockstep;
pub mod print;
pub mod report;
pub mod sabotage;
pub mod scenario;
pub mod scenarios;
pub mod search;
pub mod step;
pub mod subscriber;
pub mod ticks;
pub mod world;
