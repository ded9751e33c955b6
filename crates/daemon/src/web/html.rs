//! A plain, readable rendering of any document: facts, texts, tables.
//!
//! Everything that comes from a document is escaped by maud.

use std::collections::BTreeSet;

use maud::{DOCTYPE, Markup, html};
use serde_json::Value as Json;

use super::{Document, Site};

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:0 1em 2em}\
    nav{padding:.6em 0;border-bottom:1px solid #ccc;margin-bottom:1em}\
    nav a{margin-right:1em;text-decoration:none}\
    table{border-collapse:collapse;margin:.3em 0 1em}\
    td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left;vertical-align:top}\
    th{background:#f2f2f2}pre{background:#f7f7f7;padding:.6em;overflow:auto}\
    .error{color:#a00}";

/// A whole page around `body`.
pub(super) fn frame(site: &Site, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (site.process_name()) " " (title) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                nav {
                    strong { (site.process_name()) } " "
                    @for (link, title) in site.navbar() { a href=(link) { (title) } " " }
                }
                (body)
            }
        }
    }
}

/// The document as facts, in its own order. Keys that begin with an underscore are not for people.
pub(super) fn plain(document: &Document) -> Markup {
    html! {
        @for (key, value) in document.iter().filter(|(key, _)| !key.starts_with('_')) {
            (named(key, value))
        }
    }
}

fn named(key: &str, value: &Json) -> Markup {
    html! {
        @match value {
            Json::String(text) if key == "error" => p.error { (text) },
            Json::String(text) if text.contains('\n') => { h3 { (key) } pre { (text) } },
            Json::String(path) if key.ends_with("_link") => {
                p { strong { (key) } ": " a href=(path) { (path) } }
            },
            Json::Array(_) | Json::Object(_) => { h3 { (key) } (nested(value)) },
            scalar => p { strong { (key) } ": " (nested(scalar)) },
        }
    }
}

fn nested(value: &Json) -> Markup {
    match value {
        Json::Object(fields) => html! {
            table { @for (key, value) in fields { tr { th { (key) } td { (nested(value)) } } } }
        },
        Json::Array(items) if !items.is_empty() && items.iter().all(Json::is_object) => {
            table(items)
        }
        Json::Array(items) => html! { ul { @for item in items { li { (nested(item)) } } } },
        Json::String(text) => html! { (text) },
        Json::Null => html! {},
        scalar => html! { (scalar.to_string()) },
    }
}

/// One row per object; a column for every key that any of them has.
fn table(items: &[Json]) -> Markup {
    let rows: Vec<_> = items.iter().filter_map(Json::as_object).collect();
    let mut seen = BTreeSet::new();
    let keys = rows.iter().flat_map(|row| row.keys());
    let columns: Vec<&String> = keys.filter(|key| seen.insert(key.as_str())).collect();
    html! {
        table {
            tr { @for column in &columns { th { (column) } } }
            @for row in rows {
                tr {
                    @for column in &columns {
                        td { @if let Some(value) = row.get(*column) { (nested(value)) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::plain;
    use serde_json::json;

    #[test]
    fn every_value_of_a_document_is_shown_and_escaped() {
        let document = json!({
            "name": "<script>",
            "log": "two\nlines",
            "rows": [{"a": 1, "b": "x"}, {"c": true}],
            "list": ["p", "q"],
            "nested": {"k": {"deep": null}},
            "more_link": "/more",
            "error": "bad & worse",
            "__common__": "hidden",
        });
        let html = plain(document.as_object().unwrap_or(&Default::default())).into_string();
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"));
        assert!(html.contains("<pre>two\nlines</pre>"));
        assert!(html.contains("<tr><th>a</th><th>b</th><th>c</th></tr>"));
        assert!(html.contains("<tr><td></td><td></td><td>true</td></tr>"));
        assert!(html.contains("<li>p</li>"));
        assert!(html.contains("<a href=\"/more\">/more</a>"));
        assert!(html.contains("<p class=\"error\">bad &amp; worse</p>"));
        assert!(!html.contains("hidden"));
    }
}
