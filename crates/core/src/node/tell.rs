//! Every subscriber is told who is active (H-30 to H-33): at once, all together, and again until
//! it is acknowledged (W20, W22).
//!
//! Until then it gets no updates: it would skip them, and back off. Deliberately absent: becoming
//! inactive, which is never announced (H-32).

use super::calls::{About, Manner, Pending};
use super::{Node, SHORTEST};
use crate::event::Event;
use crate::members::MemberKey;
use crate::notice::Next;
use crate::port::{Body, Effect, Lane, Outbox};
use crate::schedule::Task;
use crate::time::Now;
use crate::view::KnownCatalogd;
use alloc::boxed::Box;
use alloc::vec::Vec;
use statestore_wire as wire;
use statestore_wire::{Epoch, NetworkAddress, ProtocolVersion, Status, Text};

impl Node {
    /// Everybody who may follow is to know that we are active.
    pub(super) fn announce_role(&mut self, now: Now, epoch: Epoch, out: &mut Outbox) {
        let members = self.members.iter().map(|member| &member.registration.id);
        let receivers: Vec<Text> = members.filter(|id| self.serves(id)).cloned().collect();
        if let Some(ha) = &mut self.ha {
            ha.notice.announce(epoch.0, receivers);
        }
        self.tell_role(now, out);
    }

    /// We are not active any more.
    pub(super) fn withdraw_role(&mut self) {
        let Some(ha) = &mut self.ha else {
            return;
        };
        ha.notice.withdraw();
        if let Some(slot) = ha.next_round.take() {
            self.schedule.cancel(slot);
        }
        self.catalog.notice.withdraw();
    }

    /// A subscriber that may follow, and does not know it yet, is told.
    pub(super) fn tell_newcomer(&mut self, now: Now, key: MemberKey, out: &mut Outbox) {
        let Some(epoch) = self.acting() else {
            return;
        };
        let Some(member) = self.members.find(key) else {
            return;
        };
        let id = member.registration.id.clone();
        if member.follows != Some(epoch) && self.serves(&id) {
            self.tell_again(now, &id, out);
        }
    }

    /// A subscriber is told although it knew already, or should (rule 21).
    pub(super) fn tell_again(&mut self, now: Now, id: &Text, out: &mut Outbox) {
        let added = self.acts() && self.ha.as_mut().is_some_and(|ha| ha.notice.add(id.clone()));
        if added {
            self.tell_role_to(now, id, out);
        }
    }

    /// A round: everybody who has to be told and has no call pending.
    pub(super) fn tell_role(&mut self, now: Now, out: &mut Outbox) {
        let Some(ha) = &mut self.ha else {
            return;
        };
        if let Some(slot) = ha.next_round.take() {
            self.schedule.cancel(slot);
        }
        for receiver in ha.notice.round() {
            self.tell_role_to(now, &receiver, out);
        }
    }

    fn tell_role_to(&mut self, now: Now, receiver: &Text, out: &mut Outbox) {
        let Some(epoch) = self.acting() else {
            return;
        };
        let catalogd = self.active_catalogd().cloned();
        let version = self.catalog.election.version();
        let member = self.members.named(receiver);
        // Who is back and was not asked yet is told once it was (rule 18).
        let member = member.filter(|_| self.serves(receiver));
        let registration = member.map(|member| member.registration.clone());
        let Some(ha) = &mut self.ha else {
            return;
        };
        let Some(registration) = registration else {
            ha.notice.forget(receiver);
            return;
        };
        let catalogd = catalogd.filter(|_| registration.wants_catalogd);
        let about = About::Role {
            epoch,
            catalogd: catalogd
                .as_ref()
                .map(|c| Box::new((version, c.address.clone()))),
        };
        let request = wire::UpdateStatestoredRoleRequest {
            protocol_version: ProtocolVersion::V2,
            registration_id: registration.registration_id.0,
            statestore_id: self.identity.statestore_id.0,
            active_statestored_version: self.active_since.0,
            is_active: true,
            catalogd_version: catalogd.is_some().then_some(version),
            catalogd_registration: catalogd,
            epoch: Some(epoch),
        };
        let manner = Manner {
            timeout: ha.config.role_timeout,
            first_attempt: ha.notice.calling(receiver),
            fence: Some(epoch),
        };
        let pending = Pending {
            registration,
            lane: Lane::Role,
            started: now.time,
        };
        self.calls
            .send(pending, (about, Body::Role(Box::new(request))), manner, out);
    }

    /// A call ended (H-31, W20).
    pub(super) fn told_role(
        &mut self,
        now: Now,
        pending: &Pending,
        (epoch, catalogd): (Epoch, Option<(i64, NetworkAddress)>),
        outcome: Result<wire::UpdateStatestoredRoleResponse, Status>,
        out: &mut Outbox,
    ) {
        let registration = &pending.registration;
        if let Ok(reply) = &outcome {
            self.learn_epoch(now, reply.highest_epoch, out);
        }
        let told =
            matches!(&outcome, Ok(reply) if reply.status.is_ok() && reply.skipped != Some(true));
        if told {
            self.counters.role_told += 1;
        } else {
            self.counters.role_failed += u64::from(outcome.is_err());
        }
        if told && self.acting() == Some(epoch) {
            let knows_epochs = matches!(&outcome, Ok(reply) if reply.highest_epoch.is_some());
            self.follows_now(now, registration.key, (epoch, knows_epochs), catalogd);
        }
        let Some(ha) = &mut self.ha else {
            return;
        };
        let (subscriber, address) = (registration.id.clone(), registration.address().clone());
        match outcome {
            // Ten times a second it would be told again for each that is dead.
            Err(status) if ha.notice.fails(&subscriber) => {
                out.push(Effect::Log(Event::RoleNoticeFailed {
                    subscriber,
                    address,
                    status,
                }));
            }
            Ok(_) if told && ha.notice.has_failed(&subscriber) => {
                out.push(Effect::Log(Event::RoleNoticeDelivered {
                    subscriber,
                    address,
                }));
            }
            _ => {}
        }
        let next = ha.notice.ended(&registration.id, told);
        match next {
            Next::Nothing => {}
            Next::Finished => out.push(Effect::Log(Event::RoleNoticeFinished { epoch })),
            Next::Now => self.tell_role_to(now, &registration.id, out),
            Next::Round if ha.next_round.is_none() => {
                let at = now.time + ha.config.role_resend.max(SHORTEST);
                ha.next_round = Some(self.schedule.add(at, Task::RoleRound));
            }
            Next::Round => {}
        }
    }

    /// The subscriber knows who is active: it gets what it lacks now.
    fn follows_now(
        &mut self,
        now: Now,
        key: MemberKey,
        (epoch, knows_epochs): (Epoch, bool),
        catalogd: Option<(i64, NetworkAddress)>,
    ) {
        let Some(member) = self.members.find_mut(key) else {
            return;
        };
        if let Some((version, address)) = catalogd {
            member.knows = Some(KnownCatalogd {
                version,
                address,
                at: now.wall,
            }); // N-7
        }
        if member.follows.replace(epoch) == Some(epoch) {
            // It was told once more because it skipped an update, or registered anew meanwhile. At
            // the usual time, for it may skip the next one too.
            if !knows_epochs {
                member.astray.suspect(now.time, self.config.bulk.period * 2);
            }
            return;
        }
        for lane in [Lane::Priority, Lane::Bulk] {
            self.due_by(key, lane, now.time);
        }
    }
}
