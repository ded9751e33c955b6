//! Log files in glog's format, fed by `tracing` (flags.md section 9).
//!
//! ```text
//!   tracing::warn!(..) -> layer (severity, verbosity, text) -> queue
//!                              queue -> thread "log" -> sinks -> WARNING file
//!                                                            `-> INFO file
//! ```
//!
//! error/warn/info are E/W/I; debug is verbosity 1; trace is verbosity 3. Fatal lines come from
//! [`Logging::fatal`] only.
//!
//! Deliberately not here: spans (they are ignored), minidumps, copies of messages on stderr by
//! severity (`--stderrthreshold`, which the reference forces off too).
//!
//! Invariants: one event is one line of at most [`format::MAX_LINE`] bytes with no control
//! character in it, so nothing logged can pass for another line; a log that cannot be written
//! costs lines, never the process, and one that is slow delays nobody who logs.

mod console;
mod file;
pub mod format;
mod layer;
mod queue;
mod sinks;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;

use crate::flags::Flags;
use console::Console;
use file::Naming;
use format::{Clock, Severity, Style};
use layer::Verbosity;
use queue::{Batch, Queue};
use sinks::Sinks;

/// The thread that writes.
const WRITER: &str = "log";

/// How long the end of a process, and a page, wait for the log.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// Where and how to log; usually [`LogConfig::from_flags`].
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Program name, first part of each file name.
    pub program: String,
    /// Host name, second part.
    pub host: String,
    /// Folder of the files.
    pub dir: PathBuf,
    /// Name of the links to the current files.
    pub link_name: String,
    /// Standard error instead of files.
    pub stderr_only: bool,
    /// Standard error beside files.
    pub also_stderr: bool,
    /// Send the process' own stdout and stderr into the INFO and ERROR file.
    pub redirect: bool,
    /// Starting verbosity.
    pub verbosity: i32,
    /// `pattern=level,...`
    pub vmodule: String,
    /// 0 INFO to 3 FATAL; lower ones are dropped.
    pub min_severity: i32,
    /// Messages up to this severity wait in memory.
    pub buffer_level: i32,
    /// For how long they wait at most.
    pub buffer_time: Duration,
    /// Rotation limit in bytes.
    pub max_size: u64,
    /// Files kept per severity; 1 or less keeps all.
    pub max_files: i32,
    /// Remove only files of this process.
    pub match_pid: bool,
    /// Line prefix at all.
    pub prefix: bool,
    /// Year in the prefix.
    pub year: bool,
    /// UTC instead of local time.
    pub utc: bool,
    /// After a full disk, rest for `buffer_time` before trying again.
    pub rest_when_full: bool,
}

impl LogConfig {
    /// Reads [`crate::flags::tables::LOGGING`].
    pub fn from_flags(flags: &Flags, program: &str, host: &str) -> Self {
        let redirect = flags.bool("redirect_stdout_stderr");
        let or = |text: &str, default: &str| match text {
            "" => default.to_owned(),
            text => text.to_owned(),
        };
        LogConfig {
            program: program.to_owned(),
            host: host.to_owned(),
            dir: or(flags.str("log_dir"), "/tmp").into(),
            link_name: or(flags.str("log_filename"), program),
            stderr_only: flags.bool("logtostderr") && !redirect,
            also_stderr: flags.bool("alsologtostderr") && !redirect,
            redirect,
            verbosity: flags.i32("v"),
            vmodule: flags.str("vmodule").to_owned(),
            min_severity: flags.i32("minloglevel"),
            buffer_level: flags.i32("logbuflevel"),
            buffer_time: Duration::from_secs(flags.i32("logbufsecs").max(0).unsigned_abs().into()),
            max_size: u64::from(flags.u32("max_log_size").max(1)) << 20,
            max_files: flags.i32("max_log_files"),
            match_pid: flags.bool("log_rotation_match_pid"),
            prefix: flags.bool("log_prefix"),
            year: flags.bool("log_year_in_prefix"),
            utc: flags.bool("log_utc_time"),
            rest_when_full: flags.bool("stop_logging_if_full_disk"),
        }
    }
}

