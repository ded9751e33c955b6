//! However much is due at one moment, a step does a bounded part of it, and all of it is done.

use super::*;
use crate::port::Lane;
use alloc::collections::BTreeSet;

/// Steps until nothing is due; the calls of each.
fn steps(node: &mut Node, now: Now) -> Vec<Vec<Call>> {
    let mut all = Vec::new();
    while node.deadline().is_some_and(|due| due <= now.time) {
        all.push(step(node, now, Input::Timer));
    }
    all
}

fn follower(n: i64) -> wire::RegisterSubscriberRequest {
    request(&format!("s{n}"), &["impala-membership"])
}

/// One entry.
fn change() -> TopicDelta {
    TopicDelta {
        topic_name: Text::from("impala-membership"),
        topic_entries: ItemBatch::from_items([(&b"key"[..], &b"value"[..], false)]),
        ..Default::default()
    }
}

fn answer(node: &mut Node, now: Now, call: &Call, updates: Vec<TopicDelta>) -> Vec<Call> {
    let outcome = Ok(match call.body {
        Body::Heartbeat(_) => Reply::Heartbeat {
            response: wire::HeartbeatResponse::default(),
            connection: 1,
        },
        _ => Reply::Update(wire::UpdateStateResponse {
            topic_updates: updates,
            ..Default::default()
        }),
    });
    let call = call.id;
    step(node, now, Input::Completed { call, outcome })
}

/// A node of so many, and the first calls to them, which are answered.
fn followed_by(many: i64) -> (Node, Vec<Call>) {
    let mut node = node(Config::default());
    let mut calls = Vec::new();
    for n in 0..many {
        calls.extend(register(&mut node, at(5), n, follower(n)));
    }
    for call in &calls {
        answer(&mut node, at(5), call, Vec::new());
    }
    (node, calls)
}

// S-3, S-6: after a pause of the whole process, say.
#[test]
fn what_is_due_at_one_moment_is_done_in_short_steps_in_its_order() {
    let (mut node, calls) = followed_by(2_000);
    let parts = steps(&mut node, at(60_000));
    assert!(parts.len() > 4 && parts.iter().all(|part| part.len() <= 512));
    let again: Vec<Call> = parts.into_iter().flatten().collect();
    let who = |calls: &[Call]| -> BTreeSet<_> {
        calls
            .iter()
            .map(|c| (c.to.subscriber.clone(), c.lane))
            .collect()
    };
    assert_eq!((again.len(), who(&again)), (4_000, who(&calls)));
    // Neither waits for the other's crowd, and each keeps its order.
    for four in again[..2_664].chunks(4) {
        let polls = four.iter().filter(|call| call.lane == Lane::Priority);
        assert_eq!(polls.count(), 1);
    }
    for lane in [Lane::Heartbeat, Lane::Priority] {
        let order = |calls: &[Call]| -> Vec<_> {
            let of_it = calls.iter().filter(|call| call.lane == lane);
            of_it.map(|call| call.to.subscriber.clone()).collect()
        };
        assert_eq!(order(&again), order(&calls));
    }
}

// P4: one change to very many is told in parts, and each of them is told.
#[test]
fn a_change_is_told_to_very_many_in_short_steps() {
    let mut node = node(Config::default());
    let mut calls = Vec::new();
    for n in 0..3_000 {
        calls.extend(register(&mut node, at(5), n, follower(n)));
    }
    for call in &calls[2..] {
        answer(&mut node, at(5), call, Vec::new());
    }
    let mut told = answer(&mut node, at(50), &calls[1], Vec::from([change()]));
    // Each part of telling asks for the next one a moment later.
    let parts: Vec<_> = (51..60)
        .flat_map(|millis| steps(&mut node, at(millis)))
        .collect();
    assert!(told.len() <= 512 && parts.iter().all(|part| part.len() <= 512));
    told.extend(parts.into_iter().flatten());
    let whom: BTreeSet<_> = told.iter().map(|call| &call.to.subscriber).collect();
    assert_eq!(
        (told.len(), whom.len()),
        (2_999, 2_999),
        "all but the writer"
    );
}

