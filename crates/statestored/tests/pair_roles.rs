//! Who of two becomes active when somebody insists, is alone, or is hard to reach (H-1 to H-5,
//! H-9, H-20; behaviour.md 6.6).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::pair::{Pair, await_role};
use common::subscriber::call;
use common::voter::{Voter, join};
use common::{Statestored, eventually};
use statestore_wire::{
    ForceStatestoreActiveRequest, ForceStatestoreActiveResponse, GetProtocolVersionRequest,
    ProtocolVersion, SetStatestoreDebugActionRequest, UniqueId,
};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const FORCE: &str = "--statestore_force_active";
const RECOVERY: &str = "statestore.in-ha-recovery-mode";

/// Waits until exactly one is active and the other stands by; true if it is the first.
fn await_one_active(first: &Statestored, second: &Statestored) -> bool {
    eventually("one active, one standby", || {
        let roles = [first, second].map(|one| one.json("/ha")["role"].clone());
        match [roles[0].as_str()?, roles[1].as_str()?] {
            ["active", "standby"] => Some(true),
            ["standby", "active"] => Some(false),
            _ => None,
        }
    })
}

// H-2, H-4, R-10; observability.md section 3: start order
#[test]
fn one_alone_opens_its_service_and_becomes_active_only_after_the_preemption_wait() {
    let start = Instant::now();
    let pair = Pair::new(&[]);
    let mut alone = pair.launch(0, &[]);
    let before = alone.json("/jsonmetrics");
    let (health, _) = common::http(alone.web, "GET", "/healthz").unwrap();
    // On a machine that is busy enough the wait may be over by now.
    if start.elapsed() < Duration::from_millis(900) {
        assert_eq!(before["statestore.service-started"], false);
        assert_eq!(before["statestore.active-status"], false);
        assert_eq!(health, 503);
    }
    TcpStream::connect(pair.ha(0)).expect("the HA port is open from the start (H-1)");
    alone.await_ready();
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    let page = alone.json("/ha");
    assert_eq!(
        (&page["role"], &page["seed_role"]),
        (&"active".into(), &"primary".into())
    );
    assert_eq!(page["rests_on"], "nobody else being there");
    assert_eq!(
        alone.metric("statestore.connected-with-peer-statestored"),
        false
    );

    // The second one comes later and takes nothing away (H-5f).
    let mut later = pair.launch(1, &[]);
    later.await_ready();
    await_role(&later, "standby");
    assert!(alone.is_active());
    eventually("a lease instead", || {
        (alone.json("/ha")["rests_on"] == "a lease").then_some(())
    });
}

// H-5c: result 4 of behaviour.md 6.6
#[test]
fn who_insists_when_it_starts_becomes_active_and_its_peer_stands_by() {
    let (pair, first, second) = Pair::start(&[]);
    let voter = Voter::new("a");
    join(std::slice::from_ref(&voter), &first, &second);
    drop(second);
    let mut forced = pair.launch(1, &[FORCE]);
    forced.await_ready();
    await_role(&forced, "active");
    await_role(&first, "standby");
    voter.join(1, &forced);
    voter.await_update(1);
}

// H-5d, H-5f: result 5 of behaviour.md 6.6
#[test]
fn of_two_that_both_insist_exactly_one_is_active() {
    let pair = Pair::new(&[FORCE]);
    let (mut first, mut second) = (pair.launch(0, &[]), pair.launch(1, &[]));
    first.await_ready();
    second.await_ready();
    await_one_active(&first, &second);
}

// H-31, W20; flags.md section 10: result 6 of behaviour.md 6.6
#[test]
fn injected_failures_of_first_attempts_change_nothing_but_counters() {
    let actions = "--debug_actions=STATESTORE_HA_HANDSHAKE_FIRST_ATTEMPT:FAIL@1.0|\
                   SEND_UPDATE_STATESTORED_RPC_FIRST_ATTEMPT:FAIL@1.0";
    let pair = Pair::new(&[actions]);
    let (mut first, mut second) = (pair.launch(0, &[]), pair.launch(1, &[]));
    first.await_ready();
    second.await_ready();
    let first_is_active = await_one_active(&first, &second);
    let (active, standby) = match first_is_active {
        true => (first, second),
        false => (second, first),
    };
    let peer = "Injected RPC error to 127.0.0.1:";
    active.await_log(peer);
    standby.await_log(peer);
    let voter = [Voter::new("a")];
    join(&voter, &active, &standby);
    drop(active);
    await_role(&standby, "active");
    voter[0].await_update(1);
    let told = |what: &str| standby.metric(&format!("statestore.num-{what}-statestored-role-rpc"));
    assert_eq!(told("failed-update"), 1);
    assert_eq!(told("successful-update"), 1);
}

fn switch_network(of: &Statestored, disabled: bool) {
    let request = SetStatestoreDebugActionRequest {
        protocol_version: ProtocolVersion::V2,
        disable_network: Some(disabled),
    };
    assert!(call(of.rpc, &request).unwrap().status.is_ok());
}

// H-9, H-11, H-20: result 7 of behaviour.md 6.6
#[test]
fn an_active_without_network_loses_its_role_and_comes_back_as_standby() {
    let (_pair, first, second) = Pair::start(&["--debug_actions=DISABLE_STATESTORE_NETWORK"]);
    let voters = ["a", "b"].map(Voter::new);
    join(&voters, &first, &second);
    switch_network(&first, true);
    await_role(&second, "active");
    assert!(!first.is_active());
    eventually("recovery", || {
        (first.metric(RECOVERY) == true).then_some(())
    });
    let refused = call(first.rpc, &voters[0].subscriber.request(&[])).unwrap();
    let text = "Reject registration since network is disabled.";
    assert_eq!(refused.status.message(), text);
    switch_network(&first, false);
    await_role(&first, "standby");
    assert_eq!(first.metric(RECOVERY), false);
    assert!(second.is_active());
}

fn force(at: &Statestored, id: UniqueId) -> ForceStatestoreActiveResponse {
    let request = ForceStatestoreActiveRequest {
        protocol_version: ProtocolVersion::V2,
        statestore_id: id,
    };
    call(at.rpc, &request).unwrap()
}

// ha.md section 4: an operator's way out
#[test]
fn an_operators_word_makes_a_standby_active_and_the_old_one_yields() {
    let (_pair, first, second) = Pair::start(&[]);
    let voter = Voter::new("a");
    join(std::slice::from_ref(&voter), &first, &second);
    let version = call(second.rpc, &GetProtocolVersionRequest::default()).unwrap();
    let id = version.statestore_id.unwrap();
    let other = force(&second, UniqueId { hi: 1, lo: 2 });
    assert!(
        !other.status.is_ok() && other.epoch.is_none(),
        "another process is meant"
    );
    assert!(first.is_active() && !second.is_active());
    let forced = force(&second, id);
    assert!(forced.status.is_ok(), "{:?}", forced.status);
    await_role(&first, "standby");
    assert_eq!(second.json("/ha")["epoch"], forced.epoch.unwrap().0);
    voter.await_update(1);

    let alone = Statestored::start(&[]);
    let version = call(alone.rpc, &GetProtocolVersionRequest::default()).unwrap();
    let refused = force(&alone, version.statestore_id.unwrap());
    assert!(!refused.status.is_ok(), "not one of a pair");
}
