//! When things are due: one schedule for everything.
//!
//! ```text
//!   moments: 10.000 s -> [task, task, -, task]      "-" was cancelled
//!            10.003 s -> [task]
//! ```
//!
//! Lanes fall due at few moments, a hundred at each, so those of one moment stand together: adding
//! one is a push, and taking it a pop.
//!
//! There are queues that take turns: a change of a large topic makes thousands of its lane due at
//! once, a pause of the process everything, and nothing of another kind waits behind. Polls, which
//! say nothing new, have fewer turns than the rest.
//!
//! Deliberately absent: how often anything is due (`lanes`), and what is then done. Invariants:
//! what is due of one queue comes in the order of time, and of addition within a moment; long work
//! comes before nothing that is due before it; a moment holds a task, and its first one is not
//! cancelled; there are no more holes than tasks, but for a few.

use crate::ids::MemberKey;
use crate::port::Lane;
use crate::time::Time;
use alloc::collections::VecDeque;
use alloc::collections::btree_map::{BTreeMap, Entry};
use core::time::Duration;

/// Queues that take turns.
const SHORT: usize = 4;
/// The one of polls.
const POLLS: usize = 3;
/// The queue of long work.
const LONG: usize = SHORT;
/// Whose turn it is, again and again; one in which nothing is due is passed over.
const TURNS: [usize; 10] = [0, 1, 2, 0, 1, 2, 0, 1, 2, POLLS];
/// How many instants a slack has.
const INSTANTS: u32 = 2;
/// 2^32 by the golden ratio: its multiples, cut to 32 bits, are spread evenly however many.
pub(crate) const GOLDEN: u32 = 0x9e37_79b9;
/// So many holes in a moment are not worth a look.
const HOLES: usize = 16;

/// What of what is due is wanted; each with all before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upto {
    /// What is neither of the others.
    News,
    /// Updates that only ask.
    Polls,
    /// Work that takes long.
    Long,
}

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
    /// The one it waits in if it is no poll. Telling of a change is in the first one, for it is
    /// soon done, and has to be.
    fn queue(self) -> usize {
        match self {
            Self::Send(_, Lane::Priority) => 1,
            Self::Send(_, Lane::Bulk) => 2,
            Self::Absorb | Self::Expire | Self::Collect => LONG,
            _ => 0,
        }
    }
}

impl Slot {
    fn new(at: Time, number: u64, queue: usize) -> Self {
        let seq = number * (SHORT + 1) as u64 + queue as u64;
        Self { at, seq }
    }

    fn queue(self) -> usize {
        (self.seq % (SHORT + 1) as u64) as usize
    }

    /// It was added as a poll.
    pub fn is_poll(self) -> bool {
        self.queue() == POLLS
    }
}

/// Everything that is going to happen by itself.
#[derive(Debug, Default)]
pub struct Schedule {
    queues: [Moments; SHORT + 1],
    /// The place in [`TURNS`] that is next.
    turn: usize,
    next_seq: u64,
}

impl Schedule {
    /// Adds a task.
    pub fn add(&mut self, at: Time, task: Task) -> Slot {
        self.add_to(task.queue(), at, task)
    }

    /// Adds one that asks whether there is anything new, and says nothing new itself. A heartbeat
    /// is none: who sends it is what it says.
    pub fn add_poll(&mut self, at: Time, task: Task) -> Slot {
        let queue = match task {
            Task::Send(_, Lane::Priority | Lane::Bulk) => POLLS,
            _ => task.queue(),
        };
        self.add_to(queue, at, task)
    }

    fn add_to(&mut self, queue: usize, at: Time, task: Task) -> Slot {
        let slot = Slot::new(at, self.next_seq, queue);
        self.next_seq += 1;
        self.queues[slot.queue()].add(slot, task);
        slot
    }

    /// Takes a task out, if it is still there.
    pub fn cancel(&mut self, slot: Slot) {
        self.queues[slot.queue()].cancel(slot);
    }

