//! The process among others: flags, exit codes, ports, signals (flags.md sections 6, 9 to 11).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::subscriber::{Action, Subscriber};
use common::{Statestored, eventually, http, run_to_end};
use rustix::process::Signal;
use std::net::SocketAddr;

// flags.md section 11
#[test]
fn bad_flags_end_the_start_with_one_line_that_names_flag_and_value() {
    for (flag, expected) in [
        (
            "--no_such_flag=1",
            "ERROR: unknown command line flag 'no_such_flag'",
        ),
        (
            "--state_store_port=x",
            "ERROR: illegal value 'x' specified for int32 flag 'state_store_port'",
        ),
        (
            "--state_store_port=70000",
            "ERROR: failed validation of new value '70000' for flag 'state_store_port'",
        ),
        (
            "--statestore_max_missed_heartbeats=0",
            "ERROR: failed validation of new value '0' for flag 'statestore_max_missed_heartbeats'",
        ),
        (
            "--thrift_rpc_max_message_size=1000",
            "ERROR: failed validation of new value '1000' for flag 'thrift_rpc_max_message_size'",
        ),
    ] {
        let (code, stdout, stderr) = run_to_end(&[flag]);
        assert_eq!(code, Some(1), "{flag}");
        assert_eq!((stdout.as_str(), stderr.trim_end()), ("", expected));
    }
}

// flags.md section 11
#[test]
fn every_spelling_of_a_flag_works_and_the_last_one_wins() {
    let statestored = Statestored::start(&[
        "-statestore_heartbeat_frequency_ms",
        "0x10",
        "--statestore-max-missed-heartbeats=3",
        "--statestore_max_missed_heartbeats=4",
        "--noenable_catalogd_ha",
        "--be_port=1",
    ]);
    let flags = statestored.json("/varz")["flags"]
        .as_array()
        .unwrap()
        .clone();
    let current =
        |name: &str| flags.iter().find(|flag| flag["name"] == name).unwrap()["current"].clone();
    assert_eq!(current("statestore_heartbeat_frequency_ms"), "16");
    assert_eq!(current("statestore_max_missed_heartbeats"), "4");
    statestored.await_log("Ignoring removed flag be_port");
}

// flags.md sections 2 to 9
#[test]
fn every_flag_of_the_reference_is_known_and_shown() {
    let statestored = Statestored::start(&["--statestore_num_update_threads=20"]);
    let flags = statestored.json("/varz")["flags"]
        .as_array()
        .unwrap()
        .clone();
    let known: Vec<&str> = flags
        .iter()
        .map(|flag| flag["name"].as_str().unwrap())
        .collect();
    let spec = include_str!("../../../docs/spec/flags.md");
    let rows = spec.lines().skip_while(|line| !line.starts_with("## 2."));
    let rows = rows.take_while(|line| !line.starts_with("## 10."));
    let mut seen = 0;
    let mut section = "";
    for row in rows {
        if row.starts_with("## ") {
            section = row;
        }
        // Section 5 is the subscriber library's.
        let Some(cell) = row
            .strip_prefix("| `")
            .filter(|_| !section.starts_with("## 5."))
        else {
            continue;
        };
        let cell = cell.split(" |").next().unwrap();
        for name in cell
            .split(['`', '/', ',', ' '])
            .filter(|word| word.contains(|c: char| c.is_ascii_lowercase()))
        {
            assert!(known.contains(&name), "{name} of '{section}'");
            seen += 1;
        }
    }
    assert!(seen > 80, "the table was read: {seen}");
    statestored.await_log("flag statestore_num_update_threads is accepted");
}

// flags.md sections 8 and 3
#[test]
fn what_cannot_be_honoured_is_refused_not_left_out() {
    for flag in [
        "--ssl_server_certificate=/c.pem",
        "--ssl_client_ca_certificate=/ca.pem",
        "--principal=impala/_HOST@REALM",
        "--webserver_certificate_file=/c.pem",
        "--debug_actions=DO_SUBSCRIBER_UPDATE:NONSENSE",
        "--log_dir=/no/such/folder",
    ] {
        let (code, _, stderr) = run_to_end(&["--nologtostderr", flag]);
        let name = flag.trim_start_matches('-').split('=').next().unwrap();
        assert_eq!(code, Some(1), "{flag}: {stderr}");
        assert!(stderr.contains(name), "{flag}: {stderr}");
    }
}

// flags.md section 11
#[test]
fn help_goes_to_stdout_with_code_1_and_the_version_with_code_0() {
    let (code, stdout, _) = run_to_end(&["--help"]);
    assert_eq!(code, Some(1));
    for text in [
        "statestored: ",
        "-state_store_port",
        "type: int32 default: 24000",
    ] {
        assert!(stdout.contains(text), "{text} in {stdout}");
    }
    let (code, stdout, _) = run_to_end(&["--version"]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("statestored version "), "{stdout}");
}

