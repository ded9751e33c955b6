//! One severity's file: its name, its link, its size, its older brothers.
//!
//! Invariant: the file in use is never removed, and a new file is never opened over an old one
//! (a second rotation within one second appends to the file of that second).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::LogConfig;
use super::format::{Clock, Severity};

/// What is the same in the names of all files of this process.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    dir: PathBuf,
    /// `<program>.<host>.<user>.log`
    stem: String,
    link_name: String,
    pid: i32,
    clock: Clock,
    max_size: u64,
    max_files: i32,
    match_pid: bool,
}

impl Naming {
    pub(super) fn new(config: &LogConfig, clock: Clock) -> Self {
        // A host name is not ours to trust with the choice of a folder.
        let host = config.host.replace('/', "_");
        Naming {
            dir: config.dir.clone(),
            stem: format!("{}.{host}.{}.log", config.program, user()),
            link_name: config.link_name.clone(),
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            clock,
            max_size: config.max_size,
            max_files: config.max_files,
            match_pid: config.match_pid,
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn link_name(&self) -> &str {
        &self.link_name
    }

    fn file_name(&self, severity: Severity, time: &str) -> String {
        format!("{}.{}.{time}.{}", self.stem, severity.name(), self.pid)
    }

    /// Time part of a file name, to the second.
    fn time(&self) -> String {
        self.clock.now().strftime("%Y%m%d-%H%M%S").to_string()
    }

    /// Points `<log_filename>.<SEVERITY>` at `file_name`, in one step.
    fn link(&self, severity: Severity, file_name: &str) -> io::Result<()> {
        let link = self
            .dir
            .join(format!("{}.{}", self.link_name, severity.name()));
        let fresh = self.dir.join(format!(
            ".{}.{}.{}",
            self.link_name,
            severity.name(),
            self.pid
        ));
        let _ = fs::remove_file(&fresh);
        symlink(file_name, &fresh)?;
        fs::rename(&fresh, &link)
    }

    /// Removes the oldest files of this severity beyond the limit.
    fn remove_old(&self, severity: Severity, current: &str) {
        let Ok(keep) = usize::try_from(self.max_files) else {
            return;
        };
        if keep <= 1 {
            return;
        }
        let prefix = format!("{}.{}.", self.stem, severity.name());
        let suffix = format!(".{}", self.pid);
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(&prefix) && name != current)
            .filter(|name| !self.match_pid || name.ends_with(&suffix))
            .collect();
        // Behind the common prefix comes the time, so names sort by age.
        names.sort_unstable_by(|a, b| b.cmp(a));
        for name in names.iter().skip(keep - 1) {
            let _ = fs::remove_file(self.dir.join(name));
        }
    }
}

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    severity: Severity,
    file: File,
    path: PathBuf,
    time: String,
    size: u64,
    /// The last line is not whole: the disk was full.
    torn: bool,
    /// Why there is no link to it.
    unlinked: Option<io::Error>,
}

impl LogFile {
    pub(super) fn create(naming: &Naming, severity: Severity) -> io::Result<Self> {
        let time = naming.time();
        let name = naming.file_name(severity, &time);
        let path = naming.dir.join(&name);
        // In a folder that everybody may write to, a link in our way could lead anywhere.
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let mut options = OpenOptions::new();
        let file = options
            .append(true)
            .create(true)
            .custom_flags(flags)
            .open(&path)?;
        let size = file.metadata()?.len();
        // A missing link or an undeletable old file is a nuisance, not a reason to lose the log.
        let unlinked = naming.link(severity, &name).err();
        naming.remove_old(severity, &name);
        Ok(LogFile {
            severity,
            file,
            path,
            time,
            size,
            torn: false,
            unlinked,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Once: why there is no link to it.
    pub(super) fn unlinked(&mut self) -> Option<io::Error> {
        self.unlinked.take()
    }

    /// A successor, when this one is full or was removed, and the clock gives it another name.
    pub(super) fn rotated(&self, naming: &Naming) -> Option<io::Result<Self>> {
        let due = self.size >= naming.max_size || self.is_removed();
        (due && naming.time() != self.time).then(|| Self::create(naming, self.severity))
    }

    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|meta| meta.nlink() == 0)
    }

    /// Writes whole lines. What follows half a line begins on a line of its own.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.write_bytes(b"\n")?;
        }
        self.write_bytes(lines)
    }

    fn write_bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.size += written as u64;
                    self.torn = bytes[written - 1] != b'\n';
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The name of the user whose process this is, or the number if it has none.
fn user() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

#[cfg(test)]
impl LogFile {
    pub(super) fn replace_for_test(&mut self, file: File) {
        self.file = file;
    }
}