    /// When the earliest task is due.
    pub fn first(&self) -> Option<Time> {
        earliest(&self.queues)
    }

    /// When the earliest one is due that is neither a poll nor long work.
    pub fn first_news(&self) -> Option<Time> {
        earliest(&self.queues[..POLLS])
    }

    /// When the earliest one is due that is no long work.
    pub fn first_short(&self) -> Option<Time> {
        earliest(&self.queues[..SHORT])
    }

    /// The next task that is due.
    pub fn pop_due(&mut self, now: Time, upto: Upto) -> Option<(Slot, Task)> {
        let long = &self.queues[LONG];
        if upto == Upto::Long && long.first.is_some_and(|first| first <= now) {
            let long = long.first_slot();
            let others = self.queues[..SHORT].iter();
            let first = others.filter_map(Moments::first_slot).min();
            if first.is_none_or(|first| long < Some(first)) {
                return self.queues[LONG].pop();
            }
        }
        let turn = next_turn(self.turn, self.turns_due(now, upto))?;
        self.turn = turn + 1;
        self.queues[TURNS[turn]].pop()
    }

    /// What is due of what is soon done, in order.
    pub(crate) fn due(&self, now: Time, upto: Upto) -> impl Iterator<Item = Task> + '_ {
        let mut turn = self.turn;
        let mut turns = self.turns_due(now, upto);
        let due =
            |queue: usize| (turns & OF_QUEUE[queue] != 0).then(|| self.queues[queue].due(now));
        let mut queues: [_; SHORT] = core::array::from_fn(due);
        core::iter::from_fn(move || {
            loop {
                let at = next_turn(turn, turns)?;
                if let Some(task) = queues[TURNS[at]].as_mut().and_then(Iterator::next) {
                    turn = at + 1;
                    return Some(task);
                }
                turns &= !OF_QUEUE[TURNS[at]];
            }
        })
    }

    /// The turns of those in which something is due.
    fn turns_due(&self, now: Time, upto: Upto) -> u32 {
        let queues = if upto == Upto::News { POLLS } else { SHORT };
        let mut turns = 0;
        for (queue, of_queue) in self.queues[..queues].iter().zip(OF_QUEUE) {
            if queue.first.is_some_and(|first| first <= now) {
                turns |= of_queue;
            }
        }
        turns
    }

    /// A time that is later by up to `slack`: one of a few instants, for each who asks another.
    pub(crate) fn about(&self, at: Time, slack: Duration) -> Time {
        let part = (self.next_seq as u32).wrapping_mul(GOLDEN) / (u32::MAX / INSTANTS + 1);
        let instant = slack / INSTANTS;
        (at + instant * part).up_to(instant)
    }

    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.queues.iter().map(|queue| queue.len).sum()
    }

    /// True if nothing will happen by itself.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn earliest(queues: &[Moments]) -> Option<Time> {
    queues.iter().filter_map(|queue| queue.first).min()
}

/// The places of each queue in [`TURNS`], a bit for each; there are fewer than 32.
const OF_QUEUE: [u32; SHORT] = {
    let mut places = [0; SHORT];
    let mut turn = 0;
    while turn < TURNS.len() {
        places[TURNS[turn]] |= 1 << turn;
        turn += 1;
    }
    places
};

/// The first of these turns from that one on, and around.
fn next_turn(from: usize, turns: u32) -> Option<usize> {
    let later = turns & (u32::MAX << from);
    let next = if later == 0 { turns } else { later };
    (next != 0).then(|| next.trailing_zeros() as usize)
}

/// Tasks by the moment at which they are due.
#[derive(Debug, Default)]
struct Moments {
    all: BTreeMap<Time, Moment>,
    /// The earliest one.
    first: Option<Time>,
    len: usize,
}

/// What is due at one moment.
#[derive(Debug)]
enum Moment {
    /// Who has no moment in common with others needs no memory for it.
    One(u64, Task),
    Many(Crowd),
}

