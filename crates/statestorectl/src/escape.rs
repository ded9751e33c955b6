//! Makes foreign text fit for a terminal.
//!
//! Names, keys and values come from whoever may write into a topic. Printed as they are they could
//! move the cursor, set the title, or turn the order of letters around. Nothing that is printed for
//! people or as JSON leaves this program without one of these functions; only `get --raw` does.
//!
//! Invariant: no result holds a control or formatting character except newlines and tabs that
//! were asked for.

use std::fmt::Write as _;

/// Text within one line, unambiguous: a backslash is doubled, what cannot be printed becomes
/// `\n`, `\u{1b}` and the like.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The standard escape also escapes quotes, which are harmless here and frequent in values.
    for piece in text.split_inclusive(['"', '\'']) {
        match piece.char_indices().next_back() {
            Some((at, quote @ ('"' | '\''))) => {
                out.extend(piece[..at].escape_debug());
                out.push(quote);
            }
            _ => out.extend(piece.escape_debug()),
        }
    }
    out
}

/// Bytes within one line: UTF-8 as [`text`], any other byte as `\xff`.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&text(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing into a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The beginning of [`bytes`], with `…` at its end if there is more; at most `width` characters.
pub(crate) fn preview(raw: &[u8], width: usize) -> String {
    // A character that is shown comes from at most four bytes.
    let begin = &raw[..raw.len().min(width.saturating_mul(4).saturating_add(4))];
    cut(&bytes(begin), width)
}

/// At most `width` characters of an escaped text, the last one `…` if there are more.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// What this program says itself, with foreign parts in it: lines and tabs stay, everything
/// else that cannot be printed becomes U+FFFD.
pub(crate) fn message(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if is_hidden(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// A JSON text as one that means the same and holds no character that a terminal obeys.
pub(crate) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Outside of strings JSON has only newlines and blanks, inside it has no newline.
        if c == '\n' || !is_hidden(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// Control and formatting characters: what is obeyed or left out rather than shown.
fn is_hidden(c: char) -> bool {
    // U+FE00..U+FE0F and combining letters are no danger and common in texts of people.
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{ad}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\u{9b}1m\r\n\t\0\u{7f}\u{202e}\u{200b}\\\"é日'";

    #[test]
    fn text_is_escaped_without_loss() {
        assert_eq!(
            text(HOSTILE),
            "a\\u{1b}[2J\\u{9b}1m\\r\\n\\t\\0\\u{7f}\\u{202e}\\u{200b}\\\\\"é日'"
        );
        assert_eq!(text("{\"a\":'b'}"), "{\"a\":'b'}");
        // A mark that would sit on the border of a table.
        assert_eq!(text("\u{301}a"), "\\u{301}a");
    }

    #[test]
    fn bytes_that_are_no_text_are_hexadecimal() {
        assert_eq!(bytes(b"a\xff\x80b\x1b\xc3\xa9"), "a\\xff\\x80b\\u{1b}é");
        assert_eq!(bytes(b"\\xff"), "\\\\xff");
        assert_eq!(bytes(b""), "");
    }

    #[test]
    fn a_preview_is_short_and_says_so() {
        assert_eq!(preview(b"abc", 3), "abc");
        assert_eq!(preview(b"abcd", 3), "ab…");
        assert_eq!(preview("ééééé".as_bytes(), 4), "ééé…");
        assert_eq!(preview(&[0xff; 1 << 20], 5), "\\xff…");
        // Cut within a character of four bytes: what is left of it is not seen.
        assert_eq!(preview("😀".repeat(9).as_bytes(), 2), "😀…");
    }

    #[test]
    fn messages_keep_their_lines_and_nothing_else_that_is_obeyed() {
        assert_eq!(message("a\nb\u{1b}[2J\u{202e}"), "a\nb\u{fffd}[2J\u{fffd}");
    }

    #[test]
    fn json_means_the_same_and_holds_nothing_that_is_obeyed() {
        let value = serde_json::json!({"k": HOSTILE, "tag": "\u{e0041}"});
        let escaped = json(&format!("{value:#}"));
        assert!(!escaped.chars().any(|c| c != '\n' && is_hidden(c)));
        assert!(serde_json::from_str::<serde_json::Value>(&escaped).is_ok_and(|it| it == value));
    }

    #[test]
    fn nothing_that_is_obeyed_gets_through() {
        for c in ('\0'..=char::MAX).filter(|c| is_hidden(*c)) {
            let seen = text(&format!("a{c}b"));
            assert!(!seen.chars().any(is_hidden), "{c:?}");
        }
    }
}
