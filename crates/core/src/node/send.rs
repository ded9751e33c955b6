//! A lane is due: a heartbeat or an update goes out (rules S), and the report of who answers.
//! What the answer then does is `complete.rs`; when the next one is due is `lanes.rs`.

use super::calls::{About, Manner, Pending};
use super::register::FULL;
use super::work::Work;
use super::{AT_ONCE, Node, SHORTEST};
use crate::event::Event;
use crate::lanes::Ending;
use crate::members::{MemberKey, Ready, Registration, rhythm_of};
use crate::port::{Body, Effect, Lane, Outbox, TopicPart, Update};
use crate::schedule::Task;
use crate::time::{Now, Time};
use crate::topic::{Delta, Version};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire as wire;
use statestore_wire::{ProtocolVersion, Status, StatusCode};

/// When to look again whether a topic's publication is complete.
const OPEN_RETRY: Duration = Duration::from_millis(2);

impl Node {
    pub(super) fn send(
        &mut self,
        now: Now,
        due: Time,
        key: MemberKey,
        lane: Lane,
        out: &mut Outbox,
    ) {
        match lane {
            Lane::Heartbeat => self.send_heartbeat(now, due, key, out),
            _ => self.send_update(now, key, lane, out),
        }
    }

    fn send_heartbeat(&mut self, now: Now, due: Time, key: MemberKey, out: &mut Outbox) {
        if self.is_silent(now) {
            return self.end_turn(now, key, Lane::Heartbeat, Ending::Done); // ha.md rule 19
        }
        let asks = self.ha.as_ref().is_some_and(|ha| ha.pair.asks());
        let Some(member) = self.members.find_mut(key) else {
            return; // S-7
        };
        let registration = member.registration.clone();
        if let Some((late, unreported)) = self.lateness.judge(due, now.time) {
            out.push(Effect::Log(Event::HeartbeatLate {
                subscriber: registration.id.clone(),
                late,
                unreported,
            }));
        }
        if let Some(rhythm) = rhythm_of(Lane::Heartbeat) {
            member.rhythms[rhythm].begin(false);
        }
        if self.network_disabled {
            let text = "Don't send heartbeat since network is disabled.";
            let status = Status::error(StatusCode::GENERAL, text);
            return self.heartbeat_missed(now, key, status, out); // H-9
        }
        let epoch = self.acting().filter(|_| self.serves(&registration.id)); // ha.md rule 18
        let request = wire::HeartbeatRequest {
            protocol_version: ProtocolVersion::V2,
            registration_id: Some(registration.registration_id.0),
            statestore_id: Some(self.identity.statestore_id.0),
            request_statestore_conn_state: asks.then_some(true),
            epoch,
        };
        let pending = Pending {
            registration,
            lane: Lane::Heartbeat,
            started: now.time,
        };
        let (_, timeout) = self.heartbeat_pace(now, &pending.registration.id);
        let manner = Manner {
            timeout,
            first_attempt: true,
            fence: epoch,
        };
        self.calls.send(
            pending,
            (About::Heartbeat(epoch), Body::Heartbeat(request)),
            manner,
            out,
        );
    }

    fn send_update(&mut self, now: Now, key: MemberKey, lane: Lane, out: &mut Outbox) {
        let (acts, epoch) = (self.acts(), self.acting());
        let Some(member) = self.members.find_mut(key) else {
            return; // S-7
        };
        if !acts || !member.followed || member.follows != epoch {
            return self.end_turn(now, key, lane, Ending::Done); // S-10
        }
        if self.calls.outlived(&member.registration.id, lane) >= FULL {
            return self.end_turn(now, key, lane, Ending::Failed);
        }
        let registration = member.registration.clone();
        let topics = registration.topics.len();
        self.work.spend(topics.saturating_mul(Work::TOPIC));
        let carried = registration.topics.iter().filter(|s| s.lane == lane);
        let mut carried = carried.filter_map(|s| self.topics.find(&s.topic));
        if let (Some(rhythm), true) = (rhythm_of(lane), carried.any(|topic| topic.open)) {
            return member.rhythms[rhythm].start(now.time + OPEN_RETRY, &mut self.schedule);
        }
        let Some(deltas) = self.lacking(now, &registration, lane) else {
            return;
        };
        let Some(member) = self.members.find_mut(key) else {
            return;
        };
        if let Some(rhythm) = rhythm_of(lane) {
            let tells = deltas.iter().any(|(_, delta)| delta.count > 0);
            member.rhythms[rhythm].begin(tells);
        }
        let mut topics = Vec::with_capacity(deltas.len());
        for (place, delta) in deltas {
            let subscription = &registration.topics[place];
            let Some(topic) = self.topics.find_mut(&subscription.topic) else {
                continue;
            };
            let (to, progress) = (delta.to, &mut member.progress[place]);
            progress.sending = Some(to);
            topic.mark(key, true, progress);
            if let (Some(rhythm), Some(push)) = (rhythm_of(lane), self.config.push_coalesce)
                && to != topic.log.last()
            {
                // It changed while this waited for the others.
                member.rhythms[rhythm].hurry(now.time, push, &mut self.schedule);
            }
            topics.push(TopicPart {
                name: subscription.topic.clone(),
                // T-10. What they have processed may be gone since, by a clear.
                min_version: subscription.wants_min.then(|| topic.lowest().min(to)),
                delta,
            });
        }
        let update = Update {
            registration_id: registration.registration_id,
            statestore_id: self.identity.statestore_id,
            epoch,
            topics,
        };
        let pending = Pending {
            registration,
            lane,
            started: now.time,
        };
        let manner = Manner {
            timeout: self.config.lane(lane).timeout,
            first_attempt: true,
            fence: epoch,
        };
        let about = About::Update { life: self.life };
        self.calls
            .send(pending, (about, Body::Update(update)), manner, out);
    }

