//! `Publisher`: what this subscriber wants topics to hold, and how much of it has arrived.
//!
//! A wish stays until it is deleted or cleared. It is *unsent*, or *in flight* in the answer to
//! one UpdateState, or has *arrived*. An answer can be lost, so arriving must be proven by what
//! comes next: a request over the same connection, a base version that moved to where that
//! answer put it (T-20), or the entry itself seen again. What is not proven is sent again:
//! writing an entry twice harms nobody, losing it would.
//!
//! All changes of a topic travel in one stream (S-2), one message at a time, be it an answer or a
//! call; otherwise a newer value could overtake an older one and be overwritten by it.
//!
//! Deliberately absent: encoding. Updates carry handles; whoever sends them writes the bytes.
//!
//! Invariant: each wish is in exactly one of the three states, and only proof moves it to the
//! last one.

mod flight;
mod publication;
mod unasked;

use super::port::{Command, ConnectionId};
use crate::ids::StatestoreId;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use flight::{Flight, Shipment, Verdict};
use publication::{Clear, Most, Publication};
use statestore_wire::{Epoch, ItemBatch, Status, Text, TopicDelta, UpdateStateResponse};

pub(super) use flight::Seen;
use unasked::Outgoing;
pub use unasked::Unasked;

/// The answer to an UpdateState before its items are encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateAnswer {
    /// Processed, or why not.
    pub status: Status,
    /// Nothing was processed: send again.
    pub skipped: bool,
    /// What to publish, and which bases to reset.
    pub updates: Vec<TopicUpdate>,
    /// The highest epoch seen (ha.md rule 16).
    pub highest_epoch: Option<Epoch>,
}

/// Changes that this subscriber makes to one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicUpdate {
    /// The topic.
    pub topic: Text,
    /// Ask for the next delta to start here (T-22).
    pub from_version: Option<i64>,
    /// Drop the topic's content first (T-23).
    pub clear: bool,
    /// Key and value in the order of writing; no value is a deletion.
    pub items: Vec<(Text, Option<Bytes>)>,
}

impl UpdateAnswer {
    /// Encodes the items: the wire form.
    pub fn into_response(self) -> UpdateStateResponse {
        UpdateStateResponse {
            status: self.status,
            topic_updates: self
                .updates
                .into_iter()
                .map(TopicUpdate::into_delta)
                .collect(),
            skipped: self.skipped.then_some(true),
            highest_epoch: self.highest_epoch,
        }
    }
}

impl TopicUpdate {
    fn into_delta(self) -> TopicDelta {
        let items = self.items.iter().map(|(key, value)| {
            let bytes = value.as_ref().map_or(&[][..], |value| value);
            (key.as_bytes(), bytes, value.is_none())
        });
        TopicDelta {
            topic_entries: ItemBatch::from_items(items),
            topic_name: self.topic,
            is_delta: true,
            from_version: self.from_version,
            to_version: None,
            min_subscriber_topic_version: None,
            clear_topic_entries: self.clear.then_some(true),
        }
    }
}

/// The two streams of topic messages (S-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Priority,
    Bulk,
}

impl Lane {
    /// S-1.
    pub(super) fn of(topic: &Text) -> Self {
        let name = topic.as_bytes();
        let priority =
            name.ends_with(b"impala-membership") || name.ends_with(b"impala-request-queue");
        if priority { Self::Priority } else { Self::Bulk }
    }

    fn other(self) -> Self {
        match self {
            Self::Priority => Self::Bulk,
            Self::Bulk => Self::Priority,
        }
    }
}

/// A lane in which no updates come carries nothing, so the other one does.
fn home(lanes: [bool; 2], topic: &Text) -> Lane {
    let own = Lane::of(topic);
    if lanes[own as usize] {
        own
    } else {
        own.other()
    }
}

