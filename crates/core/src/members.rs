//! Who is registered, what each registration wants, and what it wrote that goes with it.
//!
//! A [`Registration`] is the immutable part; pending calls keep it alive, so that a late answer
//! still finds out what its subscriber was entitled to (T-32). A [`Member`] is a registration
//! that is current. An id has at most one; the number in [`MemberKey`] fences off what
//! belongs to an older one (S-7).
//!
//! Deliberately absent: topics' content and all timing.

use crate::astray::Astray;
use crate::detector::Pulse;
use crate::ids::RegistrationId;
use crate::lanes::Rhythm;
use crate::owned::Owned;
use crate::places::Places;
use crate::port::{Lane, Receiver};
use crate::schedule::Slot;
use crate::time::Time;
use crate::topic::{Delta, Version};
use crate::view::KnownCatalogd;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use statestore_wire as wire;
use statestore_wire::{CatalogRegistration, Epoch, NetworkAddress, SubscriberType, Text};

pub use crate::ids::MemberKey;

/// What a subscriber said when it registered, and the ids it got.
#[derive(Debug)]
pub struct Registration {
    /// The core's name for it.
    pub key: MemberKey,
    /// Subscriber id.
    pub id: Text,
    /// The wire's name for it.
    pub registration_id: RegistrationId,
    /// The same id, and where it listens.
    pub receiver: Arc<Receiver>,
    /// What it is.
    pub subscriber_type: SubscriberType,
    /// Wants UpdateCatalogd.
    pub wants_catalogd: bool,
    /// Set by a catalogd.
    pub catalogd: Option<CatalogRegistration>,
    /// It publishes by calls of its own.
    pub publishes: bool,
    /// Topics, by name, each once.
    pub topics: Vec<Subscription>,
}

/// One topic of a registration.
#[derive(Debug)]
pub struct Subscription {
    /// The topic.
    pub topic: Text,
    /// The lane that carries it.
    pub lane: Lane,
    /// What it writes here goes with it.
    pub transient: bool,
    /// Wants to know the lowest version (T-10).
    pub wants_min: bool,
    /// Sees only keys with this prefix (T-7).
    pub prefix: Text,
}

/// S-1: which lane carries a topic.
pub fn lane_of(topic: &Text) -> Lane {
    let priority: [&[u8]; 2] = [b"impala-membership", b"impala-request-queue"];
    if priority.iter().any(|end| topic.as_bytes().ends_with(end)) {
        Lane::Priority
    } else {
        Lane::Bulk
    }
}

impl Subscription {
    /// The topics of a request: by name, the first of each name counts (T-11).
    pub fn from_wire(topics: Vec<wire::TopicRegistration>) -> Vec<Self> {
        let mut all: Vec<Self> = topics
            .into_iter()
            .map(|t| Self {
                lane: lane_of(&t.topic_name),
                topic: t.topic_name,
                transient: t.is_transient,
                wants_min: t.populate_min_subscriber_topic_version,
                prefix: t.filter_prefix.unwrap_or_default(),
            })
            .collect();
        all.sort_by(|a, b| a.topic.cmp(&b.topic));
        all.dedup_by(|later, first| later.topic == first.topic);
        all
    }
}

impl Registration {
    /// Where it listens.
    pub fn address(&self) -> &NetworkAddress {
        &self.receiver.address
    }

    /// The place of a topic among this registration's.
    pub fn place_of(&self, topic: &Text) -> Option<usize> {
        self.topics.binary_search_by(|s| s.topic.cmp(topic)).ok()
    }

    /// True if a lane has anything to carry (S-2).
    pub fn uses(&self, lane: Lane) -> bool {
        lane == Lane::Heartbeat || self.topics.iter().any(|s| s.lane == lane)
    }
}

/// How far a member is with one topic.
#[derive(Debug, Default)]
pub struct Progress {
    /// The last version it is believed to have processed.
    pub reached: Version,
    /// Where the pending message leads.
    pub sending: Option<Version>,
    /// What the topic was told of it: how far it is, and from where it may ask for a delta.
    pub marked: Option<(Version, Version)>,
    /// The next message is the whole topic.
    pub anew: bool,
    /// Where it was when that went out. If it is not processed, deltas go on from there.
    pub before: Option<Version>,
    /// What will be in the next message.
    pub ready: Option<Box<Ready>>,
    /// What it wrote and takes with it.
    pub owned: Owned,
    /// What its former registration wrote, kept until it had the chance to write it anew (W33).
    pub inherited: Owned,
}

/// A delta that waits for those of other topics, to go out with them.
#[derive(Debug)]
pub struct Ready {
    /// Where its receiver was when it was made.
    pub since: Version,
    /// What it lacked then.
    pub delta: Delta,
}

