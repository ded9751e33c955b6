//! A pool's bookkeeping: who is idle, who is lent, who has been idle for longest.
//!
//! ```text
//!   places: address and purpose -> slot     slot: its idle connections, used last at the end
//!   ages:   slot -> since when its first one is idle, walked by a hand
//! ```
//!
//! With thousands of addresses each call finds none of this in a cache, so what it needs stands
//! close together, and nothing is ordered by age: the hand looks at a few slots for each call that
//! ends, and closes the oldest of some of them where there are too many. Who calls again and again
//! remembers the slot as a [`Place`], and does not look the address up.
//!
//! Deliberately absent: locks, sockets, awaits. Connections leave by return value.
//!
//! Invariant: a slot is there while something of it is idle or lent, so that a [`Ticket`]'s is
//! its own; `ages` has an age for exactly the slots that have something idle.

use super::{PoolLimits, Purpose, Usage};
use crate::client::Connection;
use crate::net::Stream;
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;
use statestore_wire::HostPort;
use std::hash::{BuildHasher, RandomState};
use tokio::time::Instant;

mod fetch;

/// Idle connections of one slot that need no memory of their own.
const FEW: usize = 1;
/// Slots that are looked at for too old connections when a call ends.
const LOOKS: usize = 2;
/// Slots of which the oldest connection goes where there are too many: all, or so many.
const SAMPLE: usize = 64;
/// Slots that are looked at for these.
const SEARCH: usize = 1_024;
/// So many are closed at most when a call begins or ends: each is a system call.
const CLOSES: usize = 4;

/// Where a pool keeps the connections of one address and purpose, as long as it has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    slot: u32,
    /// Of the slot; 0 is none's.
    number: u64,
}

pub(super) struct State<S> {
    places: HashTable<usize>,
    hasher: RandomState,
    slots: Slab<Slot<S>>,
    /// Of the last slot that was opened.
    number: u64,
    ages: Vec<Option<Instant>>,
    hand: usize,
    /// Idle connections of all slots.
    idle: usize,
    /// Calls that were not given back.
    lent: usize,
    /// A few; a purpose is its place here.
    counts: Vec<(Purpose, Usage)>,
}

impl<S> Default for State<S> {
    fn default() -> Self {
        Self {
            places: HashTable::new(),
            hasher: RandomState::new(),
            slots: Slab::new(),
            number: 0,
            ages: Vec::new(),
            hand: 0,
            idle: 0,
            lent: 0,
            counts: Vec::new(),
        }
    }
}

/// One address and purpose.
struct Slot<S> {
    /// Never used again.
    number: u64,
    lent: u32,
    /// Raised by `close`: what was lent before is not taken back.
    epoch: u32,
    idle: SmallVec<[Idle<S>; FEW]>,
    purpose: usize,
    to: HostPort,
}

struct Idle<S> {
    since: Instant,
    connection: Connection<S>,
}

/// A call that was counted; to be [given back](State::give_back) once.
pub(super) struct Ticket {
    slot: usize,
    purpose: usize,
    epoch: u32,
}

impl Place {
    pub(super) fn slot(self) -> usize {
        self.slot as usize
    }
}

impl Ticket {
    pub(super) fn slot(&self) -> usize {
        self.slot
    }
}

impl<S: Stream> State<S> {
    /// Counts a call, and lends it an idle connection if there is one. If not, it will open one:
    /// others may have to be closed for that.
    pub(super) fn lend(
        &mut self,
        to: &HostPort,
        purpose: Purpose,
        limits: &PoolLimits,
    ) -> (Ticket, Option<Connection<S>>, Vec<Connection<S>>) {
        let purpose = self.place_of(purpose);
        let place = self.find(to, purpose);
        let place = place.unwrap_or_else(|| self.open_slot(to, purpose));
        let ticket = self.count(place);
        let idle = self.another(&ticket);
        let mut closed = Vec::new();
        if idle.is_none() {
            self.close_too_many(limits, &mut closed);
        }
        (ticket, idle, closed)
    }

