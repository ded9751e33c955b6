//! `/`: what is running, and on what.
//! Facts of the process and the machine; the daemon adds its own below them.

use serde_json::{Value as Json, json};

use super::{Document, DocumentSource, document};
use crate::metrics::system::format_nanos;
use crate::procfs::{self, read};
use crate::web::Page;

pub(super) fn page(version: String, front: DocumentSource) -> Page {
    Page::document("/", move |_| {
        let (version, more) = (version.clone(), front());
        async move {
            let mut page = facts(&version);
            page.extend(more.await);
            page
        }
    })
    .in_navbar()
}

fn facts(version: &str) -> Document {
    let debug = cfg!(debug_assertions);
    let flag = |name: &str, value: &str| json!({ "flag_name": name, "flag_value": value });
    let build_flags: Json = vec![
        flag("is_ndebug", if debug { "false" } else { "true" }),
        flag("cmake_build_type", if debug { "debug" } else { "release" }),
        flag("library_link_type", "static"),
    ]
    .into();
    document([
        ("version", version.into()),
        ("build_flags", build_flags),
        ("cpu_info", cpu().into()),
        (
            "mem_info",
            picked("/proc/meminfo", &["MemTotal", "MemAvailable", "SwapTotal"]).into(),
        ),
        ("disk_info", read("/proc/partitions").into()),
        ("os_info", os().into()),
        ("process_state_info", process().into()),
        ("cgroup_info", read("/proc/self/cgroup").into()),
        (
            "effective_locale",
            std::env::var("LC_ALL")
                .or_else(|_| std::env::var("LANG"))
                .unwrap_or_default()
                .into(),
        ),
        ("glibc_version", "".into()),
        (
            "process_start_time",
            format_nanos(procfs::start_time()).into(),
        ),
    ])
}

fn cpu() -> String {
    let fields = procfs::fields("/proc/cpuinfo");
    let model = fields.iter().find(|(name, _)| name == "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "Model: {}\nCores: {cores}\n",
        model.map_or("unknown", |(_, model)| model)
    )
}

fn os() -> String {
    let clock = read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    format!("OS version: {}Clock: {clock}", read("/proc/version"))
}

fn process() -> String {
    let names = [
        "Pid", "State", "VmPeak", "VmSize", "VmHWM", "VmRSS", "Threads", "FDSize",
    ];
    picked("/proc/self/status", &names)
}

/// The lines of such a file with these names.
fn picked(path: &str, names: &[&str]) -> String {
    let fields = procfs::fields(path).into_iter();
    let wanted = fields.filter(|(name, _)| names.contains(&name.as_str()));
    wanted
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect()
}
