//! Where lines go: up to four files, or stderr, with a little memory in front of each file.
//!
//! A message goes to the file of its severity and to those of all lower ones, so the INFO file
//! tells the whole story. Buffers are bounded; what cannot be written is counted and dropped, the
//! console is told when that begins, and the log itself when it ends.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::LogConfig;
use super::console::Console;
use super::file::{LogFile, Naming};
use super::format::Severity;

/// A buffer is written out when it is this large, whatever its age.
const MAX_BUFFER: usize = 256 * 1024;

/// A disk that is full now and then is told of only so often.
const TELL_PERIOD: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Sinks {
    /// `None`: stderr only.
    naming: Option<Naming>,
    also_stderr: bool,
    /// By severity; opened at the first message, INFO at the start.
    slots: [Slot; 4],
    buffer_level: i32,
    rest: Option<Duration>,
    /// No attempt to write before this moment, after a full disk.
    resting_until: Option<Instant>,
    redirected: bool,
    /// Where standard error led at the start.
    console: Console,
    told: Option<Instant>,
    /// Lines lost in all, and before the present trouble.
    lost: u64,
    lost_before: u64,
}

#[derive(Debug, Default)]
struct Slot {
    file: Option<LogFile>,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    lines: u64,
    /// The last attempt to write failed.
    fails: bool,
}

impl Sinks {
    /// Opens the INFO file, which proves that the folder can be written to.
    pub(super) fn open(config: &LogConfig, naming: Naming) -> io::Result<Self> {
        let mut sinks = Sinks {
            naming: (!config.stderr_only).then_some(naming),
            also_stderr: config.also_stderr,
            slots: Default::default(),
            buffer_level: config.buffer_level,
            rest: config.rest_when_full.then_some(config.buffer_time),
            resting_until: None,
            redirected: false,
            console: Console::of_stderr(),
            told: None,
            lost: 0,
            lost_before: 0,
        };
        if let Some(naming) = &sinks.naming {
            sinks.slots[0].file = Some(LogFile::create(naming, Severity::Info)?);
        }
        Ok(sinks)
    }

    /// Sends stdout to the INFO file and stderr to the ERROR file, now and after each rotation.
    pub(super) fn redirect(&mut self) -> io::Result<()> {
        if let Some(naming) = &self.naming {
            let error = &mut self.slots[Severity::Error as usize];
            if error.file.is_none() {
                error.file = Some(LogFile::create(naming, Severity::Error)?);
            }
            self.redirected = true;
            self.point_streams()?;
        }
        Ok(())
    }

    pub(super) fn write(&mut self, severity: Severity, line: &str) {
        if self.naming.is_none() || self.also_stderr {
            let _ = io::stderr().write_all(line.as_bytes());
        }
        if self.naming.is_none() {
            return;
        }
        let urgent = severity as i32 > self.buffer_level;
        for slot in 0..=severity as usize {
            self.slots[slot].buffer.extend_from_slice(line.as_bytes());
            self.slots[slot].lines += 1;
            if urgent || self.slots[slot].buffer.len() >= MAX_BUFFER {
                self.flush_slot(slot);
            }
        }
    }

    pub(super) fn flush(&mut self) {
        for slot in 0..self.slots.len() {
            self.flush_slot(slot);
        }
    }

    pub(super) fn info_path(&self) -> Option<PathBuf> {
        self.slots[0]
            .file
            .as_ref()
            .map(|file| file.path().to_owned())
    }

    pub(super) fn lost_lines(&self) -> u64 {
        self.lost
    }

    pub(super) fn has_files(&self) -> bool {
        self.naming.is_some()
    }

    pub(super) fn console(&mut self) -> &mut Console {
        &mut self.console
    }

    /// How many lines are missing, once the file that has all of them can be written again.
    pub(super) fn recovered(&mut self) -> Option<u64> {
        let lost = self.lost - self.lost_before;
        if lost == 0 || self.slots[0].fails {
            return None;
        }
        self.lost_before = self.lost;
        Some(lost)
    }

    fn flush_slot(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if slot.buffer.is_empty() {
            return;
        }
        let now = self.rest.map(|_| Instant::now());
        let resting = self
            .resting_until
            .is_some_and(|until| now.is_some_and(|now| now < until));
        let result = if resting {
            None
        } else {
            Some(self.try_flush(index))
        };
        let slot = &mut self.slots[index];
        let lines = std::mem::take(&mut slot.lines);
        slot.buffer.clear();
        match result {
            Some(Ok(())) => {
                slot.fails = false;
                self.resting_until = None;
            }
            Some(Err(error)) => {
                slot.fails = true;
                self.lost += lines;
                self.resting_until = self.rest.and_then(|rest| Instant::now().checked_add(rest));
                self.tell(&error);
            }
            None => self.lost += lines,
        }
    }

    /// Says once in a while that lines are lost.
    fn tell(&mut self, error: &io::Error) {
        if self.told.is_some_and(|told| told.elapsed() < TELL_PERIOD) {
            return;
        }
        self.told = Some(Instant::now());
        if let Some(naming) = &self.naming {
            let dir = naming.dir().display();
            self.console.tell(&format!(
                "WARNING: the log in --log_dir={dir} cannot be written: {error}; lines are lost"
            ));
        }
    }

    fn try_flush(&mut self, index: usize) -> io::Result<()> {
        let Some(naming) = &self.naming else {
            return Ok(());
        };
        let slot = &mut self.slots[index];
        let mut rotated = false;
        let file = match &mut slot.file {
            Some(file) => {
                // Keeping the full file is better than having none.
                if let Some(Ok(fresh)) = file.rotated(naming) {
                    *file = fresh;
                    rotated = true;
                }
                file
            }
            empty => empty.insert(LogFile::create(naming, Severity::ALL[index])?),
        };
        file.write(&slot.buffer)?;
        if rotated && self.redirected {
            self.point_streams()?;
        }
        Ok(())
    }

    fn point_streams(&self) -> io::Result<()> {
        if let Some(info) = &self.slots[Severity::Info as usize].file {
            rustix::stdio::dup2_stdout(info.file())?;
        }
        if let Some(error) = &self.slots[Severity::Error as usize].file {
            rustix::stdio::dup2_stderr(error.file())?;
        }
        Ok(())
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
impl Sinks {
    /// Lets a test write the INFO log to any file, for instance to a full device.
    pub(super) fn replace_info_for_test(&mut self, file: std::fs::File) {
        if let Some(info) = &mut self.slots[0].file {
            info.replace_for_test(file);
        }
    }
}
