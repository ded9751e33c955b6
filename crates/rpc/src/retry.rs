//! [`retry`]: a call made several times with a pause between (K-4).
//!
//! Deliberately absent: deadlines. Each attempt brings its own, connecting included.

use std::num::NonZeroU32;
use std::time::Duration;

/// How often, and how long to pause after a failure.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    /// `None`: until it succeeds.
    pub limit: Option<NonZeroU32>,
    /// Between two attempts.
    pub pause: Duration,
}

/// Attempts until one succeeds or the limit is reached; then the last error.
pub async fn retry<T, E>(
    attempts: Attempts,
    mut call: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut left = attempts.limit.map(NonZeroU32::get);
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(error) if left == Some(1) => return Err(error),
            Err(_) => {}
        }
        left = left.map(|left| left - 1);
        tokio::time::sleep(attempts.pause).await;
    }
}
