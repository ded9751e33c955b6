//! Publications enter the topics in short steps, so that nothing waits for the size of a topic.
//!
//! ```text
//!   reply --> Intake --advance--> topics        (small: all of it in the reply's own step)
//!                |  too much for one step, or its topics are being written, or larger than a few
//!                |  items while something is overdue: it queues
//!                +--> queue --Task::Absorb, a step's worth--> ... --> finished: the lane goes on
//! ```
//!
//! While only a part of a delta is written its topic is *open*: nobody is sent an update of it,
//! because half a publication is nothing that was ever published.
//!
//! Invariants: what replies say about one topic is applied in the order in which they came; nothing
//! that is due waits for more than one step's writing, however many publish at one moment.

use super::register::TOPICS;
use super::work::Work;
use super::{AT_ONCE, Node};
use crate::ids::RequestId;
use crate::lanes::Ending;
use crate::members::Registration;
use crate::port::{Lane, Outbox};
use crate::schedule::Task;
use crate::time::{Now, Time};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::{IntoIter, Vec};
use core::ops::Range;
use statestore_wire::{ItemBatch, Text, TopicDelta};

/// So many lines at most are logged about one reply.
const LINES: usize = 16;
/// Bytes of items that one step writes at most, unless a single item is longer.
const BYTES_A_STEP: usize = 4 << 20;
/// This part of what one step writes costs like what else falls due, so it need not queue.
const SMALL: usize = 64;

/// A reply whose publications are being written.
#[derive(Debug)]
pub(super) struct Intake {
    registration: Arc<Registration>,
    origin: Origin,
    /// The registration was current when it came.
    current: bool,
    /// The delta being written, and how many of its items are.
    open: Option<(TopicDelta, usize)>,
    rest: IntoIter<TopicDelta>,
    queues: Queues,
    /// Lines logged about it so far.
    lines: usize,
}

/// What brought the publications.
#[derive(Debug)]
pub(super) enum Origin {
    /// The answer to an update of this lane.
    Reply(Lane),
    /// The subscriber's own call.
    Call(Unasked),
}

/// Names a publication while it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unasked {
    pub(super) request_id: RequestId,
    pub(super) stream: usize,
    /// It has topics that belong to the other stream.
    pub(super) strays: bool,
    pub(super) sequence: i64,
    pub(super) more: bool,
}

/// How an intake is known to those that come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queues {
    /// It does not queue.
    Not,
    /// By the topics that it has yet to write.
    Named,
    /// As one that may concern all topics, for there are too many to name.
    Unnamed,
}

impl Intake {
    fn deltas(&self) -> impl Iterator<Item = &TopicDelta> {
        let open = self.open.iter().map(|(delta, _)| delta);
        open.chain(self.rest.as_slice())
    }

    /// How many deltas are not written.
    fn names(&self) -> usize {
        self.rest.len() + usize::from(self.open.is_some())
    }

    /// True if it is written in no time: a few items, and few bytes.
    fn is_small(&self, items_per_step: usize) -> bool {
        let (mut items, mut bytes) = (0, 0);
        self.deltas().all(|delta| {
            items += delta.topic_entries.len().max(1);
            if items > 1 + items_per_step / SMALL {
                return false;
            }
            let chunks = delta.topic_entries.chunks_from(0).iter();
            bytes += chunks.map(|chunk| chunk.bytes().len()).sum::<usize>();
            bytes <= BYTES_A_STEP / SMALL
        })
    }
}

impl Node {
    /// A registration publishes something, perhaps nothing.
    pub(super) fn take_in(
        &mut self,
        now: Now,
        registration: Arc<Registration>,
        origin: Origin,
        updates: Vec<TopicDelta>,
        out: &mut Outbox,
    ) {
        let mut intake = Intake {
            current: self.members.find(registration.key).is_some(),
            registration,
            origin,
            open: None,
            rest: updates.into_iter(),
            queues: Queues::Not,
            lines: 0,
        };
        let in_turn = self.intakes.is_empty() || {
            self.work.spend(intake.names().saturating_mul(Work::TOPIC));
            !self.intakes.concern(&intake)
        };
        let in_time = !self.is_late(now.time) || intake.is_small(self.config.items_per_step);
        if in_turn && in_time && self.advance(now, &mut intake, out) {
            return self.finish(now, intake, out);
        }
        if self.intakes.is_empty() {
            self.absorb_soon(now.time);
        }
        self.intakes.push(intake);
    }

    /// As much of what queues as one step should.
    pub(super) fn absorb(&mut self, now: Now, out: &mut Outbox) {
        while let Some(mut intake) = self.intakes.queue.pop_front() {
            if !self.advance(now, &mut intake, out) {
                self.intakes.queue.push_front(intake);
                break;
            }
            self.intakes.finished(&intake);
            self.finish(now, intake, out);
            self.work.spend(Work::TASK);
            if self.work.is_done() {
                break;
            }
        }
        if !self.intakes.is_empty() {
            self.absorb_soon(now.time);
        }
    }

