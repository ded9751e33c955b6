//! A registration ends (F-4, R-3) and takes its transient entries along (T-30 to T-34).
//!
//! If it ends because its subscriber failed, they go at once. If the subscriber registered anew,
//! they stay until it had the chance to write them again, so that the others do not see it
//! vanish and come back (W33).

use super::Node;
use crate::event::Event;
use crate::members::{Member, MemberKey, Registration, rhythm_of};
use crate::owned::Owned;
use crate::port::{Effect, Lane, Outbox};
use crate::schedule::Task;
use crate::time::Now;
use alloc::sync::Arc;
use alloc::vec::Vec;
use statestore_wire as wire;
use statestore_wire::Status;

impl Node {
    /// F-4.
    pub(super) fn remove_failed(&mut self, now: Now, key: MemberKey, out: &mut Outbox) {
        let Some((member, alone)) = self.members.remove(key) else {
            return;
        };
        let registration = &member.registration;
        out.push(Effect::Log(Event::Removed {
            subscriber: registration.id.clone(),
            registration_id: registration.registration_id,
            address: registration.address().clone(),
            missed: member.pulse.missed(),
        }));
        let id = registration.id.clone();
        self.bury(now, member, alone, out);
        self.voter_fails(now, &id, out);
    }

    /// A subscriber stops on purpose (ha.md rule 14): nobody waits for it to fail. Its word
    /// counts also if its registration had ended here before; one that came after it stays.
    pub(super) fn unregister(
        &mut self,
        now: Now,
        request: &wire::UnregisterSubscriberRequest,
        out: &mut Outbox,
    ) -> wire::UnregisterSubscriberResponse {
        let id = &request.subscriber_id;
        let current = self
            .members
            .named(id)
            .map(|member| member.registration.clone());
        let meant = current.is_none_or(|registration| {
            let same = registration.registration_id.0 == request.registration_id;
            if same && let Some((member, alone)) = self.members.remove(registration.key) {
                out.push(Effect::Log(Event::Left {
                    subscriber: registration.id.clone(),
                    registration_id: registration.registration_id,
                    address: registration.address().clone(),
                }));
                self.bury(now, member, alone, out);
            }
            same
        });
        if meant {
            self.voter_fails(now, id, out);
        }
        wire::UnregisterSubscriberResponse {
            status: Status::ok(),
        }
    }

    /// What a registration leaves behind goes with it.
    fn bury(&mut self, now: Now, mut member: Member, alone: bool, out: &mut Outbox) {
        self.silence(&mut member);
        let registration = member.registration.clone();
        if alone {
            out.push(Effect::Disconnect(registration.address().clone()));
        }
        for place in 0..registration.topics.len() {
            let versions = estate(&mut member, place);
            self.unsubscribe(now, &registration, place, versions, out);
        }
        if registration.catalogd.is_some() {
            let verdict = self.catalog.election.leaves(&registration.id);
            self.follow_the_active(now);
            self.elected(now, verdict, out);
        }
    }

    /// The former registration of an id ends in favour of a new one, which inherits.
    pub(super) fn replace(
        &mut self,
        now: Now,
        former: MemberKey,
        heir: &mut Member,
        out: &mut Outbox,
    ) -> Option<Arc<Registration>> {
        let (mut member, alone) = self.members.remove(former)?;
        let grace = member.grace;
        self.silence(&mut member);
        let registration = member.registration.clone();
        if alone && registration.address() != heir.registration.address() {
            out.push(Effect::Disconnect(registration.address().clone()));
        }
        let mut inherits = false;
        for (place, subscription) in registration.topics.iter().enumerate() {
            let mut versions = estate(&mut member, place);
            if let Some(place) = heir.registration.place_of(&subscription.topic) {
                heir.progress[place].inherited = core::mem::take(&mut versions);
                inherits |= !heir.progress[place].inherited.is_empty();
            }
            self.unsubscribe(now, &registration, place, versions, out);
        }
        if inherits {
            // Registering again and again does not make the grace longer.
            let end = now.time + self.config.transient_grace;
            let end = grace.map_or(end, |slot| slot.at.min(end));
            let task = Task::Grace(heir.registration.key);
            heir.grace = Some(self.schedule.add(end, task));
        }
        Some(registration)
    }

    /// The subscriber had the chance to write to this lane's topics: what its former registration
    /// wrote there and this one did not write again goes (W33).
    pub(super) fn settle_inheritance(&mut self, now: Now, key: MemberKey, lane: Lane) {
        let Some(member) = self.members.find_mut(key) else {
            return;
        };
        if member.grace.is_none() {
            return;
        }
        let registration = member.registration.clone();
        let carried = registration.topics.iter().zip(&mut member.progress);
        let carried = carried.filter(|(subscription, _)| subscription.lane == lane);
        let due: Vec<_> = carried
            .map(|(subscription, it)| (&subscription.topic, core::mem::take(&mut it.inherited)))
            .collect();
        let settled = member.progress.iter().all(|p| p.inherited.is_empty());
        if let Some(slot) = member.grace.take_if(|_| settled) {
            self.schedule.cancel(slot);
        }
        for (name, versions) in due {
            self.expire(now, name, versions, Some(key));
        }
    }

    /// The grace is over: what is still inherited goes.
    pub(super) fn end_grace(&mut self, now: Now, key: MemberKey) {
        let Some(member) = self.members.find_mut(key) else {
            return;
        };
        member.grace = None;
        let registration = member.registration.clone();
        let inherited = member
            .progress
            .iter_mut()
            .map(|p| core::mem::take(&mut p.inherited));
        let inherited: Vec<_> = inherited.collect();
        for (subscription, versions) in registration.topics.iter().zip(inherited) {
            self.expire(now, &subscription.topic, versions, None);
        }
    }

    /// Stops everything that would happen for this member by itself.
    fn silence(&mut self, member: &mut Member) {
        for lane in [Lane::Heartbeat, Lane::Priority, Lane::Bulk] {
            let Some(rhythm) = rhythm_of(lane).map(|i| &mut member.rhythms[i]) else {
                continue;
            };
            if rhythm.is_calling() {
                self.calls.outlive(&member.registration.id, lane);
            }
            rhythm.stop(&mut self.schedule);
        }
        if let Some(slot) = member.grace.take() {
            self.schedule.cancel(slot);
        }
    }

    /// Takes a registration out of one of its topics, and what went with it.
    fn unsubscribe(
        &mut self,
        now: Now,
        registration: &Registration,
        place: usize,
        versions: Owned,
        out: &mut Outbox,
    ) {
        let subscription = &registration.topics[place];
        let name = &subscription.topic;
        if let Some(topic) = self.topics.find_mut(name) {
            topic.unsubscribe(registration.key, subscription);
        }
        self.expire(now, name, versions, None);
        if self.topics.drop_if_idle(name) {
            let topic = name.clone();
            out.push(Effect::Log(Event::TopicDropped { topic }));
        } else {
            self.collect(now, name);
        }
    }
}

/// Everything that a member leaves behind in one topic.
fn estate(member: &mut Member, place: usize) -> Owned {
    let progress = &mut member.progress[place];
    let mut versions = core::mem::take(&mut progress.inherited);
    versions.append(&mut progress.owned);
    versions
}
