//! All topics: each a log, and who is how far with it.
//!
//! A topic appears with the first registration that names it (T-1) and goes when nobody
//! subscribes to it and no entry lives in it (W12). Its counter goes with it, and may: versions
//! mean something only to registrations and to pending calls of theirs, and a registration that
//! subscribes later starts from nothing and is sent the whole topic, whatever it remembers.
//!
//! Deliberately absent: what happens when.

use super::audience::Audiences;
use crate::members::{MemberKey, Progress, Subscription};
use crate::port::Lane;
use crate::time::Time;
use crate::topic::{Delta, Looks, Reach, TopicLog, Version};
use alloc::collections::BTreeMap;
use core::time::Duration;
use statestore_wire::Text;

/// Who has not asked for so long will not ask again for what is being put together for it.
const GIVEN_UP: Duration = Duration::from_millis(50);

/// A topic and its subscribers.
pub(super) struct Topic {
    pub(super) log: TopicLog,
    pub(super) lane: Lane,
    /// Only a part of a publication is written: not to be sent.
    pub(super) open: bool,
    /// Expiries that are not through. They name versions of this log, so it has to stay.
    pub(super) expiring: usize,
    /// How many of its subscribers want to know how far everybody is (T-10).
    pub(super) wanting_min: usize,
    /// Nobody did, so those who are polled seldom are to be polled again.
    pub(super) polled_anew: bool,
    /// Everybody who subscribes to it.
    pub(super) audiences: Audiences,
    /// Until then changes wait, so that they are made known together.
    pub(super) quiet_until: Time,
    /// Some do, and are looked at then.
    pub(super) untold: Option<Time>,
    /// What each subscriber that counts has processed (T-10).
    pub(super) reach: Reach<MemberKey>,
    /// Whose large delta is being put together, and when it was asked for last. Set as long as
    /// the log has any, so that there is somebody to give it up.
    asking: Option<(MemberKey, Time)>,
    /// From where each of these may ask for a delta: tombstones above have to stay.
    holds: Reach<MemberKey>,
}

impl Topic {
    /// Takes over how far a subscriber is; `counts` is false for one that gets no updates.
    pub(super) fn mark(&mut self, key: MemberKey, counts: bool, progress: &mut Progress) {
        if !counts {
            progress.marked = None;
            self.reach.remove(key);
            self.holds.remove(key);
            self.give_up(key);
            return;
        }
        // Who is being sent the whole topic will ask for a delta from there.
        let whole = progress.sending.unwrap_or(Version::ZERO);
        let hold = if progress.reached > Version::ZERO {
            progress.reached
        } else {
            whole
        };
        // Most messages change neither.
        if progress.marked.replace((progress.reached, hold)) != Some((progress.reached, hold)) {
            self.reach.set(key, progress.reached);
            self.holds.set(key, hold);
        }
    }

    /// Nothing is in it, and nothing on its way into it (W10).
    pub(super) fn reset(&mut self) {
        self.log.clear();
        self.open = false;
        self.expiring = 0;
        self.untold = None;
        self.asking = None;
    }

    /// Somebody has to hear of it, whatever for.
    pub(super) fn has_to_tell(&self) -> bool {
        self.polled_anew || self.audiences.have_news()
    }

    pub(super) fn unsubscribe(&mut self, key: MemberKey, subscription: &Subscription) {
        self.audiences.leave(&subscription.prefix, key);
        self.wanting_min -= usize::from(subscription.wants_min);
        self.reach.remove(key);
        self.holds.remove(key);
        self.give_up(key);
    }

    /// This subscriber will not ask any more: what is put together for it would stay, and with it
    /// what is rewritten meanwhile.
    fn give_up(&mut self, key: MemberKey) {
        if self.works_for(key) {
            self.asking = None;
            self.log.give_up();
        }
    }

    /// T-10.
    pub(super) fn lowest(&self) -> Version {
        self.reach
            .lowest()
            .map_or(Version::ZERO, |(lowest, _)| lowest)
    }

    /// What a subscriber lacks, if it is there: a large delta takes several steps, and one is put
    /// together at a time.
    pub(super) fn lacking(
        &mut self,
        now: Time,
        asker: (MemberKey, &Text),
        since: Version,
        looks: &mut Looks,
    ) -> Option<Delta> {
        let (asker, prefix) = asker;
        let others = |(who, at): (MemberKey, Time)| who != asker && now.since(at) < GIVEN_UP;
        let may_begin = !self.asking.is_some_and(others);
        let delta = self
            .log
            .delta_within(since, prefix.as_bytes(), looks, may_begin);
        match &delta {
            None if may_begin => self.asking = Some((asker, now)),
            None => {}
            // What is put together for another stays that one's, however long it has not asked.
            Some(_) => self.give_up(asker),
        }
        delta
    }

    /// True if what this subscriber lacks is being put together.
    pub(super) fn works_for(&self, asker: MemberKey) -> bool {
        self.asking.is_some_and(|(who, _)| who == asker)
    }

    /// Lets tombstones go that everybody has seen (W12), as many as `most`, which is counted
    /// down. True if there are more.
    pub(super) fn collect(&mut self, most: &mut usize) -> bool {
        let floor = self.holds.lowest_above_zero();
        let floor = floor.map_or(self.log.last(), |(floor, _)| floor);
        self.log.collect_within(floor, most)
    }
}

impl core::fmt::Debug for Topic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Topic")
            .field("last", &self.log.last())
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Topics {
    by_name: BTreeMap<Text, Topic>,
    hash_seed: u64,
}

impl Topics {
    pub(super) fn new(hash_seed: u64) -> Self {
        Self {
            by_name: BTreeMap::new(),
            hash_seed,
        }
    }

    /// The topic, created if need be. The flag says so.
    pub(super) fn ensure(&mut self, name: &Text, lane: Lane) -> (&mut Topic, bool) {
        let mut created = false;
        let hash_seed = self.hash_seed;
        let topic = self.by_name.entry(name.clone()).or_insert_with(|| {
            created = true;
            Topic {
                log: TopicLog::new(hash_seed),
                lane,
                open: false,
                expiring: 0,
                wanting_min: 0,
                polled_anew: false,
                audiences: Audiences::default(),
                quiet_until: Time::ZERO,
                untold: None,
                reach: Reach::new(),
                asking: None,
                holds: Reach::new(),
            }
        });
        (topic, created)
    }

    pub(super) fn find(&self, name: &Text) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(super) fn find_mut(&mut self, name: &Text) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    /// Drops the topic if nobody subscribes to it and nothing lives in it (W12).
    pub(super) fn drop_if_idle(&mut self, name: &Text) -> bool {
        let busy = |t: &Topic| t.open || t.expiring > 0;
        let idle = |t: &Topic| !busy(t) && t.audiences.is_empty() && t.log.sizes().entries == 0;
        self.find(name).is_some_and(idle) && self.by_name.remove(name).is_some()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Topic> {
        self.by_name.values_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Text, &Topic)> {
        self.by_name.iter()
    }
}
