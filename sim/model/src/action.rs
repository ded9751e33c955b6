//! What can happen next: one action is one request with its answer, or a fault, or time.
//!
//! Deliberately absent: loss of a request. Nothing has to be sent at any time, so a request that
//! is lost is one that was not sent; a process that pauses is one that just does nothing. The
//! rest of one-way loss is an answer that is lost.

use crate::letter::{Letter, Reply, Request};
use crate::sabotage::Sabotage;
use crate::scenario::Scenario;
use crate::world::World;
use std::fmt;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// It arrives, its answer never does.
    ReplyLost,
    /// It will arrive late.
    Late,
    /// Its answer will arrive late.
    ReplyLate,
}

/// One step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// So many ticks pass.
    Time(u64),
    /// A server is woken.
    Tick(usize),
    /// A server sends an HA heartbeat.
    Beat(usize, Fate),
    /// A server looks for its peer.
    Hello(usize, Fate),
    /// A server sends a voter a heartbeat.
    Heartbeat(usize, usize, Fate),
    /// A server sends a voter an update.
    Update(usize, usize, Fate),
    /// A server tells a voter that it is active.
    Role(usize, usize),
    /// The letter arrives.
    Deliver(usize, Fate),
    /// The letter never will.
    Drop(usize),
    /// A server crashes and starts anew, under an id behind or before all others.
    Restart(usize, bool),
    /// A server stops on purpose, and starts anew.
    Goodbye(usize),
    /// A voter crashes and starts anew.
    RestartVoter(usize),
    /// A voter stops on purpose.
    Leave(usize),
    /// A voter that left is back.
    Return(usize),
    /// A voter registers with a server.
    Register(usize, usize),
    /// A server ends a registration.
    Remove(usize, usize),
    /// A reference voter ignores a server from now on.
    Deafen(usize, usize),
    /// Sabotage: a server believes that its peer has its change of the electorate.
    Believe(usize),
}

impl Action {
    /// Everything that might happen; what cannot changes nothing.
    pub fn all(rules: &Scenario, world: &World, out: &mut Vec<Self>) {
        out.extend(rules.steps.iter().map(|count| Self::Time(*count)));
        for server in 0..2 {
            out.push(Self::Tick(server));
            let late = rules.late;
            each_fate(rules, world, late.beats, |fate| {
                out.push(Self::Beat(server, fate));
            });
            let seeks = world.servers[server].pair.seeks_peer(world.now(rules).time);
            if rules.hellos && seeks {
                each_fate(rules, world, late.hellos, |fate| {
                    out.push(Self::Hello(server, fate));
                });
            }
            for voter in 0..rules.voters {
                Self::between(rules, world, (server, voter), out);
            }
            Self::server_faults(world, server, out);
            if rules.sabotage == Sabotage::OneSidedChange {
                out.push(Self::Believe(server));
            }
        }
        for (at, letter) in world.mail.iter().enumerate() {
            out.push(Self::Deliver(at, Fate::Answered));
            if matches!(letter, Letter::Request(_)) && !letter.is_goodbye() {
                out.push(Self::Deliver(at, Fate::ReplyLost));
                if rules.late.replies {
                    out.push(Self::Deliver(at, Fate::ReplyLate));
                }
            }
            out.push(Self::Drop(at));
        }
        Self::voter_faults(rules, world, out);
    }

    fn between(
        rules: &Scenario,
        world: &World,
        (server, voter): (usize, usize),
        out: &mut Vec<Self>,
    ) {
        let node = &world.servers[server];
        let subscriber = &world.voters[voter];
        let now = world.now(rules).time;
        let quiet = rules.quiet && !node.pair.role().acts();
        let speaks = !quiet || node.pair.ask_period(now).is_some();
        if node.members[voter].is_some() && speaks {
            each_fate(rules, world, rules.late.heartbeats, |fate| {
                out.push(Self::Heartbeat(server, voter, fate));
            });
        }
        if node.members[voter].is_some() {
            if !rules.ours && world.acting(rules, server).is_some() {
                each_fate(rules, world, rules.late.updates, |fate| {
                    out.push(Self::Update(server, voter, fate));
                });
                if subscriber.follows != Some(server) {
                    out.push(Self::Role(server, voter));
                }
            }
            let over = subscriber.gone || node.members[voter] != Some(subscriber.life);
            if over || world.faults.removals > 0 {
                out.push(Self::Remove(voter, server));
            }
        }
        let registered = node.members[voter] == Some(subscriber.life)
            && subscriber.registered[server] == Some(node.life);
        if !subscriber.gone && (!registered || subscriber.deaf[server]) {
            out.push(Self::Register(voter, server));
        }
        if registered && world.faults.deaf > 0 && !subscriber.deaf[server] {
            out.push(Self::Deafen(voter, server));
        }
    }