// flags.md section 9: failures such as a port in use
#[test]
fn a_port_in_use_is_named_in_the_log_and_on_the_terminal() {
    let first = Statestored::start(&[]);
    for (flag, port) in [
        ("state_store_port", first.rpc.port()),
        ("webserver_port", first.web.port()),
    ] {
        let flag = format!("--{flag}={port}");
        for more in [
            &["--redirect_stdout_stderr=false"][..],
            &["--redirect_stdout_stderr"],
        ] {
            let (code, _, stderr) = run_to_end(&[&[flag.as_str()], more].concat());
            assert_eq!(code, Some(1), "{flag}");
            assert!(stderr.contains(&port.to_string()), "{flag}: {stderr}");
            assert!(stderr.contains("in use"), "{flag}: {stderr}");
        }
    }
    Subscriber::new("a").register(first.rpc, &[]);
}

// flags.md section 9
#[test]
fn sigterm_and_sigint_end_it_with_code_0_whoever_hangs_or_idles() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        // Its end would be late if it waited for a call to the hung one.
        let flags = ["--statestore_heartbeat_tcp_timeout_seconds=3600"];
        let mut statestored = Statestored::start(&flags);
        let hung = Subscriber::with("hung", |_, _| Action::Hang);
        hung.register(statestored.rpc, &[]);
        let a = Subscriber::new("a");
        a.register(statestored.rpc, &[("catalog-update", false)]);
        let _idle = std::net::TcpStream::connect(statestored.rpc).unwrap();
        a.await_heartbeats(1);
        eventually("a call to the hung one", || {
            (hung.accepted() > 0).then_some(())
        });
        statestored.signal(signal);
        assert_eq!(statestored.wait().code(), Some(0));
        let words = format!("Caught signal: {name}. Daemon will exit.");
        assert!(statestored.log().contains(&words));
    }
}

// flags.md section 9
#[test]
fn by_default_it_logs_to_files_that_say_at_once_when_it_is_ready() {
    let flags = ["--redirect_stdout_stderr", "--nologtostderr", "--v=1"];
    let mut statestored = Statestored::start(&flags);
    let page = statestored.json("/logs");
    assert!(
        page["logfile"].as_str().unwrap().contains("statestored."),
        "{page}"
    );
    assert!(
        page["log"]
            .as_str()
            .unwrap()
            .contains("statestored is ready"),
        "{page}"
    );
    let log = statestored.log();
    for words in [
        "statestored version ",
        "Using hostname: localhost",
        "Process ID: ",
        "--v=1",
    ] {
        assert!(log.contains(words), "{words} in {log}");
    }
    statestored.signal(Signal::TERM);
    assert_eq!(statestored.wait().code(), Some(0));
    let log = statestored.log();
    assert!(
        log.contains("\nCaught signal: SIGTERM. Daemon will exit."),
        "on stdout: {log}"
    );
}

// observability.md section 3, start order
#[test]
fn health_is_503_until_the_service_is_open() {
    let dir = tempfile::TempDir::new().unwrap();
    let flags = ["--stress_statestore_startup_delay_ms=1500"];
    let mut child = common::command(&dir, &flags).spawn().unwrap();
    let port: u16 = eventually("the web server's port in the log", || {
        let log = std::fs::read_to_string(dir.path().join("stderr")).unwrap();
        let (_, after) = log.split_once("Web server listening on port ")?;
        let (port, _) = after.split_once('\n')?;
        Some(port.parse().unwrap())
    });
    let web = SocketAddr::from(([127, 0, 0, 1], port));
    let mut seen = Vec::new();
    eventually("health", || {
        let (status, body) = http(web, "GET", "/healthz").unwrap();
        if seen.last() != Some(&(status, body.clone())) {
            seen.push((status, body));
        }
        (status == 200).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        seen,
        [(503, "Not Available".to_owned()), (200, "OK".to_owned())]
    );
}

// wire.md section 8
#[test]
fn a_statestored_of_the_first_protocol_is_played_for_python_clients_only() {
    let flags = ["--debug_actions=START_STATESTORE_IN_PROTOCOL_V1"];
    let statestored = Statestored::start(&flags);
    let python = Subscriber::new("python-test-client-1");
    let request = python.request(&[]);
    let error = common::subscriber::call(statestored.rpc, &request).unwrap_err();
    assert!(error.contains("Invalid data"), "{error}");
    Subscriber::new("impalad").register(statestored.rpc, &[]);
}
