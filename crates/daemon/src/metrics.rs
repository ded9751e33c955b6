//! Metrics as data: a tree of groups that a daemon makes afresh whenever a page asks for it.
//!
//! ```text
//!   closure of the daemon -> Group { metrics, children } -> json (/metrics, /jsonmetrics)
//!                                                       `-> prometheus
//! ```
//!
//! Deliberately not here: a global registry. Nothing is counted twice, beside the thing and in a
//! gauge; only running statistics ([`recorders`]) need memory of their own.

pub mod json;
pub mod pretty;
pub mod prometheus;
pub mod recorders;
pub mod system;

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

pub use recorders::{Histogram, HistogramSnapshot, Stats, StatsSnapshot};

/// Answers with the root group. The values may live on another thread, hence the future.
pub type Source = Arc<dyn Fn() -> BoxFuture<'static, Group> + Send + Sync>;

/// A named part of the tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// Name for `/metrics?metric_group=`.
    pub name: String,
    /// Its metrics, in the order in which pages show them.
    pub metrics: Vec<Metric>,
    /// Its parts.
    pub children: Vec<Group>,
}

/// One metric at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// E.g. `statestore.live-backends`.
    pub key: Cow<'static, str>,
    /// For people.
    pub description: Cow<'static, str>,
    /// What kind of figure it is.
    pub kind: Kind,
    /// What it counts.
    pub units: Units,
    /// The figure.
    pub value: Value,
}

/// What kind of figure a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up.
    Counter,
    /// Shown as it is, not exported to Prometheus.
    Property,
    /// A set of texts.
    Set,
    /// Count, last, extremes, mean, deviation.
    Stats,
    /// Percentiles.
    Histogram,
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Things.
    Unit,
    /// Bytes.
    Bytes,
    /// Seconds.
    TimeS,
    /// Milliseconds.
    TimeMs,
    /// Microseconds.
    TimeUs,
    /// Nanoseconds.
    TimeNs,
    /// Nothing in particular.
    None,
}

/// The figure itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A text.
    Text(String),
    /// Texts, in the order given.
    Set(Vec<String>),
    /// See [`Stats`].
    Stats(StatsSnapshot),
    /// See [`Histogram`].
    Histogram(HistogramSnapshot),
}

type Text = Cow<'static, str>;

impl Group {
    /// An empty group.
    pub fn new(name: &str) -> Self {
        Group {
            name: name.to_owned(),
            ..Group::default()
        }
    }

    /// The group of this name anywhere below this one.
    pub fn descendant(&self, name: &str) -> Option<&Group> {
        self.children.iter().find_map(|child| {
            if child.name == name {
                Some(child)
            } else {
                child.descendant(name)
            }
        })
    }

    /// This group and all below it, parents first.
    pub fn flattened(&self) -> Vec<&Group> {
        let mut groups = vec![self];
        for child in &self.children {
            groups.extend(child.flattened());
        }
        groups
    }
}

impl Metric {
    /// A whole number that goes up and down.
    pub fn gauge(
        key: impl Into<Text>,
        units: Units,
        value: i64,
        description: impl Into<Text>,
    ) -> Self {
        Self::new(key, Kind::Gauge, units, Value::Int(value), description)
    }

    /// A number that goes up and down.
    pub fn gauge_f64(
        key: impl Into<Text>,
        units: Units,
        value: f64,
        description: impl Into<Text>,
    ) -> Self {
        Self::new(key, Kind::Gauge, units, Value::Double(value), description)
    }

    /// A number of things that happened.
    pub fn counter(key: impl Into<Text>, value: i64, description: impl Into<Text>) -> Self {
        Self::new(
            key,
            Kind::Counter,
            Units::Unit,
            Value::Int(value),
            description,
        )
    }

    /// A text.
    pub fn text(
        key: impl Into<Text>,
        value: impl Into<String>,
        description: impl Into<Text>,
    ) -> Self {
        Self::new(
            key,
            Kind::Property,
            Units::None,
            Value::Text(value.into()),
            description,
        )
    }

    /// A truth.
    pub fn bool(key: impl Into<Text>, value: bool, description: impl Into<Text>) -> Self {
        Self::new(
            key,
            Kind::Property,
            Units::None,
            Value::Bool(value),
            description,
        )
    }

    /// A set of texts.
    pub fn set(key: impl Into<Text>, items: Vec<String>, description: impl Into<Text>) -> Self {
        Self::new(key, Kind::Set, Units::None, Value::Set(items), description)
    }

    /// Running statistics.
    pub fn stats(
        key: impl Into<Text>,
        units: Units,
        value: StatsSnapshot,
        description: impl Into<Text>,
    ) -> Self {
        Self::new(key, Kind::Stats, units, Value::Stats(value), description)
    }

    /// Percentiles.
    pub fn histogram(
        key: impl Into<Text>,
        units: Units,
        value: HistogramSnapshot,
        description: impl Into<Text>,
    ) -> Self {
        Self::new(
            key,
            Kind::Histogram,
            units,
            Value::Histogram(value),
            description,
        )
    }

    fn new(
        key: impl Into<Text>,
        kind: Kind,
        units: Units,
        value: Value,
        description: impl Into<Text>,
    ) -> Self {
        Metric {
            key: key.into(),
            description: description.into(),
            kind,
            units,
            value,
        }
    }
}

impl Kind {
    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Gauge => "GAUGE",
            Kind::Counter => "COUNTER",
            Kind::Property => "PROPERTY",
            Kind::Set => "SET",
            Kind::Stats => "STATS",
            Kind::Histogram => "HISTOGRAM",
        }
    }
}

impl Units {
    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Units::Unit => "UNIT",
            Units::Bytes => "BYTES",
            Units::TimeS => "TIME_S",
            Units::TimeMs => "TIME_MS",
            Units::TimeUs => "TIME_US",
            Units::TimeNs => "TIME_NS",
            Units::None => "NONE",
        }
    }
}

/// A source that adds the process' own figures to those of `daemon`.
pub fn with_system<F, R>(daemon: F) -> Source
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Group> + Send + 'static,
{
    Arc::new(move || {
        let daemon = daemon();
        Box::pin(async move {
            let mut root = daemon.await;
            root.metrics.extend(system::metrics());
            root.children.push(system::memory());
            root
        })
    })
}
