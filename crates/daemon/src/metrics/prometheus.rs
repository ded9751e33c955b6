//! Metrics in Prometheus' text format (observability.md, `/metrics_prometheus`).
//!
//! Invariant: a name is described once and all its samples stand together, whatever the tree
//! holds, since strict parsers refuse anything else.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Group, HistogramSnapshot, Kind, Metric, StatsSnapshot, Units, Value, pretty};

/// The quantiles as the reference spells them, for [`HistogramSnapshot::PERCENTILES`].
const QUANTILES: [&str; 6] = ["0.2", "0.5", "0.7", "0.9", "0.95", "0.999"];

/// All groups below `root`. Properties and sets are left out.
pub fn text(root: &Group) -> String {
    let mut out = String::new();
    let mut seen = BTreeSet::new();
    for metric in root
        .flattened()
        .into_iter()
        .flat_map(|group| &group.metrics)
    {
        let name = name(&metric.key);
        if matches!(metric.kind, Kind::Property | Kind::Set) || !seen.insert(name.clone()) {
            continue;
        }
        write_metric(&mut out, &name, metric);
    }
    out
}

fn write_metric(out: &mut String, name: &str, metric: &Metric) {
    let (kind, samples) = match &metric.value {
        Value::Int(value) => (
            kind(metric.kind),
            vec![("".into(), int(*value, metric.units))],
        ),
        Value::Double(value) => (
            kind(metric.kind),
            vec![("".into(), double(*value, metric.units))],
        ),
        Value::Bool(value) => (
            kind(metric.kind),
            vec![("".into(), i32::from(*value).to_string())],
        ),
        Value::Stats(stats) => ("counter", stats_samples(stats, metric.units)),
        Value::Histogram(histogram) => ("summary", histogram_samples(histogram, metric.units)),
        Value::Text(_) | Value::Set(_) => return,
    };
    let _ = writeln!(out, "# HELP {name} {}", help(&metric.description));
    let _ = writeln!(out, "# TYPE {name} {kind}");
    for (suffix, value) in samples {
        let _ = writeln!(out, "{name}{suffix} {value}");
    }
}

/// Suffix and value of each sample.
type Samples = Vec<(String, String)>;

fn stats_samples(stats: &StatsSnapshot, units: Units) -> Samples {
    let mut samples = vec![("_total".to_owned(), stats.count.to_string())];
    if stats.count > 0 {
        let values = [
            ("_last", stats.last),
            ("_min", stats.min),
            ("_max", stats.max),
            ("_mean", stats.mean),
            ("_stddev", stats.stddev),
        ];
        samples.extend(values.map(|(suffix, value)| (suffix.to_owned(), double(value, units))));
    }
    samples
}

fn histogram_samples(histogram: &HistogramSnapshot, units: Units) -> Samples {
    let quantile =
        |(q, value): (&&str, u64)| (format!("{{quantile=\"{q}\"}}"), double(value as f64, units));
    let mut samples: Samples = QUANTILES
        .iter()
        .zip(histogram.percentiles)
        .map(quantile)
        .collect();
    samples.push(("_count".to_owned(), histogram.count.to_string()));
    samples.push(("_sum".to_owned(), double(histogram.sum as f64, units)));
    samples
}

fn kind(kind: Kind) -> &'static str {
    if kind == Kind::Counter {
        "counter"
    } else {
        "gauge"
    }
}

/// `statestore.live-backends` -> `impala_statestore_live_backends`. Characters that no metric name
/// may hold (a topic's name can be part of a key) become underscores as well.
fn name(key: &str) -> String {
    let plain: String = key
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == ':' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if plain.starts_with("impala_") {
        plain
    } else {
        format!("impala_{plain}")
    }
}

fn help(description: &str) -> String {
    description.replace('\\', "\\\\").replace('\n', "\\n")
}

fn int(value: i64, units: Units) -> String {
    match divisor(units) {
        1.0 => value.to_string(),
        divisor => pretty::plain(value as f64 / divisor),
    }
}

fn double(value: f64, units: Units) -> String {
    pretty::plain(value / divisor(units))
}

/// Down to seconds.
fn divisor(units: Units) -> f64 {
    match units {
        Units::TimeMs => 1e3,
        Units::TimeUs => 1e6,
        Units::TimeNs => 1e9,
        Units::TimeS | Units::Unit | Units::Bytes | Units::None => 1.0,
    }
}

#[cfg(test)]
mod tests;