// P5: a change is due for all of them when it comes, not when the telling comes to them. P4: what
// is of another kind does not wait for the last of them.
#[test]
fn what_falls_due_while_a_change_is_told_has_turns_of_its_own() {
    let mut config = Config::default();
    config.heartbeat.period = Duration::from_millis(84);
    config.heartbeat.slack = Duration::ZERO;
    config.priority.slack = Duration::ZERO;
    let mut node = node(config);
    let mut calls = Vec::new();
    for n in 0..2_000 {
        calls.extend(register(&mut node, at(5), n, follower(n)));
    }
    let (_, publisher) = (calls.remove(0), calls.remove(0));
    for n in 0..100 {
        let other = request(&format!("other{n}"), &["impala-request-queue"]);
        calls.extend(register(&mut node, at(5), 3_000 + n, other));
    }
    let told = |call: &Call| !call.to.subscriber.as_bytes().starts_with(b"other");
    for call in &calls {
        let millis = if told(call) { 20 } else { 5 };
        answer(&mut node, at(millis), call, Vec::new());
    }
    let mut sent = answer(&mut node, at(103), &publisher, Vec::from([change()]));
    // Heartbeats are due at 104, and what the others are asked at 105: before all are told.
    let parts = (104..150).map(|millis| step(&mut node, at(millis), Input::Timer));
    sent.extend(parts.flatten());
    let places = |of: &dyn Fn(&Call) -> bool| -> Vec<usize> {
        let all = sent.iter().enumerate();
        all.filter(|(_, call)| of(call)).map(|(at, _)| at).collect()
    };
    let beats = places(&|call| call.lane == Lane::Heartbeat);
    let news = places(&|call| call.lane == Lane::Priority && told(call));
    let polls = places(&|call| call.lane == Lane::Priority && !told(call));
    assert_eq!((beats.len(), news.len(), polls.len()), (2_099, 1_999, 100));
    // Of ten turns, the thirds of these two are taken by turns, and polls have one in seven.
    let late = |places: &[usize], every: usize| {
        let late = places.iter().enumerate();
        late.map(|(n, at)| at.saturating_sub(every * n)).max()
    };
    let steps = 250; // what one or two of them send
    assert!(late(&beats, 3) < Some(steps), "{:?}", late(&beats, 3));
    assert!(late(&news, 3) < Some(steps), "{:?}", late(&news, 3));
    assert!(late(&polls, 7) < Some(steps), "{:?}", late(&polls, 7));
    let early = polls.iter().enumerate().all(|(n, at)| *at >= 3 * n);
    assert!(early, "{polls:?}");
}

// P5: what drivers do between two looks at answers.
#[test]
fn a_step_for_news_sends_no_polls() {
    let (mut node, _) = followed_by(100);
    assert!(node.news_due() > Some(at(500).time), "heartbeats");
    assert!(step(&mut node, at(300), Input::News).is_empty());
    assert_eq!(step(&mut node, at(300), Input::Timer).len(), 100);
    let beats = step(&mut node, at(2_000), Input::News);
    assert_eq!(beats.len(), 100);
    assert!(beats.iter().all(|call| call.lane == Lane::Heartbeat));
}

