//! Every rule of taste over the real tree, one test each; a failure lists what and where.
//! The rules themselves, and the proof that each can fail, are in the library beside.
#![allow(clippy::unwrap_used)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use tidy::{Rule, Tree, layout, licences, links, rights, text};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

#[track_caller]
fn holds(rule: Rule) {
    let found = rule(&Tree::load(&root()).unwrap());
    let list: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(
        found.is_empty(),
        "{} times:\n{}\n",
        found.len(),
        list.join("\n")
    );
}

#[test]
fn the_tree_is_really_read() {
    let tree = Tree::load(&root()).unwrap();
    for path in [
        "check",
        "Cargo.toml",
        "crates/core/src/lib.rs",
        "docs/spec/behaviour.md",
    ] {
        assert!(tree.files.iter().any(|file| file.path == path), "{path}");
    }
}

#[test]
fn files_are_short() {
    holds(text::files_are_short);
}

#[test]
fn lines_are_narrow() {
    holds(text::lines_are_narrow);
}

#[test]
fn files_say_what_they_are() {
    holds(text::files_say_what_they_are);
}

#[test]
fn nothing_is_marked_unfinished() {
    holds(text::nothing_is_marked_unfinished);
}

#[test]
fn names_are_nouns_of_the_domain() {
    holds(text::names_are_nouns_of_the_domain);
}

#[test]
fn no_path_of_a_machine() {
    holds(text::no_path_of_a_machine);
}

#[test]
fn rights_are_kept() {
    holds(rights::rights_are_kept);
}

#[test]
fn pure_crates_stay_pure() {
    holds(rights::pure_crates_stay_pure);
}

#[test]
fn tests_do_not_sleep() {
    holds(rights::tests_do_not_sleep);
}

#[test]
fn every_file_is_used() {
    holds(layout::every_file_is_used);
}

#[test]
fn lints_live_in_the_workspace() {
    holds(layout::lints_live_in_the_workspace);
}

#[test]
fn dependencies_point_one_way() {
    holds(layout::dependencies_point_one_way);
}

#[test]
fn links_lead_somewhere() {
    holds(links::links_lead_somewhere);
}

#[test]
fn licences_of_dependencies_are_fine() {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    // Only this machine's dependencies: those of other systems were never fetched.
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let metadata = Command::new(cargo)
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--filter-platform",
            host,
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let refused = licences::refused(&serde_json::from_slice(&metadata.stdout).unwrap());
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
