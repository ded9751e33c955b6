//! Two processes and their subscribers: who is active, who takes over, who does not
//! (behaviour.md 6.6; ha.md).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::pair::{Pair, TIMEOUT, await_role};
use common::voter::{Voter, join};
use common::{Statestored, eventually};
use rustix::process::Signal;
use std::time::Instant;

const TOLD: &str = "statestore.num-successful-update-statestored-role-rpc";

fn voters() -> Vec<Voter> {
    ["a", "b", "c"].map(Voter::new).into_iter().collect()
}

/// No message under a lower epoch was accepted after one under a higher.
fn epochs_only_rise(voter: &Voter) {
    let accepted = voter.said().into_iter().filter(|said| !said.refused);
    let epochs: Vec<_> = accepted.map(|said| said.epoch.unwrap()).collect();
    assert!(epochs.is_sorted(), "{epochs:?}");
}

// H-1 to H-3, H-5e, H-10, H-30; observability.md section 1
#[test]
fn of_two_that_start_together_the_lower_address_is_active_and_both_know_it() {
    let (_pair, first, second) = Pair::start(&[]);
    for (one, active) in [(&first, true), (&second, false)] {
        let metrics = one.json("/jsonmetrics");
        assert_eq!(metrics["statestore.active-status"], active);
        assert_eq!(metrics["statestore.connected-with-peer-statestored"], true);
        assert_eq!(metrics["statestore.in-ha-recovery-mode"], false);
        assert_eq!(metrics["statestore.service-started"], true);
        let status = if active { "Active" } else { "Standby" };
        assert_eq!(one.json("/")["statestore_active_status"], status);
    }
    let voters = voters();
    join(&voters, &first, &second);
    // H-32, S-10: a standby says nothing that only an active one says.
    let by = voters[0].said().into_iter().map(|said| said.by.to_string());
    let id = first.json("/ha")["statestore_id"].clone();
    assert!(by.into_iter().all(|by| id == by));
    assert_eq!(second.metric(TOLD), 0);
}

// H-15, H-17, H-30, H-31, W10, W22; ha.md rules 5, 6, 12, 16
#[test]
fn when_the_active_is_killed_the_standby_takes_over_and_the_old_one_comes_back_as_standby() {
    let (pair, first, second) = Pair::start(&[]);
    let voters = voters();
    join(&voters, &first, &second);
    let killed = Instant::now();
    drop(first);
    await_role(&second, "active");
    let took = killed.elapsed();
    assert!(took > TIMEOUT / 2, "not before the lease is over: {took:?}");
    assert!(took < 4 * TIMEOUT, "{took:?}");
    // Two votes suffice; the third may come later.
    second.await_log("of 3 subscribers lost it");
    voters.iter().for_each(|voter| voter.await_update(1));
    eventually("everybody was told", || {
        (second.metric(TOLD) == 3).then_some(())
    });
    let role = voters[0].roles().pop().unwrap();
    assert!(role.is_active && role.active_statestored_version > 0);

    let mut back = pair.launch(0, &[]);
    back.await_ready();
    await_role(&back, "standby");
    voters.iter().for_each(|voter| {
        voter.join(0, &back);
    });
    eventually("the pair is whole again", || {
        let page = second.json("/ha");
        (page["peer_found"] == true && page["rests_on"] == "a lease").then_some(())
    });
    assert!(second.is_active() && !back.is_active());
    assert_eq!(back.metric(TOLD), 0);
    voters.iter().for_each(epochs_only_rise);
}

// W1, H-16; ha.md rules 1 and 5
#[test]
fn without_the_votes_of_a_majority_nobody_takes_over_and_the_page_says_why() {
    let (_pair, first, second) = Pair::start(&[]);
    let voters = voters();
    join(&voters, &first, &second);
    voters[0].is_content();
    voters[1].is_content();
    drop(first);
    let page = eventually("too few votes after the whole silence", || {
        let page = second.json("/ha");
        let obstacles = page["obstacles"].as_array().unwrap().clone();
        let only_votes = obstacles.len() == 1
            && obstacles[0]
                == "1 of 3 voters have lost the \
            other statestored, 2 are needed";
        only_votes.then_some(page)
    });
    assert_eq!(page["role"], "standby");
    let votes = page["voters"].as_array().unwrap().iter();
    let lost = votes.filter(|row| row["vote_is_for_takeover"] == true);
    assert_eq!(lost.count(), 1);
    let all: Vec<_> = voters.iter().flat_map(Voter::said).collect();
    assert!(all.iter().all(|said| said.by == all[0].by));
}

// ha.md rules 1 to 4 and 17, W2: a pause longer than the lease
#[test]
fn an_active_that_was_stopped_and_goes_on_acts_no_more() {
    let (_pair, first, second) = Pair::start(&[]);
    let voters = voters();
    join(&voters, &first, &second);
    first.signal(Signal::STOP);
    await_role(&second, "active");
    voters.iter().for_each(|voter| voter.await_update(1));
    first.signal(Signal::CONT);
    await_role(&first, "standby");
    voters.iter().for_each(epochs_only_rise);
    // Our fence, not their refusal, is what kept it quiet.
    let refused = |voter: &Voter| voter.said().iter().filter(|said| said.refused).count();
    assert_eq!(voters.iter().map(refused).sum::<usize>(), 0);
    first.await_log("No longer the active");
}

// ha.md rule 15: both ways of stopping on purpose
#[test]
fn who_stops_on_purpose_says_so_and_nobody_waits() {
    let (pair, mut first, second) = Pair::start(&[]);
    let voters = voters();
    join(&voters, &first, &second);
    let rests_on_its_word = |one: &Statestored| {
        eventually("no lease is needed", || {
            let why = one.json("/ha")["rests_on"].clone();
            (why == "the peer having stopped on purpose").then_some(())
        });
    };
    first.signal(Signal::TERM);
    await_role(&second, "active");
    rests_on_its_word(&second);
    assert_eq!(first.wait().code(), Some(0));

    let mut third = pair.launch(0, &[]);
    third.await_ready();
    await_role(&third, "standby");
    eventually("a peer again", || {
        (second.json("/ha")["peer_found"] == true).then_some(())
    });
    third.signal(Signal::INT);
    assert_eq!(third.wait().code(), Some(0));
    rests_on_its_word(&second);
    voters.iter().for_each(epochs_only_rise);
}

// ha.md rule 9, H-34: subscribers of the reference have no extensions
#[test]
fn reference_subscribers_carry_a_takeover_too() {
    let (_pair, first, second) = Pair::start(&["--statestore_subscriber_timeout_seconds=2"]);
    let voters: Vec<_> = ["a", "b"].map(Voter::reference).into_iter().collect();
    join(&voters, &first, &second);
    drop(first);
    await_role(&second, "active");
    voters.iter().for_each(|voter| voter.await_update(1));
}
