//! How long the machine keeps a thread waiting that only wants to wake up.
//!
//! A limit of silence can be no shorter than that: whoever gets no CPU cannot say anything. So this
//! is the machine's limit beside which false failovers are to be read.
//!
//! Deliberately absent: why it waits (other threads, the host of a virtual machine).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const NAP: Duration = Duration::from_millis(10);

/// A thread that sleeps, and measures by how much it overslept, until dropped.
pub(crate) struct Stalls {
    over: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    sleeper: Option<JoinHandle<()>>,
}

/// What it measured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) longest: Duration,
    /// How often it was longer than was asked for.
    pub(crate) long: u64,
}

impl Stalls {
    /// Counts those that are longer than `long`.
    pub(crate) fn watch(long: Duration) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (ends, notes) = (Arc::clone(&over), Arc::clone(&seen));
        let sleeper = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let start = Instant::now();
                std::thread::sleep(NAP);
                let late = start.elapsed().saturating_sub(NAP);
                let mut seen = notes.lock().unwrap_or_else(PoisonError::into_inner);
                seen.longest = seen.longest.max(late);
                seen.long += u64::from(late > long);
            }
        });
        Self {
            over,
            seen,
            sleeper: Some(sleeper),
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(sleeper) = self.sleeper.take() {
            // It cannot panic: it sleeps and counts.
            let _ = sleeper.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_counted() {
        let stalls = Stalls::watch(Duration::ZERO);
        let start = Instant::now();
        while stalls.seen().long == 0 {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{:?}",
                stalls.seen()
            );
            std::thread::yield_now();
        }
        assert!(stalls.seen().longest > Duration::ZERO);
    }
}
