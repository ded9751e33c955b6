//! What every daemon of this project needs and none should write twice: the command line, the
//! log files, metrics, the web server with its base pages, signals.
//!
//! ```text
//!   argv, env, flagfiles -> flags -> logging -> banner -> web server -> the daemon's own work
//!                             |         |                    ^
//!                           /varz     /logs            pages, metrics (closures of the daemon)
//! ```
//!
//! Deliberately not here: topics, subscribers, roles, messages. A daemon brings its own flag table,
//! its own pages and a closure that answers with its metrics; this crate never looks inside.
//!
//! Reading order: [`flags`], [`logging`], [`metrics`], [`web`], [`process`], and [`app`], which
//! puts them in order at start-up.

pub mod app;
pub mod debug_actions;
pub mod flags;
mod glob;
pub mod logging;
pub mod metrics;
pub mod process;
pub mod procfs;
pub mod rpc_statistics;
pub mod web;

pub use maud;
pub use serde_json;
