//! Each flag reaches its place, and what makes no configuration is refused with its name.
#![allow(clippy::unwrap_used)]
use super::*;
use statestore_core::pair::limits::lease;
use statestore_daemon::flags::{Outcome, Program};

fn parse(args: &[&str]) -> Result<Flags, String> {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let program = Program {
        name: "statestored",
        usage: "",
        version: "",
        tables: tables::ALL,
    };
    match program.parse(&args, &|_| None, &|_| {
        Err(std::io::ErrorKind::NotFound.into())
    }) {
        Outcome::Run(flags) => Ok(*flags),
        Outcome::Exit { stderr, .. } => Err(stderr),
    }
}

fn config(args: &[&str]) -> Result<Config, String> {
    Config::from_flags(&parse(args)?, "host", 0).map_err(|error| error.to_string())
}

#[test]
fn without_flags_the_configuration_is_the_references() {
    let config = config(&[]).unwrap();
    let mut reference = CoreConfig {
        first_update_delay: FIRST_UPDATE_DELAY,
        ..CoreConfig::default()
    };
    reference.heartbeat.slack = Duration::from_micros(12_500);
    reference.priority.slack = Duration::from_millis(100) / 48;
    reference.bulk.slack = Duration::from_secs(2) / 48;
    assert_eq!(config.core, reference);
    assert_eq!(config.port, 24_000);
    assert_eq!(config.max_reply, 64 << 30);
    assert_eq!(config.max_request, 64 << 20);
}

#[test]
fn each_flag_reaches_its_place() {
    let config = config(&[
        "--state_store_port=0",
        "-statestore_heartbeat_frequency_ms=200",
        "--statestore_heartbeat_tcp_timeout_seconds=1",
        "--statestore_update_frequency_ms=300",
        "--statestore_priority_update_frequency_ms=50",
        "--statestore_update_tcp_timeout_seconds=0",
        "--statestore_max_missed_heartbeats=3",
        "--statestore_max_subscribers=7",
        "--heartbeat_monitoring_frequency_ms=1500.5",
        "--nostatestore_push_on_change",
        "--enable_catalogd_ha",
        "--catalogd_ha_preemption_wait_period_ms=0",
        "--thrift_rpc_max_message_size=0",
    ])
    .unwrap();
    let core = config.core;
    assert_eq!(config.port, 0);
    assert_eq!(core.heartbeat.period, Duration::from_millis(200));
    assert_eq!(core.heartbeat.timeout, Duration::from_secs(1));
    assert_eq!(
        core.bulk,
        LaneConfig {
            period: Duration::from_millis(300),
            timeout: NO_LIMIT,
            slack: Duration::from_micros(6_250),
        }
    );
    assert_eq!(core.priority.period, Duration::from_millis(50));
    assert_eq!((core.max_missed_heartbeats, core.max_subscribers), (3, 7));
    assert_eq!(
        core.heartbeat_report_period,
        Duration::from_micros(1_500_500)
    );
    assert_eq!(core.push_coalesce, None);
    assert!(core.catalog.ha);
    assert_eq!(core.catalog.preemption_wait, Duration::ZERO);
    assert_eq!(config.max_reply, 100 << 20);
}

#[test]
fn a_value_out_of_range_is_refused_with_flag_and_value() {
    for arg in [
        "--state_store_port=65536",
        "--statestore_max_missed_heartbeats=0",
        "--statestore_heartbeat_frequency_ms=-1",
        "--statestore_max_subscribers=0",
        "--heartbeat_monitoring_frequency_ms=nan",
        "--catalogd_ha_preemption_wait_period_ms=-1",
        "--thrift_rpc_max_message_size=1000",
        "--ssl_minimum_version=tlsv9",
    ] {
        let error = config(&[arg]).unwrap_err();
        let (flag, value) = arg.trim_start_matches('-').split_once('=').unwrap();
        assert!(
            error.contains(flag) && error.contains(value),
            "{arg}: {error}"
        );
    }
}

#[test]
fn what_cannot_be_honoured_ends_the_start() {
    for arg in [
        "--ssl_server_certificate=/a.pem",
        "--ssl_client_ca_certificate=/a.pem",
        "--principal=impala/host@REALM",
        "--debug_actions=DO_SUBSCRIBER_UPDATE",
    ] {
        let error = config(&[arg]).unwrap_err();
        let flag = arg.trim_start_matches('-').split('=').next().unwrap();
        assert!(error.contains(flag), "{arg}: {error}");
        // Nor is it said before that it would be accepted.
        assert_eq!(parse(&[arg]).unwrap().warnings(), Vec::<String>::new());
    }
}

// ha.md section 5, flags.md sections 1 and 3
#[test]
fn the_seeds_defaults_make_a_pair() {
    let config = config(&["--enable_statestored_ha", "--state_store_peer_host=other"]).unwrap();
    assert_eq!(config.ha_port, Some(24_020));
    let ha = config.core.ha.unwrap();
    assert_eq!(ha.peer.to_string(), "other:24020");
    let limits = ha.pair.limits;
    assert_eq!(limits.peer_timeout, Duration::from_secs(30));
    assert_eq!(limits.peer_lease, Duration::from_millis(22_500));
    assert_eq!(
        lease(limits.subscriber_timeout),
        Duration::from_millis(22_500)
    );
    assert_eq!(limits.vote_age, Duration::from_millis(4_500));
    assert_eq!(ha.tick, Duration::from_secs(1));
    assert_eq!(ha.hello_period, Duration::from_secs(1));
    assert_eq!(ha.call_timeout, Duration::from_secs(2), "W32");
    assert_eq!(ha.role_timeout, Duration::from_secs(3));
    assert_eq!(config.notes, Vec::<String>::new());
}

