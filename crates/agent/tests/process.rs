//! The agent as a process: flags, exit codes, ports, pages, signals.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Agent, eventually, free_port, run_to_end, statestored, write};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

// flags.md section 5
#[test]
fn every_flag_of_a_subscriber_is_known_and_has_its_default() {
    let agent = Agent::spawn(None, &["--subscriber_id=a"]);
    let varz = agent.json("/varz");
    let flags = varz["flags"].as_array().unwrap();
    let spec = include_str!("../../../docs/spec/flags.md");
    let rows = spec.lines().skip_while(|line| !line.starts_with("## 5."));
    let rows = rows.take_while(|line| !line.starts_with("Fixed, not flags"));
    let mut seen = 0;
    for row in rows.filter(|row| row.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let flag = flags
            .iter()
            .find(|flag| flag["name"] == cells[1].trim_matches('`'));
        let flag = flag.unwrap_or_else(|| panic!("{row}"));
        let default = cells[3].split(' ').next().unwrap().trim_matches('"');
        assert_eq!(flag["default"], default, "{row}");
        seen += 1;
    }
    assert!(seen >= 14, "{seen} rows");
}

#[test]
fn what_is_wrong_ends_the_start_with_one_line_that_names_flag_and_value() {
    let statestored = statestored(&[]);
    let folders = TempDir::new().unwrap();
    let path = |name: &str| folders.path().join(name).display().to_string();
    write(Path::new(&path("foreign/file")), "");
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let taken = taken.local_addr().unwrap().port();
    let cases = [
        ("--role=queen", "queen"),
        ("--subscriber_id=", "subscriber_id"),
        ("--state_store_2_port=70000", "70000"),
        ("--max_missed_heartbeat_request_num=-1", "'-1'"),
        ("--ssl_server_certificate=/c.pem", "/c.pem"),
        ("--publish=t", "'t'"),
        ("--publish=t:k=@/no/file", "--publish=t:k=@/no/file: "),
        ("--publish_dir=t:/no/dir", "--publish_dir=t:/no/dir: "),
        ("--follow=", "follow"),
        ("--mirror=t", "'t'"),
        (&format!("--mirror=t:{}", path("foreign")), "empty folder"),
        (
            &format!("--mirror=t:{}/x", path("foreign/file")),
            "--mirror=t:",
        ),
        (&format!("--mirror=t:{}", folders.path().display()), "empty"),
        ("--on_change=t:", "'t:'"),
        ("--transient=", "transient"),
        (
            "--debug_actions=REGISTER_SUBSCRIBER_FIRST_ATTEMPT:NO",
            "FIRST_ATTEMPT:NO",
        ),
        (
            &format!("--state_store_subscriber_port={taken}"),
            &format!("={taken}: "),
        ),
        (&format!("--webserver_port={taken}"), &format!(":{taken} ")),
        ("--redirect_stdout_stderr", "redirect_stdout_stderr"),
    ];
    for (flag, named) in cases {
        let flags = ["--subscriber_id=a", "--follow=f", flag];
        let (code, stdout, stderr) = run_to_end(Some(statestored.rpc), &flags);
        let name = flag.trim_start_matches('-').split('=').next().unwrap();
        assert_eq!((code, stdout.as_str()), (1, ""), "{flag}: {stderr}");
        assert!(stderr.starts_with("ERROR: "), "{flag}: {stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{flag}: {stderr}");
        assert!(
            stderr.contains(named) && stderr.contains(name),
            "{flag}: {stderr}"
        );
    }
    assert_eq!(statestored.subscribers(), [""; 0], "nobody joined");
}

#[test]
fn a_mirror_and_a_published_folder_are_never_one() {
    let folder = TempDir::new().unwrap();
    let inside = folder.path().join("inside");
    let mirror = format!("--mirror=t:{}", inside.display());
    let publish = format!("--publish_dir=u:{}", folder.path().display());
    let (code, _, stderr) = run_to_end(None, &["--subscriber_id=a", &mirror, &publish]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains(&mirror) && stderr.contains(&publish),
        "{stderr}"
    );
    assert!(!inside.exists());
}

