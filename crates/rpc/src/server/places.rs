//! [`Places`]: whether a port lets another connection in, and that one goes for it.
//!
//! Deliberately absent: accepting, and who goes, which is [`Idle`]'s.
//!
//! Invariant: at most one connection more than there are places is open, until an idle one is gone.

use super::idle::Idle;
use tracing::warn;

/// The places of one port, of which whoever accepts knows how many are taken.
#[derive(Debug)]
pub struct Places {
    idle: Idle,
    most: usize,
    /// Whose they are, in the log.
    of: &'static str,
    was_full: bool,
    over: bool,
}

impl Places {
    /// So many, and one at least; `of` follows the word in the log.
    pub fn new(most: usize, of: &'static str) -> Self {
        Self {
            idle: Idle::new(most),
            most: most.max(1),
            of,
            was_full: false,
            over: false,
        }
    }

    /// The connections that wait.
    pub fn idle(&self) -> &Idle {
        &self.idle
    }

    /// True if another one may come while so many are open.
    pub fn have_room(&mut self, open: usize) -> bool {
        let Self { most, of, .. } = *self;
        // One more than may be, until an idle one is gone.
        let has_place = open < most || open == most && self.idle.any();
        if open <= most && std::mem::take(&mut self.over) {
            self.idle.forgive();
        }
        if (open > most || !has_place) && !std::mem::replace(&mut self.was_full, true) {
            warn!(
                "all {most} places{of} are taken: for each new connection the one that idles for \
                 longest is closed; while none idles, new ones wait"
            );
        }
        // Said again only after it got much better.
        self.was_full &= open > most / 2;
        has_place
    }

    /// Waits until there may be room again.
    pub async fn changed(&self) {
        self.idle.changed().await;
    }

    /// One has come while so many were open.
    pub fn take(&mut self, open: usize) {
        if open == self.most {
            self.over = true;
            self.idle.close_one();
        }
    }
}