    fn server_faults(world: &World, server: usize, out: &mut Vec<Self>) {
        if world.faults.restarts[server] > 0 {
            out.extend([Self::Restart(server, false), Self::Restart(server, true)]);
        }
        if world.faults.goodbyes > 0 {
            out.push(Self::Goodbye(server));
        }
    }

    fn voter_faults(rules: &Scenario, world: &World, out: &mut Vec<Self>) {
        for (voter, subscriber) in world.voters[..rules.voters].iter().enumerate() {
            if !subscriber.gone && world.faults.voter_restarts > 0 {
                out.push(Self::RestartVoter(voter));
            }
            if !subscriber.gone && world.faults.leaves > 0 {
                out.push(Self::Leave(voter));
            }
            if subscriber.gone && world.faults.returns > 0 {
                out.push(Self::Return(voter));
            }
        }
    }
}

fn each_fate(rules: &Scenario, world: &World, late: bool, mut push: impl FnMut(Fate)) {
    push(Fate::Answered);
    push(Fate::ReplyLost);
    let under_way = world.mail.iter().filter(|letter| !letter.is_goodbye());
    if late && under_way.count() < rules.mail {
        push(Fate::Late);
        if rules.late.replies {
            push(Fate::ReplyLate);
        }
    }
}

/// A server's name.
pub fn server_name(server: usize) -> &'static str {
    ["A", "B"][server]
}

/// A voter's name.
pub fn voter_name(voter: usize) -> &'static str {
    ["v", "w", "x", "y"][voter]
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "",
            Self::ReplyLost => "; the answer is lost",
            Self::Late => "; it is late",
            Self::ReplyLate => "; the answer is late",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, v) = (server_name, voter_name);
        match *self {
            Self::Time(count) => write!(f, "time passes: {count}"),
            Self::Tick(a) => write!(f, "{} wakes up", s(a)),
            Self::Beat(a, fate) => write!(f, "HA heartbeat of {}{fate}", s(a)),
            Self::Hello(a, fate) => write!(f, "{} says hello{fate}", s(a)),
            Self::Heartbeat(a, b, fate) => write!(f, "heartbeat {} -> {}{fate}", s(a), v(b)),
            Self::Update(a, b, fate) => write!(f, "update {} -> {}{fate}", s(a), v(b)),
            Self::Role(a, b) => write!(f, "{} tells {} that it is active", s(a), v(b)),
            Self::Deliver(_, fate) => write!(f, "a late message arrives{fate}"),
            Self::Drop(_) => write!(f, "a late message is lost"),
            Self::Restart(a, high) => {
                let id = if high { "higher" } else { "lower" };
                write!(f, "{} crashes and starts anew, with a {id} id", s(a))
            }
            Self::Goodbye(a) => write!(f, "{} stops on purpose and starts anew", s(a)),
            Self::RestartVoter(b) => write!(f, "{} crashes and starts anew", v(b)),
            Self::Leave(b) => write!(f, "{} leaves on purpose", v(b)),
            Self::Return(b) => write!(f, "{} is back", v(b)),
            Self::Register(b, a) => write!(f, "{} registers with {}", v(b), s(a)),
            Self::Remove(b, a) => write!(f, "{} ends the registration of {}", s(a), v(b)),
            Self::Deafen(b, a) => write!(f, "{} ignores {} from now on", v(b), s(a)),
            Self::Believe(a) => write!(f, "{} believes its change acknowledged", s(a)),
        }
    }
}

/// What a late letter is, for a trace.
pub fn describe(letter: &Letter) -> String {
    match letter {
        Letter::Request(request) => match request {
            Request::Heartbeat((v, _), it, _) => {
                format!("heartbeat {} -> {}", server_name(it.from), voter_name(*v))
            }
            Request::Update((v, _), it, _) => {
                format!("update {} -> {}", server_name(it.from), voter_name(*v))
            }
            Request::Beat(from, ..) => format!("HA heartbeat of {}", server_name(*from)),
            Request::Hello(from, ..) => format!("hello of {}", server_name(*from)),
            Request::Goodbye(from, _) => format!("goodbye of {}", server_name(*from)),
        },
        Letter::Reply(reply) => match reply {
            Reply::Heartbeat((v, _), (to, _), ..) => {
                format!("answer {} -> {}", voter_name(*v), server_name(*to))
            }
            Reply::Update((v, _), (to, _), ..) => {
                format!(
                    "answer to an update {} -> {}",
                    voter_name(*v),
                    server_name(*to)
                )
            }
            Reply::Beat(to, ..) | Reply::Stranger(to, ..) => {
                format!("answer to the HA heartbeat of {}", server_name(*to))
            }
            Reply::Welcome(to, ..) => format!("answer to the hello of {}", server_name(*to)),
        },
    }
}
