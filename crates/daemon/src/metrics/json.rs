//! Metrics as the documents of `/metrics` and `/jsonmetrics` (observability.md section 4).
//! The shapes are the reference's, field by field: scripts read them. No figure is made here.

use serde_json::{Map, Value as Json, json};

use super::{Group, HistogramSnapshot, Metric, StatsSnapshot, Units, Value, pretty};

/// The names of percentiles in JSON and in texts.
const PERCENTILE_NAMES: [&str; 6] = [
    "25th %-ile",
    "50th %-ile",
    "75th %-ile",
    "90th %-ile",
    "95th %-ile",
    "99.9th %-ile",
];

/// `{metrics, name, child_groups}`; children only if asked for.
pub fn group(group: &Group, with_children: bool) -> Json {
    let mut out = Map::new();
    out.insert(
        "metrics".to_owned(),
        group.metrics.iter().map(metric).collect(),
    );
    out.insert("name".to_owned(), group.name.clone().into());
    if with_children {
        let children = group
            .children
            .iter()
            .map(|child| self::group(child, true))
            .collect();
        out.insert("child_groups".to_owned(), children);
    }
    Json::Object(out)
}

/// One metric with everything that is known about it.
pub fn metric(metric: &Metric) -> Json {
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| out.insert(key.to_owned(), value);
    put("name", metric.key.clone().into());
    put("description", metric.description.clone().into());
    put("human_readable", human_readable(metric).into());
    match &metric.value {
        Value::Set(items) => {
            put("items", items.clone().into());
        }
        Value::Stats(stats) => {
            put("units", metric.units.name().into());
            stats_fields(stats).into_iter().for_each(|(key, value)| {
                put(&key, value);
            });
        }
        Value::Histogram(histogram) => {
            for (name, value) in PERCENTILE_NAMES.iter().zip(histogram.percentiles) {
                put(name, value.into());
            }
            put("max", histogram.max.into());
            put("min", histogram.min.into());
            put("count", histogram.count.into());
            put("kind", metric.kind.name().into());
            put("units", metric.units.name().into());
        }
        scalar => {
            put("value", plain(scalar));
            put("kind", metric.kind.name().into());
            put("units", metric.units.name().into());
        }
    }
    Json::Object(out)
}

/// Key to value of all groups, without histograms.
pub fn flat(root: &Group) -> Map<String, Json> {
    let metrics = root
        .flattened()
        .into_iter()
        .flat_map(|group| &group.metrics);
    metrics.filter_map(flat_entry).collect()
}

/// The same for one key, which is looked for in the root group only.
pub fn flat_one(root: &Group, key: &str) -> Map<String, Json> {
    root.metrics
        .iter()
        .filter(|metric| metric.key == key)
        .filter_map(flat_entry)
        .collect()
}

fn flat_entry(metric: &Metric) -> Option<(String, Json)> {
    let value = match &metric.value {
        Value::Histogram(_) => return None,
        Value::Stats(stats) => Json::Object(stats_fields(stats)),
        value => plain(value),
    };
    Some((metric.key.clone().into_owned(), value))
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Bool(v) => json!(v),
        Value::Int(v) => json!(v),
        Value::Double(v) => json!(v),
        Value::Text(v) => json!(v),
        Value::Set(v) => json!(v),
        Value::Stats(_) | Value::Histogram(_) => Json::Null,
    }
}

fn stats_fields(stats: &StatsSnapshot) -> Map<String, Json> {
    let mut out = Map::new();
    out.insert("count".to_owned(), stats.count.into());
    if stats.count > 0 {
        let fields = [
            ("last", stats.last),
            ("min", stats.min),
            ("max", stats.max),
            ("mean", stats.mean),
            ("stddev", stats.stddev),
        ];
        out.extend(fields.map(|(key, value)| (key.to_owned(), value.into())));
    }
    out
}

/// The value for people.
pub fn human_readable(metric: &Metric) -> String {
    match &metric.value {
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => int(*v, metric.units),
        Value::Double(v) => pretty::number(*v, metric.units),
        Value::Text(v) => v.clone(),
        Value::Set(items) => format!("[{}]", items.join(", ")),
        Value::Stats(stats) => stats_text(stats, metric.units),
        Value::Histogram(histogram) => histogram_text(histogram, metric.units),
    }
}

