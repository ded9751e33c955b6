//! Changes as JSON lines, for programs in any language: what the agent prints and hands to
//! commands, and what the CLI watches.
//!
//! One object a line: `topic`, `key`, and `value` or `"deleted":true`. Bytes that are not UTF-8
//! come as `key_base64` or `value_base64` instead. A line with `"snapshot":true` says that the
//! lines of its `entries` are the whole content, and that what was known before is void.
//!
//! Deliberately absent: writing anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::topic::Delta;

/// The lines for a delta, each with its newline; entries outside `prefix` are left out.
pub fn json_lines(delta: &Delta, prefix: &[u8]) -> String {
    json_line_iter(delta, prefix).collect()
}

/// The same one by one, for content that is too large to be held twice.
pub fn json_line_iter<'a>(delta: &'a Delta, prefix: &'a [u8]) -> impl Iterator<Item = String> + 'a {
    let topic = delta.topic().to_str();
    let wanted = || {
        let items = delta.items().iter();
        items.filter(|item| item.key.starts_with(prefix))
    };
    let head = (!delta.is_delta()).then(|| {
        line(&json!({
            "topic": topic,
            "snapshot": true,
            "entries": wanted().count(),
            "to_version": delta.to_version(),
        }))
    });
    let entries = wanted().map(move |item| {
        let mut entry = Map::new();
        entry.insert("topic".to_owned(), json!(topic));
        bytes(&mut entry, "key", item.key);
        if item.deleted {
            entry.insert("deleted".to_owned(), json!(true));
        } else {
            bytes(&mut entry, "value", item.value);
        }
        line(&Value::Object(entry))
    });
    head.into_iter().chain(entries)
}

fn line(value: &Value) -> String {
    value.to_string() + "\n"
}

fn bytes(line: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => line.insert(name.to_owned(), json!(text)),
        Err(_) => line.insert(format!("{name}_base64"), json!(STANDARD.encode(bytes))),
    };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use statestore_wire::{ItemBatch, TopicDelta};

    fn delta(is_delta: bool) -> Delta {
        let items: [(&[u8], &[u8], bool); 3] = [
            (b"a", b"one", false),
            (b"b", b"", true),
            (b"\xff", b"\xfe\"", false),
        ];
        Delta(TopicDelta {
            topic_name: "t".into(),
            topic_entries: ItemBatch::from_items(items),
            is_delta,
            to_version: Some(7),
            ..TopicDelta::default()
        })
    }

    #[test]
    fn each_change_is_a_line_and_bytes_that_are_no_text_are_base64() {
        let wanted = "{\"topic\":\"t\",\"key\":\"a\",\"value\":\"one\"}\n\
            {\"topic\":\"t\",\"key\":\"b\",\"deleted\":true}\n\
            {\"topic\":\"t\",\"key_base64\":\"/w==\",\"value_base64\":\"/iI=\"}\n";
        assert_eq!(json_lines(&delta(true), b""), wanted);
    }

    #[test]
    fn the_whole_content_is_announced_with_the_number_of_its_lines() {
        let lines = json_lines(&delta(false), b"a");
        let mut lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let head = lines.next().unwrap();
        assert_eq!(
            (&head["snapshot"], &head["entries"]),
            (&json!(true), &json!(1))
        );
        assert_eq!(head["to_version"], json!(7));
        assert_eq!(lines.count(), 1);
    }
}
