//! `/memz`: where the memory is.
//! The figures are the kernel's and the metrics' own; nothing is counted here.

use std::fmt::Write;

use serde_json::Value as Json;

use super::document;
use crate::metrics::{Source, json, pretty};
use crate::procfs;
use crate::web::Page;

pub(super) fn page(metrics: Source) -> Page {
    Page::document("/memz", move |_| {
        let root = metrics();
        async move {
            let root = root.await;
            let memory = root.descendant("memory");
            let aggregate: Json = memory
                .map_or_else(Vec::new, |group| {
                    group.metrics.iter().map(json::metric).collect()
                })
                .into();
            document([
                ("overview", overview().into()),
                ("systeminfo", system().into()),
                ("aggregate_metrics", aggregate),
            ])
        }
    })
    .in_navbar()
}

fn overview() -> String {
    let status = procfs::fields("/proc/self/status");
    let mut text = String::new();
    for name in ["RssAnon", "RssFile", "VmHWM", "VmRSS", "VmSize", "VmSwap"] {
        let _ = writeln!(
            text,
            "{name}: {}",
            pretty::bytes_u64(procfs::bytes(&status, name))
        );
    }
    text
}

fn system() -> String {
    let memory = procfs::fields("/proc/meminfo");
    let total = pretty::bytes_u64(procfs::bytes(&memory, "MemTotal"));
    let chosen = |name| procfs::chosen(&format!("/sys/kernel/mm/transparent_hugepage/{name}"));
    format!(
        "Physical Memory: {total}\nTransparent Huge Pages Config:\n  enabled: {}\n  defrag: {}\n  \
         khugepaged defrag: {}\n",
        chosen("enabled"),
        chosen("defrag"),
        chosen("khugepaged/defrag")
    )
}
