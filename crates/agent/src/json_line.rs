//! Changes as JSON lines: what `--follow` prints and what `--on_change` commands read.
//!
//! One object a line: `topic`, `key`, and `value` or `"deleted":true`. Bytes that are not UTF-8
//! come as `key_base64` or `value_base64` instead. A line with `"snapshot":true` says that the
//! lines of its `entries` are the whole content, and that what was known before is void.
//!
//! Deliberately absent: writing anywhere.

use serde_json::{Map, Value, json};
use statestore_subscriber::Delta;

/// The lines for a delta, each with its newline; entries outside `prefix` are left out.
pub(crate) fn json_lines(delta: &Delta, prefix: &[u8]) -> String {
    let topic = delta.topic().to_str();
    let mut lines = String::new();
    let wanted = || delta.items().iter().filter(|item| item.key.starts_with(prefix));
    if !delta.is_delta() {
        let head = json!({
            "topic": topic,
            "snapshot": true,
            "entries": wanted().count(),
            "to_version": delta.to_version(),
        });
        push(&mut lines, &head);
    }
    for item in wanted() {
        let mut line = Map::new();
        line.insert("topic".to_owned(), json!(topic));
        bytes(&mut line, "key", item.key);
        if item.deleted {
            line.insert("deleted".to_owned(), json!(true));
        } else {
            bytes(&mut line, "value", item.value);
        }
        push(&mut lines, &Value::Object(line));
    }
    lines
}

fn push(lines: &mut String, line: &Value) {
    lines.push_str(&line.to_string());
    lines.push('\n');
}

fn bytes(line: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => line.insert(name.to_owned(), json!(text)),
        Err(_) => line.insert(format!("{name}_base64"), json!(base64(bytes))),
    };
}

/// Standard base64 with padding (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
        let number = number << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            match digit <= chunk.len() {
                true => text.push(char::from(DIGITS[number >> (18 - 6 * digit) & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_that_of_the_standard() {
        // The vectors of RFC 4648 section 10.
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }
}
