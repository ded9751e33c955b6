//! Restarts and crashes in a row, and clocks that are off: what a single fault does not show.

use super::*;

/// The calendar has yet to reach what is known.
fn stopped(millis: u64) -> Now {
    Now {
        wall: Wall(0),
        ..at(millis)
    }
}

/// Each has a voter of its own, both of which know of an epoch ahead of the calendar.
fn take_over_apart(pair: [&mut Pair<u8>; 2]) {
    let knows = VoterReply {
        highest: Some(Epoch(2_000_000)),
        ..ours(true)
    };
    for (server, voter) in pair.into_iter().zip([1, 2]) {
        server.voter_registered(at(100).time, voter, terms(true));
        server.heard_from(stopped(10_100), voter, &knows);
        assert!(server.may_act(at(10_100)));
    }
}

// rules 10, 16: both restarted and cut off, the last activation's clock was ahead; both ids odd
#[test]
fn two_that_have_never_met_take_different_epochs_above_the_same_one() {
    let random = |hi, lo| Pair::new(config(), StatestoreId(UniqueId { hi, lo }), at(0).time);
    let (mut a, mut b) = (random(0x35 << 24, 1), random(0x6a << 24, 3));
    take_over_apart([&mut a, &mut b]);
    assert_ne!(a.epoch(), b.epoch(), "never equal on both servers");
}

// the same, seen later: contact ends nothing
#[test]
fn of_two_with_the_same_epoch_one_yields() {
    let (mut a, mut b) = (server(1, at(0)), server(3, at(0)));
    take_over_apart([&mut a, &mut b]);
    for millis in (10_200..60_000).step_by(100) {
        let now = stopped(millis);
        a.heard_from(now, 1, &here());
        b.heard_from(now, 2, &here());
        if a.seeks_peer(now.time) {
            greet(&mut a, &mut b, now);
        }
        if b.seeks_peer(now.time) {
            greet(&mut b, &mut a, now);
        }
        if a.role().acts() && a.peer_id().is_some() {
            beat(&mut a, &mut b, now);
        }
        if b.role().acts() && b.peer_id().is_some() {
            beat(&mut b, &mut a, now);
        }
    }
    assert!(a.role().acts() != b.role().acts(), "50 s of contact");
}

// rules 10, 17, P9: no subscriber follows such an epoch, so nobody may hold its lease either
#[test]
fn an_epoch_that_is_not_believed_is_not_acknowledged() {
    let (mut a, mut b) = (server(1, at(0)), server(2, at(0)));
    let year = 365 * 24 * 3_600 * 1_000_000;
    let off = |millis| Now {
        wall: Wall((2090 - 1970) * year),
        ..at(millis)
    };
    let hello = b.hello(at(500).time).0;
    let welcome = a.on_hello(off(500), &hello).unwrap();
    assert!(welcome.active);
    let sent = b.hello(at(500).time).1;
    b.on_welcome(at(500), sent, &welcome);
    let (claim, sent) = a.beat(at(600).time).unwrap();
    let reply = b.on_beat(at(600), &claim).unwrap();
    a.on_beat_reply(off(600), sent, Some(reply.clone()));
    assert!(!epoch::is_believable(claim.epoch.unwrap(), at(600).wall));
    assert!(
        !reply.accepted && !a.may_act(at(601)),
        "every subscriber refuses it"
    );
}

// rules 11, 18: one that is refused as a stranger has not found its peer
#[test]
fn a_beat_that_is_refused_as_a_strangers_is_a_miss() {
    let (_, mut b) = running(1); // knows the former process of A
    let mut c = server(3, at(2_000));
    let greeting = b.hello(at(2_100).time).0; // its answer gets lost
    c.on_hello(at(2_100), &greeting);
    c.tick(at(4_500));
    assert!(c.force(at(4_600)).is_some());
    for now in (5_000..60_000).step_by(500) {
        let (beat, sent) = c.beat(at(now).time).unwrap();
        let Stranger { own } = b.on_beat(at(now), &beat).unwrap_err();
        c.on_other_process(at(now), sent, own);
    }
    assert!(c.seeks_peer(at(60_000).time), "it never says hello");
}

// rule 12: seats are kept for a new process of the peer, but not for ever
#[test]
fn who_never_registers_with_the_new_standby_leaves_the_electorate_in_the_end() {
    let (mut a, _) = running(3);
    let mut c = server(3, at(1_500));
    greet(&mut c, &mut a, at(1_600));
    let mut agreed = |now| {
        (1..=3).for_each(|voter| a.heard_from(at(now), voter, &here()));
        assert!(beat(&mut a, &mut c, at(now)) && a.may_act(at(now)));
        c.voter_registered(at(now).time, 1, terms(true));
        a.electorate.agreed().len()
    };
    // T_s twice, and five seconds to try again.
    for now in (1_700..26_600).step_by(500) {
        assert_eq!(agreed(now), 3, "at {now}");
    }
    assert_eq!([26_700, 26_800, 26_900].map(agreed).last(), Some(&1));
}

fn standby_crashes(a: &mut Pair<u8>, c: &mut Pair<u8>, from: u64) {
    for now in [100, 200, 300] {
        (1..=3).for_each(|voter| a.heard_from(at(from + now), voter, &here()));
        assert!(beat(a, c, at(from + now)));
    }
    // C crashes again, before anybody has found it.
    for now in (400..30_000).step_by(100) {
        (1..=3).for_each(|voter| a.heard_from(at(from + now), voter, &says(ConnState::UNKNOWN)));
        a.tick(at(from + now));
        if let Some((_, sent)) = a.beat(at(from + now).time) {
            a.on_beat_reply(at(from + now), sent, None);
        }
        assert!(
            a.may_act(at(from + now)),
            "all three answer it: {:?}",
            a.whys()
        );
    }
}

// rules 12, 18: the first standby of one that was alone
#[test]
fn the_first_standby_may_crash_at_once_and_that_costs_nothing() {
    let mut a = server(1, at(0));
    for voter in 1..=3 {
        a.voter_registered(at(100).time, voter, terms(true));
    }
    for now in (1_000..5_000).step_by(100) {
        (1..=3).for_each(|voter| a.heard_from(at(now), voter, &says(ConnState::UNKNOWN)));
        a.tick(at(now));
    }
    assert!(a.role().acts(), "alone");
    let mut c = server(3, at(5_000));
    greet(&mut c, &mut a, at(5_100));
    standby_crashes(&mut a, &mut c, 5_200);
}

// rules 12, 15: after a planned stop of the standby
#[test]
fn the_next_standby_after_a_planned_stop_may_crash_at_once_and_that_costs_nothing() {
    let (mut a, mut b) = running(0);
    let left = b.resign(at(1_100).time);
    assert!(left.is_some() && a.peer_left(at(1_100), id(2)));
    for voter in 1..=3 {
        a.voter_registered(at(1_200).time, voter, terms(true));
        a.heard_from(at(1_300), voter, &here());
    }
    let mut c = server(3, at(5_000));
    greet(&mut c, &mut a, at(5_100));
    assert_eq!(a.electorate.agreed().len(), 3);
    standby_crashes(&mut a, &mut c, 5_200);
}
