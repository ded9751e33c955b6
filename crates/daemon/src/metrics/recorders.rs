//! Figures that need memory: running statistics and percentiles, both of bounded size.
//! No clock and no locks: whoever measures brings the number, whoever shares brings the lock.

/// Most that a histogram tells apart; larger values count as this (about 19 hours in us).
const HISTOGRAM_MAX: u64 = 1 << 36;

/// Count, last, extremes, mean and deviation of numbers, in constant space (Welford's method).
#[derive(Clone, Debug, Default)]
pub struct Stats {
    now: StatsSnapshot,
    mean: f64,
    squares: f64,
}

/// [`Stats`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StatsSnapshot {
    /// Numbers seen; the other fields mean nothing when 0.
    pub count: u64,
    /// The latest.
    pub last: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (of the population).
    pub stddev: f64,
}

impl Stats {
    /// Takes in a number; one that is not finite is ignored, as it would spoil all that follows.
    pub fn record(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let now = &mut self.now;
        now.count += 1;
        now.last = value;
        now.min = if now.count == 1 {
            value
        } else {
            now.min.min(value)
        };
        now.max = if now.count == 1 {
            value
        } else {
            now.max.max(value)
        };
        let off = value - self.mean;
        self.mean += off / now.count as f64;
        self.squares += off * (value - self.mean);
    }

    /// The figures now.
    pub fn snapshot(&self) -> StatsSnapshot {
        let mut now = self.now;
        if now.count > 0 {
            now.mean = self.mean;
            now.stddev = (self.squares / now.count as f64).max(0.0).sqrt();
        }
        now
    }
}

/// Percentiles of whole numbers with an error below 1 %, in at most some 40 KiB.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: hdrhistogram::Histogram<u64>,
    sum: u64,
    /// Exact, where the counts are not.
    min: u64,
    max: u64,
}

/// [`Histogram`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Numbers seen.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The least, 0 if none.
    pub min: u64,
    /// The greatest.
    pub max: u64,
    /// Values at [`HistogramSnapshot::PERCENTILES`].
    pub percentiles: [u64; 6],
}

impl HistogramSnapshot {
    /// The percentiles that pages show.
    pub const PERCENTILES: [f64; 6] = [25.0, 50.0, 75.0, 90.0, 95.0, 99.9];
}

impl Histogram {
    /// An empty histogram; small until it is used.
    #[expect(
        clippy::expect_used,
        reason = "the bounds are constants inside the allowed range"
    )]
    pub fn new() -> Self {
        let mut counts = hdrhistogram::Histogram::new(2).expect("two digits are allowed");
        counts.auto(true);
        Histogram {
            counts,
            sum: 0,
            min: u64::MAX,
            max: 0,
        }
    }

    /// Takes in a number.
    pub fn record(&mut self, value: u64) {
        // Grows by itself up to that bound; only want of memory could stop it.
        let _ = self.counts.record(value.min(HISTOGRAM_MAX));
        self.sum = self.sum.saturating_add(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// The figures now.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let min = if self.counts.is_empty() { 0 } else { self.min };
        let at = |percentile| {
            self.counts
                .value_at_percentile(percentile)
                .clamp(min, self.max)
        };
        HistogramSnapshot {
            count: self.counts.len(),
            sum: self.sum,
            min,
            max: self.max,
            percentiles: HistogramSnapshot::PERCENTILES.map(at),
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statistics_of_a_known_series_are_right() {
        let mut stats = Stats::default();
        assert_eq!(stats.snapshot(), StatsSnapshot::default());
        [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0, f64::NAN]
            .into_iter()
            .for_each(|v| stats.record(v));
        let now = stats.snapshot();
        assert_eq!((now.count, now.last, now.min, now.max), (8, 9.0, 2.0, 9.0));
        assert!((now.mean - 5.0).abs() < 1e-12 && (now.stddev - 2.0).abs() < 1e-12);
    }

    #[test]
    fn negative_numbers_have_a_negative_maximum() {
        let mut stats = Stats::default();
        stats.record(-2.0);
        assert_eq!((stats.snapshot().min, stats.snapshot().max), (-2.0, -2.0));
    }

    #[test]
    fn a_huge_value_neither_panics_nor_grows_a_histogram() {
        let mut histogram = Histogram::new();
        [0, 1, u64::MAX, u64::MAX]
            .into_iter()
            .for_each(|v| histogram.record(v));
        let now = histogram.snapshot();
        assert_eq!(
            (now.count, now.min, now.max, now.sum),
            (4, 0, u64::MAX, u64::MAX)
        );
        assert!(histogram.counts.distinct_values() < 6000);
        histogram.reset();
        assert_eq!(histogram.snapshot(), HistogramSnapshot::default());
    }

    proptest! {
        #[test]
        fn percentiles_are_within_one_per_cent(
            values in proptest::collection::vec(0u64..1_000_000_000, 1..300),
        ) {
            let mut histogram = Histogram::new();
            values.iter().for_each(|&value| histogram.record(value));
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let now = histogram.snapshot();
            for (found, percentile) in now.percentiles.iter().zip(HistogramSnapshot::PERCENTILES) {
                let rank = (percentile / 100.0 * sorted.len() as f64).ceil() as usize;
                let exact = sorted[rank.clamp(1, sorted.len()) - 1] as f64;
                prop_assert!((*found as f64 - exact).abs() <= exact / 100.0 + 1.0);
            }
            prop_assert_eq!(now.sum, values.iter().sum::<u64>());
        }
    }
}
