//! What a review of the rules found: sequences that only limits which differ, restarts in a row
//! and clocks that are off lead to.

use super::*;

fn limit(seconds: u64) -> Terms {
    Terms {
        timeout: Duration::from_secs(seconds),
        extended: true,
    }
}

fn with_peer_timeout(n: i64, seconds: u64, now: Now) -> Pair<u8> {
    let config = Config {
        limits: Limits::new(Duration::from_secs(seconds), TIMEOUT, WAIT),
        ..config()
    };
    Pair::new(config, id(n), now.time)
}

fn join(a: &mut Pair<u8>, b: &mut Pair<u8>, now: Now, voter: u8, terms: Terms) {
    a.voter_registered(now.time, voter, terms);
    b.voter_registered(now.time, voter, terms);
}

// rules 1, 3, 12: what the driver asks before it sends does not know of the proposed set
#[test]
fn the_fence_follows_a_proposal_at_once() {
    let (mut a, mut b) = running(0);
    join(&mut a, &mut b, at(1_000), 1, limit(60));
    for now in [1_100, 1_200, 1_300] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    assert_eq!(a.electorate.agreed().len(), 1);
    a.heard_from(at(1_400), 1, &here());
    a.tick(at(1_800)); // looked at: voter 1 holds it for 45 s
    // 1 leaves, 2 and 3 come.
    a.voter_removed(at(1_900).time, &1);
    b.voter_removed(at(1_900).time, &1);
    join(&mut a, &mut b, at(1_900), 2, limit(10));
    join(&mut a, &mut b, at(1_900), 3, limit(10));
    assert!(beat(&mut a, &mut b, at(2_000)));
    assert_eq!(a.electorate.proposed().map(BTreeSet::len), Some(2));
    // It is adopted, and then A stands still (the answer, too, is not read).
    let (news, _) = a.beat(at(2_010).time).unwrap();
    assert!(b.on_beat(at(2_010), &news).unwrap().accepted);
    assert!(a.lease_end() <= Some(at(9_500).time));
    assert!(
        !a.may_act(at(12_100)),
        "A wakes, and a sender asks before the next step"
    );
}

/// Two that do not reach each other, one voter that hears both; how long until one acts.
fn turns(patience: u64) -> Option<u64> {
    let mut pair = [server(0x35, at(0)), server(0x6a, at(0))];
    for server in &mut pair {
        server.contacted = true;
        server.voter_registered(at(0).time, 1, limit(patience));
    }
    let mut heard = [0, 0];
    for now in (0..7_200_000).step_by(500) {
        for i in [0, 1] {
            pair[i].tick(at(now));
            if pair[i].is_silent(at(now).time) {
                continue;
            }
            heard[i] = now;
            let lost = now - heard[1 - i] > patience * 1_000;
            pair[i].heard_from(at(now), 1, &ours(lost));
            if pair[i].role().acts() {
                return Some(now / 1_000);
            }
        }
    }
    None
}

// rule 19: the silence is shorter than the limit that the voter itself named
#[test]
fn silence_lasts_until_voters_have_lost_the_silent_one() {
    assert!(turns(10).is_some(), "the flag's limit");
    assert!(
        turns(30).is_some(),
        "its own, longer one: nobody in two hours"
    );
}

// rules 5, 9: the third life of a voter forgets the limit of the first
#[test]
fn the_longest_limit_of_all_former_lives_is_waited_for() {
    let (mut a, mut b) = running(0);
    join(&mut a, &mut b, at(1_000), 1, limit(60));
    for now in [1_100, 1_200, 1_300] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    a.heard_from(at(1_400), 1, &here());
    // From here on nothing reaches A. The voter restarts twice, each time with a shorter limit.
    b.voter_registered(at(2_000).time, 1, limit(10));
    b.voter_registered(at(3_000).time, 1, limit(5));
    b.heard_from(at(14_000), 1, &ours(true));
    a.observe(at(14_000).time);
    assert!(a.may_act(at(14_000)), "held by the first life for 45 s");
    assert!(!b.may_act(at(14_000)), "two with leases");
}

