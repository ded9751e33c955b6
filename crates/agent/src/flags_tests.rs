//! Tests of the agent's flags: each reaches its place, and some defaults depend on the role.

#![allow(clippy::unwrap_used)]

use super::*;
use statestore_daemon::flags::{Outcome, Program};

fn flags(args: &[&str]) -> Flags {
    let program = Program {
        name: "statestore-agent",
        usage: "",
        version: "",
        tables: crate::TABLES,
    };
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let read = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    match program.parse(&args, &|_| None, &read) {
        Outcome::Run(mut flags) => {
            settle(&mut flags);
            *flags
        }
        Outcome::Exit { stderr, .. } => panic!("{stderr}"),
    }
}

fn settings(args: &[&str]) -> Settings {
    Settings::from_flags(&flags(args), "host").unwrap()
}

// flags.md sections 5 and 7
#[test]
fn ports_that_are_not_set_are_those_of_the_role() {
    for (role, own, web) in [
        ("catalogd", 23020, 25020),
        ("coordinator", 23000, 25000),
        ("executor", 23000, 25000),
        ("coordinator_executor", 23000, 25000),
        ("admissiond", 23030, 25030),
        ("custom", 0, 0),
    ] {
        let role = format!("--role={role}");
        let unset = flags(&[&role]);
        let ports = |flags: &Flags| {
            let own = flags.i32("state_store_subscriber_port");
            (own, flags.i32("webserver_port"))
        };
        assert_eq!(ports(&unset), (own, web), "{role}");
        let set = [
            "--state_store_subscriber_port=1",
            "--webserver_port=2",
            &role,
        ];
        assert_eq!(ports(&flags(&set)), (1, 2), "{role}");
    }
}

// flags.md section 5
#[test]
fn without_flags_the_settings_are_the_references() {
    let settings = settings(&["--subscriber_id=a"]);
    assert_eq!(settings.statestores, [("localhost".to_owned(), 24000)]);
    assert_eq!(settings.timeout, Duration::from_secs(30));
    // Not set: the library's, which are the reference's unless limits are short.
    assert_eq!((settings.attempts, settings.retry_interval), (10, None));
    assert_eq!(settings.recovery_grace, Duration::from_secs(30));
    assert_eq!(settings.call_timeout, None);
    assert!(settings.tolerate_startup_delay && !settings.use_resolved_address);
    assert_eq!(settings.max_missed_heartbeats, 0);
    assert_eq!(settings.max_message, 64 << 30);
}

#[test]
fn each_flag_reaches_its_place() {
    let settings = settings(&[
        "--role=catalogd",
        "--state_store_host=h",
        "--state_store_port=1",
        "--state_store_subscriber_port=2",
        "--statestore_subscriber_timeout_seconds=3",
        "--statestore_subscriber_cnxn_attempts=0",
        "--statestore_subscriber_cnxn_retry_interval_ms=5",
        "--statestore_subscriber_use_resolved_address",
        "--statestore_subscriber_recovery_grace_period_ms=6",
        "--statestore_client_rpc_timeout_ms=7",
        "--tolerate_statestore_startup_delay=false",
        "--cluster_membership_topic_id=X",
        "--enable_catalogd_ha",
        "--force_catalogd_active",
        "--statestore_heartbeat_frequency_ms=8",
        "--max_missed_heartbeat_request_num=90",
        "--catalog_service_port=10",
        "--krpc_port=11",
        "--thrift_rpc_max_message_size=0",
        "--transient=one",
        "--transient=two",
        "--follow=t",
        "--follow=u:p",
    ]);
    let millis = Duration::from_millis;
    assert_eq!(settings.subscriber_id, "catalog-server@host:10");
    assert_eq!(settings.statestores, [("h".to_owned(), 1)]);
    assert_eq!(settings.subscriber_port, 2);
    assert_eq!(settings.timeout, Duration::from_secs(3));
    assert_eq!(settings.attempts, 0);
    assert_eq!(settings.retry_interval, Some(millis(5)));
    assert!(settings.use_resolved_address && !settings.tolerate_startup_delay);
    assert_eq!(
        (settings.recovery_grace, settings.call_timeout),
        (millis(6), Some(millis(7)))
    );
    assert_eq!(settings.membership_topic_id, "X");
    assert!(settings.enable_catalogd_ha && settings.force_catalogd_active);
    assert_eq!(settings.heartbeat_period, millis(8));
    assert_eq!(settings.max_missed_heartbeats, 90);
    assert_eq!(
        (settings.catalog_service_port, settings.krpc_port),
        (10, 11)
    );
    assert_eq!(settings.max_message, 100 << 20);
    assert_eq!(settings.transient, ["one", "two"]);
    assert_eq!(settings.tasks.follow.len(), 2);
}

// The seed
#[test]
fn a_pair_has_two_statestoreds_and_by_default_the_port_of_the_first() {
    let pair = settings(&[
        "--subscriber_id=a",
        "--enable_statestored_ha",
        "--state_store_host=one",
        "--state_store_2_host=two",
    ]);
    let at = |host: &str, port| (host.to_owned(), port);
    assert_eq!(pair.statestores, [at("one", 24000), at("two", 24000)]);
    let moved = settings(&[
        "--subscriber_id=a",
        "--enable_statestored_ha",
        "--state_store_2_port=7",
    ]);
    let localhost = [at("localhost", 24000), at("localhost", 7)];
    assert_eq!(moved.statestores, localhost);
    let alone = settings(&["--subscriber_id=a", "--state_store_2_host=two"]);
    assert_eq!(
        alone.statestores.len(),
        1,
        "only with enable_statestored_ha"
    );
}

#[test]
fn what_cannot_be_honoured_is_named_with_its_value() {
    for (flag, value) in [
        ("max_missed_heartbeat_request_num", "2"),
        ("state_store_2_port", "24000"),
        ("ssl_client_ca_certificate", "/ca.pem"),
        ("principal", "impala/host@REALM"),
        ("keytab_file", "/k"),
        ("debug_actions", "REGISTER_STATESTORE_ON_STARTUP:FAIL@2"),
    ] {
        let arg = format!("--{flag}={value}");
        let flags = flags(&[
            "--subscriber_id=a",
            "--enable_statestored_ha",
            "--state_store_2_port=24001",
            "--statestore_heartbeat_frequency_ms=149",
            &arg,
        ]);
        let error = Settings::from_flags(&flags, "host")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(flag) && error.contains(value),
            "{arg}: {error}"
        );
    }
}
