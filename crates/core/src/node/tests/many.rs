//! Publications of very many topics: refused where no registration could have them, taken in
//! beside the others' where one could, and paid for.

use super::*;

/// A publication of a delta with one entry to each of these topics.
fn publish(node: &mut Node, now: Now, id: &str, topics: impl Iterator<Item = String>) -> Outbox {
    let entries = ItemBatch::from_items([(&b"key"[..], &b"value"[..], false)]);
    let delta = |name: String| TopicDelta {
        topic_name: Text::from(name),
        topic_entries: entries.clone(),
        is_delta: true,
        ..Default::default()
    };
    let request = Request::Publish(wire::PublishRequest {
        subscriber_id: Text::from(id),
        sequence: 1,
        topic_updates: topics.map(delta).collect(),
        ..Default::default()
    });
    let mut out = Outbox::new();
    let request_id = RequestId(9);
    let input = Input::Request {
        request_id,
        request,
    };
    node.step(now, input, &mut out);
    out
}

/// The status, if it is there already.
fn status(out: &Outbox) -> Option<&Status> {
    out.iter().find_map(|effect| match effect {
        Effect::Answer {
            answer: Answer::Publish(response),
            ..
        } => Some(&response.status),
        _ => None,
    })
}

fn names(n: usize) -> impl Iterator<Item = String> {
    (0..n).map(|n| format!("t{n}"))
}

// P9: nobody can subscribe to so many topics, and what is decoded is larger than what came.
#[test]
fn a_publication_of_more_deltas_than_a_registration_has_topics_is_refused_by_name() {
    let mut node = node(Config::default());
    register(&mut node, at(5), 0, request("a", &["t0"]));
    let out = publish(&mut node, at(6), "a", names(4_097));
    let text = format!("{}", status(&out).unwrap().message());
    assert_eq!(
        text,
        "Reject publication since topic_updates is too large: 4097, at most 4096 accepted."
    );
    assert_eq!((node.intakes.len(), node.topics()[0].version), (0, 0));
    let out = publish(&mut node, at(6), "a", names(4_096));
    assert!(status(&out).is_none_or(Status::is_ok) && node.topics()[0].version == 1);
}

// P4: one that takes long holds up those to the same topics, which come after it, and no others.
#[test]
fn a_publication_of_very_many_topics_does_not_hold_up_those_to_other_topics() {
    let mut node = node(Config {
        items_per_step: 16,
        ..Config::default()
    });
    let topics: Vec<_> = names(200).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    register(&mut node, at(5), 0, request("a", &topics));
    register(&mut node, at(5), 0, request("b", &["mine", "t199"]));
    register(&mut node, at(5), 0, request("c", &["mine", "t199"]));
    assert!(status(&publish(&mut node, at(5), "a", names(200))).is_none());
    let out = publish(&mut node, at(5), "b", ["mine".into()].into_iter());
    assert!(status(&out).is_some_and(Status::is_ok), "{out:?}");
    let out = publish(&mut node, at(5), "c", ["t199".into()].into_iter());
    assert!(status(&out).is_none(), "{out:?}");
    let mut answered = 0;
    for millis in 6..40 {
        let mut out = Outbox::new();
        node.step(at(millis), Input::Timer, &mut out);
        answered += usize::from(status(&out).is_some());
    }
    assert_eq!((answered, node.intakes.len()), (2, 0));
    // Nothing is left that would hold anybody up.
    register(&mut node, at(40), 0, request("d", &["t199"]));
    let out = publish(&mut node, at(40), "d", ["t199".into()].into_iter());
    assert!(status(&out).is_some_and(Status::is_ok), "{out:?}");
}

// P4: each change is judged for each prefix, so a topic of very many costs more for each delta.
#[test]
fn a_publication_to_a_topic_of_very_many_prefixes_is_taken_in_short_steps() {
    let mut node = node(Config::default());
    register(&mut node, at(5), 0, request("a", &["t0"]));
    for n in 0..1_000 {
        let mut filtered = request(&format!("s{n}"), &["t0"]);
        filtered.topic_registrations[0].filter_prefix = Some(Text::from(format!("{n}:")));
        register(&mut node, at(5), 0, filtered);
    }
    let most = node.config.items_per_step;
    let mut out = publish(&mut node, at(6), "a", (0..most).map(|_| "t0".into()));
    let mut steps = 1;
    while status(&out).is_none() {
        let written = node.topics()[0].version;
        let now = Now {
            time: node.deadline().unwrap(),
            ..at(6)
        };
        out.clear();
        node.step(now, Input::Timer, &mut out);
        assert!(node.topics()[0].version - written <= 64);
        steps += 1;
    }
    assert!(
        status(&out).is_some_and(Status::is_ok) && steps > 32,
        "{steps}"
    );
}
