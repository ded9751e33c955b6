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
use crate::lanes::Rhythm;
use crate::members::{Member, rhythm_of};
use crate::port::Lane;
use crate::schedule::Task;
use crate::time::Time;
use alloc::sync::Arc;
use core::hint::black_box;

/// Whose lines are fetched together.
pub const AHEAD: usize = 16;

/// A member, and the lane that its task or call is of.
type Turn<'a> = (&'a Member, Lane);

impl Node {
    /// What the next tasks are about; after [`AHEAD`] of them it is to be called again.
    pub(super) fn fetch_due(&self, now: Time) {
        fetch(self.schedule.due(now, self.work.upto()).map(|task| {
            let Task::Send(key, lane) = task else {
                return None;
            };
            Some((self.members.find(key)?, lane))
        }));
    }

    /// These calls, [`AHEAD`] of them at most, end soon: what they are about is fetched. It has no
    /// other effect.
    pub fn fetch(&self, calls: impl IntoIterator<Item = CallId>) {
        let calls = calls.into_iter().map(|call| match self.calls.find(call) {
            Some(Underway::ToMember(call, _)) => Some(call),
            _ => None,
        });
        let (pending, many) = gather(calls);
        fetch(pending[..many].iter().map(|call| {
            let call = (*call)?;
            Some((self.members.find(call.registration.key)?, call.lane))
        }));
    }
}

/// The first [`AHEAD`] of these, and how many there are.
fn gather<T: Copy>(these: impl Iterator<Item = Option<T>>) -> ([Option<T>; AHEAD], usize) {
    let mut first = [None; AHEAD];
    let mut many = 0;
    for (free, one) in first.iter_mut().zip(these) {
        *free = one;
        many += 1;
    }
    (first, many)
}

/// Looks at a value of each line that the first [`AHEAD`] of these touch: at first those that are
/// found by a member, then those that are found by these. Topics are looked at for updates only.
fn fetch<'a>(turns: impl Iterator<Item = Option<Turn<'a>>>) {
    let (members, many) = gather(turns);
    let all = members[..many].iter().flatten();
    let updates = all.clone().filter(|(_, lane)| *lane != Lane::Heartbeat);
    let mut seen = 0;
    for (member, lane) in all.clone() {
        let rhythm = rhythm_of(*lane).map(|rhythm| &member.rhythms[rhythm]);
        seen += usize::from(rhythm.is_some_and(Rhythm::is_calling)) + member.progress.len();
        seen += usize::from(member.followed) + usize::from(member.astray.is_suspected());
        seen += match lane {
            Lane::Heartbeat => member.pulse.missed() as usize,
            _ => 0,
        };
    }
    for (member, _) in all.clone() {
        let registration = &member.registration;
        seen += Arc::strong_count(registration) + registration.id.len();
        seen += registration.topics.len() + usize::from(registration.publishes);
    }
    for (member, _) in updates.clone() {
        for progress in &member.progress {
            seen += usize::from(progress.sending.is_some());
            seen += usize::from(progress.ready.is_some()) + usize::from(progress.anew);
        }
    }
    for (member, _) in all {
        let receiver = &member.registration.receiver;
        seen += Arc::strong_count(receiver) + usize::from(receiver.host.is_ok());
    }
    for (member, _) in updates.clone() {
        for subscription in &member.registration.topics {
            seen += subscription.topic.len() + usize::from(subscription.transient);
        }
    }
    for (member, lane) in updates {
        let topics = member.registration.topics.iter();
        for subscription in topics.filter(|it| it.lane == *lane) {
            let first = subscription.topic.as_bytes().first();
            seen += first.copied().map_or(0, usize::from);
        }
    }
    black_box(seen);
}
