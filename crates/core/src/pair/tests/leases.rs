//! What holds a lease, and what ends it (rules 1, 2, 4, 12 to 14, 20, 21; H-10, H-11).

use super::*;

// rules 1, 2
#[test]
fn the_peer_or_half_of_the_voters_hold_the_lease_from_the_time_of_sending() {
    let (mut a, _) = running(4);
    assert!(a.may_act(at(8_499)), "1,000 + L");
    a.heartbeat_answered(at(8_000), &1, (at(5_000).time, 1), &here());
    a.heartbeat_answered(at(8_000), &2, (at(6_000).time, 1), &here());
    a.observe(at(8_499).time);
    assert!(
        a.may_act(at(12_499)),
        "two of four, the older sent at 5,000"
    );
    a.observe(at(12_499).time);
    assert!(a.may_act(at(12_499)));
    a.observe(at(12_500).time);
    assert_eq!(a.whys(), [Why::LeaseExpired]);
}

// rule 4
#[test]
fn an_expired_lease_is_not_revived_by_what_comes_late() {
    let (mut a, mut b) = running(1);
    let (beat, sent) = a.beat(at(2_000).time).unwrap();
    let reply = b.on_beat(at(2_100), &beat).unwrap();
    a.on_beat_reply(at(9_600), sent, Some(reply));
    assert_eq!(a.role(), Role::Recovery);
    assert!(!a.may_act(at(9_600)));
    let noticed = News::SteppedDown {
        epoch: a.epoch(),
        why: Why::LeaseExpired,
        expired: Duration::from_millis(1_100),
    };
    assert!(a.take_news().contains(&noticed), "and how late that is");

    let (mut a, _) = running(1);
    a.voter_removed(at(8_600).time, &1);
    assert_eq!(
        a.role(),
        Role::Recovery,
        "also if nobody is left who could hold it"
    );
}

// H-10, W4: any failure is a miss
#[test]
fn a_peer_that_does_not_answer_is_lost_but_its_voters_hold_the_lease() {
    let (mut a, _) = running(2);
    for n in 1..=3_u64 {
        let (_, sent) = a.beat(at(1_000 + n * 1_000).time).unwrap();
        a.on_beat_reply(at(1_500 + n * 1_000), sent, None);
    }
    assert!(!a.found_peer());
    assert!(a.take_news().contains(&News::PeerLost));
    a.heard_from(at(8_000), 1, &here());
    a.observe(at(14_000).time);
    assert!(a.may_act(at(14_000)));
    assert!(a.beat(at(14_000).time).is_some(), "it is still looked for");
}

// rules 12, 13
#[test]
fn with_the_standby_out_of_sight_the_electorate_is_frozen() {
    let (mut a, _) = running(3);
    a.voter_registered(at(1_100).time, 9, terms(true));
    for voter in [1, 2] {
        a.voter_removed(at(1_200).time, &voter);
    }
    let three: BTreeSet<u8> = [1, 2, 3].into();
    assert_eq!(a.electorate.agreed(), &three);
    a.heard_from(at(5_000), 3, &here());
    a.heard_from(at(5_000), 9, &here());
    a.observe(at(8_600).time);
    assert_eq!(a.whys(), [Why::LeaseExpired], "one of three holds nothing");
}

// rule 12
#[test]
fn a_change_is_proposed_in_contact_and_counts_beside_the_old_set_until_acknowledged() {
    let (mut a, mut b) = running(2);
    a.voter_registered(at(1_100).time, 3, terms(true));
    b.voter_registered(at(1_100).time, 3, terms(true));
    assert!(beat(&mut a, &mut b, at(1_200)));
    assert!(
        a.electorate.proposed().is_some(),
        "the peer has told of its member"
    );
    let (news, _) = a.beat(at(1_300).time).unwrap();
    b.on_beat(at(1_300), &news).unwrap();
    assert_eq!(b.electorate.agreed().len(), 3);
    a.heard_from(at(5_000), 1, &here());
    a.observe(at(8_900).time);
    assert_eq!(
        a.whys(),
        [Why::LeaseExpired],
        "one of two, but not two of three"
    );
}

// rule 13
#[test]
fn a_standby_that_restarted_is_sent_the_whole_electorate_again() {
    let (mut a, _) = running(2);
    let mut c = server(3, at(2_000));
    greet(&mut c, &mut a, at(2_100));
    assert!(beat(&mut a, &mut c, at(2_200)));
    assert_eq!(c.electorate.agreed().len(), 2);
}

