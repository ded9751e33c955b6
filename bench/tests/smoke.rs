//! The load generator runs every scenario, tiny, against the statestored of this build, so that
//! it cannot rot unseen. Figures are checked for being there and being possible; how good they
//! are is nothing that a debug build on a busy machine could say.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

type Figures = BTreeMap<String, Value>;

#[test]
fn every_scenario_runs_and_its_figures_are_possible() {
    let (figures, page, plots) = tiny(&[]);
    fan_out_and_memory(&figures);
    punctuality(&figures);
    changes(&figures);
    growth(&figures);
    for key in [
        "p1_filters.rate",
        "p3d.2.cpu",
        "p5.stream.updates",
        "peer.statestored.2.p50",
        "peer.statestored.rate",
        "steps.intake",
        "library.handler.cpu",
        "library.mirror.cpu",
    ] {
        assert!(limit(&figures, key) > 0.0, "{key}");
    }
    assert_eq!(plots.len(), 4);
    for plot in plots {
        assert!(page.contains(&format!("](plots/{plot})")), "{plot}");
    }

    for part in [
        "| Date |",
        "## Promises",
        "P1",
        "P2",
        "P3",
        "P3b",
        "P4",
        "P5",
    ] {
        assert!(page.contains(part), "{part} is missing:\n{page}");
    }
}

// P6, P7, H-17, H-30
#[test]
fn pairs_fail_over_and_their_figures_are_possible() {
    let (figures, page, _) = tiny(&["--pair"]);
    for (ms, count) in [(1_000, 2), (1_000, 3), (900, 2)] {
        let figure = |what| measured(&figures, &format!("p6.{ms}.{count}.{what}"));
        assert!(within(figure("last"), 0.5, 30.0), "{}", figure("last"));
        assert_eq!((figure("missing"), figure("two")), (0.0, 0.0));
    }
    assert_eq!(measured(&figures, "steady.2000.two"), 0.0);
    for part in ["| Date |", "P6", "P7", "| 3 | the last one follows |"] {
        assert!(page.contains(part), "{part} is missing:\n{page}");
    }
}

/// Runs a table, tiny: its figures by key, its page, the names of its graphs.
fn tiny(table: &[&str]) -> (Figures, String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (json, page) = (folder.path().join("json"), folder.path().join("page.md"));
    let run = Command::new(env!("CARGO_BIN_EXE_statestore-bench"))
        .args(["report", "--tiny"])
        .args(table)
        .args([Path::new("--statestored"), &statestored()])
        .args([Path::new("--json"), &json])
        .args([Path::new("--out"), &page])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");

    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let key = |figure: &Value| figure["key"].as_str().unwrap().to_owned();
    let figures: Figures = list.iter().map(|f| (key(f), f.clone())).collect();
    assert_eq!(figures.len(), list.len(), "a key is used twice");
    for (key, figure) in &figures {
        assert!(
            figure["measured"].as_f64().is_some_and(|n| n >= 0.0),
            "{key}: {figure}"
        );
    }
    let page = std::fs::read_to_string(&page).unwrap();
    assert_eq!(
        page,
        String::from_utf8_lossy(&run.stdout),
        "printed as written"
    );
    (figures, page, plots(&folder.path().join("plots")))
}

fn plots(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let drawn = entries.filter(|entry| {
        let svg = std::fs::read_to_string(entry.path()).unwrap();
        svg.starts_with("<svg ") && svg.contains("<circle")
    });
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
    drawn.map(name).collect()
}

fn fan_out_and_memory(figures: &Figures) {
    // 300 entries of some 1 KB to 3 subscribers, and 300 of them kept.
    assert!(measured(figures, "p1.rate") > 0.0 && limit(figures, "p1.rate") > 0.0);
    assert!(within(measured(figures, "p1.time"), 1e-5, 30.0));
    for key in ["p1.peak_rss", "p2.idle", "p2.followed", "p2.rewritten"] {
        assert!(measured(figures, key) > 0.3, "{key}");
    }
    assert!((limit(figures, "p2.idle") - 0.3036).abs() < 0.001);
    assert_eq!(measured(figures, "p2.tombstones"), 0.0);
}

