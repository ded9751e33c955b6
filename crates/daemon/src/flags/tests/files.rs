//! Flagfiles as the parser uses them.

use super::*;

#[test]
fn a_flagfile_takes_effect_where_it_stands() {
    let files = Map::from([
        (
            "f",
            "--state_store_port=1\n--not_ours=1\n--enable_statestored_ha\n--flagfile=g\n",
        ),
        ("g", "--state_store_peer_host=peer\n--state_store_port 9\n"),
        ("h", "--state_store_port=5"),
    ]);
    let flags = run_with(
        &["--state_store_port=3", "--flagfile=f,h"],
        &Map::new(),
        &files,
    );
    assert_eq!(flags.i32("state_store_port"), 5);
    assert!(flags.bool("enable_statestored_ha"));
    assert_eq!(flags.str("state_store_peer_host"), "peer");
    let flags = run_with(
        &["--flagfile=f", "--state_store_port=3"],
        &Map::new(),
        &files,
    );
    assert_eq!(flags.i32("state_store_port"), 3);
}

#[test]
fn a_missing_flagfile_is_named_with_the_words_of_the_system() {
    assert_eq!(
        error(&["--flagfile=/no/file"]),
        "/no/file: No such file or directory\n"
    );
}

#[test]
fn flagfiles_that_include_each_other_end_in_an_error() {
    let files = Map::from([("a", "--flagfile=b"), ("b", "--flagfile=a")]);
    let Outcome::Exit {
        stderr, code: 1, ..
    } = parse_with(&["--flagfile=a"], &Map::new(), &files)
    else {
        panic!("accepted")
    };
    assert_eq!(stderr, "ERROR: flagfile 'a' includes itself\n");
}

#[test]
fn a_bad_value_in_a_flagfile_is_an_error_and_a_missing_one_a_note() {
    let files = Map::from([("a", "--state_store_port=x"), ("b", "--state_store_port")]);
    let outcome = parse_with(&["--flagfile=a"], &Map::new(), &files);
    assert!(matches!(outcome, Outcome::Exit { code: 1, .. }));
    let flags = run_with(&["--flagfile=b"], &Map::new(), &files);
    assert_eq!(
        flags.warnings(),
        ["flag state_store_port in b has no value: ignored"]
    );
}
