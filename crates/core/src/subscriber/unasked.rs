//! Publishing without waiting to be asked, where the active statestored takes it.
//!
//! A statestored says in its answer to the registration that it does (wire.md section 5.6); one
//! that does not is answered as ever: then all publications travel in replies. Publications begin
//! after the first update of a registration, because only then is known what the topics lack.
//!
//! Deliberately absent: what is published (`publisher`). Invariant: a call names the registration
//! with the active statestored, so it is refused once another one counts.

use super::port::{Body, Call, Effect, Outbox, Reply};
use super::publisher::{Lane, Unasked};
use super::statestore::Phase;
use super::{Event, Subscriber};
use crate::ids::CallId;
use crate::time::{Now, Time};
use alloc::boxed::Box;
use statestore_wire::{Status, StatusCode};

impl Subscriber {
    /// Sends what is to be published now.
    pub(super) fn publish_unasked(&mut self, now: Now, out: &mut Outbox) {
        let Some((i, limit)) = self.taker() else {
            return;
        };
        for lane in [Lane::Priority, Lane::Bulk] {
            let next = &mut self.next_id;
            let mut id = None;
            let fresh = || {
                *next += 1;
                *id.insert(CallId::numbered(*next))
            };
            let parcel = self.publisher.outgoing(now.time, lane, fresh, limit);
            let (Some(parcel), Some(id)) = (parcel, id) else {
                continue;
            };
            let statestore = &self.statestores[i];
            out.push(Effect::Call(Call {
                id,
                statestore: i,
                to: statestore.address.clone(),
                timeout: self.config.call_limit(),
                first_attempt: true,
                startup: false,
                body: Body::Publish(Box::new(Unasked {
                    subscriber_id: self.config.id.clone(),
                    registration_id: statestore.registration_id,
                    stream: i32::from(lane == Lane::Bulk),
                    sequence: parcel.sequence,
                    more: parcel.more,
                    updates: parcel.updates,
                    highest_epoch: self.epochs.highest,
                })),
            }));
        }
    }

    /// A call that published ended.
    pub(super) fn unasked_ended(
        &mut self,
        now: Now,
        call: CallId,
        outcome: Result<Reply, Status>,
        out: &mut Outbox,
    ) {
        let status = match outcome {
            Ok(Reply::Publish(reply)) if reply.status.is_ok() => {
                return self.publisher.taken_in(call);
            }
            Ok(Reply::Publish(reply)) => reply.status,
            Ok(_) => Status::error(StatusCode::GENERAL, "the answer is to another call"),
            Err(status) => status,
        };
        let unknown = b"Invalid method name";
        let message = status.message();
        let mut parts = message.as_bytes().windows(unknown.len());
        if parts.any(|part| part == unknown) {
            // So it was not taken in, nor will be: replies carry it.
            self.publisher.recall();
            if let Some((i, _)) = self.taker() {
                self.statestores[i].publication_limit = None;
            }
        } else {
            let pause = self.config.retry_pause();
            self.publisher.repeat(call, now.time + pause);
        }
        out.push(Effect::Log(Event::PublicationFailed { status }));
    }

    /// When a call is to be repeated.
    pub(super) fn repeats_at(&self) -> Option<Time> {
        self.taker()?;
        self.publisher.repeats_at()
    }

    /// The longest message that goes to the active statestored unasked.
    pub(super) fn unasked_limit(&self) -> Option<usize> {
        self.taker().map(|(_, limit)| limit)
    }

    /// Who takes publications unasked, and the longest message of them.
    fn taker(&self) -> Option<(usize, usize)> {
        if !self.config.publishes {
            return None;
        }
        let all = self.statestores.iter().enumerate();
        let mut takers = all.filter_map(|(i, it)| Some((i, it, it.publication_limit?)));
        let (i, _, limit) = takers.find(|(i, it, _)| {
            it.phase == Phase::Following
                && !it.registration_id.0.is_unset()
                && self.is_active(*i)
                && self.publisher.is_held_by(it.statestore_id)
        })?;
        Some((i, limit.min(self.config.longest_call())))
    }
}
