//! Shows deltas to the application: mirrors and streams first, then handlers.
//!
//! Deliberately absent: judging deltas; what comes here fits (B-38). A handler that panics fails
//! its message, which statestored then sends again; nothing else notices.

use crate::feed::Feed;
use crate::topic::{Delta, Handler, Publish};
use statestore_core::subscriber::port::Command;
use statestore_wire::{Text, TopicDelta};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Everything that is done with deltas, by topic.
#[derive(Default)]
pub(crate) struct Application {
    pub(crate) topics: BTreeMap<Text, Audience>,
}

/// Who looks at one topic.
pub(crate) struct Audience {
    pub(crate) feed: Option<Arc<Feed>>,
    pub(crate) handlers: Mutex<Vec<Handler>>,
    pub(crate) may_block: bool,
}

/// What a delivery came to.
pub(crate) struct Delivered {
    pub(crate) outcome: Result<Vec<Command>, Text>,
    pub(crate) durations: Vec<(Text, Duration)>,
}

/// From this size, in bytes of items, applying deltas is no work for a thread that serves others.
const LARGE: usize = 256 * 1024;

impl Application {
    /// True if a delivery needs a thread of its own.
    pub(crate) fn may_block(&self, deltas: &[(Text, TopicDelta)]) -> bool {
        let bytes: usize = deltas
            .iter()
            .map(|(_, delta)| delta.topic_entries.byte_len())
            .sum();
        let mut audiences = deltas.iter().filter_map(|(name, _)| self.topics.get(name));
        bytes >= LARGE || audiences.any(|audience| audience.may_block)
    }

    /// Runs everything, in the order of the deltas (B-36).
    pub(crate) fn deliver(&self, deltas: Vec<(Text, TopicDelta)>) -> Delivered {
        let mut publish = Publish::default();
        let mut failure = None;
        let mut durations = Vec::with_capacity(deltas.len());
        for (name, mut delta) in deltas {
            let began = Instant::now();
            delta.topic_name = name.clone();
            if let Some(audience) = self.topics.get(&name)
                && let Err(why) = audience.see(&Arc::new(Delta(delta)), &mut publish)
            {
                failure = Some(Text::from(format!(
                    "the handler of topic '{name}' panicked: {why}"
                )));
            }
            durations.push((name, began.elapsed()));
        }
        Delivered {
            outcome: failure.map_or(Ok(publish.commands), Err),
            durations,
        }
    }

    /// Ends all streams.
    pub(crate) fn close(&self) {
        let feeds = self
            .topics
            .values()
            .filter_map(|audience| audience.feed.as_ref());
        feeds.for_each(|feed| feed.close());
    }
}

impl Audience {
    fn see(&self, delta: &Arc<Delta>, publish: &mut Publish) -> Result<(), String> {
        if let Some(feed) = &self.feed {
            feed.apply(delta);
        }
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        for handler in handlers.iter_mut() {
            catch_unwind(AssertUnwindSafe(|| handler(delta, publish))).map_err(reason)?;
        }
        Ok(())
    }
}

fn reason(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
