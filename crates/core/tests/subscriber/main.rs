//! The subscriber machine, rule by rule: no socket, no clock, every input by hand.

#![allow(clippy::unwrap_used, reason = "tests")]

mod accepting;
mod convergence;
mod publishing;
mod registering;
mod roles;
mod support;
mod topics;
mod words;