    /// What the subscriber lacks of each topic of a lane (S-2), by the topic's place. If not all
    /// of it is there yet, the lane comes again soon.
    fn lacking(
        &mut self,
        now: Now,
        registration: &Registration,
        lane: Lane,
    ) -> Option<Vec<(usize, Delta)>> {
        let key = registration.key;
        let member = self.members.find_mut(key)?;
        if member.astray.begins_anew(now.time) {
            member.progress.iter_mut().for_each(|it| it.anew = true);
        }
        let mut deltas = Vec::new();
        let mut soon = None;
        for (place, subscription) in registration.topics.iter().enumerate() {
            if subscription.lane != lane {
                continue; // S-2
            }
            let Some(topic) = self.topics.find_mut(&subscription.topic) else {
                continue;
            };
            let progress = &mut member.progress[place];
            if core::mem::take(&mut progress.anew) && progress.reached > Version::ZERO {
                progress.before = Some(progress.reached);
                progress.reached = Version::ZERO;
                topic.mark(key, true, progress);
            }
            let since = progress.reached;
            if let Some(ready) = progress.ready.take().filter(|ready| ready.since == since) {
                deltas.push((place, ready.delta));
                continue;
            }
            if topic.works_for(key) && !self.work.may_be_long() {
                soon = Some(AT_ONCE);
                continue;
            }
            let asker = (key, &subscription.prefix);
            match topic.lacking(now.time, asker, since, self.work.looks()) {
                Some(delta) => deltas.push((place, delta)),
                None if topic.works_for(key) => soon = Some(AT_ONCE),
                None => soon = soon.or(Some(OPEN_RETRY)),
            }
        }
        let Some(soon) = soon else {
            return Some(deltas);
        };
        for (place, delta) in deltas {
            let progress = &mut member.progress[place];
            let since = progress.reached;
            progress.ready = Some(Box::new(Ready { since, delta }));
        }
        member.rhythms[rhythm_of(lane)?].start(now.time + soon, &mut self.schedule);
        None
    }

    /// A lane's turn is over: it waits for the next one (S-5).
    pub(super) fn end_turn(&mut self, now: Now, key: MemberKey, lane: Lane, ending: Ending) {
        let mut config = *self.config.lane(lane);
        config.period = self.pause(key, lane, ending);
        if lane == Lane::Heartbeat
            && let Some(member) = self.members.find(key).filter(|_| self.ha.is_some())
        {
            config.period = self.heartbeat_pace(now, &member.registration.id).0;
            // Small beside the period, also where that was shortened.
            config.slack = config.slack.min(config.period / 16);
        }
        let (Some(member), Some(rhythm)) = (self.members.find_mut(key), rhythm_of(lane)) else {
            return;
        };
        let push = self.config.push_coalesce;
        member.rhythms[rhythm].end(now.time, ending, &config, push, &mut self.schedule);
    }

    /// F-8.
    pub(super) fn report(&mut self, now: Now, out: &mut Outbox) {
        let period = self.config.heartbeat_report_period.max(SHORTEST);
        let mut silent = Vec::new();
        for member in self.members.iter() {
            let heard = member.pulse.heard();
            if heard.is_none_or(|heard| now.time.since(heard) > period) {
                silent.push(member.registration.id.clone());
            }
        }
        let subscribers = self.members.len();
        self.answered = subscribers - silent.len();
        out.push(Effect::Log(Event::HeartbeatReport {
            answered: self.answered,
            subscribers,
            silent,
        }));
        self.schedule.add(now.time + period, Task::Report);
    }
}
