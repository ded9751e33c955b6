//! The rule about licences: whatever is built into a program of ours may be used in it.
//!
//! `cargo metadata` names the licence of each dependency as an SPDX expression; it is evaluated
//! against a list, with OR, AND and WITH. Nothing is fetched: what is built is already here.

use serde_json::Value;

/// Licences that ask for no more than their text.
const FINE: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// From the output of `cargo metadata`: packages and licences that are not fine.
pub fn refused(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let named = packages.iter().map(|package| {
        let name = package["name"].as_str().unwrap_or("a package without name");
        (name, package["license"].as_str().unwrap_or("no licence"))
    });
    named
        .filter(|(_, licence)| !is_fine(licence))
        .map(|(n, l)| format!("{n}: {l}"))
        .collect()
}

/// An SPDX expression of which one way to read it is in the list. A slash is the old OR.
fn is_fine(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let fine = either(&mut words);
    fine && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>) -> bool {
    let mut fine = both(words);
    while words.next_if_eq(&"OR").is_some() {
        fine |= both(words);
    }
    fine
}

fn both(words: &mut Words<'_>) -> bool {
    let mut fine = one(words);
    while words.next_if_eq(&"AND").is_some() {
        fine &= one(words);
    }
    fine
}

fn one(words: &mut Words<'_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let fine = either(words);
        return words.next_if_eq(&")").is_some() && fine;
    }
    let fine = words.next().is_some_and(|licence| FINE.contains(&licence));
    // An exception only ever permits more.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_evaluated() {
        for fine in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
        ] {
            assert!(is_fine(fine), "{fine}");
        }
        assert!(is_fine("Apache-2.0 WITH LLVM-exception OR GPL-2.0"));
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "",
            "no licence",
            "(MIT",
            "MIT)",
            "MIT GPL-3.0",
        ] {
            assert!(!is_fine(bad), "{bad}");
        }
    }

    #[test]
    fn a_package_with_a_bad_licence_is_named() {
        let metadata = serde_json::json!({"packages": [
            {"name": "good", "license": "MIT"},
            {"name": "bad", "license": "AGPL-3.0"},
            {"name": "none", "license": null},
        ]});
        assert_eq!(refused(&metadata), ["bad: AGPL-3.0", "none: no licence"]);
    }
}