// flags.md section 11
#[test]
fn help_shows_every_flag_and_version_the_version() {
    let (code, help, _) = run_to_end(None, &["--help"]);
    assert_eq!(code, 1);
    for flag in ["-publish_dir", "-mirror", "-on_change", "-state_store_host"] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
    let (code, version, _) = run_to_end(None, &["--version"]);
    assert_eq!(code, 0);
    assert!(
        version.starts_with("statestore-agent version "),
        "{version}"
    );
}

// B-5
#[test]
fn health_is_503_before_the_registration_and_200_after_it() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let agent = Agent::spawn(Some(address), &["--subscriber_id=a"]);
    assert_eq!(agent.get("/healthz"), (503, "Not Available".to_owned()));
    let page = agent.json("/statestores")["statestores"].clone();
    assert!(
        page.as_array()
            .unwrap()
            .iter()
            .all(|it| it["connected"] == false)
    );
    let _statestored = statestored(&[&format!("--state_store_port={}", address.port())]);
    eventually("200", || {
        (agent.get("/healthz") == (200, "OK".to_owned())).then_some(())
    });
}

// B-5
#[test]
fn without_tolerance_an_absent_statestored_ends_the_start() {
    let flags = [
        "--subscriber_id=a",
        "--tolerate_statestore_startup_delay=false",
        "--statestore_subscriber_cnxn_attempts=2",
    ];
    let (code, _, stderr) = run_to_end(None, &flags);
    assert_eq!(code, 1);
    assert!(stderr.contains("127.0.0.1:1"), "{stderr}");
}

/// A command that starts another, both stubborn; their process ids go into the folder.
fn two_processes(folder: &TempDir) -> String {
    let pids = folder.path().join("pids");
    let stubborn = "while :; do sleep 1; done";
    format!(
        "--on_change=t:trap '' TERM; sh -c \"{stubborn}\" & \
         echo $! >> {0}; echo $$ >> {0}; {stubborn}",
        pids.display()
    )
}

fn pids(folder: &TempDir) -> Option<[Pid; 2]> {
    let text = std::fs::read_to_string(folder.path().join("pids")).ok()?;
    let pids = text
        .lines()
        .map(|pid| pid.parse().ok().and_then(Pid::from_raw));
    pids.collect::<Option<Vec<_>>>()?.try_into().ok()
}

#[test]
fn sigterm_ends_it_and_with_it_what_it_runs_even_what_is_stubborn() {
    let statestored = statestored(&[]);
    let folder = TempDir::new().unwrap();
    let command = two_processes(&folder);
    let mirror = format!("--mirror=t:{}/mirror", folder.path().display());
    let flags = ["--subscriber_id=a", "--follow=t", &mirror, &command];
    let mut agent = Agent::start(&statestored, &flags);
    let pids = eventually("both processes", || pids(&folder));
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait().code(), Some(0));
    for pid in pids {
        eventually("the end of what it ran", || test_kill_process(pid).err());
    }
    assert!(
        agent
            .log()
            .contains("Caught signal: SIGTERM. Daemon will exit.")
    );
    assert!(
        agent.lines().len() <= 1,
        "standard output holds JSON lines only"
    );
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let statestored = statestored(&[]);
    let dir = TempDir::new().unwrap();
    let flags = ["--subscriber_id=a", "--follow=t", "--publish=t:k=v"];
    let mut command = common::command(&dir, Some(statestored.rpc), &flags);
    command.stdout(Stdio::piped());
    let mut agent = Agent::from_command(command, dir);
    agent.await_log("statestore-agent is ready");
    drop(agent.child.stdout.take());
    assert_eq!(agent.wait().code(), Some(0));
    let stderr = std::fs::read_to_string(agent.folder().join("stderr")).unwrap();
    assert_eq!(stderr, "");
}

