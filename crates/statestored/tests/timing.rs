//! When messages go out, with bounds that a busy machine keeps.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::subscriber::{Action, Subscriber, honest};
use common::{Statestored, eventually};
use std::time::{Duration, Instant};

const CATALOG: &str = "catalog-update";

// S-5
#[test]
fn heartbeats_keep_their_period() {
    let statestored = Statestored::start(&["--statestore_heartbeat_frequency_ms=200"]);
    let a = Subscriber::new("a");
    let start = Instant::now();
    a.register(statestored.rpc, &[]);
    a.await_heartbeats(11);
    let pauses = a.beat();
    assert!(
        pauses
            .iter()
            .all(|pause| *pause >= Duration::from_millis(195)),
        "{pauses:?}"
    );
    let median = a.median_beat(start);
    assert!(median < Duration::from_millis(400), "{pauses:?}");
}

// F-2, F-5
#[test]
fn a_dead_port_is_given_up_after_the_limit_of_missed_heartbeats() {
    let statestored = Statestored::start(&[
        "--statestore_heartbeat_frequency_ms=200",
        "--statestore_max_missed_heartbeats=5",
        // Nobody waits for it: a port that is closed says so.
        "--statestore_heartbeat_tcp_timeout_seconds=3600",
    ]);
    let a = Subscriber::new("a");
    a.register(statestored.rpc, &[]);
    a.await_heartbeats(1);
    let start = Instant::now();
    drop(a);
    eventually("the removal", || {
        statestored.subscribers().is_empty().then_some(())
    });
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(4 * 195),
        "five misses 200 ms apart: {took:?}"
    );
    statestored.await_log("removed after 5 missed heartbeats");
}

/// Answers so many heartbeats and then none.
fn hangs_after(id: &str, answers: usize) -> Subscriber {
    Subscriber::with(id, move |call, state| {
        let answered = state.lock().unwrap().heartbeats.len();
        match answered < answers {
            true => honest(call, state),
            false => Action::Hang,
        }
    })
}

// F-2, F-5
#[test]
fn a_hung_subscriber_costs_a_timeout_per_heartbeat() {
    let statestored = Statestored::start(&[
        "--statestore_heartbeat_frequency_ms=200",
        "--statestore_max_missed_heartbeats=2",
        "--statestore_heartbeat_tcp_timeout_seconds=1",
    ]);
    // At once, while it is connected to, and later over a connection that is there.
    for answers in [0, 5] {
        let hung = hangs_after("hung", answers);
        let start = Instant::now();
        hung.register(statestored.rpc, &[]);
        eventually("the removal", || {
            statestored.subscribers().is_empty().then_some(())
        });
        assert_eq!(hung.heartbeats(), answers);
        let took = hung.last_heartbeat().unwrap_or(start).elapsed();
        assert!(
            took >= Duration::from_millis(2_190),
            "2 x (1 s + 0.2 s), less the last: {took:?}"
        );
    }
}

// S-6 and W14: no workers that hung ones could occupy
#[test]
fn hung_subscribers_cost_nobody_elses_time() {
    let statestored = Statestored::start(&[
        "--statestore_heartbeat_frequency_ms=50",
        // The calls to them last as long as the test.
        "--statestore_heartbeat_tcp_timeout_seconds=3600",
    ]);
    let hung: Vec<_> = (0..24)
        .map(|n| hangs_after(&format!("hung-{n}"), n % 2 * 3))
        .collect();
    for one in &hung {
        one.register(statestored.rpc, &[]);
    }
    let key = "subscriber-heartbeat.client-cache.clients-in-use";
    eventually("a call to each", || {
        (statestored.metric(key) == hung.len()).then_some(())
    });
    let healthy = Subscriber::new("healthy");
    healthy.register(statestored.rpc, &[]);
    healthy.await_heartbeats(20);
    assert_eq!(statestored.subscribers().len(), hung.len() + 1);
}

// F-6
#[test]
fn a_heartbeat_that_fails_every_second_time_fails_nobody() {
    let statestored = Statestored::start(&[
        "--statestore_heartbeat_frequency_ms=20",
        "--statestore_max_missed_heartbeats=2",
    ]);
    let a = Subscriber::with("a", |call, state| {
        let action = honest(call, state);
        // A heartbeat that is closed on is sent once more (K-2): refuse both of every other pair.
        let beats = state.lock().unwrap().heartbeats.len();
        if call.method() == "Heartbeat" && beats % 3 != 0 {
            Action::Close
        } else {
            action
        }
    });
    a.register(statestored.rpc, &[]);
    a.await_heartbeats(40);
    assert_eq!(statestored.subscribers(), ["a"]);
    let counted = statestored.metric("statestore.heartbeat-durations")["count"].clone();
    assert!(counted.as_f64().unwrap() >= 10.0, "{counted}");
}

#[test]
fn a_change_is_pushed_long_before_the_period_ends() {
    let statestored = Statestored::start(&[
        "--statestore_update_frequency_ms=20000",
        "--statestore_priority_update_frequency_ms=20000",
    ]);
    let watcher = Subscriber::new("watcher");
    watcher.register(statestored.rpc, &[(CATALOG, false)]);
    eventually("the first update", || {
        (!watcher.state.lock().unwrap().updates.is_empty()).then_some(())
    });
    let start = Instant::now();
    let publisher = Subscriber::new("publisher");
    publisher.publish(CATALOG, &[(b"k", b"v", false)]);
    publisher.register(statestored.rpc, &[(CATALOG, false)]);
    watcher.await_value(CATALOG, b"k", Some(b"v"));
    assert!(start.elapsed() < Duration::from_secs(10));
}

// S-5
#[test]
fn without_push_a_change_waits_for_the_period() {
    let statestored = Statestored::start(&[
        "--statestore_push_on_change=false",
        "--statestore_update_frequency_ms=1500",
    ]);
    let watcher = Subscriber::new("watcher");
    watcher.register(statestored.rpc, &[(CATALOG, false)]);
    let publisher = Subscriber::new("publisher");
    publisher.publish(CATALOG, &[(b"k", b"v", false)]);
    publisher.register(statestored.rpc, &[(CATALOG, false)]);
    watcher.await_value(CATALOG, b"k", Some(b"v"));
    let state = watcher.state.lock().unwrap();
    let pause = state.updates[1].0 - state.updates[0].0;
    assert!(pause >= Duration::from_millis(1_490), "{pause:?}");
}

// F-8
#[test]
fn who_answered_is_reported_once_a_period() {
    let statestored = Statestored::start(&[
        "--heartbeat_monitoring_frequency_ms=300",
        "--statestore_heartbeat_frequency_ms=50",
    ]);
    let a = Subscriber::new("a");
    a.register(statestored.rpc, &[]);
    statestored.await_log("1/1 subscribers successfully heartbeat");
    eventually("the gauge", || {
        (statestored.metric("statestore.subscribers-received-heartbeat") == 1).then_some(())
    });
}

#[test]
fn an_injected_delay_holds_back_every_message_and_a_failure_is_only_logged() {
    let statestored = Statestored::start(&[
        "--statestore_heartbeat_frequency_ms=50",
        "--debug_actions=DO_SUBSCRIBER_UPDATE:SLEEP@300|DO_SUBSCRIBER_UPDATE:FAIL@1.0",
    ]);
    let a = Subscriber::new("a");
    a.register(statestored.rpc, &[]);
    a.await_heartbeats(4);
    let least = a.beat().into_iter().min().unwrap();
    assert!(least >= Duration::from_millis(340), "{least:?}");
    statestored.await_log("Ignoring debug action failure: ");
}
