//! Takeovers, starts alone, silence in turns (rules 5, 6, 8, 9, 18, 19; H-2, H-15 to H-19).

use super::*;

// rule 5, H-15, H-17
#[test]
fn a_majority_that_lost_it_and_silence_make_a_takeover() {
    let (_, mut b) = running(3);
    b.heard_from(at(11_050), 1, &ours(true));
    assert_eq!(b.role(), Role::Standby, "one of three");
    b.heard_from(at(11_100), 2, &ours(true));
    assert!(b.may_act(at(11_100)));
    assert_eq!(b.whys(), [Why::TakeOver { lost: 2, of: 3 }]);
    assert!(
        b.may_act(at(18_500)),
        "the votes' requests are its first lease"
    );
    assert!(!b.found_peer());
}

// rules 5, 12: the standby is lost with the answer that would have agreed on the first electorate
#[test]
fn where_nobody_was_agreed_on_yet_those_proposed_decide() {
    let (mut a, mut b) = (server(1, at(0)), server(2, at(0)));
    greet(&mut b, &mut a, at(500));
    assert!(beat(&mut a, &mut b, at(600)));
    for voter in 1..=3 {
        a.voter_registered(at(700).time, voter, terms(true));
        b.voter_registered(at(700).time, voter, terms(true));
    }
    assert!(
        beat(&mut a, &mut b, at(800)),
        "now it knows who is registered there"
    );
    assert!(a.electorate.agreed().is_empty() && a.electorate.proposed().is_some());
    a.observe(at(8_300).time);
    assert_eq!(
        a.role(),
        Role::Recovery,
        "only the peer could hold its lease"
    );
    a.whys();
    for now in (8_400..18_400).step_by(200) {
        a.heard_from(at(now), 1, &ours(true));
        a.heard_from(at(now), 2, &ours(true));
        a.tick(at(now));
    }
    assert_eq!(a.whys(), [Why::TakeOver { lost: 2, of: 3 }]);
    assert_eq!(a.electorate.agreed().len(), 3);
    assert!(a.view(at(18_400).time).unilateral);
}

// W4, H-19
#[test]
fn a_peer_that_answers_no_handshake_is_missed_too() {
    let (mut a, _) = running(3);
    a.observe(at(20_000).time);
    assert_eq!(a.role(), Role::Recovery);
    for now in 1..=3 {
        assert!(a.found_peer(), "{now}");
        a.hello_missed(at(20_000 + now).time);
    }
    assert!(!a.found_peer());
}

// H-14: the heartbeat alone shows that it is there again
#[test]
fn a_standby_says_once_that_its_active_is_found_again() {
    let (mut a, mut b) = running(3);
    for now in 2_000..2_003 {
        b.hello_missed(at(now).time);
    }
    let found = |news: &News| matches!(news, News::PeerFound { .. });
    let news = b.take_news();
    assert!(news.contains(&News::PeerLost) && !news.iter().any(found));
    let mut times = 0;
    for now in [3_000, 4_000] {
        assert!(beat(&mut a, &mut b, at(now)));
        times += b.take_news().iter().filter(|it| found(it)).count();
    }
    assert_eq!((times, b.found_peer()), (1, true));
}

// H-16
#[test]
fn while_the_active_is_heard_a_lost_majority_is_only_worth_a_warning() {
    let (mut a, mut b) = running(3);
    for now in (2_000..30_000).step_by(1_000) {
        assert!(beat(&mut a, &mut b, at(now)));
        for voter in 1..=3 {
            b.heard_from(at(now + 10), voter, &ours(true));
        }
    }
    assert_eq!(b.role(), Role::Standby);
    let warned = |news: &News| matches!(news, News::MajorityLostActive { lost, .. } if *lost >= 2);
    assert!(b.take_news().iter().any(warned));
}

// H-19: silence alone is no reason
#[test]
fn silence_without_votes_changes_nothing() {
    let (_, mut b) = running(2);
    for now in (2_000..60_000).step_by(500) {
        b.tick(at(now));
        b.heard_from(at(now), 1, &ours(false));
    }
    assert_eq!(b.role(), Role::Standby);
    let few = Obstacle::TooFewVotes {
        lost: 0,
        of: 2,
        needed: 2,
    };
    assert_eq!(b.view(at(60_000).time).obstacles, [few]);
}