/// Why logging did not start: the operator's to mend, exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The folder does not exist or is not ours to write to.
    #[error("Could not open file in log_dir {}: {source}", .dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// stdout or stderr could not be sent to the log files.
    #[error("Could not redirect stdout and stderr to the log files: {0}")]
    Redirect(io::Error),
    /// `--vmodule` has a part that is not `pattern=level`.
    #[error("Bad part '{0}' in vmodule: expected pattern=level")]
    Vmodule(String),
    /// The system gives no thread.
    #[error("no thread to write the log: {0}")]
    Thread(io::Error),
    /// Somebody else installed a `tracing` subscriber before.
    #[error("logging is already set up in this process")]
    Twice,
}

/// The running log. Clones share it.
#[derive(Clone, Debug)]
pub struct Logging {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Arc<Queue>,
    /// Held while a disk is written to: nobody but the writer may wait for it on the way of a
    /// heartbeat.
    sinks: Arc<Mutex<Sinks>>,
    console: Arc<Mutex<Console>>,
    verbosity: Verbosity,
    style: Style,
    /// Messages up to this severity wait for company.
    buffer_level: i32,
    to_files: bool,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // It catches its panics.
            let _ = writer.join();
        }
    }
}

/// The log that [`Logging::fatal`] and the panic hook write to.
static INSTALLED: OnceLock<Logging> = OnceLock::new();

impl Logging {
    /// Opens the files and makes this the log of the process, panics included.
    pub fn install(config: &LogConfig) -> Result<Self, LoggingError> {
        let logging = Self::open(config)?;
        tracing::subscriber::set_global_default(logging.subscriber())
            .map_err(|_| LoggingError::Twice)?;
        if config.redirect {
            logging.sinks().redirect().map_err(LoggingError::Redirect)?;
        }
        let _ = INSTALLED.set(logging.clone());
        std::panic::set_hook(Box::new(|panic| {
            if std::thread::current().name() == Some(WRITER) {
                return; // It cannot log what goes wrong with the log.
            }
            tracing::error!("{panic}");
            if let Some(logging) = INSTALLED.get() {
                logging.flush();
            }
        }));
        Ok(logging)
    }

    /// Opens the files; nothing is logged until a [`Logging::subscriber`] is put to use.
    pub fn open(config: &LogConfig) -> Result<Self, LoggingError> {
        let clock = Clock { utc: config.utc };
        let verbosity = Verbosity::new(config.verbosity, &config.vmodule, config.min_severity)
            .map_err(LoggingError::Vmodule)?;
        let naming = Naming::new(config, clock);
        let console = Arc::new(Mutex::new(Console::of_stderr()));
        let sinks = Sinks::open(config, naming, Arc::clone(&console));
        let sinks = sinks.map_err(|source| LoggingError::Folder {
            dir: config.dir.clone(),
            source,
        })?;
        let sinks = Arc::new(Mutex::new(sinks));
        let queue = Arc::new(Queue::default());
        let style = Style {
            prefix: config.prefix,
            year: config.year,
            clock,
        };
        let period = config.buffer_time.max(Duration::from_secs(1));
        let writer = write_in_background(&queue, &sinks, &console, (style, period));
        let shared = Shared {
            queue,
            sinks,
            console,
            verbosity,
            style,
            // Who reads standard error wants to see it now.
            buffer_level: match config.stderr_only || config.also_stderr {
                true => i32::MIN,
                false => config.buffer_level,
            },
            to_files: !config.stderr_only,
            writer: Some(writer.map_err(LoggingError::Thread)?),
        };
        Ok(Logging {
            shared: Arc::new(shared),
        })
    }

