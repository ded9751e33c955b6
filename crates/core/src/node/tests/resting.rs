//! Who publishes by itself is left alone only while it has nothing to hear; and what is put
//! together for somebody goes with it.

use super::*;
use crate::members::MemberKey;
use crate::port::Lane;
use crate::topic::{Looks, Version};
use core::time::Duration;

fn publisher(id: &str, topics: &[&str]) -> wire::RegisterSubscriberRequest {
    wire::RegisterSubscriberRequest {
        publishes: Some(true),
        ..request(id, topics)
    }
}

/// What a subscriber publishes by a call, and whom that wakes.
fn publish(node: &mut Node, now: Now, (id, registration): (&str, i64), keys: &[&str]) -> Vec<Call> {
    publish_next(node, now, (id, registration, 1), keys)
}

/// The same under this sequence number.
fn publish_next(
    node: &mut Node,
    now: Now,
    (id, registration, sequence): (&str, i64, i64),
    keys: &[&str],
) -> Vec<Call> {
    let request = Request::Publish(publication(id, registration, sequence, keys));
    let request_id = RequestId(9);
    step(
        node,
        now,
        Input::Request {
            request_id,
            request,
        },
    )
}

fn answer(node: &mut Node, now: Now, call: &Call) -> Vec<Call> {
    let outcome = Ok(match call.body {
        Body::Heartbeat(_) => Reply::Heartbeat {
            response: wire::HeartbeatResponse::default(),
            connection: 1,
        },
        Body::Catalogd(_) => Reply::Catalogd(wire::UpdateCatalogdResponse::default()),
        _ => Reply::Update(wire::UpdateStateResponse::default()),
    });
    let call = call.id;
    step(node, now, Input::Completed { call, outcome })
}

/// Answers every call until `end`; what was sent, and when.
fn live(node: &mut Node, mut calls: Vec<Call>, from: u64, end: u64) -> Vec<(u64, Lane)> {
    let mut sent = Vec::new();
    let mut now = at(from);
    let millis = |time: Time| time.since(Time::ZERO).as_millis() as u64;
    loop {
        while let Some(call) = calls.pop() {
            sent.push((millis(now.time), call.lane));
            calls.extend(answer(node, now, &call));
        }
        let Some(due) = node.deadline().filter(|due| millis(*due) <= end) else {
            return sent;
        };
        now.time = now.time.max(due);
        calls.extend(step(node, now, Input::Timer));
    }
}

// S-10: with its first update it begins to publish.
#[test]
fn an_elected_catalogd_gets_its_first_update_at_once() {
    let mut config = Config::default();
    config.catalog.ha = true;
    config.catalog.preemption_wait = Duration::from_secs(10);
    let mut node = node(config);
    let mut candidate = catalogd("a");
    candidate.publishes = Some(true);
    if let Some(catalogd) = &mut candidate.catalogd_registration {
        catalogd.enable_catalogd_ha = Some(true);
    }
    let calls = register(&mut node, at(5), 1, candidate);
    let sent = live(&mut node, calls, 5, 60_000);
    let mut bulk = sent.iter().filter(|(_, lane)| *lane == Lane::Bulk);
    assert_eq!(bulk.next().map(|(at, _)| *at), Some(10_005));
}

// T-10: who begins to want the lowest version is not kept from it by those at rest.
#[test]
fn the_lowest_version_rises_within_a_period_also_for_who_wants_it_late() {
    let mut node = node(Config::default());
    let mut hidden = publisher("hidden", &[TOPIC]);
    hidden.topic_registrations[0].filter_prefix = Some(Text::from("zzz"));
    let mut calls = register(&mut node, at(5), 1, hidden);
    calls.extend(register(&mut node, at(5), 2, publisher("w", &[TOPIC])));
    live(&mut node, calls, 5, 4_500);
    let mut wants = publisher("wants", &[TOPIC]);
    wants.topic_registrations[0].populate_min_subscriber_topic_version = true;
    let mut calls = register(&mut node, at(5_000), 3, wants);
    calls.extend(publish(&mut node, at(5_000), ("w", 2), &["key"]));
    live(&mut node, calls, 5_000, 5_250);
    let topic = node.topics.find(&Text::from(TOPIC)).unwrap();
    assert_eq!(topic.lowest(), topic.log.last());
}

// T-22: an answer that only asks for another base is no change of the topic.
#[test]
fn what_is_published_without_items_wakes_nobody() {
    let mut node = node(Config::default());
    let mut calls = register(&mut node, at(5), 1, publisher("a", &[TOPIC]));
    calls.extend(register(&mut node, at(5), 2, publisher("b", &[TOPIC])));
    live(&mut node, calls, 5, 4_500);
    let calls = publish(&mut node, at(5_000), ("a", 1), &[]);
    assert!(calls.iter().all(|call| call.lane == Lane::Heartbeat));
}