// P4, S-6: publications that use a step's work up do not keep from happening what is due.
#[test]
fn a_heartbeat_that_is_due_goes_out_whatever_is_published() {
    let mut node = node(Config::default());
    let mut calls = Vec::new();
    for n in 0..200 {
        let topic = format!("t{n}");
        let request = request(&format!("p{n}"), &[&topic]);
        calls.extend(register(&mut node, at(5), n, request));
    }
    let (beats, updates): (Vec<Call>, Vec<Call>) = calls
        .into_iter()
        .partition(|call| call.lane == Lane::Heartbeat);
    for beat in &beats {
        answer(&mut node, at(5), beat, Vec::new());
    }
    // All publish at one moment, when all heartbeats have been due for a while.
    let most = node.config.items_per_step;
    let (mut again, mut written) = (0, 0);
    for (n, call) in updates.iter().enumerate() {
        let keys: Vec<_> = (0..most).map(|key| format!("{n}-{key}")).collect();
        let items = keys.iter().map(|key| (key.as_bytes(), &b"v"[..], false));
        let update = TopicDelta {
            topic_name: Text::from(format!("t{n}")),
            topic_entries: ItemBatch::from_items(items),
            is_delta: true,
            ..Default::default()
        };
        let now = at(2_000 + n as u64);
        let sent = answer(&mut node, now, call, Vec::from([update]));
        assert!(sent.is_empty(), "what is due is not for the outcome to do");
        let sent = step(&mut node, now, Input::Timer);
        again += sent
            .iter()
            .filter(|call| call.lane == Lane::Heartbeat)
            .count();
        written = node
            .topics()
            .iter()
            .filter(|topic| topic.entries > 0)
            .count();
        // One step's writing at most was in the way.
        assert!(again == 200 || written <= 2, "{again} after {written}");
    }
    assert!(written > 100, "and they are written too: {written}");
}

// P4: outcomes that arrive together do not each do a piece of long work.
#[test]
fn only_the_timer_writes_more_of_a_large_publication() {
    let mut node = node(Config::default());
    let calls = register(&mut node, at(5), 1, request("p", &["t"]));
    let of = |lane| move |call: &&Call| call.lane == lane;
    let (beat, update) = (
        calls.iter().find(of(Lane::Heartbeat)).unwrap(),
        calls.iter().find(of(Lane::Bulk)).unwrap(),
    );
    let keys: Vec<_> = (0..4 * node.config.items_per_step)
        .map(|n| format!("{n}"))
        .collect();
    let items = keys.iter().map(|key| (key.as_bytes(), &b"v"[..], false));
    let large = TopicDelta {
        topic_name: Text::from("t"),
        topic_entries: ItemBatch::from_items(items),
        is_delta: true,
        ..Default::default()
    };
    answer(&mut node, at(50), update, Vec::from([large]));
    let written = |node: &Node| node.topics()[0].entries;
    let first = written(&node);
    assert!(first < keys.len(), "{first} in one step");
    answer(&mut node, at(51), beat, Vec::new());
    assert_eq!(written(&node), first);
    assert!(node.deadline() <= Some(at(51).time), "a step is due for it");
    // Nor does it keep back what falls due behind it.
    let [other] = &register(&mut node, at(52), 2, request("q", &[]))[..] else {
        panic!("one heartbeat");
    };
    answer(&mut node, at(53), other, Vec::new());
    let late = at(1_200);
    let third = register(&mut node, late, 3, request("r", &[]));
    assert!(
        third.len() > 1,
        "also the heartbeats of the others: {third:?}"
    );
    assert_eq!(written(&node), first);
    step(&mut node, late, Input::Timer);
    assert!(written(&node) > first);
}

// Publications that queue are as many as a step's worth at a time, not one.
#[test]
fn small_publications_behind_a_large_one_enter_together() {
    let mut node = node(Config::default());
    let mut updates = Vec::new();
    for n in 0..20 {
        let calls = register(&mut node, at(5), n, request(&format!("p{n}"), &["t"]));
        updates.extend(calls.into_iter().filter(|call| call.lane == Lane::Bulk));
    }
    let delta = |name: &str, count: usize| {
        let keys: Vec<_> = (0..count).map(|key| format!("{name}-{key}")).collect();
        let items = keys.iter().map(|key| (key.as_bytes(), &b"v"[..], false));
        TopicDelta {
            topic_name: Text::from("t"),
            topic_entries: ItemBatch::from_items(items),
            is_delta: true,
            ..Default::default()
        }
    };
    let large = node.config.items_per_step + 10;
    for (n, call) in updates.iter().enumerate() {
        let count = if n == 0 { large } else { 1 };
        answer(
            &mut node,
            at(50),
            call,
            Vec::from([delta(&format!("{n}"), count)]),
        );
    }
    assert_eq!(node.intakes.len(), 20);
    step(&mut node, at(51), Input::Timer);
    assert_eq!(node.intakes.len(), 0);
    assert_eq!(node.topics()[0].entries, large + 19);
}

