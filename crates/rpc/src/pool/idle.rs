//! A pool's bookkeeping: who is idle, who is lent, who has been idle for longest.
//!
//! ```text
//!   places: address -> slot     slot: its idle connections, used last at the end
//!   idle: oldest <-> .. <-> newest, over all slots, so that the oldest is found at once
//! ```
//!
//! A call looks its address up once, when it begins. Deliberately absent: locks, sockets, awaits.
//! Connections leave by return value.
//!
//! Invariant: a slot is there while something of it is idle or lent, so that a [`Ticket`]'s is
//! its own; each idle connection is in its slot's list and in the chain by age, or in neither.

use super::{PoolLimits, Purpose, Usage};
use crate::client::Connection;
use slab::Slab;
use statestore_wire::HostPort;
use std::collections::HashMap;
use tokio::time::Instant;

pub(super) struct State<S> {
    places: HashMap<HostPort, usize>,
    slots: Slab<Slot>,
    idle: Slab<Idle<S>>,
    oldest: Option<usize>,
    newest: Option<usize>,
    /// Calls that were not given back.
    lent: usize,
    /// A few; a purpose is its place here.
    counts: Vec<(Purpose, Usage)>,
}

impl<S> Default for State<S> {
    fn default() -> Self {
        Self {
            places: HashMap::new(),
            slots: Slab::new(),
            idle: Slab::new(),
            oldest: None,
            newest: None,
            lent: 0,
            counts: Vec::new(),
        }
    }
}

/// One address.
struct Slot {
    to: HostPort,
    idle: Vec<usize>,
    lent: usize,
    /// Raised by `close`: what was lent before is not taken back.
    epoch: u64,
}

struct Idle<S> {
    slot: usize,
    purpose: usize,
    since: Instant,
    older: Option<usize>,
    newer: Option<usize>,
    connection: Box<Connection<S>>,
}

/// A call that was counted; to be [given back](State::give_back) once.
pub(super) struct Ticket {
    slot: usize,
    purpose: usize,
    epoch: u64,
}

impl<S> State<S> {
    /// Counts a call, and lends it an idle connection if there is one.
    pub(super) fn lend(
        &mut self,
        to: &HostPort,
        purpose: Purpose,
    ) -> (Ticket, Option<Box<Connection<S>>>) {
        let purpose = self.place_of(purpose);
        let count = &mut self.counts[purpose].1;
        count.in_use += 1;
        count.total += 1;
        let slot = match self.places.get(to) {
            Some(slot) => *slot,
            None => self.open_slot(to),
        };
        self.slots[slot].lent += 1;
        self.lent += 1;
        let ticket = Ticket {
            slot,
            purpose,
            epoch: self.slots[slot].epoch,
        };
        let idle = self.another(&ticket);
        (ticket, idle)
    }

    /// The idle connection used last.
    pub(super) fn another(&mut self, ticket: &Ticket) -> Option<Box<Connection<S>>> {
        let all = &mut self.slots[ticket.slot].idle;
        let same = |idle: &usize| self.idle[*idle].purpose == ticket.purpose;
        let i = all.iter().rposition(same)?;
        let idle = all.remove(i);
        Some(self.take(idle))
    }

    /// Ends a call, takes its connection back, and returns those to be closed.
    pub(super) fn give_back(
        &mut self,
        ticket: Ticket,
        kept: Option<Box<Connection<S>>>,
        limits: &PoolLimits,
    ) -> Vec<Box<Connection<S>>> {
        let count = &mut self.counts[ticket.purpose].1;
        count.in_use -= 1;
        count.total -= 1;
        let slot = &mut self.slots[ticket.slot];
        slot.lent -= 1;
        self.lent -= 1;
        let now = Instant::now();
        let mut closed = Vec::new();
        match kept {
            Some(connection) if slot.epoch == ticket.epoch => self.keep(&ticket, connection, now),
            other => closed.extend(other),
        }
        self.forget_if_unused(ticket.slot);
        self.evict(now, limits, &mut closed);
        closed
    }

    /// What was idle at an address.
    pub(super) fn close(&mut self, to: &HostPort) -> Vec<Box<Connection<S>>> {
        let Some(&place) = self.places.get(to) else {
            return Vec::new();
        };
        let slot = &mut self.slots[place];
        slot.epoch += 1;
        let idle = std::mem::take(&mut slot.idle);
        let closed = idle.into_iter().map(|idle| self.take(idle)).collect();
        self.forget_if_unused(place);
        closed
    }

    pub(super) fn close_all(&mut self) -> Vec<Box<Connection<S>>> {
        let mut addresses: Vec<HostPort> = self.places.keys().cloned().collect();
        addresses.sort_unstable(); // the same order in every run
        addresses.iter().flat_map(|to| self.close(to)).collect()
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

    fn open_slot(&mut self, to: &HostPort) -> usize {
        let slot = self.slots.insert(Slot {
            to: to.clone(),
            idle: Vec::new(),
            lent: 0,
            epoch: 0,
        });
        self.places.insert(to.clone(), slot);
        slot
    }

    fn keep(&mut self, ticket: &Ticket, connection: Box<Connection<S>>, since: Instant) {
        let older = self.newest;
        let place = self.idle.insert(Idle {
            slot: ticket.slot,
            purpose: ticket.purpose,
            since,
            older,
            newer: None,
            connection,
        });
        match older {
            Some(older) => self.idle[older].newer = Some(place),
            None => self.oldest = Some(place),
        }
        self.newest = Some(place);
        self.slots[ticket.slot].idle.push(place);
        self.counts[ticket.purpose].1.total += 1;
    }

    /// Out of the chain and the count; whoever calls takes it out of its slot.
    fn take(&mut self, place: usize) -> Box<Connection<S>> {
        let idle = self.idle.remove(place);
        match idle.older {
            Some(older) => self.idle[older].newer = idle.newer,
            None => self.oldest = idle.newer,
        }
        match idle.newer {
            Some(newer) => self.idle[newer].older = idle.older,
            None => self.newest = idle.older,
        }
        self.counts[idle.purpose].1.total -= 1;
        idle.connection
    }

    fn evict(&mut self, now: Instant, limits: &PoolLimits, closed: &mut Vec<Box<Connection<S>>>) {
        while let Some(place) = self.oldest {
            let Idle { slot, since, .. } = self.idle[place];
            if self.idle.len() + self.lent + limits.beside.get() <= limits.max_open
                && now.saturating_duration_since(since) <= limits.max_idle_time
            {
                return;
            }
            self.slots[slot].idle.retain(|idle| *idle != place);
            closed.push(self.take(place));
            self.forget_if_unused(slot);
        }
    }

    fn forget_if_unused(&mut self, place: usize) {
        let slot = &self.slots[place];
        if slot.lent == 0 && slot.idle.is_empty() {
            let slot = self.slots.remove(place);
            self.places.remove(&slot.to);
        }
    }
}
