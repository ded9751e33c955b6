//! Requests and answers: who sends what, what the receiver makes of it, what comes back.
//!
//! Each end is the shipped machine, called as its node calls it: the fence is asked before
//! anything is sent as active, answers to a process or a registration that is no more are
//! dropped. Sabotage happens here, in what is handed on.

use crate::action::Fate;
use crate::letter::{Letter, Reply, Request};
use crate::sabotage::Sabotage;
use crate::scenario::Scenario;
use crate::subscriber::{Answer, Heartbeat};
use crate::world::{World, name};
use statestore_core::pair::{Beat, BeatReply, BeatSent, Hello, Pair};
use statestore_core::time::{Now, Time};
use std::sync::Arc;

impl World {
    /// A request and what becomes of it.
    pub fn exchange(&mut self, rules: &Scenario, request: Request, fate: Fate) {
        if fate == Fate::Late {
            return self.mail.push(Letter::Request(request));
        }
        let reply = self.receive(rules, request);
        match (reply, fate) {
            (Some(reply), Fate::ReplyLate) => self.mail.push(Letter::Reply(reply)),
            (Some(reply), Fate::Answered) => self.answer(rules, reply),
            _ => {}
        }
    }

    /// An HA heartbeat, if one is due.
    pub fn beat(&mut self, rules: &Scenario, from: usize) -> Option<Request> {
        let now = self.now(rules).time;
        let (beat, sent) = self.at(from, |pair| pair.beat(now))?;
        self.named(sent.epoch);
        Some(Request::Beat(from, Arc::new(beat), sent))
    }

    /// A claim has an epoch before anybody is told of it.
    fn claimed(&mut self, rules: &Scenario, server: usize) {
        let mut pair = Pair::clone(&self.servers[server].pair);
        if let Some((_, sent)) = pair.beat(self.now(rules).time) {
            self.named(sent.epoch);
        }
    }

    /// A handshake.
    pub fn hello(&mut self, rules: &Scenario, from: usize) -> Option<Request> {
        let now = self.now(rules).time;
        let (hello, sent) = self.at(from, |pair| {
            pair.observe(now);
            pair.seeks_peer(now).then(|| pair.hello(now))
        })?;
        Some(Request::Hello(from, Arc::new(hello), sent))
    }

    /// What a server says to a voter that is registered with it: as active, if it may act.
    pub fn heartbeat(&self, rules: &Scenario, from: usize, to: usize) -> Option<Request> {
        let (said, process) = self.speak(rules, from, to)?;
        Some(Request::Heartbeat(process, said, self.now(rules).time))
    }

    /// What only an active one sends.
    pub fn update(&self, rules: &Scenario, from: usize, to: usize) -> Option<Request> {
        let (said, process) = self.speak(rules, from, to)?;
        said.epoch?;
        Some(Request::Update(process, said, self.now(rules).time))
    }

    fn speak(&self, rules: &Scenario, from: usize, to: usize) -> Option<(Heartbeat, (usize, u8))> {
        let server = &self.servers[from];
        let life = server.members[to]?;
        let epoch = self.acting(rules, from);
        let expired = server.pair.role().acts() && epoch.is_none();
        let said = Heartbeat {
            from,
            process: server.life,
            epoch,
            asks: server.pair.asks(),
        };
        let silent = server.pair.is_silent(self.now(rules).time);
        (!expired && !silent).then_some((said, (to, life)))
    }

    fn receive(&mut self, rules: &Scenario, request: Request) -> Option<Reply> {
        let now = self.now(rules);
        // Where a limit is wrong, nobody warns the other side of it.
        let mistold = rules.sabotage != Sabotage::None;
        match request {
            Request::Heartbeat((voter, life), said, sent) => {
                let mut down = false;
                let answer = self.voters[voter].heartbeat(rules, life, &said, &mut down);
                self.history.down |= down;
                let to = (said.from, said.process);
                answer.map(|answer| Reply::Heartbeat((voter, life), to, sent, answer))
            }
            Request::Update((voter, life), said, sent) => {
                let to = (said.from, said.process);
                let processed = self.voters[voter].takes_updates(life, said.from, said.process);
                Some(Reply::Update((voter, life), to, sent, processed))
            }
            Request::Beat(from, beat, sent) => {
                let told = beat.patience.filter(|_| !mistold);
                let heard = Beat {
                    patience: told,
                    ..Beat::clone(&beat)
                };
                let mut reply = self.at(1 - from, |pair| pair.on_beat(now, &heard));
                if let (Ok(reply), true) = (&mut reply, mistold) {
                    reply.patience = None;
                }
                let current = self.servers[from].id == beat.src;
                current.then(|| match reply {
                    Ok(reply) => Reply::Beat(from, sent, Some(Arc::new(reply))),
                    Err(stranger) => Reply::Stranger(from, sent, stranger.own),
                })
            }
            Request::Hello(from, hello, sent) => {
                let to = 1 - from;
                let before = self.servers[to].clone();
                let told = hello.patience.filter(|_| !mistold);
                let hello = Hello {
                    patience: told,
                    ..Hello::clone(&hello)
                };
                let mut welcome = self.at(to, |pair| pair.on_hello(now, &hello))?;
                welcome.patience = welcome.patience.filter(|_| !mistold);
                if rules.sabotage == Sabotage::NoPromise && !welcome.active {
                    self.servers[to] = before;
                }
                if rules.calendar {
                    self.claimed(rules, to);
                }
                let current = self.servers[from].id == hello.id;
                current.then_some(Reply::Welcome(from, sent, welcome))
            }
            Request::Goodbye(from, id) => {
                self.at(1 - from, |pair| pair.peer_left(now, id));
                None
            }
        }
    }

