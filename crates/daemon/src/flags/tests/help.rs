//! `--help` and its kin, `--version`.

use super::*;

#[test]
fn help_goes_to_stdout_with_exit_code_1_and_version_with_0() {
    let Outcome::Exit {
        stdout,
        stderr,
        code: 1,
    } = parse_with(
        &["--help", "--state_store_port=5"],
        &Map::new(),
        &Map::new(),
    )
    else {
        panic!("no help")
    };
    assert!(stderr.is_empty());
    assert!(stdout.starts_with("statestored: the statestore\n\n  Flags from statestore/"));
    let flat = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(
        "-state_store_port (port of the service) type: int32 default: 24000 currently: 5"
    ));
    assert!(flat.contains("type: string default: \"localhost\""));
    let own = |args: &[&str]| match parse_with(args, &Map::new(), &Map::new()) {
        Outcome::Exit {
            stdout, code: 1, ..
        } => stdout,
        other => panic!("{other:?}"),
    };
    for args in [
        "--helpshort",
        "--helpon=statestored",
        "--helpmatch=tatestored.c",
        "--helppackage",
    ] {
        let text = own(&[args]);
        assert!(
            text.contains("-state_store_port") && !text.contains("-webserver_port"),
            "{args}"
        );
    }
    assert!(own(&["--helpxml"]).contains("<name>state_store_port</name>"));
    let version = parse_with(&["--version", "--bad"], &Map::new(), &Map::new());
    let Outcome::Exit {
        stdout, code: 0, ..
    } = version
    else {
        panic!("{version:?}")
    };
    assert_eq!(
        stdout,
        "statestored version 1 DEBUG (build x)\nBuilt on y\n"
    );
}
