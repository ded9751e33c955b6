//! `/varz`: every flag.
//! Secrets are hidden by the flag table, not here: nothing on this page can leak by omission.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::document;
use crate::flags::{FlagInfo, Flags};
use crate::web::Page;

pub(super) fn page(flags: Arc<Flags>) -> Page {
    Page::document("/varz", move |_| {
        let flags: Json = flags.listing().into_iter().map(row).collect();
        async move { document([("title", "Command-line Flags".into()), ("flags", flags)]) }
    })
    .in_navbar()
}

fn row(info: FlagInfo) -> Json {
    let mut row = json!({
        "name": info.name,
        "type": info.type_name,
        "description": info.description,
        "default": info.default,
        "current": info.current,
        "experimental": info.experimental,
    });
    if info.changed {
        row["value_changed"] = 1.into();
    }
    row
}
