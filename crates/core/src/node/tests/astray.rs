//! A reference subscriber that followed another statestored in between (ha.md rule 21).
//!
//! It knows no epochs and keeps one copy of a topic for both (B-38 with a version for each), so
//! what it holds when it comes back is not what this node has sent.

use super::told::active;
use super::*;
use crate::port::{Lane, TopicPart, Update};

/// A subscriber of `TOPIC` that answers at once.
struct Astray {
    node: Node,
    now: u64,
    calls: Vec<Call>,
    /// What it names in its answer to a notice of the role.
    epoch: Option<wire::Epoch>,
}

impl Astray {
    /// It follows since it registered, and has published.
    fn new(epoch: Option<wire::Epoch>) -> Self {
        let (mut node, _) = active();
        let calls = register(&mut node, at(600), 1, request("s", &[TOPIC]));
        let now = 600;
        let mut it = Self {
            node,
            now,
            calls,
            epoch,
        };
        let update = it.update();
        assert!(!only(&update.1).delta.is_delta);
        it.answer(update.0, &["k"], None);
        assert!(it.is_sent_all());
        it
    }

    fn next(&mut self, lane: Lane) -> Call {
        for _ in 0..1_000 {
            if let Some(i) = self.calls.iter().position(|call| call.lane == lane) {
                return self.calls.remove(i);
            }
            self.now += 1;
            let calls = step(&mut self.node, at(self.now), Input::Timer);
            self.calls.extend(calls);
        }
        panic!("nothing comes in lane {lane:?}")
    }

    fn complete(&mut self, call: CallId, reply: Reply) {
        let outcome = Ok(reply);
        let input = Input::Completed { call, outcome };
        self.calls.extend(step(&mut self.node, at(self.now), input));
    }

    fn answer_notice(&mut self) {
        let notice = self.next(Lane::Role);
        let reply = wire::UpdateStatestoredRoleResponse {
            highest_epoch: self.epoch,
            ..Default::default()
        };
        self.complete(notice.id, Reply::Role(reply));
    }

    fn update(&mut self) -> (CallId, Update) {
        let call = self.next(Lane::Priority);
        match call.body {
            Body::Update(update) => (call.id, update),
            other => panic!("{other:?}"),
        }
    }

    /// It publishes these keys; `from` asks for another base.
    fn answer(&mut self, call: CallId, keys: &[&str], from: Option<i64>) {
        let publication = publication("s", 1, 1, keys);
        let mut topic_updates = publication.topic_updates;
        topic_updates[0].from_version = from;
        let reply = wire::UpdateStateResponse {
            topic_updates,
            ..Default::default()
        };
        self.complete(call, Reply::Update(reply));
    }

    fn skip(&mut self, call: CallId) {
        let reply = wire::UpdateStateResponse {
            skipped: Some(true),
            ..Default::default()
        };
        self.complete(call, Reply::Update(reply));
    }

    /// It skips an update, and takes the notice that follows.
    fn strays(&mut self) {
        let (call, _) = self.update();
        self.skip(call);
        self.answer_notice();
    }

    /// Whether the next update is the whole topic.
    fn is_sent_all(&mut self) -> bool {
        let (call, update) = self.update();
        let part = only(&update);
        let whole = !part.delta.is_delta;
        assert_eq!(part.delta.count, usize::from(whole));
        self.answer(call, &[], None);
        whole
    }
}

fn only(update: &Update) -> &TopicPart {
    assert_eq!(update.topics.len(), 1);
    &update.topics[0]
}

// rule 21
#[test]
fn who_skipped_and_knows_no_epochs_is_sent_the_whole_topic_once() {
    let mut it = Astray::new(None);
    assert!(!it.is_sent_all());
    it.strays();
    assert!(it.is_sent_all());
    assert!(!it.is_sent_all());
}

// rule 21: it may just be busy with a topic, and its others are large
#[test]
fn who_goes_on_skipping_is_not_sent_all_each_time() {
    let mut it = Astray::new(None);
    let mut whole = Vec::new();
    for n in 0..30 {
        let (call, update) = it.update();
        whole.extend((!only(&update).delta.is_delta).then_some(n));
        it.skip(call);
        it.answer_notice();
    }
    assert_eq!(whole, [1, 21], "of those 200 ms apart");
    assert!(!it.is_sent_all());
}

// rule 21: what did not arrive is sent at the next turn
#[test]
fn a_whole_topic_that_failed_is_sent_again() {
    let mut it = Astray::new(None);
    it.strays();
    let (call, update) = it.update();
    assert!(!only(&update).delta.is_delta);
    it.calls.extend(fail(&mut it.node, at(it.now), call));
    assert!(it.is_sent_all());
    assert!(!it.is_sent_all());
}

// rule 21
#[test]
fn an_answer_that_comes_after_the_notice_takes_nothing_back() {
    let mut it = Astray::new(None);
    let (skipped, _) = it.update();
    it.skip(skipped);
    let notice = it.next(Lane::Role);
    let (under_way, _) = it.update();
    it.complete(
        notice.id,
        Reply::Role(wire::UpdateStatestoredRoleResponse::default()),
    );
    it.answer(under_way, &[], Some(1));
    assert!(it.is_sent_all());
}

// rule 21: it knows which of the two it follows, and asks for all by itself where it has changed
#[test]
fn who_skipped_and_knows_epochs_is_sent_what_it_lacks() {
    let mut it = Astray::new(Some(wire::Epoch(3)));
    it.strays();
    assert!(!it.is_sent_all());
}
