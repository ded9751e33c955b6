//! Late answers: what a subscriber published under a registration that it has replaced since.
//!
//! A statestored writes such an answer all the same (T-32), over whatever the new registration has
//! published in between. Nobody can tell that to the subscriber, so its application has to write
//! those keys once more. The world knows which keys they are; it makes their owners do so once
//! nothing late is under way, and only for those keys: all others must come right by themselves.
//!
//! Deliberately absent: answers of a registration that ended by silence and was not replaced when
//! they came. The new registration begins with the whole topic, which shows what they wrote.
//! Absent too: subscribers of the reference, which compare all that they own with each message.
//!
//! Invariant: a key is remembered as long as the activation acts that took the late answer.

use super::World;
use super::application::writer_of;
use super::servers::topic_index;
use super::transport::Flight;
use crate::message::{Reply, Request};
use crate::plan::{FIRST, Proc, TOPICS};
use bytes::Bytes;
use statestore_core::subscriber::port::{Command, Input};
use statestore_wire::{Epoch, Text};
use std::collections::BTreeMap;

/// Keys of each topic that late answers wrote, and under which epoch.
#[derive(Debug, Default)]
pub(crate) struct Late(BTreeMap<(usize, Text), Option<Epoch>>);

impl World<'_> {
    /// A call of a statestored ended well; remembers what it wrote if it comes late.
    pub(crate) fn notes_late(&mut self, flight: &Flight, reply: &Reply) {
        let (Request::Update(request), Reply::Update(response)) = (flight.request(), reply) else {
            return;
        };
        if !self.is_late(flight) || !reply.accepts() {
            return;
        }
        for update in &response.topic_updates {
            let Some(topic) = topic_index(&update.topic_name) else {
                continue;
            };
            for item in update.topic_entries.iter() {
                self.coverage.count("late answer written");
                let key = (topic, Text::from(item.key));
                self.late.0.insert(key, request.epoch);
            }
        }
    }

    /// Its subscriber has another registration by now.
    fn is_late(&self, flight: &Flight) -> bool {
        let Request::Update(request) = flight.request() else {
            return false;
        };
        let registered = &self.servers[flight.caller.proc].registered;
        let current = registered.get(&flight.to);
        current.is_some_and(|current| Some(*current) != request.registration_id)
    }

    /// Has what late answers to `active` wrote written again, once no other is under way. Says so
    /// as long as there is anything to do.
    pub(crate) fn mends_late(&mut self, active: Proc) -> Option<String> {
        let epoch = self.servers[active].fence.map(|fence| fence.epoch);
        self.late.0.retain(|_, under| *under == epoch);
        let late = |flight: &Flight| flight.caller.proc == active && self.is_late(flight);
        if self.flights.values().any(late) {
            return Some("late answers are under way".to_owned());
        }
        let keys = std::mem::take(&mut self.late.0);
        let mended: Vec<_> = keys
            .into_keys()
            .filter(|(topic, key)| self.writes_again(*topic, key))
            .collect();
        (!mended.is_empty()).then(|| format!("late answers wrote {mended:?}"))
    }

    fn writes_again(&mut self, topic: usize, key: &Text) -> bool {
        let writer = writer_of(key).filter(|life| self.lives(*life));
        let Some(proc) = writer.map(|life| life.proc) else {
            return false;
        };
        let member = &mut self.members[proc - FIRST];
        if member.core.is_none() {
            return false;
        }
        let application = &mut member.application;
        application.made += 1;
        let value = Bytes::from(format!("v{}", application.made));
        let (topic, wishes) = (Text::from(TOPICS[topic].0), &mut application.wishes[topic]);
        let key = key.clone();
        let command = match wishes.get_mut(&key) {
            None => Command::Delete { topic, key },
            Some(wish) => {
                wish.clone_from(&value);
                Command::Put { topic, key, value }
            }
        };
        self.coverage.count("late answer mended");
        self.step_member(proc, Input::Publish(vec![command]));
        true
    }
}
