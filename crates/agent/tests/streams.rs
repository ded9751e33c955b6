//! `--follow` and `--on_change`: what others read, and that they hold up nobody.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Agent, eventually, statestored, write};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

fn publisher(folder: &Path, statestored: &common::Statestored) -> Agent {
    let publish = format!("--publish_dir=t:{}", folder.display());
    Agent::start(statestored, &["--subscriber_id=publisher", &publish])
}

// T-5, T-6
#[test]
fn changes_are_printed_as_json_lines() {
    let statestored = statestored(&[]);
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("a"), "one\n\"two\"");
    let follower = Agent::start(&statestored, &["--subscriber_id=follower", "--follow=t"]);
    let head = eventually("the first line", || follower.lines().first().cloned());
    assert_eq!(head["snapshot"], true);
    let _publisher = publisher(folder.path(), &statestored);
    let has = |line: Value| {
        eventually(&line.to_string(), || {
            follower.lines().contains(&line).then_some(())
        });
    };
    has(json!({"topic": "t", "key": "a", "value": "one\n\"two\""}));
    write(&folder.path().join("b"), [0xff, 0xfe]);
    has(json!({"topic": "t", "key": "b", "value_base64": "//4="}));
    fs::remove_file(folder.path().join("a")).unwrap();
    has(json!({"topic": "t", "key": "a", "deleted": true}));
}

// T-30
#[test]
fn transient_entries_go_with_the_process_that_wrote_them() {
    let statestored = statestored(&[]);
    let follower = Agent::start(&statestored, &["--subscriber_id=follower", "--follow=t"]);
    let flags = [
        "--subscriber_id=member",
        "--publish=t:member=here",
        "--transient=t",
        "--publish=lasting:member=was here",
    ];
    let mut member = Agent::start(&statestored, &flags);
    eventually("its entry", || {
        follower.content("t").get("member").map(drop)
    });
    member.signal(Signal::KILL);
    member.wait();
    eventually("its end", || follower.content("t").is_empty().then_some(()));
    assert_eq!(statestored.topic("lasting").unwrap()["num_entries"], 1);
}

