//! `/metrics`, `/jsonmetrics`, `/metrics_prometheus`.
//! One tree of figures in three forms; making the forms is `crate::metrics`.

use axum::http::StatusCode;
use maud::{Markup, html};
use serde_json::Value as Json;

use super::{Document, document};
use crate::metrics::{Source, json, prometheus};
use crate::web::Page;

pub(super) fn pages(source: &Source) -> [Page; 3] {
    let (tree, flat, text) = (source.clone(), source.clone(), source.clone());
    [
        Page::document("/metrics", move |request| {
            let root = tree();
            async move {
                let root = root.await;
                let Some(name) = request.query.get("metric_group") else {
                    return document([("metric_group", json::group(&root, true))]);
                };
                match root.descendant(name) {
                    Some(group) => document([("metric_group", json::group(group, false))]),
                    None => document([("error", format!("Metric group {name} not found").into())]),
                }
            }
        })
        .in_navbar()
        .html(tables),
        Page::document("/jsonmetrics", move |request| {
            let root = flat();
            async move {
                let root = root.await;
                match request.query.get("metric") {
                    Some(key) => json::flat_one(&root, key),
                    None => json::flat(&root),
                }
            }
        }),
        Page::raw("/metrics_prometheus", move |request| {
            let root = text();
            async move {
                // With a group the reference's page is empty.
                if request.query.contains_key("metric_group") {
                    return (StatusCode::OK, String::new());
                }
                (StatusCode::OK, prometheus::text(&root.await))
            }
        }),
    ]
}

/// Name, value and meaning: what a person looks for.
fn tables(document: &Document) -> Markup {
    match (document.get("metric_group"), document.get("error")) {
        (Some(group), _) => tables_of(group),
        (None, error) => html! { p.error { (text(error)) } },
    }
}

fn tables_of(group: &Json) -> Markup {
    let list = |key: &str| {
        group
            .get(key)
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
    };
    html! {
        h3 { (text(group.get("name"))) }
        table {
            tr { th { "Name" } th { "Value" } th { "Description" } }
            @for metric in list("metrics") {
                tr {
                    td { (text(metric.get("name"))) }
                    td { (text(metric.get("human_readable"))) }
                    td { (text(metric.get("description"))) }
                }
            }
        }
        @for child in list("child_groups") { (tables_of(child)) }
    }
}

fn text(value: Option<&Json>) -> &str {
    value.and_then(Json::as_str).unwrap_or_default()
}
