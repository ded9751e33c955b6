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
//! the seed. Read `plan`, then `world`, its `transport` and `invariants`.
//!
//! Deliberately absent: sockets, tasks, encodings (other tests have those), and every clock but
//! the worlds' own.
//!
//! Invariant: two runs of one seed are the same to the last event.

mod clock;
mod coverage;
mod dice;
mod event;
mod message;
mod network;
mod plan;
mod process;
mod queue;
mod sabotage;
mod trace;
mod world;

pub use coverage::{Coverage, DEMANDED};
pub use sabotage::Sabotage;
pub use trace::Trace;
pub use world::invariants::Breach;

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

impl Mode {
    /// The mode of a seed for which none is wanted.
    pub fn of(seed: u64) -> Self {
        match seed % 4 {
            0 | 1 => Self::Ours,
            2 => Self::Reference,
            _ => Self::Forced,
        }
    }
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

/// Which world is to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Everything follows from it.
    pub seed: u64,
    /// What kind of world.
    pub mode: Mode,
    /// Faults of the seed that do not strike, by number.
    pub without: Vec<usize>,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

impl Recipe {
    /// The world of a seed as it is.
    pub fn new(seed: u64, mode: Mode) -> Self {
        Self {
            seed,
            mode,
            without: Vec::new(),
            sabotage: None,
        }
    }
}

/// Lets a world happen.
pub fn simulate(recipe: &Recipe, trace: Trace<'_>) -> Outcome {
    let mut plan = Plan::draw(recipe.seed, recipe.mode);
    plan.sabotage(recipe.sabotage);
    let mut number = 0;
    plan.strikes.retain(|_| {
        number += 1;
        !recipe.without.contains(&(number - 1))
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
