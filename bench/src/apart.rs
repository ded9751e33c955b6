//! A crowd on threads of its own, as if it were other machines: those that are measured keep the
//! moment to read the clock, and the whole crowd can vanish at once.
//!
//! Deliberately absent: another process; the crowd's records are read by this one.

use crate::crowd::Crowd;
use crate::failure::Failure;
use crate::machine;
use rustix::process::setpriority_process;
use std::io;
use tokio::runtime::{Builder, Runtime};

/// Threads; whatever runs on them ends with it.
pub(crate) struct Apart(Option<Runtime>);

/// How much they give way to the others.
const NICE: i32 = 10;

impl Apart {
    pub(crate) fn start() -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(machine::cores())
            .on_thread_start(|| {
                // What is not allowed only makes the figures worse.
                let _ = setpriority_process(None, NICE);
            })
            .enable_all()
            .build();
        Ok(Self(Some(runtime.map_err(Failure::io("start threads"))?)))
    }

    /// A crowd on these threads, whose names begin so.
    pub(crate) async fn crowd(&self, name: &'static str) -> Result<Crowd, Failure> {
        let Some(runtime) = &self.0 else {
            return Crowd::open_as(name).await;
        };
        let opened = runtime.spawn(Crowd::open_as(name)).await;
        opened.map_err(|error| Failure::io("open a crowd")(io::Error::other(error)))?
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // To wait for its end is not allowed on a thread that runs others.
        self.0
            .take()
            .into_iter()
            .for_each(Runtime::shutdown_background);
    }
}
