//! The command-line rules of flags.md section 11, one test per row or two.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io;

use proptest::prelude::*;

use super::*;

static OWN: FlagTable = FlagTable {
    file: "statestore/statestored.cc",
    flags: &[
        FlagDef::int32("state_store_port", 24000, "port of the service").checked(tables::is_port),
        FlagDef::bool("enable_statestored_ha", false, "run as one of a pair"),
        FlagDef::string("state_store_peer_host", "localhost", "the peer"),
        FlagDef::double("monitoring_ms", 60000.0, "a period").hidden(),
        FlagDef::string("secret_cmd", "", "a secret").sensitive(),
        FlagDef::string("idle", "x", "idle").accepted(),
        FlagDef::string("each", "", "a list").repeated(),
    ],
};

mod files;
mod help;

type Map = BTreeMap<&'static str, &'static str>;

fn parse_with(args: &[&str], env: &Map, files: &Map) -> Outcome {
    let program = Program {
        name: "statestored",
        usage: "the statestore",
        version: "statestored version 1 DEBUG (build x)\nBuilt on y",
        tables: &[
            &OWN,
            &tables::HOST,
            &tables::WEB,
            &tables::SECURITY,
            &tables::LOGGING,
        ],
    };
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    program.parse(
        &args,
        &|name| env.get(name).map(|&v| v.to_owned()),
        &|path| {
            let missing = || io::Error::from_raw_os_error(2);
            files
                .get(path)
                .map(|&text| text.to_owned())
                .ok_or_else(missing)
        },
    )
}

fn run(args: &[&str]) -> Flags {
    run_with(args, &Map::new(), &Map::new())
}

fn run_with(args: &[&str], env: &Map, files: &Map) -> Flags {
    match parse_with(args, env, files) {
        Outcome::Run(flags) => *flags,
        Outcome::Exit { stderr, .. } => panic!("{stderr}"),
    }
}