// F-1, S-4
#[test]
fn a_reader_that_stands_still_costs_no_heartbeat_and_misses_nothing() {
    let statestored = statestored(&[]);
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("source");
    fs::create_dir(&source).unwrap();
    let _publisher = publisher(&source, &statestored);
    let flags = [
        "--subscriber_id=follower",
        "--follow=t",
        // A second without the processor is no failure here.
        "--statestore_subscriber_timeout_seconds=3600",
    ];
    let dir = TempDir::new().unwrap();
    let mut command = common::command(&dir, Some(statestored.rpc), &flags);
    command.stdout(Stdio::piped());
    let mut follower = Agent::from_command(command, dir);
    follower.await_log("statestore-agent is ready");
    // More than a pipe holds, and the last one larger than it.
    for n in 0..50 {
        write(&source.join("file"), format!("{n} ").repeat(20_000));
        let version = format!("version {n}");
        write(&source.join("version"), &version);
    }
    write(&source.join("last"), "x".repeat(1 << 20));
    let heartbeats = || {
        let metric = follower.metric("statestore-subscriber.heartbeat-interval-time");
        metric["count"].as_i64().unwrap()
    };
    let before = heartbeats();
    eventually("heartbeats", || (heartbeats() > before + 10).then_some(()));
    assert_eq!(
        follower.metric("statestore-subscriber.num-connection-failures"),
        0
    );
    assert!(statestored.subscribers().contains(&"follower".to_owned()));
    let lines = BufReader::new(follower.child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let last = lines.find(|line| line["key"] == "last").unwrap();
    assert_eq!(last["value"].as_str().unwrap().len(), 1 << 20);
}

/// A command that takes its input whole and says when it began and ended.
fn recorder(out: &Path) -> String {
    let out = out.display();
    format!("--on_change=t:{{ echo begin $STATESTORE_TOPIC; cat; echo end; }} >> {out}")
}

#[test]
fn a_command_runs_once_at_a_time_with_the_changes_as_its_input() {
    let statestored = statestored(&[]);
    let folder = TempDir::new().unwrap();
    let (source, out) = (folder.path().join("source"), folder.path().join("out"));
    write(&source.join("k0"), "v");
    let _publisher = publisher(&source, &statestored);
    let agent = Agent::start(&statestored, &["--subscriber_id=a", &recorder(&out)]);
    let read = || fs::read_to_string(&out).unwrap_or_default();
    for n in 1..=20 {
        write(&source.join(format!("k{n}")), "v");
    }
    let line = |n: i32| json!({"topic": "t", "key": format!("k{n}"), "value": "v"}).to_string();
    eventually("all changes", || {
        let text = read();
        (text.ends_with("end\n") && (0..=20).all(|n| text.contains(&line(n)))).then_some(())
    });
    let text = read();
    let marks: Vec<&str> = text.lines().filter(|line| !line.starts_with('{')).collect();
    assert!(
        marks.chunks(2).all(|run| run == ["begin t", "end"]),
        "{marks:?}"
    );
    assert!(text.lines().nth(1).unwrap().contains("\"snapshot\":true"));
    assert_eq!(agent.stdout(), "");
}

#[test]
fn a_command_that_fails_or_does_not_read_is_reported_and_run_again() {
    let statestored = statestored(&[]);
    let folder = TempDir::new().unwrap();
    let (source, out) = (folder.path().join("source"), folder.path().join("out"));
    // More than a pipe holds; and a child that keeps the input open without reading it.
    write(&source.join("large"), "x".repeat(1 << 20));
    let _publisher = publisher(&source, &statestored);
    let pids = folder.path().join("pids");
    let command = format!(
        "--on_change=t:tail -f /dev/null <&0 & echo $! >> {}; echo run >> {}; exit 3",
        pids.display(),
        out.display()
    );
    let agent = Agent::start(&statestored, &["--subscriber_id=a", &command]);
    let runs = || fs::read_to_string(&out).unwrap_or_default().lines().count();
    eventually("a run", || (runs() > 0).then_some(()));
    agent.await_log("ended with exit status: 3");
    let before = runs();
    write(&source.join("more"), "");
    eventually("another run", || (runs() > before).then_some(()));
    assert_eq!(agent.get("/healthz").0, 200);
    drop(agent);
    for pid in fs::read_to_string(pids).unwrap().lines() {
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }
}

#[test]
fn what_changes_during_a_run_is_the_next_runs_input_together() {
    let statestored = statestored(&[]);
    let folder = TempDir::new().unwrap();
    let (source, out) = (folder.path().join("source"), folder.path().join("out"));
    let gate = folder.path().join("gate");
    fs::create_dir(&source).unwrap();
    let _publisher = publisher(&source, &statestored);
    // Slow on purpose: a run ends when the gate is there.
    let command = format!(
        "--on_change=t:{{ echo begin; cat; }} >> {}; until [ -e {} ]; do sleep 0.01; done",
        out.display(),
        gate.display()
    );
    let _agent = Agent::start(&statestored, &["--subscriber_id=a", &command, "--follow=t"]);
    let read = || fs::read_to_string(&out).unwrap_or_default();
    eventually("the first run", || {
        read().contains("snapshot").then_some(())
    });
    for n in 0..20 {
        write(&source.join("key"), n.to_string());
        let line = json!({"topic": "t", "key": "key", "value": n.to_string()});
        eventually("the change", || {
            _agent.lines().contains(&line).then_some(())
        });
    }
    assert_eq!(read().matches("begin").count(), 1);
    fs::write(&gate, "").unwrap();
    eventually("all changes", || {
        read().contains("\"value\":\"19\"").then_some(())
    });
    assert_eq!(read().matches("begin").count(), 2, "{}", read());
}

#[test]
fn a_command_finds_in_the_mirror_what_it_is_told() {
    let statestored = statestored(&[]);
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    write(Path::new(&at("source/n")), "0");
    let _publisher = publisher(Path::new(&at("source")), &statestored);
    let mirror = format!("--mirror=t:{}", at("mirror"));
    // A row for each run: the last number told, the number found.
    let last = r#"sed -n 's/.*"value":"\([0-9]*\)".*/\1/p' | tail -n 1"#;
    let (file, out) = (at("mirror/n"), at("out"));
    let command = format!("--on_change=t:told=$({last}); echo $told $(cat {file}) >> {out}");
    let flags = ["--subscriber_id=a", &mirror, &command];
    let _agent = Agent::start(&statestored, &flags);
    let rows = || -> Vec<Vec<u32>> {
        let text = fs::read_to_string(&out).unwrap_or_default();
        let row = |row: &str| row.split(' ').map(|n| n.parse().unwrap()).collect();
        text.lines().map(row).collect()
    };
    for n in 1..=30 {
        write(Path::new(&at("source/n")), n.to_string());
        eventually("a run", || (rows().last()?.first()? >= &n).then_some(()));
    }
    assert!(rows().iter().all(|row| row[1] >= row[0]), "{:?}", rows());
}

// B-40, T-9
#[test]
fn a_command_runs_again_when_the_time_of_grace_has_ended_and_taken_something() {
    let statestored = statestored(&[]);
    let folder = TempDir::new().unwrap();
    let (mirror, out) = (folder.path().join("mirror"), folder.path().join("out"));
    write(&mirror.join(".statestore-mirror"), "t");
    write(&mirror.join("stale"), "");
    let keep = format!("--mirror=t:{}", mirror.display());
    let command = format!(
        "--on_change=t:ls {} | wc -l >> {}",
        mirror.display(),
        out.display()
    );
    let _agent = Agent::start(&statestored, &["--subscriber_id=a", &keep, &command]);
    eventually("two runs", || {
        (fs::read_to_string(&out).ok()? == "1\n0\n").then_some(())
    });
}
