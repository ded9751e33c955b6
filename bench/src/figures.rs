//! Figures: what was measured, beside its limit and its promise.
//!
//! Deliberately absent: how they are shown (`report`). Invariant: a figure is made from a
//! measurement of this run; nothing here has a value of its own.

use crate::plot::Plot;
use serde_json::{Value, json};

/// One measured number.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// A stable name, for programs.
    pub(crate) key: String,
    /// For people.
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) unit: &'static str,
    /// What the machine itself reached in the same run, or the same without the disturbance.
    pub(crate) limit: Option<f64>,
    pub(crate) promise: Option<Promise>,
}

/// A line of `docs/benchmarks.md` that should hold.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    /// P1 to P10.
    pub(crate) number: &'static str,
    pub(crate) bound: Bound,
}

/// What a promise asks of a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    Most(f64),
    Least(f64),
    /// Of the limit, as a share.
    MostOfLimit(f64),
    LeastOfLimit(f64),
}

/// The figures of one scenario.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// What repeats it.
    pub(crate) command: String,
    /// How they were got.
    pub(crate) how: String,
    pub(crate) figures: Vec<Figure>,
    /// Graphs of the figures.
    pub(crate) plots: Vec<Plot>,
    /// More numbers, as a table of Markdown; empty for none.
    pub(crate) table: String,
    /// What a reader must know to judge them.
    pub(crate) notes: Vec<String>,
    /// The part of the machine that neither server nor load generator used, at most; 0 to 1.
    pub(crate) others: f64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// It could not be measured to its end.
    pub(crate) failed: bool,
}

impl Figure {
    pub(crate) fn new(
        key: impl Into<String>,
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
            measured,
            unit,
            limit: None,
            promise: None,
        }
    }

    pub(crate) fn beside(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(crate) fn promised(mut self, number: &'static str, bound: Bound) -> Self {
        self.promise = Some(Promise { number, bound });
        self
    }

    /// Measured by limit.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let limit = self.limit.filter(|limit| *limit > 0.0)?;
        Some(self.measured / limit)
    }

    /// Whether the promise is kept, if there is one.
    pub(crate) fn holds(&self) -> Option<bool> {
        let share = self.ratio().unwrap_or(f64::NAN);
        self.promise.as_ref().map(|promise| match promise.bound {
            Bound::Most(most) => self.measured <= most,
            Bound::Least(least) => self.measured >= least,
            Bound::MostOfLimit(most) => share <= most,
            Bound::LeastOfLimit(least) => share >= least,
        })
    }

    /// Whether the limit itself keeps the promise, where that is a number.
    pub(crate) fn limit_holds(&self) -> Option<bool> {
        let limit = self.limit?;
        match self.promise.as_ref()?.bound {
            Bound::Most(most) => Some(limit <= most),
            Bound::Least(least) => Some(limit >= least),
            Bound::MostOfLimit(_) | Bound::LeastOfLimit(_) => None,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "key": self.key, "what": self.what, "measured": self.measured, "unit": self.unit,
            "limit": self.limit, "ratio": self.ratio(), "holds": self.holds(),
        })
    }
}

/// A share of sorted values, e.g. 0.99: the smallest value that so many do not exceed.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let at = rank.clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Sorts and takes the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), 50.0);
        assert_eq!(percentile(&values, 0.99), 99.0);
        assert_eq!(percentile(&values[..1], 0.99), 1.0);
        assert!(percentile(&[], 0.5).is_nan());
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn a_promise_without_its_limit_does_not_hold() {
        let bare = Figure::new("k", "w", 1.0, "s").promised("P1", Bound::MostOfLimit(2.0));
        assert_eq!(bare.holds(), Some(false));
        assert_eq!(bare.clone().beside(0.5).holds(), Some(true));
        assert_eq!(bare.beside(0.4).holds(), Some(false));
        assert_eq!(Figure::new("k", "w", 1.0, "s").holds(), None);
        let slow = Figure::new("k", "w", 3.0, "s").promised("P1", Bound::Most(1.0));
        assert_eq!(slow.limit_holds(), None);
        assert_eq!(slow.clone().beside(0.9).limit_holds(), Some(true));
        assert_eq!(slow.beside(2.0).limit_holds(), Some(false));
    }
}
