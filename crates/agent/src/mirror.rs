//! A folder that follows a topic: one file an entry. What others change in it is not looked at.
//!
//! Files are replaced atomically (written beside, then renamed), so a reader sees the old bytes
//! or the new ones. Deliberately absent: where changes come from, permissions finer than the
//! process's umask, and forcing bytes to disk: a topic is not older than its statestored.
//!
//! Invariants: nothing outside the folder is ever touched (see `file_name`; links inside the
//! folder are not followed), and a folder that was not a mirror before is taken only if it is
//! empty, so that a mistyped flag cannot delete anything. An entry's file stands at its plain
//! name, or beside it while that is a folder, and nowhere else. What cannot be written leaves
//! the old file in place.

use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

use crate::args::MirrorTopic;
use crate::file_name::{BESIDE_FOLDER, RESERVED, file_name};

const MARKER: &str = ".statestore-mirror";
const SCRATCH: &str = ".statestore-scratch";

/// Why a mirror cannot be kept: the operator's or the machine's fault. What was mirrored stays.
#[derive(Debug, Error)]
pub(crate) enum MirrorError {
    #[error(
        "{flag}: {} holds files and is not a mirror of topic '{topic}': name an empty folder",
        folder.display()
    )]
    NotOurs {
        /// As it was given.
        flag: String,
        folder: PathBuf,
        topic: String,
    },
    #[error("{flag}: another mirror keeps {}", folder.display())]
    InUse { flag: String, folder: PathBuf },
    #[error("{flag}: cannot {what} {}: {error}", path.display())]
    Io {
        flag: String,
        what: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    #[error(
        "{flag}: the key of {length} bytes that begins '{begin}' is too long for a file name, so \
         it has no file"
    )]
    Impossible {
        flag: String,
        length: usize,
        begin: String,
    },
}

/// A folder that mirrors one topic.
#[derive(Debug)]
pub(crate) struct Mirror {
    flag: String,
    folder: PathBuf,
    /// Locked: one process, one task keeps a mirror.
    _marker: File,
}

impl Mirror {
    /// Takes a folder that is empty, missing, or was this topic's mirror before.
    pub(crate) fn open(task: &MirrorTopic) -> Result<Self, MirrorError> {
        let folder = &task.folder;
        let failed = |what, path: &Path, error| failed(&task.to_string(), what, path, error);
        let not_ours = || MirrorError::NotOurs {
            flag: task.to_string(),
            folder: folder.clone(),
            topic: task.topic.clone(),
        };
        fs::create_dir_all(folder).map_err(|e| failed("create", folder, e))?;
        let path = folder.join(MARKER);
        let mut entries = fs::read_dir(folder).map_err(|e| failed("read", folder, e))?;
        if entries.next().is_some() && !path.exists() {
            return Err(not_ours());
        }
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut marker = options.open(&path).map_err(|e| failed("open", &path, e))?;
        // A file system without locks is used without them.
        if flock(&marker, FlockOperation::NonBlockingLockExclusive)
            == Err(rustix::io::Errno::WOULDBLOCK)
        {
            return Err(MirrorError::InUse {
                flag: task.to_string(),
                folder: folder.clone(),
            });
        }
        let mut owner = Vec::new();
        let read = marker.read_to_end(&mut owner);
        read.map_err(|e| failed("read", &path, e))?;
        if owner.is_empty() {
            let written = marker.write_all(task.topic.as_bytes());
            written.map_err(|e| failed("write", &path, e))?;
        } else if owner != task.topic.as_bytes() {
            return Err(not_ours());
        }
        Ok(Self {
            flag: task.to_string(),
            folder: folder.clone(),
            _marker: marker,
        })
    }

    /// Writes one entry.
    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> Result<(), MirrorError> {
        self.place(key, value)
    }

    /// Removes one entry; it need not be there.
    pub(crate) fn delete(&self, key: &[u8]) -> Result<(), MirrorError> {
        let Some(plain) = file_name(key).map(|name| self.folder.join(name)) else {
            return Ok(()); // it was never written
        };
        for path in [beside_folder(&plain), plain] {
            if is_no_folder(&path) {
                self.remove(&path)?;
                self.prune_upwards(&path);
            }
        }
        Ok(())
    }

    /// Makes the folder hold exactly these entries. What cannot be written is left as it is, and
    /// the first such failure is returned, one that may pass before one that will not; all others
    /// are in place then.
    pub(crate) fn replace<'a>(
        &self,
        entries: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(), MirrorError> {
        let mut kept = BTreeSet::new();
        let (mut passing, mut lasting) = (None, None);
        for (key, value) in entries {
            match self.place(key, value) {
                Ok(()) => {}
                Err(error @ MirrorError::Impossible { .. }) => lasting = lasting.or(Some(error)),
                Err(error) => passing = passing.or(Some(error)),
            }
            kept.extend(file_name(key).map(|name| self.folder.join(name)));
        }
        self.remove_all_but(&kept)?;
        passing.or(lasting).map_or(Ok(()), Err)
    }