// rule 14
#[test]
fn who_leaves_keeps_its_seat_until_both_have_agreed_without_it() {
    let (mut a, mut b) = running(2);
    a.voter_removed(at(2_000).time, &1);
    b.voter_removed(at(2_000).time, &1);
    assert!(a.electorate.contains(&1) && b.electorate.contains(&1));
    for now in [2_100, 2_600, 3_100] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    assert!(!a.electorate.contains(&1));
    assert!(!b.electorate.contains(&1));
}

// rule 20
#[test]
fn a_reference_voter_holds_only_what_an_update_proves() {
    let (mut a, _) = running(1);
    a.voters.find_mut(&1).unwrap().terms.extended = false;
    a.heard_from(at(5_000), 1, &here());
    a.update_answered(at(5_100), &1, at(4_900).time, true);
    assert_eq!(
        a.voters.held_until(a.electorate.agreed(), |_| TIMEOUT),
        Some(at(8_500).time)
    );
    a.update_answered(at(5_200), &1, at(5_001).time, true);
    assert_eq!(
        a.voters.held_until(a.electorate.agreed(), |_| TIMEOUT),
        Some(at(12_500).time)
    );
    a.update_answered(at(5_300), &1, at(5_250).time, false);
    assert_eq!(
        a.voters.held_until(a.electorate.agreed(), |_| TIMEOUT),
        None
    );
}

// rule 20
#[test]
fn an_answer_that_nothing_proved_in_one_activation_does_not_hide_those_of_the_next() {
    let (mut a, _) = running(1);
    let voter = a.voters.find_mut(&1).unwrap();
    voter.terms.extended = false;
    voter.answered(at(5_001).time, (at(5_000).time, 1), &here(), true);
    voter.answered(at(6_001).time, (at(6_000).time, 1), &here(), false); // a vote
    voter.updated(at(6_500).time, true);
    voter.answered(at(7_001).time, (at(7_000).time, 1), &here(), true);
    voter.updated(at(7_100).time, true);
    assert_eq!(
        a.voters.held_until(a.electorate.agreed(), |_| TIMEOUT),
        Some(at(14_500).time)
    );
}

// rule 20: the update had been processed before, and its answer came late
#[test]
fn an_update_that_was_on_its_way_proves_no_answer() {
    let (mut a, _) = running(1);
    let voter = a.voters.find_mut(&1).unwrap();
    voter.terms.extended = false;
    let held = voter.acknowledged;
    voter.answered(at(5_300).time, (at(5_000).time, 1), &here(), true);
    voter.updated(at(5_200).time, true);
    assert_eq!(voter.acknowledged, held);
    voter.answered(at(6_300).time, (at(6_000).time, 1), &here(), true);
    voter.updated(at(6_200).time, true);
    assert_eq!(
        voter.acknowledged,
        Some(at(5_000).time),
        "the first of the two"
    );
    voter.updated(at(6_400).time, true);
    assert_eq!(voter.acknowledged, Some(at(6_000).time), "the last");
}

// rule 21
#[test]
fn when_most_voters_keep_skipping_it_steps_down() {
    let (mut a, mut b) = running(3);
    for now in (1_100..9_000).step_by(100) {
        assert!(beat(&mut a, &mut b, at(now)), "held by its peer");
        a.update_answered(at(now), &1, at(now).time, false);
        a.update_answered(at(now), &2, at(now).time, now % 200 == 0);
    }
    assert!(a.may_act(at(9_000)), "one of three");
    for now in (9_000..16_400).step_by(100) {
        assert!(beat(&mut a, &mut b, at(now)));
        a.update_answered(at(now), &1, at(now).time, false);
        a.update_answered(at(now), &2, at(now).time, false);
    }
    a.update_answered(at(16_400), &1, at(16_400).time, false);
    assert_eq!(a.whys(), [Why::Skipped]);
}

fn with_peer_timeout(n: i64, seconds: u64) -> Pair<u8> {
    let config = Config {
        limits: Limits::new(Duration::from_secs(seconds), TIMEOUT, WAIT),
        ..config()
    };
    Pair::new(config, id(n), at(0).time)
}

