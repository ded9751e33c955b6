//! A subscriber publishes without having been asked (wire.md section 5.6), and is polled seldom.
//!
//! ```text
//!   Publish --admit--> Intake --advance--> topics --finish--> the call is answered
//! ```
//!
//! What it publishes takes the way of what a reply publishes. Its call is answered once all of it
//! is written, so a subscriber that waits for the answer never has more under way than one call a
//! stream. Calls travel by any connection and can overtake each other: a sequence number lets
//! each in once and none after a later one.
//!
//! Deliberately absent: how items enter the topics (`intake`, `publish`). Invariant: nothing is
//! taken in under a registration that is not current, nor by a statestored that is not active; and
//! no epoch is learnt from who is not registered.

use super::Node;
use super::intake::{Origin, Unasked};
use super::register::TOPICS;
use crate::ids::RequestId;
use crate::lanes::Ending;
use crate::members::{Member, MemberKey, lane_of, rhythm_of};
use crate::port::{Answer, Effect, Lane, Outbox};
use crate::schedule::GOLDEN;
use crate::time::Now;
use alloc::collections::BTreeSet;
use alloc::format;
use core::time::Duration;
use statestore_wire as wire;
use statestore_wire::{Status, StatusCode, Text};

/// Streams of which something is being written, by subscriber id: also under a registration that
/// has ended since, so that who registers in a loop does not multiply what waits.
pub(super) type Writing = BTreeSet<(Text, usize)>;

impl Unasked {
    /// The lanes whose topics it publishes to, that of its stream first.
    fn lanes(&self) -> impl Iterator<Item = Lane> {
        let own = stream_lane(self.stream);
        let other = stream_lane(usize::from(self.stream == 0));
        let both = [Some(own), Some(other).filter(|_| self.strays)];
        both.into_iter().flatten()
    }
}

impl Node {
    /// Answered here, unless something is to be written first.
    pub(super) fn publish_unasked(
        &mut self,
        now: Now,
        request_id: RequestId,
        mut request: wire::PublishRequest,
        out: &mut Outbox,
    ) {
        if self.is_registered(&request) {
            self.learn_epoch(now, request.highest_epoch, out); // rule 17
        }
        if let Some(status) = too_large(&request) {
            return respond(request_id, status, out);
        }
        let (key, unasked) = match self.admit_unasked(now, request_id, &request) {
            Ok(Some(admitted)) => admitted,
            Ok(None) => return respond(request_id, Status::ok(), out), // the same again
            Err(why) => {
                let status = Status::error(StatusCode::GENERAL, why);
                return respond(request_id, status, out);
            }
        };
        let Some(member) = self.members.find(key) else {
            return;
        };
        let registration = member.registration.clone();
        self.writing
            .insert((registration.id.clone(), unasked.stream));
        for delta in &mut request.topic_updates {
            delta.from_version = None; // T-22 is for the answer to the message that did not fit
        }
        let origin = Origin::Call(unasked);
        self.take_in(now, registration, origin, request.topic_updates, out);
    }

    /// Only a registered subscriber's word on epochs counts: anybody can call.
    fn is_registered(&self, request: &wire::PublishRequest) -> bool {
        let named = self.members.named(&request.subscriber_id);
        let id = named.map(|member| member.registration.registration_id.0);
        !self.network_disabled && id == Some(request.registration_id)
    }

