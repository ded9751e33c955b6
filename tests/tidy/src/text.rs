//! Rules about the text itself: sizes, headers, words.
//!
//! Sizes hold for tests too. Words are looked for in code and comments alike where they say that
//! something is unfinished, in code only where they are names.

use crate::{File, Tree, Violation, is_test, words};

const FILE_LINES: usize = 400;
const COLUMNS: usize = 100;

/// Rust, Python and shell files stay short enough to be read at once.
pub fn files_are_short(tree: &Tree) -> Vec<Violation> {
    let sources = tree.files.iter().filter(|file| is_source(file));
    let long = sources.filter(|file| file.text.lines().count() > FILE_LINES);
    long.map(|file| {
        let lines = file.text.lines().count();
        file.violation(
            0,
            format!("{lines} lines, the limit is {FILE_LINES}: split by subject"),
        )
    })
    .collect()
}

/// No line is wider than the limit.
pub fn lines_are_narrow(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| is_source(file)) {
        for (at, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS && !line.contains("://") {
                let says = format!("{columns} columns, the limit is {COLUMNS}");
                found.push(file.violation(at + 1, says));
            }
        }
    }
    found
}

/// Every Rust file says in at least two lines what it is; for a file of tests one may do.
pub fn files_say_what_they_are(tree: &Tree) -> Vec<Violation> {
    let silent = |file: &&File| {
        let wanted = if is_test(&file.path) { 1 } else { 2 };
        file.text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .count()
            < wanted
    };
    let says = "must open with //!, two lines or more: what it is, what is not here, what it keeps";
    tree.rust()
        .filter(silent)
        .map(|file| file.violation(1, says))
        .collect()
}

/// Nothing in the tree is marked as unfinished.
pub fn nothing_is_marked_unfinished(tree: &Tree) -> Vec<Violation> {
    const MARKS: [&str; 5] = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        "todo!",
        "unimplemented!",
    ];
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| is_source(file)) {
        // Macros are searched in code, words everywhere.
        for (at, line) in file.text.lines().enumerate() {
            if let Some(mark) = MARKS[..3]
                .iter()
                .find(|mark| words(line).any(|word| word == **mark))
            {
                found.push(
                    file.violation(at + 1, format!("{mark}: finish it, or say it in the issue")),
                );
            }
        }
        for (line, code) in file.code() {
            if let Some(mark) = MARKS[3..].iter().find(|mark| code.contains(**mark)) {
                found.push(file.violation(line, format!("{mark} is a stub")));
            }
        }
    }
    found
}

/// Types and modules are named for what they are; reading functions after what they give.
pub fn names_are_nouns_of_the_domain(tree: &Tree) -> Vec<Violation> {
    const KINDS: [&str; 6] = ["struct", "enum", "trait", "type", "mod", "union"];
    const EMPTY: [&str; 6] = ["manager", "helper", "helpers", "util", "utils", "misc"];
    let mut found = Vec::new();
    for file in tree.rust() {
        for (line, code) in file.code() {
            let mut before = "";
            for word in words(code) {
                let lower = word.to_lowercase();
                if KINDS.contains(&before) && EMPTY.iter().any(|empty| lower.ends_with(empty)) {
                    found.push(file.violation(line, format!("{word}: name the thing it is")));
                }
                if before == "fn" && word.starts_with("get_") {
                    found.push(file.violation(line, format!("{word}: drop get_")));
                }
                before = word;
            }
        }
    }
    found
}

/// The tree works anywhere: no path of somebody's machine.
pub fn no_path_of_a_machine(tree: &Tree) -> Vec<Violation> {
    const FOLDERS: [&str; 4] = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
    ];
    let mut found = Vec::new();
    for file in &tree.files {
        for (at, line) in file.text.lines().enumerate() {
            if let Some(folder) = FOLDERS.iter().find(|folder| starts_a_path(line, folder)) {
                found.push(file.violation(at + 1, format!("{folder} exists on one machine only")));
            }
        }
    }
    found
}

/// True if `folder` stands at the start of a path, not within one.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "./_-}".contains(c))
    })
}

fn is_source(file: &File) -> bool {
    file.is("rs") || file.is("py") || file.is("sh") || file.text.starts_with("#!")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&Tree) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
        rule(&Tree::of(&[(path, text)]))
            .iter()
            .map(|found| found.line)
            .collect()
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(lines(files_are_short, "a.rs", &"x\n".repeat(401)), [0]);
        assert_eq!(
            lines(
                files_are_short,
                "run",
                &format!("#!/bin/sh\n{}", "x\n".repeat(400))
            ),
            [0]
        );
        assert!(lines(files_are_short, "a.rs", &"x\n".repeat(400)).is_empty());
        assert!(lines(files_are_short, "a.md", &"x\n".repeat(401)).is_empty());
    }

    #[test]
    fn a_wide_line_is_found_unless_it_is_an_address() {
        let wide = "é".repeat(101);
        assert_eq!(lines(lines_are_narrow, "a.rs", &format!("ok\n{wide}")), [2]);
        assert!(lines(lines_are_narrow, "a.rs", &"é".repeat(100)).is_empty());
        assert!(lines(lines_are_narrow, "a.rs", &format!("// https://{wide}")).is_empty());
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert_eq!(lines(files_say_what_they_are, "a.rs", "use x;\n"), [1]);
        assert_eq!(
            lines(files_say_what_they_are, "a.rs", "//! Too short.\nuse x;\n"),
            [1]
        );
        assert_eq!(lines(files_say_what_they_are, "a.rs", ""), [1]);
        assert!(lines(files_say_what_they_are, "a.rs", "//! One.\n//! Two.\n").is_empty());
        assert!(lines(files_say_what_they_are, "a/tests.rs", "//! One.\n").is_empty());
    }

    #[test]
    fn unfinished_work_is_found() {
        let note = concat!("// TO", "DO: later\nok\n");
        assert_eq!(lines(nothing_is_marked_unfinished, "a.rs", note), [1]);
        assert_eq!(
            lines(
                nothing_is_marked_unfinished,
                "a.py",
                concat!("# FIX", "ME\n")
            ),
            [1]
        );
        assert_eq!(
            lines(
                nothing_is_marked_unfinished,
                "a.rs",
                "ok\nfn f() { todo!() }\n"
            ),
            [2]
        );
        assert!(lines(nothing_is_marked_unfinished, "a.rs", "// methodology\n").is_empty());
    }

    #[test]
    fn empty_names_are_found() {
        let rule = names_are_nouns_of_the_domain;
        assert_eq!(
            lines(rule, "a.rs", "pub struct TopicManager;\nmod utils;\n"),
            [1, 2]
        );
        assert_eq!(lines(rule, "a.rs", "enum X {}\nfn get_topic() {}\n"), [2]);
        assert!(lines(rule, "a.rs", "// a Helper\nfn get() {}\nfn budget_x() {}\n").is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        let bad = concat!("open(\"/ho", "me/me/x\")");
        assert_eq!(lines(no_path_of_a_machine, "a.md", bad), [1]);
        let inner = concat!("https://host/ro", "ot/x, $dir/wo", "rk/x, {}/wo", "rk/");
        assert!(lines(no_path_of_a_machine, "a.md", inner).is_empty());
    }
}
