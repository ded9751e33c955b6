//! Shell-like patterns (`*`, `?`), used for program names in flagfiles and for `--vmodule`.
//!
//! No character classes and no escapes: neither place has need of them. Runs in time proportional
//! to the product of both lengths, whatever the pattern.

/// True when `text` as a whole matches `pattern`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to resume when a later literal fails: just behind the last star, one byte further.
    let mut resume: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                resume = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match resume {
                Some((after_star, from)) => {
                    resume = Some((after_star, from + 1));
                    p = after_star;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        assert!(matches("statestored", "statestored"));
        assert!(matches("state*", "statestored"));
        assert!(matches("*stored", "statestored"));
        assert!(matches("s*t*d", "statestored"));
        assert!(matches("s?atestored", "statestored"));
        assert!(matches("*", ""));
        assert!(!matches("state", "statestored"));
        assert!(!matches("", "statestored"));
        assert!(!matches("?", ""));
    }
}
