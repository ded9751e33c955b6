//! What the node looks like from outside: it fills the structs of [`crate::view`].
//! Read only: a look never changes what happens next.

use super::Node;
use super::topics::Topic;
use crate::members::{Member, MemberKey};
use crate::port::Lane;
use crate::time::Now;
use crate::view::{CatalogView, Counters, NotifiedView, SubscriberView, TopicView, Totals};
use alloc::vec::Vec;
use statestore_wire::{CatalogRegistration, Text};

impl Node {
    /// Rows of `/subscribers`, by id.
    pub fn subscribers(&self, now: Now) -> Vec<SubscriberView> {
        let members = self.members.ids().filter_map(|id| self.members.named(id));
        members.map(|member| self.subscriber(now, member)).collect()
    }

    /// Rows of `/topics`, by name.
    pub fn topics(&self) -> Vec<TopicView> {
        self.topics
            .iter()
            .map(|(name, topic)| self.topic(name, topic))
            .collect()
    }

    /// `/catalog_ha_info`.
    pub fn catalog(&self) -> CatalogView {
        let election = &self.catalog.election;
        let standby = election
            .standby()
            .and_then(|c| self.catalogd_of(&c.subscriber));
        let members = self.members.ids().filter_map(|id| self.members.named(id));
        CatalogView {
            is_active_statestored: self.acts(),
            active: self.active_catalogd().cloned(),
            standby: standby.cloned(),
            version: election.version(),
            last_change: self.catalog.changed,
            notified: members
                .filter(|member| member.registration.wants_catalogd)
                .map(|member| NotifiedView {
                    id: member.registration.id.clone(),
                    address: member.registration.address().clone(),
                    registration_id: member.registration.registration_id,
                    subscriber_type: member.registration.subscriber_type,
                    knows: member.knows.clone(),
                })
                .collect(),
        }
    }

    /// All else that metrics show.
    pub fn totals(&self) -> Totals {
        let sizes = self.topics.iter().map(|(_, topic)| topic.log.sizes());
        let (key_bytes, value_bytes) = sizes.fold((0, 0), |(keys, values), sizes| {
            (keys + sizes.key_bytes, values + sizes.value_bytes)
        });
        Totals {
            role: self.role(),
            active_since: self.active_since,
            subscribers: self.members.ids().cloned().collect(),
            answered: self.answered,
            key_bytes,
            value_bytes,
            active_catalogd_address: self.catalog.announced.clone(),
            calls_pending: self.calls.len(),
            counters: self.counters,
        }
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn catalogd_of(&self, id: &Text) -> Option<&CatalogRegistration> {
        self.members.named(id)?.registration.catalogd.as_ref()
    }

    fn subscriber(&self, now: Now, member: &Member) -> SubscriberView {
        let registration = &member.registration;
        let priority = registration
            .topics
            .iter()
            .filter(|s| s.lane == Lane::Priority);
        let owned = registration.topics.iter().zip(&member.progress);
        let owned = owned.filter_map(|(subscription, progress)| {
            if progress.owned.is_empty() && progress.inherited.is_empty() {
                return None; // nearly everybody
            }
            let log = &self.topics.find(&subscription.topic)?.log;
            Some(progress.owned.current(log) + progress.inherited.current(log))
        });
        let heard = member.pulse.heard().unwrap_or(member.registered);
        SubscriberView {
            id: registration.id.clone(),
            address: registration.address().clone(),
            subscriber_type: registration.subscriber_type,
            num_topics: registration.topics.len(),
            num_priority_topics: priority.count(),
            num_transient: owned.sum(),
            registration_id: registration.registration_id,
            since_heartbeat: now.time.since(heard),
            missed: member.pulse.missed(),
            health: member.pulse.health(self.config.max_missed_heartbeats),
        }
    }

    fn topic(&self, name: &Text, topic: &Topic) -> TopicView {
        let sizes = topic.log.sizes();
        let id_of = |key: MemberKey| Some(self.members.find(key)?.registration.id.clone());
        let oldest = topic.reach.lowest();
        TopicView {
            name: name.clone(),
            entries: sizes.entries + sizes.tombstones,
            tombstones: sizes.tombstones,
            version: topic.log.counter().0,
            key_bytes: sizes.key_bytes,
            value_bytes: sizes.value_bytes,
            memory_bytes: sizes.memory_bytes,
            prioritized: topic.lane == Lane::Priority,
            oldest_version: oldest.map_or(0, |(version, _)| version.0),
            oldest_id: oldest.and_then(|(_, key)| id_of(key)).unwrap_or_default(),
            subscribers: topic.audiences.len(),
        }
    }
}
