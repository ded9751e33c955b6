//! A call ended: who lives (rules F), who processed what (T-20, T-26).
//!
//! A call of an ended registration moves nothing of its subscriber's, but what an update's reply
//! publishes is written all the same (T-32).

use super::Node;
use super::calls::{About, Pending, Underway};
use super::intake::Origin;
use crate::detector::Health;
use crate::event::Event;
use crate::ids::CallId;
use crate::lanes::Ending;
use crate::members::{MemberKey, rhythm_of};
use crate::port::{CallFault, Effect, Lane, Outbox, Reply};
use crate::time::Now;
use statestore_wire as wire;
use statestore_wire::{Epoch, Status, StatusCode};

impl Node {
    pub(super) fn complete(
        &mut self,
        now: Now,
        call: CallId,
        outcome: Result<Reply, CallFault>,
        out: &mut Outbox,
    ) {
        let (pending, about) = match self.calls.take(call) {
            Some(Underway::ToMember(pending, about)) => (pending, about),
            Some(Underway::ToPeer(asked)) => return self.peer_answered(now, asked, outcome, out),
            None => return,
        };
        let registration = &pending.registration;
        if self.members.find(registration.key).is_none() {
            self.calls.outlived_ended(&registration.id, pending.lane);
            // It may have been sent after the end of its registration, and connected anew (F-4).
            if !self.members.any_at(registration.address()) {
                out.push(Effect::Disconnect(registration.address().clone()));
            }
        }
        let outcome = outcome.map_err(|CallFault(status)| status);
        match (about, outcome) {
            (About::Heartbeat(named), outcome) => {
                let outcome = match outcome {
                    Ok(Reply::Heartbeat {
                        response,
                        connection,
                    }) => Ok((response, connection)),
                    other => Err(fault(other)),
                };
                self.heartbeat_ended(now, (&pending, named), outcome, out);
            }
            (About::Update { life }, outcome) => {
                let outcome = match outcome {
                    Ok(Reply::Update(reply)) => Ok(reply),
                    other => Err(fault(other)),
                };
                self.update_ended(now, pending, life, outcome, out);
            }
            (About::Role { epoch, catalogd }, outcome) => {
                let outcome = match outcome {
                    Ok(Reply::Role(reply)) => Ok(reply),
                    other => Err(fault(other)),
                };
                self.told_role(now, &pending, (epoch, catalogd.map(|it| *it)), outcome, out);
            }
            (About::Catalogd(told), outcome) => {
                let outcome = match outcome {
                    Ok(Reply::Catalogd(reply)) => Ok(reply),
                    other => Err(fault(other)),
                };
                self.told_catalogd(now, &pending, *told, outcome, out);
            }
        }
    }

    fn heartbeat_ended(
        &mut self,
        now: Now,
        (pending, named): (&Pending, Option<Epoch>),
        outcome: Result<(wire::HeartbeatResponse, u64), Status>,
        out: &mut Outbox,
    ) {
        let key = pending.registration.key;
        if self.members.find(key).is_some() {
            self.voter_answers(now, (pending, named), outcome.as_ref().ok(), out);
        }
        let Some(member) = self.members.find_mut(key) else {
            return; // S-7
        };
        match outcome {
            Ok((reply, _)) if reply.status.is_ok() => {
                self.counters
                    .heartbeats
                    .add(now.time.since(pending.started));
                let missed = member.pulse.beat(now.time);
                if missed > 0 {
                    out.push(Effect::Log(Event::HeartbeatRecovered {
                        subscriber: pending.registration.id.clone(),
                        missed,
                    }));
                }
                self.end_turn(now, key, Lane::Heartbeat, Ending::Done);
                self.tell_newcomer(now, key, out);
            }
            Ok((reply, _)) => self.heartbeat_missed(now, key, reply.status, out), // W19
            Err(status) => self.heartbeat_missed(now, key, status, out),
        }
    }

