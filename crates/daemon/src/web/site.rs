//! Pages and the table of them. Pages may join while the server runs; until then they are 404.
//! A page gives a document, never bytes: how it is shown is decided in `respond.rs` alone.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::StatusCode;
use futures::future::BoxFuture;
use maud::Markup;
use serde_json::{Map, Value as Json, json};

/// What a page has to say: an ordered JSON object.
pub type Document = Map<String, Json>;

/// A request as pages see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Arguments of the query; keys in lower case.
    pub query: BTreeMap<String, String>,
    /// Whether it is a POST.
    pub is_post: bool,
    /// Fields of a POSTed form; keys in lower case.
    pub form: BTreeMap<String, String>,
}

type Handler<T> = Arc<dyn Fn(Request) -> BoxFuture<'static, T> + Send + Sync>;

/// A page of the site.
#[derive(Clone)]
pub struct Page {
    pub(super) path: String,
    pub(super) title: String,
    in_navbar: bool,
    pub(super) body: Body,
}

#[derive(Clone)]
pub(super) enum Body {
    Document {
        handler: Handler<Document>,
        html: Option<fn(&Document) -> Markup>,
    },
    Raw(Handler<(StatusCode, String)>),
    /// Answers from this alone, to HEAD too: a probe must not see 200 too early.
    Health(Readiness),
}

impl Page {
    /// A page made of a document; not in the navigation bar.
    pub fn document<F, R>(path: &str, handler: F) -> Self
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: Future<Output = Document> + Send + 'static,
    {
        let handler: Handler<Document> = Arc::new(move |request| Box::pin(handler(request)));
        Self::new(
            path,
            Body::Document {
                handler,
                html: None,
            },
        )
    }

    /// A page of plain text, without frame.
    pub fn raw<F, R>(path: &str, handler: F) -> Self
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: Future<Output = (StatusCode, String)> + Send + 'static,
    {
        Self::new(
            path,
            Body::Raw(Arc::new(move |request| Box::pin(handler(request)))),
        )
    }

    /// `/healthz`: 503 `Not Available` until `ready`, then 200 `OK`.
    pub fn health(ready: Readiness) -> Self {
        Self::new("/healthz", Body::Health(ready))
    }

    /// Shows the page in the navigation bar.
    pub fn in_navbar(mut self) -> Self {
        self.in_navbar = true;
        self
    }

    /// Replaces the plain rendering for people. The function makes what stands below the
    /// navigation bar; it must show `error` when the document has one.
    pub fn html(mut self, render: fn(&Document) -> Markup) -> Self {
        if let Body::Document { html, .. } = &mut self.body {
            *html = Some(render);
        }
        self
    }

    fn new(path: &str, body: Body) -> Self {
        Page {
            path: path.to_owned(),
            title: path.to_owned(),
            in_navbar: false,
            body,
        }
    }
}

/// Whether the daemon serves; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether the daemon serves.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Whether it does.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The pages of a server; clones share them.
#[derive(Clone)]
pub struct Site {
    shared: Arc<Shared>,
}

struct Shared {
    process_name: String,
    /// By path, which is also the order of the navigation bar.
    pages: RwLock<BTreeMap<String, Page>>,
}

impl Site {
    /// A site without pages. The name stands in `__common__` and on every page.
    pub fn new(process_name: &str) -> Self {
        let shared = Shared {
            process_name: process_name.to_owned(),
            pages: RwLock::default(),
        };
        Site {
            shared: Arc::new(shared),
        }
    }

    /// Adds a page or replaces the one at its path.
    pub fn add(&self, page: Page) {
        let mut pages = self
            .shared
            .pages
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        pages.insert(page.path.clone(), page);
    }

    /// Removes a page.
    pub fn remove(&self, path: &str) {
        self.shared
            .pages
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(path);
    }

    /// A site with these pages of this one only; later changes here do not reach it.
    pub fn only(&self, paths: &[&str]) -> Site {
        let site = Site::new(&self.shared.process_name);
        paths
            .iter()
            .filter_map(|path| self.page(path))
            .for_each(|page| site.add(page));
        site
    }

    pub(super) fn page(&self, path: &str) -> Option<Page> {
        self.shared
            .pages
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .cloned()
    }

    pub(super) fn process_name(&self) -> &str {
        &self.shared.process_name
    }

    /// Paths and titles for the navigation bar.
    pub(super) fn navbar(&self) -> Vec<(String, String)> {
        let pages = self
            .shared
            .pages
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let shown = pages.values().filter(|page| page.in_navbar);
        shown
            .map(|page| (page.path.clone(), page.title.clone()))
            .collect()
    }

    /// The part of every document that is the same on all pages.
    pub(super) fn common(&self) -> Json {
        let link = |(link, title)| json!({ "link": link, "title": title });
        let navbar: Vec<Json> = self.navbar().into_iter().map(link).collect();
        json!({ "process-name": self.process_name(), "navbar": navbar })
    }
}
