//! The election's rules one by one, and its invariants over every state that it can reach.
#![allow(clippy::unwrap_used)]

use super::*;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;
use statestore_wire::UniqueId;

fn candidate(id: &str, drawn: i64) -> Candidate {
    Candidate {
        subscriber: Text::from(id),
        registration_id: RegistrationId(UniqueId { hi: 0, lo: drawn }),
    }
}

fn seats(election: &Election) -> (Option<&str>, Option<&str>) {
    let name = |c: &Candidate| match c.subscriber.as_bytes() {
        b"a" => "a",
        b"b" => "b",
        _ => "?",
    };
    (election.active().map(name), election.standby().map(name))
}

// C-1
#[test]
fn without_ha_each_registration_of_the_catalogd_is_announced() {
    let mut election = Election::new(false, false, false);
    assert_eq!(
        election.arrives(candidate("a", 1), false, false),
        Verdict::Announce
    );
    assert_eq!(
        election.arrives(candidate("a", 2), false, false),
        Verdict::Announce
    );
    assert_eq!(election.version(), 2);
    assert!(election.is_followed(&Text::from("a")));
}

// C-8
#[test]
fn of_two_the_lower_registration_id_leads_by_signed_order() {
    for (first, second, leader) in [(1, 2, "a"), (2, 1, "b"), (1, -1, "b")] {
        let mut election = Election::new(true, false, false);
        election.arrives(candidate("a", first), false, false);
        assert_eq!(election.active(), None);
        election.arrives(candidate("b", second), false, false);
        assert_eq!(seats(&election).0, Some(leader), "{first} against {second}");
    }
}

// C-10
#[test]
fn a_repeated_first_leads_when_the_wait_is_over() {
    let mut election = Election::new(true, false, false);
    election.arrives(candidate("a", 1), false, false);
    election.waited = true;
    assert_eq!(
        election.arrives(candidate("a", 2), false, false),
        Verdict::Announce
    );
}

// C-20, C-24
#[test]
fn a_former_active_that_returns_stands_by() {
    let mut election = Election::new(true, false, true);
    election.arrives(candidate("a", 1), false, false);
    election.arrives(candidate("b", 2), false, false);
    assert_eq!(election.leaves(&Text::from("a")), Verdict::Announce);
    assert_eq!(
        election.arrives(candidate("a", 3), false, false),
        Verdict::Unchanged
    );
    assert_eq!(seats(&election), (Some("b"), Some("a")));
    assert_eq!(
        election.arrives(candidate("a", 4), true, false),
        Verdict::Announce
    );
    assert_eq!(
        seats(&election),
        (Some("a"), Some("b")),
        "with force it takes over"
    );
}

// C-25, W27
#[test]
fn who_has_a_seat_is_always_admitted_and_a_third_never() {
    let mut election = Election::new(true, false, true);
    for id in ["a", "b"] {
        assert_eq!(election.admit(&Text::from(id)), Ok(()));
        election.arrives(candidate(id, 1), false, false);
    }
    assert_eq!(election.admit(&Text::from("a")), Ok(()));
    assert_eq!(election.admit(&Text::from("b")), Ok(()));
    let refusal = election.admit(&Text::from("c")).unwrap_err();
    assert!(format!("{refusal}").contains("'a' and 'b'"), "{refusal}");
}

/// Everything that can happen to an election of up to three catalogds.
fn next(election: &Election) -> Vec<(Election, Verdict)> {
    let mut all = Vec::new();
    let mut push = |change: &dyn Fn(&mut Election) -> Verdict| {
        let mut after = election.clone();
        let verdict = change(&mut after);
        all.push((after, verdict));
    };
    push(&Election::wait_is_over);
    for (id, drawn) in [("a", 2), ("b", 1), ("c", 3)] {
        push(&|e| e.leaves(&Text::from(id)));
        if election.admit(&Text::from(id)).is_err() {
            continue;
        }
        for (force, moved) in [(false, false), (true, false), (false, true)] {
            push(&|e| e.arrives(candidate(id, drawn), force, moved));
        }
    }
    all
}

/// The state without its counter, which is what repeats.
fn shape(election: &Election) -> Election {
    Election {
        version: 0,
        ..election.clone()
    }
}

// C-1..C-12, C-20..C-24
#[test]
fn in_every_reachable_state_the_version_rises_exactly_when_there_is_news() {
    for (ha, by_id, waited) in [
        (false, false, false),
        (true, false, false),
        (true, true, false),
        (true, false, true),
    ] {
        let mut seen = BTreeSet::new();
        let mut todo = Vec::from([Election::new(ha, by_id, waited)]);
        while let Some(before) = todo.pop() {
            if !seen.insert(format!("{:?}", shape(&before))) {
                continue;
            }
            for (after, verdict) in next(&before) {
                let rose = after.version - before.version;
                assert_eq!(rose, i64::from(verdict == Verdict::Announce));
                let leaders = (before.active().is_some(), after.active().is_some());
                assert_eq!(leaders == (true, false), verdict == Verdict::Vacant);
                let leader = |e: &Election| e.active().map(|c| c.subscriber.clone());
                if leader(&after).is_some() && leader(&before) != leader(&after) {
                    assert_eq!(verdict, Verdict::Announce, "a new leader is announced");
                }
                assert!(ha || after.standby().is_none());
                assert!(after.waited || !before.waited, "nobody waits again");
                todo.push(after);
            }
        }
        assert!(seen.len() > 3, "{} states", seen.len());
    }
}
