//! Publications without having been asked: each once, none late, answered when written; and who
//! makes them is left alone while nothing changes.

use super::*;
use crate::port::Lane;

fn publisher(id: &str) -> wire::RegisterSubscriberRequest {
    wire::RegisterSubscriberRequest {
        publishes: Some(true),
        ..request(id, &[TOPIC])
    }
}

/// The answer, if it is there already, and who is called.
fn publish(
    node: &mut Node,
    now: Now,
    request: wire::PublishRequest,
) -> (Option<bool>, Vec<String>) {
    let input = Input::Request {
        request_id: RequestId(9),
        request: Request::Publish(request),
    };
    let mut out = Outbox::new();
    node.step(now, input, &mut out);
    (answered(&out), called(&out))
}

fn answered(out: &Outbox) -> Option<bool> {
    out.iter().find_map(|effect| match effect {
        Effect::Answer {
            answer: Answer::Publish(response),
            ..
        } => Some(response.status.is_ok()),
        _ => None,
    })
}

fn called(out: &Outbox) -> Vec<String> {
    let calls = out.iter().filter_map(|effect| match effect {
        Effect::Call(call) if call.lane == Lane::Priority => {
            Some(format!("{}", call.to.subscriber))
        }
        _ => None,
    });
    calls.collect()
}

/// Answers every call, until `end`; who was sent a priority update, and when.
fn live(node: &mut Node, mut calls: Vec<Call>, from: u64, end: u64) -> Vec<(u64, String)> {
    let mut sent = Vec::new();
    let mut now = at(from);
    loop {
        while let Some(call) = calls.pop() {
            let outcome = Ok(match call.body {
                Body::Heartbeat(_) => Reply::Heartbeat {
                    response: wire::HeartbeatResponse::default(),
                    connection: 1,
                },
                _ => Reply::Update(wire::UpdateStateResponse::default()),
            });
            if call.lane == Lane::Priority {
                sent.push((millis(now.time), format!("{}", call.to.subscriber)));
            }
            let call = call.id;
            calls.extend(step(node, now, Input::Completed { call, outcome }));
        }
        let Some(due) = node.deadline().filter(|due| millis(*due) <= end) else {
            return sent;
        };
        now.time = now.time.max(due);
        calls.extend(step(node, now, Input::Timer));
    }
}

fn millis(time: Time) -> u64 {
    u64::try_from(time.since(Time::ZERO).as_millis()).unwrap()
}

fn times(sent: &[(u64, String)], who: &str) -> usize {
    sent.iter().filter(|(_, whom)| whom == who).count()
}

#[test]
fn a_publication_is_told_at_once_and_taken_in_once() {
    let mut node = node(Config::default());
    let mut calls = register(&mut node, at(5), 1, publisher("a"));
    calls.extend(register(&mut node, at(5), 2, publisher("b")));
    live(&mut node, calls, 5, 5_000);
    let (ok, told) = publish(&mut node, at(5_000), publication("a", 1, 1, &["x"]));
    assert_eq!((ok, told), (Some(true), Vec::from(["b".into()])));
    for (again, taken) in [
        (publication("a", 1, 1, &["x"]), true),
        (publication("a", 1, 0, &["y"]), false),
        (publication("a", 2, 2, &["y"]), false),
        (publication("c", 1, 2, &["y"]), false),
        (
            wire::PublishRequest {
                stream: 2,
                ..publication("a", 1, 2, &["y"])
            },
            false,
        ),
    ] {
        let (ok, told) = publish(&mut node, at(5_001), again);
        assert_eq!((ok, told), (Some(taken), Vec::new()));
    }
    let entries = |node: &Node| node.topics.find(&Text::from(TOPIC)).map(|t| t.log.last().0);
    assert_eq!(entries(&node), Some(1));
    // The other stream counts by itself.
    let other = wire::PublishRequest {
        stream: 1,
        ..publication("a", 1, 1, &["z"])
    };
    assert_eq!(publish(&mut node, at(5_100), other).0, Some(true));
    assert_eq!(entries(&node), Some(2));
    node.network_disabled = true;
    assert_eq!(
        publish(&mut node, at(5_200), publication("a", 1, 2, &["y"])).0,
        Some(false)
    );
}

#[test]
fn who_publishes_unasked_is_polled_seldom_but_told_at_once() {
    let mut node = node(Config::default());
    let mut calls = register(&mut node, at(5), 1, publisher("a"));
    calls.extend(register(&mut node, at(5), 2, publisher("b")));
    calls.extend(register(&mut node, at(5), 3, request("old", &[TOPIC])));
    let sent = live(&mut node, calls, 5, 10_000);
    assert_eq!((times(&sent, "a"), times(&sent, "b")), (1, 1));
    assert!(times(&sent, "old") > 90);
    let mut out = Outbox::new();
    let input = Input::Request {
        request_id: RequestId(9),
        request: Request::Publish(publication("a", 1, 1, &["x"])),
    };
    node.step(at(10_000), input, &mut out);
    let calls = out.into_iter().filter_map(|effect| match effect {
        Effect::Call(call) => Some(call),
        _ => None,
    });
    let calls: Vec<Call> = calls.collect();
    let sent = live(&mut node, calls, 10_000, 20_000);
    let when = |who: &str| {
        let mut of = sent.iter().filter(|(_, whom)| whom == who);
        of.next().map(|(when, _)| *when)
    };
    // The publisher itself learns within a period.
    assert_eq!((when("b"), when("a")), (Some(10_000), Some(10_100)));
    assert_eq!((times(&sent, "a"), times(&sent, "b")), (1, 1));
}