/// Without a detour over doubles where every digit is shown.
fn int(value: i64, units: Units) -> String {
    match units {
        Units::None => value.to_string(),
        units => pretty::number(value as f64, units),
    }
}

fn stats_text(stats: &StatsSnapshot, units: Units) -> String {
    if stats.count == 0 {
        return "count: 0".to_owned();
    }
    let p = |value| pretty::number(value, units);
    format!(
        "count: {}, last: {}, min: {}, max: {}, mean: {}, stddev: {}",
        stats.count,
        p(stats.last),
        p(stats.min),
        p(stats.max),
        p(stats.mean),
        p(stats.stddev)
    )
}

/// A histogram in one line, as `/metrics` and `/rpcz` show it.
pub fn histogram_text(histogram: &HistogramSnapshot, units: Units) -> String {
    let p = |value: u64| pretty::number(value as f64, units);
    let mut text = format!(
        "Count: {}, sum: {}, min / max: {} / {}",
        histogram.count,
        p(histogram.sum),
        p(histogram.min),
        p(histogram.max)
    );
    for (name, value) in PERCENTILE_NAMES.iter().zip(histogram.percentiles) {
        text.push_str(&format!(", {name}: {}", p(value)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Histogram, Stats};

    fn tree() -> Group {
        let mut stats = Stats::default();
        stats.record(0.25);
        let mut histogram = Histogram::new();
        histogram.record(1500);
        let mut root = Group::new("statestore");
        root.metrics = vec![
            Metric::gauge("a.size", Units::Bytes, 1536, "size"),
            Metric::set("a.list", vec!["x".to_owned(), "y".to_owned()], "list"),
            Metric::stats("a.time", Units::TimeS, stats.snapshot(), "time"),
            Metric::stats("a.none", Units::TimeS, Stats::default().snapshot(), "none"),
            Metric::histogram("a.hist", Units::TimeUs, histogram.snapshot(), "hist"),
            Metric::bool("a.up", true, "up"),
        ];
        let mut memory = Group::new("memory");
        memory.metrics = vec![Metric::gauge("m.rss", Units::Bytes, 1, "rss")];
        root.children = vec![memory];
        root
    }

    #[test]
    fn each_kind_has_its_fields_in_order() {
        let json = group(&tree(), true);
        let keys = |i: usize| {
            json["metrics"][i]
                .as_object()
                .map(|o| o.keys().cloned().collect())
        };
        let list = |text: &str| Some(text.split(',').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(
            keys(0),
            list("name,description,human_readable,value,kind,units")
        );
        assert_eq!(keys(1), list("name,description,human_readable,items"));
        let stats = "name,description,human_readable,units,count,last,min,max,mean,stddev";
        assert_eq!(keys(2), list(stats));
        assert_eq!(keys(3), list("name,description,human_readable,units,count"));
        let histogram = "name,description,human_readable,25th %-ile,50th %-ile,75th %-ile,\
                         90th %-ile,95th %-ile,99.9th %-ile,max,min,count,kind,units";
        assert_eq!(keys(4), list(histogram));
        assert_eq!(json["metrics"][0]["human_readable"], "1.50 KB");
        assert_eq!(json["metrics"][1]["human_readable"], "[x, y]");
        let time = "count: 1, last: 250ms, min: 250ms, max: 250ms, mean: 250ms, stddev: 0";
        assert_eq!(json["metrics"][2]["human_readable"], time);
        assert_eq!(json["metrics"][5]["value"], true);
        assert_eq!(json["child_groups"][0]["name"], "memory");
    }

    #[test]
    fn flat_metrics_leave_histograms_out_and_one_key_is_of_the_root_only() {
        let flat = flat(&tree());
        let keys: Vec<_> = flat.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["a.size", "a.list", "a.time", "a.none", "a.up", "m.rss"]
        );
        assert_eq!(flat["a.time"]["count"], 1);
        assert_eq!(flat["a.none"], json!({"count": 0}));
        assert_eq!(flat_one(&tree(), "a.size").len(), 1);
        assert!(flat_one(&tree(), "m.rss").is_empty());
    }

    #[test]
    fn a_histogram_in_one_line() {
        let Value::Histogram(histogram) = &tree().metrics[4].value else {
            return;
        };
        let text = histogram_text(histogram, Units::TimeUs);
        let start = "Count: 1, sum: 1.500ms, min / max: 1.5";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains(", 99.9th %-ile: 1.5"), "{text}");
    }
}
