//! What the system says of processes and of itself: CPU, memory, files, load.
//!
//! All of it comes from `/proc`, so that a figure is what an operator would see. Deliberately
//! absent: anything that the measured process says of itself.

use crate::failure::Failure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs a program in a session of its own, as a service manager does. Within a session the kernel
/// shares out CPU as if it were one program: what burns some of it would take it from the others.
pub(crate) fn session_of(program: &Path) -> Command {
    let mut command = Command::new("setsid"); // of util-linux; it becomes the program
    command.arg(program);
    command
}

/// Where a program is, if it is installed.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&folders).map(|folder| folder.join(name));
    all.find(|program| program.is_file())
}

/// Another process, or this one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn new(id: u32) -> Self {
        Self(id)
    }

    pub(crate) fn this() -> Self {
        Self(std::process::id())
    }

    /// User and system time of all its threads so far, in seconds.
    pub(crate) fn cpu(self) -> Result<f64, Failure> {
        self.seconds(&[14, 15])
    }

    /// The same, with that of all processes that it has started and seen end.
    pub(crate) fn cpu_with_ended(self) -> Result<f64, Failure> {
        self.seconds(&[14, 15, 16, 17])
    }

    /// CPU of the threads that live, to the nanosecond; one that ends takes its part away.
    pub(crate) fn cpu_of_threads(self) -> Result<f64, Failure> {
        let path = format!("/proc/{}/task", self.0);
        let threads = fs::read_dir(&path).map_err(Failure::io(format!("read {path}")))?;
        let nanoseconds = threads.flatten().filter_map(|thread| -> Option<f64> {
            // Whoever has ended meanwhile has none.
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_ascii_whitespace().next()?.parse().ok()
        });
        Ok(nanoseconds.sum::<f64>() / 1e9)
    }

    /// The sum of these fields of `/proc/PID/stat`.
    fn seconds(self, fields: &[usize]) -> Result<f64, Failure> {
        let stat = self.file("stat")?;
        // The name is in parentheses and may hold spaces; the state follows it as field 3.
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let field = |n: &usize| -> f64 {
            let text = after.split_ascii_whitespace().nth(n - 3);
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        let ticks: f64 = fields.iter().map(field).sum();
        Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Resident memory in bytes.
    pub(crate) fn rss(self) -> Result<f64, Failure> {
        Ok(self.status("VmRSS:")? * 1024.0)
    }

    /// The highest resident memory since the start or [`forget_peak`](Self::forget_peak), in
    /// bytes.
    pub(crate) fn peak_rss(self) -> Result<f64, Failure> {
        Ok(self.status("VmHWM:")? * 1024.0)
    }

    /// Lets the peak begin anew, where the system allows it.
    pub(crate) fn forget_peak(self) {
        // Without this right the peak is that of the whole run, which is only less kind to us.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.0), "5");
    }

    pub(crate) fn threads(self) -> Result<f64, Failure> {
        self.status("Threads:")
    }

    pub(crate) fn open_files(self) -> Result<f64, Failure> {
        let path = format!("/proc/{}/fd", self.0);
        let list = fs::read_dir(&path).map_err(Failure::io(format!("read {path}")))?;
        Ok(list.count() as f64)
    }

    fn status(self, name: &str) -> Result<f64, Failure> {
        let status = self.file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_ascii_whitespace().next());
        Ok(number.and_then(|n| n.parse().ok()).unwrap_or_default())
    }

    fn file(self, name: &str) -> Result<String, Failure> {
        let path = format!("/proc/{}/{name}", self.0);
        fs::read_to_string(&path).map_err(Failure::io(format!("read {path}")))
    }
}

/// Seconds in which any core did anything, since boot.
pub(crate) fn busy() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|i| ticks.get(*i));
    busy.sum::<f64>() / rustix::param::clock_ticks_per_second() as f64
}

/// Seconds that the kernel's own network threads have worked, since boot.
pub(crate) fn network() -> f64 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let network = ids.map(Process::new).filter(|process| {
        let name = process.file("comm").unwrap_or_default();
        name.starts_with("ksoftirqd")
    });
    network.filter_map(|process| process.cpu().ok()).sum()
}

/// Waits until the cores have idled for some seconds, at most `limit`.
pub(crate) async fn wait_quiet(limit: Duration) {
    const LOOK: Duration = Duration::from_secs(1);
    const QUIET: f64 = 0.05;
    const LONG_ENOUGH: u32 = 5;
    let start = Instant::now();
    let mut quiet = 0;
    while quiet < LONG_ENOUGH && start.elapsed() < limit {
        let before = busy();
        tokio::time::sleep(LOOK).await;
        let share = (busy() - before) / LOOK.as_secs_f64() / cores() as f64;
        quiet = if share < QUIET { quiet + 1 } else { 0 };
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Raises the limit of open files as far as allowed; how many that are.
pub(crate) fn open_files_allowed() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

/// Lines about the machine, for the report.
pub(crate) fn description() -> Vec<(&'static str, String)> {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse::<f64>().ok())
        .unwrap_or_default();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        ("Cores", format!("{} ({cpu})", cores())),
        ("Memory", format!("{:.0} GB", memory * 1024.0 / 1e9)),
        ("Kernel", format!("Linux {}", kernel.trim())),
        ("Compiler", compiler()),
        (
            "Commit",
            said_by("git", &["describe", "--always", "--dirty"]),
        ),
        ("Open files allowed", open_files_allowed().to_string()),
    ]
}

pub(crate) fn compiler() -> String {
    said_by("rustc", &["--version"])
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}
