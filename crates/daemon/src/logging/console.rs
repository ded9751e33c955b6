//! [`Console`]: where standard error led before the log took it.
//!
//! Once standard error is the ERROR file, what goes wrong with the log itself would be told to a
//! file that cannot be written. This keeps the way back to whoever started the process.
//!
//! Invariant: telling never waits. A pipe is given up once the start is over: a shell that reads
//! it would wait for its end for as long as the daemon lives.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};

#[derive(Debug)]
pub(super) struct Console {
    file: Option<File>,
}

impl Console {
    /// Standard error as it is now.
    pub(super) fn of_stderr() -> Self {
        let copy = std::io::stderr().as_fd().try_clone_to_owned();
        Console {
            file: copy.ok().map(File::from),
        }
    }

    /// Writes one line, unless nobody takes it at once.
    pub(super) fn tell(&mut self, line: &str) {
        let Some(file) = &mut self.file else { return };
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut asked = [PollFd::new(file, PollFlags::OUT)];
        if poll(&mut asked, Some(&at_once)).is_ok_and(|ready| ready > 0) {
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// The start is over. Terminals, files and the journal stay, and what a container reads.
    pub(super) fn started(&mut self) {
        let keeps = |file: &File| {
            let kind = fstat(file).map(|stat| FileType::from_raw_mode(stat.st_mode));
            !matches!(kind, Ok(FileType::Fifo | FileType::Socket))
        };
        let supervised = std::env::var_os("JOURNAL_STREAM").is_some() || std::process::id() == 1;
        if !supervised {
            self.file.take_if(|file| !keeps(file));
        }
    }
}

#[cfg(test)]
impl Console {
    pub(super) fn replace_for_test(&mut self, file: File) {
        self.file = Some(file);
    }
}
