//! Handshakes, goodbyes, strangers, epochs (H-3, H-5, rules 7, 10, 15 to 17).

use super::*;

// H-5e, rule 7
#[test]
fn the_lower_id_is_active_once_its_claim_is_acknowledged() {
    let (mut a, mut b) = (server(1, at(0)), server(2, at(0)));
    let (hello, sent) = b.hello(at(10).time);
    let welcome = a.on_hello(at(11), &hello).unwrap();
    assert!(welcome.active);
    assert!(!a.may_act(at(11)), "a claim is not a lease");
    b.on_welcome(at(12), sent, &welcome);
    assert_eq!(b.role(), Role::Standby);
    assert!(beat(&mut a, &mut b, at(13)));
    assert!(a.may_act(at(13)));
    assert_eq!(a.whys(), [Why::Acknowledged]);
}

// H-3, rule 7: the other way round the answer is a promise
#[test]
fn a_grant_makes_active_and_binds_the_one_who_gives_it() {
    let (mut a, mut b) = (server(1, at(0)), server(2, at(0)));
    b.voter_registered(at(0).time, 1, terms(true));
    greet(&mut a, &mut b, at(5_000));
    assert!(
        a.may_act(at(5_000)) && !a.may_act(at(12_500)),
        "from its sending, for L"
    );
    for now in (5_100..15_000).step_by(100) {
        b.heard_from(at(now), 1, &ours(true));
        assert_eq!(
            b.role(),
            Role::Standby,
            "no takeover within T_p of the grant"
        );
    }
    b.heard_from(at(15_001), 1, &ours(true));
    assert!(b.may_act(at(15_001)));
}

// rule 7
#[test]
fn an_old_grant_and_one_overtaken_by_an_own_promise_are_void() {
    let (mut a, mut b) = (server(1, at(0)), server(2, at(0)));
    let (hello, sent) = a.hello(at(0).time);
    let welcome = b.on_hello(at(1), &hello).unwrap();
    a.on_welcome(at(7_500), sent, &welcome);
    assert_eq!(a.role(), Role::Starting, "older than L");

    let (hello, sent) = a.hello(at(8_000).time);
    let welcome = b.on_hello(at(8_001), &hello).unwrap();
    let mut forced = b.hello(at(8_002).time).0;
    forced.force = true;
    assert!(!a.on_hello(at(8_003), &forced).unwrap().active);
    a.on_welcome(at(8_004), sent, &welcome);
    assert_eq!(
        a.role(),
        Role::Standby,
        "it has promised something else meanwhile"
    );
}

// H-5c, H-5d, H-5f, H-20: force
#[test]
fn the_forced_one_becomes_active_and_of_two_the_one_that_is() {
    let (mut a, mut b) = running(1);
    b.config.force = true;
    greet(&mut b, &mut a, at(2_000));
    assert_eq!((a.role(), b.role()), (Role::Standby, Role::Active));
    assert_eq!(a.whys(), [Why::PeerForced, Why::PeerForced]);
    assert!(b.epoch() > a.epoch());
    a.config.force = true;
    greet(&mut a, &mut b, at(3_000));
    assert_eq!((a.role(), b.role()), (Role::Standby, Role::Active));

    let (mut a, mut b) = (server(1, at(0)), server(2, at(0)));
    b.config.force = true;
    greet(&mut a, &mut b, at(10));
    assert!(beat(&mut b, &mut a, at(11)));
    assert_eq!((a.role(), b.role()), (Role::Standby, Role::Active));
}

// rules 7, 10, H-5f: packets that a network had lost arrive when it is whole again
#[test]
fn a_claim_on_a_greeting_from_before_does_not_unseat_who_acts_now() {
    let (mut a, mut b) = running(1);
    b.tick(at(11_000));
    let old = b.hello(at(11_000).time).0;
    b.heard_from(at(11_001), 1, &ours(true));
    assert!(b.may_act(at(11_001)) && !a.may_act(at(11_001)));
    a.tick(at(12_000));
    assert!(a.on_hello(at(12_000), &old).unwrap().active, "a claims");
    assert!(!beat(&mut a, &mut b, at(12_001)));
    assert!(b.may_act(at(12_001)), "and b goes on");
    assert_eq!(a.beat(at(12_002).time), None, "that was all of the claim");
    assert_eq!(a.role(), Role::Recovery);
    greet(&mut a, &mut b, at(12_003));
    assert_eq!((a.role(), b.role()), (Role::Standby, Role::Active));
}

