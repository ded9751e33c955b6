//! What a subscriber publishes changes the topics (T-21 to T-27), and is noted for those who
//! should hear of it.
//!
//! Deliberately absent: how they are told (`push`).

use super::work::Work;
use super::{AT_ONCE, Node};
use crate::event::Event;
use crate::members::{MemberKey, Registration};
use crate::owned::Owned;
use crate::port::{Effect, Lane, Outbox};
use crate::schedule::Task;
use crate::time::Now;
use crate::topic::Version;
use core::ops::Range;
use statestore_wire::{Text, TopicDelta};

impl Node {
    /// Before the items of a delta (T-21 to T-23, T-27): for how many audiences it is to be judged,
    /// or none if it is to be ignored. Its only effects are lines for the log.
    pub(super) fn begin_delta(
        &mut self,
        writer: &Registration,
        delta: &TopicDelta,
        out: &mut Outbox,
    ) -> Option<usize> {
        let topic = &delta.topic_name;
        let (topic_copy, subscriber) = (topic.clone(), writer.id.clone());
        let place = writer.place_of(topic);
        let (audiences, log) = match place {
            // A late reply (T-32) may name a topic that went with its registration.
            Some(place) => {
                let (found, created) = self.topics.ensure(topic, writer.topics[place].lane);
                let log = created.then_some(Event::TopicCreated {
                    topic: topic_copy,
                    subscriber,
                });
                (found.audiences.kinds(), log)
            }
            None => {
                let Some(found) = self.topics.find(topic) else {
                    out.push(Effect::Log(Event::UnknownTopic {
                        topic: topic_copy,
                        subscriber,
                    }));
                    return None;
                };
                // T-27, W25
                let log = Event::NotSubscribed {
                    topic: topic_copy,
                    subscriber,
                };
                (found.audiences.kinds(), Some(log))
            }
        };
        out.extend(log.map(Effect::Log));
        if let (Some(from), Some(place)) = (delta.from_version, place) {
            self.reset_base(writer, place, from, out);
        }
        if delta.clear_topic_entries == Some(true) {
            self.clear(writer, topic, out);
        }
        Some(audiences)
    }

    /// After the items of a delta.
    pub(super) fn end_delta(&mut self, now: Now, delta: &TopicDelta, out: &mut Outbox) {
        let name = &delta.topic_name;
        if let Some(topic) = self.topics.find_mut(name) {
            topic.open = false;
        }
        self.hurry(now, name);
        if self.topics.drop_if_idle(name) {
            let topic = name.clone();
            out.push(Effect::Log(Event::TopicDropped { topic }));
        }
    }

    /// T-22. What no version can be (negative, or from the future) asks for the whole topic.
    fn reset_base(&mut self, writer: &Registration, place: usize, from: i64, out: &mut Outbox) {
        let name = &writer.topics[place].topic;
        let (Some(member), Some(topic)) = (
            self.members.find_mut(writer.key),
            self.topics.find_mut(name),
        ) else {
            return;
        };
        let known = |version: &Version| *version <= topic.log.last();
        let reached = Version::from_wire(from).filter(known).unwrap_or_default();
        member.progress[place].reached = reached;
        topic.mark(writer.key, member.followed, &mut member.progress[place]);
        out.push(Effect::Log(Event::BaseReset {
            topic: name.clone(),
            subscriber: writer.id.clone(),
            from_version: from,
        }));
    }

    /// T-23.
    fn clear(&mut self, writer: &Registration, name: &Text, out: &mut Outbox) {
        let pushes = self.pushes();
        let Some(topic) = self.topics.find_mut(name) else {
            return;
        };
        out.push(Effect::Log(Event::TopicCleared {
            topic: name.clone(),
            subscriber: writer.id.clone(),
            entries: topic.log.sizes().entries,
        }));
        topic.log.clear();
        self.counters.clears += 1;
        if pushes {
            topic.audiences.note(Some(writer.key));
        }
    }