    /// F-2 to F-4.
    pub(super) fn heartbeat_missed(
        &mut self,
        now: Now,
        key: MemberKey,
        status: Status,
        out: &mut Outbox,
    ) {
        let Some(member) = self.members.find_mut(key) else {
            return;
        };
        let Some(missed) = member.pulse.miss(now.time, self.config.heartbeat.period) else {
            return self.end_turn(now, key, Lane::Heartbeat, Ending::Failed);
        };
        let health = member.pulse.health(self.config.max_missed_heartbeats);
        out.push(Effect::Log(Event::HeartbeatMissed {
            subscriber: member.registration.id.clone(),
            address: member.registration.address().clone(),
            missed,
            health,
            status,
        }));
        if health == Health::Failed {
            // Its call is not pending any more, so nothing of this lane outlives it.
            if let Some(rhythm) = rhythm_of(Lane::Heartbeat) {
                member.rhythms[rhythm].stop(&mut self.schedule);
            }
            self.remove_failed(now, key, out);
        } else {
            self.end_turn(now, key, Lane::Heartbeat, Ending::Failed);
        }
    }

    fn update_ended(
        &mut self,
        now: Now,
        pending: Pending,
        life: u64,
        outcome: Result<wire::UpdateStateResponse, Status>,
        out: &mut Outbox,
    ) {
        let (key, lane) = (pending.registration.key, pending.lane);
        if let Ok(reply) = &outcome {
            self.learn_epoch(now, reply.highest_epoch, out);
        }
        if life != self.life {
            return self.end_turn(now, key, lane, Ending::Outlived); // W10
        }
        if outcome.is_ok() {
            let took = now.time.since(pending.started);
            match lane {
                Lane::Priority => self.counters.priority_updates.add(took),
                _ => self.counters.updates.add(took),
            }
        }
        let status = match outcome {
            Ok(reply) if !reply.status.is_ok() => reply.status,
            Ok(reply) if reply.skipped == Some(true) => {
                self.arrived(key, lane, Ending::Skipped);
                self.end_turn(now, key, lane, Ending::Skipped);
                let id = &pending.registration.id;
                self.voter_updated(now, id, pending.started, false, out);
                return self.tell_again(now, id, out); // ha.md rule 21
            }
            Ok(reply) => {
                self.arrived(key, lane, Ending::Done);
                self.voter_updated(now, &pending.registration.id, pending.started, true, out);
                let origin = Origin::Reply(lane);
                let registration = pending.registration;
                return self.take_in(now, registration, origin, reply.topic_updates, out);
            }
            Err(status) => status,
        };
        out.push(Effect::Log(Event::UpdateFailed {
            subscriber: pending.registration.id.clone(),
            address: pending.registration.address().clone(),
            lane,
            status,
        }));
        self.arrived(key, lane, Ending::Failed);
        self.end_turn(now, key, lane, Ending::Failed);
    }

    /// T-20: a message that was processed brought its subscriber to where it leads; any other
    /// leaves it where it was (T-26).
    fn arrived(&mut self, key: MemberKey, lane: Lane, ending: Ending) {
        let Some(member) = self.members.find_mut(key) else {
            return; // S-7
        };
        let topics = member.registration.topics.iter().zip(&mut member.progress);
        for (subscription, progress) in topics.filter(|(topic, _)| topic.lane == lane) {
            let Some(to) = progress.sending.take() else {
                continue;
            };
            let before = progress.before.take();
            if ending == Ending::Done {
                progress.reached = to;
            } else if let Some(before) = before {
                progress.reached = before;
                // Who skips is told of the role again, and suspected again then.
                progress.anew = ending == Ending::Failed;
            }
            if let Some(topic) = self.topics.find_mut(&subscription.topic) {
                topic.mark(key, member.followed, progress);
            }
        }
    }
}

/// The status of a call that failed, or that came back with the reply of another method.
pub(super) fn fault(outcome: Result<Reply, Status>) -> Status {
    match outcome {
        Err(status) => status,
        Ok(_) => Status::error(
            StatusCode::RPC_GENERAL_ERROR,
            "RPC Error: the reply belongs to another method",
        ),
    }
}