    /// An answer reaches who asked.
    pub fn answer(&mut self, rules: &Scenario, reply: Reply) {
        let now = self.now(rules);
        match reply {
            Reply::Heartbeat((voter, life), (to, process), sent, answer) => {
                let server = &self.servers[to];
                if server.life == process && server.members[voter] == Some(life) {
                    self.heartbeat_answered(rules, (voter, life), to, sent, answer);
                }
            }
            Reply::Update((voter, life), (to, process), sent, processed) => {
                let server = &self.servers[to];
                if server.life == process && server.members[voter] == Some(life) {
                    self.at(to, |pair| {
                        pair.update_answered(now, &name(voter), sent, processed);
                    });
                }
            }
            Reply::Beat(to, sent, reply) => {
                let (now, at) = self.skewed(rules, now, sent.at);
                let sent = BeatSent { at, ..sent };
                let reply = reply.map(Arc::unwrap_or_clone);
                self.at(to, |pair| pair.on_beat_reply(now, sent, reply));
            }
            Reply::Stranger(to, sent, own) => {
                self.at(to, |pair| pair.on_other_process(now, sent, own));
            }
            Reply::Welcome(to, mut sent, welcome) => {
                if rules.sabotage == Sabotage::OldGrant {
                    sent.at = now.time;
                }
                self.at(to, |pair| pair.on_welcome(now, sent, &welcome));
            }
        }
    }

    fn heartbeat_answered(
        &mut self,
        rules: &Scenario,
        (voter, life): (usize, u8),
        to: usize,
        sent: Time,
        answer: Answer,
    ) {
        let (now, sent) = self.skewed(rules, self.now(rules), sent);
        let connection = u64::from(life);
        let highest = match answer {
            Ok(reply) => {
                self.at(to, |pair| {
                    pair.heartbeat_answered(now, &name(voter), (sent, connection), &reply);
                });
                reply.highest
            }
            Err(highest) => {
                self.at(to, |pair| {
                    pair.heartbeat_failed(now, &name(voter), highest);
                });
                highest
            }
        };
        let known = match rules.sabotage {
            Sabotage::SecretEpochs => self.voters[voter].highest,
            _ => highest,
        };
        let acting = self.acting(rules, to);
        self.history.deaf |= acting.is_some() && acting < known;
    }

    /// Now, and the send time that an answer counts from.
    fn skewed(&self, rules: &Scenario, now: Now, sent: Time) -> (Now, Time) {
        match rules.sabotage {
            Sabotage::ArrivalTime => (now, now.time),
            Sabotage::Revival => (Now { time: sent, ..now }, sent),
            _ => (now, sent),
        }
    }

    /// Sabotage: the active takes its proposal for adopted, though its peer has not heard of it.
    pub fn believe(&mut self, rules: &Scenario, server: usize) -> Option<()> {
        let now = self.now(rules);
        let (beat, sent) = self.at(server, |pair| pair.beat(now.time))?;
        beat.electorate.as_ref()?;
        let reply = BeatReply {
            accepted: true,
            highest: Some(self.acting(rules, server)?),
            is_active: false,
            electorate_version: Some(sent.electorate_version),
            members_version: 0,
            members: None,
            short_limits: std::collections::BTreeMap::new(),
            patience: None,
        };
        let sent = BeatSent {
            at: Time::ZERO, // renews no lease
            ..sent
        };
        self.at(server, |pair| pair.on_beat_reply(now, sent, Some(reply)));
        Some(())
    }
    /// Rule 14 left out: the standby drops a seat as if its peer had said so, when it last did.
    pub fn drop_seat(&mut self, rules: &Scenario, server: usize, voter: usize) -> Option<()> {
        let now = self.now(rules);
        let peer = self.servers[1 - server].id;
        self.at(server, |pair| {
            let view = pair.view(now.time);
            let seats = view.voters.iter().filter(|it| it.agreed);
            let beat = Beat {
                src: peer,
                dst: view.id,
                epoch: Some(pair.highest()),
                claims: false,
                electorate_version: 100,
                electorate: Some(
                    seats
                        .map(|it| it.id)
                        .filter(|it| *it != name(voter))
                        .collect(),
                ),
                known_members: 0,
                patience: None,
            };
            let heard = Now {
                time: now.time - view.silence,
                ..now
            };
            pair.on_beat(heard, &beat).ok().map(drop)
        })
    }
}
