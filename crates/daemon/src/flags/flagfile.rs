//! The lines of a flagfile (flags.md section 11): flags, comments, program-name patterns.
//!
//! Pure text to items; who the program is comes in, what the flags do is the parser's business.

use crate::glob;

/// The flags of `text` that concern a program of this name, as `(name, value)`.
pub(super) fn flags_for<'t>(text: &'t str, program: &str) -> Vec<(&'t str, Option<&'t str>)> {
    let mut flags = Vec::new();
    // Flags before the first pattern concern everybody.
    let mut concerns_us = true;
    let mut in_patterns = false;
    for line in text.split(['\n', '\r']) {
        let line = line.trim_ascii_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(flag) = line.strip_prefix('-') {
            in_patterns = false;
            if concerns_us {
                let flag = flag.strip_prefix('-').unwrap_or(flag);
                flags.push(match flag.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (flag, None),
                });
            }
        } else {
            // Neighbouring pattern lines form one list.
            if !in_patterns {
                concerns_us = false;
                in_patterns = true;
            }
            concerns_us |= names_program(line, program);
        }
    }
    flags
}

fn names_program(patterns: &str, program: &str) -> bool {
    let short = program.rsplit('/').next().unwrap_or(program);
    patterns
        .split_ascii_whitespace()
        .any(|pattern| glob::matches(pattern, program) || glob::matches(pattern, short))
}

#[cfg(test)]
mod tests {
    use super::flags_for;

    #[test]
    fn blank_lines_and_comments_are_skipped_and_trailing_blanks_belong_to_the_value() {
        let text = "\n  # --a=1\n   --b=2 \r\n-c\n";
        assert_eq!(
            flags_for(text, "statestored"),
            [("b", Some("2 ")), ("c", None)]
        );
    }

    #[test]
    fn flags_below_a_pattern_concern_only_the_programs_it_names() {
        let text = "--all=1\nimpalad\ncatalogd\n--others=1\nstate* x\n--ours=1\nimpalad\n--no=1\n";
        let names: Vec<_> = flags_for(text, "/opt/bin/statestored")
            .iter()
            .map(|f| f.0)
            .collect();
        assert_eq!(names, ["all", "ours"]);
    }
}
