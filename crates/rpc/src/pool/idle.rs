//! A pool's bookkeeping: who is idle, who is lent, who has been idle for longest.
//!
//! Deliberately absent: locks, sockets, awaits. Connections leave by return value.

use super::{PoolLimits, Purpose, Usage};
use crate::address::HostPort;
use crate::client::Connection;
use std::collections::{BTreeMap, HashMap};
use tokio::time::Instant;

pub(super) struct State<S> {
    slots: HashMap<HostPort, Slot<S>>,
    /// One entry per idle connection, oldest first.
    ages: BTreeMap<u64, (HostPort, Instant)>,
    next_age: u64,
    counts: BTreeMap<Purpose, Usage>,
}

impl<S> Default for State<S> {
    fn default() -> Self {
        Self {
            slots: HashMap::new(),
            ages: BTreeMap::new(),
            next_age: 0,
            counts: BTreeMap::new(),
        }
    }
}

/// One address; there only while something is idle or lent.
struct Slot<S> {
    idle: Vec<Idle<S>>,
    lent: usize,
    /// Raised by `close`: what was lent before is not taken back.
    epoch: u64,
}

struct Idle<S> {
    age: u64,
    purpose: Purpose,
    connection: Connection<S>,
}

impl<S> State<S> {
    /// Counts a call; its epoch, and an idle connection if there is one.
    pub(super) fn lend(&mut self, to: &HostPort, purpose: Purpose) -> (u64, Option<Connection<S>>) {
        let count = self.counts.entry(purpose).or_default();
        count.in_use += 1;
        count.total += 1;
        let epoch = match self.slots.get_mut(to) {
            Some(slot) => {
                slot.lent += 1;
                slot.epoch
            }
            None => {
                let slot = Slot {
                    idle: Vec::new(),
                    lent: 1,
                    epoch: 0,
                };
                self.slots.insert(to.clone(), slot);
                0
            }
        };
        (epoch, self.another(to, purpose))
    }

    /// The idle connection used last.
    pub(super) fn another(&mut self, to: &HostPort, purpose: Purpose) -> Option<Connection<S>> {
        let slot = self.slots.get_mut(to)?;
        let i = slot.idle.iter().rposition(|idle| idle.purpose == purpose)?;
        let idle = slot.idle.remove(i);
        self.ages.remove(&idle.age);
        self.uncount_idle(purpose);
        Some(idle.connection)
    }

    /// Ends a call, takes its connection back, and returns those to be closed.
    pub(super) fn give_back(
        &mut self,
        to: &HostPort,
        purpose: Purpose,
        epoch: u64,
        kept: Option<Connection<S>>,
        limits: &PoolLimits,
    ) -> Vec<Connection<S>> {
        if let Some(count) = self.counts.get_mut(&purpose) {
            count.in_use -= 1;
            count.total -= 1;
        }
        let mut closed = Vec::new();
        let Some(slot) = self.slots.get_mut(to) else {
            closed.extend(kept);
            return closed;
        };
        slot.lent -= 1;
        let now = Instant::now();
        match kept {
            Some(connection) if slot.epoch == epoch => {
                let age = self.next_age;
                self.next_age += 1;
                slot.idle.push(Idle {
                    age,
                    purpose,
                    connection,
                });
                self.ages.insert(age, (to.clone(), now));
                self.counts.entry(purpose).or_default().total += 1;
            }
            other => {
                closed.extend(other);
                self.forget_if_unused(to);
            }
        }
        self.evict(now, limits, &mut closed);
        closed
    }

    /// What was idle at an address.
    pub(super) fn close(&mut self, to: &HostPort) -> Vec<Connection<S>> {
        let Some(slot) = self.slots.get_mut(to) else {
            return Vec::new();
        };
        slot.epoch += 1;
        let idle = std::mem::take(&mut slot.idle);
        for idle in &idle {
            self.ages.remove(&idle.age);
            self.uncount_idle(idle.purpose);
        }
        self.forget_if_unused(to);
        idle.into_iter().map(|idle| idle.connection).collect()
    }

    pub(super) fn close_all(&mut self) -> Vec<Connection<S>> {
        let mut addresses: Vec<HostPort> = self.slots.keys().cloned().collect();
        addresses.sort_unstable(); // the same order in every run
        addresses.iter().flat_map(|to| self.close(to)).collect()
    }

    pub(super) fn usage(&self, purpose: Purpose) -> Usage {
        self.counts.get(&purpose).copied().unwrap_or_default()
    }

    fn evict(&mut self, now: Instant, limits: &PoolLimits, closed: &mut Vec<Connection<S>>) {
        while let Some((age, (to, since))) = self.ages.first_key_value() {
            if self.ages.len() <= limits.max_idle
                && now.saturating_duration_since(*since) <= limits.max_idle_time
            {
                return;
            }
            let (age, to) = (*age, to.clone());
            self.ages.remove(&age);
            let Some(slot) = self.slots.get_mut(&to) else {
                continue;
            };
            if let Some(i) = slot.idle.iter().position(|idle| idle.age == age) {
                let idle = slot.idle.remove(i);
                self.uncount_idle(idle.purpose);
                closed.push(idle.connection);
            }
            self.forget_if_unused(&to);
        }
    }

    fn uncount_idle(&mut self, purpose: Purpose) {
        if let Some(count) = self.counts.get_mut(&purpose) {
            count.total -= 1;
        }
    }

    fn forget_if_unused(&mut self, to: &HostPort) {
        if let Some(slot) = self.slots.get(to)
            && slot.lent == 0
            && slot.idle.is_empty()
        {
            self.slots.remove(to);
        }
    }
}