#[derive(Debug, Default)]
pub(super) struct Publisher {
    topics: BTreeMap<Text, Publication>,
    /// At most one unproven answer a lane.
    flights: [Option<Flight>; 2],
    /// What goes out by a call instead, at most one a lane.
    outgoing: [Option<Outgoing>; 2],
    /// The last of those, by lane.
    sequences: [i64; 2],
    /// Lanes in which an update was called for, and none was answered since.
    wants_update: [bool; 2],
    /// Lanes in which an update came since the registration.
    begun: [bool; 2],
    /// Lanes in which statestored sends updates.
    lanes: [bool; 2],
    /// The statestored that has what arrived.
    holder: Option<StatestoreId>,
}

impl Publisher {
    /// The registration will name this topic.
    pub(super) fn subscribe(&mut self, topic: &Text, transient: bool, prefix: &Text) {
        self.lanes[Lane::of(topic) as usize] = true;
        let publication = self.topics.entry(topic.clone()).or_default();
        publication.transient = transient;
        publication.prefix = Some(prefix.clone());
    }

    /// Takes a wish in. The topic is given back when it begins to give up deletions because
    /// there are more than `most`.
    pub(super) fn command(&mut self, command: Command, most: usize) -> Option<Text> {
        let (topic, gives_up) = match command {
            Command::Put { topic, key, value } => {
                self.topic(topic).write(key, Some(value), most);
                return None;
            }
            Command::Delete { topic, key } => {
                let gives_up = self.topic(topic.clone()).write(key, None, most);
                (topic, gives_up)
            }
            Command::Clear { topic } => {
                self.topic(topic).wipe();
                return None;
            }
            Command::Forget { topic } => {
                self.topic(topic).forget();
                return None;
            }
        };
        gives_up.then_some(topic)
    }

    /// How many wishes have not provably arrived.
    pub(super) fn outstanding(&self) -> usize {
        let unsent = self.topics.values().map(Publication::unsent_len);
        let in_flight = self.flights.iter().flatten().map(Flight::len);
        let outgoing = self.outgoing.iter().flatten().map(Outgoing::len);
        unsent.sum::<usize>() + in_flight.sum::<usize>() + outgoing.sum::<usize>()
    }

    /// A new registration with the active statestored, or another active one: what it may not
    /// have, or will drop with the old registration, must be sent again (B-13).
    pub(super) fn registered(&mut self, with: StatestoreId) {
        for flight in self
            .flights
            .iter_mut()
            .filter_map(Option::take)
            .collect::<Vec<_>>()
        {
            self.settle(flight, Verdict::Lost, &BTreeMap::new());
        }
        self.recall();
        self.begun = [false; 2];
        self.wants_update = [false; 2];
        let same = self.holder == Some(with);
        self.holder = Some(with);
        for publication in self.topics.values_mut() {
            if !same || publication.transient {
                publication.renew();
            }
        }
    }

    /// True if this statestored is the one that has what arrived.
    pub(super) fn is_held_by(&self, statestored: StatestoreId) -> bool {
        self.holder == Some(statestored)
    }

    /// Whoever had what arrived may have lost it.
    pub(super) fn doubt(&mut self) {
        self.holder = None;
    }

    /// A message that will be processed has come: judge what earlier answers achieved, and see
    /// what the topics lack.
    pub(super) fn arrived(
        &mut self,
        lane: Lane,
        connection: ConnectionId,
        deltas: &BTreeMap<Text, TopicDelta>,
    ) {
        self.begun[lane as usize] = true;
        for at in [Lane::Priority, Lane::Bulk] {
            let Some(flight) = &self.flights[at as usize] else {
                continue;
            };
            let verdict = if flight.connection == connection {
                Verdict::Arrived
            } else if at == lane {
                flight.judge(deltas)
            } else {
                continue;
            };
            if let Some(flight) = self.flights[at as usize].take() {
                self.settle(flight, verdict, deltas);
            }
        }
        for (topic, delta) in deltas {
            if let Some(publication) = self.topics.get_mut(topic) {
                match delta.is_delta {
                    true => publication.restore(delta),
                    false => publication.compare(delta),
                }
            }
        }
    }

