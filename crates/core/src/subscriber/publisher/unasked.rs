//! [`Outgoing`]: a publication that is sent without having been asked for (wire.md section 5.6).
//!
//! A call either is answered or not, so nothing has to be guessed: what is not answered is
//! repeated under the same sequence number, which the statestored takes in once. What was wished
//! for meanwhile follows under the next number.
//!
//! Deliberately absent: to whom it goes, and when it may. Invariant: of a topic at most one
//! publication is on its way, by a call or in an answer, so that no value overtakes a newer one.
//! Other topics need not wait for that: a stream may have a call and an answer under way.

use super::publication::{Clear, Most, Publication};
use super::{Lane, Publisher, Shipment, TopicUpdate};
use crate::ids::{CallId, RegistrationId};
use crate::time::Time;
use alloc::vec::Vec;
use statestore_wire::{Epoch, ProtocolVersion, PublishRequest, Text};

#[derive(Debug)]
pub(super) struct Outgoing {
    sequence: i64,
    turn: Turn,
    pub(super) shipments: Vec<Shipment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Calling(CallId),
    /// It failed, and is repeated then.
    Failed(Time),
}

/// A call of `Publish` before its items are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unasked {
    /// The own id.
    pub subscriber_id: Text,
    /// The registration that it belongs to.
    pub registration_id: RegistrationId,
    /// 0 or 1.
    pub stream: i32,
    /// Names the publication within its stream.
    pub sequence: i64,
    /// More of what is wished for follows.
    pub more: bool,
    /// What to publish.
    pub updates: Vec<TopicUpdate>,
    /// The highest epoch seen (ha.md rule 16).
    pub highest_epoch: Option<Epoch>,
}

impl Unasked {
    /// Encodes the items: the wire form.
    pub fn into_request(self) -> PublishRequest {
        let updates = self.updates.into_iter();
        PublishRequest {
            protocol_version: ProtocolVersion::V2,
            subscriber_id: self.subscriber_id,
            registration_id: self.registration_id.0,
            stream: self.stream,
            sequence: self.sequence,
            topic_updates: updates.map(TopicUpdate::into_delta).collect(),
            more: self.more.then_some(true),
            highest_epoch: self.highest_epoch,
        }
    }
}

/// What is to go out now.
#[derive(Debug)]
pub(in super::super) struct Parcel {
    pub(in super::super) sequence: i64,
    pub(in super::super) more: bool,
    pub(in super::super) updates: Vec<TopicUpdate>,
}

/// An item of a message has so many bytes beside its key and value, or less.
const OVERHEAD: usize = 24;
/// A call publishes to so many topics at most; a statestored refuses one of over 4,096.
const TOPICS: usize = 1_024;

impl Publisher {
    /// What to publish by a call, if there is anything; `limit` is the longest message. A value
    /// that would not fit waits for an update to answer: an empty call, once, says that one is
    /// wanted, because whoever publishes is told within a period what came of it.
    pub(in super::super) fn outgoing(
        &mut self,
        now: Time,
        lane: Lane,
        fresh: impl FnOnce() -> CallId,
        limit: usize,
    ) -> Option<Parcel> {
        let at = lane as usize;
        if let Some(outgoing) = &mut self.outgoing[at] {
            match outgoing.turn {
                Turn::Failed(again) if again <= now => outgoing.turn = Turn::Calling(fresh()),
                Turn::Failed(_) | Turn::Calling(_) => return None,
            }
        } else {
            if !self.begun[at] {
                return None;
            }
            let most = Most {
                bytes: limit / 2,
                value: longest_value(limit),
                overhead: OVERHEAD,
                topics: TOPICS,
            };
            let shipments = self.ship(lane, &[], most, |_| true);
            if shipments.is_empty() {
                // After an answer that published, the next update comes without being called for.
                let comes = self.wants_update[at] || self.flights[at].is_some();
                if comes || !self.has_too_large(lane, limit) {
                    return None;
                }
                self.wants_update[at] = true;
            }
            self.sequences[at] += 1;
            self.outgoing[at] = Some(Outgoing {
                sequence: self.sequences[at],
                turn: Turn::Calling(fresh()),
                shipments,
            });
        }
        let outgoing = self.outgoing[at].as_ref()?;
        Some(Parcel {
            sequence: outgoing.sequence,
            more: self.flights[at].is_some() || self.has_unsent(lane),
            updates: self.updates_of(&outgoing.shipments),
        })
    }

    /// True if this call carries a publication.
    pub(in super::super) fn is_carried_by(&self, call: CallId) -> bool {
        self.carried_by(call).is_some()
    }

    /// The call was answered: all of it is in the topics.
    pub(in super::super) fn taken_in(&mut self, call: CallId) {
        let at = self.carried_by(call);
        if let Some(outgoing) = at.and_then(|at| self.outgoing[at].take()) {
            for Shipment {
                topic,
                clear,
                writes,
            } in &outgoing.shipments
            {
                if let Some(publication) = self.topics.get_mut(topic) {
                    publication.arrived(*clear, writes);
                }
            }
        }
    }

    /// The call failed, and nobody knows how far it came.
    pub(in super::super) fn repeat(&mut self, call: CallId, at: Time) {
        let place = self.carried_by(call);
        if let Some(outgoing) = place.and_then(|place| self.outgoing[place].as_mut()) {
            outgoing.turn = Turn::Failed(at);
        }
    }

    /// Whatever is on its way by a call does not arrive any more.
    pub(in super::super) fn recall(&mut self) {
        for outgoing in self.outgoing.iter_mut().filter_map(Option::take) {
            for Shipment {
                topic,
                clear,
                writes,
            } in &outgoing.shipments
            {
                if let Some(publication) = self.topics.get_mut(topic) {
                    publication.lost(*clear, writes);
                }
            }
        }
    }

    /// When the next failed call is to be repeated.
    pub(in super::super) fn repeats_at(&self) -> Option<Time> {
        let outgoing = self.outgoing.iter().flatten();
        let failed = outgoing.filter_map(|outgoing| match outgoing.turn {
            Turn::Failed(at) => Some(at),
            Turn::Calling(_) => None,
        });
        failed.min()
    }

    /// True if an update's answer has to carry what no call can.
    fn has_too_large(&self, lane: Lane, limit: usize) -> bool {
        let mut topics = self.topics.iter();
        topics.any(|(name, topic)| self.home(name) == lane && topic.is_too_large(limit))
    }

    fn has_unsent(&self, lane: Lane) -> bool {
        let mut topics = self.topics.iter();
        topics.any(|(name, topic)| {
            let unsent = topic.unsent_len() > 0 || topic.clear == Clear::Unsent;
            unsent && self.home(name) == lane
        })
    }

    fn carried_by(&self, call: CallId) -> Option<usize> {
        let is_it = |it: &Option<Outgoing>| {
            it.as_ref()
                .is_some_and(|outgoing| outgoing.turn == Turn::Calling(call))
        };
        self.outgoing.iter().position(is_it)
    }
}

impl Publication {
    /// True if what is to go next is more than a call of `limit` carries.
    pub(super) fn is_too_large(&self, limit: usize) -> bool {
        self.first_is_over(longest_value(limit))
    }
}

/// Of a message of up to `limit`: a longer key and value waits for an update to answer.
fn longest_value(limit: usize) -> usize {
    limit / 4
}

impl Outgoing {
    pub(super) fn len(&self) -> usize {
        self.shipments.iter().map(Shipment::len).sum()
    }
}