// P2, S-7: a large delta takes many steps, and its receiver may go in between.
#[test]
fn what_is_put_together_for_somebody_goes_with_it() {
    let mut node = node(Config {
        items_per_step: 64,
        ..Config::default()
    });
    let keys: Vec<_> = (0..20_000).map(|n| format!("x:{n}")).collect();
    let items = keys.iter().map(|key| (key.as_bytes(), &b"v"[..], false));
    let name = Text::from(TOPIC);
    register(&mut node, at(5), 1, publisher("w", &[TOPIC]));
    let log = |node: &mut Node| {
        node.topics
            .find_mut(&name)
            .unwrap()
            .log
            .sizes()
            .memory_bytes
    };
    let batch = ItemBatch::from_items(items);
    node.topics.find_mut(&name).unwrap().log.write(&batch);
    let before = log(&mut node);
    let mut reader = publisher("r", &[TOPIC]);
    reader.topic_registrations[0].filter_prefix = Some(Text::from("x:1"));
    register(&mut node, at(5), 2, reader);
    for _ in 0..10 {
        step(&mut node, at(6), Input::Timer);
    }
    assert!(log(&mut node) > before, "it is begun");
    register(&mut node, at(7), 3, request("r", &["other"]));
    assert_eq!(log(&mut node), before);
}

// P2, S-7: nor does it stay if another asked for something small meanwhile.
#[test]
fn what_is_put_together_goes_with_its_receiver_also_after_others_asked() {
    let mut node = node(Config {
        items_per_step: 64,
        ..Config::default()
    });
    let keys: Vec<_> = (0..20_000).map(|n| format!("x:{n}")).collect();
    let name = Text::from(TOPIC);
    register(&mut node, at(5), 1, publisher("w", &[TOPIC]));
    register(
        &mut node,
        at(5),
        1,
        publisher("u", &["impala-request-queue"]),
    );
    let items = keys.iter().map(|key| (key.as_bytes(), &b"v"[..], false));
    let topic = node.topics.find_mut(&name).unwrap();
    topic.log.write(&ItemBatch::from_items(items));
    let last = topic.log.last();
    let small = |node: &mut Node| {
        let topic = node.topics.find_mut(&name).unwrap();
        let asker = (MemberKey::numbered(99), &Text::from("y"));
        let near = Version(last.0 - 1);
        topic.lacking(at(100).time, asker, near, &mut Looks { left: 9, few: 9 })
    };
    let memory = |node: &Node| node.topics.find(&name).unwrap().log.sizes().memory_bytes;
    assert!(small(&mut node).is_some());
    let before = memory(&node);
    let mut reader = publisher("r", &[TOPIC, "impala-request-queue"]);
    reader.topic_registrations[0].filter_prefix = Some(Text::from("x:1"));
    register(&mut node, at(5), 2, reader);
    for _ in 0..10 {
        step(&mut node, at(6), Input::Timer);
    }
    assert!(memory(&node) > before, "it is begun");
    // Its lane waits for another topic, so it does not ask.
    let other = Text::from("impala-request-queue");
    node.topics.find_mut(&other).unwrap().open = true;
    step(&mut node, at(100), Input::Timer);
    assert!(small(&mut node).is_some());
    assert!(memory(&node) > before);
    register(&mut node, at(101), 3, request("r", &["other"]));
    assert_eq!(memory(&node), before);
}

/// Publications of "w" at these times, and for how long "a", which rests, waited for each.
fn waits(times: &[u64]) -> Vec<u64> {
    let mut node = node(Config::default());
    let mut calls = register(&mut node, at(5), 1, publisher("a", &[TOPIC]));
    calls.extend(register(&mut node, at(5), 2, publisher("w", &[TOPIC])));
    live(&mut node, calls, 5, 4_500);
    let name = Text::from(TOPIC);
    let a = node.members.key_of(&Text::from("a")).unwrap();
    let knows = |node: &mut Node| {
        let last = node.topics.find(&name).unwrap().log.last();
        node.members.find(a).unwrap().progress[0].reached == last
    };
    let mut waits = Vec::new();
    for (n, &time) in times.iter().enumerate() {
        let call = ("w", 2, n as i64 + 1);
        let mut calls = publish_next(&mut node, at(time), call, &[&format!("k{n}")]);
        let next = times.get(n + 1).copied().unwrap_or(time + 60_000);
        let mut now = time;
        loop {
            live(&mut node, calls.split_off(0), now, now);
            if knows(&mut node) || now + 1 >= next {
                break waits.push(now - time);
            }
            now += 1;
            calls = step(&mut node, at(now), Input::Timer);
        }
    }
    waits
}

// P5: a change comes together with the end of the coalescing time, and another one right after.
#[test]
fn a_change_waits_for_the_coalescing_time_at_most_whatever_came_before() {
    let longest = Config::default().push_coalesce.unwrap().as_millis() as u64;
    for second in 1..2 * longest {
        for third in 1..2 * longest {
            let times = [5_000, 5_000 + longest / 2, 0, 0];
            let times = [
                times[0],
                times[1],
                times[1] + second,
                times[1] + second + third,
            ];
            let waits = waits(&times);
            assert!(
                waits.iter().all(|wait| *wait <= longest),
                "{times:?} {waits:?}"
            );
        }
    }
}

