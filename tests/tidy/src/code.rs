//! Rust text with comments and the inside of string and character literals turned into blanks,
//! line by line in place, so that rules about code are not misled by prose.
//!
//! A lexer for exactly that: nested block comments, raw strings, lifetimes against characters.
//! Not a parser: it never looks at what the code means.

/// The same lines and columns, only code left. The quotes of literals stay.
pub(crate) fn blanked(text: &str) -> String {
    let mut lexer = Lexer {
        rest: text,
        out: String::with_capacity(text.len()),
        last: ' ',
    };
    while let Some(next) = lexer.rest.chars().next() {
        lexer.step(next);
    }
    lexer.out
}

struct Lexer<'a> {
    rest: &'a str,
    out: String,
    /// The character before, to tell `r"` from `for"`.
    last: char,
}

impl Lexer<'_> {
    fn step(&mut self, next: char) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.blank(end);
        } else if self.rest.starts_with("/*") {
            self.block_comment();
        } else if next == '"' {
            self.keep(1);
            self.string();
        } else if let Some(hashes) = self.raw_string() {
            self.keep(hashes + 2);
            let closing = format!("\"{}", "#".repeat(hashes));
            let end = self.rest.find(&closing).unwrap_or(self.rest.len());
            self.blank(end);
            self.keep(closing.len().min(self.rest.len()));
        } else if next == '\'' {
            self.character();
        } else {
            self.keep(next.len_utf8());
        }
    }

    fn block_comment(&mut self) {
        let (mut depth, mut end) = (0, 0);
        let bytes = self.rest.as_bytes();
        while end < bytes.len() {
            match &bytes[end..bytes.len().min(end + 2)] {
                b"/*" => (depth, end) = (depth + 1, end + 2),
                b"*/" => (depth, end) = (depth - 1, end + 2),
                _ => end += 1,
            }
            if depth == 0 {
                break;
            }
        }
        self.blank(end);
    }

    fn string(&mut self) {
        let mut escaped = false;
        let end = self.rest.find(|c: char| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        self.blank(end.unwrap_or(self.rest.len()));
        self.keep(1.min(self.rest.len()));
    }

    /// The number of hashes if a raw string begins here.
    fn raw_string(&self) -> Option<usize> {
        let after = self.rest.strip_prefix('r')?;
        let hashes = after.len() - after.trim_start_matches('#').len();
        let begins = after[hashes..].starts_with('"');
        let inside_word = self.last.is_alphanumeric() && self.last != 'b' || self.last == '_';
        (begins && !inside_word).then_some(hashes)
    }

    /// A character literal, or the tick of a lifetime.
    fn character(&mut self) {
        let mut inside = self.rest[1..].char_indices();
        let end = match inside.next() {
            Some((_, '\\')) => self.rest[3.min(self.rest.len())..]
                .find('\'')
                .map(|at| at + 3),
            Some((_, c)) if self.rest[1 + c.len_utf8()..].starts_with('\'') => {
                Some(1 + c.len_utf8())
            }
            _ => None,
        };
        self.keep(1);
        if let Some(end) = end {
            self.blank(end - 1);
            self.keep(1);
        }
    }

    fn keep(&mut self, bytes: usize) {
        let (kept, rest) = self.rest.split_at(bytes);
        self.last = kept.chars().next_back().unwrap_or(self.last);
        self.out.push_str(kept);
        self.rest = rest;
    }

    fn blank(&mut self, bytes: usize) {
        let (blanked, rest) = self.rest.split_at(bytes);
        self.out
            .extend(blanked.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.last = ' ';
        self.rest = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::blanked;

    fn seen(text: &str) -> String {
        blanked(text)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn comments_vanish_and_lines_stay() {
        assert_eq!(blanked("a // b\nc"), "a     \nc");
        assert_eq!(seen("a /* b /* c */ d */ e"), "a e");
        assert_eq!(blanked("/* a\nb */c"), "    \n    c");
    }

    #[test]
    fn literals_are_emptied() {
        assert_eq!(seen(r#"f("TO\"DO"); g"#), r#"f(" "); g"#);
        assert_eq!(
            seen(r##"f(r#"a " b"#, br"c"); g"##),
            r##"f(r#" "#, br" "); g"##
        );
        assert_eq!(
            seen(r"let c = '\''; d = 'x'; e = '\u{1F600}';"),
            "let c = ' '; d = ' '; e = ' ';"
        );
        assert_eq!(seen("let s = \"//\"; done"), "let s = \" \"; done");
    }

    #[test]
    fn lifetimes_are_code() {
        assert_eq!(
            seen("fn f<'a>(x: &'a str) { 'l: loop {} }"),
            "fn f<'a>(x: &'a str) { 'l: loop {} }"
        );
    }

    #[test]
    fn unfinished_text_ends() {
        for text in ["\"abc", "/* abc", "'", "'\\", "r#\"abc", "//"] {
            assert_eq!(
                blanked(text).chars().count(),
                text.chars().count(),
                "{text}"
            );
        }
    }
}
