//! The flags that all daemons share: flags.md sections 6 to 9, and gflags' own.
//!
//! A flag marked `accepted()` exists so that a shared flagfile or an old start script keeps
//! working; the start-up log says so when somebody sets it. A daemon that gives such a flag an
//! effect puts its own definition into a table in front.

mod gflags;
mod host;
mod logging;
mod security;
mod web;

pub(crate) use gflags::GFLAGS;
pub use host::HOST;
pub use logging::LOGGING;
pub use security::SECURITY;
pub use web::WEB;

use super::Value;

/// A validator for flags that hold a TCP port, 0 included.
pub fn is_port(value: &Value) -> bool {
    matches!(value, Value::Int32(0..=65_535))
}

/// A validator for counts and sizes.
pub fn not_negative(value: &Value) -> bool {
    matches!(value, Value::Int32(0..) | Value::Int64(0..))
}
