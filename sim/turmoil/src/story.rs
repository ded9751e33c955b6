//! One seed: a pair and four subscribers, as they ship, some troubles, and then none.
//!
//! What must hold is in `sight`, what can happen in `troubles`. Deliberately absent: everything
//! that `world` has and more of: these are the drivers, pools and codecs around the same cores,
//! so few seeds do.

use crate::hosts::{Kill, follow, serve};
use crate::net::SimClock;
use crate::sight::{Board, SERVERS, SUBSCRIBERS, Sight};
use crate::troubles::{FASTEST, Kills, SLOWEST, Trouble, Weather};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use turmoil::{Builder, Sim};

/// The grain of time.
const TICK: Duration = Duration::from_millis(1);
/// Until the pair has met and everybody is registered.
const START: Duration = Duration::from_secs(6);
/// Between two changes of the weather, at most; longer than any limit of 2 s and an election.
const PAUSE: u64 = 4_000;
/// How long everything may take to come right. Limits are 2 s, calls to a statestored take up to
/// 3 s, silence for the other's sake 4 s, a start 2 s; this is enough for several of each.
const PATIENCE: Duration = Duration::from_secs(40);

/// What became of a seed.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) breach: Option<String>,
    /// Everything that was done or seen to change, and when.
    pub(crate) lines: Vec<String>,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) failovers: u64,
    /// How often two began to act, one of which had agreed with nobody.
    pub(crate) excused: u64,
    /// From the end of the troubles until all was well.
    pub(crate) settled: Duration,
    /// On its own clock.
    pub(crate) length: Duration,
}

struct Story<'a> {
    weather: Weather<'a>,
    board: Board,
    before: Sight,
    outcome: Outcome,
}

/// Tells it. The clock of one of the pair goes at this speed, in percent; rightly at 100.
pub(crate) fn tell(seed: u64, speed: u32) -> Outcome {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut story = Story::new(seed, speed);
    story.goes_on(START);
    for _ in 0..dice.random_range(2..=5) {
        let (trouble, text) = story.weather.strikes(&mut dice);
        story.notes(&text);
        story.outcome.troubles.push(trouble);
        story.goes_on(TICK);
        story.weather.buries();
        story.goes_on(Duration::from_millis(dice.random_range(50..PAUSE)));
        if dice.random_bool(0.4) {
            story.clears();
            story.goes_on(Duration::from_millis(dice.random_range(50..PAUSE)));
        }
    }
    story.clears();
    story.converges();
    story.outcome.length = story.weather.sim.elapsed();
    story.outcome
}

impl Story<'_> {
    fn new(seed: u64, speed: u32) -> Self {
        let mut sim = Builder::new()
            .rng_seed(seed)
            .tick_duration(TICK)
            .min_message_latency(FASTEST)
            .max_message_latency(SLOWEST)
            .tcp_capacity(4_096)
            .build();
        let board = Board::default();
        let kills = populate(&mut sim, seed, speed, &board);
        Self {
            weather: Weather::new(sim, Rc::clone(&board), kills),
            board,
            before: Sight::default(),
            outcome: Outcome::default(),
        }
    }

    fn goes_on(&mut self, time: Duration) {
        let end = self.weather.sim.elapsed() + time;
        while self.weather.sim.elapsed() < end && self.outcome.breach.is_none() {
            if let Err(error) = self.weather.sim.step() {
                return self.breaks(&format!("a machine ended: {error}"));
            }
            self.looks();
        }
    }

    fn looks(&mut self) {
        if !self.board.borrow().differs(&self.before) {
            return;
        }
        let now = self.board.borrow().clone();
        for line in now.news(&self.before) {
            self.notes(&line);
        }
        self.outcome.failovers += now.failovers(&self.before);
        self.outcome.excused += u64::from(now.two_act() && !self.before.two_act());
        if let Some(breach) = now.breach(&self.before) {
            self.breaks(&breach);
        }
        self.before = now;
    }

    fn notes(&mut self, what: &str) {
        let at = self.weather.sim.elapsed().as_secs_f64();
        self.outcome.lines.push(format!("{at:8.3} {what}"));
    }

    fn breaks(&mut self, what: &str) {
        self.notes(what);
        let at = self.weather.sim.elapsed();
        let breach = &mut self.outcome.breach;
        breach.get_or_insert_with(|| format!("{what} at {at:?}"));
    }

    fn clears(&mut self) {
        self.weather.clears();
        self.notes("nothing is in the way");
    }

    fn converges(&mut self) {
        let start = self.weather.sim.elapsed();
        while self.outcome.breach.is_none() {
            self.goes_on(Duration::from_millis(100));
            self.outcome.settled = self.weather.sim.elapsed() - start;
            match self.before.unsettled() {
                None => return,
                Some(why) if self.outcome.settled > PATIENCE => {
                    self.breaks(&format!("converges: {why}"));
                }
                Some(_) => {}
            }
        }
    }
}

/// Fills the machines; how each of them is killed.
fn populate(sim: &mut Sim<'_>, seed: u64, speed: u32, board: &Board) -> Kills {
    let mut kills = Kills::new();
    for (i, name) in SERVERS.into_iter().enumerate() {
        let (board, kill) = (Rc::clone(board), Kill::default());
        kills.insert(name, Rc::clone(&kill));
        let clock = SimClock(if i == 0 { speed } else { 100 });
        // Each process draws other ids.
        let ids = Cell::new(seed.wrapping_mul(1_000) + i as u64);
        sim.host(name, move || {
            ids.set(ids.get().wrapping_add(10));
            let dice = StdRng::seed_from_u64(ids.get());
            serve(i, dice, clock, Rc::clone(&board), Rc::clone(&kill))
        });
    }
    for (i, name) in SUBSCRIBERS.into_iter().enumerate() {
        let (board, kill) = (Rc::clone(board), Kill::default());
        kills.insert(name, Rc::clone(&kill));
        sim.host(name, move || follow(i, Rc::clone(&board), Rc::clone(&kill)));
    }
    kills
}
