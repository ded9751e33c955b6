//! Changes are made known at once: the lanes of those who should hear of them become due sooner.
//!
//! ```text
//!   news --hurry--> tell_audiences --> Telling --a step's worth, Task::Tell--> lanes due
//!             |  within the coalescing time          | its turn is over: quiet for that time
//!             +--> untold --Task::Push, at its end --+ what came meanwhile is told after it
//! ```
//!
//! Deliberately absent: what changed (`publish`), who should hear of it (`audience`), and sending.
//! Invariants: a topic waits for at most one turn, so what waits is bounded by the topics and one
//! topic's subscribers, however often they change; a task comes when each that is untold is due.

use super::topics::Topic;
use super::work::Work;
use super::{AT_ONCE, Node};
use crate::members::{MemberKey, rhythm_of};
use crate::schedule::Task;
use crate::time::{Now, Time};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::IntoIter;
use core::time::Duration;
use statestore_wire::Text;

/// Topics whose subscribers are to be told, when so many are that a step should not tell all.
#[derive(Debug, Default)]
pub(super) struct Telling {
    turn: Option<Turn>,
    next: VecDeque<Text>,
    /// The same, to find them.
    waiting: BTreeSet<Text>,
}

/// The topic that is being told.
#[derive(Debug)]
struct Turn {
    topic: Text,
    rhythm: usize,
    /// When it began. Who waits for a message becomes due as if it were told then, however many
    /// steps the telling takes: what fell due later in its lane does not go before it.
    since: Time,
    /// Not of a change: from now on all are to tell how far they are (T-10), within this time.
    polled_within: Option<Duration>,
    members: IntoIter<MemberKey>,
}

impl Telling {
    /// How many topics and subscribers wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.next.len() + self.turn.as_ref().map_or(0, |turn| turn.members.len())
    }
}

impl Node {
    /// Changes are made known at once.
    pub(super) fn pushes(&self) -> bool {
        self.config.push_coalesce.is_some() && self.acts()
    }

    /// A topic may have changed: makes the lanes of those who have to be told due soon. Within
    /// the coalescing time after the last such change it waits for its end, so that a thousand
    /// writers do not make a million wishes.
    pub(super) fn hurry(&mut self, now: Now, name: &Text) {
        let pushes = self.pushes();
        let topic = self.topics.find_mut(name).filter(|_| pushes);
        let Some(topic) = topic.filter(|topic| topic.audiences.have_news()) else {
            return;
        };
        if topic.quiet_until <= now.time {
            self.tell_audiences(now, name);
        } else {
            self.tell_later(name);
        }
    }

    /// A topic waits for the end of its coalescing time, which may have moved since it began to.
    fn tell_later(&mut self, name: &Text) {
        let Some(topic) = self.topics.find_mut(name) else {
            return;
        };
        let at = topic.quiet_until;
        match topic.untold.replace(at) {
            Some(before) if before == at => return,
            Some(before) => drop(self.untold.remove(&(before, name.clone()))),
            None => {}
        }
        self.untold.insert((at, name.clone()));
        self.schedule.add(at, Task::Push);
    }

    /// Somebody wants to know how far all subscribers of a topic are (T-10), and nobody did: those
    /// at rest are to be polled again.
    pub(super) fn poll_anew(&mut self, now: Now, name: &Text) {
        let pushes = self.pushes(); // otherwise nobody rests
        if let Some(topic) = self.topics.find_mut(name).filter(|_| pushes) {
            topic.polled_anew = true;
            self.tell_audiences(now, name);
        }
    }

    /// The coalescing time of some topics is over.
    pub(super) fn push(&mut self, now: Now) {
        while let Some((at, name)) = self.untold.pop_first() {
            if at > now.time {
                self.untold.insert((at, name)); // its own task comes
                return;
            }
            let waits = |topic: &&mut Topic| topic.untold == Some(at);
            let Some(topic) = self.topics.find_mut(&name).filter(waits) else {
                continue; // another one of that name
            };
            topic.untold = None;
            if topic.quiet_until <= now.time {
                self.tell_audiences(now, &name);
            } else if topic.has_to_tell() {
                self.tell_later(&name); // it was told meanwhile, and changed again
            }
        }
    }

    fn tell_audiences(&mut self, now: Now, name: &Text) {
        let telling = &mut self.telling;
        if telling
            .turn
            .as_ref()
            .is_some_and(|turn| turn.topic == *name)
        {
            return; // after its turn
        }
        if telling.waiting.insert(name.clone()) {
            telling.next.push_back(name.clone());
        }
        if telling.turn.is_none() {
            self.next_turn(now);
            self.tell_more(now);
        }
    }

    /// Tells as many as a step should.
    pub(super) fn tell_more(&mut self, now: Now) {
        let push = self.config.push_coalesce.unwrap_or_default();
        while let Some(turn) = &mut self.telling.turn {
            for key in turn.members.by_ref() {
                if let Some(member) = self.members.find_mut(key).filter(|member| member.followed) {
                    let rhythm = &mut member.rhythms[turn.rhythm];
                    match turn.polled_within {
                        Some(period) => rhythm.due_by(now.time + period, &mut self.schedule),
                        None => rhythm.hurry(turn.since, push, &mut self.schedule),
                    }
                }
                self.work.spend(Work::WISH);
                if self.work.is_done() {
                    self.schedule.add(turn.since + AT_ONCE, Task::Tell);
                    return;
                }
            }
            if let Some(topic) = self.topics.find_mut(&turn.topic) {
                topic.quiet_until = now.time + push;
                if topic.has_to_tell() {
                    let name = turn.topic.clone();
                    self.tell_later(&name);
                }
            }
            self.next_turn(now);
        }
    }

    /// The first topic that waits, if there still is something to tell.
    fn next_turn(&mut self, now: Now) {
        self.telling.turn = None;
        while let Some(name) = self.telling.next.pop_front() {
            self.telling.waiting.remove(&name);
            let topic = self.topics.find_mut(&name);
            let Some((rhythm, topic)) = topic.and_then(|t| Some((rhythm_of(t.lane)?, t))) else {
                continue;
            };
            let anew = core::mem::take(&mut topic.polled_anew);
            let members = match anew {
                true => topic.audiences.everybody(),
                false => topic.audiences.tell(),
            };
            self.work.spend(members.len());
            let lane = topic.lane;
            self.telling.turn = Some(Turn {
                topic: name,
                rhythm,
                since: now.time,
                polled_within: anew.then(|| self.config.lane(lane).period),
                members: members.into_iter(),
            });
            return;
        }
    }
}