    /// T-24; for a registration that ended meanwhile T-32.
    pub(super) fn write_part(
        &mut self,
        now: Now,
        writer: &Registration,
        delta: &TopicDelta,
        part: Range<usize>,
    ) {
        let name = &delta.topic_name;
        let pushes = self.pushes();
        let topic = self.topics.find_mut(name).filter(|_| !part.is_empty());
        let Some(topic) = topic else {
            return;
        };
        topic.open = true;
        if pushes {
            let items = part.clone().map(|i| delta.topic_entries.item(i).key);
            topic.audiences.note_items(Some(writer.key), items);
        }
        self.work.spend_items(part.len());
        let written = topic.log.write_part(&delta.topic_entries, part);
        let place = writer.place_of(name);
        let Some(place) = place.filter(|&place| writer.topics[place].transient) else {
            return; // T-31
        };
        match self.members.find_mut(writer.key) {
            Some(member) => member.progress[place].owned.add(written, &topic.log),
            None => {
                let mut versions = Owned::default();
                versions.put(written);
                self.expire(now, name, versions, None);
            }
        }
    }

    /// T-30: deletes what still is as it was written. What is too much for a step goes on later,
    /// and is news to everybody then: what its owner was told before does not have it.
    pub(super) fn expire(
        &mut self,
        now: Now,
        name: &Text,
        mut versions: Owned,
        owner: Option<MemberKey>,
    ) {
        let pushes = self.pushes();
        let Some(topic) = self.topics.find_mut(name) else {
            return;
        };
        let most = self.work.items();
        let mut left = most;
        let mut expired = false;
        while left > 0
            && let Some(range) = versions.pop()
        {
            let (rest, some) = topic.log.expire_within(range, &mut left);
            rest.into_iter().for_each(|rest| versions.put(rest));
            expired |= some;
        }
        self.work.spend_items(most - left);
        if expired && pushes {
            topic.audiences.note(owner);
        }
        if !versions.is_empty() {
            topic.expiring += 1;
            if self.expiring.is_empty() {
                self.schedule.add(now.time + AT_ONCE, Task::Expire);
            }
            self.expiring.push_back((name.clone(), versions));
        }
        self.hurry(now, name);
    }

    /// The rest of expiries, of one at least.
    pub(super) fn expire_more(&mut self, now: Now, out: &mut Outbox) {
        let mut all = core::mem::take(&mut self.expiring);
        while let Some((name, versions)) = all.pop_front() {
            if let Some(topic) = self.topics.find_mut(&name) {
                topic.expiring -= 1;
            }
            self.expire(now, &name, versions, None);
            self.collect(now, &name);
            if self.topics.drop_if_idle(&name) {
                out.push(Effect::Log(Event::TopicDropped { topic: name }));
            }
            self.work.spend(Work::TASK);
            if self.work.is_done() {
                break;
            }
        }
        if self.expiring.is_empty() && !all.is_empty() {
            self.schedule.add(now.time + AT_ONCE, Task::Expire);
        }
        all.append(&mut self.expiring);
        self.expiring = all;
    }

    /// Collects tombstones that everybody has seen; what is too much for a step goes on later.
    pub(super) fn collect(&mut self, now: Now, name: &Text) {
        let Some(topic) = self.topics.find_mut(name) else {
            return;
        };
        let most = self.work.items();
        let mut left = most;
        let more = topic.collect(&mut left);
        self.work.spend_items(most - left);
        if more {
            if self.uncollected.is_empty() {
                self.schedule.add(now.time + super::SHORTEST, Task::Collect);
            }
            self.uncollected.insert(name.clone());
        }
    }

    /// The rest of a collection, of one topic at least.
    pub(super) fn collect_more(&mut self, now: Now) {
        let mut names = core::mem::take(&mut self.uncollected);
        while let Some(name) = names.pop_first() {
            self.collect(now, &name);
            if self.work.is_done() {
                break;
            }
        }
        if self.uncollected.is_empty() && !names.is_empty() {
            self.schedule.add(now.time + super::SHORTEST, Task::Collect);
        }
        self.uncollected.append(&mut names);
    }
}

impl crate::config::Config {
    /// The settings of a subscriber's stream of messages.
    pub(super) fn lane(&self, lane: Lane) -> &crate::config::LaneConfig {
        match lane {
            Lane::Heartbeat => &self.heartbeat,
            Lane::Priority => &self.priority,
            Lane::Bulk | Lane::Catalogd | Lane::Role | Lane::Peer => &self.bulk,
        }
    }
}
