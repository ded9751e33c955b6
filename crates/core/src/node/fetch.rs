//! What is going to be looked at is fetched together.
//!
//! With thousands of subscribers nothing of one is in a cache when its turn comes, and each look
//! at another line of it waits for memory. Looks that do not depend on one another wait at the
//! same time, so the lines of many are looked at before the first of them has its turn.
//!
//! Deliberately absent: any effect. Taking all calls of this out changes nothing but speed.
//!
//! Invariant: what is fetched is a few dozen lines for each of [`AHEAD`], which is less than what
//! a core's own cache holds.

use super::Node;
use super::calls::Underway;
use crate::ids::CallId;
use crate::members::Member;
use crate::schedule::Task;
use crate::time::Time;
use alloc::sync::Arc;
use core::array;
use core::hint::black_box;

/// Whose lines are fetched together.
pub const AHEAD: usize = 16;

type Batch<'a> = [Option<&'a Member>; AHEAD];

impl Node {
    /// What the next tasks are about; after [`AHEAD`] of them it is to be called again.
    pub(super) fn fetch_due(&self, now: Time) {
        let mut due = self.schedule.due(now).take(AHEAD);
        fetch(array::from_fn(|_| match due.next() {
            Some(Task::Send(key, _)) => self.members.find(key),
            _ => None,
        }));
    }

    /// These calls end soon: what they are about is fetched. It has no other effect.
    pub fn fetch(&self, calls: impl IntoIterator<Item = CallId>) {
        let mut calls = calls.into_iter();
        while let Some(first) = calls.next() {
            let mut calls = core::iter::once(first).chain(&mut calls);
            let pending: [_; AHEAD] = array::from_fn(|_| match self.calls.find(calls.next()?) {
                Some(Underway::ToMember(pending, _)) => Some(pending),
                _ => None,
            });
            fetch(pending.map(|it| self.members.find(it?.registration.key)));
        }
    }
}

/// Looks at a value of each line that a call touches: at first those that are found by a member,
/// then those that are found by these.
fn fetch(members: Batch<'_>) {
    let members = members.iter().flatten();
    let mut seen = 0;
    for member in members.clone() {
        let calling = member.rhythms.iter().filter(|it| it.is_calling());
        seen += calling.count() + member.pulse.missed() as usize + member.progress.len();
        seen += usize::from(member.followed) + usize::from(member.astray.is_suspected());
    }
    for member in members.clone() {
        let registration = &member.registration;
        seen += Arc::strong_count(registration) + registration.id.len();
        seen += registration.topics.len() + usize::from(registration.publishes);
        for progress in &member.progress {
            seen += usize::from(progress.sending.is_some());
            seen += usize::from(progress.ready.is_some()) + usize::from(progress.anew);
        }
    }
    for member in members.clone() {
        let receiver = &member.registration.receiver;
        seen += Arc::strong_count(receiver) + usize::from(receiver.host.is_ok());
        for subscription in &member.registration.topics {
            seen += subscription.topic.len() + usize::from(subscription.transient);
        }
    }
    for member in members {
        for subscription in &member.registration.topics {
            let first = subscription.topic.as_bytes().first();
            seen += first.copied().map_or(0, usize::from);
        }
    }
    black_box(seen);
}
