//! Rules about how files and crates hang together: no dead files, lints in one place,
//! dependencies that point one way.
//!
//! Modules are followed by their `mod name;` lines, as rustc would; manifests are read as the
//! simple text they are.

use crate::{File, Tree, Violation, words};

/// Which crates of ours each crate may use, tests aside.
const MAY_USE: [(&str, &[&str]); 8] = [
    ("wire", &[]),
    ("core", &["wire"]),
    ("rpc", &["wire"]),
    ("daemon", &["rpc"]),
    ("subscriber", &["wire", "core", "rpc"]),
    ("statestored", &["wire", "core", "rpc", "daemon"]),
    ("agent", &["subscriber", "daemon"]),
    ("statestorectl", &["subscriber", "wire", "rpc"]),
];

/// The crates that the pure ones may use, beside ours; `./check` looks at the whole tree.
const PURE_MAY_USE: [(&str, &[&str]); 2] = [
    ("wire", &["bytes", "thiserror"]),
    ("core", &["bytes", "thiserror"]),
];

/// Every Rust file is part of a crate.
pub fn every_file_is_used(tree: &Tree) -> Vec<Violation> {
    let mut reached: Vec<&str> = Vec::new();
    let mut open: Vec<&File> = tree.rust().filter(|file| is_root(&file.path)).collect();
    while let Some(file) = open.pop() {
        if reached.contains(&file.path.as_str()) {
            continue;
        }
        reached.push(&file.path);
        for place in modules(file) {
            open.extend(tree.rust().filter(|other| place.contains(&other.path)));
        }
    }
    let dead = tree
        .rust()
        .filter(|file| !reached.contains(&file.path.as_str()));
    dead.map(|file| file.violation(0, "no mod line leads here: use it or delete it"))
        .collect()
}

/// Lints are set in the workspace's manifest and nowhere else; exceptions say why.
pub fn lints_live_in_the_workspace(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in &tree.files {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let member = name == "Cargo.toml" && !file.text.contains("[workspace]");
        if member && !file.text.contains("[lints]\nworkspace = true\n") {
            found.push(file.violation(0, "a member says [lints] workspace = true"));
        }
        if name.ends_with("clippy.toml") && file.path != "clippy.toml" {
            found.push(file.violation(0, "would replace the root's clippy.toml, not add to it"));
        }
        for (line, code) in file.code() {
            let crate_wide = ["#![deny", "#![warn", "#![forbid"];
            if crate_wide.iter().any(|attribute| code.contains(attribute)) {
                found.push(file.violation(line, "lints are set in [workspace.lints]"));
            }
        }
        let text: Vec<&str> = file.text.lines().collect();
        for (line, code) in file.shipped() {
            let allows = code.contains("#[allow(") || code.contains("#![allow(");
            let attribute = text[line - 1..].iter().take(4);
            if allows
                && !attribute
                    .take_while(|line| !line.is_empty())
                    .any(|l| l.contains("reason"))
            {
                found.push(file.violation(line, "an exception says its reason = \"...\""));
            }
        }
    }
    found
}

/// Crates use only those below them.
pub fn dependencies_point_one_way(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, allowed) in MAY_USE {
        let path = format!("crates/{name}/Cargo.toml");
        for file in tree.files.iter().filter(|file| file.path == path) {
            for (line, used) in dependencies(&file.text) {
                let ours = used.strip_prefix("statestore-");
                if ours.is_some_and(|ours| !allowed.contains(&ours)) {
                    found.push(file.violation(line, format!("{name} must not use {used}")));
                }
                let pure = PURE_MAY_USE.iter().find(|(pure, _)| *pure == name);
                if pure.is_some_and(|(_, may)| ours.is_none() && !may.contains(&used)) {
                    let says = format!("{used} is not in the short list of a pure crate");
                    found.push(file.violation(line, says));
                }
            }
        }
    }
    found
}