fn error(args: &[&str]) -> String {
    match parse_with(args, &Map::new(), &Map::new()) {
        Outcome::Exit {
            stdout,
            stderr,
            code: 1,
        } if stdout.is_empty() => stderr,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_four_forms_of_a_flag_are_equal() {
    for args in [
        &["--state_store_port=1"][..],
        &["-state_store_port=1"],
        &["--state_store_port", "1"],
        &["-state_store_port", "1"],
        &["--state-store-port=1"],
        &["--state_store_port=0x1"],
    ] {
        assert_eq!(run(args).i32("state_store_port"), 1, "{args:?}");
    }
}

#[test]
fn booleans_take_no_separate_value() {
    let flags = run(&["--enable_statestored_ha", "false"]);
    assert!(flags.bool("enable_statestored_ha"));
    assert_eq!(flags.positional(), ["false"]);
    assert!(
        !run(&["--enable_statestored_ha", "--noenable_statestored_ha"])
            .bool("enable_statestored_ha")
    );
    assert!(!run(&["--enable_statestored_ha=N"]).bool("enable_statestored_ha"));
}

#[test]
fn the_last_of_two_wins_and_a_double_dash_ends_the_flags() {
    let flags = run(&[
        "--state_store_port=1",
        "word",
        "--state_store_port=2",
        "--",
        "--x=3",
        "-",
    ]);
    assert_eq!(flags.i32("state_store_port"), 2);
    assert_eq!(flags.positional(), ["word", "--x=3", "-"]);
}

#[test]
fn an_empty_string_is_a_value() {
    assert_eq!(
        run(&["--state_store_peer_host="]).str("state_store_peer_host"),
        ""
    );
}

#[test]
fn errors_have_the_exact_texts_of_gflags() {
    assert_eq!(
        error(&["--nope=1"]),
        "ERROR: unknown command line flag 'nope'\n"
    );
    assert_eq!(
        error(&["--state_store_port=1x"]),
        "ERROR: illegal value '1x' specified for int32 flag 'state_store_port'\n"
    );
    assert_eq!(
        error(&["--state_store_port"]),
        "ERROR: flag '--state_store_port' is missing its argument; \
         flag description: port of the service\n"
    );
    assert_eq!(
        error(&["--nostate_store_port"]),
        "ERROR: boolean value (nostate_store_port) specified for int32 command line flag\n"
    );
    assert_eq!(
        error(&["--state_store_port=70000"]),
        "ERROR: failed validation of new value '70000' for flag 'state_store_port'\n"
    );
    // Section 6: a positive size below Thrift's default ends start-up.
    assert!(error(&["--thrift_rpc_max_message_size=1000"]).contains("failed validation"));
    assert_eq!(
        run(&["--thrift_rpc_max_message_size=0"]).i64("thrift_rpc_max_message_size"),
        0
    );
    // Section 8: other TLS versions fail validation; case does not matter.
    assert!(error(&["--ssl_minimum_version=tlsv1.3"]).contains("failed validation"));
    run(&["--ssl_minimum_version=TLSv1.2"]);
    // All errors are reported, not only the first.
    assert_eq!(error(&["--b", "--a"]).lines().count(), 2);
}

#[test]
fn undefok_pardons_unknown_flags_wherever_it_stands() {
    run(&["--a=1", "--nob", "--undefok=a,b"]);
    assert_eq!(
        error(&["--undefok=a", "--c"]),
        "ERROR: unknown command line flag 'c'\n"
    );
}

#[test]
fn fromenv_reads_flags_and_insists_while_tryfromenv_does_not() {
    let env = Map::from([
        ("FLAGS_state_store_port", "7"),
        ("FLAGS_fromenv", "fromenv"),
    ]);
    let flags = run_with(&["--fromenv=state_store_port"], &env, &Map::new());
    assert_eq!(flags.i32("state_store_port"), 7);
    run(&["--tryfromenv=state_store_port"]);
    assert_eq!(
        error(&["--fromenv=state_store_port"]),
        "ERROR: FLAGS_state_store_port not found in environment\n"
    );
    let outcome = parse_with(&["--fromenv=fromenv"], &env, &Map::new());
    assert!(matches!(outcome, Outcome::Exit { code: 1, .. }));
}

#[test]
fn removed_flags_are_accepted_in_any_form_with_a_warning() {
    let flags = run(&[
        "--use_statestore=false",
        "--be_port",
        "22000",
        "--norpc_cnxn_attempts",
    ]);
    assert_eq!(flags.positional(), [""; 0]);
    assert_eq!(
        flags.warnings(),
        [
            "Ignoring removed flag use_statestore",
            "Ignoring removed flag be_port",
            "Ignoring removed flag rpc_cnxn_attempts"
        ]
    );
}

#[test]
fn a_flag_without_effect_is_warned_of_only_when_it_is_changed() {
    assert!(run(&["--idle=x"]).warnings().is_empty());
    assert_eq!(
        run(&["--idle=y"]).warnings(),
        ["flag idle is accepted but has no effect"]
    );
}

#[test]
fn glog_variables_are_defaults_that_the_command_line_overrides() {
    let env = Map::from([("GLOG_v", "2"), ("GLOG_state_store_port", "1")]);
    let flags = run_with(&[], &env, &Map::new());
    assert_eq!(flags.i32("v"), 2);
    assert_eq!(flags.i32("state_store_port"), 24000);
    assert!(flags.changed().is_empty());
    assert_eq!(run_with(&["--v=1"], &env, &Map::new()).i32("v"), 1);
    let bad = parse_with(&[], &Map::from([("GLOG_v", "high")]), &Map::new());
    assert!(matches!(bad, Outcome::Exit { code: 1, .. }));
}

#[test]
fn a_settled_default_shows_beside_the_declared_one() {
    // observability.md, /varz: webserver_port of statestored.
    let mut flags = run(&[]);
    flags.settle("webserver_port", Value::Int32(25010));
    let info = flags
        .listing()
        .into_iter()
        .find(|i| i.name == "webserver_port")
        .unwrap();
    assert_eq!(
        (info.default.as_str(), info.current.as_str()),
        ("25000", "25010")
    );
    assert!(info.changed);
    let mut flags = run(&["--webserver_port=25000"]);
    flags.settle("webserver_port", Value::Int32(25010));
    assert_eq!(flags.i32("webserver_port"), 25000);
}

#[test]
fn sensitive_values_are_not_shown() {
    let flags = run(&["--secret_cmd=hunter2"]);
    assert!(!format!("{:?}", flags.listing()).contains("hunter2"));
    assert!(!flags.changed().join(" ").contains("hunter2"));
}

#[test]
fn every_shared_default_passes_its_own_validator_and_has_one_definition() {
    let mut names = std::collections::BTreeSet::new();
    let all = [
        &tables::HOST,
        &tables::WEB,
        &tables::SECURITY,
        &tables::LOGGING,
        &tables::GFLAGS,
    ];
    for def in all.iter().flat_map(|table| table.flags) {
        assert!(
            def.validator.is_none_or(|accepts| accepts(&def.default)),
            "{}",
            def.name
        );
        assert!(names.insert(def.name), "{} twice", def.name);
    }
}

proptest! {
    #[test]
    fn arbitrary_arguments_never_panic(
        args in proptest::collection::vec(
            prop_oneof![
                ".*",
                "--?(no)?(flagfile|fromenv|tryfromenv|v|logtostderr)(=[a-c0-9x,]*)?",
                "--?(no)?(undefok|idle)(=[a-c0-9x,]*)?",
            ],
            0..8,
        ),
        file in ".*",
    ) {
        let program =
            Program { name: "p", usage: "", version: "", tables: &[&OWN, &tables::LOGGING] };
        let read = |_: &str| Ok(file.clone());
        let _ = program.parse(&args, &|_| Some("x".to_owned()), &read);
    }

    #[test]
    fn any_int32_survives_the_command_line(n in any::<i32>()) {
        let arg = format!("--max_log_files={n}");
        prop_assert_eq!(run(&[&arg]).i32("max_log_files"), n);
    }
}

#[test]
fn a_repeated_flag_keeps_every_value_whatever_it_holds() {
    let flags = run(&["--each=a", "--each", "b\nc", "-each="]);
    assert_eq!(flags.list("each"), ["a", "b\nc", ""]);
    assert_eq!(flags.str("each"), "a\nb\nc\n");
    assert!(run(&[]).list("each").is_empty());
}
