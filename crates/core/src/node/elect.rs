//! The active catalogd is elected and announced (rules C, N).
//!
//! The election decides without time, the notice tells without knowing what; here both meet the
//! registrations and the clock.

use super::calls::{About, Manner, Pending, Told};
use super::{Node, SHORTEST};
use crate::catalog::Verdict;
use crate::event::Event;
use crate::notice::Next;
use crate::port::{Body, Effect, Lane, Outbox};
use crate::schedule::Task;
use crate::time::Now;
use crate::view::KnownCatalogd;
use alloc::boxed::Box;
use alloc::vec::Vec;
use statestore_wire as wire;
use statestore_wire::{CatalogRegistration, ProtocolVersion, Status, Text};

impl Node {
    /// What the active catalogd said when it registered last.
    pub(super) fn active_catalogd(&self) -> Option<&CatalogRegistration> {
        let active = self.catalog.election.active()?;
        let member = self.members.named(&active.subscriber)?;
        member.registration.catalogd.as_ref()
    }

    /// The election said something: tell those who want to know (N-2).
    pub(super) fn elected(&mut self, now: Now, verdict: Verdict, out: &mut Outbox) {
        let version = self.catalog.election.version();
        match verdict {
            Verdict::Unchanged => return,
            Verdict::Vacant => {
                out.push(Effect::Log(Event::CatalogdLost { version }));
                return;
            }
            Verdict::Announce => self.follow_the_active(now),
        }
        let election = &self.catalog.election;
        let (Some(active), Some(catalogd)) = (election.active(), self.active_catalogd()) else {
            return;
        };
        let address = catalogd.address.clone();
        out.push(Effect::Log(Event::CatalogdDesignated {
            subscriber: active.subscriber.clone(),
            address: address.clone(),
            version,
            standby: election.standby().map(|standby| standby.subscriber.clone()),
        }));
        self.catalog.changed = Some(now.wall);
        self.announce_catalogd(now, out);
    }

    /// Tells everybody who wants to know, if we are the one to tell and there is something (N-1).
    pub(super) fn announce_catalogd(&mut self, now: Now, out: &mut Outbox) {
        let Some(catalogd) = self.active_catalogd().filter(|_| self.acts()) else {
            return;
        };
        self.catalog.announced = Some(catalogd.address.clone());
        let wants = self
            .members
            .iter()
            .filter(|m| m.registration.wants_catalogd && self.serves(&m.registration.id));
        let receivers: Vec<Text> = wants.map(|m| m.registration.id.clone()).collect();
        let version = self.catalog.election.version();
        self.catalog.notice.announce(version, receivers);
        self.tell_catalogd(now, out);
    }

    /// W11: the active peer's election counts here too, so that a failover of statestoreds is
    /// none of catalogds. With subscriber ids as priority both elect the same by themselves.
    pub(super) fn follow_election(&mut self, now: Now, active: Text, version: i64) {
        if !self.config.catalog.subscriber_id_as_priority && !self.acts() {
            self.catalog.election.follow(active, version);
            self.follow_the_active(now);
        }
    }

    /// A catalogd that stands by gets no updates and does not count (S-10, T-10). One that no
    /// longer does gets what it lacks now.
    pub(super) fn follow_the_active(&mut self, now: Now) {
        let election = &self.catalog.election;
        let mut chosen = Vec::new();
        for candidate in election.seated() {
            let followed = election.is_followed(&candidate.subscriber);
            let key = self.members.key_of(&candidate.subscriber);
            let Some(member) = key.and_then(|key| self.members.find_mut(key)) else {
                continue;
            };
            if core::mem::replace(&mut member.followed, followed) == followed {
                continue;
            }
            let registration = &member.registration;
            for (subscription, progress) in registration.topics.iter().zip(&mut member.progress) {
                if let Some(topic) = self.topics.find_mut(&subscription.topic) {
                    topic.mark(registration.key, followed, progress);
                }
                progress.ready = None; // it may be asked for late, and pins what is rewritten
            }
            chosen.extend(followed.then_some(registration.key));
        }
        for key in chosen {
            self.due_by(key, Lane::Priority, now.time);
            self.due_by(key, Lane::Bulk, now.time);
        }
    }

