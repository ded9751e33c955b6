//! Rules about who may touch the world: the table of ARCHITECTURE.md, as a test.
//!
//! A right is a set of calls and the places that may make them; everybody else is handed the
//! value. Tests may do all of it, except to wait for a fixed time: that makes them slow on a
//! fast machine and wrong on a slow one.

use crate::{File, Tree, Violation, words};

/// Calls, and the places (beginnings of paths) that may make them.
struct Right {
    name: &'static str,
    calls: &'static [&'static str],
    holders: &'static [&'static str],
}

const RIGHTS: [Right; 5] = [
    Right {
        name: "the monotonic clock",
        calls: &["Instant::now"],
        holders: &[
            "crates/rpc/src/",
            "crates/daemon/src/",
            "crates/subscriber/src/clock.rs",
            "crates/subscriber/src/delivery.rs",
            "crates/statestored/src/clock.rs",
            "crates/agent/src/",
            "crates/statestorectl/src/",
            "bench/",
            "sim/world/src/many.rs",
            "sim/model/src/main.rs",
            "sim/model/src/report.rs",
        ],
    },
    Right {
        name: "the wall clock",
        calls: &["SystemTime::now", "Timestamp::now", "Zoned::now"],
        holders: &[
            "crates/daemon/src/",
            "crates/subscriber/src/clock.rs",
            "crates/statestored/src/clock.rs",
            "crates/agent/src/",
            "crates/statestorectl/src/",
            "bench/",
        ],
    },
    Right {
        name: "chance",
        calls: &[
            "from_os_rng",
            "rand::rng(",
            "thread_rng",
            "OsRng",
            "getrandom",
        ],
        holders: &[
            "crates/statestored/src/main.rs",
            "crates/agent/src/",
            "crates/statestorectl/src/",
            "bench/",
        ],
    },
    Right {
        name: "sockets",
        calls: &[
            "TcpStream",
            "TcpListener",
            "TcpSocket",
            "UdpSocket",
            "UnixDatagram",
        ],
        holders: &[
            "crates/rpc/src/",
            "crates/daemon/src/web/",
            "crates/daemon/src/process",
            "crates/statestorectl/src/",
            "bench/",
            "sim/turmoil/src/net.rs",
        ],
    },
    Right {
        name: "files and environment",
        calls: &[
            "std::fs",
            "tokio::fs",
            "std::env",
            "env::var",
            "fs::read",
            "fs::write",
        ],
        holders: &[
            "crates/daemon/build.rs",
            "crates/daemon/src/",
            "crates/statestored/src/main.rs",
            "crates/agent/src/",
            "crates/statestorectl/src/",
            "bench/",
            "sim/world/src/main.rs",
            "sim/model/src/main.rs",
            "sim/turmoil/src/main.rs",
        ],
    },
];

/// The pure crates.
const PURE: [&str; 2] = ["crates/wire/src/", "crates/core/src/"];

/// Clocks, chance, sockets and files only where the table says.
pub fn rights_are_kept(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.rust().filter(|file| !file.path.starts_with("tests/")) {
        for (line, code) in file.shipped() {
            for right in &RIGHTS {
                let call = right.calls.iter().find(|call| code.contains(*call));
                if let Some(call) = call.filter(|_| !under(file, right.holders)) {
                    let says = format!(
                        "{call}: {} is not for this file, take it as input",
                        right.name
                    );
                    found.push(file.violation(line, says));
                }
            }
        }
    }
    found
}

/// The pure crates do not name std, and hash nothing whose order could show.
pub fn pure_crates_stay_pure(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.rust().filter(|file| under(file, &PURE)) {
        for (line, code) in file.shipped() {
            if code.contains("std::") && words(code).any(|word| word == "std") {
                found.push(
                    file.violation(line, "std:: is not for the pure crates: core:: or alloc::"),
                );
            }
            let hashed = ["HashMap", "HashSet", "HashTable"];
            if words(code).any(|word| hashed.contains(&word)) {
                found.push(file.violation(line, "hashed order is chance: use a BTreeMap"));
            }
        }
    }
    found
}

/// Tests wait for a condition, never for a time. A loop that looks at a limit may pause between
/// two looks, and so may a function named for waiting; other pauses carry a comment that begins
/// with `// Slow on purpose:`. Virtual time may be slept through.
pub fn tests_do_not_sleep(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.rust() {
        let text: Vec<&str> = file.text.lines().collect();
        let (mut function, mut virtual_time) = ("", false);
        let all_virtual = only_virtual_time(file);
        for (line, code) in file.code() {
            if let Some(name) = function_named(code) {
                function = name;
            } else if is_test_attribute(code) {
                virtual_time = code.contains("start_paused");
            }
            let sleeps = ["thread::sleep(", "time::sleep("]
                .iter()
                .any(|call| code.contains(call))
                || code.trim_start().starts_with("sleep(");
            let fixed = sleeps && !virtual_time && !all_virtual && !waits(function);
            if line > file.tests_from && fixed && !excused(&text[..line]) {
                found.push(file.violation(line, "a fixed sleep: wait for a condition"));
            }
        }
    }
    found
}