// rule 7, H-5f: the same, but the old one answers while the greeting is still waited for
#[test]
fn a_claim_as_the_answer_to_a_greeting_from_before_does_not_unseat_who_acts_now() {
    let (mut a, mut b) = running(1);
    b.tick(at(11_000));
    let (old, sent) = b.hello(at(11_000).time);
    b.heard_from(at(11_001), 1, &ours(true));
    a.tick(at(11_002));
    let welcome = a.on_hello(at(11_002), &old).unwrap();
    b.on_welcome(at(11_003), sent, &welcome);
    assert!(welcome.active && b.may_act(at(11_003)));
    assert!(!beat(&mut a, &mut b, at(11_004)) && beat(&mut b, &mut a, at(11_005)));
    assert_eq!((a.role(), b.role()), (Role::Standby, Role::Active));

    // A reference peer has no epochs, so its word must do.
    let (old, sent) = b.hello(at(11_006).time);
    let highest = None;
    b.on_welcome(at(11_007), sent, &Welcome { highest, ..welcome });
    assert!(old.active.is_some() && !b.role().acts());
}

// H-5e with addresses
#[test]
fn addresses_decide_if_they_are_the_priority() {
    let mut low = server(2, at(0));
    low.config.address_as_priority = true;
    let mut hello = server(1, at(0)).hello(at(1).time).0;
    hello.address = Text::from("host:2");
    assert!(low.on_hello(at(1), &hello).unwrap().active);
}

// H-5b, W9
#[test]
fn a_peer_that_is_itself_changes_nothing() {
    let mut a = server(1, at(0));
    let (hello, sent) = a.hello(at(1).time);
    let welcome = a.on_hello(at(1), &hello).unwrap();
    assert_eq!(welcome.id, StatestoreId::default());
    a.on_welcome(at(2), sent, &welcome);
    assert_eq!(a.role(), Role::Starting);
    assert!(a.take_news().contains(&News::PeerIsMyself));
}

// W34, rule 10
#[test]
fn a_beat_of_a_stranger_or_for_another_process_is_refused() {
    let (mut a, mut b) = running(1);
    let (beat, _) = a.beat(at(1_100).time).unwrap();
    for (src, dst) in [(id(9), id(2)), (id(1), id(9))] {
        let stray = Beat {
            src,
            dst,
            ..beat.clone()
        };
        assert_eq!(b.on_beat(at(1_100), &stray), Err(Stranger { own: id(2) }));
    }
    assert_eq!(b.heard, at(1_000).time);
}

// rule 10: also where the restarted standby cannot connect to the active itself
#[test]
fn a_restarted_standby_is_recognised_by_its_answer_to_a_beat() {
    let (mut a, _) = running(1);
    let mut c = server(3, at(1_100));
    let (stray, sent) = a.beat(at(1_200).time).unwrap();
    let Stranger { own } = c.on_beat(at(1_200), &stray).unwrap_err();
    a.on_other_process(at(1_200), sent, own);
    assert!(beat(&mut a, &mut c, at(1_300)));
    assert_eq!((c.role(), c.electorate.agreed().len()), (Role::Standby, 1));
}

// rule 12: messages may overtake each other
#[test]
fn a_late_beat_does_not_bring_back_an_older_electorate() {
    let (mut a, mut b) = running(1);
    for voter in [2, 3] {
        a.voter_registered(at(1_100).time, voter, terms(true));
        b.voter_registered(at(1_100).time, voter, terms(true));
        if voter == 2 {
            assert!(beat(&mut a, &mut b, at(1_200)));
        }
    }
    let (late, _) = a.beat(at(1_300).time).unwrap();
    assert_eq!(late.electorate.as_ref().unwrap().len(), 2);
    for now in [1_400, 1_500, 1_600] {
        assert!(beat(&mut a, &mut b, at(now)));
    }
    assert_eq!(b.electorate.agreed().len(), 3);
    b.on_beat(at(1_700), &late).unwrap();
    assert_eq!(b.electorate.agreed().len(), 3);
}

// rules 10, 17, W3: the lower one steps down at once
#[test]
fn of_two_active_ones_the_lower_epoch_yields_at_contact() {
    let (mut a, mut b) = running(1);
    b.force(at(1_500));
    assert!(b.epoch() > a.epoch());
    let (low, sent) = a.beat(at(1_600).time).unwrap();
    let reply = b.on_beat(at(1_600), &low).unwrap();
    assert!(!reply.accepted && reply.is_active);
    a.on_beat_reply(at(1_600), sent, Some(reply));
    assert_eq!(a.role(), Role::Recovery);
    assert_eq!(a.whys(), [Why::HigherEpoch(b.epoch())]);
    assert!(beat(&mut b, &mut a, at(1_700)));
    assert_eq!(a.role(), Role::Standby);
}

// rule 17: it does not raise its own
#[test]
fn an_epoch_learned_from_a_voter_ends_the_own_one_for_good() {
    let (mut a, _) = running(2);
    let higher = Epoch(a.epoch().0 + 2);
    let reply = VoterReply {
        highest: Some(higher),
        ..here()
    };
    a.heard_from(at(1_100), 1, &reply);
    assert!(!a.may_act(at(1_100)));
    assert_eq!(a.whys(), [Why::HigherEpoch(higher)]);
    let nonsense = Some(Epoch(i64::MAX));
    let (mut a, _) = running(2);
    a.heartbeat_failed(at(1_100), &1, nonsense);
    assert!(a.may_act(at(1_100)), "P9");
}