/// By the numbers in which they were added.
#[derive(Debug, Default)]
struct Crowd {
    tasks: VecDeque<(u64, Option<Task>)>,
    live: usize,
}

impl Moments {
    fn add(&mut self, Slot { at, seq }: Slot, task: Task) {
        self.len += 1;
        let moment = match self.all.entry(at) {
            Entry::Vacant(free) => {
                free.insert(Moment::One(seq, task));
                self.first = self.first.into_iter().chain([at]).min();
                return;
            }
            Entry::Occupied(moment) => moment.into_mut(),
        };
        if let Moment::One(first, only) = *moment {
            let tasks = VecDeque::from([(first, Some(only))]);
            *moment = Moment::Many(Crowd { tasks, live: 1 });
        }
        if let Moment::Many(crowd) = moment {
            crowd.tasks.push_back((seq, Some(task)));
            crowd.live += 1;
        }
    }

    fn due(&self, now: Time) -> impl Iterator<Item = Task> + '_ {
        let due = self.all.range(..=now);
        due.flat_map(|(_, moment)| moment.tasks())
    }

    fn first_slot(&self) -> Option<Slot> {
        let (&at, moment) = self.all.first_key_value()?;
        let seq = match moment {
            Moment::One(seq, _) => *seq,
            Moment::Many(crowd) => crowd.tasks.front()?.0,
        };
        Some(Slot { at, seq })
    }

    fn pop(&mut self) -> Option<(Slot, Task)> {
        let mut first = self.all.first_entry()?;
        let at = *first.key();
        let (seq, task) = match first.get_mut() {
            Moment::One(seq, task) => (*seq, *task),
            Moment::Many(crowd) => crowd.pop()?,
        };
        self.len -= 1;
        if first.get().is_over() {
            first.remove();
            self.first = self.all.first_key_value().map(|(first, _)| *first);
        }
        Some((Slot { at, seq }, task))
    }

    fn cancel(&mut self, Slot { at, seq }: Slot) {
        let Entry::Occupied(mut moment) = self.all.entry(at) else {
            return;
        };
        let found = match moment.get_mut() {
            Moment::One(only, _) => *only == seq,
            Moment::Many(crowd) => crowd.cancel(seq),
        };
        self.len -= usize::from(found);
        if found && moment.get().is_over() {
            moment.remove();
            if self.first == Some(at) {
                self.first = self.all.first_key_value().map(|(first, _)| *first);
            }
        }
    }
}

impl Moment {
    fn tasks(&self) -> impl Iterator<Item = Task> + '_ {
        let (one, many) = match self {
            Self::One(_, task) => (Some(*task), None),
            Self::Many(crowd) => (None, Some(crowd.tasks.iter())),
        };
        let many = many.into_iter().flatten();
        one.into_iter().chain(many.filter_map(|(_, task)| *task))
    }

    /// After its only task, or the last of many, was taken.
    fn is_over(&self) -> bool {
        match self {
            Self::One(..) => true,
            Self::Many(crowd) => crowd.live == 0,
        }
    }
}

impl Crowd {
    fn pop(&mut self) -> Option<(u64, Task)> {
        let (seq, task) = self.tasks.pop_front()?;
        self.live -= 1;
        self.tidy();
        Some((seq, task?))
    }

    fn cancel(&mut self, seq: u64) -> bool {
        let Ok(i) = self.tasks.binary_search_by_key(&seq, |(seq, _)| *seq) else {
            return false;
        };
        let found = self.tasks[i].1.take().is_some();
        self.live -= usize::from(found);
        self.tidy();
        found
    }

    fn tidy(&mut self) {
        while self.tasks.front().is_some_and(|(_, task)| task.is_none()) {
            self.tasks.pop_front();
        }
        if self.tasks.len() > 2 * self.live + HOLES {
            self.tasks.retain(|(_, task)| task.is_some());
        }
    }
}

#[cfg(test)]
mod tests;