/// A current registration.
#[derive(Debug)]
pub struct Member {
    /// What it said.
    pub registration: Arc<Registration>,
    /// When.
    pub registered: Time,
    /// Its heartbeats.
    pub pulse: Pulse,
    /// The rhythm of heartbeats, priority and bulk updates.
    pub rhythms: [Rhythm; 3],
    /// One for each of the registration's topics.
    pub progress: Vec<Progress>,
    /// False for a catalogd that stands by: it gets no updates and does not count (S-10, T-10).
    pub followed: bool,
    /// Set while something is inherited: when that ends.
    pub grace: Option<Slot>,
    /// What it was told about the catalogd (N-7).
    pub knows: Option<KnownCatalogd>,
    /// The activation of this statestored that it knows of; it gets updates under no other.
    pub follows: Option<Epoch>,
    /// Whether it may hold what another statestored sent.
    pub astray: Astray,
    /// The publication by a call of its own that each stream has taken in last, counted from 1. It
    /// stays when topics are forgotten, so that nothing older comes back.
    pub streams: [i64; 2],
}

/// The place of a lane among a member's rhythms; notices have none.
pub fn rhythm_of(lane: Lane) -> Option<usize> {
    match lane {
        Lane::Heartbeat => Some(0),
        Lane::Priority => Some(1),
        Lane::Bulk => Some(2),
        Lane::Catalogd | Lane::Role | Lane::Peer => None,
    }
}

impl Member {
    /// A member of which nothing is known and whose lanes stand still.
    pub fn new(registration: Arc<Registration>, now: Time) -> Self {
        let key = registration.key;
        Self {
            registered: now,
            pulse: Pulse::default(),
            rhythms: [Lane::Heartbeat, Lane::Priority, Lane::Bulk]
                .map(|lane| Rhythm::new(key, lane)),
            progress: registration
                .topics
                .iter()
                .map(|_| Progress::default())
                .collect(),
            followed: true,
            grace: None,
            knows: None,
            follows: None,
            astray: Astray::default(),
            streams: [0; 2],
            registration,
        }
    }
}

/// All members.
#[derive(Debug, Default)]
pub struct Members {
    all: Places<Box<Member>>,
    by_id: BTreeMap<Text, MemberKey>,
    at_address: BTreeMap<NetworkAddress, usize>,
}

impl Members {
    /// A key for a member that is going to be inserted.
    pub fn next_key(&mut self) -> MemberKey {
        MemberKey(self.all.promise())
    }

    /// Adds a member. One of the same id must have been removed before.
    pub fn insert(&mut self, member: Member) {
        let registration = &member.registration;
        self.by_id.insert(registration.id.clone(), registration.key);
        *self
            .at_address
            .entry(registration.address().clone())
            .or_default() += 1;
        self.all.put(registration.key.0, Box::new(member));
    }

    /// Removes a member. The flag is true if nobody else listens at its address.
    pub fn remove(&mut self, key: MemberKey) -> Option<(Member, bool)> {
        let member = *self.all.take(key.0)?;
        let registration = &member.registration;
        self.by_id.remove(&registration.id);
        let alone = match self.at_address.get_mut(registration.address()) {
            Some(n) if *n > 1 => {
                *n -= 1;
                false
            }
            _ => {
                self.at_address.remove(registration.address());
                true
            }
        };
        Some((member, alone))
    }

    /// True if somebody listens at this address.
    pub fn any_at(&self, address: &NetworkAddress) -> bool {
        self.at_address.contains_key(address)
    }

    /// The member of this key, if that registration is still current (S-7).
    pub fn find(&self, key: MemberKey) -> Option<&Member> {
        self.all.find(key.0).map(Box::as_ref)
    }

    /// The same, to change it.
    pub fn find_mut(&mut self, key: MemberKey) -> Option<&mut Member> {
        self.all.find_mut(key.0).map(Box::as_mut)
    }

    /// The key of the current registration of an id.
    pub fn key_of(&self, id: &Text) -> Option<MemberKey> {
        self.by_id.get(id).copied()
    }

    /// The current registration of an id.
    pub fn named(&self, id: &Text) -> Option<&Member> {
        self.find(self.key_of(id)?)
    }

    /// All, in an order that is the same in every run.
    pub fn iter(&self) -> impl Iterator<Item = &Member> + '_ {
        self.all.iter().map(Box::as_ref)
    }

    /// All, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> + '_ {
        self.all.iter_mut().map(Box::as_mut)
    }

    /// All ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &Text> + '_ {
        self.by_id.keys()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests;
