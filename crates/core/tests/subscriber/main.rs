//! The subscriber machine, rule by rule: no socket, no clock, every input by hand.

#![allow(clippy::unwrap_used, reason = "tests")]

mod accepting;
mod convergence;
mod crossing;
mod epochs;
mod failover;
mod fencing;
mod leaving;
mod publishing;
mod registering;
mod roles;
mod support;
mod topics;
mod unasked;
mod votes;
mod words;