// rule 6, W6: W = 1.5 s
#[test]
fn an_old_vote_does_not_count_and_an_ok_takes_it_back() {
    let (_, mut b) = running(2);
    b.heard_from(at(11_100), 1, &ours(true));
    b.heard_from(at(12_601), 2, &ours(true));
    assert_eq!(b.role(), Role::Standby);
    b.heard_from(at(12_602), 1, &ours(true));
    assert!(b.may_act(at(12_602)));

    let (_, mut b) = running(2);
    b.heard_from(at(11_100), 1, &ours(true));
    b.heard_from(at(11_200), 1, &ours(false));
    b.heard_from(at(11_300), 2, &ours(true));
    assert_eq!(b.role(), Role::Standby);
}

// rule 6
#[test]
fn voters_are_asked_briskly_when_a_takeover_is_near() {
    let (a, mut b) = running(2);
    assert_eq!(b.ask_period(at(9_499).time), None);
    assert_eq!(b.deadline(at(9_499).time), Some(at(9_500).time));
    assert_eq!(
        b.ask_period(at(9_500).time),
        Some(Duration::from_millis(100))
    );
    assert_eq!(a.ask_period(at(9_500).time), None);
    let later = Duration::from_millis(500);
    assert_eq!(b.ask_period(at(29_500).time), Some(later), "not for ever");
    b.heard_from(at(11_100), 1, &ours(true));
    b.heard_from(at(11_100), 2, &ours(true));
    assert_eq!(b.ask_period(at(11_100).time), None, "it is active");
}

// rule 9, W24, with r = 5 %
#[test]
fn an_unknown_counts_after_a_whole_timeout_on_one_connection() {
    let (_, mut b) = running(1);
    b.voters.find_mut(&1).unwrap().terms.extended = false;
    let unknown = says(ConnState::UNKNOWN);
    let say = |b: &mut Pair<u8>, now, connection| {
        b.heartbeat_answered(at(now), &1, (at(now).time, connection), &unknown);
    };
    say(&mut b, 2_000, 1);
    say(&mut b, 4_000, 2);
    for now in (4_500..14_500).step_by(500) {
        say(&mut b, now, 2);
        assert_eq!(b.role(), Role::Standby, "{now}");
    }
    b.heartbeat_failed(at(14_450), &1, None);
    say(&mut b, 14_500, 2);
    assert_eq!(b.role(), Role::Standby, "it may have restarted");
    say(&mut b, 25_001, 2);
    assert!(b.may_act(at(25_001)));
}

// H-2, rule 18
#[test]
fn without_a_peer_and_without_anybody_it_is_alone_after_the_wait() {
    let mut a = server(1, at(0));
    a.tick(at(1_999));
    assert_eq!(a.role(), Role::Starting);
    assert_eq!(a.deadline(at(1_999).time), Some(at(2_000).time));
    a.tick(at(2_000));
    assert_eq!(a.whys(), [Why::Alone]);
    assert!(a.may_act(at(1_000_000)));
    assert!(a.asks() && a.seeks_peer(at(3_000).time));

    a.voter_registered(at(3_000).time, 1, terms(true));
    assert!(!a.serves(&1), "not before it was asked");
    a.heard_from(at(3_001), 1, &says(ConnState::UNKNOWN));
    assert!(a.serves(&1));
    a.voter_registered(at(3_002).time, 2, terms(true));
    let follows = VoterReply {
        other_is_active: true,
        ..says(ConnState::OK)
    };
    a.heard_from(at(3_003), 2, &follows);
    assert!(
        !a.serves(&2) && a.may_act(at(3_003)),
        "one of two follows another"
    );
    a.heard_from(at(3_004), 1, &says(ConnState::OK));
    assert!(
        a.may_act(at(3_004)) && a.serves(&1),
        "hears it, but does not follow it"
    );
    a.heard_from(at(3_004), 1, &follows);
    assert_eq!(a.whys(), [Why::OthersHearPeer]);
}

// rules 8, 18, W5, W7
#[test]
fn after_a_restart_those_who_know_the_peer_decide_and_not_before_the_whole_timeout() {
    let mut b = server(2, at(0));
    b.voter_registered(at(100).time, 1, terms(true));
    for now in (200..10_000).step_by(200) {
        b.heard_from(at(now), 1, &ours(true));
        b.tick(at(now));
        assert_eq!(b.role(), Role::Starting, "{now}");
    }
    b.heard_from(at(10_000), 1, &ours(true));
    assert_eq!(b.whys(), [Why::TakeOver { lost: 1, of: 1 }]);
}

