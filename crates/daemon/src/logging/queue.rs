//! [`Queue`]: lines on their way to the thread that writes them.
//!
//! A disk can hold a write up for seconds, and a reader of a pipe for ever. Whoever logs must not
//! wait with them: heartbeats and a lease would go with the log.
//!
//! Deliberately not here: files, and what a line looks like.
//!
//! Invariants: [`Queue::push`] waits for nobody who writes; what waits is at most [`MAX_WAITING`]
//! bytes, beyond that lines are counted and dropped, but for the last words of a process.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::format::Severity;
use super::lock;

/// Lines go out once they are this many bytes, whatever their age.
const MAX_BUFFER: usize = 256 * 1024;

/// No more than this many bytes wait for a log that is slow.
pub(super) const MAX_WAITING: usize = 8 << 20;

/// What a line takes beside its text.
const PER_LINE: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<(Severity, String)>,
    bytes: usize,
    lost: u64,
    /// Somebody wants them written now.
    urgent: bool,
    closed: bool,
    /// Lines that ever came in, and those that were written or lost since.
    pushed: u64,
    written: u64,
}

/// What is to be written next.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<(Severity, String)>,
    /// Lines that had no room behind these.
    pub(super) lost: u64,
}

impl Queue {
    /// Hands a line over; `urgent`: not to be kept for company.
    pub(super) fn push(&self, severity: Severity, line: String, urgent: bool) {
        let mut state = self.lock();
        let bytes = line.len() + PER_LINE;
        if state.bytes + bytes > MAX_WAITING && severity != Severity::Fatal {
            state.lost += 1;
        } else {
            state.pushed += 1;
            state.bytes += bytes;
            state.lines.push((severity, line));
        }
        if urgent || state.bytes >= MAX_BUFFER {
            state.urgent = true;
            self.work.notify_one();
        }
    }

    /// Waits until something is to be written, for `period` if nothing is urgent. `None`: the end.
    pub(super) fn take(&self, period: Duration) -> Option<Batch> {
        let idle = |state: &mut State| !state.urgent && !state.closed;
        let waited = self.work.wait_timeout_while(self.lock(), period, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let batch = Batch {
            lines: std::mem::take(&mut state.lines),
            lost: std::mem::take(&mut state.lost),
        };
        state.bytes = 0;
        state.urgent = false;
        let over = state.closed && batch.lines.is_empty() && batch.lost == 0;
        (!over).then_some(batch)
    }

    /// So many lines of a batch were dealt with.
    pub(super) fn written(&self, lines: usize) {
        self.lock().written += lines as u64;
        self.done.notify_all();
    }

    /// Waits until all lines of until now are dealt with, for `limit` at most.
    pub(super) fn flush(&self, limit: Duration) {
        let mut state = self.lock();
        let all = state.pushed;
        if state.written >= all && state.lost == 0 {
            return;
        }
        state.urgent = true;
        self.work.notify_one();
        let behind = |state: &mut State| state.written < all || state.lost > 0;
        let waited = self.done.wait_timeout_while(state, limit, behind);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Instant;

    const SOON: Duration = Duration::from_millis(1);
    const LATE: Duration = Duration::from_secs(20);

    fn line(queue: &Queue, text: &str, urgent: bool) {
        queue.push(Severity::Info, text.to_owned(), urgent);
    }

    #[test]
    fn lines_wait_for_company_until_one_is_urgent() {
        let queue = Queue::default();
        line(&queue, "a", false);
        line(&queue, "b", true);
        let batch = queue.take(LATE).unwrap();
        assert_eq!(batch.lines.len(), 2);
        line(&queue, "c", false);
        let start = Instant::now();
        assert_eq!(
            queue.take(Duration::from_millis(20)).unwrap().lines.len(),
            1
        );
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_log_that_is_not_written_costs_lines_but_neither_memory_nor_time() {
        let queue = Queue::default();
        let long = "x".repeat(1 << 20);
        (0..10).for_each(|_| line(&queue, &long, true));
        let batch = queue.take(SOON).unwrap();
        assert_eq!((batch.lines.len(), batch.lost), (7, 3));
        (0..10).for_each(|_| line(&queue, &long, true));
        queue.push(Severity::Fatal, "last words".to_owned(), true);
        assert_eq!(
            queue.take(SOON).unwrap().lines.len(),
            8,
            "there is room again"
        );
    }

    #[test]
    fn a_flush_waits_for_what_was_there_and_no_longer_than_it_may() {
        let queue = Queue::default();
        queue.flush(LATE);
        line(&queue, "a", false);
        queue.flush(SOON);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let batch = queue.take(LATE).unwrap();
                queue.written(batch.lines.len());
            });
            queue.flush(LATE);
        });
        assert_eq!(queue.lock().written, 1);
    }

    #[test]
    fn after_the_end_comes_what_was_left_and_then_nothing() {
        let queue = Queue::default();
        line(&queue, "last", false);
        queue.close();
        assert_eq!(queue.take(LATE).unwrap().lines.len(), 1);
        assert!(queue.take(LATE).is_none());
    }
}
