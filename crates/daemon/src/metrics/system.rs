//! The figures of the process itself, the same for every daemon (observability.md section 1).
//! Read anew for each look at a page; nothing is sampled in the background.

use super::{Group, Metric, Units};
use crate::procfs;

/// For the root group: start time and threads.
pub fn metrics() -> Vec<Metric> {
    let threads = procfs::threads().len();
    let created: u64 = procfs::threads_created().values().sum();
    vec![
        Metric::text(
            "process-start-time",
            format_nanos(procfs::start_time()),
            "The local start time of the process",
        ),
        Metric::gauge(
            "thread-manager.running-threads",
            Units::None,
            whole(threads as u64),
            "The number of running threads in this process.",
        ),
        Metric::gauge(
            "thread-manager.total-threads-created",
            Units::None,
            whole(created),
            "Threads seen over the lifetime of the process.",
        ),
    ]
}

/// Group `memory`.
pub fn memory() -> Group {
    let status = procfs::fields("/proc/self/status");
    let bytes = |name| whole(procfs::bytes(&status, name));
    let thp = |name| procfs::chosen(&format!("/sys/kernel/mm/transparent_hugepage/{name}"));
    let gauge = |key, value, text| Metric::gauge(key, Units::Bytes, value, text);
    let metrics = vec![
        gauge(
            "memory.total-used",
            bytes("RssAnon").saturating_add(bytes("VmSwap")),
            "Memory that belongs to this process alone: anonymous pages in memory and in swap.",
        ),
        gauge(
            "memory.mapped-bytes",
            bytes("VmSize"),
            "Total bytes of memory mappings in this process (the virtual memory size).",
        ),
        gauge(
            "memory.rss",
            bytes("VmRSS"),
            "Resident set size of this process.",
        ),
        Metric::text(
            "memory.thp.enabled",
            thp("enabled"),
            "The system-wide 'enabled' setting for Transparent Huge Pages.",
        ),
        Metric::text(
            "memory.thp.defrag",
            thp("defrag"),
            "The system-wide 'defrag' setting for Transparent Huge Pages.",
        ),
        Metric::text(
            "memory.thp.khugepaged-defrag",
            thp("khugepaged/defrag"),
            "The system-wide 'defrag' setting for khugepaged.",
        ),
    ];
    Group {
        name: "memory".to_owned(),
        metrics,
        children: Vec::new(),
    }
}

/// Microseconds, padded to nine digits (observability.md section 5).
pub fn format_nanos(time: &jiff::Zoned) -> String {
    format!("{}000", time.strftime("%Y-%m-%d %H:%M:%S.%6f"))
}

/// Microseconds since the Unix epoch as local time, in the form of [`format_nanos`].
pub fn local_time(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    format_nanos(&time.to_zoned(jiff::tz::TimeZone::system()))
}

/// Milliseconds, as all other times are shown.
pub fn format_millis(time: &jiff::Zoned) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_a_start_time_with_nine_digits_and_memory() {
        let metrics = metrics();
        let crate::metrics::Value::Text(time) = &metrics[0].value else {
            panic!("no text")
        };
        assert_eq!(time.len(), "2026-01-31 23:59:59.123456000".len());
        assert!(time.ends_with("000"));
        let memory = memory();
        assert!(matches!(
            memory.metrics[2].value,
            crate::metrics::Value::Int(1..)
        ));
    }
}