// rules 1, 7: the acknowledgement is the new process's, the limit the old one's
#[test]
fn a_late_word_of_a_former_process_makes_no_acknowledgement_longer() {
    let mut a = with_peer_timeout(1, 30, at(0));
    let mut old = with_peer_timeout(2, 30, at(0));
    let (hello, sent) = a.hello(at(500).time);
    let late = old.on_hello(at(501), &hello).unwrap();
    // It restarts with a shorter limit, in contact.
    let mut b = with_peer_timeout(3, 10, at(1_000));
    greet(&mut b, &mut a, at(1_100));
    assert!(beat(&mut a, &mut b, at(1_200)));
    join(&mut a, &mut b, at(1_250), 1, limit(10));
    for now in [1_300, 1_400, 1_500] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    assert!(a.may_act(at(8_999)) && !a.may_act(at(9_000)));
    a.on_welcome(at(2_000), sent, &late);
    // Then the link breaks.
    b.heard_from(at(11_600), 1, &ours(true));
    a.observe(at(11_600).time);
    assert!(b.may_act(at(11_600)));
    assert!(!a.may_act(at(11_600)), "two with leases");
}

// rules 10, 16: both restarted and cut off, the last activation's clock was ahead; both ids odd
#[test]
fn two_that_have_never_met_take_different_epochs_above_the_same_one() {
    let stopped = |millis| Now {
        wall: Wall(0),
        ..at(millis)
    };
    let random = |hi, lo| Pair::new(config(), StatestoreId(UniqueId { hi, lo }), at(0).time);
    let (mut a, mut b) = (random(0x35 << 24, 1), random(0x6a << 24, 3));
    let knows = VoterReply {
        highest: Some(Epoch(2_000_000)),
        ..ours(true)
    };
    for (server, voter) in [(&mut a, 1), (&mut b, 2)] {
        server.voter_registered(at(100).time, voter, terms(true));
        server.heard_from(stopped(10_100), voter, &knows);
        assert!(server.may_act(at(10_100)));
    }
    assert_ne!(a.epoch(), b.epoch(), "never equal on both servers");
}

// the same, seen later: contact ends nothing
#[test]
fn of_two_with_the_same_epoch_one_yields() {
    let stopped = |millis| Now {
        wall: Wall(0),
        ..at(millis)
    };
    let (mut a, mut b) = (server(1, at(0)), server(3, at(0)));
    let knows = VoterReply {
        highest: Some(Epoch(2_000_000)),
        ..ours(true)
    };
    for (server, voter) in [(&mut a, 1), (&mut b, 2)] {
        server.voter_registered(at(100).time, voter, terms(true));
        server.heard_from(stopped(10_100), voter, &knows);
    }
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

// rules 5, 12: the first life of a voter is known to the active alone, its next one to the standby
#[test]
fn a_vote_waits_for_the_limit_of_a_life_that_only_the_active_knows() {
    let (mut a, mut b) = running(0);
    a.voter_registered(at(1_000).time, 1, limit(60));
    a.heard_from(at(1_100), 1, &here());
    b.voter_registered(at(1_200).time, 1, limit(10)); // it has restarted
    for now in [1_300, 1_400, 1_500] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    assert_eq!(a.electorate.agreed().len(), 1);
    // Nothing reaches A any more.
    b.heard_from(at(20_000), 1, &ours(true));
    a.observe(at(20_000).time);
    assert!(a.may_act(at(20_000)), "the first life holds it for 45 s");
    assert!(!b.may_act(at(20_000)), "two with leases");
    b.heard_from(at(66_000), 1, &ours(true));
    assert!(b.may_act(at(66_000)) && !a.may_act(at(66_000)));
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
