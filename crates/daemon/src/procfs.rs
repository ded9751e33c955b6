//! What Linux tells about this process and machine under `/proc` and `/sys`.
//!
//! Every function answers with an empty or zero value where the system says nothing: a page that
//! shows such facts must never fail because of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{LazyLock, Mutex, PoisonError};

use jiff::Zoned;

/// A `Name: value` file such as `/proc/self/status`, as pairs.
pub fn fields(path: &str) -> Vec<(String, String)> {
    let text = read(path);
    let pair = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// A field in kB of such a file, in bytes.
pub fn bytes(fields: &[(String, String)], name: &str) -> u64 {
    let value = fields
        .iter()
        .find(|(field, _)| field == name)
        .map_or("", |(_, value)| value);
    let number = value.split_ascii_whitespace().next().unwrap_or_default();
    number.parse::<u64>().unwrap_or(0).saturating_mul(1024)
}

/// The whole of a small file, "" if it cannot be read.
pub fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The choice in brackets in a file like `always [madvise] never`, or the file as it is.
pub fn chosen(path: &str) -> String {
    let text = read(path);
    let inner = text
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    inner.map_or(text.trim(), |(choice, _)| choice).to_owned()
}

/// When this program asked first; call early.
pub fn start_time() -> &'static Zoned {
    static START: LazyLock<Zoned> = LazyLock::new(Zoned::now);
    &START
}

/// A thread of this process.
#[derive(Clone, Debug, PartialEq)]
pub struct Thread {
    /// Its name, at most 15 bytes.
    pub name: String,
    /// The group, which is the name without a number at its end.
    pub group: String,
    /// The system's id.
    pub id: u32,
    /// Seconds in user mode.
    pub user_s: f64,
    /// Seconds in the kernel.
    pub kernel_s: f64,
    /// Seconds waiting for the disk.
    pub iowait_s: f64,
}

/// All threads, by id.
pub fn threads() -> Vec<Thread> {
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let ids = tasks.filter_map(|task| task.file_name().to_str()?.parse().ok());
    let mut threads: Vec<Thread> = ids.filter_map(thread).collect();
    threads.sort_unstable_by_key(|thread| thread.id);
    CREATED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .see(&threads);
    threads
}

fn thread(id: u32) -> Option<Thread> {
    let stat = fs::read_to_string(format!("/proc/self/task/{id}/stat")).ok()?;
    // The name is in parentheses and may hold any character, so the last one closes it.
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let numbers: Vec<&str> = after.split_ascii_whitespace().collect();
    let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
    // Positions as in proc(5), counted from the state, which is field 3.
    let seconds = |field: usize| {
        numbers
            .get(field - 3)
            .and_then(|n| n.parse::<f64>().ok())
            .unwrap_or(0.0)
            / ticks
    };
    let group = name
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .trim_end_matches('-');
    let group = if group.is_empty() {
        name.clone()
    } else {
        group.to_owned()
    };
    let (user_s, kernel_s, iowait_s) = (seconds(14), seconds(15), seconds(42));
    Some(Thread {
        name,
        group,
        id,
        user_s,
        kernel_s,
        iowait_s,
    })
}

/// Threads seen so far by group. One that came and went between two looks is not counted.
pub fn threads_created() -> BTreeMap<String, u64> {
    CREATED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .by_group
        .clone()
}

static CREATED: Mutex<Created> = Mutex::new(Created {
    alive: BTreeSet::new(),
    by_group: BTreeMap::new(),
});

struct Created {
    alive: BTreeSet<u32>,
    by_group: BTreeMap<String, u64>,
}

impl Created {
    fn see(&mut self, threads: &[Thread]) {
        for thread in threads
            .iter()
            .filter(|thread| !self.alive.contains(&thread.id))
        {
            *self.by_group.entry(thread.group.clone()).or_default() += 1;
        }
        self.alive = threads.iter().map(|thread| thread.id).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_threads() {
        let status = fields("/proc/self/status");
        assert!(bytes(&status, "VmRSS") > 0);
        assert_eq!(bytes(&status, "NoSuchField"), 0);
        let spawned = std::thread::Builder::new().name("web-7".to_owned());
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let handle = spawned.spawn(move || wait.recv());
        let start = std::time::Instant::now();
        // The thread names itself after it starts.
        while !threads()
            .iter()
            .any(|thread| thread.name == "web-7" && thread.group == "web")
        {
            assert!(start.elapsed().as_secs() < 20, "no thread named web-7");
        }
        assert!(threads_created().values().sum::<u64>() >= 2);
        drop(stop);
        drop(handle);
    }

    #[test]
    fn what_does_not_exist_is_empty() {
        assert_eq!(read("/proc/no/such"), "");
        assert_eq!(chosen("/proc/no/such"), "");
        assert!(fields("/proc/no/such").is_empty());
    }
}
