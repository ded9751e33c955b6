//! What runs on top of a subscriber: it wishes for entries under keys of its own, and keeps a
//! mirror of every topic.
//!
//! Keys name the life that wished for them, values are never used twice. Deliberately absent:
//! whether the mirrors are right; invariants look at them.

use super::World;
use super::heal::Phase;
use super::servers::topic_index;
use crate::event::{Event, Life, TopicLives};
use crate::plan::{FIRST, Proc, TOPICS};
use bytes::Bytes;
use statestore_core::subscriber::Mirror;
use statestore_core::subscriber::port::{Command, Input, Token};
use statestore_wire::{Epoch, Text, TopicDelta};
use std::collections::BTreeMap;

/// Keys in one topic that one life wishes for at a time.
const MOST_KEYS: usize = 5;

#[derive(Debug, Default)]
pub(crate) struct Application {
    pub(crate) mirrors: [Kept; TOPICS.len()],
    /// What each topic is to hold of this life.
    pub(crate) wishes: [BTreeMap<Text, Bytes>; TOPICS.len()],
    pub(crate) made: u64,
    pub(crate) deliveries: BTreeMap<Token, Delivery>,
}

/// A mirror and where its content is from.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) mirror: Mirror,
    pub(crate) from: Option<Source>,
}

/// One life of one topic in one activation. Two lives of a statestored may have the same epoch.
pub(crate) type Source = (Life, Option<Epoch>, u32);

/// Which activation a message is from, and which lives of its topics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) server: Life,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) topics: TopicLives,
}

/// Deltas on their way to the application.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) topics: Vec<(Text, TopicDelta)>,
    pub(crate) mark: Mark,
}

impl World<'_> {
    /// The application has looked at a delivery; now and then it cannot make sense of one.
    pub(crate) fn processed(&mut self, life: Life, token: Token) {
        if !self.lives(life) {
            return;
        }
        let proc = life.proc;
        if self.waits(proc, Event::Processed(life, token)).is_none() {
            return;
        }
        let application = &mut self.members[proc - FIRST].application;
        let Some(delivery) = application.deliveries.remove(&token) else {
            return;
        };
        let fails = self.phase == Phase::Troubles && self.whims.chance(3);
        let mut commands = Vec::new();
        if !fails {
            for (topic, delta) in &delivery.topics {
                if let Some(i) = topic_index(topic) {
                    self.check_mirror(proc, i, delta, delivery.mark);
                }
            }
            if self.may_wish() && self.whims.chance(30) {
                commands.push(self.wish(proc));
            }
        }
        let outcome = match fails {
            true => Err(Text::from("the application is not well")),
            false => Ok(commands),
        };
        let durations = Vec::new();
        self.step_member(
            proc,
            Input::Processed {
                token,
                outcome,
                durations,
            },
        );
    }

    fn may_wish(&self) -> bool {
        self.phase.wishes(self.now)
    }

    pub(crate) fn wishes_soon(&mut self, proc: Proc) {
        let pause = self.plan.members[proc - FIRST].pause;
        let pause = self.whims.time(pause / 2..=pause * 2);
        let life = self.processes[proc].life;
        self.queue.add(self.now + pause, Event::Wishes(life));
    }

    pub(crate) fn wishes(&mut self, life: Life) {
        let proc = life.proc;
        if !self.lives(life) || self.processes[proc].ending {
            return;
        }
        if self.waits(proc, Event::Wishes(life)).is_none() {
            return;
        }
        if self.may_wish() {
            let command = self.wish(proc);
            // One of the reference finds out for itself what to publish.
            if self.members[proc - FIRST].core.is_some() {
                self.step_member(proc, Input::Publish(vec![command]));
            }
        }
        self.wishes_soon(proc);
    }

    /// A new entry, another value for an old one, or its end.
    fn wish(&mut self, proc: Proc) -> Command {
        let i = self.whims.index(TOPICS.len());
        let topic = Text::from(TOPICS[i].0);
        let life = self.processes[proc].life;
        let application = &mut self.members[proc - FIRST].application;
        let wishes = &mut application.wishes[i];
        application.made += 1;
        let value = Bytes::from(format!("v{}", application.made));
        let old = match wishes.len() {
            0 => None,
            n => wishes.keys().nth(self.whims.index(n)).cloned(),
        };
        let full = wishes.len() >= MOST_KEYS;
        match (old, self.whims.below(4)) {
            (Some(key), 0) => {
                wishes.remove(&key);
                Command::Delete { topic, key }
            }
            (Some(key), draw) if full || draw == 1 => {
                wishes.insert(key.clone(), value.clone());
                Command::Put { topic, key, value }
            }
            _ => {
                let key = key_of(life, application.made);
                wishes.insert(key.clone(), value.clone());
                Command::Put { topic, key, value }
            }
        }
    }
}

fn key_of(life: Life, number: u64) -> Text {
    let who = crate::plan::name(life.proc);
    Text::from(format!("{who}.{}.{number}", life.number))
}

/// The life that wished for a key.
pub(crate) fn writer_of(key: &Text) -> Option<Life> {
    let text = key.to_str();
    let mut parts = text.strip_prefix('s')?.split('.');
    let mut number = || parts.next()?.parse::<u32>().ok();
    Some(Life {
        proc: number()? as usize - 1 + FIRST,
        number: number()?,
    })
}
