//! Deltas in, publications out (B-22, B-23, B-36 to B-39).
//!
//! A message is judged here, shown to the application by the driver, and answered when that is
//! done. Until then its topics are busy, and another message that names one of them is skipped.
//!
//! Invariant: what is delivered continues what was delivered before, from the same registration.

use super::notices::unexpected;
use super::port::{Answer, Command, ConnectionId, Effect, Outbox, Token};
use super::publisher::{Lane, Seen, TopicUpdate, UpdateAnswer};
use super::view::TopicView;
use super::{Event, Subscriber};
use crate::ids::{RequestId, StatestoreId};
use crate::time::{Now, Time};
use crate::view::Tally;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire::{Status, StatusCode, Text, TopicDelta, UpdateStateRequest};

/// One registered topic.
#[derive(Debug, Default)]
pub(super) struct Topic {
    version: i64,
    seen: bool,
    busy: bool,
    last_end: Option<Time>,
    durations: Tally,
    intervals: Tally,
}

impl Topic {
    /// The version is void, and a delta from anywhere but 0 does not fit.
    pub(super) fn rebase(&mut self) {
        self.version = 0;
        self.seen = false;
    }

    pub(super) fn view(&self, name: &Text) -> TopicView {
        TopicView {
            name: name.clone(),
            version: self.version,
            seen: self.seen,
            durations: self.durations,
            intervals: self.intervals,
        }
    }
}

/// A message that the application is looking at.
#[derive(Debug)]
pub(super) struct Processing {
    request: RequestId,
    generation: u64,
    connection: ConnectionId,
    lane: Lane,
    began: Time,
    delivered: Vec<Seen>,
    resets: Vec<(Text, i64)>,
}

impl UpdateAnswer {
    /// Nothing was processed: send again.
    pub fn skipped() -> Self {
        Self {
            skipped: true,
            ..Self::default()
        }
    }

    fn error(status: Status) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }
}

impl Subscriber {
    /// Takes in a message; `None` if the answer comes after its delivery.
    pub(super) fn update(
        &mut self,
        now: Now,
        id: RequestId,
        connection: ConnectionId,
        request: UpdateStateRequest,
        out: &mut Outbox,
    ) -> Option<UpdateAnswer> {
        if let Err(refusal) = self.admit(now, &request, out) {
            return Some(refusal);
        }
        let deltas: BTreeMap<Text, TopicDelta> = request.topic_deltas.0.into_iter().collect();
        if deltas
            .keys()
            .any(|name| self.topics.get(name).is_some_and(|topic| topic.busy))
        {
            return Some(UpdateAnswer::skipped());
        }
        let lane = deltas.keys().next().map_or(Lane::Bulk, Lane::of);
        self.publisher.arrived(lane, connection, &deltas);

        let mut processing = Processing {
            request: id,
            generation: self.generation,
            connection,
            lane,
            began: now.time,
            delivered: Vec::new(),
            resets: Vec::new(),
        };
        let mut fitting = Vec::new();
        for (name, delta) in deltas {
            if let Some(seen) = self.judge(&name, &delta, &mut processing.resets, out) {
                processing.delivered.push(seen);
                fitting.push((name, delta));
            }
        }
        if fitting.is_empty() {
            return Some(self.compose(processing));
        }
        self.begin_delivery(now.time, &processing);
        let token = Token(self.fresh_id());
        self.processing.insert(token, processing);
        out.push(Effect::Deliver {
            token,
            request: id,
            topics: fitting,
        });
        None
    }

    pub(super) fn processed(
        &mut self,
        now: Time,
        token: Token,
        outcome: Result<Vec<Command>, Text>,
        durations: &[(Text, Duration)],
        out: &mut Outbox,
    ) {
        let Some(processing) = self.processing.remove(&token) else {
            return;
        };
        self.end_delivery(now, &processing, durations);
        let id = processing.request;
        let current = processing.generation == self.generation && !self.left;
        let answer = match outcome {
            Err(why) => {
                out.push(Effect::Log(Event::DeliveryFailed { why: why.clone() }));
                UpdateAnswer::error(Status::error(StatusCode::GENERAL, why))
            }
            Ok(commands) => {
                self.wish(commands, out);
                if current {
                    self.advance(&processing.delivered);
                    self.compose(processing)
                } else {
                    UpdateAnswer::skipped()
                }
            }
        };
        self.answer(id, Answer::Update(answer), out);
    }

