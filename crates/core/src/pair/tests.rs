//! Two servers and their voters on one clock, step by step: each rule of ha.md that a few steps
//! can show. Interleavings in masses are the model checker's and the simulation's.
#![allow(clippy::unwrap_used, clippy::panic)]

mod electing;
mod in_a_row;
mod leases;
mod meeting;
mod patience;
mod telling;

use super::*;
use crate::time::Wall;
use alloc::collections::BTreeSet;
use alloc::vec;
use statestore_wire::ConnState;
use statestore_wire::UniqueId;

/// T_p = T_s = 10 s, so L = 7.5 s, W = 1.5 s.
const TIMEOUT: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_secs(2);

fn at(millis: u64) -> Now {
    Now {
        time: Time::from_millis(millis),
        wall: Wall((millis * 1_000).cast_signed()),
    }
}

fn id(n: i64) -> StatestoreId {
    StatestoreId(UniqueId { hi: 0, lo: n })
}

fn config() -> Config {
    Config {
        limits: Limits::new(TIMEOUT, TIMEOUT, WAIT),
        address: Text::from("host:1"),
        force: false,
        address_as_priority: false,
        max_missed: 3,
    }
}

fn server(n: i64, now: Now) -> Pair<u8> {
    Pair::new(config(), id(n), now.time)
}

fn terms(extended: bool) -> Terms {
    Terms {
        timeout: TIMEOUT,
        extended,
    }
}

fn ours(lost: bool) -> VoterReply {
    VoterReply {
        state: Some(if lost {
            ConnState::FAILED
        } else {
            ConnState::OK
        }),
        other_is_lost: Some(lost),
        ..VoterReply::default()
    }
}

fn says(state: ConnState) -> VoterReply {
    VoterReply {
        state: Some(state),
        ..VoterReply::default()
    }
}

/// An acknowledgement that answers nothing else.
fn here() -> VoterReply {
    VoterReply::default()
}

impl Pair<u8> {
    fn heard_from(&mut self, now: Now, voter: u8, reply: &VoterReply) {
        self.heartbeat_answered(now, &voter, (now.time, 1), reply);
    }

    fn may_act(&self, now: Now) -> bool {
        self.fence()
            .is_some_and(|fence| fence.lets(self.epoch, now.time))
    }

    fn whys(&mut self) -> Vec<Why> {
        let why = |news| match news {
            News::Active { why, .. } | News::SteppedDown { why, .. } | News::StandsBy(why) => {
                Some(why)
            }
            _ => None,
        };
        self.take_news().into_iter().filter_map(why).collect()
    }
}

/// The active heartbeats its standby once.
fn beat(active: &mut Pair<u8>, standby: &mut Pair<u8>, now: Now) -> bool {
    let (beat, sent) = active.beat(now.time).unwrap();
    let reply = standby.on_beat(now, &beat).unwrap();
    let accepted = reply.accepted;
    active.on_beat_reply(now, sent, Some(reply));
    accepted
}

/// One handshake.
fn greet(from: &mut Pair<u8>, to: &mut Pair<u8>, now: Now) {
    let (hello, sent) = from.hello(now.time);
    let welcome = to.on_hello(now, &hello).unwrap();
    from.on_welcome(now, sent, &welcome);
}

/// A is active, B stands by, voters 1 to `n` are registered with both and agreed on, all heard at
/// 1,000 ms.
fn running(n: u8) -> (Pair<u8>, Pair<u8>) {
    let (mut a, mut b) = (server(1, at(0)), server(2, at(0)));
    greet(&mut b, &mut a, at(500));
    assert!(beat(&mut a, &mut b, at(600)), "the claim is acknowledged");
    assert_eq!((a.role(), b.role()), (Role::Active, Role::Standby));
    for voter in 1..=n {
        a.voter_registered(at(700).time, voter, terms(true));
        b.voter_registered(at(700).time, voter, terms(true));
    }
    for now in [800, 900, 1_000] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    for voter in 1..=n {
        a.heard_from(at(1_000), voter, &here());
        b.heard_from(at(1_000), voter, &ours(false));
    }
    let all: BTreeSet<u8> = (1..=n).collect();
    assert_eq!((a.electorate.agreed(), b.electorate.agreed()), (&all, &all));
    a.whys();
    b.whys();
    (a, b)
}