// rules 1, 7: the two have different T_p
#[test]
fn different_peer_timeouts_never_two_leased_actives() {
    let (mut a, mut b) = (with_peer_timeout(1, 30), with_peer_timeout(2, 10));
    greet(&mut b, &mut a, at(500));
    assert!(beat(&mut a, &mut b, at(600)));
    for voter in 1..=3 {
        a.voter_registered(at(700).time, voter, terms(true));
        b.voter_registered(at(700).time, voter, terms(true));
    }
    for now in [800, 900, 1_000] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    for now in [11_100, 11_200] {
        for voter in 1..=3 {
            b.heard_from(at(now), voter, &ours(true));
        }
    }
    a.observe(at(11_200).time);
    assert!(
        !(a.may_act(at(11_200)) && b.may_act(at(11_200))),
        "two leased actives"
    );
}

// rules 1, 8: what the former process acknowledged held for the time that it named
#[test]
fn a_new_process_of_the_peer_makes_no_old_acknowledgement_longer() {
    let (mut a, mut b) = (with_peer_timeout(1, 30), with_peer_timeout(2, 10));
    greet(&mut b, &mut a, at(500));
    assert!(beat(&mut a, &mut b, at(1_000)));
    let mut b = with_peer_timeout(3, 10);
    let hello = b.hello(at(2_000).time).0;
    a.on_hello(at(2_000), &hello);
    assert!(a.may_act(at(8_499)));
    assert!(!a.may_act(at(8_500)), "7.5 s after the last one was sent");
}

// rules 1, 3: the driver asks before each piece of a long message, not after each answer
#[test]
fn a_fence_does_not_lapse_while_acknowledgements_of_a_short_limit_come_in() {
    let (mut a, mut b) = running(0);
    let short = Terms {
        timeout: Duration::from_millis(400),
        extended: true,
    };
    a.voter_registered(at(1_000).time, 1, short);
    b.voter_registered(at(1_000).time, 1, short);
    for now in [1_100, 1_200, 1_300] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    // B is gone. The voter answers every 60 ms, each answer holds for 300 ms.
    for now in 1_400..20_000 {
        if a.deadline(at(now - 1).time) == Some(at(now).time) {
            assert!(a.may_act(at(now)), "over before it is looked at, at {now}");
            a.tick(at(now));
        }
        if now % 60 == 0 {
            a.heard_from(at(now), 1, &here());
        }
        assert!(a.may_act(at(now)), "at {now}");
    }
}

/// Voter 1 alone holds the lease, by a heartbeat of 8,600 until 16,100; the peer no longer does.
fn held_by_a_voter() -> Pair<u8> {
    let (mut a, _) = running(1);
    a.heard_from(at(5_000), 1, &here());
    a.tick(at(8_400));
    a.heard_from(at(8_600), 1, &here());
    a.tick(at(9_000));
    assert_eq!(a.fence().unwrap().until, Some(at(16_100).time));
    a
}

fn limit(millis: u64) -> Terms {
    Terms {
        timeout: Duration::from_millis(millis),
        extended: true,
    }
}

// rules 1, 4, 20: nobody need come along for the role to end with the lease
#[test]
fn a_lease_that_becomes_too_short_to_hold_ends_the_role_at_once() {
    let mut a = held_by_a_voter();
    a.voter_registered(at(9_300).time, 1, limit(400)); // it held until 8,900
    assert_eq!(a.whys(), [Why::LeaseExpired]);

    let mut a = held_by_a_voter();
    a.voters.find_mut(&1).unwrap().terms.extended = false;
    a.update_answered(at(9_300), &1, at(9_200).time, false);
    assert_eq!(a.whys(), [Why::LeaseExpired]);

    let mut a = held_by_a_voter();
    let mut short = BeatReply {
        accepted: true,
        highest: None,
        is_active: false,
        electorate_version: None,
        members_version: a.peer.members_version,
        members: Some([1].into()),
        short_limits: [(1, Duration::from_millis(400))].into(),
        patience: None,
    };
    a.learn_members(at(9_300).time, &mut short);
    assert_eq!(a.whys(), [Why::LeaseExpired]);
}

// rules 1, 4
#[test]
fn a_lease_that_becomes_shorter_is_looked_at_before_it_ends() {
    let mut a = held_by_a_voter();
    a.voter_registered(at(9_370).time, 1, limit(1_040)); // it holds until 9,380
    assert_eq!(a.fence().unwrap().until, Some(at(9_380).time));
    let due = a.deadline(at(9_370).time).unwrap();
    assert!(due <= at(9_380).time, "{due}");
    a.tick(at(9_380));
    assert_eq!(a.whys(), [Why::LeaseExpired]);
}
