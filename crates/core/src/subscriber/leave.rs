//! Leaving on purpose (ha.md rule 14).
//!
//! The one that leaves tells every statestored that it is registered with, at once and once, and
//! waits for no more than a moment: a statestored that does not hear it, or does not know the
//! word, notices by missing heartbeats as ever. In a pair the farewell matters more than that:
//! who vanishes without it stays in the electorate, and many who do can leave it without a
//! majority.
//!
//! Invariant: the first farewell is made after the last heartbeat was answered with OK.

use super::port::{Body, Call, Effect, Outbox, Reply};
use super::statestore::{Phase, Step};
use super::{Event, Subscriber};
use crate::ids::{CallId, RegistrationId};
use statestore_wire::{ProtocolVersion, UnregisterSubscriberRequest};

impl Subscriber {
    /// True once the subscriber has left and every statestored has heard of it, or cannot.
    pub fn is_gone(&self) -> bool {
        self.left && self.farewells.is_empty()
    }

    /// Stops; whatever comes from now on is declined.
    pub(super) fn leave(&mut self, out: &mut Outbox) {
        if self.left {
            return;
        }
        self.left = true;
        out.push(Effect::Log(Event::Left));
        for i in 0..self.statestores.len() {
            match self.statestores[i].phase {
                // It may be accepted at this moment: then that registration is to end too.
                Phase::Calling(attempt, call) if attempt.step == Step::Register => {
                    self.farewells.insert(call);
                }
                _ => self.bid_farewell(i, self.statestores[i].registration_id, out),
            }
        }
    }

    /// A call of a subscriber that has left ended.
    pub(super) fn farewell_heard(&mut self, call: CallId, reply: Option<&Reply>, out: &mut Outbox) {
        self.farewells.remove(&call);
        let Some(Reply::Register(reply)) = reply else {
            return;
        };
        let mut all = self.statestores.iter();
        let registering = |phase| matches!(phase, Phase::Calling(_, id) if id == call);
        if let Some(i) = all.position(|it| registering(it.phase)) {
            let registered = RegistrationId(reply.registration_id.unwrap_or_default());
            self.bid_farewell(i, registered, out);
        }
    }

    fn bid_farewell(&mut self, i: usize, registered: RegistrationId, out: &mut Outbox) {
        if registered.0.is_unset() {
            return;
        }
        let id = self.fresh_call();
        self.farewells.insert(id);
        out.push(Effect::Call(Call {
            id,
            statestore: i,
            to: self.statestores[i].address.clone(),
            timeout: self.config.farewell,
            first_attempt: true,
            startup: false,
            body: Body::Unregister(UnregisterSubscriberRequest {
                protocol_version: ProtocolVersion::V2,
                subscriber_id: self.config.id.clone(),
                registration_id: registered.0,
            }),
        }));
    }
}