// rule 15
#[test]
fn after_the_standby_left_no_lease_is_needed_and_nothing_of_it_counts() {
    let (mut a, mut b) = running(2);
    let (_, sent) = a.beat(at(1_100).time).unwrap();
    assert_eq!(b.resign(at(1_200).time), Some(id(1)));
    assert!(a.peer_left(at(1_200), id(2)));
    a.on_beat_reply(at(1_300), sent, None);
    assert!(a.may_act(at(60_000)));
    assert_eq!(a.beat(at(1_300).time), None);
    assert_eq!(a.on_hello(at(1_400), &b.hello(at(1_400).time).0), None);
    for now in (12_000..13_000).step_by(100) {
        b.heard_from(at(now), 1, &ours(true));
        b.heard_from(at(now), 2, &ours(true));
    }
    assert_eq!(b.role(), Role::Standby, "it has promised");
    let mut c = server(3, at(60_000));
    greet(&mut c, &mut a, at(60_100));
    assert_eq!(c.role(), Role::Standby);
    assert!(beat(&mut a, &mut c, at(60_200)));
    assert!(
        a.may_act(at(60_300)) && !a.may_act(at(67_700)),
        "leased again"
    );
}

// rule 15, the other way round: nobody has to wait for an active that says goodbye
#[test]
fn when_the_active_stops_on_purpose_the_standby_acts_at_once() {
    let (mut a, mut b) = running(2);
    assert_eq!(a.resign(at(1_200).time), Some(id(2)));
    assert!(!a.may_act(at(1_200)));
    assert!(b.peer_left(at(1_201), id(1)));
    assert!(b.may_act(at(1_201)) && b.epoch() > a.epoch());
    assert_eq!(
        (a.whys(), b.whys()),
        (vec![Why::Stopping], vec![Why::PeerLeft])
    );
    a.tick(at(60_000));
    assert_eq!(a.role(), Role::Recovery);
}

// H-13, for a peer that knows no epochs
#[test]
fn the_eleventh_beat_of_a_reference_peer_ends_a_dual_active() {
    let (mut a, _) = running(1);
    let stray = Beat {
        src: id(2),
        dst: id(1),
        epoch: None,
        claims: false,
        electorate_version: 0,
        electorate: None,
        known_members: 0,
        patience: None,
    };
    for n in 0..10_u64 {
        a.on_beat(at(1_100 + n), &stray).unwrap();
        assert!(a.may_act(at(1_100 + n)));
    }
    a.on_beat(at(1_200), &stray).unwrap();
    assert_eq!(a.whys(), [Why::DualActive]);
}

/// One that is alone and serves nobody; it began later than anybody here.
fn unknown(n: i64) -> Pair<u8> {
    let mut alone = server(n, at(900));
    alone.tick(at(2_900));
    assert_eq!(alone.whys(), [Why::Alone]);
    alone
}

// rule 18
#[test]
fn one_that_is_alone_and_serves_nobody_deposes_nobody_at_contact() {
    // its greeting arrives
    let (mut a, _) = running(1);
    let mut c = unknown(3);
    greet(&mut c, &mut a, at(3_000));
    assert!(a.may_act(at(3_001)) && !c.role().acts());

    // the other one's heartbeat
    let (mut a, _) = running(1);
    let mut c = unknown(3);
    let hello = c.hello(at(3_000).time).0;
    a.on_hello(at(3_000), &hello);
    assert!(beat(&mut a, &mut c, at(3_001)), "it yields");
    assert!(a.may_act(at(3_002)) && !c.role().acts());

    // its heartbeat
    let (mut a, _) = running(1);
    let mut c = unknown(3);
    let hello = c.hello(at(3_000).time).0;
    let welcome = a.on_hello(at(3_000), &hello).unwrap();
    c.meet(at(3_001).time, welcome.id, true);
    assert!(!beat(&mut c, &mut a, at(3_001)));
    assert!(a.may_act(at(3_002)) && !c.role().acts());

    // the other one's greeting, after its own standby had left
    let (mut a, b) = running(1);
    assert!(a.peer_left(at(2_000), b.id));
    let mut c = unknown(3);
    greet(&mut a, &mut c, at(3_000));
    assert!(a.role().acts() && !c.role().acts());
}

// rules 12, 16: a late heartbeat of the claim would name another electorate under the same epoch
#[test]
fn the_epoch_of_a_claim_that_failed_is_not_taken_again() {
    let (mut a, mut b) = (server(1, at(0)), server(2, at(0)));
    a.voter_registered(at(100).time, 1, terms(true));
    let early = Now {
        wall: Wall(0),
        ..at(500)
    };
    let hello = b.hello(early.time).0;
    assert!(a.on_hello(early, &hello).unwrap().active);
    let claimed = a.beat(early.time).unwrap().0.epoch.unwrap();
    let late = Now {
        wall: Wall(0),
        ..at(11_000)
    };
    a.tick(late);
    a.heartbeat_answered(late, &1, (late.time, 1), &ours(true));
    assert!(a.may_act(late) && a.epoch() > claimed);
}
