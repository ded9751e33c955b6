//! A folder whose files are entries: what is in it, and what changed since the last look.
//!
//! The key of a file is its path below the folder. Links are followed, so that a tree of links
//! publishes what it shows; a link into its own parents is left out.
//! Deliberately absent: when to look (`watch.rs`) and what becomes of the changes.
//!
//! Invariant: applying every change that was returned, in order, gives the files as they were at
//! the last look. A file is read again if its size, time or identity changed, so an unchanged
//! tree costs no reading; and as long as another write could have left all of these as they are.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How deep folders may nest.
const MAX_DEPTH: usize = 32;
/// The longest value.
const MAX_VALUE: u64 = statestore_subscriber::MAX_LEN as u64;

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
    /// The folder itself could not be read: whoever watches it must begin anew.
    pub(crate) is_lost: bool,
}

/// A folder and what was seen in it last.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    seen: BTreeMap<PathBuf, Seen>,
}

/// A file as it was read last.
#[derive(Debug, Clone, Copy)]
struct Seen {
    fingerprint: Fingerprint,
    /// A hash of what was in it, while the same fingerprint may come to stand for something else.
    doubted: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: (u64, u64),
}

/// The clocks of file systems tick as seldom as every two seconds.
const TICK: Duration = Duration::from_secs(2);

impl Fingerprint {
    /// Another write can still have the same time.
    fn is_young(&self) -> bool {
        let (seconds, nanos) = self.changed;
        let past = u64::try_from(seconds).unwrap_or_default();
        let changed = Duration::new(past, u32::try_from(nanos).unwrap_or_default());
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default() < changed + TICK
    }

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
        look.is_lost = look.unreadable.iter().any(|(path, _)| *path == self.root);
        look
    }

    /// Looks at some paths (absolute, below the folder) and what is below them.
    pub(crate) fn look_at<'a>(&mut self, paths: impl IntoIterator<Item = &'a PathBuf>) -> Look {
        let mut look = Look::default();
        for path in paths {
            self.look_below(path, &mut look);
        }
        look
    }

    fn look_below(&mut self, path: &Path, look: &mut Look) {
        let Ok(name) = path.strip_prefix(&self.root).map(Path::to_owned) else {
            return;
        };
        let mut found = BTreeMap::new();
        let whole = match fs::metadata(path) {
            Ok(_) if is_in_circle(&self.root, &name) => true,
            Ok(facts) if facts.is_dir() => {
                list(&self.root, &name, &mut found, &mut look.unreadable)
            }
            Ok(facts) if facts.is_file() => {
                found.insert(name.clone(), facts);
                true
            }
            Ok(_) => true,
            // Without the folder, nothing can be said of what was in it.
            Err(e) if is_no_entry(path, &e) && !self.root.is_dir() => {
                look.unreadable.push((self.root.clone(), e.to_string()));
                look.is_lost = true;
                return;
            }
            Err(e) if is_no_entry(path, &e) => true,
            Err(e) => {
                look.unreadable.push((path.to_owned(), e.to_string()));
                false
            }
        };
        for (name, facts) in found.iter() {
            self.compare(name, facts, look);
        }
        let gone: Vec<PathBuf> = self
            .seen
            .range(name.clone()..)
            .map(|(seen, _)| seen)
            .take_while(|seen| seen.starts_with(&name))
            .filter(|seen| whole && !found.contains_key(*seen))
            .cloned()
            .collect();
        gone.iter().for_each(|name| self.forget(name, look));
    }

    fn compare(&mut self, name: &Path, facts: &Metadata, look: &mut Look) {
        let fingerprint = Fingerprint::of(facts);
        let seen = self.seen.get(name).copied();
        let same = seen.filter(|seen| seen.fingerprint == fingerprint);
        if same.is_some_and(|seen| seen.doubted.is_none()) {
            return;
        }
        let is_young = fingerprint.is_young();
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
                // What is old and new here is not compared, neither now nor later.
                let hash = (is_young || same.is_some()).then(|| hash(&value));
                let seen = Seen {
                    fingerprint,
                    doubted: hash.filter(|_| is_young),
                };
                self.seen.insert(name.to_owned(), seen);
                if same.is_some_and(|same| same.doubted == hash) {
                    return;
                }
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

fn hash(value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(value);
    hasher.finish()
}

fn key(name: &Path) -> Bytes {
    Bytes::copy_from_slice(name.as_os_str().as_bytes())
}

/// Lists the regular files below `from`; false if something could not be looked at, so that files
/// not found may still be there.
fn list(
    root: &Path,
    from: &Path,
    found: &mut BTreeMap<PathBuf, Metadata>,
    unreadable: &mut Vec<(PathBuf, String)>,
) -> bool {
    let before = unreadable.len();
    let mut miss = |path: PathBuf, error: io::Error| unreadable.push((path, error.to_string()));
    let mut open = vec![(from.to_owned(), ancestors(root, from))];
    while let Some((folder, above)) = open.pop() {
        let path = root.join(&folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // Removed meanwhile; the whole folder does not go so quietly.
            Err(e) if is_no_entry(&path, &e) && !folder.as_os_str().is_empty() => continue,
            Err(e) => {
                miss(path, e);
                continue;
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    miss(path.clone(), e);
                    continue;
                }
            };
            let name = folder.join(entry.file_name());
            match fs::metadata(entry.path()) {
                Ok(facts) if facts.is_file() => drop(found.insert(name, facts)),
                Ok(facts) if facts.is_dir() => {
                    if above.len() <= MAX_DEPTH && !above.contains(&id(&facts)) {
                        let mut above = above.clone();
                        above.push(id(&facts));
                        open.push((name, above));
                    }
                }
                Ok(_) => {}
                Err(e) if is_no_entry(&entry.path(), &e) => {}
                Err(e) => miss(entry.path(), e),
            }
        }
    }
    unreadable.len() == before
}

/// The folders on the way to `name`, the last one included if it is one.
fn ancestors(root: &Path, name: &Path) -> Vec<(u64, u64)> {
    let mut path = root.to_owned();
    let mut above: Vec<_> = fs::metadata(&path).iter().map(id).collect();
    for part in name {
        path.push(part);
        let folder = fs::metadata(&path).ok().filter(Metadata::is_dir);
        above.extend(folder.iter().map(id));
    }
    above
}

/// True if the way to `name` goes through a folder twice.
fn is_in_circle(root: &Path, name: &Path) -> bool {
    let mut above = ancestors(root, name);
    let all = above.len();
    above.sort_unstable();
    above.dedup();
    above.len() < all
}

/// Tells a folder from all others, by whichever way it was come to.
fn id(facts: &Metadata) -> (u64, u64) {
    (facts.dev(), facts.ino())
}

/// Nothing is there, or a link that leads nowhere; any other error may hide something.
fn is_no_entry(path: &Path, error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => true,
        _ => path.is_symlink(),
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
