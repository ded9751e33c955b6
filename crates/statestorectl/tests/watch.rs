//! `watch` against a real statestored: each change as it happens, and how it ends.
#![allow(clippy::unwrap_used)]

mod common;

use common::{LIMIT, STATESTORECTL, Statestored, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A running watch, whose lines come as they are printed.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(statestored: &Statestored, args: &[&str]) -> Self {
        let (child, stdout) = spawn(statestored, args);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line.
    fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).unwrap()
    }

    /// The next line, without its time of day.
    fn change(&self) -> String {
        let line = self.line();
        let (time, change) = line.split_at("12:00:00.000".len());
        let digits = |c: char| c.is_ascii_digit() || ":.".contains(c);
        assert!(time.chars().all(digits), "{line}");
        change.to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    fn end(mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        ended(&mut self.child)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(statestored: &Statestored, args: &[&str]) -> (Child, ChildStdout) {
    let mut child = Command::new(STATESTORECTL)
        .args(args)
        .args(statestored.reach())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    (child, stdout)
}

fn ended(child: &mut Child) -> ExitStatus {
    eventually("the end of the watch", || child.try_wait().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_what_is_there_and_each_change_until_ctrl_c() {
    let statestored = Statestored::start(&[]);
    let publisher = statestored
        .publisher("t", &[(b"a", b"one"), (b"b", b"\x1b[2J")])
        .await;
    let watch = Watch::start(&statestored, &["watch", "t"]);
    assert_eq!(watch.change(), " = t: 2 entries, version 2");
    assert_eq!(watch.change(), " + a  3 B  one");
    assert_eq!(watch.change(), " + b  4 B  \\u{1b}[2J");
    publisher.publish("t", "a", "two").await.unwrap();
    assert_eq!(watch.change(), " + a  3 B  two");
    publisher.delete("t", "b").await.unwrap();
    assert_eq!(watch.change(), " - b");
    assert_eq!(watch.end(Signal::INT).code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_a_json_line_for_each_change_within_the_prefix() {
    let statestored = Statestored::start(&[]);
    let publisher = statestored
        .publisher("t", &[(b"a1", b"one"), (b"b1", b"no")])
        .await;
    let watch = Watch::start(&statestored, &["watch", "t", "--prefix", "a", "--json"]);
    let head = json!({"topic": "t", "snapshot": true, "entries": 1, "to_version": 2});
    assert_eq!(watch.json(), head);
    assert_eq!(
        watch.json(),
        json!({"topic": "t", "key": "a1", "value": "one"})
    );
    publisher.publish("t", "b2", "no").await.unwrap();
    publisher.publish("t", "a2", "\u{9b}2J").await.unwrap();
    let line = watch.line();
    assert!(
        !line.contains('\u{9b}'),
        "a terminal would obey it: {line:?}"
    );
    let change: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        change,
        json!({"topic": "t", "key": "a2", "value": "\u{9b}2J"})
    );
    publisher.delete("t", "a1").await.unwrap();
    assert_eq!(
        watch.json(),
        json!({"topic": "t", "key": "a1", "deleted": true})
    );
    assert_eq!(watch.end(Signal::TERM).code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_does_not_exist_yet_can_be_waited_for() {
    let statestored = Statestored::start(&[]);
    let watch = Watch::start(&statestored, &["watch", "new", "--unchecked"]);
    assert_eq!(watch.change(), " = new: 0 entries, version 0");
    let _publisher = statestored.publisher("new", &[(b"k", b"v")]).await;
    // The first delta on the empty topic is still a full message (T-9).
    let mut seen = vec![watch.change()];
    while !seen.iter().any(|line| line == " + k  1 B  v") {
        seen.push(watch.change());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_it_quietly_without_waiting_for_a_change() {
    let statestored = Statestored::start(&[]);
    let _publisher = statestored.publisher("t", &[(b"k", b"v")]).await;
    let (mut child, stdout) = spawn(&statestored, &["watch", "t"]);
    let mut reader = BufReader::new(stdout);
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    assert_eq!(ended(&mut child).code(), Some(0));
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stands_still_keeps_neither_heartbeats_nor_ctrl_c_waiting() {
    let statestored = Statestored::start(&[
        "--statestore_heartbeat_frequency_ms=50",
        "--statestore_max_missed_heartbeats=3",
    ]);
    // More than a pipe holds.
    let entries: Vec<(String, Vec<u8>)> = (0..20_000)
        .map(|i| (i.to_string(), b"v".to_vec()))
        .collect();
    let entries: Vec<(&[u8], &[u8])> = entries
        .iter()
        .map(|(key, value)| (key.as_bytes(), value.as_slice()))
        .collect();
    let _publisher = statestored.publisher("t", &entries).await;
    let (mut child, mut stdout) = spawn(&statestored, &["watch", "t"]);
    // The first byte shows that it writes; nothing more is read.
    stdout.read_exact(&mut [0]).unwrap();
    let beats = || {
        let rows = statestored.json(&["subscribers"]);
        let guest = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["id"] != "publisher");
        let age: f64 = guest.unwrap()["secs_since_heartbeat"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        age
    };
    // Ages fall only when a heartbeat is answered.
    let mut last = beats();
    let mut answered = 0;
    eventually("heartbeats that are answered", || {
        let age = beats();
        answered += usize::from(age < last);
        last = age;
        (answered >= 3).then_some(())
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(ended(&mut child).code(), Some(0));
}
