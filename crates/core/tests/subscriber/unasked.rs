//! Publishing at once: only where it is understood, in order, repeated until it is taken in.

use crate::support::*;
use crate::words::*;
use statestore_core::subscriber::port::*;
use statestore_wire::{PublishResponse, Status, StatusCode};
use std::time::Duration;

/// A world whose statestored takes publications unasked, after the first update of its topics.
fn taken(limit: i64) -> World {
    taken_of(limit, &["t"])
}

fn taken_of(limit: i64, topics: &[&str]) -> World {
    let mut config = config(1);
    config.topics = topics.iter().map(|name| topic(name)).collect();
    let mut world = World::new(config);
    join(&mut world, 10, 1, limit);
    let empty = topics.iter().map(|name| delta(name, 0, 0, &[]));
    world.update(1, empty.collect());
    world
}

fn join(world: &mut World, statestore: i64, registration: i64, limit: i64) {
    world.answer_version(0);
    let mut reply = accepted(statestore, registration, true);
    reply.publication_limit = Some(limit);
    world.answer_registration(0, reply);
}

/// The only call under way: what it publishes.
fn unasked(world: &mut World) -> (Call, Unasked) {
    let call = world.call();
    let Body::Publish(unasked) = &call.body else {
        panic!("{call:?}")
    };
    let unasked = unasked.as_ref().clone();
    (call, unasked)
}

fn words(unasked: &Unasked) -> Vec<String> {
    published(&UpdateAnswer {
        updates: unasked.updates.clone(),
        ..UpdateAnswer::default()
    })
}

fn answer(world: &mut World, call: &Call, status: Status) {
    let reply = Reply::Publish(PublishResponse { status });
    world.complete(call.id, Ok(reply));
}

#[test]
fn what_is_wished_for_goes_out_at_once_and_the_rest_after_the_answer() {
    let mut world = taken(1 << 20);
    world.publish(vec![put("t", "a", "1")]);
    let (call, first) = unasked(&mut world);
    assert_eq!((first.sequence, first.stream, first.more), (1, 1, false));
    assert_eq!(words(&first), ["t a=1"]);
    world.publish(vec![put("t", "a", "2"), put("t", "b", "1")]);
    // One at a time, and nothing in the answers of updates.
    assert!(world.calls.is_empty());
    let replied = world.update(1, vec![delta("t", 0, 1, &[("a", "1")])]);
    assert!(published(&replied).is_empty());
    answer(&mut world, &call, Status::ok());
    let (call, second) = unasked(&mut world);
    assert_eq!(words(&second), ["t a=2", "t b=1"]);
    assert_eq!((second.sequence, world.view().outstanding), (2, 2));
    answer(&mut world, &call, Status::ok());
    assert_eq!(world.view().outstanding, 0);
}

#[test]
fn what_failed_is_repeated_under_its_number_without_what_was_replaced() {
    let mut world = taken(1 << 20);
    world.publish(vec![put("t", "a", "1"), put("t", "b", "1")]);
    let (call, _) = unasked(&mut world);
    world.publish(vec![put("t", "a", "2")]);
    world.fail(&call);
    assert!(world.calls.is_empty());
    world.seconds(3);
    let (call, again) = unasked(&mut world);
    assert_eq!((again.sequence, again.more), (1, true));
    assert_eq!(words(&again), ["t b=1"]);
    let refused = Status::error(StatusCode::GENERAL, "being taken in");
    answer(&mut world, &call, refused);
    world.seconds(3);
    let (call, again) = unasked(&mut world);
    assert_eq!(again.sequence, 1);
    answer(&mut world, &call, Status::ok());
    assert_eq!(words(&unasked(&mut world).1), ["t a=2"]);
}