    /// B-20, B-22, B-23, W2. An epoch that is news makes its sender the active one.
    fn admit(
        &mut self,
        now: Now,
        request: &UpdateStateRequest,
        out: &mut Outbox,
    ) -> Result<(), UpdateAnswer> {
        const METHOD: &str = "UpdateState";
        if let Some(status) = self.check_version(METHOD, request.protocol_version, out) {
            return Err(UpdateAnswer::error(status));
        }
        let statestore_id = StatestoreId(request.statestore_id.unwrap_or_default());
        let Some(i) = self.sender(statestore_id) else {
            return Err(UpdateAnswer::skipped());
        };
        self.check_epoch(now.wall, Some(i), (METHOD, request.epoch), out)
            .map_err(UpdateAnswer::error)?;
        let is_news = request.epoch.is_some_and(|it| self.epochs.is_news(it));
        let statestore = &self.statestores[i];
        if statestore.is_registering() || !(self.is_active(i) || is_news) {
            return Err(UpdateAnswer::skipped());
        }
        let got = request.registration_id.unwrap_or_default();
        if !statestore.matches(got) {
            let status = unexpected(got, statestore.registration_id);
            let refused = Event::UpdateRefused {
                statestore_id,
                status: status.clone(),
            };
            out.push(Effect::Log(refused));
            return Err(UpdateAnswer::error(status));
        }
        if let Some(epoch) = request.epoch {
            self.accept_epoch(i, epoch);
            self.follow_epoch(now.time, i, epoch, out);
        }
        Ok(())
    }

    /// Whether one topic's delta can be delivered (B-37, B-38).
    fn judge(
        &self,
        name: &Text,
        delta: &TopicDelta,
        resets: &mut Vec<(Text, i64)>,
        out: &mut Outbox,
    ) -> Option<Seen> {
        let Some(topic) = self.topics.get(name) else {
            out.push(Effect::Log(Event::UnknownTopic {
                topic: name.clone(),
            }));
            return None;
        };
        let own = topic.version;
        let from = delta.from_version.unwrap_or(own);
        if delta.is_delta && from != own {
            out.push(Effect::Log(Event::UnexpectedBase {
                topic: name.clone(),
                from,
                own,
            }));
            resets.push((name.clone(), own));
            return None;
        }
        let to = delta.to_version.unwrap_or(own);
        Some(Seen {
            topic: name.clone(),
            from,
            to,
            held: own,
        })
    }

    fn begin_delivery(&mut self, now: Time, processing: &Processing) {
        if let Some(end) = self.totals.last_update_end {
            self.totals.update_intervals.add(now.since(end));
        }
        for seen in &processing.delivered {
            let Some(topic) = self.topics.get_mut(&seen.topic) else {
                continue;
            };
            topic.busy = true;
            if let Some(end) = topic.last_end {
                topic.intervals.add(now.since(end));
            }
        }
    }

    fn end_delivery(&mut self, now: Time, processing: &Processing, took: &[(Text, Duration)]) {
        self.totals.last_update_end = Some(now);
        self.totals
            .update_durations
            .add(now.since(processing.began));
        for seen in &processing.delivered {
            let Some(topic) = self.topics.get_mut(&seen.topic) else {
                continue;
            };
            topic.busy = false;
            topic.last_end = Some(now);
            if let Some((_, duration)) = took.iter().find(|(name, _)| *name == seen.topic) {
                topic.durations.add(*duration);
            }
        }
    }

    fn advance(&mut self, delivered: &[Seen]) {
        for seen in delivered {
            if let Some(topic) = self.topics.get_mut(&seen.topic) {
                topic.version = seen.to;
                topic.seen = true;
            }
        }
    }

    /// The answer to a processed message: new bases where needed, then what is to be published.
    fn compose(&mut self, processing: Processing) -> UpdateAnswer {
        let Processing {
            connection,
            lane,
            delivered,
            resets,
            ..
        } = processing;
        let reset_names: Vec<Text> = resets.iter().map(|(name, _)| name.clone()).collect();
        let mut updates: Vec<TopicUpdate> = resets
            .into_iter()
            .map(|(topic, own)| TopicUpdate {
                topic,
                from_version: Some(own),
                ..TopicUpdate::default()
            })
            .collect();
        let limits = (self.config.max_publication, self.unasked_limit());
        updates.extend(
            self.publisher
                .compose(lane, connection, delivered, &reset_names, limits),
        );
        UpdateAnswer {
            updates,
            ..UpdateAnswer::default()
        }
    }
}