    fn admit_unasked(
        &self,
        now: Now,
        request_id: RequestId,
        request: &wire::PublishRequest,
    ) -> Result<Option<(MemberKey, Unasked)>, &'static str> {
        if self.network_disabled {
            return Err("Reject publication since network is disabled.");
        }
        if !self.acts() || self.is_silent(now) {
            return Err("Reject publication since this statestored is not active.");
        }
        let named = self.members.named(&request.subscriber_id);
        let current = |member: &&Member| {
            member.registration.registration_id.0 == request.registration_id
                && member.follows == self.acting()
        };
        let member = named
            .filter(current)
            .ok_or("Reject publication since it does not belong to the current registration.")?;
        let epoch = self.acting();
        if epoch.is_some() && request.highest_epoch != epoch {
            return Err("Reject publication since it belongs to a former activation."); // W10
        }
        if !member.followed {
            return Err("Reject publication of a catalogd that stands by.");
        }
        let streams = member.streams.iter().enumerate();
        let mut wanted = streams.filter(|(i, _)| i32::try_from(*i) == Ok(request.stream));
        let (stream, done) = wanted.next().ok_or("There are two streams, 0 and 1.")?;
        let own = (request.subscriber_id.clone(), stream);
        if self.writing.contains(&own) {
            return Err("Reject publication since another one is being taken in.");
        }
        if request.sequence < *done || request.sequence < 1 {
            return Err("Reject publication since a later one was taken in.");
        }
        let lane = stream_lane(stream);
        let mut updates = request.topic_updates.iter();
        let unasked = Unasked {
            request_id,
            stream,
            strays: updates.any(|delta| lane_of(&delta.topic_name) != lane),
            sequence: request.sequence,
            more: request.more == Some(true),
        };
        let again = request.sequence == *done;
        Ok((!again).then_some((member.registration.key, unasked)))
    }

    /// Everything is written.
    pub(super) fn unasked_written(
        &mut self,
        now: Now,
        (id, key): (&Text, MemberKey),
        unasked: &Unasked,
        out: &mut Outbox,
    ) {
        respond(unasked.request_id, Status::ok(), out);
        self.writing.remove(&(id.clone(), unasked.stream));
        let Some(member) = self.members.find_mut(key) else {
            return;
        };
        member.streams[unasked.stream] = unasked.sequence;
        for lane in unasked.lanes() {
            if !unasked.more {
                self.settle_inheritance(now, key, lane);
            }
            self.echo(now, key, lane);
        }
    }

    /// Its topics were forgotten before.
    pub(super) fn unasked_abandoned(&mut self, id: &Text, unasked: &Unasked, out: &mut Outbox) {
        let why = format!("publication {} was given up", unasked.sequence);
        respond(
            unasked.request_id,
            Status::error(StatusCode::GENERAL, why),
            out,
        );
        self.writing.remove(&(id.clone(), unasked.stream));
    }

    /// Who published is not hurried by that, but is to know within a period.
    fn echo(&mut self, now: Now, key: MemberKey, lane: Lane) {
        let due = now.time + self.config.lane(lane).period;
        if let (Some(member), Some(rhythm)) = (self.members.find_mut(key), rhythm_of(lane)) {
            member.rhythms[rhythm].due_by(due, &mut self.schedule);
        }
    }

    /// Until a lane's next message. Who publishes unasked and knows everything need not be asked:
    /// changes are told at once. Where anybody wants to know how far everybody is (T-10), each
    /// goes on telling.
    pub(super) fn pause(&self, key: MemberKey, lane: Lane, ending: Ending) -> Duration {
        let period = self.config.lane(lane).period;
        let Some(member) = self.members.find(key) else {
            return period;
        };
        let registration = &member.registration;
        let rests = registration.publishes
            && member.followed
            && member.follows == self.acting()
            && lane != Lane::Heartbeat
            && ending == Ending::Done
            && self.config.push_coalesce.is_some();
        let mut carried = registration.topics.iter().zip(&member.progress);
        let mut knows_all = || {
            carried.all(|(subscription, progress)| {
                let topic = self.topics.find(&subscription.topic);
                subscription.lane != lane
                    || topic.is_none_or(|t| t.wanting_min == 0 && progress.reached == t.log.last())
            })
        };
        if rests && knows_all() {
            period.max(idle_period(self.config.idle_period, key))
        } else {
            period
        }
    }
}

/// Each one's own, up to twice as long: those who came together are to be asked apart, since each
/// may need a connection that was closed meanwhile.
fn idle_period(least: Duration, MemberKey(key): MemberKey) -> Duration {
    const PARTS: u32 = 1 << 10;
    least + least * (key.place.wrapping_mul(GOLDEN) / (u32::MAX / PARTS + 1)) / PARTS
}

/// The lane whose topics a stream publishes to.
fn stream_lane(stream: usize) -> Lane {
    match stream {
        0 => Lane::Priority,
        _ => Lane::Bulk,
    }
}

/// Why a publication is refused, whoever makes it: it has more deltas than a registration can have
/// topics (P9). Whoever decodes a large one may ask before the node does, and free it elsewhere.
pub fn too_large(request: &wire::PublishRequest) -> Option<Status> {
    let size = request.topic_updates.len();
    (size > TOPICS).then(|| {
        let why = format!(
            "Reject publication since topic_updates is too large: {size}, at most {TOPICS} \
             accepted."
        );
        Status::error(StatusCode::GENERAL, why)
    })
}

fn respond(request_id: RequestId, status: Status, out: &mut Outbox) {
    let answer = Answer::Publish(wire::PublishResponse { status });
    out.push(Effect::Answer { request_id, answer });
}
