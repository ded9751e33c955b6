//! After the troubles: everybody is alive, nothing is in the way, and within a bounded time all
//! must be as it should be. Then, in some worlds, the active is lost once more, cleanly.
//!
//! Deliberately absent: what "as it should be" means; `invariants::converged` says it.

use super::World;
use crate::clock::Real;
use crate::event::Event;
use crate::plan::strike::{Ways, Whom};
use crate::plan::{Encore, Proc, SERVERS};
use crate::sabotage::Sabotage;
use statestore_core::port::Input;
use std::time::Duration;

/// How far a world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Faults strike.
    Troubles,
    /// All is well again, since then.
    Healing(Real),
    /// The active was lost again, then: somebody else must act without it.
    Bereft(Real, Proc),
    /// It is back, since then.
    Rejoined(Real),
    /// All was as it should be; it must stay so for a while. A message that comes late out of the
    /// troubles may disturb it, as long as all that is allowed to last.
    Settled { healed: Real, at: Real, again: bool },
    /// Nothing more is to be seen.
    Over,
}

impl Phase {
    /// Applications wish for things in the troubles and for a moment after each change.
    pub(crate) fn wishes(self, now: Real) -> bool {
        let moment = |since: Real| now.since(since) < Duration::from_millis(300);
        match self {
            Self::Troubles => true,
            Self::Healing(since) | Self::Bereft(since, _) | Self::Rejoined(since) => moment(since),
            Self::Settled { .. } | Self::Over => false,
        }
    }

    /// Whoever ended on purpose is started again, but for the one that is lost.
    pub(crate) fn revives(self, proc: Proc) -> bool {
        match self {
            Self::Troubles => false,
            Self::Bereft(_, lost) => lost != proc,
            _ => true,
        }
    }
}

impl World<'_> {
    pub(crate) fn heals(&mut self) {
        self.note(None, format_args!("all is well again"));
        self.phase = Phase::Healing(self.now);
        self.repair();
        self.look_later();
    }

    fn repair(&mut self) {
        let keep = self.plan.sabotage == Some(Sabotage::Cuts);
        self.network.heal(keep);
        for proc in 0..self.processes.len() {
            let pause = self.processes[proc].pause;
            self.resumes(proc, pause);
            // One that is about to end is started again when it has.
            if !self.processes[proc].alive {
                let late = self.dice.time(Duration::ZERO..=self.plan.unit / 4);
                self.queue.add(self.now + late, Event::Starts(proc));
            }
        }
        for proc in SERVERS {
            if self.processes[proc].alive {
                self.step_server(proc, Input::NetworkDisabled(false));
            }
        }
    }

    fn look_later(&mut self) {
        let pause = self.plan.unit / 4;
        self.queue.add(self.now + pause, Event::Looks);
    }

    /// Looks whether all is as it should be, and goes on to the next phase.
    pub(crate) fn looks(&mut self) {
        let patience = self.plan.patience();
        self.look_later();
        match self.phase {
            Phase::Troubles | Phase::Over => {}
            Phase::Healing(since) => self.looks_whether_settled(since, false),
            Phase::Rejoined(since) => self.looks_whether_settled(since, true),
            Phase::Settled { healed, at, again } => match self.unsettled(None) {
                Some(why) if self.now > healed + patience => {
                    self.breaks_rule("stays settled", why);
                }
                Some(_) => {
                    self.coverage.count("disturbed out of the troubles");
                    self.phase = match again {
                        true => Phase::Rejoined(healed),
                        false => Phase::Healing(healed),
                    };
                }
                None if self.now > at + self.plan.unit => self.goes_on(again),
                None => {}
            },
            Phase::Bereft(since, lost) => self.looks_without(since, lost, patience),
        }
    }

    fn looks_whether_settled(&mut self, healed: Real, again: bool) {
        if self.phase.wishes(self.now) {
            return;
        }
        let patience = self.plan.patience();
        match self.unsettled(None) {
            None => {
                self.took(healed, patience);
                let at = self.now;
                self.phase = Phase::Settled { healed, at, again };
            }
            Some(why) if self.now > healed + patience => self.breaks_rule("converges", why),
            Some(_) => {}
        }
    }

    fn looks_without(&mut self, since: Real, lost: Proc, patience: Duration) {
        if self.phase.wishes(self.now) {
            return;
        }
        match self.unsettled(Some(lost)) {
            None => {
                self.took(since, patience);
                self.coverage.count("encore survived");
                self.phase = Phase::Rejoined(self.now);
                self.repair();
            }
            Some(why) if self.now > since + patience => {
                self.breaks_rule("survives the loss of the active", why);
            }
            Some(_) => {}
        }
    }

    fn took(&mut self, since: Real, patience: Duration) {
        let took = self.now.since(since).as_micros() * 100 / patience.as_micros().max(1);
        self.coverage.settled(took as u64, self.plan.seed);
        self.note(
            None,
            format_args!("all is as it should be ({took} % of the time)"),
        );
    }

    /// The world is over, or the active is lost once more.
    fn goes_on(&mut self, again: bool) {
        let encore = self.plan.encore.filter(|_| !again);
        let Some(encore) = encore else {
            self.check_memory();
            self.phase = Phase::Over;
            return;
        };
        let lost = self.find(Whom::Active);
        self.note(Some(lost), format_args!("ENCORE {encore:?}"));
        self.phase = Phase::Bereft(self.now, lost);
        match encore {
            Encore::Crash => drop(self.crash(lost, false)),
            Encore::Halt => drop(self.crash(lost, true)),
            Encore::Stop => drop(self.stop(lost)),
            Encore::CutOff => {
                let everybody = u64::MAX;
                let ways = self.ways(Whom::One(lost), everybody, Ways::Both);
                self.network.cut(&ways);
            }
        }
    }
}
