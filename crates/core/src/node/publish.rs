//! What a subscriber's reply changes in the topics (T-21 to T-27), and who should hear of it.
//!
//! A change is not sent here; it makes the lanes of its audience due sooner.

use super::work::Work;
use super::{AT_ONCE, Node};
use crate::event::Event;
use crate::lanes::Task;
use crate::members::{MemberKey, Registration, rhythm_of};
use crate::owned::Owned;
use crate::port::{Effect, Lane, Outbox};
use crate::time::Now;
use crate::topic::Version;
use alloc::vec::IntoIter;
use core::ops::Range;
use statestore_wire::{Text, TopicDelta};

/// Members whose lane is to be made due sooner.
#[derive(Debug)]
pub(super) struct Hurrying {
    rhythm: usize,
    members: IntoIter<MemberKey>,
}

impl Node {
    /// Before the items of a delta (T-21 to T-23, T-27). False if it is to be ignored. Its only
    /// effects are lines for the log.
    pub(super) fn begin_delta(
        &mut self,
        writer: &Registration,
        delta: &TopicDelta,
        out: &mut Outbox,
    ) -> bool {
        let topic = &delta.topic_name;
        let (topic_copy, subscriber) = (topic.clone(), writer.id.clone());
        let place = writer.place_of(topic);
        let log = match place {
            // A late reply (T-32) may name a topic that went with its registration.
            Some(place) => {
                let created = self.topics.ensure(topic, writer.topics[place].lane).1;
                created.then_some(Event::TopicCreated {
                    topic: topic_copy,
                    subscriber,
                })
            }
            None if self.topics.find(topic).is_none() => {
                out.push(Effect::Log(Event::UnknownTopic {
                    topic: topic_copy,
                    subscriber,
                }));
                return false;
            }
            // T-27, W25
            None => Some(Event::NotSubscribed {
                topic: topic_copy,
                subscriber,
            }),
        };
        out.extend(log.map(Effect::Log));
        if let (Some(from), Some(place)) = (delta.from_version, place) {
            self.reset_base(writer, place, from, out);
        }
        if delta.clear_topic_entries == Some(true) {
            self.clear(writer, topic, out);
        }
        true
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
        topic.mark(writer.key, member.followed, &member.progress[place]);
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

    /// T-30: deletes what still is as it was written. What is too much for a step goes on later.
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
        let most = self.config.items_per_step.max(1);
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
            self.expiring.push_back((name.clone(), versions, owner));
        }
        self.hurry(now, name);
    }

    /// The rest of an expiry.
    pub(super) fn expire_more(&mut self, now: Now, out: &mut Outbox) {
        let Some((name, versions, owner)) = self.expiring.pop_front() else {
            return;
        };
        if !self.expiring.is_empty() {
            self.schedule.add(now.time + AT_ONCE, Task::Expire);
        }
        if let Some(topic) = self.topics.find_mut(&name) {
            topic.expiring -= 1;
        }
        self.expire(now, &name, versions, owner);
        self.collect(now, &name);
        if self.topics.drop_if_idle(&name) {
            out.push(Effect::Log(Event::TopicDropped { topic: name }));
        }
    }

    /// Changes are made known at once.
    fn pushes(&self) -> bool {
        self.config.push_coalesce.is_some() && self.acts()
    }

    /// A topic may have changed: makes the lanes of those who have to be told due soon. Within
    /// the coalescing time after the last such change it waits for its end, so that a thousand
    /// writers do not make a million wishes.
    fn hurry(&mut self, now: Now, name: &Text) {
        let pushes = self.pushes();
        let topic = self.topics.find_mut(name).filter(|_| pushes);
        let Some(topic) = topic.filter(|topic| topic.audiences.have_news()) else {
            return;
        };
        if topic.quiet_until <= now.time {
            self.tell_audiences(now, name);
        } else if self.untold.insert(name.clone()) {
            self.schedule.add(topic.quiet_until, Task::Push);
        }
    }

    /// The coalescing time of some topics is over, or there is more to tell than in one step.
    pub(super) fn push(&mut self, now: Now) {
        let more = !self.hurrying.is_empty();
        for name in core::mem::take(&mut self.untold) {
            let quiet = self.topics.find(&name).map(|topic| topic.quiet_until);
            if quiet.is_some_and(|until| until > now.time) {
                self.untold.insert(name); // its own task comes
            } else {
                self.tell_audiences(now, &name);
            }
        }
        if more {
            self.tell_more(now);
        }
    }

    fn tell_audiences(&mut self, now: Now, name: &Text) {
        let (Some(push), Some(topic)) = (self.config.push_coalesce, self.topics.find_mut(name))
        else {
            return;
        };
        topic.quiet_until = now.time + push;
        let Some(rhythm) = rhythm_of(topic.lane) else {
            return;
        };
        let members = topic.audiences.tell();
        let first = self.hurrying.is_empty();
        if !members.is_empty() {
            let members = members.into_iter();
            self.hurrying.push_back(Hurrying { rhythm, members });
        }
        if first {
            self.tell_more(now);
        }
    }

    /// Tells as many as a step should.
    fn tell_more(&mut self, now: Now) {
        let push = self.config.push_coalesce.unwrap_or_default();
        while let Some(Hurrying { rhythm, members }) = self.hurrying.front_mut() {
            for key in members.by_ref() {
                if let Some(member) = self.members.find_mut(key).filter(|member| member.followed) {
                    member.rhythms[*rhythm].hurry(now.time, push, &mut self.schedule);
                }
                self.work.spend(Work::WISH);
                if self.work.is_done() {
                    self.schedule.add(now.time + AT_ONCE, Task::Push);
                    return;
                }
            }
            self.hurrying.pop_front();
        }
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

    /// The rest of a collection.
    pub(super) fn collect_more(&mut self, now: Now) {
        for name in core::mem::take(&mut self.uncollected) {
            self.collect(now, &name);
        }
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
