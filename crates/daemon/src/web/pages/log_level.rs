//! `/log_level`, `/set_glog_level`, `/reset_glog_level`.
//! They change the running process only; the flags keep saying what it started with.

use maud::{Markup, PreEscaped, html};

use super::{Document, document};
use crate::logging::Logging;
use crate::web::{Page, Request};

const BAD_LEVEL: &str = "Bad glog level input. Valid inputs are integers in the range [0-3].";

pub(super) fn pages(logging: &Logging) -> [Page; 3] {
    let (show, set, reset) = (logging.clone(), logging.clone(), logging.clone());
    [
        page("/log_level", show, |_, _| None).in_navbar(),
        page("/set_glog_level", set, |request, logging| {
            Some(set_level(request, logging))
        }),
        page("/reset_glog_level", reset, |request, logging| {
            Some(reset_level(request, logging))
        }),
    ]
}

/// All three show the levels; two change them first.
fn page(
    path: &str,
    logging: Logging,
    act: fn(&Request, &Logging) -> Option<(&'static str, String)>,
) -> Page {
    Page::document(path, move |request| {
        let result = act(&request, &logging);
        let mut page = document([
            ("glog_level", logging.verbosity().to_string().into()),
            (
                "default_glog_level",
                logging.initial_verbosity().to_string().into(),
            ),
        ]);
        page.extend(result.map(|(key, text)| (key.to_owned(), text.into())));
        async move { page }
    })
    .html(form)
}

fn set_level(request: &Request, logging: &Logging) -> (&'static str, String) {
    if !request.is_post {
        return ("error", "Use form input to update glog level".to_owned());
    }
    let level = request
        .form
        .get("glog")
        .and_then(|text| text.trim().parse::<i32>().ok());
    match level.filter(|level| (0..=3).contains(level)) {
        Some(level) => {
            logging.set_verbosity(level);
            tracing::info!("log verbosity set to {level} on the web page");
            ("set_glog_level_result", format!("v set to {level}\n"))
        }
        None => ("error", BAD_LEVEL.to_owned()),
    }
}

fn reset_level(request: &Request, logging: &Logging) -> (&'static str, String) {
    if !request.is_post {
        return ("error", "Use form input to reset glog level".to_owned());
    }
    let level = logging.initial_verbosity();
    logging.set_verbosity(level);
    tracing::info!("log verbosity reset to {level} on the web page");
    ("reset_glog_level_result", format!("v reset to {level}\n"))
}

/// Clients look for the words `Current backend log level: ` and for `.val(<n>)`.
fn form(document: &Document) -> Markup {
    let text = |key: &str| {
        document
            .get(key)
            .and_then(|v| v.as_str())
            .unwrap_or_default()
    };
    let level = text("glog_level");
    let select = format!(
        "const $=s=>({{val(v){{document.querySelector(s).value=v}}}});\
                          $('#glog').val({level});"
    );
    html! {
        p.error { (text("error")) }
        p { (text("set_glog_level_result")) (text("reset_glog_level_result")) }
        p { "Current backend log level: " (level) ", at start " (text("default_glog_level")) }
        form action="/set_glog_level" method="post" {
            select id="glog" name="glog" {
                @for n in 0..=3 { option value=(n) { (n) } }
            }
            " " button { "Set" }
        }
        form action="/reset_glog_level" method="post" { button { "Reset" } }
        script { (PreEscaped(select)) }
    }
}
