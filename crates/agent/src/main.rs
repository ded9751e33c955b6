//! Placeholder main.
mod args;
mod file_name;
mod flags;
mod folder;
mod mirror;
mod roles;
mod watch;
fn main() {}