    /// What turns `tracing` events into lines of this log.
    pub fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        tracing_subscriber::registry().with(layer::Glog::new(self.clone()))
    }

    /// The verbosity now.
    pub fn verbosity(&self) -> i32 {
        self.shared.verbosity.level()
    }

    /// The verbosity the process started with.
    pub fn initial_verbosity(&self) -> i32 {
        self.shared.verbosity.initial()
    }

    /// Changes the verbosity for all events from now on.
    pub fn set_verbosity(&self, level: i32) {
        self.shared.verbosity.set(level);
        tracing::callsite::rebuild_interest_cache();
    }

    /// Whether there are files, not only standard error.
    pub fn has_files(&self) -> bool {
        self.shared.to_files
    }

    /// The current INFO file; `None` when the log goes to stderr only. Waits for a disk.
    pub fn info_file(&self) -> Option<PathBuf> {
        self.sinks().info_path()
    }

    /// Writes out what waits in memory. Gives up after five seconds: a disk can hang.
    pub fn flush(&self) {
        self.shared.queue.flush(FLUSH_LIMIT);
    }

    /// Tells whoever started the process what otherwise only stands in the log's files.
    pub fn tell_starter(&self, line: &str) {
        if self.has_files() {
            lock(&self.shared.console).tell(line);
        }
    }

    /// The start is over: writes out what waits, and lets go of a pipe that standard error was,
    /// since its reader may wait for the end of it.
    pub fn started(&self) {
        self.flush();
        lock(&self.shared.console).started();
    }

    /// Logs a FATAL line and aborts, as the reference does when it cannot serve (flags.md 9).
    #[track_caller]
    pub fn fatal(&self, message: &str) -> ! {
        let place = std::panic::Location::caller();
        let text = format!("{message}. Impalad exiting.");
        self.write(Severity::Fatal, place.file(), place.line(), &text);
        self.flush();
        std::process::abort()
    }

    fn write(&self, severity: Severity, file: &str, line: u32, message: &str) {
        let text = self.shared.style.line(severity, file, line, message);
        let urgent = severity as i32 > self.shared.buffer_level;
        self.shared.queue.push(severity, text, urgent);
    }

    fn sinks(&self) -> MutexGuard<'_, Sinks> {
        lock(&self.shared.sinks)
    }
}

/// The thread that writes, until the queue is closed and empty.
fn write_in_background(
    queue: &Arc<Queue>,
    sinks: &Arc<Mutex<Sinks>>,
    console: &Arc<Mutex<Console>>,
    (style, period): (Style, Duration),
) -> io::Result<JoinHandle<()>> {
    let (queue, sinks, console) = (Arc::clone(queue), Arc::clone(sinks), Arc::clone(console));
    let write = move || {
        while let Some(batch) = queue.take(period) {
            let lines = batch.lines.len();
            // Buffers and files are usable after a panic; without this thread all would be lost.
            let write = || write_batch(&mut lock(&sinks), batch, style);
            if catch_unwind(AssertUnwindSafe(write)).is_err() {
                let text = "ERROR: writing the log failed badly; lines of it are missing";
                lock(&console).tell(text);
            }
            queue.written(lines);
        }
        mourn(&mut lock(&sinks), style);
    };
    std::thread::Builder::new()
        .name(WRITER.to_owned())
        .spawn(write)
}

fn write_batch(sinks: &mut Sinks, batch: Batch, style: Style) {
    mourn(sinks, style);
    sinks.write(batch);
}

/// A log that can be written again first says what is missing in it.
fn mourn(sinks: &mut Sinks, style: Style) {
    if let Some(lost) = sinks.missing() {
        let text = format!("{lost} lines are missing above: the log could not be written");
        sinks.mourn(style.line(Severity::Warning, file!(), line!(), &text));
    }
}

/// A panic while logging leaves files and buffers usable, so a poisoned lock is no obstacle.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
