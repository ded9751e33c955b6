//! The model as stateright walks it, and what has to hold in every state.
//!
//! A property is latched: the first violation counts, and with one thread it is a shortest one.
//!
//! Deliberately absent: what a state is, and what follows it (`world`, `step`).

use crate::action::Action;
use crate::scenario::{Goal, Scenario};
use crate::step::{start, step};
use crate::world::World;
use stateright::{Model, Property};
use statestore_core::role::Role;
use std::sync::atomic::{AtomicBool, Ordering};

/// At most one server acts (S1).
pub const ONE_ACTS: &str = "at most one server acts";
/// No two activations have one epoch (S2).
pub const EPOCHS_DIFFER: &str = "no two activations share an epoch";
/// No voter follows an epoch down (S2).
pub const NOBODY_DOWN: &str = "no voter follows an epoch down";
/// Rule 17.
pub const NOBODY_DEAF: &str = "nobody acts below an epoch that a voter answered";

/// A scenario, and what was seen of it.
#[derive(Debug)]
pub struct Search {
    /// What is walked.
    pub rules: Scenario,
    seen: [AtomicBool; 10],
}

impl Search {
    /// Nothing was seen yet.
    pub fn new(rules: Scenario) -> Self {
        Self {
            rules,
            seen: Default::default(),
        }
    }

    /// `found`, for the first time.
    fn first(&self, place: usize, found: impl FnOnce() -> bool) -> bool {
        !self.seen[place].load(Ordering::Relaxed)
            && found()
            && !self.seen[place].swap(true, Ordering::Relaxed)
    }

    fn reached(&self, goal: Goal, world: &World) -> bool {
        let [a, b] = &world.servers;
        let acts = |server| world.acting(&self.rules, server).is_some();
        match goal {
            Goal::Takeover => world.history.activations > 1 && acts(1),
            Goal::Reversal => acts(1) && a.pair.role() == Role::Standby && b.pair.found_peer(),
            Goal::Third => world.history.activations > 2 && (acts(0) || acts(1)),
            Goal::Change => {
                let view = |server: usize| {
                    let view = world.servers[server].pair.view(world.now(&self.rules).time);
                    let agreed = view.voters.iter().filter(|voter| voter.agreed);
                    let agreed: Vec<u8> = agreed.map(|voter| voter.id).collect();
                    (agreed, view.proposed)
                };
                let first: Vec<u8> = (0..self.rules.agreed).map(crate::world::name).collect();
                view(0) == view(1) && view(0).1.is_none() && view(0).0 != first
            }
            Goal::Start => acts(0) || acts(1),
            // Each activation is one above what was there: what is more was a claim's.
            Goal::Claimed => (0..2).any(|server| {
                let epoch = world.acting(&self.rules, server);
                let count = epoch.map_or(0, statestore_core::pair::epoch::counter);
                usize::try_from(count).is_ok_and(|it| it > world.history.activations)
            }),
        }
    }
}

/// True if both servers may send at this moment.
pub fn both_act(rules: &Scenario, world: &World) -> bool {
    (0..2).all(|server| world.acting(rules, server).is_some())
}

impl Model for Search {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![start(&self.rules)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        Action::all(&self.rules, world, actions);
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        step(&self.rules, before, action)
    }

    fn within_boundary(&self, world: &World) -> bool {
        let highest = |server: usize| {
            let epoch = world.servers[server].pair.highest_named();
            statestore_core::pair::epoch::counter(epoch)
        };
        let activations = world.history.activations;
        let acts = |server: usize| world.servers[server].pair.role().acts();
        let one_left = activations == self.rules.activations && !(acts(0) && acts(1));
        activations <= self.rules.activations
            && highest(0).max(highest(1)) <= self.rules.counter
            && !(self.rules.until_one && one_left)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always(ONE_ACTS, |it: &Self, world: &World| {
                !it.first(0, || both_act(&it.rules, world))
            }),
            Property::always(EPOCHS_DIFFER, |it: &Self, world: &World| {
                !it.first(1, || world.history.twins)
            }),
            Property::always(NOBODY_DOWN, |it: &Self, world: &World| {
                !it.first(2, || world.history.down)
            }),
            Property::always(NOBODY_DEAF, |it: &Self, world: &World| {
                !it.first(3, || world.history.deaf)
            }),
        ];
        all.extend(self.rules.goals.iter().map(|goal| match goal {
            Goal::Takeover => Property::sometimes("takeover", |it: &Self, world: &World| {
                it.first(4, || it.reached(Goal::Takeover, world))
            }),
            Goal::Reversal => Property::sometimes("reversal", |it: &Self, world: &World| {
                it.first(5, || it.reached(Goal::Reversal, world))
            }),
            Goal::Third => Property::sometimes("third", |it: &Self, world: &World| {
                it.first(6, || it.reached(Goal::Third, world))
            }),
            Goal::Change => Property::sometimes("change", |it: &Self, world: &World| {
                it.first(7, || it.reached(Goal::Change, world))
            }),
            Goal::Start => Property::sometimes("start", |it: &Self, world: &World| {
                it.first(8, || it.reached(Goal::Start, world))
            }),
            Goal::Claimed => Property::sometimes("claimed", |it: &Self, world: &World| {
                it.first(9, || it.reached(Goal::Claimed, world))
            }),
        }));
        all
    }
}
