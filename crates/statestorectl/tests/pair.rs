//! A real pair on the command line: `ha`, `status`, `force-active`.
#![allow(clippy::unwrap_used)]

mod common;

use common::port::free_port;
use common::{Agent, Statestored, ctl, eventually, failure, stdout};
use serde_json::Value;

/// Two of a pair; the first is active, as it was there first.
fn pair() -> [Statestored; 2] {
    // Each has to know the other's port before that one is open.
    let ports = [(); 2].map(|()| free_port());
    let flags = |own: usize| {
        [
            "--enable_statestored_ha".to_owned(),
            "--state_store_peer_host=127.0.0.1".to_owned(),
            "--statestore_ha_preemption_wait_period_ms=300".to_owned(),
            format!("--state_store_ha_port={}", ports[own]),
            format!("--state_store_peer_ha_port={}", ports[1 - own]),
        ]
    };
    [0, 1].map(|own| {
        let flags = flags(own);
        Statestored::start(&flags.each_ref().map(String::as_str))
    })
}

fn role(of: &Statestored) -> Value {
    of.json(&["ha"])["role"].clone()
}

fn await_roles(first: (&Statestored, &str), second: (&Statestored, &str)) {
    eventually("the roles", || {
        let settled = role(first.0) == first.1 && role(second.0) == second.1;
        settled.then_some(())
    });
}

#[test]
fn the_pair_is_shown_of_one_side_or_of_both_side_by_side() {
    let [first, second] = pair();
    await_roles((&first, "active"), (&second, "standby"));
    let one = first.json(&["ha"]);
    assert_eq!(one["web"], format!("127.0.0.1:{}", first.web));
    assert_eq!(one["seed_role"], "primary");
    assert!(one["voters"].is_array() && one["obstacles"].is_array());
    assert_eq!(one["limits"]["peer_timeout_ms"], 30_000);

    let webs = [&first, &second].map(|one| format!("127.0.0.1:{}", one.web));
    let both = ctl(&["ha", &webs[0], &webs[1], "--json"]);
    let both: Value = serde_json::from_str(&stdout(both)).unwrap();
    let roles = [&both[0]["role"], &both[1]["role"]];
    assert_eq!(roles, ["active", "standby"]);
    let shown = stdout(ctl(&["ha", &webs[0], &webs[1]]));
    let line = |name: &str| {
        let mut lines = shown.lines().map(|line| line.replace('│', " "));
        let line = lines.find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_default()
    };
    let words = |name: &str| {
        line(name)
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words("role"), ["role", "active", "standby"], "{shown}");
    assert_eq!(words("web")[1..], webs, "{shown}");
    assert_eq!(words("peer_timeout_ms")[1], "30000", "{shown}");
    assert!(line("obstacles").contains("the peer was heard"), "{shown}");
    assert!(
        shown.contains("seen_by") && shown.contains("vote_age_ms"),
        "{shown}"
    );

    let status = second.json(&["status"]);
    assert_eq!(status["role"], "standby");
    assert_eq!(
        (&status["peer_connected"], &status["in_ha_recovery"]),
        (&true.into(), &false.into())
    );
    assert_eq!(status["peer"], both[1]["peer_address"]);
}

#[test]
fn what_does_not_answer_is_named_after_what_the_other_says() {
    let [first, second] = pair();
    let web = format!("127.0.0.1:{}", first.web);
    drop(second);
    let mut one_is_dead = ctl(&["ha", "127.0.0.1:1", &web]);
    let output = one_is_dead.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("active"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("http://127.0.0.1:1/ha"), "{said}");

    let alone = Statestored::start(&[]);
    let (code, said) = failure(alone.ctl(&["ha"]));
    assert!(code == 1 && said.contains("has no page /ha"), "{said}");
}

//
#[test]
fn who_asks_a_standby_for_a_topic_is_told_to_ask_the_other_one() {
    let [first, second] = pair();
    await_roles((&first, "active"), (&second, "standby"));
    let (code, said) = failure(second.ctl(&["get", "t", "--unchecked", "--timeout=3"]));
    assert!(code == 1 && said.contains("stands by"), "{said}");
}

// ha.md section 4
#[test]
fn a_standby_is_forced_only_with_the_risk_accepted() {
    let [first, second] = pair();
    await_roles((&first, "active"), (&second, "standby"));
    let (code, said) = failure(second.ctl(&["force-active"]));
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("--accept-two-actives") && said.contains("both act"),
        "{said}"
    );
    assert_eq!(role(&second), "standby");

    let done = second.json(&["force-active", "--accept-two-actives"]);
    await_roles((&first, "standby"), (&second, "active"));
    let page = second.json(&["ha"]);
    assert_eq!(done["epoch"], page["epoch"]);
    assert_eq!(done["statestore_id"], page["statestore_id"]);
    let shown = stdout(first.ctl(&["force-active", "--accept-two-actives"]));
    assert!(shown.contains("is active under epoch"), "{shown}");
    await_roles((&first, "active"), (&second, "standby"));

    let alone = Statestored::start(&[]);
    let (code, said) = failure(alone.ctl(&["force-active", "--accept-two-actives"]));
    assert!(code == 1 && said.contains("not one of a pair"), "{said}");
}

// The seed: what a subscriber knows of each statestored, also on the command line
#[test]
fn status_of_an_agent_says_what_it_knows_of_both() {
    let [first, second] = pair();
    await_roles((&first, "active"), (&second, "standby"));
    let agent = Agent::start("a", [&first, &second]);
    let web = format!("127.0.0.1:{}", agent.web);
    let status = || ctl(&["status", "--web", &web]);
    let document = || {
        let mut command = status();
        command.arg("--json");
        serde_json::from_str::<Value>(&stdout(command)).unwrap()
    };
    let found = eventually("heartbeats of both", || {
        let found = document();
        let rows = found["statestores"].as_array()?.clone();
        let heard = |row: &Value| row["last_heartbeat"].is_string();
        (rows.len() == 2 && rows.iter().all(heard)).then_some(found)
    });
    assert_eq!(found["web"], web);
    assert_eq!(found["subscriber_id"], "a");
    for (row, (of, role)) in found["statestores"]
        .as_array()
        .unwrap()
        .iter()
        .zip([(&first, "primary"), (&second, "standby")])
    {
        assert_eq!(row["address"], format!("127.0.0.1:{}", of.rpc));
        assert_eq!(
            (&row["role"], &row["registered"]),
            (&role.into(), &true.into())
        );
        assert!(row["missed_heartbeats"].is_u64() && row["epoch_refusals"].is_u64());
    }
    let shown = stdout(status());
    for name in [
        "last_heartbeat",
        "secs_since_heartbeat",
        "missed_heartbeats",
        "epoch",
    ] {
        assert!(shown.contains(name), "{name}: {shown}");
    }
    let row = |of: &Statestored| {
        let address = format!("127.0.0.1:{}", of.rpc);
        shown.lines().find(|line| line.contains(&address)).unwrap()
    };
    assert!(row(&first).contains("primary") && row(&second).contains("standby"));
}
