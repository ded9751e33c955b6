//! Every decision of a statestore, and of those who subscribe to it, without a single side effect.
//!
//! ```text
//!              now, Input                             Effect ...
//!   driver  ----------------->  Node::step  ----------------------->  driver
//!   (sockets, clock, dice)         |                               (does what it is told,
//!                                  +-- deadline(): wake me then      answers with an Input)
//! ```
//!
//! Read [`port`] first: it is the whole conversation with the world. [`node`] is the only door of
//! the server side, [`subscriber`] of the other side. What they are composed of, leaves first:
//! `time`, `ids`, `config`; `topic` (the log of encoded items), `owned`, `places`, `astray`,
//! `members`, `schedule`, `lanes`, `detector`, `catalog`, `notice`; `event` (what is worth a log
//! line) and `view` (what pages show).
//!
//! Deliberately absent, and kept out by `no_std`: clocks, sockets, threads, randomness, logging.
//! A random number that is needed arrives with the input that needs it.
//!
//! Invariants: a step is finite work, bounded by its input; the same inputs give the same
//! effects; nothing that an input claims can make a step panic.
#![no_std]

extern crate alloc;

pub mod astray;
pub mod catalog;
pub mod config;
pub mod detector;
pub mod event;
pub mod ids;
pub mod lanes;
pub mod members;
pub mod node;
pub mod notice;
pub mod owned;
pub mod pair;
mod places;
pub mod port;
pub mod refusal;
pub mod role;
pub mod schedule;
pub mod subscriber;
pub mod time;
pub mod topic;
pub mod view;

pub use node::Node;