    /// What to publish in the answer to a message of `lane` that showed `seen`. Topics in
    /// `reset` are not cleared in the same answer (T-22). Where a statestored takes calls of up to
    /// `unasked` bytes, answers carry only what those cannot.
    pub(super) fn compose(
        &mut self,
        lane: Lane,
        connection: ConnectionId,
        seen: Vec<Seen>,
        reset: &[Text],
        (limit, unasked): (usize, Option<usize>),
    ) -> Vec<TopicUpdate> {
        self.wants_update[lane as usize] = false;
        if self.flights[lane as usize].is_some() {
            return Vec::new();
        }
        let needs_it = |topic: &Publication| unasked.is_none_or(|most| topic.is_too_large(most));
        let shipments = self.ship(lane, reset, Most::bytes(limit), needs_it);
        let updates = self.updates_of(&shipments);
        if !shipments.is_empty() {
            self.flights[lane as usize] = Some(Flight {
                connection,
                seen,
                shipments,
            });
        }
        updates
    }

    /// Takes what a message of `lane` can carry of topics that `may` go.
    fn ship(
        &mut self,
        lane: Lane,
        reset: &[Text],
        mut most: Most,
        may: impl Fn(&Publication) -> bool,
    ) -> Vec<Shipment> {
        let mut shipments = Vec::new();
        let lanes = self.lanes;
        let on_their_way = self.on_their_way();
        for (name, publication) in &mut self.topics {
            if shipments.len() >= most.topics {
                break;
            }
            let clear = publication.clear == Clear::Unsent;
            let waits = on_their_way.contains(name) || (clear && reset.contains(name));
            if home(lanes, name) != lane || most.bytes == 0 || waits || !may(publication) {
                continue;
            }
            let writes = publication.ship(&mut most);
            if writes.is_empty() && !clear {
                continue;
            }
            if clear {
                publication.clear = Clear::InFlight;
            }
            shipments.push(Shipment {
                topic: name.clone(),
                clear,
                writes,
            });
        }
        shipments
    }

    /// Topics of which something is on its way.
    fn on_their_way(&self) -> BTreeSet<Text> {
        let flights = self.flights.iter().flatten().map(|it| &it.shipments);
        let outgoing = self.outgoing.iter().flatten().map(|it| &it.shipments);
        let shipments = flights.chain(outgoing).flatten();
        shipments.map(|shipment| shipment.topic.clone()).collect()
    }

    /// The content of shipments, as it is wished for now. What a newer write has replaced goes
    /// with that.
    fn updates_of(&self, shipments: &[Shipment]) -> Vec<TopicUpdate> {
        let update = |shipment: &Shipment| {
            let publication = self.topics.get(&shipment.topic)?;
            let writes = shipment.writes.iter();
            let current = writes.filter(|(write, key)| publication.is_current(*write, key));
            Some(TopicUpdate {
                topic: shipment.topic.clone(),
                from_version: None,
                clear: shipment.clear,
                items: current
                    .map(|(_, key)| (key.clone(), publication.value(key)))
                    .collect(),
            })
        };
        shipments.iter().filter_map(update).collect()
    }

    /// The lane that carries what is published to a topic.
    fn home(&self, topic: &Text) -> Lane {
        home(self.lanes, topic)
    }

    fn topic(&mut self, topic: Text) -> &mut Publication {
        self.topics.entry(topic).or_default()
    }

    fn settle(&mut self, flight: Flight, verdict: Verdict, deltas: &BTreeMap<Text, TopicDelta>) {
        for shipment in &flight.shipments {
            let Some(publication) = self.topics.get_mut(&shipment.topic) else {
                continue;
            };
            let Shipment {
                topic,
                clear,
                writes,
            } = shipment;
            match (verdict, deltas.get(topic)) {
                (Verdict::Arrived, _) => publication.arrived(*clear, writes),
                (Verdict::Unclear, Some(delta)) => {
                    let cleared = flight.shows_cleared(topic, delta);
                    publication.unclear(*clear, cleared, writes, delta);
                }
                (Verdict::Lost | Verdict::Unclear, _) => publication.lost(*clear, writes),
            }
        }
    }
}