fn punctuality(figures: &Figures) {
    for n in [2.0, 3.0] {
        // Two seconds hold two heartbeats each; one more or less may fall into them.
        let calls = measured(figures, &format!("p3.{n}.calls"));
        assert!(
            within(calls, 0.4 * n, 1.6 * n),
            "{calls} heartbeats/s of {n}"
        );
        assert_eq!(measured(figures, &format!("p3.{n}.left")), n);
    }
    let calls = measured(figures, "p3b.2.calls");
    assert!(within(calls, 2.0, 24.0), "{calls} calls/s");
    for lane in ["p3b.2.heartbeat", "p3b.2.priority"] {
        let late = |part| measured(figures, &format!("{lane}_{part}"));
        assert!(
            late("p50") <= late("p99") && late("p99") <= late("max"),
            "{lane}"
        );
    }
    for disturbance in [
        "hung.heartbeats.1",
        "hung.updates.3",
        "hung.both.3",
        "skipping",
        "far",
        "coming",
        "bulk",
        "slow",
        "slowest",
    ] {
        let key = format!("p4.{disturbance}.priority_p99");
        assert!(
            measured(figures, &key) > 0.0 && limit(figures, &key) > 0.0,
            "{key}"
        );
    }
    assert!(measured(figures, "p4.bulk.rate") > 0.0);
}

fn changes(figures: &Figures) {
    for topic in ["priority", "normal"] {
        let part = |part| measured(figures, &format!("p5.3.{topic}_{part}"));
        assert!(part("p50") > 0.0 && part("p50") <= part("p99") && part("p99") <= part("max"));
        assert!(part("each_p50") <= part("p50"));
        assert!(limit(figures, &format!("p5.3.{topic}_p50")) > 0.0);
    }
}

fn growth(figures: &Figures) {
    for n in [2, 4] {
        let key = format!("p10.subscribers.{n}.cpu");
        assert!(limit(figures, &key) > 0.0, "{key}");
    }
    for n in [100_000, 200_000] {
        assert!(limit(figures, &format!("p10.bytes.{n}.cpu")) > 0.0);
    }
}

fn measured(figures: &Figures, key: &str) -> f64 {
    let figure = figures.get(key);
    figure.unwrap_or_else(|| panic!("no {key}"))["measured"]
        .as_f64()
        .unwrap()
}

fn limit(figures: &Figures, key: &str) -> f64 {
    figures[key]["limit"].as_f64().unwrap()
}

fn within(value: f64, least: f64, most: f64) -> bool {
    (least..=most).contains(&value)
}

/// The statestored beside; built first if only this package was.
fn statestored() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_statestore-bench")).with_file_name("statestored");
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let sources = ["wire", "core", "rpc", "daemon", "statestored"];
    let changed = sources.map(|name| changed(&crates.join(name).join("src")));
    if changed.into_iter().max() > Some(changed_file(&beside)) {
        let target = beside.ancestors().nth(2).unwrap();
        let build = Command::new(env!("CARGO"))
            .args(["build", "--package=statestored", "--bin=statestored"])
            .args([Path::new("--target-dir"), target])
            .status()
            .unwrap();
        assert!(build.success(), "statestored could not be built");
    }
    beside
}

/// When anything in a folder was last changed.
fn changed(folder: &Path) -> SystemTime {
    let entries = std::fs::read_dir(folder).unwrap();
    let times = entries.map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            changed(&path)
        } else {
            changed_file(&path)
        }
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The epoch if there is no such file.
fn changed_file(path: &Path) -> SystemTime {
    let changed = std::fs::metadata(path).and_then(|file| file.modified());
    changed.unwrap_or(SystemTime::UNIX_EPOCH)
}
