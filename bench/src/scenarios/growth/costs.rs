//! Costs over sizes: their figures, how level they are, their graphs.
//!
//! Deliberately absent: how they were measured. Invariant: what is promised not to rise is judged
//! from a hundred subscribers and a megabyte on; what is smaller is shown all the same, and how
//! far costs fall (ADR 0016). A cost that could not be told from nothing keeps no promise.

use crate::figures::{Bound, Figure};
use crate::plot::{Line, Plot, Scale};

/// From here on costs are promised not to rise, and how little.
const FROM_SUBSCRIBERS: f64 = 100.0;
const FROM_BYTES: f64 = 1e6;
const LEVEL: f64 = 1.2;

/// A cost at one size, and the limit's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) size: f64,
    /// In the unit of the figure.
    pub(super) cpu: f64,
    pub(super) cpu_limit: f64,
    pub(super) memory: f64,
}

pub(super) fn figures(subscribers: &[Cost], bytes: &[Cost]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for cost in subscribers {
        let n = cost.size;
        let key = |what: &str| format!("p10.subscribers.{n}.{what}");
        let what = |what: &str| format!("{n} subscribers: {what} for each");
        let memory = cost.memory / 1e3;
        figures.extend([
            Figure::new(key("cpu"), what("CPU"), cost.cpu, "us/s").beside(cost.cpu_limit),
            Figure::new(key("memory"), what("memory"), memory, "kB"),
        ]);
    }
    for cost in bytes {
        let key = |what: &str| format!("p10.bytes.{}.{what}", cost.size);
        let megabytes = cost.size / 1e6;
        let what = |what: &str| format!("topic of {megabytes} MB: {what}");
        figures.extend([
            Figure::new(key("cpu"), what("CPU for what is sent"), cost.cpu, "s/GB")
                .beside(cost.cpu_limit),
            Figure::new(
                key("memory"),
                what("memory for each byte"),
                cost.memory,
                "B",
            )
            .beside(1.0),
        ]);
    }
    for (key, what, costs, from) in [
        ("subscribers", "subscriber", subscribers, FROM_SUBSCRIBERS),
        ("bytes", "byte", bytes, FROM_BYTES),
    ] {
        for (part, name) in [("cpu", "CPU"), ("memory", "memory")] {
            let of = |cost: &Cost| if part == "cpu" { cost.cpu } else { cost.memory };
            let costs: Vec<f64> = costs.iter().filter(|it| it.size >= from).map(of).collect();
            if costs.len() < 2 {
                continue; // nothing to compare, and nothing to promise
            }
            let gap = if all_measured(&costs) {
                ""
            } else {
                ", one of which could not be measured"
            };
            let name = format!("{name} for each {what}, from {from} on{gap}");
            let figure = |part: &str, what, value| {
                let key = format!("p10.{key}.{part}");
                Figure::new(key, format!("{name}: {what}"), value, "")
            };
            let level = figure(
                &format!("{part}_spread"),
                "highest by lowest",
                spread(&costs),
            );
            let risen = figure(
                &format!("{part}_rise"),
                "highest by a smaller size's",
                rise(&costs),
            );
            // A cost that falls with the number is no broken promise, and how far is shown.
            figures.extend([level, risen.promised("P10", Bound::Most(LEVEL))]);
        }
    }
    figures
}

/// What is taken off a cost may be all of it, where too little was measured.
fn all_measured(costs: &[f64]) -> bool {
    costs.iter().all(|cost| *cost > 0.0 && cost.is_finite())
}

/// How far costs lie apart: 1 is level. No number unless all were measured.
fn spread(costs: &[f64]) -> f64 {
    if !all_measured(costs) {
        return f64::NAN;
    }
    let most = costs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
    most / least
}

/// How far a cost rises above that of anything smaller; below 1 it only falls. No number, which is
/// within no bound, unless all were measured.
fn rise(costs: &[f64]) -> f64 {
    if !all_measured(costs) {
        return f64::NAN;
    }
    let mut least = f64::INFINITY;
    let mut most: f64 = 0.0;
    for cost in costs.iter().copied() {
        most = most.max(cost / least);
        least = least.min(cost);
    }
    most
}

