//! Whole clusters of bare cores on one clock: two statestoreds, their subscribers, and a network
//! that does to them what networks do.
//!
//! ```text
//!   seed --> plan --> world: events by time --> cores step --> more events
//!                                                   |
//!                                                   +--> invariants
//! ```
//!
//! A world lasts some seconds of its own time and some milliseconds of ours. First there are
//! troubles, then all is well and must come right within a bounded time. Everything follows from
//! the seed. Read `plan`, `world`, `transport`, then `invariants`.
//!
//! Deliberately absent: sockets, tasks, encodings (other tests have those), and every clock but
//! the worlds' own.
//!
//! Invariant: two runs of one seed are the same to the last event.

mod application;
mod clock;
mod coverage;
mod dice;
mod event;
mod faults;
mod heal;
mod invariants;
mod late;
mod members;
mod message;
mod network;
mod plan;
mod process;
mod queue;
mod reference;
mod servers;
mod trace;
mod transport;
mod world;

pub use coverage::Coverage;
pub use invariants::Breach;
pub use trace::Trace;

use plan::Plan;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// What kind of worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everybody is ours.
    Ours,
    /// Some subscribers are the reference's.
    Reference,
    /// Operators force a statestored to be active.
    Forced,
}

/// What became of one world.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What did not hold.
    pub breach: Option<Breach>,
    /// What happened how often.
    pub coverage: Coverage,
    /// How much happened.
    pub events: u64,
}

/// Lets the world of a seed happen; without the faults of these numbers.
pub fn simulate(seed: u64, mode: Mode, without: &[usize], trace: Trace<'_>) -> Outcome {
    let mut plan = Plan::draw(seed, mode);
    let mut number = 0;
    plan.strikes.retain(|_| {
        number += 1;
        !without.contains(&(number - 1))
    });
    let mut world = World::new(plan, trace);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    if let Err(panic) = ended {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.breaks_rule("no core panics", text.unwrap_or_default());
    }
    Outcome {
        breach: world.breach,
        coverage: world.coverage,
        events: world.events,
    }
}

/// The faults of a seed's world, a line each.
pub fn faults(seed: u64, mode: Mode) -> Vec<String> {
    let plan = Plan::draw(seed, mode);
    plan.strikes.iter().map(ToString::to_string).collect()
}
