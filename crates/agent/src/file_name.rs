//! From a topic key to a file below a folder, and never anywhere else.
//!
//! A key is split at `/`; each part becomes one file name. What a file name cannot be, or must
//! not be, is written as `%` and two hex digits, `%` itself too, so that different keys have
//! different names. An empty part (a leading, trailing or doubled `/`) is a lone `%`.
//!
//! Invariant: no part of the result is `.`, `..`, empty, or contains `/` or NUL; and none begins
//! with [`RESERVED`], which belongs to the mirror itself. Keys that are too long for a file
//! system have no name.

use std::path::PathBuf;

/// Names that begin like this are the mirror's own.
pub(crate) const RESERVED: &str = ".statestore-";
/// Ends the name of a file whose plain name is taken by a folder.
pub(crate) const BESIDE_FOLDER: &str = "%.";

const MAX_PART: usize = 240;
const MAX_PATH: usize = 2_048;

/// The relative path for a key; `None` if it is too long for a file system.
pub(crate) fn file_name(key: &[u8]) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in key.split(|byte| *byte == b'/') {
        let name = part_name(part);
        if name.len() > MAX_PART {
            return None;
        }
        path.push(name);
    }
    (path.as_os_str().len() <= MAX_PATH).then_some(path)
}

fn part_name(part: &[u8]) -> String {
    if part.is_empty() {
        return "%".to_owned();
    }
    let dots_only = matches!(part, b"." | b"..");
    let reserved = part.starts_with(RESERVED.as_bytes());
    let mut name = String::with_capacity(part.len());
    // Valid UTF-8 stays readable; everything else is escaped byte by byte.
    for chunk in part.utf8_chunks() {
        for c in chunk.valid().chars() {
            let first_dot = c == '.' && (dots_only || (reserved && name.is_empty()));
            if c == '%' || c.is_control() || first_dot {
                escape(&mut name, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                name.push(c);
            }
        }
        escape(&mut name, chunk.invalid());
    }
    name
}

fn escape(name: &mut String, bytes: &[u8]) {
    use std::fmt::Write as _;
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(name, "%{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Component;

    #[test]
    fn plain_keys_are_plain_paths() {
        assert_eq!(
            file_name(b"Europe/Berlin").unwrap(),
            PathBuf::from("Europe/Berlin")
        );
        assert_eq!(
            file_name("größe".as_bytes()).unwrap(),
            PathBuf::from("größe")
        );
    }

    #[test]
    fn no_key_leaves_the_folder_and_no_two_share_a_name() {
        let keys: &[&[u8]] = &[
            b"",
            b"/",
            b"//",
            b"..",
            b"../x",
            b"../../etc/passwd",
            b"/etc/passwd",
            b"a/../b",
            b"a/./b",
            b"a//b",
            b"a/b/",
            b"%",
            b"%25",
            b"\0",
            b"%00",
            b"\xff\xfe",
            b"%FF%FE",
            b".statestore-mirror",
            b"%2Estatestore-mirror",
            b"a\nb",
            b".",
            b"%2E",
            b"x",
        ];
        let mut names = BTreeMap::new();
        for key in keys {
            let name = file_name(key).unwrap();
            assert!(
                name.components().all(|c| matches!(c, Component::Normal(_))),
                "{name:?}"
            );
            assert!(!name.to_str().unwrap().starts_with(RESERVED), "{name:?}");
            if let Some(other) = names.insert(name.clone(), key) {
                panic!("{key:?} and {other:?} share {name:?}");
            }
        }
    }

    #[test]
    fn keys_too_long_for_a_file_system_have_no_name() {
        assert_eq!(file_name(&[b'a'; 241]), None);
        assert_eq!(file_name(&b"ab/".repeat(1_000)), None);
        assert_eq!(file_name(&vec![b'a'; 1 << 20]), None);
    }
}