// P4: what waits to be told is bounded by topics and subscribers, not by how often topics change.
#[test]
fn wishes_do_not_pile_up_when_topics_change_faster_than_all_are_told() {
    let mut node = node(Config::default());
    let topics: Vec<_> = (0..100).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = topics.iter().map(|t| &**t).collect();
    for n in 0..1_000 {
        let mut request = request(&format!("s{n}"), &names);
        request.publishes = Some(true);
        register(&mut node, at(5), n, request);
    }
    let updates = names.iter().map(|name| TopicDelta {
        topic_name: Text::from(*name),
        topic_entries: ItemBatch::from_items([(&b"key"[..], &b"value"[..], false)]),
        is_delta: true,
        ..Default::default()
    });
    let updates: Vec<_> = updates.collect();
    for round in 0..20 {
        // Every 10 ms one publication changes all topics; in between are 10 steps, 1 ms each.
        let request = Request::Publish(wire::PublishRequest {
            subscriber_id: Text::from("s0"),
            sequence: 1 + round,
            topic_updates: updates.clone(),
            ..Default::default()
        });
        let begin = 5_000 + 10 * round.unsigned_abs();
        let request_id = RequestId(9);
        step(
            &mut node,
            at(begin),
            Input::Request {
                request_id,
                request,
            },
        );
        for millis in 1..10 {
            step(&mut node, at(begin + millis), Input::Timer);
        }
        assert!(node.telling.len() <= 100 + 1_000, "{}", node.telling.len());
    }
    // Some was written, and is told in the end.
    assert!(node.topics().iter().all(|topic| topic.version > 0));
    for millis in 0..2_000 {
        step(&mut node, at(6_000 + millis), Input::Timer);
    }
    assert_eq!((node.telling.len(), node.untold.len()), (0, 0));
}

// P4: a message that carries very many topics costs what it looks at.
#[test]
fn messages_of_very_many_topics_go_out_in_short_steps() {
    let mut node = node(Config::default());
    let topics: Vec<_> = (0..1_000).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = topics.iter().map(|t| &**t).collect();
    let mut calls = Vec::new();
    for n in 0..30 {
        calls.extend(register(
            &mut node,
            at(5),
            n,
            request(&format!("s{n}"), &names),
        ));
    }
    for call in calls.iter().filter(|call| call.lane == Lane::Bulk) {
        answer(&mut node, at(5), call, Vec::new());
    }
    let parts = steps(&mut node, at(60_000));
    let updates = |part: &Vec<Call>| {
        let bulk = part.iter().filter(|call| call.lane == Lane::Bulk);
        bulk.count()
    };
    assert!(parts.iter().all(|part| updates(part) <= 3), "{parts:?}");
    assert_eq!(parts.iter().map(updates).sum::<usize>(), 30);
}

// P4, W12: many topics with tombstones to collect are as much work as one with many.
#[test]
fn tombstones_of_very_many_topics_are_collected_in_short_steps() {
    let mut node = node(Config::default());
    for n in 0..3_000 {
        let name = Text::from(format!("t{n}"));
        let (topic, _) = node.topics.ensure(&name, Lane::Bulk);
        let items = [
            (&b"key"[..], &b"v"[..], false),
            (&b"old"[..], &b""[..], true),
        ];
        topic.log.write(&ItemBatch::from_items(items));
        node.uncollected.insert(name);
    }
    let left = |node: &Node| {
        let topics = node.topics();
        topics.iter().map(|topic| topic.tombstones).sum::<usize>()
    };
    node.schedule.add(at(5).time, Task::Collect);
    step(&mut node, at(5), Input::Timer);
    assert!((500..2_900).contains(&left(&node)), "{}", left(&node));
    step(&mut node, at(7), Input::Timer);
    assert_eq!((left(&node), node.uncollected.len()), (0, 0));
}
