//! What a subscriber's reply changes in the topics (T-21 to T-27), and who should hear of it.
//!
//! A change is not sent here; it makes lanes due sooner. Nobody is hurried for what it wrote
//! itself, so a subscriber that publishes with every answer does not drive itself, nor for what
//! its prefix hides.

use super::Node;
use crate::event::Event;
use crate::members::{MemberKey, Registration, rhythm_of};
use crate::port::{Effect, Lane, Outbox};
use crate::time::Now;
use crate::topic::Version;
use alloc::vec::Vec;
use core::ops::Range;
use statestore_wire::{ItemBatch, Text, TopicDelta};

impl Node {
    /// Before the items of a delta (T-21 to T-23, T-27). False if it is to be ignored.
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
    pub(super) fn end_delta(
        &mut self,
        now: Now,
        writer: &Registration,
        delta: &TopicDelta,
        out: &mut Outbox,
    ) {
        let name = &delta.topic_name;
        if let Some(topic) = self.topics.find_mut(name) {
            topic.open = false;
        }
        let cleared = delta.clear_topic_entries == Some(true);
        if cleared || !delta.topic_entries.is_empty() {
            let items = (!cleared).then_some(&delta.topic_entries);
            self.hurry(now, name, Some(writer.key), items);
        }
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
        let Some(topic) = self.topics.find_mut(name) else {
            return;
        };
        topic.open = true;
        let written = topic.log.write_part(&delta.topic_entries, part);
        let place = writer.place_of(name);
        let Some(place) = place.filter(|&place| writer.topics[place].transient) else {
            return; // T-31
        };
        match self.members.find_mut(writer.key) {
            Some(member) => member.progress[place].owned.add(written, &topic.log),
            None => {
                let versions = (written.start().0..=written.end().0).map(Version).collect();
                self.expire(now, name, versions, None);
            }
        }
    }

    /// T-30: deletes what still is as it was written.
    pub(super) fn expire(
        &mut self,
        now: Now,
        name: &Text,
        versions: Vec<Version>,
        owner: Option<MemberKey>,
    ) {
        let Some(topic) = self.topics.find_mut(name) else {
            return;
        };
        let mut expired = false;
        for version in versions {
            expired |= topic.log.expire(version).is_some();
        }
        if expired {
            self.hurry(now, name, owner, None);
        }
    }

    /// A topic changed: makes the lanes of those who see it due soon. `items` is what changed,
    /// if that is known.
    pub(super) fn hurry(
        &mut self,
        now: Now,
        name: &Text,
        writer: Option<MemberKey>,
        items: Option<&ItemBatch>,
    ) {
        let (Some(push), Some(topic)) = (self.config.push_coalesce, self.topics.find(name)) else {
            return;
        };
        let Some(rhythm) = rhythm_of(topic.lane).filter(|_| self.role.acts()) else {
            return;
        };
        let mut sight = Sight::of(items);
        for (key, place) in &topic.subscribers {
            let Some(member) = self.members.find_mut(*key) else {
                continue;
            };
            let prefix = &member.registration.topics[*place].prefix;
            if Some(*key) != writer && member.followed && sight.shows_any(prefix) {
                member.rhythms[rhythm].hurry(now.time, push, &mut self.schedule);
            }
        }
    }

    /// Collects tombstones that everybody has seen; what is too much for a step goes on later.
    pub(super) fn collect(&mut self, now: Now, name: &Text) {
        if self
            .topics
            .find_mut(name)
            .is_some_and(|topic| topic.collect())
        {
            if self.uncollected.is_empty() {
                self.schedule
                    .add(now.time + super::SHORTEST, crate::lanes::Task::Collect);
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
            Lane::Bulk | Lane::Catalogd | Lane::Role => &self.bulk,
        }
    }
}

/// Which prefixes let any of some items through. Most subscribers share a few prefixes, so each
/// is judged once; where there are many, the rest is taken to see something.
struct Sight<'a> {
    items: Option<&'a ItemBatch>,
    judged: Vec<(Text, bool)>,
}

impl<'a> Sight<'a> {
    const PREFIXES: usize = 16;

    fn of(items: Option<&'a ItemBatch>) -> Self {
        Self {
            items,
            judged: Vec::new(),
        }
    }

    fn shows_any(&mut self, prefix: &Text) -> bool {
        let Some(items) = self.items.filter(|_| !prefix.is_empty()) else {
            return true;
        };
        if let Some((_, shown)) = self.judged.iter().find(|(judged, _)| judged == prefix) {
            return *shown;
        }
        if self.judged.len() == Self::PREFIXES {
            return true;
        }
        let shown = items
            .iter()
            .any(|item| item.key.starts_with(prefix.as_bytes()));
        self.judged.push((prefix.clone(), shown));
        shown
    }
}