// flags.md section 10
#[test]
fn debug_actions_fail_registrations_until_the_next_attempt() {
    let statestored = statestored(&[]);
    for label in [
        "REGISTER_STATESTORE_ON_STARTUP",
        "GET_PROTOCOL_VERSION_FIRST_ATTEMPT",
        "REGISTER_SUBSCRIBER_FIRST_ATTEMPT",
    ] {
        let id = format!("--subscriber_id={label}");
        let action = format!("--debug_actions={label}:FAIL@1.0@no luck|OTHER:FAIL");
        let agent = Agent::start(&statestored, &[&id, &action]);
        let log = agent.log();
        let injected = format!(
            "Injected RPC error to 127.0.0.1:{}: no luck",
            statestored.rpc.port()
        );
        assert_eq!(log.matches(&injected).count(), 1, "{label}: {log}");
        assert!(log.contains("OTHER:FAIL is not for an agent"), "{log}");
        assert!(statestored.subscribers().contains(&label.to_owned()));
    }
}

// observability.md section 2
#[test]
fn metrics_and_pages_have_their_names() {
    let statestored = statestored(&[]);
    let flags = ["--role=coordinator", "--follow=t"];
    let agent = Agent::start(&statestored, &flags);
    eventually("an update", || {
        agent.metric("statestore-subscriber.topic-update-duration")["count"]
            .as_i64()
            .filter(|count| *count > 1)
    });
    let metrics = agent.json("/jsonmetrics");
    let spec = include_str!("../../../docs/spec/observability.md");
    let rows = spec.lines().skip_while(|line| !line.starts_with("## 2."));
    let rows = rows.take_while(|line| !line.starts_with("Users of"));
    let mut seen = 0;
    for row in rows.filter(|row| row.starts_with("| `statestore-subscriber.")) {
        let key = row
            .split('`')
            .nth(1)
            .unwrap()
            .replace("<topic>", "catalog-update");
        assert!(metrics.get(&key).is_some(), "{key}");
        seen += 1;
    }
    assert!(seen >= 16, "{seen} rows");
    assert_eq!(metrics["catalog.active-catalogd-address"], "");
    assert_eq!(
        metrics["statestore-subscriber.statestore-active-status"],
        true
    );
    let (_, all) = agent.get("/metrics?json");
    let call = "rpc-method.statestore-subscriber.StatestoreSubscriber.UpdateState.call_duration";
    assert!(all.contains(call), "{all}");
    let (_, text) = agent.get("/metrics_prometheus");
    assert!(
        text.contains("\nimpala_statestore_subscriber_num_connection_failures 0"),
        "{text}"
    );

    let rpcz = agent.json("/rpcz")["servers"][0].clone();
    assert_eq!(rpcz["name"], "statestore-subscriber");
    let methods = rpcz["methods"].as_array().unwrap().iter();
    let names: Vec<&Value> = methods.map(|method| &method["name"]).collect();
    assert!(
        names.contains(&&json!("StatestoreSubscriber.Heartbeat")),
        "{names:?}"
    );
}

// The seed: address, role, last heartbeat, missed heartbeats of each statestored.
#[test]
fn the_page_of_statestoreds_tells_what_is_known_of_each() {
    let mut statestored = statestored(&[]);
    let flags = [
        "--subscriber_id=a",
        "--statestore_heartbeat_frequency_ms=100",
        "--max_missed_heartbeat_request_num=3",
        "--statestore_subscriber_timeout_seconds=3600",
    ];
    let agent = Agent::start(&statestored, &flags);
    let row = || agent.json("/statestores")["statestores"][0].clone();
    eventually("a heartbeat", || {
        row()["secs_since_heartbeat"].as_str().map(drop)
    });
    let found = row();
    assert_eq!(
        found["address"],
        format!("127.0.0.1:{}", statestored.rpc.port())
    );
    assert_eq!(
        (&found["role"], &found["connected"]),
        (&json!("primary"), &json!(true))
    );
    let ids = statestored.json("/subscribers")["subscribers"][0]["registration_id"].clone();
    assert_eq!(found["registration_id"], ids);
    assert_eq!(
        found["registration_id"],
        agent.metric("statestore-subscriber.registration-id")
    );
    assert_eq!(
        found["statestore_id"],
        agent.metric("statestore-subscriber.statestore-id")
    );
    assert!(agent.get("/statestores").1.contains("missed_heartbeats"));
    statestored.signal(Signal::KILL);
    statestored.wait();
    eventually("missed heartbeats, then its loss", || {
        let row = row();
        let missed = row["missed_heartbeats"].as_i64()? >= 3;
        (missed && row["connected"] == false && row["connection_failures"] == 1).then_some(())
    });
}
