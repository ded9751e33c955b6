//! What the two tell each other of limits, their flags' and their members', and that it is minded
//! wherever a lease is looked at. Deliberately absent: limits that both know already (`patience`).

use super::*;

fn limit(seconds: u64) -> Terms {
    Terms {
        timeout: Duration::from_secs(seconds),
        extended: true,
    }
}

/// T_p = 10 s, and a T_s of its own.
fn counting_on(n: i64, seconds: u64, now: Now) -> Pair<u8> {
    let limits = Limits::new(TIMEOUT, Duration::from_secs(seconds), WAIT);
    Pair::new(Config { limits, ..config() }, id(n), now.time)
}

fn join(a: &mut Pair<u8>, b: &mut Pair<u8>, now: Now, voter: u8, terms: Terms) {
    a.voter_registered(now.time, voter, terms);
    b.voter_registered(now.time, voter, terms);
}

/// Every tenth of a second voter 1 says to `standby` whether it has lost the other. It takes over
/// in the end, and `active` is over by then.
fn never_both(active: &mut Pair<u8>, standby: &mut Pair<u8>, from: u64, lost_from: u64) {
    for now in (from..from + 200_000).step_by(100) {
        standby.heard_from(at(now), 1, &ours(now >= lost_from));
        active.observe(at(now).time);
        let both = active.may_act(at(now)) && standby.may_act(at(now));
        assert!(!both, "both at {now}");
        if standby.role().acts() {
            return;
        }
    }
    panic!(
        "never: {:#?}",
        standby.view(at(from + 200_000).time).obstacles
    );
}

// rules 1, 9, 10: it stands by, so it never asks; the one answer that would have told it is lost
#[test]
fn who_met_the_active_by_its_heartbeats_alone_knows_its_limits() {
    let mut q = counting_on(1, 10, at(0));
    let mut old = counting_on(2, 30, at(0));
    greet(&mut old, &mut q, at(500));
    assert!(beat(&mut q, &mut old, at(600)));
    let mut p = counting_on(3, 30, at(1_000));
    let (hello, _) = p.hello(at(1_000).time);
    q.on_hello(at(1_000), &hello).unwrap();
    assert!(beat(&mut q, &mut p, at(1_100)));
    assert!(!p.seeks_peer(at(1_200).time), "it will not ask again");
    join(&mut q, &mut p, at(1_200), 1, limit(30));
    for now in [1_300, 1_400, 1_500] {
        assert!(beat(&mut q, &mut p, at(now)));
    }
    // Q is cut off. The voter loses it, P takes over, and is acknowledged.
    never_both(&mut q, &mut p, 1_600, 32_000);
    p.heard_from(at(40_000), 1, &here());
    // P is cut off. The voter restarts, with the limit that Q's flag names, and reaches Q only.
    q.voter_registered(at(40_100).time, 1, limit(10));
    never_both(&mut p, &mut q, 40_200, 50_200);
}

/// T_p = 3 s and T_s = 10 s, so that voters hold a lease longer than the peer: A is active, B
/// stands by, voter 1 is agreed on with a limit of 10 s, and answered A at 1,900 ms.
fn held_by_a_voter() -> (Pair<u8>, Pair<u8>) {
    let server = |n| {
        let limits = Limits::new(Duration::from_secs(3), TIMEOUT, WAIT);
        Pair::new(Config { limits, ..config() }, id(n), at(0).time)
    };
    let (mut a, mut b) = (server(1), server(2));
    greet(&mut b, &mut a, at(500));
    assert!(beat(&mut a, &mut b, at(600)));
    join(&mut a, &mut b, at(700), 1, limit(10));
    for now in [800, 900, 1_000] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    a.heard_from(at(1_900), 1, &here());
    (a, b)
}

// rules 1, 3, 9: the voter's next life is known to the standby alone, and votes by its word
#[test]
fn a_lease_ends_by_the_limit_of_a_life_that_only_the_standby_knows() {
    let (mut a, mut b) = held_by_a_voter();
    b.voter_registered(at(2_000).time, 1, limit(5));
    for now in [2_100, 2_200] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    assert_eq!(
        b.voters.find(&1).unwrap().votes_after,
        None,
        "it is released"
    );
    // From here on nothing reaches A, not even its own clock's alarm.
    assert!(a.may_act(at(5_649)), "1,900 ms and 3/4 of 5 s");
    assert!(!a.may_act(at(5_650)), "not 3/4 of the flag's 10 s");
    never_both(&mut a, &mut b, 2_300, 7_100);
}

// rule 9: answers overtake each other
#[test]
fn an_older_list_of_members_replaces_no_newer_one() {
    let (mut a, mut b) = held_by_a_voter();
    b.voter_registered(at(2_000).time, 2, limit(10));
    let (asked, sent) = a.beat(at(2_050).time).unwrap();
    let late = b.on_beat(at(2_050), &asked).unwrap();
    assert!(late.members.is_some() && late.short_limits.is_empty());
    b.voter_registered(at(2_100).time, 1, limit(5));
    assert!(beat(&mut a, &mut b, at(2_200)));
    let known = a.peer.members_version;
    a.on_beat_reply(at(2_300), sent, Some(late));
    assert_eq!(a.longest_hold(&1), Duration::from_secs(5));
    assert_eq!(a.peer.members_version, known, "the newer one is confirmed");
}

// rules 1, 9: a reference process never tells another limit, so that the old one would stay
#[test]
fn limits_that_were_told_go_with_the_last_process_that_tells_any() {
    let (mut a, mut b) = (counting_on(1, 30, at(0)), counting_on(2, 20, at(0)));
    greet(&mut b, &mut a, at(500));
    assert!(beat(&mut a, &mut b, at(600)));
    join(&mut a, &mut b, at(700), 1, limit(30));
    join(&mut a, &mut b, at(700), 2, limit(5));
    for now in [800, 900, 1_000] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    let holds = |a: &Pair<u8>| [1, 2].map(|voter| a.longest_hold(&voter).as_secs());
    assert_eq!(holds(&a), [20, 5]);
    // A new process of ours tells anew; until then the old one's word counts.
    let hello = |n, ours: bool| Hello {
        id: id(n),
        address: Text::from("host:2"),
        force: false,
        highest: ours.then(Epoch::default),
        active: None,
        patience: None,
    };
    a.on_hello(at(1_100), &hello(3, true));
    assert_eq!(holds(&a), [20, 5]);
    a.on_hello(at(1_200), &hello(4, false));
    assert_eq!(holds(&a), [30, 30]);
}
