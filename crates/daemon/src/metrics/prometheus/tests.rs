//! The exposition is read back by a strict parser of the text format.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::metrics::{Histogram, Stats};

/// Samples by name with labels. Panics on whatever a strict parser refuses: a sample without a
/// type, a second description of a name, samples of one name apart, bad names, bad numbers.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut described = BTreeSet::new();
    let mut current = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').unwrap();
            assert!(described.insert(name.to_owned()), "{name} described twice");
            current = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current);
            assert!(["gauge", "counter", "summary"].contains(&kind));
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let (bare, labels) = name.split_once('{').unwrap_or((name, "}"));
            assert!(labels == "}" || labels.starts_with("quantile=\"") && labels.ends_with("\"}"));
            assert!(!bare.starts_with(|c: char| c.is_ascii_digit()));
            assert!(
                bare.chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
            );
            assert!(bare.starts_with(&current), "{bare} stands below {current}");
            let value: f64 = value.parse().unwrap();
            assert!(
                samples.insert(name.to_owned(), value).is_none(),
                "{name} twice"
            );
        }
    }
    samples
}

fn root(metrics: Vec<Metric>) -> Group {
    Group {
        name: "r".to_owned(),
        metrics,
        children: Vec::new(),
    }
}

#[test]
fn names_values_and_units_are_those_of_the_reference() {
    let mut stats = Stats::default();
    stats.record(0.5);
    let mut histogram = Histogram::new();
    histogram.record(1000);
    let mut tree = root(vec![
        Metric::gauge(
            "statestore.live-backends",
            Units::None,
            3,
            "registered\nsubscribers",
        ),
        Metric::counter("impala.thrift-server.X.total-connections", 7, "n"),
        Metric::stats("s.t", Units::TimeS, stats.snapshot(), "t"),
        Metric::stats("s.none", Units::TimeS, Stats::default().snapshot(), "t"),
        Metric::histogram("s.h", Units::TimeUs, histogram.snapshot(), "h"),
        Metric::text("s.text", "x", "left out"),
        Metric::set("s.set", vec![], "left out"),
        Metric::gauge("s.ms", Units::TimeMs, 1500, "d"),
    ]);
    tree.children.push(root(vec![Metric::gauge(
        "s.ms",
        Units::TimeMs,
        1,
        "a second time",
    )]));
    let samples = parse(&text(&tree));
    let expected = BTreeMap::from([
        ("impala_statestore_live_backends", 3.0),
        ("impala_thrift_server_X_total_connections", 7.0),
        ("impala_s_t_total", 1.0),
        ("impala_s_t_last", 0.5),
        ("impala_s_t_min", 0.5),
        ("impala_s_t_max", 0.5),
        ("impala_s_t_mean", 0.5),
        ("impala_s_t_stddev", 0.0),
        ("impala_s_none_total", 0.0),
        ("impala_s_ms", 1.5),
        ("impala_s_h_count", 1.0),
        ("impala_s_h_sum", 0.001),
        ("impala_s_h{quantile=\"0.2\"}", 0.001),
        ("impala_s_h{quantile=\"0.5\"}", 0.001),
        ("impala_s_h{quantile=\"0.7\"}", 0.001),
        ("impala_s_h{quantile=\"0.9\"}", 0.001),
        ("impala_s_h{quantile=\"0.95\"}", 0.001),
        ("impala_s_h{quantile=\"0.999\"}", 0.001),
    ]);
    let found: BTreeMap<_, _> = samples.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    assert_eq!(found, expected);
}

proptest! {
    #[test]
    fn any_tree_parses(entries in proptest::collection::vec((".*", ".*", any::<i64>()), 0..20)) {
        let metrics = entries.into_iter().map(|(key, description, value)| {
            Metric::gauge(key, Units::TimeUs, value, description)
        });
        parse(&text(&root(metrics.collect())));
    }
}
