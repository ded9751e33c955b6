//! What can happen to a pair and its subscribers, and how it ends.
//!
//! Deliberately absent: broken bytes and single lost messages; TCP hides the one, and a link that
//! loses anything is a cut one. Clocks that drift and pauses are `world`'s.

use crate::hosts::Kill;
use crate::sight::{Board, SERVERS, SUBSCRIBERS, Server};
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use turmoil::Sim;

/// A message takes between these.
pub(crate) const FASTEST: Duration = Duration::from_millis(3);
pub(crate) const SLOWEST: Duration = Duration::from_millis(12);
/// On a slow link up to this; most take a fifth of it.
const SLOW: Duration = Duration::from_secs(4);

/// One trouble; "its" are those of the one that acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    PairCut,
    ActiveCutOff,
    ActiveHalfCut,
    MemberCutOff,
    ActiveMute,
    ActiveDeaf,
    ActiveHeld,
    ActiveSlow,
    ActiveDies,
    StandbyDies,
    MemberDies,
    ActiveRestarts,
    StandbyRestarts,
    MemberRestarts,
}

/// Each as likely as the others.
const ALL: [Trouble; 14] = [
    Trouble::PairCut,
    Trouble::ActiveCutOff,
    Trouble::ActiveHalfCut,
    Trouble::MemberCutOff,
    Trouble::ActiveMute,
    Trouble::ActiveDeaf,
    Trouble::ActiveHeld,
    Trouble::ActiveSlow,
    Trouble::ActiveDies,
    Trouble::StandbyDies,
    Trouble::MemberDies,
    Trouble::ActiveRestarts,
    Trouble::StandbyRestarts,
    Trouble::MemberRestarts,
];

/// How to kill each machine's process.
pub(crate) type Kills = BTreeMap<&'static str, Kill>;

/// The machines and what is wrong with them.
pub(crate) struct Weather<'a> {
    pub(crate) sim: Sim<'a>,
    board: Board,
    kills: Kills,
    /// Killed in this moment, and whether somebody starts it again.
    dying: BTreeMap<&'static str, bool>,
    down: BTreeSet<&'static str>,
}

impl<'a> Weather<'a> {
    pub(crate) fn new(sim: Sim<'a>, board: Board, kills: Kills) -> Self {
        Self {
            sim,
            board,
            kills,
            dying: BTreeMap::new(),
            down: BTreeSet::new(),
        }
    }

    /// Something happens; what, and to whom.
    pub(crate) fn strikes(&mut self, dice: &mut StdRng) -> (Trouble, String) {
        let acting = self.board.borrow().active();
        let (active, standby) = (SERVERS[acting], SERVERS[1 - acting]);
        let first = dice.random_range(0..SUBSCRIBERS.len());
        let member = SUBSCRIBERS[first];
        let half = [member, SUBSCRIBERS[(first + 1) % SUBSCRIBERS.len()]];
        let trouble = ALL[dice.random_range(0..ALL.len())];
        let others = || SUBSCRIBERS.into_iter().chain([standby]);
        match trouble {
            Trouble::PairCut => self.sim.partition(active, standby),
            Trouble::ActiveCutOff => others().for_each(|it| self.sim.partition(active, it)),
            Trouble::ActiveHalfCut => {
                self.sim.partition(active, standby);
                half.iter().for_each(|it| self.sim.partition(active, *it));
            }
            Trouble::MemberCutOff => {
                SERVERS
                    .iter()
                    .for_each(|it| self.sim.partition(*it, member));
            }
            Trouble::ActiveMute => others().for_each(|it| self.sim.partition_oneway(active, it)),
            Trouble::ActiveDeaf => others().for_each(|it| self.sim.partition_oneway(it, active)),
            Trouble::ActiveHeld => {
                self.sim.hold(active, standby);
                half.iter().for_each(|it| self.sim.hold(active, *it));
            }
            Trouble::ActiveSlow => others().for_each(|it| self.latency(active, it, SLOW)),
            Trouble::ActiveDies => self.dies(active),
            Trouble::StandbyDies => self.dies(standby),
            Trouble::MemberDies => self.dies(member),
            Trouble::ActiveRestarts => self.restarts(active),
            Trouble::StandbyRestarts => self.restarts(standby),
            Trouble::MemberRestarts => self.restarts(member),
        }
        let text = format!("{trouble:?} (active {active}, subscribers {half:?})");
        (trouble, text)
    }

    /// From now on nothing is in the way. What was held arrives, what was cut is lost.
    pub(crate) fn clears(&mut self) {
        let all: Vec<&str> = SERVERS.into_iter().chain(SUBSCRIBERS).collect();
        for (i, one) in all.iter().enumerate() {
            for other in &all[i + 1..] {
                self.sim.repair(*one, *other);
                self.sim.release(*one, *other);
                self.latency(one, other, SLOWEST);
            }
        }
        while let Some(name) = self.down.pop_first() {
            self.sim.bounce(name);
        }
    }

    fn latency(&self, one: &str, other: &str, most: Duration) {
        self.sim.set_link_max_message_latency(one, other, most);
    }

    fn dies(&mut self, name: &'static str) {
        self.kill(name, false);
    }

    fn restarts(&mut self, name: &'static str) {
        self.kill(name, true);
    }

    fn kill(&mut self, name: &'static str, again: bool) {
        // Who is dead already hears nothing, and must not find it when it lives again.
        if !self.down.contains(name) {
            self.kills[name].notify_one();
        }
        self.dying.insert(name, again);
    }

    /// A tick after they were killed: nothing is left of them.
    pub(crate) fn buries(&mut self) {
        while let Some((name, again)) = self.dying.pop_first() {
            self.sim.crash(name);
            if let Some(index) = SERVERS.iter().position(|it| *it == name) {
                self.board.borrow_mut().server(index, Server::default());
            }
            if again {
                self.down.remove(name);
                self.sim.bounce(name);
            } else {
                self.down.insert(name);
            }
        }
    }
}
