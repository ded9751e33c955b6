//! [`Tally`]: count, last, least, most and spread of durations, in constant space.
//!
//! Deliberately absent: the square root, which `core` has not; who shows a deviation takes it.

use core::time::Duration;

/// Statistics of durations, all in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The latest.
    pub last: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// Sum of squared distances from the mean.
    m2: f64,
}

impl Tally {
    /// Takes one in.
    pub fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.last = seconds;
        self.min = if self.count == 0 {
            seconds
        } else {
            self.min.min(seconds)
        };
        self.max = self.max.max(seconds);
        self.count += 1;
        // Welford's update: no large sums whose difference loses the digits.
        let distance = seconds - self.mean;
        self.mean += distance / self.count as f64;
        self.m2 += distance * (seconds - self.mean);
    }

    /// Population variance, in seconds squared.
    pub fn variance(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.m2 / self.count as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_knows_the_extremes_and_the_spread() {
        let mut tally = Tally::default();
        for seconds in [2, 4, 4, 4, 5, 5, 7, 9] {
            tally.add(Duration::from_secs(seconds));
        }
        assert_eq!(
            (tally.count, tally.last, tally.min, tally.max),
            (8, 9.0, 2.0, 9.0)
        );
        assert!((tally.mean - 5.0).abs() < 1e-9 && (tally.variance() - 4.0).abs() < 1e-9);
    }
}
