//! What every process has, whatever its core: a life, clocks, idle connections, and what waits
//! while it is paused.

use crate::clock::{Clock, Real};
use crate::event::{Event, Life};
use crate::message::Purpose;
use crate::plan::Proc;
use statestore_core::time::Now;

/// A connection that nobody uses at the moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    pub(crate) to: Life,
    pub(crate) purpose: Purpose,
    pub(crate) number: u64,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) life: Life,
    pub(crate) alive: bool,
    /// Its machine is dead too: nobody is told that nothing is there.
    pub(crate) silent: bool,
    pub(crate) paused: bool,
    /// Counts pauses.
    pub(crate) pause: u32,
    /// It has been told to end.
    pub(crate) ending: bool,
    pub(crate) clock: Clock,
    pub(crate) idle: Vec<Idle>,
    /// What happened to it during its pause.
    pub(crate) waiting: Vec<Event>,
    pub(crate) alarm: Option<Real>,
}

impl Process {
    pub(crate) fn new(proc: Proc, clock: Clock) -> Self {
        Self {
            life: Life { proc, number: 0 },
            alive: false,
            silent: false,
            paused: false,
            pause: 0,
            ending: false,
            clock,
            idle: Vec::new(),
            waiting: Vec::new(),
            alarm: None,
        }
    }

    pub(crate) fn now(&self, now: Real) -> Now {
        self.clock.now(now)
    }

    pub(crate) fn begins(&mut self) {
        self.life.number += 1;
        self.alive = true;
        self.silent = false;
        self.ending = false;
    }

    pub(crate) fn ends(&mut self, silent: bool) {
        self.alive = false;
        self.silent = silent;
        self.paused = false;
        self.idle.clear();
        self.waiting.clear();
        self.alarm = None;
    }

    /// An idle connection, also one whose other end is gone.
    pub(crate) fn lend(&mut self, to: Proc, purpose: Purpose) -> Option<Idle> {
        let fits = |idle: &Idle| idle.to.proc == to && idle.purpose == purpose;
        let place = self.idle.iter().rposition(fits)?;
        Some(self.idle.swap_remove(place))
    }
}
