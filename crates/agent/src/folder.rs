//! A folder whose files are entries: what is in it, and what changed since the last look.
//!
//! The key of a file is its path below the folder. Links are followed, so that a tree of links
//! publishes what it shows; a link into its own parents ends at [`MAX_DEPTH`].
//! Deliberately absent: when to look (`watch.rs`) and what becomes of the changes.
//!
//! Invariant: applying every change that was returned, in order, gives the files as they were at
//! the last look. A file is read again if its size, time or identity changed, so an unchanged
//! tree costs no reading.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How deep folders may nest.
const MAX_DEPTH: usize = 32;
/// The protocol's limit of a value.
const MAX_VALUE: u64 = i32::MAX as u64;

/// A change of one entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The path below the folder.
    pub(crate) key: Bytes,
    /// The file's bytes; `None` if it is gone.
    pub(crate) value: Option<Bytes>,
}

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Changes since the last look, in the order of keys.
    pub(crate) changes: Vec<Change>,
    /// Files that could not be read, with the reason; they are as if they had not changed.
    pub(crate) unreadable: Vec<(PathBuf, String)>,
}

/// A folder and what was seen in it last.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    seen: BTreeMap<PathBuf, Fingerprint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: (u64, u64),
}

impl Fingerprint {
    fn of(facts: &Metadata) -> Self {
        Self {
            size: facts.len(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
            inode: (facts.dev(), facts.ino()),
        }
    }
}

impl Folder {
    /// A folder of which nothing has been seen yet; it must exist and be readable.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        fs::read_dir(root)?;
        Ok(Self {
            root: root.to_owned(),
            seen: BTreeMap::new(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Looks at everything.
    pub(crate) fn look(&mut self) -> Look {
        let mut look = Look::default();
        let mut found = BTreeMap::new();
        let whole = list(&self.root, Path::new(""), &mut found, &mut look.unreadable);
        for (name, facts) in found.iter() {
            self.compare(name, facts, &mut look);
        }
        if whole {
            let gone: Vec<PathBuf> = self
                .seen
                .keys()
                .filter(|name| !found.contains_key(*name))
                .cloned()
                .collect();
            gone.iter().for_each(|name| self.forget(name, &mut look));
        }
        look
    }

    /// Looks at one path (absolute, below the folder) and what is below it.
    pub(crate) fn look_at(&mut self, path: &Path) -> Look {
        let mut look = Look::default();
        let Ok(name) = path.strip_prefix(&self.root).map(Path::to_owned) else {
            return look;
        };
        let mut found = BTreeMap::new();
        let whole = match fs::metadata(path) {
            Ok(facts) if facts.is_dir() => {
                list(&self.root, &name, &mut found, &mut look.unreadable)
            }
            Ok(facts) if facts.is_file() => {
                found.insert(name.clone(), facts);
                true
            }
            _ => true,
        };
        for (name, facts) in found.iter() {
            self.compare(name, facts, &mut look);
        }
        let gone: Vec<PathBuf> = self
            .seen
            .range(name.clone()..)
            .map(|(seen, _)| seen)
            .take_while(|seen| seen.starts_with(&name))
            .filter(|seen| whole && !found.contains_key(*seen))
            .cloned()
            .collect();
        gone.iter().for_each(|name| self.forget(name, &mut look));
        look
    }

    fn compare(&mut self, name: &Path, facts: &Metadata, look: &mut Look) {
        let fingerprint = Fingerprint::of(facts);
        if self.seen.get(name) == Some(&fingerprint) {
            return;
        }
        let path = self.root.join(name);
        if fingerprint.size > MAX_VALUE {
            let reason = format!(
                "{} bytes are more than a value's {MAX_VALUE}",
                fingerprint.size
            );
            look.unreadable.push((path, reason));
            return;
        }
        match fs::read(&path) {
            Ok(value) => {
                self.seen.insert(name.to_owned(), fingerprint);
                look.changes.push(Change {
                    key: key(name),
                    value: Some(Bytes::from(value)),
                });
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {} // the next look tells
            Err(e) => look.unreadable.push((path, e.to_string())),
        }
    }

    fn forget(&mut self, name: &Path, look: &mut Look) {
        self.seen.remove(name);
        look.changes.push(Change {
            key: key(name),
            value: None,
        });
    }
}

fn key(name: &Path) -> Bytes {
    Bytes::copy_from_slice(name.as_os_str().as_bytes())
}

/// Lists the regular files below `from`; false if some folder could not be read, so that files
/// not found may still be there.
fn list(
    root: &Path,
    from: &Path,
    found: &mut BTreeMap<PathBuf, Metadata>,
    unreadable: &mut Vec<(PathBuf, String)>,
) -> bool {
    let mut whole = true;
    let mut open = vec![(from.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let path = root.join(&folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !folder.as_os_str().is_empty() => {
                continue; // removed meanwhile
            }
            Err(e) => {
                whole = false;
                unreadable.push((path, e.to_string()));
                continue;
            }
        };
        for entry in entries.flatten() {
            let name = folder.join(entry.file_name());
            // A link into nothing, or a file removed meanwhile, is no entry.
            let Ok(facts) = fs::metadata(entry.path()) else {
                continue;
            };
            if facts.is_file() {
                found.insert(name, facts);
            } else if facts.is_dir() && depth < MAX_DEPTH {
                open.push((name, depth + 1));
            }
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn put(key: &'static str, value: &'static str) -> Change {
        Change {
            key: key.into(),
            value: Some(value.into()),
        }
    }

    fn gone(key: &'static str) -> Change {
        Change {
            key: key.into(),
            value: None,
        }
    }

    #[test]
    fn the_first_look_finds_all_files_and_the_next_one_only_changes() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        fs::write(root.path().join("sub/a"), "1").unwrap();
        fs::write(root.path().join("b"), "2").unwrap();
        let mut folder = Folder::open(root.path()).unwrap();
        assert_eq!(folder.look().changes, [put("b", "2"), put("sub/a", "1")]);
        assert_eq!(folder.look().changes, []);
        fs::write(root.path().join("b"), "22").unwrap();
        fs::remove_file(root.path().join("sub/a")).unwrap();
        assert_eq!(folder.look().changes, [put("b", "22"), gone("sub/a")]);
    }

    #[test]
    fn a_look_at_one_path_tells_only_of_it_and_of_what_is_below() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        fs::write(root.path().join("sub/a"), "1").unwrap();
        fs::write(root.path().join("sub-b"), "2").unwrap();
        let mut folder = Folder::open(root.path()).unwrap();
        folder.look();
        fs::remove_dir_all(root.path().join("sub")).unwrap();
        fs::remove_file(root.path().join("sub-b")).unwrap();
        assert_eq!(
            folder.look_at(&root.path().join("sub")).changes,
            [gone("sub/a")]
        );
        assert_eq!(
            folder.look_at(&root.path().join("sub-b")).changes,
            [gone("sub-b")]
        );
        assert_eq!(folder.look_at(Path::new("/elsewhere")).changes, []);
    }

    #[test]
    fn links_are_followed_and_a_circle_of_links_ends() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "1").unwrap();
        std::os::unix::fs::symlink("a", root.path().join("b")).unwrap();
        std::os::unix::fs::symlink("nothing", root.path().join("c")).unwrap();
        std::os::unix::fs::symlink(".", root.path().join("loop")).unwrap();
        let mut folder = Folder::open(root.path()).unwrap();
        let changes = folder.look().changes;
        assert_eq!(changes[..2], [put("a", "1"), put("b", "1")]);
        assert_eq!(changes.len(), 2 * (MAX_DEPTH + 1));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(Folder::open(Path::new("/nonexistent/folder")).is_err());
    }
}