// flags.md section 3: a peer that cannot be called is no pair
#[test]
fn a_peer_host_that_names_no_host_ends_the_start() {
    let peer = |host: &str| {
        let host = format!("--state_store_peer_host={host}");
        config(&["--enable_statestored_ha", &host])
    };
    for wrong in [
        "",
        " ",
        "other:24020",
        "[::1]:24020",
        "[other]",
        "a b",
        "http://a",
        ".",
    ] {
        let error = peer(wrong).unwrap_err();
        let named = format!("--state_store_peer_host={wrong} ");
        assert!(error.contains(&named), "{error}");
    }
    for right in [
        "::1",
        "[::1]",
        "fe80::1%eth0",
        "10.0.0.2",
        "a-1.b_c.example.",
        "localhost",
    ] {
        assert!(peer(right).is_ok(), "{right}");
    }
    assert!(
        config(&["--state_store_peer_host="]).is_ok(),
        "not one of a pair"
    );
}

// ha.md section 5: what the reference accepts is tightened, never refused
#[test]
fn periods_too_long_for_the_limits_are_tightened_and_said() {
    let config = config(&[
        "--enable_statestored_ha",
        "--state_store_peer_host=other",
        "--statestore_peer_timeout_seconds=2",
        "--statestore_ha_client_rpc_timeout_ms=5000",
    ])
    .unwrap();
    let ha = config.core.ha.unwrap();
    assert_eq!(ha.tick, Duration::from_millis(300));
    assert_eq!(ha.call_timeout, Duration::from_millis(375));
    assert_eq!(config.notes.len(), 2, "{:?}", config.notes);
    assert!(config.notes[0].contains("--statestore_ha_heartbeat_monitoring_frequency_ms=1000"));
    assert!(config.notes[1].contains("--statestore_ha_client_rpc_timeout_ms=5000"));
}

// ha.md section 5: the core does it for each subscriber, the log says it once
#[test]
fn heartbeats_that_do_not_fit_into_a_lease_are_said() {
    let flags = ["--enable_statestored_ha", "--state_store_peer_host=[::2]"];
    let short = ["--statestore_subscriber_timeout_seconds=2"];
    let config = config(&[&flags[..], &short].concat()).unwrap();
    let [note] = &config.notes[..] else {
        panic!("{:?}", config.notes);
    };
    for words in [
        "--statestore_heartbeat_frequency_ms=1000",
        "--statestore_heartbeat_tcp_timeout_seconds=3",
        "using 300 ms and 375 ms",
    ] {
        assert!(note.contains(words), "{note}");
    }
    let peer = config.core.ha.unwrap().peer;
    assert_eq!(peer.to_string(), "[::2]:24020");
}

// flags.md section 1: the number of missed heartbeats is a limit beside the time
#[test]
fn missed_heartbeats_are_a_limit_and_too_few_are_refused() {
    let pair = |flags: &[&str]| {
        let base = ["--enable_statestored_ha", "--state_store_peer_host=other"];
        config(&[&base, flags].concat())
    };
    let limits = pair(&[
        "--max_missed_heartbeat_request_num=4",
        "--statestore_ha_heartbeat_monitoring_frequency_ms=100",
        "--statestore_heartbeat_frequency_ms=200",
    ])
    .unwrap()
    .core
    .ha
    .unwrap()
    .pair
    .limits;
    assert_eq!(limits.peer_timeout, Duration::from_millis(400));
    assert_eq!(limits.subscriber_timeout, Duration::from_millis(800));
    let error = pair(&[
        "--max_missed_heartbeat_request_num=2",
        "--statestore_ha_heartbeat_monitoring_frequency_ms=100",
    ])
    .unwrap_err();
    assert!(error.contains("--max_missed_heartbeat_request_num=2") && error.contains("300 ms"));
}

// W8, W9
#[test]
fn attempts_without_end_keep_their_pause_and_nobody_is_its_own_peer() {
    let attempts = ["--enable_statestored_ha", "--state_store_peer_host=other"];
    let endless = [
        "--statestore_peer_cnxn_attempts=0",
        "--statestore_peer_cnxn_retry_interval_ms=250",
    ];
    let config_of = config(&[&attempts[..], &endless[..]].concat()).unwrap();
    let hello = config_of.core.ha.unwrap().hello_period;
    assert_eq!(hello, Duration::from_millis(250));
    for host in ["localhost", "host"] {
        let peer = format!("--state_store_peer_host={host}");
        let notes = config(&["--enable_statestored_ha", &peer]).unwrap().notes;
        assert!(
            notes[0].contains(host) && notes[0].contains("24020"),
            "{notes:?}"
        );
    }
}

#[test]
fn what_has_no_effect_without_a_pair_is_said() {
    let flags = [
        "--state_store_peer_host=other",
        "--statestore_force_active",
        "--statestore_peer_timeout_seconds=30",
        "--state_store_port=1",
    ];
    let unused = |name| format!("flag {name} has no effect without --enable_statestored_ha");
    let said = ["state_store_peer_host", "statestore_force_active"].map(unused);
    assert_eq!(config(&flags).unwrap().notes, said);
    let pair = config(&[&flags[..], &["--enable_statestored_ha"]].concat());
    assert_eq!(pair.unwrap().notes, Vec::<String>::new());
}