    /// Writes as much as one step should. True if that was all.
    fn advance(&mut self, now: Now, intake: &mut Intake, out: &mut Outbox) -> bool {
        let writer = &intake.registration;
        let mut budget = self.work.items();
        while let Some((delta, written)) = intake.open.take().or_else(|| {
            let delta = intake.rest.next()?;
            Some((delta, 0))
        }) {
            let mut judged = 0;
            if written == 0 {
                let before = out.len();
                let begun = self.begin_delta(writer, &delta, out);
                out.truncate(before + LINES.saturating_sub(intake.lines));
                intake.lines += out.len() - before;
                let Some(audiences) = begun else {
                    self.intakes.written(intake.queues, &delta.topic_name);
                    budget -= 1;
                    if budget == 0 {
                        break;
                    }
                    continue;
                };
                self.work.spend(audiences);
                judged = audiences / Work::ITEM;
            }
            let part = piece(&delta.topic_entries, written, budget);
            budget = budget.saturating_sub(part.len().max(1) + judged);
            let end = part.end;
            self.write_part(now, writer, &delta, part);
            if end < delta.topic_entries.len() {
                intake.open = Some((delta, end));
                return false;
            }
            self.end_delta(now, &delta, out);
            self.intakes.written(intake.queues, &delta.topic_name);
            if budget == 0 {
                break;
            }
        }
        intake.rest.as_slice().is_empty()
    }

    /// Everything is written: the lane's turn is over.
    fn finish(&mut self, now: Now, intake: Intake, out: &mut Outbox) {
        let registration = &intake.registration;
        let lane = match &intake.origin {
            Origin::Reply(lane) => *lane,
            Origin::Call(unasked) => {
                let whose = (&registration.id, registration.key);
                return self.unasked_written(now, whose, unasked, out);
            }
        };
        self.count_outlived(&intake, lane);
        if !registration.publishes {
            self.settle_inheritance(now, registration.key, lane);
        }
        self.end_turn(now, registration.key, lane, Ending::Done);
        for subscription in registration.topics.iter().filter(|it| it.lane == lane) {
            self.collect(now, &subscription.topic);
        }
    }

    /// What is not written is not written any more (W10).
    pub(super) fn abandon(&mut self, now: Now, intake: Intake, out: &mut Outbox) {
        let key = intake.registration.key;
        match &intake.origin {
            Origin::Reply(lane) => {
                self.count_outlived(&intake, *lane);
                self.end_turn(now, key, *lane, Ending::Done);
            }
            Origin::Call(unasked) => self.unasked_abandoned(&intake.registration.id, unasked, out),
        }
    }

    /// If its registration ended meanwhile, that end took this call for a pending one.
    fn count_outlived(&mut self, intake: &Intake, lane: Lane) {
        let registration = &intake.registration;
        if intake.current && self.members.find(registration.key).is_none() {
            self.calls.outlived_ended(&registration.id, lane);
        }
    }

    /// Something should have happened by now: it comes first.
    fn is_late(&self, now: Time) -> bool {
        self.schedule.first_short().is_some_and(|due| due < now)
    }

    fn absorb_soon(&mut self, now: Time) {
        self.schedule.add(now + AT_ONCE, Task::Absorb);
    }
}

/// All publications that are being written or wait for it.
#[derive(Debug, Default)]
pub(super) struct Intakes {
    queue: VecDeque<Intake>,
    /// How many of their deltas are for each topic.
    topics: BTreeMap<Text, usize>,
    /// How many of them are not in that count.
    unnamed: usize,
}

impl Intakes {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn into_queue(self) -> VecDeque<Intake> {
        self.queue
    }

    /// True if one of them may be for a topic of this one's, which has to come after it then.
    fn concern(&self, intake: &Intake) -> bool {
        let mut deltas = intake.deltas();
        self.unnamed > 0
            || (!self.is_empty() && intake.names() > TOPICS)
            || deltas.any(|delta| self.topics.contains_key(&delta.topic_name))
    }

    fn push(&mut self, mut intake: Intake) {
        if intake.names() > TOPICS {
            self.unnamed += 1;
            intake.queues = Queues::Unnamed;
        } else {
            for delta in intake.deltas() {
                *self.topics.entry(delta.topic_name.clone()).or_default() += 1;
            }
            intake.queues = Queues::Named;
        }
        self.queue.push_back(intake);
    }

    /// A delta of one that queues, or not, is written.
    fn written(&mut self, queues: Queues, topic: &Text) {
        if queues == Queues::Named
            && let Some(deltas) = self.topics.get_mut(topic)
        {
            *deltas -= 1;
            if *deltas == 0 {
                self.topics.remove(topic);
            }
        }
    }

    /// All of them are.
    fn finished(&mut self, intake: &Intake) {
        self.unnamed -= usize::from(intake.queues == Queues::Unnamed);
    }
}

/// The next items to write in one go: at least one, if there is one. Whole chunks if they fit,
/// for those become the topic's without being copied.
fn piece(items: &ItemBatch, from: usize, most: usize) -> Range<usize> {
    let (mut end, mut bytes) = (from, 0);
    for chunk in items.chunks_from(from) {
        let chunk_end = chunk.items().end;
        bytes += chunk.bytes().len();
        if end > from && (chunk_end - from > most || bytes > BYTES_A_STEP) {
            break;
        }
        end = chunk_end.min(from + most);
    }
    from..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_piece_is_bounded_by_count_and_by_bytes_but_never_empty() {
        let long = vec![0u8; BYTES_A_STEP / 2];
        let batch = |n: usize, value: &[u8]| {
            ItemBatch::from_items((0..n).map(|_| (&b"k"[..], value, false)))
        };
        assert_eq!(piece(&batch(0, b""), 0, 10), 0..0);
        assert_eq!(piece(&batch(25, b""), 0, 10), 0..10);
        assert_eq!(piece(&batch(25, b""), 20, 10), 20..25);
        let three = batch(3, &long);
        assert_eq!(piece(&three, 0, 10), 0..1, "two are just too long");
        assert_eq!(piece(&three, 2, 10), 2..3);
        assert_eq!(piece(&batch(1, &vec![0; 2 * BYTES_A_STEP]), 0, 10), 0..1);
    }
}
