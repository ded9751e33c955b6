//! Calls that went out and did not come back, and what each was about.
//!
//! A pending call keeps its registration's facts alive, nothing else of it. So an ended
//! registration leaves exactly its pending calls behind, and those only until they end (T-32).
//!
//! Deliberately absent: what an outcome means.

use crate::ids::CallId;
use crate::members::{Registration, rhythm_of};
use crate::pair::{BeatSent, HelloSent};
use crate::places::Places;
use crate::port::{Body, Call, Effect, Lane, Outbox, Receiver};
use crate::time::Time;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::time::Duration;
use statestore_wire::{Epoch, NetworkAddress, Text};

/// A pending call.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) registration: Arc<Registration>,
    pub(super) lane: Lane,
    pub(super) started: Time,
}

/// What a call said.
#[derive(Debug)]
pub(super) enum About {
    /// The epoch that it named.
    Heartbeat(Option<Epoch>),
    Update {
        /// The life of the topics that it is about (W10).
        life: u64,
    },
    Catalogd(Box<Told>),
    Role {
        epoch: Epoch,
        /// It carried the active catalogd.
        catalogd: Option<Box<(i64, NetworkAddress)>>,
    },
}

/// A call to the peer, and what its answer needs.
#[derive(Debug)]
pub(super) enum Asked {
    Hello(HelloSent),
    Beat(BeatSent),
    Leave,
}

/// How a call goes out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) timeout: Duration,
    pub(super) first_attempt: bool,
    pub(super) fence: Option<Epoch>,
}

/// The catalogd of a notice.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) version: i64,
    pub(super) address: NetworkAddress,
    /// The first time that this receiver is told this.
    pub(super) first: bool,
}

/// A call that did not come back.
#[derive(Debug)]
pub(super) enum Underway {
    ToMember(Pending, About),
    ToPeer(Asked),
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    all: Places<Underway>,
    /// Calls of ended registrations, by subscriber id and lane.
    outlived: BTreeMap<Text, [u32; 3]>,
}

impl Calls {
    /// Sends a call.
    pub(super) fn send(
        &mut self,
        pending: Pending,
        (about, body): (About, Body),
        manner: Manner,
        out: &mut Outbox,
    ) {
        let id = CallId(self.all.promise());
        out.push(Effect::Call(Call {
            id,
            to: pending.registration.receiver.clone(),
            member: Some(pending.registration.key),
            lane: pending.lane,
            timeout: manner.timeout,
            first_attempt: manner.first_attempt,
            fence: manner.fence,
            body,
        }));
        self.all.put(id.0, Underway::ToMember(pending, about));
    }

    /// Sends a call to the peer.
    pub(super) fn send_to_peer(
        &mut self,
        peer: &Arc<Receiver>,
        (asked, body): (Asked, Body),
        manner: Manner,
        out: &mut Outbox,
    ) {
        let id = CallId(self.all.promise());
        out.push(Effect::Call(Call {
            id,
            to: peer.clone(),
            member: None,
            lane: Lane::Peer,
            timeout: manner.timeout,
            first_attempt: manner.first_attempt,
            fence: manner.fence,
            body,
        }));
        self.all.put(id.0, Underway::ToPeer(asked));
    }

    /// A pending call.
    pub(super) fn find(&self, id: CallId) -> Option<&Underway> {
        self.all.find(id.0)
    }

    /// Takes the call that ended; none if it is not pending.
    pub(super) fn take(&mut self, id: CallId) -> Option<Underway> {
        self.all.take(id.0)
    }

    /// How many are pending.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// A registration ends while a call in this lane is pending.
    pub(super) fn outlive(&mut self, subscriber: &Text, lane: Lane) {
        if let Some(place) = rhythm_of(lane) {
            self.outlived.entry(subscriber.clone()).or_default()[place] += 1;
        }
    }

    /// A call of an ended registration came back.
    pub(super) fn outlived_ended(&mut self, subscriber: &Text, lane: Lane) {
        let (Some(counts), Some(place)) = (self.outlived.get_mut(subscriber), rhythm_of(lane))
        else {
            return;
        };
        counts[place] = counts[place].saturating_sub(1);
        if *counts == [0; 3] {
            self.outlived.remove(subscriber);
        }
    }

    /// How many calls of ended registrations of this subscriber are pending in a lane.
    pub(super) fn outlived(&self, subscriber: &Text, lane: Lane) -> u32 {
        let counts = self.outlived.get(subscriber);
        counts
            .zip(rhythm_of(lane))
            .map_or(0, |(counts, place)| counts[place])
    }
}
