//! The topics of an activation end with it (W10).
//!
//! Whoever is active next starts from nothing, and publishers publish again, as they do after any
//! restart. What was kept would come back old: entries long deleted, versions that another server
//! has since given to something else.
//!
//! Deliberately absent: why it ended. Invariant: nothing that is still under way for the former
//! topics can change the new ones; calls remember in which life they began.

use super::Node;
use crate::event::Event;
use crate::members::Progress;
use crate::port::{Effect, Outbox};
use crate::time::Now;
use alloc::vec::Vec;
use statestore_wire::Text;

impl Node {
    /// Empties all topics. Who subscribes to them stays.
    pub(super) fn forget_topics(&mut self, now: Now, out: &mut Outbox) {
        self.life += 1;
        for intake in core::mem::take(&mut self.intakes).into_queue() {
            self.abandon(now, intake, out);
        }
        self.expiring.clear();
        self.untold.clear();
        self.uncollected.clear();
        for topic in self.topics.iter_mut() {
            topic.reset();
        }
        for member in self.members.iter_mut() {
            member.follows = None;
            if let Some(slot) = member.grace.take() {
                self.schedule.cancel(slot);
            }
            member.progress.fill_with(Progress::default);
            let registration = &member.registration;
            for (subscription, progress) in registration.topics.iter().zip(&mut member.progress) {
                if let Some(topic) = self.topics.find_mut(&subscription.topic) {
                    topic.mark(registration.key, member.followed, progress);
                }
            }
        }
        let names: Vec<Text> = self.topics.iter().map(|(name, _)| name.clone()).collect();
        for topic in names {
            if self.topics.drop_if_idle(&topic) {
                out.push(Effect::Log(Event::TopicDropped { topic }));
            }
        }
    }
}