/// A file that cargo compiles by itself.
fn is_root(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = folder.rsplit('/').next().unwrap_or_default();
    let standing = matches!(name, "lib.rs" | "main.rs" | "build.rs");
    standing || matches!(parent, "tests" | "examples" | "benches" | "bin")
}

/// For each `mod name;` of a file, the paths where its text may be.
fn modules(file: &File) -> Vec<Vec<String>> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let own = match name {
        _ if is_root(&file.path) => folder.to_owned(),
        "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    };
    let text: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (line, code) in file.code() {
        let mut named = words(code).skip_while(|word| *word != "mod");
        if let (Some(_), Some(module), true) =
            (named.next(), named.next(), code.trim_end().ends_with(';'))
        {
            let set = line
                .checked_sub(2)
                .and_then(|above| text[above].trim().strip_prefix("#[path = \""));
            found.push(match set.and_then(|set| set.split('"').next()) {
                Some(set) => vec![format!("{folder}/{set}")],
                None => vec![
                    format!("{own}/{module}.rs"),
                    format!("{own}/{module}/mod.rs"),
                ],
            });
        }
    }
    found
}

/// The names under `[dependencies]` of a manifest, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (at, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]";
        } else if let Some((name, _)) = line.split_once(['=', '.']).filter(|_| inside) {
            found.push((at + 1, name.trim()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rule: fn(&Tree) -> Vec<Violation>, files: &[(&str, &str)]) -> Vec<String> {
        rule(&Tree::of(files))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_dead_file_is_found_and_live_ones_are_not() {
        let files = [
            (
                "crates/a/src/lib.rs",
                "mod b;\n// mod dead;\n#[cfg(test)]\nmod tests;\n",
            ),
            (
                "crates/a/src/b.rs",
                "pub(crate) mod c;\n#[path = \"other/name.rs\"]\nmod d;\n",
            ),
            ("crates/a/src/b/c.rs", ""),
            ("crates/a/src/other/name.rs", ""),
            ("crates/a/src/tests.rs", ""),
            ("crates/a/src/dead.rs", ""),
            ("crates/a/tests/whole.rs", "mod shared;\n"),
            ("crates/a/tests/shared/mod.rs", ""),
            ("crates/a/src/bin/tool.rs", ""),
        ];
        let found = said(every_file_is_used, &files);
        assert_eq!(
            found,
            ["crates/a/src/dead.rs: no mod line leads here: use it or delete it"]
        );
    }

    #[test]
    fn lints_set_elsewhere_are_found() {
        let files = [
            ("crates/a/Cargo.toml", "[package]\n"),
            ("crates/a/clippy.toml", ""),
            (
                "crates/a/src/lib.rs",
                "#![deny(warnings)]\n#[allow(dead_code)]\nfn f() {}\n",
            ),
            ("clippy.toml", ""),
            ("Cargo.toml", "[workspace]\n"),
        ];
        assert_eq!(said(lints_live_in_the_workspace, &files).len(), 4);
        let tests = [("crates/a/tests/t.rs", "#![allow(clippy::unwrap_used)]\n")];
        assert!(said(lints_live_in_the_workspace, &tests).is_empty());
    }

    #[test]
    fn a_dependency_that_points_up_is_found() {
        let manifest = "[dependencies]\nstatestore-rpc = { workspace = true }\n\
                        tokio.workspace = true\nbytes = { workspace = true }\n\
                        [dev-dependencies]\nproptest = \"1\"\n";
        let found = said(
            dependencies_point_one_way,
            &[("crates/core/Cargo.toml", manifest)],
        );
        assert_eq!(
            found,
            [
                "crates/core/Cargo.toml:2: core must not use statestore-rpc",
                "crates/core/Cargo.toml:3: tokio is not in the short list of a pure crate",
            ]
        );
        assert!(
            said(
                dependencies_point_one_way,
                &[("crates/statestored/Cargo.toml", manifest)]
            )
            .is_empty()
        );
    }
}
