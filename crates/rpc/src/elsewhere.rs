//! [`elsewhere`]: work on another runtime, for whoever waits for it here.
//!
//! Deliberately absent: which work is too long for a thread, and what a failed task means.
//!
//! Invariant: the work ends with its caller: it is not polled again once nobody waits.

use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

/// Runs a future on another runtime, from now on; it ends with the caller, who holds none of it.
///
/// # Errors
/// If the work panics, or its runtime ends before it.
pub fn elsewhere<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, JoinError>> {
    AbortOnDrop(runtime.spawn(work))
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