pub(super) fn plots(subscribers: &[Cost], bytes: &[Cost]) -> Vec<Plot> {
    let line = |costs: &[Cost], limit, of: fn(&Cost) -> f64| Line {
        name: if limit { "limit" } else { "statestored" },
        limit,
        points: costs.iter().map(|cost| (cost.size, of(cost))).collect(),
    };
    let plot = |name: &str, title: &str, costs: &[Cost], up, of, limit: Option<_>| Plot {
        name: format!("p10-{name}"),
        title: title.to_owned(),
        across: match name.contains("subscriber") {
            true => Scale {
                label: "subscribers",
                unit: "",
            },
            false => Scale {
                label: "bytes of the topic",
                unit: "B",
            },
        },
        up,
        lines: [
            Some(line(costs, false, of)),
            limit.map(|of| line(costs, true, of)),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    let scale = |label, unit| Scale { label, unit };
    vec![
        plot(
            "cpu-per-subscriber",
            "P10: CPU for each subscriber, heartbeats every second",
            subscribers,
            scale("microseconds a second", ""),
            |cost| cost.cpu,
            Some(|cost: &Cost| cost.cpu_limit),
        ),
        plot(
            "memory-per-subscriber",
            "P10: memory for each subscriber",
            subscribers,
            scale("bytes", "B"),
            |cost| cost.memory,
            None,
        ),
        plot(
            "cpu-per-byte",
            "P10: CPU for each gigabyte sent",
            bytes,
            scale("seconds", ""),
            |cost| cost.cpu,
            Some(|cost: &Cost| cost.cpu_limit),
        ),
        plot(
            "memory-per-byte",
            "P10: memory for each byte of a topic",
            bytes,
            scale("bytes", ""),
            |cost| cost.memory,
            Some(|_: &Cost| 1.0),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(size: f64, cpu: f64) -> Cost {
        let (cpu_limit, memory) = (cpu / 2.0, 1.1);
        Cost {
            size,
            cpu,
            cpu_limit,
            memory,
        }
    }

    #[test]
    fn level_is_one_and_what_was_not_measured_is_no_number() {
        assert_eq!(spread(&[2.0, 2.0]), 1.0);
        assert_eq!(spread(&[2.0, 3.0, 2.5]), 1.5);
        assert_eq!(rise(&[8.0, 4.0, 2.0]), 0.5);
        assert_eq!(rise(&[8.0, 4.0, 5.0, 1.0]), 1.25);
        for broken in [[0.0, 3.0], [3.0, 0.0], [f64::NAN, 3.0], [-1.0, 3.0]] {
            assert!(spread(&broken).is_nan() && rise(&broken).is_nan());
        }
    }

    #[test]
    fn a_cost_that_could_not_be_measured_keeps_no_promise() {
        let subscribers = [cost(100.0, 11.0), cost(1e3, 0.0), cost(1e4, 12.0)];
        let figures = figures(&subscribers, &[cost(1e6, 0.2)]);
        let find = |key: &str| figures.iter().find(|figure| figure.key == key);
        let rise = find("p10.subscribers.cpu_rise");
        assert!(rise.is_some_and(|it| it.holds() == Some(false)));
        assert!(rise.is_some_and(|it| it.what.contains("could not be measured")));
        let memory = find("p10.subscribers.memory_rise");
        assert!(memory.is_some_and(|it| it.holds() == Some(true)));
        // Of a single size nothing is said.
        assert!(find("p10.bytes.cpu_rise").is_none());
    }

    #[test]
    fn the_smallest_are_shown_but_not_promised() {
        let subscribers = [cost(10.0, 99.0), cost(100.0, 11.0), cost(1e4, 12.0)];
        let bytes = [cost(1e5, 9.0), cost(1e6, 0.2), cost(1e7, 0.2)];
        let figures = figures(&subscribers, &bytes);
        let find = |key: &str| figures.iter().find(|figure| figure.key == key);
        assert!(find("p10.subscribers.10.cpu").is_some_and(|it| it.measured == 99.0));
        let rise = find("p10.subscribers.cpu_rise");
        assert!(rise.is_some_and(|it| it.holds() == Some(true) && it.measured > 1.05));
        assert!(find("p10.bytes.cpu_spread").is_some_and(|it| it.measured == 1.0));
        assert_eq!(plots(&subscribers, &[]).len(), 4);
    }
}