/// How far "p" is behind this topic.
fn behind(node: &mut Node, topic: &str) -> u64 {
    let name = Text::from(topic);
    let last = node.topics.find(&name).unwrap().log.last();
    let member = node.members.named(&Text::from("p")).unwrap();
    let place = member.registration.place_of(&name).unwrap();
    last.0 - member.progress[place].reached.0
}

// W33, P5: what a former registration wrote goes in parts, and its heir hears of each.
#[test]
fn who_rests_hears_also_of_the_late_parts_of_its_own_expiry() {
    let mut node = node(Config {
        items_per_step: 64,
        ..Config::default()
    });
    let calls = register(&mut node, at(5), 1, publisher("p", &[TOPIC]));
    live(&mut node, calls, 5, 4_500);
    let keys: Vec<_> = (0..1_000).map(|n| format!("{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let calls = publish(&mut node, at(5_000), ("p", 1), &keys);
    live(&mut node, calls, 5_000, 6_000);
    let calls = register(&mut node, at(6_000), 2, publisher("p", &[TOPIC]));
    live(&mut node, calls, 6_000, 6_500);
    // Its part of the expiry comes when its update went out, as with many others before it.
    let calls = publish(&mut node, at(7_000), ("p", 2), &["new"]);
    let held = core::mem::take(&mut node.expiring);
    assert_eq!(held.len(), 1);
    live(&mut node, calls, 7_000, 7_500);
    assert_eq!(behind(&mut node, TOPIC), 0);
    node.expiring = held;
    node.schedule.add(at(7_500).time, Task::Expire);
    live(&mut node, Vec::new(), 7_500, 8_500);
    assert_eq!((node.expiring.len(), behind(&mut node, TOPIC)), (0, 0));
}

// P5, W33: topics of both lanes in one stream, as nobody should send them.
#[test]
fn what_is_published_in_the_other_stream_is_settled_and_echoed_all_the_same() {
    let mut node = node(Config::default());
    let both = || publisher("p", &[TOPIC, "t"]);
    let publication = |registration: i64, keys: &[&str]| {
        let delta = |topic: &str| TopicDelta {
            topic_name: Text::from(topic),
            topic_entries: ItemBatch::from_items(
                keys.iter().map(|key| (key.as_bytes(), &b"v"[..], false)),
            ),
            is_delta: true,
            ..Default::default()
        };
        Input::Request {
            request_id: RequestId(9),
            request: Request::Publish(wire::PublishRequest {
                subscriber_id: Text::from("p"),
                registration_id: UniqueId {
                    hi: 0,
                    lo: registration,
                },
                sequence: 1,
                topic_updates: Vec::from(["t", TOPIC].map(delta)),
                ..Default::default()
            }),
        }
    };
    let calls = register(&mut node, at(5), 1, both());
    live(&mut node, calls, 5, 4_500);
    let calls = step(&mut node, at(5_000), publication(1, &["x", "y"]));
    live(&mut node, calls, 5_000, 7_100);
    assert_eq!((behind(&mut node, TOPIC), behind(&mut node, "t")), (0, 0));
    let calls = register(&mut node, at(8_000), 2, both());
    live(&mut node, calls, 8_000, 8_100);
    step(&mut node, at(8_100), publication(2, &["x"]));
    let entries = node
        .topics()
        .iter()
        .map(|t| t.entries - t.tombstones)
        .sum::<usize>();
    assert_eq!(entries, 2);
}

// T-8: who needs no asking is asked now and then all the same, and not all at once.
#[test]
fn those_who_rest_are_asked_apart() {
    const COUNT: usize = 20;
    let mut node = node(Config {
        idle_period: Duration::from_secs(30),
        ..Config::default()
    });
    let mut calls = Vec::new();
    for i in 0..COUNT {
        calls.extend(register(
            &mut node,
            at(5),
            i as i64 + 1,
            publisher(&format!("{i}"), &[TOPIC]),
        ));
    }
    let sent = live(&mut node, calls, 5, 70_000);
    let asked = sent
        .iter()
        .filter(|(at, lane)| *lane == Lane::Priority && *at > 10_000);
    let mut seconds: Vec<_> = asked.map(|(at, _)| at / 1_000).collect();
    seconds.sort_unstable();
    assert!(seconds.len() >= COUNT, "{seconds:?}");
    let (first, last) = (seconds[0], seconds[COUNT - 1]);
    assert!(
        (30..40).contains(&first) && (55..65).contains(&last),
        "{seconds:?}"
    );
    assert!(
        seconds
            .chunk_by(|a, b| a == b)
            .all(|at_once| at_once.len() <= 3),
        "{seconds:?}"
    );
}