// rule 18: a first HA heartbeat makes an ordinary active of one that was alone
#[test]
fn who_was_alone_is_leased_once_a_peer_stands_by() {
    let mut a = server(1, at(0));
    a.tick(at(2_000));
    let mut b = server(2, at(3_000));
    greet(&mut b, &mut a, at(3_100));
    assert!(beat(&mut a, &mut b, at(3_200)));
    assert!(a.may_act(at(10_699)) && !a.may_act(at(10_700)));
    a.observe(at(10_700).time);
    assert_eq!(a.whys(), [Why::Alone, Why::LeaseExpired]);
}

// rule 19
#[test]
fn when_subscribers_hear_two_that_do_not_act_one_is_silent_sooner_or_later() {
    let pair = [server(1, at(0)), server(2, at(0))];
    let mut silences = pair.map(|mut server| {
        server.contacted = true;
        server.voter_registered(at(0).time, 1, terms(false));
        let mut rounds = Vec::new();
        for now in (0..400_000).step_by(1_000) {
            server.tick(at(now));
            server.heard_from(at(now), 1, &says(ConnState::OK));
            rounds.push(server.is_silent(at(now).time));
        }
        assert_eq!(server.role(), Role::Starting);
        rounds
    });
    let [a, b] = &mut silences;
    assert!(
        a.iter().zip(b).any(|(a, b)| *a != *b),
        "exactly one of them"
    );
}

// rule 19: ours say that the other acts
#[test]
fn nobody_is_silent_while_the_other_acts() {
    let mut b = server(2, at(0));
    b.voter_registered(at(0).time, 1, terms(true));
    let reply = VoterReply {
        other_is_active: true,
        ..ours(false)
    };
    for now in (0..400_000).step_by(1_000) {
        b.tick(at(now));
        b.heard_from(at(now), 1, &reply);
        assert!(!b.is_silent(at(now).time));
    }
}

// ha.md section 4, the operator's way out
#[test]
fn a_forced_one_acts_above_all_epochs_and_does_not_yield_at_once() {
    let (a, mut b) = running(3);
    let fence = b.force(at(1_500)).unwrap();
    assert!(fence.epoch > a.epoch() && b.may_act(at(1_500)));
    assert_eq!(b.whys(), [Why::Forced]);
    assert!(b.serves(&1));
    for voter in 1..=3 {
        b.heard_from(at(1_600), voter, &ours(false));
    }
    assert!(b.may_act(at(1_700)), "they will follow soon");
}

// rule 18
#[test]
fn an_unknown_of_long_ago_starts_nobody() {
    let mut a = server(1, at(0));
    a.voter_registered(at(100).time, 1, terms(true));
    a.heard_from(at(200), 1, &says(ConnState::UNKNOWN));
    a.heartbeat_failed(at(1_000), &1, None);
    a.tick(at(60_000));
    assert_eq!(a.role(), Role::Starting);
    a.heard_from(at(60_001), 1, &says(ConnState::UNKNOWN));
    assert!(a.serves(&1));
}

// rules 1, 5, 12: the standby vanished before it acknowledged that everybody had gone
#[test]
fn a_proposal_of_nobody_does_not_make_an_active_for_no_time_at_all() {
    let (mut a, mut b) = running(3);
    for voter in 1..=3 {
        a.voter_removed(at(1_100).time, &voter);
        b.voter_removed(at(1_100).time, &voter);
    }
    assert!(beat(&mut a, &mut b, at(1_200)));
    assert_eq!(a.electorate.proposed(), Some(&BTreeSet::new()));
    drop(b); // crashed
    for voter in 1..=3 {
        a.voter_registered(at(2_000).time, voter, terms(true));
    }
    let mut activations = 0;
    let mut acting = 0;
    for now in (2_000..60_000).step_by(100) {
        let lost = now > 12_000;
        for voter in 1..=3 {
            a.heard_from(at(now), voter, &ours(lost));
        }
        a.tick(at(now));
        activations += a
            .take_news()
            .iter()
            .filter(|n| matches!(n, News::Active { .. }))
            .count();
        acting += usize::from(now > 25_000 && a.may_act(at(now)));
    }
    assert!(
        acting > 300 && activations <= 1,
        "{activations} activations, acting {acting} of 350"
    );
}