    /// Writes an entry's file where it belongs, and nowhere else.
    fn place(&self, key: &[u8], value: &[u8]) -> Result<(), MirrorError> {
        let impossible = || MirrorError::Impossible {
            flag: self.flag.clone(),
            length: key.len(),
            begin: String::from_utf8_lossy(&key[..key.len().min(40)]).into_owned(),
        };
        let name = file_name(key).ok_or_else(impossible)?;
        let plain = self.folder.join(&name);
        let placed = self.make_folders(&name).and_then(|()| {
            let beside = beside_folder(&plain);
            if is_real_folder(&plain) {
                return self.write(&beside, value);
            }
            self.write(&plain, value)?;
            match is_no_folder(&beside) {
                true => self.remove(&beside),
                false => Ok(()),
            }
        });
        match placed {
            // The folder's own path counts too, and file systems differ.
            Err(MirrorError::Io { error, .. }) if is_too_long(&error) => Err(impossible()),
            placed => placed,
        }
    }

    fn write(&self, path: &Path, value: &[u8]) -> Result<(), MirrorError> {
        let same = fs::symlink_metadata(path).is_ok_and(|facts| {
            facts.is_file()
                && facts.len() == value.len() as u64
                && fs::read(path).is_ok_and(|old| old == value)
        });
        if same {
            return Ok(());
        }
        let scratch = self.folder.join(SCRATCH);
        let written = fs::write(&scratch, value).map_err(|e| self.failed("write", path, e));
        let replaced = written
            .and_then(|()| fs::rename(&scratch, path).map_err(|e| self.failed("replace", path, e)));
        if replaced.is_err() {
            // Half a file would take room that may be missing already.
            let _ = fs::remove_file(&scratch);
        }
        replaced
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
                    fs::rename(&path, &aside).map_err(|e| self.failed("move", &path, e))?;
                }
                Ok(_) => self.remove(&path)?,
                Err(_) => {}
            }
            fs::create_dir(&path).map_err(|e| self.failed("create", &path, e))?;
        }
        Ok(())
    }

    fn remove_all_but(&self, kept: &BTreeSet<PathBuf>) -> Result<(), MirrorError> {
        let mut open = vec![self.folder.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).map_err(|e| self.failed("read", &folder, e))? {
                let path = entry.map_err(|e| self.failed("read", &folder, e))?.path();
                if is_real_folder(&path) {
                    open.push(path);
                } else if !kept.contains(&path) && !stands_beside(&path, kept) && !self.owns(&path)
                {
                    self.remove(&path)?;
                }
            }
            self.prune_upwards(&folder.join(MARKER));
        }
        Ok(())
    }

    fn owns(&self, path: &Path) -> bool {
        path.parent() == Some(&self.folder)
            && path
                .file_name()
                .is_some_and(|n| n.as_encoded_bytes().starts_with(RESERVED.as_bytes()))
    }

    /// Removes folders that became empty; the first one that is not ends it. A file that stood
    /// beside such a folder takes its place.
    fn prune_upwards(&self, path: &Path) {
        let mut folder = path.parent();
        while let Some(empty) = folder.filter(|f| *f != self.folder) {
            if fs::remove_dir(empty).is_err() {
                return;
            }
            // If it cannot, the next whole content puts it there.
            let _ = fs::rename(beside_folder(empty), empty);
            folder = empty.parent();
        }
    }

    fn remove(&self, path: &Path) -> Result<(), MirrorError> {
        fs::remove_file(path).map_err(|e| self.failed("remove", path, e))
    }

    fn failed(&self, what: &'static str, path: &Path, error: io::Error) -> MirrorError {
        failed(&self.flag, what, path, error)
    }
}

/// Whether this file is that of a kept entry whose plain name is a folder.
fn stands_beside(path: &Path, kept: &BTreeSet<PathBuf>) -> bool {
    let plain = path
        .as_os_str()
        .as_bytes()
        .strip_suffix(BESIDE_FOLDER.as_bytes())
        .map(|plain| Path::new(OsStr::from_bytes(plain)));
    plain.is_some_and(|plain| kept.contains(plain) && is_real_folder(plain))
}

fn is_real_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|facts| facts.is_dir())
}

/// There is something, and it is a file or a link.
fn is_no_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|facts| !facts.is_dir())
}

fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NAMETOOLONG.raw_os_error())
}

fn beside_folder(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BESIDE_FOLDER);
    PathBuf::from(name)
}

fn failed(flag: &str, what: &'static str, path: &Path, error: io::Error) -> MirrorError {
    MirrorError::Io {
        flag: flag.to_owned(),
        what,
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