#[test]
fn a_statestored_that_does_not_know_the_word_is_answered_as_ever() {
    let mut world = World::following(vec![topic("t")]);
    world.update(1, vec![delta("t", 0, 0, &[])]);
    world.publish(vec![put("t", "a", "1")]);
    assert!(world.calls.is_empty());
    let replied = world.update(1, vec![delta("t", 0, 0, &[])]);
    assert_eq!(published(&replied), ["t a=1"]);

    let mut world = taken(1 << 20);
    world.publish(vec![put("t", "a", "1")]);
    let (call, _) = unasked(&mut world);
    let unknown = "RPC Error: Invalid method name: 'Publish'";
    let status = Status::error(StatusCode::RPC_GENERAL_ERROR, unknown);
    world.complete(call.id, Err(status));
    world.seconds(10);
    assert!(world.calls.is_empty());
    let replied = world.update(1, vec![delta("t", 0, 0, &[])]);
    assert_eq!(published(&replied), ["t a=1"]);
}

#[test]
fn a_new_registration_gets_everything_after_its_first_update_under_new_numbers() {
    let mut world = taken(1 << 20);
    world.publish(vec![put("t", "a", "1")]);
    let (late, _) = unasked(&mut world);
    world.pass(Duration::from_secs(31));
    join(&mut world, 11, 2, 1 << 20);
    assert!(world.calls.is_empty());
    // The answer to the former registration's call moves nothing.
    answer(&mut world, &late, Status::ok());
    world.update_from((11, 2), 2, vec![delta("t", 0, 0, &[])]);
    let (_, anew) = unasked(&mut world);
    assert_eq!(words(&anew), ["t a=1"]);
    assert_eq!((anew.registration_id.0.lo, anew.sequence), (2, 2));
}

#[test]
fn a_call_carries_what_fits_and_an_answer_what_never_does() {
    let mut world = taken(400);
    let long = "v".repeat(101);
    let short = "v".repeat(80);
    world.publish(vec![put("t", "a", &short), put("t", "b", &long)]);
    let (call, first) = unasked(&mut world);
    assert_eq!((words(&first).len(), first.more), (1, true));
    // Not while the other is on its way.
    let replied = world.update(1, vec![delta("t", 0, 1, &[("a", &short)])]);
    assert!(published(&replied).is_empty());
    answer(&mut world, &call, Status::ok());
    // An empty call wants an update; once that was answered there is only to wait.
    let (call, second) = unasked(&mut world);
    assert_eq!((words(&second).len(), second.more), (0, true));
    answer(&mut world, &call, Status::ok());
    world.seconds(3);
    assert!(world.calls.is_empty());
    let replied = world.update(1, vec![delta("t", 1, 1, &[])]);
    assert_eq!(published(&replied), [format!("t b={long}")]);
    assert!(world.calls.is_empty());
    world.publish(vec![put("t", "c", "1")]);
    world.update(1, vec![delta("t", 1, 1, &[])]);
    assert_eq!(words(&unasked(&mut world).1), ["t c=1"]);
}

// A catalog object that is large beside a statistic that changes all the time.
#[test]
fn a_topic_that_changes_all_the_time_keeps_no_large_value_of_another_waiting() {
    let mut world = taken_of(400, &["busy", "t"]);
    let updated = |world: &mut World, from: i64| {
        let topics = ["busy", "t"].map(|name| delta(name, from, 1, &[]));
        published(&world.update(1, topics.to_vec()))
    };
    assert!(updated(&mut world, 0).is_empty());
    world.publish(vec![put("busy", "b", "1")]);
    let (mut call, _) = unasked(&mut world);
    let long = "v".repeat(101);
    world.publish(vec![put("t", "large", &long), put("t", "after", "1")]);
    for n in 2..5 {
        world.publish(vec![put("busy", "b", &n.to_string())]);
        answer(&mut world, &call, Status::ok());
        let (next, busy) = unasked(&mut world);
        assert_eq!(
            (words(&busy), busy.more),
            (vec![format!("busy b={n}")], true)
        );
        call = next;
    }
    // The answer takes it although a call is under way, and only its topic.
    world.publish(vec![put("busy", "b", "5")]);
    let large = [format!("t large={long}"), "t after=1".to_owned()];
    assert_eq!(updated(&mut world, 1), large);
    // Until it is known to have arrived the topic waits, so that nothing overtakes it; no other.
    world.publish(vec![put("t", "large", "2")]);
    answer(&mut world, &call, Status::ok());
    let (call, busy) = unasked(&mut world);
    assert_eq!(
        (words(&busy), busy.more),
        (vec!["busy b=5".to_owned()], true)
    );
    answer(&mut world, &call, Status::ok());
    assert!(world.calls.is_empty());
    assert!(updated(&mut world, 1).is_empty());
    let (call, last) = unasked(&mut world);
    assert_eq!(
        (words(&last), last.more),
        (vec!["t large=2".to_owned()], false)
    );
    answer(&mut world, &call, Status::ok());
    assert_eq!(world.view().outstanding, 0);
}

