//! Real processes that the demonstration starts, watches and kills.
//!
//! Every process gets a folder of its own for its logs; what it prints is read line by line with
//! the moment of arrival, so that "who learned it when" can be told afterwards.
//! Invariant: no process outlives its [`Process`]; only processes started here are ever killed.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Failure;

/// A running process.
pub(crate) struct Process {
    name: String,
    child: Child,
    folder: PathBuf,
    lines: Lines,
    killed: bool,
}

/// The last lines that it printed, with the moment at which each came.
type Lines = Arc<Mutex<VecDeque<(Instant, String)>>>;

/// How many lines are kept: more than it prints during a scene.
const KEPT: usize = 10_000;

impl Process {
    /// Starts `program` with `args`; its logs go to `folder`.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        folder: &Path,
        args: &[String],
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|e| Failure::io("create", folder, e))?;
        let stderr_path = folder.join("stderr.txt");
        let stderr =
            File::create(&stderr_path).map_err(|e| Failure::io("create", &stderr_path, e))?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // Ctrl-C is for this program alone; it ends the others itself, in its own order.
            .process_group(0)
            .spawn()
            .map_err(|e| Failure::io("start", program, e))?;
        let lines = Lines::default();
        if let Some(stdout) = child.stdout.take() {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let arrived = (Instant::now(), line);
                    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                    if lines.len() == KEPT {
                        lines.pop_front();
                    }
                    lines.push_back(arrived);
                }
            });
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            folder: folder.to_owned(),
            lines,
            killed: false,
        })
    }

    /// How it is called in what the demonstration says.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash would (SIGKILL), and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // Both fail only if it is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.killed = true;
    }

    /// Halts it (SIGSTOP), or lets it go on (SIGCONT).
    pub(crate) fn halt(&self, halt: bool) -> Result<(), Failure> {
        use rustix::process::{Pid, Signal, kill_process};
        let signal = if halt { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|e| Failure::io("signal", Path::new(&self.name), e.into()))
    }

    /// True if there is no such process any more.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.killed || matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// An error if it has ended by itself.
    pub(crate) fn expect_alive(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            _ if self.killed => Ok(()),
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Failure::Ended {
                name: self.name.clone(),
                status: status.to_string(),
                stderr: fs::read_to_string(self.folder.join("stderr.txt")).unwrap_or_default(),
                logs: self.folder.clone(),
            }),
            Err(e) => Err(Failure::io("wait for", &self.folder, e)),
        }
    }

    /// The first line printed after `since` that `wanted` accepts, and when it came.
    pub(crate) fn line_since(
        &self,
        since: Instant,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<(Instant, String)> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .rev()
            .take_while(|(at, _)| *at >= since)
            .filter(|(_, l)| wanted(l))
            .last()
            .cloned()
    }

    /// The text of its INFO log, empty until there is one.
    pub(crate) fn log(&self, program: &str) -> String {
        fs::read_to_string(self.folder.join(format!("{program}.INFO"))).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Looks again and again until `look` finds something, at most for `limit`.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + limit;
    loop {
        expect_no_interrupt()?;
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(Failure::TooLate {
                what: what.to_owned(),
                limit,
            });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C, SIGTERM and a terminal that closes end the demonstration at its next look,
/// so that it can end its processes and remove its folders.
pub(crate) fn watch_for_interrupt() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |e| Failure::io("watch signals for", Path::new("this program"), e);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(failed)?;
    drop(entered);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            INTERRUPTED.store(true, Ordering::Relaxed);
        });
    });
    Ok(())
}

/// An error once Ctrl-C was pressed.
pub(crate) fn expect_no_interrupt() -> Result<(), Failure> {
    match INTERRUPTED.load(Ordering::Relaxed) {
        true => Err(Failure::Interrupted),
        false => Ok(()),
    }
}
