//! All chance of a world, from its seed.
//!
//! The algorithm is fixed and so is how numbers are made of its bits: a seed means the same world
//! with every version of every library. Deliberately absent: any other source of chance.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use statestore_wire::UniqueId;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What a stream of numbers is for. One fault less does not change the network's luck at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Plan = 1,
    Network = 2,
    Processes = 3,
    Application = 4,
}

#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64, stream: Stream) -> Self {
        let mut chacha = ChaCha8Rng::seed_from_u64(seed);
        chacha.set_stream(stream as u64);
        Self(chacha)
    }

    /// A number below `n`; zero if `n` is.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(n);
        (wide >> 64) as u64
    }

    pub(crate) fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    pub(crate) fn number(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        low + self.below(high - low + 1)
    }

    /// True so many times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    pub(crate) fn time(&mut self, range: RangeInclusive<Duration>) -> Duration {
        let nanos = |time: &Duration| time.as_nanos() as u64;
        Duration::from_nanos(self.number(nanos(range.start())..=nanos(range.end())))
    }

    /// Between `low` and `high` per cent of a time.
    pub(crate) fn share(&mut self, of: Duration, low: u64, high: u64) -> Duration {
        of * (self.number(low..=high) as u32) / 100
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.index(all.len())]
    }

    pub(crate) fn id(&mut self) -> UniqueId {
        UniqueId {
            hi: self.0.next_u64().cast_signed(),
            lo: self.0.next_u64().cast_signed() | 1 << 40,
        }
    }
}
