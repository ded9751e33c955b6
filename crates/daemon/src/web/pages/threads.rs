//! `/threadz`, `/thread-group`: the threads of the process.
//! Read from the system at each look, so that a thread is shown even if nobody registered it.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Document, document};
use crate::procfs::{self, Thread};
use crate::web::Page;

pub(super) fn pages() -> [Page; 2] {
    [
        Page::document("/threadz", |_| async { groups(&procfs::threads()) }).in_navbar(),
        Page::document("/thread-group", |request| async move {
            let group = request.query.get("group").map(String::as_str);
            one_group(&procfs::threads(), group.filter(|group| *group != "all"))
        }),
    ]
}

fn groups(threads: &[Thread]) -> Document {
    let created = procfs::threads_created();
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    threads
        .iter()
        .for_each(|thread| *sizes.entry(&thread.group).or_default() += 1);
    let row = |(name, size): (&str, u64)| {
        let num_created = created.get(name).copied().unwrap_or(size);
        json!({ "name": name, "size": size, "num_created": num_created })
    };
    let groups: Json = sizes.into_iter().map(row).collect();
    document([
        ("total_threads", threads.len().into()),
        ("thread-groups", groups),
    ])
}

fn one_group(threads: &[Thread], group: Option<&str>) -> Document {
    let wanted = threads
        .iter()
        .filter(|thread| group.is_none_or(|group| thread.group == group));
    let rows: Vec<Json> = wanted.map(row).collect();
    match group {
        None => document([("threads", rows.into())]),
        Some(_) if rows.is_empty() => Document::new(),
        Some(name) => document([
            (
                "thread-group",
                json!({ "category": name, "size": rows.len() }),
            ),
            ("threads", rows.into()),
        ]),
    }
}

fn row(thread: &Thread) -> Json {
    json!({
        "name": thread.name,
        "id": thread.id,
        "user_s": thread.user_s,
        "kernel_s": thread.kernel_s,
        "iowait_s": thread.iowait_s,
    })
}