#[test]
fn s2_an_answer_carries_nothing_of_a_topic_that_a_call_may_still_bring() {
    let mut world = taken_of(400, &["t"]);
    world.publish(vec![put("t", "a", "1")]);
    let (call, _) = unasked(&mut world);
    let long = "v".repeat(101);
    world.publish(vec![put("t", "a", &long)]);
    world.fail(&call);
    assert!(published(&world.update(1, vec![delta("t", 0, 0, &[])])).is_empty());
    world.seconds(3);
    let (call, again) = unasked(&mut world);
    assert_eq!((again.sequence, again.more), (1, true));
    assert!(published(&world.update(1, vec![delta("t", 0, 0, &[])])).is_empty());
    answer(&mut world, &call, Status::ok());
    let replied = world.update(1, vec![delta("t", 0, 0, &[])]);
    assert_eq!(published(&replied), [format!("t a={long}")]);
}

// The shorter the patience, the shorter a call's limit, and what does not fit would never arrive.
#[test]
fn a_call_is_given_no_more_than_its_limit_suffices_for() {
    const MIB: usize = 1 << 20;
    let mut config = config(1);
    config.topics = vec![topic("t")];
    config.timeout = Duration::from_secs(1);
    let mut world = World::new(config);
    join(&mut world, 10, 1, 64 << 20);
    world.update(1, vec![delta("t", 0, 1, &[])]);
    let value = "v".repeat(MIB);
    let commands = (0..8).map(|n| put("t", &n.to_string(), &value));
    world.publish(commands.chain([put("t", "x", &value.repeat(3))]).collect());
    let mut carried = 0;
    while carried < 8 {
        let (call, unasked) = unasked(&mut world);
        let items = unasked.updates[0].items.len();
        let seconds = call.timeout.as_secs() as usize;
        assert!(unasked.more && items > 0, "{items}");
        assert!(items <= seconds / 2 + 1, "{items} MiB in {seconds} s");
        carried += items;
        answer(&mut world, &call, Status::ok());
    }
    // One that needs too long by itself goes where there is more time.
    let (call, empty) = unasked(&mut world);
    assert!(empty.updates.is_empty());
    answer(&mut world, &call, Status::ok());
    let replied = world.update(1, vec![delta("t", 1, 1, &[])]);
    assert_eq!(published(&replied).len(), 1);
}

#[test]
fn a_call_publishes_to_no_more_topics_than_a_statestored_takes() {
    let mut world = taken(1 << 20);
    let topics: Vec<String> = (0..1_500).map(|n| format!("x{n:04}")).collect();
    let commands = topics.iter().map(|name| put(name, "k", "v"));
    world.publish(commands.collect());
    let (call, first) = unasked(&mut world);
    assert_eq!((first.updates.len(), first.more), (1_024, true));
    answer(&mut world, &call, Status::ok());
    let (_, second) = unasked(&mut world);
    assert_eq!((second.updates.len(), second.more), (476, false));
}