    /// A round: everybody who has to be told and has no call pending (N-4, W22).
    pub(super) fn tell_catalogd(&mut self, now: Now, out: &mut Outbox) {
        if let Some(slot) = self.catalog.next_round.take() {
            self.schedule.cancel(slot);
        }
        for receiver in self.catalog.notice.round() {
            self.tell_one(now, &receiver, out);
        }
    }

    /// Tells one receiver, under its current registration (W21).
    fn tell_one(&mut self, now: Now, receiver: &Text, out: &mut Outbox) {
        let version = self.catalog.notice.version();
        let epoch = self.acting();
        let member = self.members.named(receiver);
        let registration = member.map(|member| member.registration.clone());
        // Who is back and was not asked yet is told once it was (rule 18).
        let told = |wants: bool| wants && self.serves(receiver);
        let registration = registration.filter(|registration| told(registration.wants_catalogd));
        let (Some(registration), Some(catalogd)) = (registration, self.active_catalogd().cloned())
        else {
            if self.catalog.notice.forget(receiver) {
                out.push(Effect::Log(Event::CatalogdNoticeFinished { version }));
            }
            return;
        };
        let request = wire::UpdateCatalogdRequest {
            protocol_version: ProtocolVersion::V2,
            registration_id: registration.registration_id.0,
            statestore_id: self.identity.statestore_id.0,
            catalogd_version: version,
            catalogd_registration: catalogd.clone(),
            epoch,
        };
        let first_attempt = self.catalog.notice.calling(receiver);
        let pending = Pending {
            registration,
            lane: Lane::Catalogd,
            started: now.time,
        };
        let about = About::Catalogd(Box::new(Told {
            version,
            address: catalogd.address,
            first: first_attempt,
        }));
        let manner = Manner {
            timeout: self.config.catalog.timeout,
            first_attempt,
            fence: epoch,
        };
        self.calls.send(
            pending,
            (about, Body::Catalogd(Box::new(request))),
            manner,
            out,
        );
    }

    /// A call ended (N-3, N-7).
    pub(super) fn told_catalogd(
        &mut self,
        now: Now,
        pending: &Pending,
        Told {
            version,
            address,
            first,
        }: Told,
        outcome: Result<wire::UpdateCatalogdResponse, Status>,
        out: &mut Outbox,
    ) {
        let registration = &pending.registration;
        if let Ok(reply) = &outcome {
            self.learn_epoch(now, reply.highest_epoch, out);
        }
        // Refused for its epoch is not told; any other status is not looked at (N-3).
        let refused = |reply: &wire::UpdateCatalogdResponse| {
            reply.highest_epoch.is_some() && !reply.status.is_ok()
        };
        let told = matches!(&outcome, Ok(reply) if reply.skipped != Some(true) && !refused(reply));
        if told {
            self.counters.catalogd_told += 1;
            if let Some(member) = self.members.find_mut(registration.key) {
                member.knows = Some(KnownCatalogd {
                    version,
                    address,
                    at: now.wall,
                });
            }
        }
        if let Err(status) = outcome {
            self.counters.catalogd_failed += 1;
            // Ten times a second it would be told again for each that is dead.
            if first {
                out.push(Effect::Log(Event::CatalogdNoticeFailed {
                    subscriber: registration.id.clone(),
                    address: registration.address().clone(),
                    version,
                    status,
                }));
            }
        }
        match self.catalog.notice.ended(&registration.id, told) {
            Next::Nothing => {}
            Next::Finished => out.push(Effect::Log(Event::CatalogdNoticeFinished { version })),
            Next::Now => self.tell_one(now, &registration.id, out),
            Next::Round if self.catalog.next_round.is_none() => {
                let next = now.time + self.config.catalog.resend.max(SHORTEST);
                self.catalog.next_round = Some(self.schedule.add(next, Task::CatalogRound));
            }
            Next::Round => {}
        }
    }
}
