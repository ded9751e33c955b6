//! Limits that differ: between the servers, between subscribers, between the lives of one.
//! Whoever is more patient must not keep a lease that another one has stopped waiting for, and
//! must not delay anybody else.

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

/// The voter says from then on that it has lost A. B takes over in the end, and A is over by then.
fn never_both(a: &mut Pair<u8>, b: &mut Pair<u8>, from: u64) {
    for now in (from..200_000).step_by(100) {
        b.heard_from(at(now), 1, &ours(now >= from + 5_000));
        a.observe(at(now).time);
        assert!(!(a.may_act(at(now)) && b.may_act(at(now))), "both at {now}");
    }
    assert!(b.role().acts() && !a.role().acts());
}

// rules 1, 3, 12: what the driver asks before it sends does not know of the proposed set
#[test]
fn the_fence_follows_a_proposal_at_once() {
    // T_s is longer than T_p, so that voters hold it longer than the peer.
    let patient = |n| {
        let limits = Limits::new(TIMEOUT, Duration::from_secs(60), WAIT);
        Pair::new(Config { limits, ..config() }, id(n), at(0).time)
    };
    let (mut a, mut b) = (patient(1), patient(2));
    greet(&mut b, &mut a, at(500));
    assert!(beat(&mut a, &mut b, at(600)));
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
    never_both(&mut a, &mut b, 3_000);
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
    never_both(&mut a, &mut b, 1_500);
}

// rule 9: one subscriber that names a long limit, and has left since, takes everybody's vote
#[test]
fn one_patient_subscriber_does_not_silence_all_the_others() {
    let (mut a, mut b) = running(3);
    for server in [&mut a, &mut b] {
        server.voter_registered(at(1_100).time, 4, limit(68 * 365 * 24 * 3_600)); // i32::MAX s
    }
    for now in [1_200, 1_300, 1_400] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    a.voter_removed(at(1_500).time, &4);
    b.voter_removed(at(1_500).time, &4);
    for now in [1_600, 1_700, 1_800] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    assert_eq!(a.electorate.agreed().len(), 3, "it is gone");
    // A dies. All three have lost it for their whole limit.
    for now in (12_000..3_600_000).step_by(500) {
        for voter in 1..=3 {
            b.heard_from(at(now), voter, &ours(true));
        }
        if b.role().acts() {
            return;
        }
    }
    panic!(
        "an hour without an active: {:#?}",
        b.view(at(3_600_000).time).obstacles
    );
}

// rule 9: nobody ever restarted, one of four is more patient, two failovers within a minute
#[test]
fn a_second_failover_waits_for_no_limit_that_nobody_changed() {
    let (mut a, mut b) = running(3);
    for server in [&mut a, &mut b] {
        server.voter_registered(at(1_100).time, 4, limit(60));
    }
    for now in [1_200, 1_300, 1_400] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    // A dies long after; B takes over.
    let t0 = 200_000;
    for now in (2_000..=t0).step_by(1_000) {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    for voter in 1..=3 {
        b.heard_from(at(t0 + 10_500), voter, &ours(true));
    }
    assert!(b.role().acts());
    // A is back as a new process, everybody registers with it.
    let mut c = server(1, at(t0 + 11_000));
    greet(&mut c, &mut b, at(t0 + 11_100));
    for voter in 1..=3 {
        c.voter_registered(at(t0 + 11_200).time, voter, terms(true));
    }
    c.voter_registered(at(t0 + 11_200).time, 4, limit(60));
    for now in (11_300..=20_000).step_by(100) {
        (1..=3).for_each(|voter| b.heard_from(at(t0 + now), voter, &here()));
        assert!(beat(&mut b, &mut c, at(t0 + now)));
    }
    // B dies, at t0 + 20 s. T_p and T_s of the majority are over by t0 + 30.5 s.
    for now in (30_100..200_000).step_by(100) {
        for voter in 1..=3 {
            c.heard_from(at(t0 + now), voter, &ours(true));
        }
        if c.role().acts() {
            assert!(
                now < 32_000,
                "T_p = T_s = 10 s, it took {} s",
                (now - 20_000) / 1_000
            );
            return;
        }
    }
    panic!("never");
}

// rules 1, 9: a longer limit that the standby cannot know of
#[test]
fn a_longer_limit_that_the_standby_cannot_know_of_holds_no_longer_lease() {
    let (mut a, mut b) = running(1); // its limit is 10 s on both
    assert!(beat(&mut a, &mut b, at(1_500)));
    // The link between the two breaks. The voter restarts with 60 s and reaches only A, ...
    a.voter_registered(at(2_000).time, 1, limit(60));
    a.heard_from(at(2_100), 1, &here());
    // ... and again with 10 s, and reaches only B.
    b.voter_registered(at(3_000).time, 1, limit(10));
    never_both(&mut a, &mut b, 3_000);
}

// rule 9: it may have had a longer limit in its former life, which only the active knows
#[test]
fn who_is_more_impatient_than_the_flag_votes_once_the_active_knows_of_it() {
    let short = || {
        let limits = Limits::new(Duration::from_secs(3), TIMEOUT, WAIT);
        Config { limits, ..config() }
    };
    let mut a = Pair::new(short(), id(1), at(0).time);
    let mut b = Pair::new(short(), id(2), at(0).time);
    greet(&mut b, &mut a, at(500));
    assert!(beat(&mut a, &mut b, at(600)));
    for voter in 1..=3 {
        a.voter_registered(at(700).time, voter, limit(3));
        b.voter_registered(at(700).time, voter, limit(3));
    }
    for now in [800, 900, 1_000] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    // B restarts, and everybody finds that out.
    let mut c = Pair::new(short(), id(3), at(1_500).time);
    greet(&mut c, &mut a, at(1_600));
    for now in (1_700..6_000).step_by(100) {
        (1..=3).for_each(|voter| a.heard_from(at(now), voter, &here()));
        assert!(beat(&mut a, &mut c, at(now)));
    }
    for voter in 1..=3 {
        c.voter_registered(at(6_000).time, voter, limit(3));
    }
    for now in [6_100, 6_200, 6_300] {
        assert!(beat(&mut a, &mut c, at(now)));
    }
    // A dies: T_p = T_s = 3 s.
    for now in (9_000..60_000).step_by(100) {
        for voter in 1..=3 {
            c.heard_from(at(now), voter, &ours(now >= 9_500));
        }
        if c.role().acts() {
            assert!(now < 10_000, "6.3 s + 3.15 s, not {now}");
            return;
        }
    }
    panic!("never");
}

// rule 9: what the active said before it knew of a new member confirms nothing
#[test]
fn who_is_held_back_votes_once_the_active_names_the_present_members() {
    let (mut a, mut b) = running(1);
    b.voter_registered(at(2_000).time, 1, limit(5));
    let held_back = |b: &Pair<u8>| b.voters.find(&1).unwrap().votes_after.is_some();
    assert!(held_back(&b));
    assert!(beat(&mut a, &mut b, at(2_100)));
    assert!(held_back(&b), "that is answered with the new members");
    assert!(beat(&mut a, &mut b, at(2_200)));
    assert!(!held_back(&b));
    assert_eq!(a.longest_hold(&1), Duration::from_secs(5));
    assert_eq!(a.longest_hold(&2), TIMEOUT, "nobody else is concerned");
}
