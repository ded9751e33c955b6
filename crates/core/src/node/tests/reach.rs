//! Why the peer is not found is said, and not again and again; one is a node, the other the test.

use super::told::{acceptance, active, paired};
use super::*;
use crate::event::{Event, Severity};
use crate::pair::{News, Why};

/// Ends all handshakes of the next `steps` ticks so; gives the lines at that.
fn greet(
    node: &mut Node,
    now: &mut u64,
    steps: u64,
    outcome: impl Fn(u64) -> Result<Reply, CallFault>,
) -> Vec<(Severity, String)> {
    let mut lines = Vec::new();
    for n in 0..steps {
        *now += 500;
        for call in step(node, at(*now), Input::Timer) {
            if matches!(call.body, Body::Handshake(_)) {
                lines.extend(end(node, *now, call.id, outcome(n)));
            }
        }
    }
    lines
}

/// Ends a call so; gives the lines of why the peer is not found.
fn end(
    node: &mut Node,
    now: u64,
    call: CallId,
    outcome: Result<Reply, CallFault>,
) -> Vec<(Severity, String)> {
    let mut out = Outbox::new();
    node.step(at(now), Input::Completed { call, outcome }, &mut out);
    let lines = out.into_iter().filter_map(|effect| match effect {
        Effect::Log(event @ Event::PeerNotFound { .. }) => {
            Some((event.severity(), format!("{event}")))
        }
        _ => None,
    });
    lines.collect()
}

fn fails(why: &str) -> Result<Reply, CallFault> {
    let status = Status::error(StatusCode::RPC_GENERAL_ERROR, why);
    Err(CallFault(status))
}

// observability.md section 6
#[test]
fn each_reason_for_a_missing_peer_is_said_once() {
    let (mut node, mut now) = (paired(), 0);
    let lines = greet(&mut node, &mut now, 9, |n| {
        fails(["a", "b"][usize::from(n > 4)])
    });
    let texts: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].starts_with("Peer statestored not found at ") && texts[0].ends_with(": a"));
    assert!(texts[1].ends_with(": b"));
    assert!(
        lines
            .iter()
            .all(|(severity, _)| *severity == Severity::Warning)
    );
    assert_eq!(node.peer_error().unwrap(), &Text::from("b"));
    let many = greet(&mut node, &mut now, 60, |n| fails(&format!("{n} ms")));
    assert!((1..20).contains(&many.len()), "{}", many.len());
}

// observability.md section 6
#[test]
fn a_peer_that_was_found_in_between_is_explained_anew() {
    let (mut node, beat) = active();
    let no = |node: &mut Node, now, call| end(node, now, call, fails("no"));
    assert_eq!(no(&mut node, 600, beat), [], "it is not lost yet");
    assert_eq!(node.peer_error().unwrap(), &Text::from("no"));
    let mut said = 0;
    let mut now = 600;
    for round in 1..=2 {
        while said < round {
            now += 500;
            assert!(now < 9_000, "{said}");
            for call in step(&mut node, at(now), Input::Timer) {
                if matches!(call.body, Body::HaHeartbeat(_)) {
                    said += no(&mut node, now, call.id).len();
                }
            }
        }
        now += 500;
        for call in step(&mut node, at(now), Input::Timer) {
            if matches!(call.body, Body::HaHeartbeat(_)) {
                assert_eq!(end(&mut node, now, call.id, Ok(acceptance())), []);
            }
        }
        assert_eq!(node.peer_error(), None);
        assert!(node.peer_silence(at(now)).unwrap().is_zero(), "H-10");
    }
}

// H-2, rule 18, rule 15 of ha.md
#[test]
fn only_what_nobody_planned_is_a_warning() {
    let loud = |news| Event::Pair(news).severity();
    let epoch = wire::Epoch(1);
    let stopped = |why| News::SteppedDown {
        epoch,
        why,
        expired: core::time::Duration::ZERO,
    };
    let alone = Why::Alone;
    assert_eq!(loud(News::Active { epoch, why: alone }), Severity::Warning);
    assert_eq!(loud(stopped(Why::LeaseExpired)), Severity::Warning);
    assert_eq!(loud(stopped(Why::Stopping)), Severity::Info);
    let text = format!("{}", Event::Pair(stopped(Why::Stopping)));
    assert!(text.starts_with("No longer the active statestored (epoch 1 is over)"));
    assert!(!text.contains("recovery"), "{text}");
}