fn is_test_attribute(code: &str) -> bool {
    code.trim_start().starts_with("#[") && words(code).any(|word| word == "test")
}

/// True if every test of the file runs in virtual time, so that what they share does too.
fn only_virtual_time(file: &File) -> bool {
    let mut tests = file
        .code()
        .map(|(_, code)| code)
        .filter(|code| is_test_attribute(code))
        .peekable();
    tests.peek().is_some() && tests.all(|code| code.contains("start_paused"))
}

fn waits(function: &str) -> bool {
    ["wait", "until", "eventually"]
        .iter()
        .any(|verb| function.contains(verb))
}

/// Just above a pause: a look at a limit, or the word that it is meant.
fn excused(above: &[&str]) -> bool {
    let near = |lines: usize| above.iter().rev().take(lines);
    near(4).any(|line| line.trim_start().starts_with("// Slow on purpose:"))
        || near(10).any(|line| line.contains(".elapsed()") || line.contains("deadline"))
}

fn function_named(code: &str) -> Option<&str> {
    let mut found = words(code);
    found.find(|word| *word == "fn")?;
    found.next()
}

fn under(file: &File, places: &[&str]) -> bool {
    places.iter().any(|place| file.path.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&Tree) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
        rule(&Tree::of(&[(path, text)]))
            .iter()
            .map(|found| found.line)
            .collect()
    }

    #[test]
    fn a_clock_where_none_belongs_is_found() {
        let text = "let a = 1;\nlet now = Instant::now();\n";
        assert_eq!(
            lines(rights_are_kept, "crates/statestored/src/service.rs", text),
            [2]
        );
        assert!(lines(rights_are_kept, "crates/statestored/src/clock.rs", text).is_empty());
        assert!(lines(rights_are_kept, "crates/statestored/tests/run.rs", text).is_empty());
        let tested = format!("#[cfg(test)]\nmod tests {{\n{text}}}\n");
        assert!(
            lines(
                rights_are_kept,
                "crates/statestored/src/service.rs",
                &tested
            )
            .is_empty()
        );
        assert!(lines(rights_are_kept, "crates/core/src/a.rs", "// Instant::now\n").is_empty());
    }

    #[test]
    fn every_right_can_be_broken() {
        for right in &RIGHTS {
            for call in right.calls {
                let text = format!("{call}();\n");
                assert_eq!(
                    lines(rights_are_kept, "crates/core/src/a.rs", &text)[..1],
                    [1],
                    "{call}"
                );
            }
        }
    }

    #[test]
    fn std_and_hash_maps_in_a_pure_crate_are_found() {
        let rule = pure_crates_stay_pure;
        assert_eq!(
            lines(
                rule,
                "crates/core/src/a.rs",
                "use core::fmt;\nuse std::fmt;\n"
            ),
            [2]
        );
        assert_eq!(
            lines(rule, "crates/wire/src/a.rs", "use anything::HashMap;\n"),
            [1]
        );
        assert!(lines(rule, "crates/rpc/src/a.rs", "use std::fmt;\n").is_empty());
    }

    #[test]
    fn a_fixed_sleep_in_a_test_is_found() {
        let rule = tests_do_not_sleep;
        let sleep = "#[test]\nfn works() {\n    thread::sleep(SECOND);\n}\n";
        assert_eq!(lines(rule, "crates/rpc/tests/a.rs", sleep), [3]);
        assert!(lines(rule, "crates/rpc/src/a.rs", sleep).is_empty());
        let polled = "fn wait_for(c: C) {\n    tokio::time::sleep(TICK).await;\n}\n";
        assert!(lines(rule, "crates/rpc/tests/a.rs", polled).is_empty());
        let paused =
            "#[tokio::test(start_paused = true)]\nasync fn a() {\n    time::sleep(T).await;\n}\n";
        assert!(lines(rule, "crates/rpc/tests/a.rs", paused).is_empty());
        let shared = format!("fn peer() {{\n    time::sleep(T).await;\n}}\n{paused}");
        assert!(lines(rule, "crates/rpc/tests/a.rs", &shared).is_empty());
        assert_eq!(
            lines(rule, "crates/rpc/tests/a.rs", &format!("{shared}{sleep}")),
            [2, 10]
        );
        let looped = "fn a() {\n    assert!(start.elapsed() < LIMIT);\n    thread::sleep(T);\n}\n";
        assert!(lines(rule, "crates/rpc/tests/a.rs", looped).is_empty());
        let excused =
            "fn peer() {\n    // Slow on purpose: a peer that hangs.\n    thread::sleep(T);\n}\n";
        assert!(lines(rule, "crates/rpc/tests/a.rs", excused).is_empty());
    }
}
