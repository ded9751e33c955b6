//! Two servers, their voters, what is under way, and what must never have happened.
//!
//! Every clock reads the same and always the same: when time passes, everything else moves
//! back (`Pair::canonical`), so that states come back and the search is finite.
//!
//! Deliberately absent: what can happen next (`action`, `step`).

use crate::letter::Letter;
use crate::print::print;
use crate::sabotage::Sabotage;
use crate::scenario::{Faults, MOST, Scenario};
use crate::subscriber::Subscriber;
use crate::ticks::ticks;
use statestore_core::ids::StatestoreId;
use statestore_core::pair::{News, Pair};
use statestore_core::time::Now;
use statestore_wire::Epoch;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A statestored.
#[derive(Debug, Clone)]
pub struct Server {
    /// The machine that ships.
    pub pair: Arc<Pair<u8>>,
    /// Of `pair` as it is settled, which is compared a million times a second.
    print: u64,
    touched: bool,
    /// Counts its processes.
    pub life: u8,
    /// Names this one.
    pub id: StatestoreId,
    /// Who is registered, by the voter's process.
    pub members: [Option<u8>; MOST],
}

impl Server {
    /// Puts another machine in its place.
    pub fn replace(&mut self, pair: Pair<u8>) {
        self.pair = Arc::new(pair);
        self.touched = true;
    }

    fn key(&self) -> (u64, u8, StatestoreId, [Option<u8>; MOST]) {
        (self.print, self.life, self.id, self.members)
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Server {}

impl Hash for Server {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct History {
    /// How many activations there were.
    pub activations: usize,
    /// Their epochs, as far as they could come again.
    pub epochs: BTreeSet<Epoch>,
    /// The newest epoch that anybody ever took: what the calendar reads, where it moves on.
    pub newest: i64,
    /// Two activations had the same epoch.
    pub twins: bool,
    /// A voter followed an epoch down.
    pub down: bool,
    /// A server acted below an epoch that a voter had just told it.
    pub deaf: bool,
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// A and B.
    pub servers: [Server; 2],
    /// The voters, from 1 on for the servers.
    pub voters: [Subscriber; MOST],
    /// What is late.
    pub mail: Vec<Letter>,
    /// What may still go wrong.
    pub faults: Faults,
    /// What has.
    pub history: History,
    /// Ticks that every clock is ahead; none unless they run on.
    pub passed: u64,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            servers,
            voters,
            mail,
            faults,
            history,
            passed,
        } = self;
        state.write_u64(print(&(servers, voters, mail, faults, history, passed)));
    }
}

/// A voter as the servers name it.
pub fn name(voter: usize) -> u8 {
    u8::try_from(voter + 1).unwrap_or(u8::MAX)
}

impl World {
    /// Two servers that have just started, and nobody registered.
    pub fn empty(rules: &Scenario) -> Self {
        let start = |server| Server {
            pair: Arc::new(Pair::new(
                rules.config(server),
                rules.id(server, 0, false),
                rules.now(0, 0).time,
            )),
            life: 0,
            id: rules.id(server, 0, false),
            members: [None; MOST],
            print: 0,
            touched: true,
        };
        let mut world = Self {
            servers: [start(0), start(1)],
            voters: [Subscriber::default(); MOST],
            mail: Vec::new(),
            faults: rules.faults,
            history: History::default(),
            passed: 0,
        };
        world.settle(rules, 0);
        world
    }

    /// What every clock reads.
    pub fn now(&self, rules: &Scenario) -> Now {
        rules.now(self.passed, self.history.newest)
    }

    /// The epoch under which a server may send at this moment (rule 3).
    pub fn acting(&self, rules: &Scenario, server: usize) -> Option<Epoch> {
        let fence = self.servers[server].pair.fence()?;
        let lets = fence.lets(fence.epoch, self.now(rules).time);
        let lets = lets || rules.sabotage == Sabotage::NoFence;
        lets.then_some(fence.epoch)
    }

    /// A way into a server; its news become history.
    pub fn at<R>(&mut self, server: usize, way: impl FnOnce(&mut Pair<u8>) -> R) -> R {
        self.servers[server].touched = true;
        let pair = Arc::make_mut(&mut self.servers[server].pair);
        let result = way(pair);
        for news in pair.take_news() {
            if let News::Active { epoch, .. } = news {
                self.history.activations += 1;
                self.named(epoch);
                self.history.twins |= !self.history.epochs.insert(epoch);
            }
        }
        result
    }

    /// Somebody takes this epoch.
    pub fn named(&mut self, epoch: Epoch) {
        let counter = statestore_core::pair::epoch::counter(epoch);
        self.history.newest = self.history.newest.max(counter);
    }

    /// Time passes, for everybody alike.
    pub fn pass(&mut self, rules: &Scenario, count: u64) {
        for voter in &mut self.voters[..rules.voters] {
            voter.age(rules, count);
        }
        if rules.raw {
            self.passed += count;
            return;
        }
        for letter in &mut self.mail {
            letter.shift(ticks(count));
        }
        self.settle(rules, count);
    }

    /// Voters are alike: they take the names that put them in order. Not while something of them
    /// is under way, which makes the search longer and nothing wrong.
    fn order(&mut self, rules: &Scenario) {
        let key = |voter: usize| {
            let seats = [0, 1].map(|server| {
                let server: &Server = &self.servers[server];
                (server.pair.seat(&name(voter)), server.members[voter])
            });
            print(&(self.voters[voter], seats))
        };
        let keys: Vec<u64> = (0..rules.voters).map(key).collect();
        if keys.is_sorted() {
            return;
        }
        let mut places: Vec<usize> = (0..rules.voters).collect();
        places.sort_by_key(|voter| keys[*voter]);
        let mut names = [0; MOST];
        for (place, voter) in places.iter().enumerate() {
            names[*voter] = name(place);
        }
        let voters = self.voters;
        for (place, voter) in places.iter().enumerate() {
            self.voters[place] = voters[*voter];
        }
        for server in &mut self.servers {
            let members = server.members;
            for (place, voter) in places.iter().enumerate() {
                server.members[place] = members[*voter];
            }
            let pair = Arc::make_mut(&mut server.pair);
            pair.renamed(|id| names[usize::from(*id) - 1]);
            server.print = print(&*pair);
        }
    }

    /// Brings the state to its one form, `count` ticks later.
    pub fn settle(&mut self, rules: &Scenario, count: u64) {
        if !rules.calendar {
            self.history.newest = 0;
        }
        if rules.raw {
            return;
        }
        let now = self.now(rules).time;
        for (i, server) in self.servers.iter_mut().enumerate() {
            if !server.touched && count == 0 {
                continue;
            }
            server.touched = false;
            let hellos = self.mail.iter_mut();
            let mut hellos: Vec<_> = hellos.filter_map(|it| it.hello_of(i)).collect();
            let pair = Arc::make_mut(&mut server.pair);
            pair.canonical(now, ticks(count), &mut hellos);
            server.print = print(&*pair);
        }
        // Below what both have seen neither takes one again, unless it forgets; a claim may be
        // just there.
        if self.faults.restarts == [0, 0] && self.faults.goodbyes == 0 {
            let seen = |server: usize| self.servers[server].pair.highest();
            let both = seen(0).min(seen(1));
            self.history.epochs.retain(|epoch| *epoch >= both);
        }
        if rules.alike && self.mail.is_empty() {
            self.order(rules);
        }
        if self.mail.len() > 1 {
            self.mail.sort_by_cached_key(Letter::key);
        }
    }
}
