//! Folders of files: copied, and compared byte for byte.
//!
//! Deliberately absent: anything about topics. A mirror is right if it equals its source as a
//! folder; how it became so is not asked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Failure;
use super::process::expect_no_interrupt;

/// The agent's own files in a mirror begin so; they are no entries.
const RESERVED: &str = ".statestore-";
/// What a mirror names as its key, and a value's limit.
const MAX_PART: usize = 240;
const MAX_PATH: usize = 2_048;
const MAX_SIZE: u64 = statestore_subscriber::MAX_LEN as u64;

/// Relative paths of all regular files below a folder, links followed, with their sizes.
pub(crate) type Listing = BTreeMap<PathBuf, u64>;

/// What a copy does not have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Files and folders that could not be read.
    pub(crate) unreadable: usize,
    /// Files too large for a value, or with names that a mirror would write in another way.
    pub(crate) unsuitable: usize,
}

/// Lists a folder.
pub(crate) fn list(root: &Path) -> Result<Listing, Failure> {
    walk(root, |path, error| Err(Failure::io("read", path, error)))
}

/// Lists a folder; `miss` decides what becomes of a part that cannot be read.
fn walk(
    root: &Path,
    mut miss: impl FnMut(&Path, io::Error) -> Result<(), Failure>,
) -> Result<Listing, Failure> {
    let mut found = Listing::new();
    let above: Vec<_> = fs::metadata(root).iter().map(id).collect();
    let mut open = vec![(PathBuf::new(), above)];
    while let Some((folder, above)) = open.pop() {
        expect_no_interrupt()?;
        let path = root.join(&folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) => {
                miss(&path, e)?;
                continue;
            }
        };
        for entry in entries {
            let entry = entry.map_err(|e| Failure::io("read", &path, e))?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(RESERVED.as_bytes())
            {
                continue;
            }
            let name = folder.join(entry.file_name());
            // A link into nothing is no file of the tree.
            let Ok(facts) = fs::metadata(entry.path()) else {
                continue;
            };
            if facts.is_file() {
                found.insert(name, facts.len());
            } else if facts.is_dir() && above.len() <= 32 && !above.contains(&id(&facts)) {
                // Nor is what a link shows of the folders that it is in.
                let mut above = above.clone();
                above.push(id(&facts));
                open.push((name, above));
            }
        }
    }
    Ok(found)
}

fn id(facts: &fs::Metadata) -> (u64, u64) {
    (facts.dev(), facts.ino())
}

/// Copies the files below `from` to `to`, as files that may be changed there.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(Listing, LeftOut), Failure> {
    let mut left_out = LeftOut::default();
    let found = walk(from, |path, error| {
        left_out.unreadable += 1;
        match path.strip_prefix(from) {
            Ok(below) if !below.as_os_str().is_empty() => Ok(()),
            _ => Err(Failure::io("read --dir", from, error)),
        }
    })?;
    let mut copied = Listing::new();
    for (name, size) in found {
        expect_no_interrupt()?;
        if size > MAX_SIZE || !is_plain(&name) {
            left_out.unsuitable += 1;
            continue;
        }
        let Ok(mut source) = File::open(from.join(&name)) else {
            left_out.unreadable += 1;
            continue;
        };
        let target = to.join(&name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|e| Failure::io("create", parent, e))?;
        }
        let written = File::create(&target).and_then(|mut file| io::copy(&mut source, &mut file));
        let size = written.map_err(|e| Failure::io("copy to", &target, e))?;
        copied.insert(name, size);
    }
    Ok((copied, left_out))
}

/// True for what a mirror names just as its key.
fn is_plain(name: &Path) -> bool {
    let plain_part = |part: &std::ffi::OsStr| {
        let is_plain = |c: char| c != '%' && !c.is_control();
        part.len() <= MAX_PART && part.to_str().is_some_and(|part| part.chars().all(is_plain))
    };
    name.as_os_str().len() <= MAX_PATH && name.iter().all(plain_part)
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
    fn what_no_mirror_can_show_is_left_out_and_the_rest_may_be_changed() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let (source, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = source.path();
        fs::write(root.join("plain"), b"1").unwrap();
        fs::set_permissions(root.join("plain"), fs::Permissions::from_mode(0o444)).unwrap();
        fs::write(root.join("100%"), b"2").unwrap();
        fs::write(root.join("two\nlines"), b"3").unwrap();
        symlink(".", root.join("circle")).unwrap();
        File::create(root.join("huge"))
            .unwrap()
            .set_len(MAX_SIZE + 1)
            .unwrap();
        let (listing, left_out) = copy(root, copied.path()).unwrap();
        assert_eq!(listing, Listing::from([(PathBuf::from("plain"), 1)]));
        assert_eq!((left_out.unreadable, left_out.unsuitable), (0, 3));
        let mode = fs::metadata(copied.path().join("plain")).unwrap().mode();
        assert_eq!(mode & 0o200, 0o200);
        let missing = copy(Path::new("/nonexistent/folder"), copied.path());
        let error = missing.unwrap_err().to_string();
        assert!(error.contains("--dir /nonexistent/folder"), "{error}");
    }

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
