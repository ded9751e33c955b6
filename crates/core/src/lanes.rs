//! The rhythm of each lane: when its next message is due (S-3 to S-7).
//!
//! ```text
//!   start --> Waiting(slot) --begin--> Calling --end--> Waiting(end + period)
//!                  ^  hurry: a change shortens the wait         | end + 2 periods if skipped
//!                  +--------------------------------------------+ end + period if failed
//! ```
//!
//! An update that waits for its period alone is a poll, which goes behind others (`schedule`); not
//! where changes are not pushed.
//!
//! A lane in either back-off is not hurried: who asked for time gets it (S-5). Nor is the first
//! message, whose time the registration sets (S-4, R-3). A change that comes while a call is
//! pending is remembered and shortens the wait after it.
//!
//! Deliberately absent: what is sent. Invariant: a lane holds at most one slot of the schedule, and
//! none while its call is pending (S-3).

use crate::config::LaneConfig;
use crate::ids::MemberKey;
use crate::port::Lane;
use crate::schedule::{Schedule, Slot, Task};
use crate::time::Time;
use core::time::Duration;

/// A wait of nothing would spin; this is the shortest.
const SHORTEST: Duration = Duration::from_millis(1);

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It was processed.
    Done,
    /// The subscriber had no time for it.
    Skipped,
    /// It failed, or was answered with an error.
    Failed,
    /// What it was about has ended meanwhile, which is nobody's failure.
    Outlived,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Turn {
    Stopped,
    Waiting(Slot),
    Calling,
}

/// The rhythm of one lane of one registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rhythm {
    task: Task,
    turn: Turn,
    ended: Option<Time>,
    backing_off: bool,
    changed: bool,
    /// The next message was made due by a change.
    hurried: bool,
    /// The last message told something, or was to.
    told: bool,
    /// While a call is pending: when the next message has to go out.
    due: Option<Time>,
}

impl Rhythm {
    /// A lane that says nothing until it is started.
    pub fn new(member: MemberKey, lane: Lane) -> Self {
        Self {
            task: Task::Send(member, lane),
            turn: Turn::Stopped,
            ended: None,
            backing_off: false,
            changed: false,
            hurried: false,
            told: false,
            due: None,
        }
    }

    /// The first message goes out at `at` (S-4).
    pub fn start(&mut self, at: Time, schedule: &mut Schedule) {
        self.wait_until(at, schedule);
    }

    /// The task fell due and a call goes out, which `tells` something new or does not.
    pub fn begin(&mut self, tells: bool) {
        self.turn = Turn::Calling;
        // Others may keep on changing what this one does not see.
        self.told = core::mem::take(&mut self.hurried) || tells;
        self.changed = false;
        self.due = None;
    }

    /// The call ended, or nothing had to be sent: when is the next one (S-5)? `push` is the
    /// shortest time between a message that told something and the next one.
    pub fn end(
        &mut self,
        now: Time,
        ending: Ending,
        config: &LaneConfig,
        push: Option<Duration>,
        schedule: &mut Schedule,
    ) {
        let period = config.period.max(SHORTEST);
        // Whoever ends a turn without a message, because nothing may be said, is not hurried again.
        let changed = core::mem::take(&mut self.changed);
        let wait = match (ending, push) {
            (Ending::Done | Ending::Outlived, Some(push)) if changed => {
                period.min(self.distance(push).max(SHORTEST))
            }
            (Ending::Skipped, _) => period.saturating_mul(2),
            (Ending::Done | Ending::Failed | Ending::Outlived, _) => period,
        };
        self.ended = Some(now);
        self.backing_off = matches!(ending, Ending::Failed | Ending::Skipped);
        let due = self.due.take().filter(|_| !self.backing_off);
        let due = due.map(|due| due.max(now + SHORTEST));
        let by_itself = match wait < period {
            true => now + wait,
            false => schedule.about(now + wait, config.slack),
        };
        self.hurried = changed;
        match due.filter(|due| *due <= by_itself) {
            Some(due) => self.wait_until(due, schedule),
            // Nobody tells us of changes where these are not pushed.
            None => self.wait(by_itself, !changed && push.is_some(), schedule),
        }
    }

    /// There has been something new to say `since`: say it now, or after `push`, counted from the
    /// end of the last message, where that told something.
    pub fn hurry(&mut self, since: Time, push: Duration, schedule: &mut Schedule) {
        match self.turn {
            Turn::Calling => self.changed = true,
            Turn::Waiting(slot) => {
                let push = self.distance(push);
                let ended = self.ended.filter(|_| !self.backing_off);
                let soon = ended.map_or(slot.at, |ended| since.max(ended + push).min(slot.at));
                if soon < slot.at || slot.is_poll() {
                    self.hurried = true;
                    self.wait_until(soon, schedule);
                }
            }
            Turn::Stopped => {}
        }
    }

    /// The next message goes out at `at`, whatever it was waiting for, if not sooner.
    pub fn due_by(&mut self, at: Time, schedule: &mut Schedule) {
        match self.turn {
            Turn::Waiting(slot) if at < slot.at || slot.is_poll() => {
                self.wait_until(at.min(slot.at), schedule);
            }
            Turn::Calling => self.due = Some(self.due.map_or(at, |due| due.min(at))),
            Turn::Waiting(_) | Turn::Stopped => {}
        }
    }

    /// Nothing more is sent.
    pub fn stop(&mut self, schedule: &mut Schedule) {
        if let Turn::Waiting(slot) = self.turn {
            schedule.cancel(slot);
        }
        self.turn = Turn::Stopped;
    }

    /// True while a call is pending.
    pub fn is_calling(&self) -> bool {
        self.turn == Turn::Calling
    }

    /// From the end of the last message to the next one that tells something.
    fn distance(&self, push: Duration) -> Duration {
        if self.told { push } else { Duration::ZERO }
    }

    fn wait_until(&mut self, at: Time, schedule: &mut Schedule) {
        self.wait(at, false, schedule);
    }

    fn wait(&mut self, at: Time, polls: bool, schedule: &mut Schedule) {
        self.stop(schedule);
        self.turn = Turn::Waiting(match polls {
            true => schedule.add_poll(at, self.task),
            false => schedule.add(at, self.task),
        });
    }
}

#[cfg(test)]
mod tests;
