//! What a mirror holds is what one activation sent, in order; so mirrors that are at one version
//! of one activation are equal.
//!
//! Versions begin anew with each activation (W10), and with each life of a topic (T-1). A mirror
//! with a filter shows less, so only its source is looked at.

use super::super::World;
use super::super::application::Mark;
use crate::plan::{FIRST, Proc};
use crate::sabotage::Sabotage;
use crate::trace::{EMPTY, mix};
use statestore_core::subscriber::Mirror;
use statestore_wire::{ItemBatch, TopicDelta};

impl World<'_> {
    /// A delta reaches a mirror: applies it, and looks at what comes out.
    pub(crate) fn check_mirror(
        &mut self,
        proc: Proc,
        topic: usize,
        delta: &TopicDelta,
        mark: Mark,
    ) {
        let prefix = self.plan.members[proc - FIRST].prefix(topic);
        let whole = prefix.is_empty();
        let kept = &mut self.members[proc - FIRST].application.mirrors[topic];
        let from = (mark.server, mark.epoch, mark.topics[topic]);
        let before = kept.from.replace(from);
        let changes = !delta.topic_entries.is_empty() || !delta.is_delta;
        let broken = self.plan.sabotage == Some(Sabotage::Deltas);
        if broken && delta.is_delta && self.whims.chance(20) {
            let topic_entries = ItemBatch::new();
            let empty = TopicDelta {
                topic_entries,
                ..delta.clone()
            };
            kept.mirror.apply(&empty);
        } else {
            kept.mirror.apply(delta);
        }
        if delta.is_delta && before.is_some_and(|before| before != from) {
            let says = format!("topic {topic}: a delta of {from:?} upon {before:?}");
            return self.breaks_rule("one source", says);
        }
        if mark.epoch.is_none() || !whole || !changes {
            return;
        }
        self.coverage.count("mirror compared");
        let content = content(&kept.mirror);
        let key = (from, topic, kept.mirror.version());
        let same = *self.watch.contents.entry(key).or_insert(content);
        if same != content {
            let entries: Vec<_> = kept.mirror.iter().collect();
            let says = format!("{key:?} was something else before than {entries:?}");
            self.breaks_rule("one source", says);
        }
    }
}

/// A number for all keys and values.
fn content(mirror: &Mirror) -> u64 {
    mirror.iter().fold(EMPTY, |hash, (key, value)| {
        let bytes = key.as_bytes().iter().chain(b"=").chain(value.iter());
        bytes.chain(b";").fold(hash, |hash, byte| mix(hash, *byte))
    })
}
