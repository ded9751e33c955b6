//! Folders of files: copied, and compared byte for byte.
//!
//! Deliberately absent: anything about topics. A mirror is right if it equals its source as a
//! folder; how it became so is not asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Failure;

/// The agent's own mark of a mirror; it is no entry.
const MARKER: &str = ".statestore-mirror";

/// Relative paths of all regular files below a folder, links followed, with their sizes.
pub(crate) type Listing = BTreeMap<PathBuf, u64>;

/// Lists a folder.
pub(crate) fn list(root: &Path) -> Result<Listing, Failure> {
    let mut found = Listing::new();
    let mut open = vec![(PathBuf::new(), 0_u32)];
    while let Some((folder, depth)) = open.pop() {
        let path = root.join(&folder);
        for entry in fs::read_dir(&path).map_err(|e| Failure::io("read", &path, e))? {
            let entry = entry.map_err(|e| Failure::io("read", &path, e))?;
            if entry.file_name() == MARKER {
                continue;
            }
            let name = folder.join(entry.file_name());
            // A link into nothing is no file of the tree.
            let Ok(facts) = fs::metadata(entry.path()) else {
                continue;
            };
            if facts.is_file() {
                found.insert(name, facts.len());
            } else if facts.is_dir() && depth < 32 {
                open.push((name, depth + 1));
            }
        }
    }
    Ok(found)
}

/// Copies every file below `from` to `to`.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<Listing, Failure> {
    let listing = list(from)?;
    for name in listing.keys() {
        let target = to.join(name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|e| Failure::io("create", parent, e))?;
        }
        fs::copy(from.join(name), &target).map_err(|e| Failure::io("copy to", &target, e))?;
    }
    Ok(listing)
}

/// How a mirror differs from its source.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Files that the mirror lacks.
    pub(crate) missing: usize,
    /// Files that only the mirror has.
    pub(crate) extra: usize,
    /// Files with other bytes.
    pub(crate) changed: usize,
}

impl Difference {
    /// True if there is none.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares two folders byte for byte.
pub(crate) fn compare(source: &Path, mirror: &Path) -> Result<Difference, Failure> {
    let (left, right) = (list(source)?, list(mirror)?);
    let mut difference = Difference {
        extra: right
            .keys()
            .filter(|name| !left.contains_key(*name))
            .count(),
        ..Difference::default()
    };
    for (name, size) in &left {
        match right.get(name) {
            None => difference.missing += 1,
            Some(other) if other != size => difference.changed += 1,
            Some(_) => {
                if !same_bytes(&source.join(name), &mirror.join(name)) {
                    difference.changed += 1;
                }
            }
        }
    }
    Ok(difference)
}

/// True if both files can be read and hold the same bytes.
pub(crate) fn same_bytes(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_copy_equals_its_source_until_a_byte_changes() {
        let (source, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(source.path().join("sub")).unwrap();
        fs::write(source.path().join("sub/a"), b"one").unwrap();
        fs::write(source.path().join("b"), b"two").unwrap();
        copy(source.path(), mirror.path()).unwrap();
        assert!(compare(source.path(), mirror.path()).unwrap().is_none());

        fs::write(mirror.path().join("sub/a"), b"0ne").unwrap();
        fs::write(mirror.path().join("c"), b"new").unwrap();
        fs::remove_file(mirror.path().join("b")).unwrap();
        let wanted = Difference {
            missing: 1,
            extra: 1,
            changed: 1,
        };
        assert_eq!(compare(source.path(), mirror.path()).unwrap(), wanted);
    }
}
