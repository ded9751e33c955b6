//! Many worlds on some threads, each seed on one of them.
//!
//! Deliberately absent: how results are told.
//!
//! Invariant: what is told does not depend on the number of threads, but for the time it took and
//! where it stops after too many breaches.

use statestore_world::{Breach, Coverage, Recipe, Trace, simulate};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// More breaches than this are of no use to anybody.
const ENOUGH: usize = 20;

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct Worlds {
    pub(crate) coverage: Coverage,
    /// By seed.
    pub(crate) breaches: Vec<(u64, Breach)>,
    pub(crate) seeds: u64,
    pub(crate) events: u64,
    pub(crate) took: Duration,
}

/// Lets the worlds of all these seeds happen.
pub(crate) fn run(
    seeds: Range<u64>,
    recipe: impl Fn(u64) -> Recipe + Sync,
    threads: usize,
) -> Worlds {
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let all = Mutex::new(Worlds::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| work(&next, seeds.end, &recipe, &all));
        }
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.breaches.sort_by_key(|(seed, _)| *seed);
    all.took = began.elapsed();
    all
}

fn work(next: &AtomicU64, end: u64, recipe: &impl Fn(u64) -> Recipe, all: &Mutex<Worlds>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let outcome = simulate(&recipe(seed), Trace::Nothing);
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.seeds += 1;
        all.events += outcome.events;
        all.coverage.add(&outcome.coverage);
        all.breaches
            .extend(outcome.breach.map(|breach| (seed, breach)));
        if all.breaches.len() >= ENOUGH {
            return;
        }
    }
}