    /// The same where there is an idle connection in this place; if not, nothing is counted.
    pub(super) fn lend_at(&mut self, place: Place) -> Option<(Ticket, Connection<S>)> {
        let slot = self.slots.get(place.slot as usize)?;
        if slot.number != place.number || slot.idle.is_empty() {
            return None;
        }
        let ticket = self.count(place.slot as usize);
        let idle = self.another(&ticket)?;
        Some((ticket, idle))
    }

    /// Where connections to this address are, if there are any.
    pub(super) fn place(&mut self, to: &HostPort, purpose: Purpose) -> Option<Place> {
        let purpose = self.place_of(purpose);
        let slot = self.find(to, purpose)?;
        Some(Place {
            slot: slot as u32,
            number: self.slots[slot].number,
        })
    }

    fn count(&mut self, place: usize) -> Ticket {
        let slot = &mut self.slots[place];
        slot.lent += 1;
        self.lent += 1;
        let count = &mut self.counts[slot.purpose].1;
        count.in_use += 1;
        count.total += 1;
        Ticket {
            slot: place,
            purpose: slot.purpose,
            epoch: slot.epoch,
        }
    }

    /// The idle connection used last.
    pub(super) fn another(&mut self, ticket: &Ticket) -> Option<Connection<S>> {
        let slot = &mut self.slots[ticket.slot];
        let idle = slot.idle.pop()?;
        self.ages[ticket.slot] = slot.age();
        self.leaves(ticket.purpose);
        Some(idle.connection)
    }

    /// Ends a call, takes its connection back, and returns those to be closed.
    pub(super) fn give_back(
        &mut self,
        now: Instant,
        ticket: Ticket,
        kept: Option<Connection<S>>,
        limits: &PoolLimits,
    ) -> Vec<Connection<S>> {
        let count = &mut self.counts[ticket.purpose].1;
        count.in_use -= 1;
        count.total -= 1;
        self.lent -= 1;
        let mut closed = Vec::new();
        let room = self.room(limits);
        let slot = &mut self.slots[ticket.slot];
        slot.lent -= 1;
        match kept {
            Some(connection) if slot.epoch == ticket.epoch && room > 0 => {
                slot.idle.push(Idle {
                    since: now,
                    connection,
                });
                self.ages[ticket.slot] = slot.age();
                self.idle += 1;
                self.counts[ticket.purpose].1.total += 1;
            }
            other => closed.extend(other),
        }
        self.forget_if_unused(ticket.slot);
        self.evict(now, limits, &mut closed);
        closed
    }

    /// What was idle at an address.
    pub(super) fn close(&mut self, to: &HostPort) -> Vec<Connection<S>> {
        let purposes = 0..self.counts.len();
        let places: Vec<usize> = purposes.filter_map(|it| self.find(to, it)).collect();
        let closed = places.into_iter().map(|place| self.close_slot(place));
        closed.flatten().collect()
    }

    pub(super) fn close_all(&mut self) -> Vec<Connection<S>> {
        let places: Vec<usize> = self.slots.iter().map(|(place, _)| place).collect();
        let closed = places.into_iter().map(|place| self.close_slot(place));
        closed.flatten().collect()
    }

    fn close_slot(&mut self, place: usize) -> Vec<Connection<S>> {
        self.slots[place].epoch += 1;
        let mut closed = Vec::new();
        self.close_first(place, |_| true, &mut closed);
        closed
    }

    pub(super) fn usage(&self, purpose: Purpose) -> Usage {
        let count = self.counts.iter().find(|(of, _)| *of == purpose);
        count.map(|(_, usage)| *usage).unwrap_or_default()
    }

    fn place_of(&mut self, purpose: Purpose) -> usize {
        let place = self.counts.iter().position(|(of, _)| *of == purpose);
        place.unwrap_or_else(|| {
            self.counts.push((purpose, Usage::default()));
            self.counts.len() - 1
        })
    }

    fn find(&self, to: &HostPort, purpose: usize) -> Option<usize> {
        let same = |place: &usize| {
            let slot = &self.slots[*place];
            slot.purpose == purpose && slot.to == *to
        };
        let place = self.places.find(self.hasher.hash_one((to, purpose)), same);
        place.copied()
    }