// T-10: the lowest version has to rise for whoever waits for it.
#[test]
fn where_anybody_wants_the_lowest_version_all_go_on_telling() {
    let mut node = node(Config::default());
    let mut calls = register(&mut node, at(5), 1, publisher("a"));
    let mut wants = publisher("b");
    wants.topic_registrations[0].populate_min_subscriber_topic_version = true;
    calls.extend(register(&mut node, at(5), 2, wants));
    let sent = live(&mut node, calls, 5, 5_000);
    assert!(times(&sent, "a") > 40);
    // It goes: quiet again.
    let calls = register(&mut node, at(5_000), 3, publisher("b"));
    let sent = live(&mut node, calls, 5_000, 10_000);
    assert!(times(&sent, "a") < 3);
}

#[test]
fn a_large_one_is_answered_once_it_is_written_and_another_is_refused_meanwhile() {
    let mut node = node(Config {
        items_per_step: 2,
        ..Config::default()
    });
    let calls = register(&mut node, at(5), 1, publisher("a"));
    live(&mut node, calls, 5, 5_000);
    let large = publication("a", 1, 1, &["1", "2", "3", "4", "5"]);
    assert_eq!(publish(&mut node, at(5_000), large).0, None);
    let more = publication("a", 1, 2, &["6"]);
    assert_eq!(publish(&mut node, at(5_000), more).0, Some(false));
    let (mut out, mut steps) = (Outbox::new(), 0);
    while answered(&out).is_none() {
        steps += 1;
        assert!(steps < 10);
        node.step(at(5_000 + steps), Input::Timer, &mut out);
    }
    assert_eq!(answered(&out), Some(true));
    let more = publication("a", 1, 2, &["6"]);
    assert_eq!(publish(&mut node, at(5_100), more).0, Some(true));
}

// W33: the first update is answered without publications, which must not count as a wish.
#[test]
fn what_is_inherited_stays_until_it_was_published_anew() {
    let mut node = node(Config::default());
    let calls = register(&mut node, at(5), 1, publisher("a"));
    live(&mut node, calls, 5, 1_000);
    publish(&mut node, at(1_000), publication("a", 1, 1, &["x", "y"]));
    let calls = register(&mut node, at(2_000), 2, publisher("a"));
    live(&mut node, calls, 2_000, 3_000);
    let entries = |node: &Node| {
        let topic = node.topics.find(&Text::from(TOPIC));
        topic.map(|topic| topic.log.sizes().entries)
    };
    assert_eq!(entries(&node), Some(2));
    publish(&mut node, at(3_000), publication("a", 2, 1, &["x"]));
    assert_eq!(entries(&node), Some(1));
}

// W10: its topics were forgotten, and nothing older than what was in them may come back.
#[test]
fn what_was_taken_in_before_the_topics_were_forgotten_is_refused_after() {
    let mut node = node(Config::default());
    let calls = register(&mut node, at(5), 1, publisher("a"));
    live(&mut node, calls, 5, 4_500);
    let mut publish = |at: Now, sequence: i64, forget: bool| {
        if forget {
            node.forget_topics(at, &mut Outbox::new());
        }
        publish(&mut node, at, publication("a", 1, sequence, &["x"])).0
    };
    assert_eq!(publish(at(5_000), 5, false), Some(true));
    assert_eq!(publish(at(5_010), 4, false), Some(false));
    assert_eq!(publish(at(5_020), 4, true), Some(false));
    assert_eq!(publish(at(5_030), 6, false), Some(true));
}

// one subscriber has a bounded number of publications under way, whatever it registers.
#[test]
fn who_registers_again_and_again_does_not_multiply_its_publications() {
    let mut node = node(Config {
        items_per_step: 2,
        ..Config::default()
    });
    let keys: Vec<String> = (0..1_000).map(|n| format!("{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for n in 1..100 {
        register(&mut node, at(5), n, publisher("a"));
        let (ok, _) = publish(&mut node, at(5), publication("a", n, 1, &keys));
        assert_eq!(ok, (n > 1).then_some(false));
    }
    assert_eq!(node.intakes.len(), 1);
    // Once that is written the next one is taken in, under the current registration only.
    let mut now = 6;
    while !node.intakes.is_empty() {
        step(&mut node, at(now), Input::Timer);
        now += 1;
    }
    let more = publication("a", 99, 1, &["x"]);
    assert_eq!(publish(&mut node, at(now), more).0, Some(true));
}
