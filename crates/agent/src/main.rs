//! Placeholder main.
mod args;
mod file_name;
mod folder;
mod mirror;
mod watch;
fn main() {}