    fn open_slot(&mut self, to: &HostPort, purpose: usize) -> usize {
        self.number += 1;
        let place = self.slots.insert(Slot {
            number: self.number,
            lent: 0,
            epoch: 0,
            idle: SmallVec::new(),
            purpose,
            to: to.clone(),
        });
        if place == self.ages.len() {
            self.ages.push(None);
        }
        let hash = |place: &usize| {
            let slot = &self.slots[*place];
            self.hasher.hash_one((&slot.to, slot.purpose))
        };
        self.places.insert_unique(hash(&place), place, hash);
        place
    }

    /// Closes those of a slot that have been idle for longest, as long as `goes` says so.
    fn close_first(
        &mut self,
        place: usize,
        mut goes: impl FnMut(&Idle<S>) -> bool,
        closed: &mut Vec<Connection<S>>,
    ) {
        let slot = &mut self.slots[place];
        let kept = slot.idle.iter().position(|idle| !goes(idle));
        let gone = kept.unwrap_or(slot.idle.len());
        let gone: SmallVec<[Idle<S>; FEW]> = slot.idle.drain(..gone).collect();
        self.ages[place] = slot.age();
        let purpose = slot.purpose;
        for idle in gone {
            self.leaves(purpose);
            closed.push(idle.connection);
        }
        self.forget_if_unused(place);
    }

    /// One is not idle any more.
    fn leaves(&mut self, purpose: usize) {
        self.idle -= 1;
        self.counts[purpose].1.total -= 1;
    }

    fn evict(&mut self, now: Instant, limits: &PoolLimits, closed: &mut Vec<Connection<S>>) {
        let oldest = now.checked_sub(limits.max_idle_time);
        let old = |since: Instant| oldest.is_some_and(|oldest| since < oldest);
        for _ in 0..LOOKS.min(self.ages.len()) {
            let place = self.next();
            if self.ages[place].is_some_and(old) {
                self.close_first(place, |idle| old(idle.since), closed);
            }
        }
        self.close_too_many(limits, closed);
    }

    /// How many may be idle.
    fn room(&self, limits: &PoolLimits) -> usize {
        let taken = self.lent + limits.beside.get();
        limits.max_open.saturating_sub(taken)
    }

    /// Closes those idle for longest, as far as that is soon done; what is left goes with the
    /// next calls.
    fn close_too_many(&mut self, limits: &PoolLimits, closed: &mut Vec<Connection<S>>) {
        let room = self.room(limits);
        for _ in 0..CLOSES.min(self.idle.saturating_sub(room)) {
            let Some(place) = self.oldest() else {
                return;
            };
            let mut first = true;
            self.close_first(place, |_| std::mem::take(&mut first), closed);
        }
    }

    /// The hand goes on.
    fn next(&mut self) -> usize {
        self.hand = (self.hand + 1) % self.ages.len().max(1);
        self.hand
    }

    /// Of the next slots that have something idle, the one where it has been so for longest.
    fn oldest(&mut self) -> Option<usize> {
        let (mut found, mut oldest) = (0, None);
        for _ in 0..SEARCH.min(self.ages.len()) {
            let place = self.next();
            let Some(age) = self.ages[place] else {
                continue;
            };
            found += 1;
            oldest = oldest.into_iter().chain([(age, place)]).min();
            if found == SAMPLE {
                break;
            }
        }
        oldest.map(|(_, place)| place)
    }

    fn forget_if_unused(&mut self, place: usize) {
        let slot = &self.slots[place];
        if slot.lent > 0 || !slot.idle.is_empty() {
            return;
        }
        let hash = self.hasher.hash_one((&slot.to, slot.purpose));
        if let Ok(entry) = self.places.find_entry(hash, |it| *it == place) {
            entry.remove();
        }
        self.slots.remove(place);
    }
}

impl<S> Slot<S> {
    /// Since when its first connection is idle.
    fn age(&self) -> Option<Instant> {
        self.idle.first().map(|idle| idle.since)
    }
}

#[cfg(test)]
mod tests;
