//! The debug web server (observability.md sections 3 and 4).
//!
//! ```text
//!   connection -> server (limits) -> respond (rules of HTTP) -> Site -> Page's closure
//!                                                                 -> Document -> json | html
//! ```
//!
//! A page answers with a [`Document`], the same for `?json` and for people; how it looks is not
//! its business unless it says so with [`Page::html`].
//!
//! Deliberately not here: TLS and authentication (a daemon that is asked for them does not start,
//! see [`WebConfig::from_flags`]), static files.
//!
//! Invariant: whatever a client sends or leaves unsent costs a bounded amount of memory for a
//! bounded time.

mod config;
mod html;
pub mod pages;
mod place;
mod respond;
mod server;
mod site;

pub use config::{WebConfig, WebError};
pub use server::{Server, serve};
pub use site::{Document, Page, Readiness, Request, Site};
