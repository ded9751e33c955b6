//! A folder that is kept equal to a topic: one file an entry.
//!
//! Files are replaced atomically (written beside, then renamed), so a reader sees the old bytes
//! or the new ones. Deliberately absent: where changes come from, and permissions finer than the
//! process's umask.
//!
//! Invariants: nothing outside the folder is ever touched (see `file_name`; links inside the
//! folder are not followed), and a folder that was not a mirror before is taken only if it is
//! empty, so that a mistyped flag cannot delete anything.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

use crate::file_name::{BESIDE_FOLDER, RESERVED, file_name};

const MARKER: &str = ".statestore-mirror";
const SCRATCH: &str = ".statestore-scratch";

/// Why a mirror cannot be kept: the operator's or the machine's fault. What was mirrored stays.
#[derive(Debug, Error)]
pub(crate) enum MirrorError {
    #[error(
        "--mirror: {} holds files and is not a mirror of topic '{topic}': name an empty folder",
        folder.display()
    )]
    NotOurs { folder: PathBuf, topic: String },
    #[error("mirror: cannot {what} {}: {error}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    #[error("mirror: the key of {length} bytes that begins '{begin}' is too long for a file name")]
    KeyTooLong { length: usize, begin: String },
}

/// A folder that mirrors one topic.
#[derive(Debug)]
pub(crate) struct Mirror {
    folder: PathBuf,
}

impl Mirror {
    /// Takes a folder that is empty, missing, or was this topic's mirror before.
    pub(crate) fn open(folder: &Path, topic: &str) -> Result<Self, MirrorError> {
        fs::create_dir_all(folder).map_err(|e| failed("create", folder, e))?;
        let marker = folder.join(MARKER);
        match fs::read(&marker) {
            Ok(owner) if owner == topic.as_bytes() => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound && is_empty(folder)? => {
                fs::write(&marker, topic).map_err(|e| failed("write", &marker, e))?;
            }
            Ok(_) => return Err(not_ours(folder, topic)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(not_ours(folder, topic)),
            Err(e) => return Err(failed("read", &marker, e)),
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Writes one entry.
    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> Result<(), MirrorError> {
        self.place(key, value).map(drop)
    }

    /// Removes one entry; it need not be there.
    pub(crate) fn delete(&self, key: &[u8]) -> Result<(), MirrorError> {
        let Some(plain) = file_name(key).map(|name| self.folder.join(name)) else {
            return Ok(()); // it was never written
        };
        for path in [beside_folder(&plain), plain] {
            match fs::symlink_metadata(&path) {
                Ok(facts) if !facts.is_dir() => {
                    fs::remove_file(&path).map_err(|e| failed("remove", &path, e))?;
                    self.prune_upwards(&path);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the folder hold exactly these entries. Keys that cannot be files are left out and
    /// returned as errors, the first of them; all others are in place then.
    pub(crate) fn replace<'a>(
        &self,
        entries: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(), MirrorError> {
        let mut kept = BTreeSet::new();
        let mut first_failure = None;
        for (key, value) in entries {
            match self.place(key, value) {
                Ok(path) => {
                    kept.insert(path);
                }
                Err(error) => first_failure = first_failure.or(Some(error)),
            }
        }
        self.remove_all_but(&kept)?;
        first_failure.map_or(Ok(()), Err)
    }

    /// Writes an entry and tells where it is.
    fn place(&self, key: &[u8], value: &[u8]) -> Result<PathBuf, MirrorError> {
        let Some(name) = file_name(key) else {
            let begin = String::from_utf8_lossy(&key[..key.len().min(40)]).into_owned();
            return Err(MirrorError::KeyTooLong {
                length: key.len(),
                begin,
            });
        };
        self.make_folders(&name)?;
        let plain = self.folder.join(&name);
        let path = if is_real_folder(&plain) {
            beside_folder(&plain)
        } else {
            plain
        };
        let same = fs::symlink_metadata(&path).is_ok_and(|facts| {
            facts.is_file()
                && facts.len() == value.len() as u64
                && fs::read(&path).is_ok_and(|old| old == value)
        });
        if !same {
            let scratch = self.folder.join(SCRATCH);
            fs::write(&scratch, value).map_err(|e| failed("write", &scratch, e))?;
            fs::rename(&scratch, &path).map_err(|e| failed("replace", &path, e))?;
        }
        Ok(path)
    }

    /// Makes the folders above a file. A file in the way steps aside; a link does not count as a
    /// folder and goes.
    fn make_folders(&self, name: &Path) -> Result<(), MirrorError> {
        let mut path = self.folder.clone();
        for part in name.parent().into_iter().flat_map(Path::components) {
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(facts) if facts.is_dir() => continue,
                Ok(facts) if facts.is_file() => {
                    let aside = beside_folder(&path);
                    fs::rename(&path, &aside).map_err(|e| failed("move", &path, e))?;
                }
                Ok(_) => fs::remove_file(&path).map_err(|e| failed("remove", &path, e))?,
                Err(_) => {}
            }
            fs::create_dir(&path).map_err(|e| failed("create", &path, e))?;
        }
        Ok(())
    }

    fn remove_all_but(&self, kept: &BTreeSet<PathBuf>) -> Result<(), MirrorError> {
        let mut open = vec![self.folder.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).map_err(|e| failed("read", &folder, e))? {
                let entry = entry.map_err(|e| failed("read", &folder, e))?;
                let path = entry.path();
                if is_real_folder(&path) {
                    open.push(path);
                } else if !kept.contains(&path) && !self.is_own(&path) {
                    fs::remove_file(&path).map_err(|e| failed("remove", &path, e))?;
                    self.prune_upwards(&path);
                }
            }
        }
        Ok(())
    }

    fn is_own(&self, path: &Path) -> bool {
        path.parent() == Some(&self.folder)
            && path
                .file_name()
                .is_some_and(|n| n.as_encoded_bytes().starts_with(RESERVED.as_bytes()))
    }

    /// Removes folders that became empty; the first one that is not ends it.
    fn prune_upwards(&self, path: &Path) {
        let mut folder = path.parent();
        while let Some(empty) = folder.filter(|f| *f != self.folder) {
            if fs::remove_dir(empty).is_err() {
                return;
            }
            folder = empty.parent();
        }
    }
}

fn is_empty(folder: &Path) -> Result<bool, MirrorError> {
    let mut entries = fs::read_dir(folder).map_err(|e| failed("read", folder, e))?;
    Ok(entries.next().is_none())
}

fn is_real_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|facts| facts.is_dir())
}

fn beside_folder(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BESIDE_FOLDER);
    PathBuf::from(name)
}

fn not_ours(folder: &Path, topic: &str) -> MirrorError {
    MirrorError::NotOurs {
        folder: folder.to_owned(),
        topic: topic.to_owned(),
    }
}

fn failed(what: &'static str, path: &Path, error: io::Error) -> MirrorError {
    MirrorError::Io {
        what,
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
