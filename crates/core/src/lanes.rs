//! When things are due: one schedule for everything, and the rhythm of each lane (S-3 to S-7).
//!
//! ```text
//!   start --> Waiting(slot) --begin--> Calling --end--> Waiting(end + period)
//!                  ^  hurry: a change shortens the wait         | end + 2 periods if skipped
//!                  +--------------------------------------------+ end + period if failed
//! ```
//!
//! A lane in either back-off is not hurried: who asked for time gets it (S-5). Nor is the first
//! message, whose time the registration sets (S-4, R-3). A change that comes while a call is
//! pending is remembered and shortens the wait after it.
//!
//! Deliberately absent: what is sent. Invariants: a lane holds at most one slot of the schedule,
//! and none while its call is pending (S-3); every operation is logarithmic.

use crate::config::LaneConfig;
use crate::ids::MemberKey;
use crate::port::Lane;
use crate::time::Time;
use alloc::collections::BTreeMap;
use core::time::Duration;

/// A wait of nothing would spin; this is the shortest.
const SHORTEST: Duration = Duration::from_millis(1);
/// How many instants a slack has.
const INSTANTS: u32 = 2;
/// 2^32 by the golden ratio: its multiples, cut to 32 bits, are spread evenly however many.
const GOLDEN: u32 = 0x9e37_79b9;

/// What falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// The next message of a lane.
    Send(MemberKey, Lane),
    /// The end of the grace for inherited entries (W33).
    Grace(MemberKey),
    /// The end of the wait for a second catalogd (C-5).
    CatalogWait,
    /// A round of telling about the catalogd (N-4).
    CatalogRound,
    /// The report of who answered (F-8).
    Report,
    /// More of a large publication than one step should write.
    Absorb,
    /// More of a large expiry.
    Expire,
    /// Changes that came soon after another are made known.
    Push,
    /// More subscribers to make them known to than one step should.
    Tell,
    /// More tombstones to collect than one step should.
    Collect,
    /// The pair's own deadline.
    PairWake,
    /// An HA heartbeat or a handshake (H-10, H-20).
    PeerTurn,
    /// A round of telling the role (H-30).
    RoleRound,
}

/// A place in the schedule: things due at one time keep the order in which they were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// When it is due.
    pub at: Time,
    seq: u64,
}

impl Task {
    /// True for a piece of what takes longer than one step. Not for telling of a change, which is
    /// soon done, and has to be.
    fn is_long(self) -> bool {
        matches!(self, Self::Absorb | Self::Expire | Self::Collect)
    }
}

/// Everything that is going to happen by itself.
#[derive(Debug, Default)]
pub struct Schedule {
    /// Each of these is soon done.
    tasks: BTreeMap<Slot, Task>,
    /// Pieces of what takes longer than one step.
    long: BTreeMap<Slot, Task>,
    next_seq: u64,
}

impl Schedule {
    /// Adds a task.
    pub fn add(&mut self, at: Time, task: Task) -> Slot {
        let slot = Slot {
            at,
            seq: self.next_seq,
        };
        self.next_seq += 1;
        let tasks = match task.is_long() {
            true => &mut self.long,
            false => &mut self.tasks,
        };
        tasks.insert(slot, task);
        slot
    }

    /// Takes a task out, if it is still there.
    pub fn cancel(&mut self, slot: Slot) {
        if self.tasks.remove(&slot).is_none() {
            self.long.remove(&slot);
        }
    }

    /// When the earliest task is due.
    pub fn first(&self) -> Option<Time> {
        let long = self.long.keys().next().map(|slot| slot.at);
        self.first_short().into_iter().chain(long).min()
    }

    /// When the earliest one is due that is no long work.
    pub fn first_short(&self) -> Option<Time> {
        self.tasks.keys().next().map(|slot| slot.at)
    }

    /// The earliest task that is due, of all or of those that are no long work.
    pub fn pop_due(&mut self, now: Time, long_work: bool) -> Option<(Slot, Task)> {
        let next = |tasks: &BTreeMap<Slot, Task>| tasks.keys().next().copied();
        let long = next(&self.long).filter(|_| long_work);
        let slot = next(&self.tasks).into_iter().chain(long).min()?;
        if slot.at > now {
            return None;
        }
        let tasks = match Some(slot) == long {
            true => &mut self.long,
            false => &mut self.tasks,
        };
        tasks.pop_first()
    }

    /// A time that is later by up to `slack`: one of a few instants, for each who asks another.
    fn about(&self, at: Time, slack: Duration) -> Time {
        let part = (self.next_seq as u32).wrapping_mul(GOLDEN) / (u32::MAX / INSTANTS + 1);
        let instant = slack / INSTANTS;
        (at + instant * part).up_to(instant)
    }

    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.tasks.len() + self.long.len()
    }

    /// True if nothing will happen by itself.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

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
            due: None,
        }
    }

    /// The first message goes out at `at` (S-4).
    pub fn start(&mut self, at: Time, schedule: &mut Schedule) {
        self.wait_until(at, schedule);
    }

    /// The task fell due and a call goes out.
    pub fn begin(&mut self) {
        self.turn = Turn::Calling;
        self.changed = false;
        self.due = None;
    }

    /// The call ended, or nothing had to be sent: when is the next one (S-5)? `push` is the
    /// shortest wait after a change.
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
                period.min(push.max(SHORTEST))
            }
            (Ending::Skipped, _) => period.saturating_mul(2),
            (Ending::Done | Ending::Failed | Ending::Outlived, _) => period,
        };
        self.ended = Some(now);
        self.backing_off = matches!(ending, Ending::Failed | Ending::Skipped);
        let due = self.due.take().filter(|_| !self.backing_off);
        let soonest = |due: Time| due.max(now + SHORTEST);
        let by_itself = match wait < period {
            true => now + wait,
            false => schedule.about(now + wait, config.slack),
        };
        let next = due.map_or(by_itself, |due| soonest(due).min(by_itself));
        self.wait_until(next, schedule);
    }

    /// There is something new to say: say it after `push` at the latest, counted from the end of
    /// the last message.
    pub fn hurry(&mut self, now: Time, push: Duration, schedule: &mut Schedule) {
        match self.turn {
            Turn::Calling => self.changed = true,
            Turn::Waiting(slot) if !self.backing_off => {
                let soon = self.ended.map(|ended| now.max(ended + push));
                if let Some(soon) = soon.filter(|soon| *soon < slot.at) {
                    self.wait_until(soon, schedule);
                }
            }
            Turn::Waiting(_) | Turn::Stopped => {}
        }
    }

    /// The next message goes out at `at`, whatever it was waiting for, if not sooner.
    pub fn due_by(&mut self, at: Time, schedule: &mut Schedule) {
        match self.turn {
            Turn::Waiting(slot) if at < slot.at => self.wait_until(at, schedule),
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

    fn wait_until(&mut self, at: Time, schedule: &mut Schedule) {
        self.stop(schedule);
        self.turn = Turn::Waiting(schedule.add(at, self.task));
    }
}

#[cfg(test)]
mod tests;
