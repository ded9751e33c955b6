//! What hostile and unlucky subscribers can claim, and how little it may cost the others.

use super::*;

fn reply(node: &mut Node, now: Now, call: &Call, topic_updates: Vec<TopicDelta>) -> Outbox {
    let response = wire::UpdateStateResponse {
        topic_updates,
        ..Default::default()
    };
    let outcome = Ok(Reply::Update(response));
    let mut out = Outbox::new();
    let call = call.id;
    node.step(now, Input::Completed { call, outcome }, &mut out);
    out
}

fn updates(calls: Vec<Call>) -> Vec<Call> {
    let lanes = [crate::port::Lane::Priority, crate::port::Lane::Bulk];
    let updates = calls.into_iter().filter(|call| lanes.contains(&call.lane));
    updates.collect()
}

// T-21: who names a hundred thousand topics that do not exist neither floods the log nor makes
// the others wait.
#[test]
fn a_reply_of_very_many_deltas_is_taken_in_steps_and_logged_in_a_few_lines() {
    let mut node = node(Config::default());
    let mut calls = Vec::new();
    for (n, id) in ["a", "b"].into_iter().enumerate() {
        calls.extend(updates(register(
            &mut node,
            at(5),
            n as i64,
            request(id, &["t"]),
        )));
    }
    let many = |call: &Call| {
        let names = (0..20_000).map(|n| Text::from(format!("{}{n:08}", call.to.subscriber)));
        let deltas = names.map(|topic_name| TopicDelta {
            topic_name,
            ..Default::default()
        });
        deltas.collect::<Vec<_>>()
    };
    let (mut steps, mut lines) = (0, 0);
    for call in &calls {
        let deltas = many(call);
        lines += reply(&mut node, at(6), call, deltas).len();
    }
    assert_eq!(node.intakes.len(), 2, "none is through in one step");
    while !node.intakes.is_empty() {
        steps += 1;
        let now = Now {
            time: node.deadline().unwrap(),
            ..at(6)
        };
        let mut out = Outbox::new();
        node.step(now, Input::Timer, &mut out);
        lines += out.len();
    }
    assert!((16..=22).contains(&steps), "{steps} steps");
    assert!(lines <= 2 * 16, "{lines} lines");
}

// S-3, S-4: not even one that registers slower than its lanes' periods.
#[test]
fn a_subscriber_that_hangs_and_registers_for_ever_has_few_calls_pending() {
    let mut node = node(Config::default());
    let mut pending = Vec::new();
    for n in 0..1_000 {
        let now = 5 + n * 3_000;
        let came = register(&mut node, at(now), n.cast_signed(), request("a", &["t"]));
        pending.extend(updates(came));
        pending.extend(updates(step(&mut node, at(now + 2_500), Input::Timer)));
    }
    assert_eq!(pending.len(), 16);
    let ended = pending.remove(0);
    fail(&mut node, at(3_000_000), ended.id);
    let calls = updates(step(&mut node, at(3_003_000), Input::Timer));
    assert_eq!(
        calls.len(),
        1,
        "one ended, so the current registration is heard"
    );
}

// refused with the field's name, and nothing changed.
#[test]
fn a_registration_larger_than_any_real_one_is_refused_by_name() {
    let mut node = node(Config::default());
    let long = "x".repeat(4097);
    let names: Vec<_> = (0..4097).map(|n| format!("{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut far = request("a", &[]);
    far.subscriber_location.hostname = Text::from(&long[..]);
    let mut narrow = request("a", &["t"]);
    narrow.topic_registrations[0].filter_prefix = Some(Text::from(&long[..]));
    let mut active = catalogd("a");
    let its = active.catalogd_registration.as_mut().unwrap();
    its.address.uds_address = Some(Text::from(&long[..]));
    for (request, field) in [
        (request(&long, &[]), "subscriber_id"),
        (request("a", &names), "topic_registrations"),
        (request("a", &[&long]), "topic_name"),
        (far, "subscriber_location"),
        (narrow, "filter_prefix"),
        (active, "catalogd_registration.address is"),
    ] {
        let mut out = Outbox::new();
        let input = Input::Request {
            request_id: RequestId(1),
            request: Request::Register {
                request,
                drawn: RegistrationId(UniqueId { hi: 0, lo: 1 }),
            },
        };
        node.step(at(5), input, &mut out);
        let [Effect::Log(event), Effect::Answer { answer, .. }] = &out[..] else {
            panic!("{out:?}")
        };
        let Answer::Register { response, .. } = answer else {
            panic!("{answer:?}")
        };
        let text = format!("{}", response.status.message());
        assert!(text.contains(field) && text.contains("4097"), "{text}");
        assert!(format!("{event}").len() < 4_000);
    }
    assert!(node.members.is_empty() && node.topics().is_empty());
}

// ha.md section 5, W: everybody is asked in the rhythm of the shortest limit, so the more there
// are, the longer it has to be.
#[test]
fn a_short_limit_of_silence_is_for_few() {
    let mut node = node(Config::default());
    let mut said = |id: &str, heartbeat_timeout_ms: i64| {
        let mut patient = request(id, &[]);
        patient.heartbeat_timeout_ms = Some(heartbeat_timeout_ms);
        let mut out = Outbox::new();
        let input = Input::Request {
            request_id: RequestId(1),
            request: Request::Register {
                request: patient,
                drawn: RegistrationId(UniqueId { hi: 0, lo: 1 }),
            },
        };
        node.step(at(5), input, &mut out);
        let answer = out.iter().find_map(|effect| match effect {
            Effect::Answer {
                answer: Answer::Register { response, .. },
                ..
            } => Some(response),
            _ => None,
        });
        let status = &answer.unwrap().status;
        (!status.is_ok()).then(|| format!("{}", status.message()))
    };
    assert_eq!(said("a", 300), None);
    let refusal = said("b", 299).unwrap();
    assert!(
        refusal.contains("heartbeat_timeout_ms is 299, at least 300"),
        "{refusal}"
    );
    for n in 0..400 {
        assert_eq!(said(&format!("s{n}"), 30_000), None);
    }
    assert_eq!(said("a", 400), None, "400 others");
    let refusal = said("a", 399).unwrap();
    assert!(refusal.contains("at least 400"), "{refusal}");
}

// F-2: what a peer says about itself does not fill the log.
#[test]
fn a_status_of_a_megabyte_is_one_short_line() {
    let mut node = node(Config::default());
    let calls = register(&mut node, at(5), 1, request("a", &["t"]));
    let status = Status::error(StatusCode::GENERAL, "e".repeat(1 << 20));
    for call in calls {
        let outcome = Err(CallFault(status.clone()));
        let mut out = Outbox::new();
        let call = call.id;
        node.step(at(6), Input::Completed { call, outcome }, &mut out);
        let [Effect::Log(event)] = &out[..] else {
            panic!("{out:?}")
        };
        let line = format!("{event}");
        assert!(line.len() < 2_000 && line.contains("more bytes"), "{line}");
    }
}

// P2: a topic that is only named costs little.
#[test]
fn a_topic_without_entries_takes_less_than_a_kilobyte() {
    let mut node = node(Config::default());
    register(&mut node, at(5), 1, request("a", &["t"]));
    let topic = &node.topics()[0];
    assert!(topic.memory_bytes < 1_024, "{topic:?}");
}
