//! What follows from an action.
//!
//! Deliberately absent: messages; `exchange` has them. An action that is impossible, or changes
//! nothing, is none.

use crate::action::{Action, Fate};
use crate::letter::{Letter, Request};
use crate::sabotage::Sabotage;
use crate::scenario::Scenario;
use crate::world::{World, name};
use statestore_core::pair::Pair;
use statestore_core::time::Time;

/// The state after an action.
pub fn step(rules: &Scenario, before: &World, action: Action) -> Option<World> {
    let mut world = before.clone();
    world.apply(rules, action)?;
    (world != *before).then_some(world)
}

/// The states that a search begins with.
pub fn start(rules: &Scenario) -> World {
    let mut world = World::empty(rules);
    let mut all = Vec::new();
    for voter in 0..rules.agreed.max(rules.registered) {
        all.extend([Action::Register(voter, 0), Action::Register(voter, 1)]);
    }
    if rules.agreed > 0 {
        all.extend(agreement(rules));
    }
    for action in all {
        let _ = world.act(rules, action);
    }
    world.settle(rules, 0);
    world
}

/// A has become active, B stands by, everybody has heard both.
fn agreement(rules: &Scenario) -> Vec<Action> {
    let mut all = vec![Action::Hello(0, Fate::Answered)];
    all.extend([Action::Beat(0, Fate::Answered); 2]);
    for server in 0..2 {
        for voter in 0..rules.agreed {
            if !rules.ours && server == 0 {
                all.push(Action::Role(0, voter));
            }
            all.push(Action::Heartbeat(server, voter, Fate::Answered));
            if !rules.ours && server == 0 {
                all.push(Action::Update(0, voter, Fate::Answered));
            }
        }
    }
    all
}

impl World {
    /// An action, here and now; none if it is impossible.
    pub fn apply(&mut self, rules: &Scenario, action: Action) -> Option<()> {
        self.act(rules, action)?;
        self.settle(rules, 0);
        Some(())
    }

    fn act(&mut self, rules: &Scenario, action: Action) -> Option<()> {
        let now = self.now(rules);
        match action {
            Action::Time(count) => self.pass(rules, count),
            Action::Tick(server) => self.at(server, |pair| pair.tick(now)),
            Action::Beat(from, fate) => {
                let request = self.beat(rules, from);
                if let Some(request) = request {
                    self.exchange(rules, request, fate);
                }
            }
            Action::Hello(from, fate) => {
                let request = self.hello(rules, from);
                if let Some(request) = request {
                    self.exchange(rules, request, fate);
                }
            }
            Action::Heartbeat(from, to, fate) => {
                let request = self.heartbeat(rules, from, to)?;
                self.exchange(rules, request, fate);
            }
            Action::Update(from, to, fate) => {
                let request = self.update(rules, from, to)?;
                self.exchange(rules, request, fate);
            }
            Action::Role(from, to) => {
                self.update(rules, from, to)?;
                let voter = &mut self.voters[to];
                if voter.registered[from] != Some(self.servers[from].life) {
                    return None;
                }
                voter.follows = Some(from);
            }
            Action::Deliver(at, fate) => match self.mail.remove(at) {
                Letter::Request(request) => self.exchange(rules, request, fate),
                Letter::Reply(reply) => self.answer(rules, reply),
            },
            Action::Drop(at) => {
                self.mail.remove(at);
            }
            Action::Believe(server) => {
                if rules.sabotage != Sabotage::OneSidedChange {
                    return None;
                }
                self.believe(rules, server)?;
            }
            fault => self.fault(rules, fault)?,
        }
        Some(())
    }

    fn fault(&mut self, rules: &Scenario, action: Action) -> Option<()> {
        match action {
            Action::Restart(server, high) => {
                spend(&mut self.faults.restarts[server])?;
                self.restart(rules, server, high);
                for voter in (0..rules.voters).filter(|_| rules.rejoins) {
                    self.register(rules, voter, server);
                }
            }
            Action::Goodbye(server) => {
                spend(&mut self.faults.goodbyes)?;
                self.say_goodbye(rules, server)?;
            }
            Action::RestartVoter(voter) => {
                spend(&mut self.faults.voter_restarts)?;
                self.voters[voter].restart(rules);
                for server in (0..2).filter(|_| rules.rejoins) {
                    self.register(rules, voter, server);
                }
            }
            Action::Leave(voter) => {
                spend(&mut self.faults.leaves)?;
                self.voters[voter].gone = true;
            }
            Action::Return(voter) => {
                spend(&mut self.faults.returns)?;
                self.voters[voter].restart(rules);
            }
            Action::Register(voter, server) => self.register(rules, voter, server)?,
            Action::Remove(voter, server) => {
                let life = self.servers[server].members[voter].take()?;
                let subscriber = &self.voters[voter];
                // That somebody has gone is news; otherwise it takes a fault to believe so.
                if !subscriber.gone && subscriber.life == life {
                    spend(&mut self.faults.removals)?;
                }
                let now = self.now(rules).time;
                let left = subscriber.gone;
                self.at(server, |pair| pair.voter_removed(now, &name(voter)));
                if rules.sabotage == Sabotage::EagerLeave && left && server == 1 {
                    self.drop_seat(rules, server, voter);
                }
            }
            Action::Deafen(voter, server) => {
                spend(&mut self.faults.deaf)?;
                self.voters[voter].deaf[server] = true;
            }
            _ => return None,
        }
        Some(())
    }

    fn register(&mut self, rules: &Scenario, voter: usize, server: usize) -> Option<()> {
        let now = self.now(rules).time;
        if self.servers[server].pair.is_silent(now) {
            return None;
        }
        let terms = rules.terms(server);
        self.at(server, |pair| {
            pair.voter_registered(now, name(voter), terms)
        });
        let acts = self.acting(rules, server).is_some();
        let node = &mut self.servers[server];
        node.members[voter] = Some(self.voters[voter].life);
        let subscriber = &mut self.voters[voter];
        subscriber.registered[server] = Some(node.life);
        subscriber.deaf[server] = false;
        if !rules.ours && acts && node.pair.serves(&name(voter)) {
            subscriber.follows = Some(server);
        }
        Some(())
    }

    fn restart(&mut self, rules: &Scenario, server: usize, high: bool) {
        let now = self.now(rules).time;
        let node = &mut self.servers[server];
        let began = match rules.sabotage {
            Sabotage::NoWait => Time::ZERO,
            _ => now,
        };
        node.life += 1;
        node.id = rules.id(server, node.life, high);
        node.members.fill(None);
        node.replace(Pair::new(rules.config(server), node.id, began));
        self.mail.retain(|letter| !letter.is_reply_to(server));
    }

    fn say_goodbye(&mut self, rules: &Scenario, server: usize) -> Option<()> {
        let now = self.now(rules).time;
        let id = self.servers[server].id;
        if rules.sabotage == Sabotage::UndeadLeaver {
            self.mail
                .push(Letter::Request(Request::Goodbye(server, id)));
            return Some(());
        }
        // One that has no peer yet tells nobody, but ends all the same.
        let peer = self.at(server, |pair| pair.resign(now));
        if !rules.for_good {
            self.restart(rules, server, true);
        }
        if peer.is_some() {
            self.mail
                .push(Letter::Request(Request::Goodbye(server, id)));
        }
        Some(())
    }
}

fn spend(budget: &mut u8) -> Option<()> {
    *budget = budget.checked_sub(1)?;
    Some(())
}
