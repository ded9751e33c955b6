//! Random troubles: cut links, dead and restarted servers, subscribers that come and go. At no
//! moment may two servers act (the world looks after each step), and once all is well again one
//! is active, the other stands by, and everybody is in the electorate.
//!
//! Deliberately absent: delayed and reordered messages, clocks of different rates; the simulation
//! has those. Invariant: a seed is the whole story, and is printed when it fails.

use super::world::{World, config, request};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use statestore_core::port::Input;
use statestore_core::role::Role;
use statestore_wire::Text;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const IDS: [&str; 4] = ["a", "b", "c", "d"];

struct Troubles {
    world: World,
    dice: StdRng,
    restarts: i64,
}

impl Troubles {
    fn new(seed: u64) -> Self {
        let mut world = World::new(&config(false));
        world.seed = seed;
        world.wait(SECOND);
        Self {
            world,
            dice: StdRng::seed_from_u64(seed),
            restarts: 10,
        }
    }

    /// Every subscriber sees to it that it is registered where it can be.
    fn register_everybody(&mut self) {
        for which in 0..2 {
            let server = &self.world.servers[which];
            if self.world.dead.contains(&which) || !server.node.is_decided() {
                continue;
            }
            let known = server.node.totals().subscribers;
            for id in IDS {
                let away = self.world.cut.contains(&(which, Text::from(id)));
                if !away && !known.contains(&Text::from(id)) {
                    self.world.register_with(which, request(id));
                }
            }
        }
    }

    fn strike(&mut self) {
        let active = (0..2).find(|which| self.world.role(*which) == Role::Active);
        let any = self.dice.random_range(0..2);
        let which = active.filter(|_| self.dice.random()).unwrap_or(any);
        match self.dice.random_range(0..9) {
            0..=2 => {
                let whom = ["peer", "a", "b", "c", "d"][self.dice.random_range(0..5)];
                let link = (which, Text::from(whom));
                if !self.world.cut.remove(&link) {
                    self.world.cut.insert(link);
                }
            }
            3 => {
                for whom in ["peer", "a", "b", "c", "d"] {
                    self.world.cut.insert((which, Text::from(whom)));
                }
            }
            4 => self.world.cut.clear(),
            5..=6 if self.world.dead.contains(&which) => {
                self.restarts += 1;
                self.world.restart(which, self.restarts);
            }
            5 => drop(self.world.dead.insert(which)),
            6 => {
                self.world.step(which, Input::Stopping);
                self.world.settle();
                self.world.dead.insert(which);
            }
            _ => self
                .world
                .cut
                .retain(|(_, whom)| whom.as_bytes() != b"peer"),
        }
    }

    fn heal(&mut self) {
        self.world.cut.clear();
        for which in 0..2 {
            if self.world.dead.contains(&which) {
                self.restarts += 1;
                self.world.restart(which, self.restarts);
            }
        }
        for _ in 0..90 {
            self.world.wait(SECOND);
            self.register_everybody();
        }
    }
}

// P7, S1; rules 1 to 19 together
#[test]
fn never_do_two_act_and_in_the_end_exactly_one_does() {
    let mut takeovers = 0;
    for seed in 0..40 {
        let mut troubles = Troubles::new(seed);
        for _ in 0..40 {
            let time = troubles.dice.random_range(100..16_000);
            troubles.world.wait(Duration::from_millis(time));
            troubles.register_everybody();
            troubles.strike();
        }
        troubles.heal();
        let mut roles = troubles.world.roles();
        roles.sort();
        assert_eq!(roles, [Role::Active, Role::Standby], "seed {seed}");
        for server in &troubles.world.servers {
            let view = server.node.pair(troubles.world.stamp()).unwrap();
            assert_eq!(view.agreed, IDS.len(), "seed {seed}: {view:?}");
        }
        takeovers += troubles.world.takeovers;
    }
    assert!(takeovers > 10, "things really happen: {takeovers}");
}
