//! Where lines go: up to four files, or stderr. Only the thread that writes waits here.
//!
//! A message goes to the file of its severity and to those of all lower ones, so the INFO file
//! tells the whole story. What cannot be written is counted and dropped, the console is told when
//! that begins, and the log itself when it ends.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::LogConfig;
use super::console::Console;
use super::file::{LogFile, Naming};
use super::format::Severity;
use super::lock;
use super::queue::Batch;

/// So many bytes at most are put together for one write.
const MAX_WRITE: usize = 256 * 1024;

/// A disk that is full now and then is told of only so often.
const TELL_PERIOD: Duration = Duration::from_secs(60);

/// What the console is told of, each on its own.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    LinesLost,
    NotRotated,
    NoLink,
}

#[derive(Debug)]
pub(super) struct Sinks {
    /// `None`: stderr only.
    naming: Option<Naming>,
    also_stderr: bool,
    /// By severity; opened at the first message, INFO at the start.
    slots: [Slot; 4],
    rest: Option<Duration>,
    /// No attempt to write before this moment, after a full disk.
    resting_until: Option<Instant>,
    redirected: bool,
    /// Where standard error led at the start.
    console: Arc<Mutex<Console>>,
    /// By trouble.
    told: [Option<Instant>; 3],
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
    pub(super) fn open(
        config: &LogConfig,
        naming: Naming,
        console: Arc<Mutex<Console>>,
    ) -> io::Result<Self> {
        let mut sinks = Sinks {
            naming: (!config.stderr_only).then_some(naming),
            also_stderr: config.also_stderr,
            slots: Default::default(),
            rest: config.rest_when_full.then_some(config.buffer_time),
            resting_until: None,
            redirected: false,
            console,
            told: [None; 3],
            lost: 0,
            lost_before: 0,
        };
        sinks.create(Severity::Info)?;
        Ok(sinks)
    }

    /// Sends stdout to the INFO file and stderr to the ERROR file, now and after each rotation.
    pub(super) fn redirect(&mut self) -> io::Result<()> {
        if self.naming.is_some() {
            self.create(Severity::Error)?;
            self.redirected = true;
            self.point_streams()?;
        }
        Ok(())
    }

    /// Opens the file of this severity if there is to be one and is none.
    fn create(&mut self, severity: Severity) -> io::Result<()> {
        let slot = severity as usize;
        if let Some(naming) = &self.naming
            && self.slots[slot].file.is_none()
        {
            let fresh = LogFile::create(naming, severity)?;
            self.put(slot, fresh);
        }
        Ok(())
    }

    fn put(&mut self, slot: usize, mut fresh: LogFile) {
        let unlinked = fresh.unlinked();
        self.slots[slot].file = Some(fresh);
        if let Some(error) = unlinked {
            self.tell(Trouble::NoLink, &error);
        }
    }

    /// Writes whole lines, in order; each file is written before this returns.
    pub(super) fn write(&mut self, batch: Batch) {
        if self.naming.is_none() || self.also_stderr {
            for (_, line) in &batch.lines {
                let written = io::stderr().write_all(line.as_bytes());
                self.lost += u64::from(written.is_err() && self.naming.is_none());
            }
        }
        self.lost += batch.lost;
        if self.naming.is_none() {
            return;
        }
        for (severity, line) in &batch.lines {
            for slot in 0..=*severity as usize {
                self.slots[slot].buffer.extend_from_slice(line.as_bytes());
                self.slots[slot].lines += 1;
                if self.slots[slot].buffer.len() >= MAX_WRITE {
                    self.flush_slot(slot);
                }
            }
        }
        (0..self.slots.len()).for_each(|slot| self.flush_slot(slot));
    }

    pub(super) fn info_path(&self) -> Option<PathBuf> {
        self.slots[0]
            .file
            .as_ref()
            .map(|file| file.path().to_owned())
    }

    /// Lines that are missing and were not told of.
    pub(super) fn missing(&self) -> Option<u64> {
        let lost = self.lost - self.lost_before;
        (lost > 0).then_some(lost)
    }

    /// Writes the line that tells of missing ones, which is none of them if it fails as well.
    pub(super) fn mourn(&mut self, line: String) {
        let lost = self.lost;
        self.write(Batch {
            lines: vec![(Severity::Warning, line)],
            lost: 0,
        });
        self.lost = lost;
        if self.naming.is_none() || !self.slots[Severity::Info as usize].fails {
            self.lost_before = lost;
        }
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
                self.tell(Trouble::LinesLost, &error);
            }
            None => self.lost += lines,
        }
    }

    /// Says once in a while what is wrong.
    fn tell(&mut self, trouble: Trouble, error: &io::Error) {
        let told = &mut self.told[trouble as usize];
        if told.is_some_and(|told| told.elapsed() < TELL_PERIOD) {
            return;
        }
        *told = Some(Instant::now());
        let Some(naming) = &self.naming else { return };
        let dir = naming.dir().display();
        let text = match trouble {
            Trouble::LinesLost => format!("cannot be written: {error}; lines are lost"),
            Trouble::NotRotated => {
                format!("cannot be rotated: {error}; lines go on into the file that is open")
            }
            Trouble::NoLink => format!(
                "has no links --log_filename={} to its files: {error}",
                naming.link_name()
            ),
        };
        let text = format!("WARNING: the log in --log_dir={dir} {text}");
        lock(&self.console).tell(&text);
    }

    fn try_flush(&mut self, index: usize) -> io::Result<()> {
        let Some(naming) = &self.naming else {
            return Ok(());
        };
        let file = self.slots[index].file.as_ref();
        let fresh = file.and_then(|file| file.rotated(naming));
        let rotated = matches!(fresh, Some(Ok(_)));
        match fresh {
            Some(Ok(fresh)) => self.put(index, fresh),
            // Keeping the full file is better than having none.
            Some(Err(error)) => self.tell(Trouble::NotRotated, &error),
            None => self.create(Severity::ALL[index])?,
        }
        let slot = &mut self.slots[index];
        if let Some(file) = &mut slot.file {
            file.write(&slot.buffer)?;
        }
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

#[cfg(test)]
impl Sinks {
    /// Lines that could not be written since the start.
    pub(super) fn lost_lines_for_test(&self) -> u64 {
        self.lost
    }

    /// Lets a test write the INFO log to any file, for instance to a full device.
    pub(super) fn replace_info_for_test(&mut self, file: std::fs::File) {
        if let Some(info) = &mut self.slots[0].file {
            info.replace_for_test(file);
        }
    }
}
