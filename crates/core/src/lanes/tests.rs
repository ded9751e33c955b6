//! The schedule's order and each lane's rhythm.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::schedule::Upto;
use alloc::vec::Vec;

const CONFIG: LaneConfig = LaneConfig {
    period: Duration::from_millis(100),
    timeout: Duration::from_secs(1),
    slack: Duration::ZERO,
};
const PUSH: Duration = Duration::from_millis(10);

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn lane() -> (Rhythm, Schedule) {
    let mut schedule = Schedule::default();
    let mut rhythm = Rhythm::new(MemberKey::numbered(1), Lane::Bulk);
    rhythm.start(at(0), &mut schedule);
    (rhythm, schedule)
}

/// Called at 0, and told of a change at `when` while it calls.
fn hurried(when: u64, push: Duration) -> (Rhythm, Schedule) {
    let (mut rhythm, mut schedule) = lane();
    assert!(schedule.pop_due(at(0), Upto::Long).is_some());
    rhythm.begin(true);
    rhythm.hurry(at(when), push, &mut schedule);
    (rhythm, schedule)
}

/// Sends at `start` and ends at `end`.
fn turn(rhythm: &mut Rhythm, schedule: &mut Schedule, (start, end): (u64, u64), ending: Ending) {
    assert!(schedule.pop_due(at(start), Upto::Long).is_some());
    rhythm.begin(true);
    rhythm.end(at(end), ending, &CONFIG, Some(PUSH), schedule);
}

// S-3, S-4
#[test]
fn a_lane_holds_one_slot_while_it_waits_and_none_while_it_calls() {
    let (mut rhythm, mut schedule) = lane();
    assert_eq!(schedule.len(), 1);
    schedule.pop_due(at(0), Upto::Long).unwrap();
    rhythm.begin(true);
    assert!(schedule.is_empty() && rhythm.is_calling());
    rhythm.hurry(at(1), PUSH, &mut schedule);
    assert!(schedule.is_empty());
    rhythm.end(at(2), Ending::Done, &CONFIG, Some(PUSH), &mut schedule);
    assert_eq!(
        schedule.first(),
        Some(at(12)),
        "the change shortened the wait"
    );
    rhythm.stop(&mut schedule);
    assert!(schedule.is_empty());
}

// S-5
#[test]
fn the_wait_counts_from_the_end_and_doubles_after_a_skip() {
    for (ending, next) in [
        (Ending::Done, 150),
        (Ending::Failed, 150),
        (Ending::Skipped, 250),
        (Ending::Outlived, 150),
    ] {
        let (mut rhythm, mut schedule) = lane();
        turn(&mut rhythm, &mut schedule, (0, 50), ending);
        assert_eq!(schedule.first(), Some(at(next)), "{ending:?}");
    }
}

// S-5
#[test]
fn a_lane_that_backs_off_is_not_hurried() {
    for ending in [Ending::Failed, Ending::Skipped] {
        let (mut rhythm, mut schedule) = lane();
        turn(&mut rhythm, &mut schedule, (0, 50), ending);
        let due = schedule.first();
        rhythm.hurry(at(60), PUSH, &mut schedule);
        assert_eq!(schedule.first(), due, "{ending:?}");
    }
}

#[test]
fn a_hurried_lane_keeps_the_coalescing_distance_and_is_never_delayed() {
    let (mut rhythm, mut schedule) = lane();
    turn(&mut rhythm, &mut schedule, (0, 50), Ending::Done);
    rhythm.hurry(at(53), PUSH, &mut schedule);
    assert_eq!(schedule.first(), Some(at(60)));
    rhythm.hurry(at(59), PUSH, &mut schedule);
    assert_eq!((schedule.first(), schedule.len()), (Some(at(60)), 1));
}

// P5: what asks whether there is anything new is no update that others have to keep away from.
#[test]
fn a_change_goes_out_at_once_after_a_poll_and_is_none_any_more() {
    let (mut rhythm, mut schedule) = lane();
    schedule.pop_due(at(0), Upto::Long).unwrap();
    rhythm.begin(false);
    rhythm.hurry(at(20), PUSH, &mut schedule);
    rhythm.end(at(50), Ending::Done, &CONFIG, Some(PUSH), &mut schedule);
    let (slot, _) = schedule.pop_due(at(51), Upto::Long).unwrap();
    assert!(slot.at == at(51) && !slot.is_poll());
    // Whatever it saw of the change, the next one keeps its distance.
    rhythm.begin(false);
    rhythm.hurry(at(52), PUSH, &mut schedule);
    rhythm.end(at(53), Ending::Done, &CONFIG, Some(PUSH), &mut schedule);
    assert_eq!(schedule.first_news(), Some(at(63)));
    schedule.pop_due(at(63), Upto::Long).unwrap();
    rhythm.begin(false);
    rhythm.end(at(64), Ending::Done, &CONFIG, Some(PUSH), &mut schedule);
    rhythm.hurry(at(65), PUSH, &mut schedule);
    assert_eq!(schedule.first_news(), Some(at(74)));
}

// S-5
#[test]
fn an_update_that_may_tell_something_is_no_poll() {
    let (mut rhythm, mut schedule) = lane();
    turn(&mut rhythm, &mut schedule, (0, 50), Ending::Skipped);
    assert_eq!(schedule.first_news(), None);
    rhythm.hurry(at(60), PUSH, &mut schedule);
    assert_eq!(schedule.first_news(), Some(at(250)), "it backs off");
    let (mut rhythm, mut schedule) = lane();
    schedule.pop_due(at(0), Upto::Long).unwrap();
    rhythm.begin(false);
    rhythm.end(at(50), Ending::Done, &CONFIG, None, &mut schedule);
    assert_eq!(schedule.first_news(), Some(at(150)), "nothing is pushed");
}

#[test]
fn a_poll_that_is_due_becomes_a_message_when_there_is_something_to_say() {
    for hurries in [true, false] {
        let (mut rhythm, mut schedule) = lane();
        turn(&mut rhythm, &mut schedule, (0, 50), Ending::Done);
        assert_eq!(
            (schedule.first(), schedule.first_news()),
            (Some(at(150)), None)
        );
        match hurries {
            true => rhythm.hurry(at(200), PUSH, &mut schedule),
            false => rhythm.due_by(at(200), &mut schedule),
        }
        assert_eq!((schedule.first_news(), schedule.len()), (Some(at(150)), 1));
    }
}

#[test]
fn a_push_interval_longer_than_the_period_does_not_slow_the_lane_down() {
    let long = Duration::from_secs(9);
    let (mut rhythm, mut schedule) = hurried(1, long);
    rhythm.end(at(2), Ending::Done, &CONFIG, Some(long), &mut schedule);
    assert_eq!(schedule.first(), Some(at(102)));
}

// S-5: who fell due together does not for ever, and never early; and what is urgent does not wait.
#[test]
fn periods_end_within_the_slack_and_those_that_began_together_apart() {
    let slack = LaneConfig {
        slack: Duration::from_millis(8),
        ..CONFIG
    };
    let mut schedule = Schedule::default();
    let mut rhythm = Rhythm::new(MemberKey::numbered(1), Lane::Bulk);
    let mut ends = |ending| {
        let next = (0..100).map(|_| {
            rhythm.end(at(5), ending, &slack, Some(PUSH), &mut schedule);
            schedule.first().unwrap().as_nanos() / 1_000_000
        });
        let mut next: Vec<u64> = next.collect();
        next.sort_unstable();
        let at_most = next.chunk_by(|a, b| a == b).map(<[u64]>::len).max();
        (next[0], next[99], at_most.unwrap())
    };
    for (ending, end) in [
        (Ending::Done, 105),
        (Ending::Failed, 105),
        (Ending::Skipped, 205),
    ] {
        let (first, last, together) = ends(ending);
        assert!(
            end <= first && last <= end + 8,
            "{ending:?}: {first} to {last}"
        );
        assert!(together <= 52, "{ending:?}: {together}");
    }
    let (mut rhythm, mut schedule) = hurried(1, PUSH);
    rhythm.end(at(3), Ending::Done, &slack, Some(PUSH), &mut schedule);
    assert_eq!(schedule.first(), Some(at(13)));
}

#[test]
fn a_change_hurries_one_message_also_where_the_turn_ends_without_one() {
    let (mut rhythm, mut schedule) = hurried(1, PUSH);
    rhythm.end(at(2), Ending::Outlived, &CONFIG, Some(PUSH), &mut schedule);
    assert_eq!(schedule.first(), Some(at(12)));
    schedule.pop_due(at(12), Upto::Long).unwrap();
    rhythm.end(at(12), Ending::Done, &CONFIG, Some(PUSH), &mut schedule);
    assert_eq!(schedule.first(), Some(at(112)));
}

#[test]
fn a_period_of_nothing_does_not_spin() {
    let none = LaneConfig {
        period: Duration::ZERO,
        ..CONFIG
    };
    let (mut rhythm, mut schedule) = lane();
    schedule.pop_due(at(0), Upto::Long).unwrap();
    rhythm.begin(true);
    rhythm.end(at(0), Ending::Done, &none, None, &mut schedule);
    assert_eq!(schedule.pop_due(at(0), Upto::Long), None);
}

// S-4, R-3: the first message has its own time, which a change does not know better.
#[test]
fn a_first_message_is_not_hurried() {
    let mut schedule = Schedule::default();
    let mut rhythm = Rhythm::new(MemberKey::numbered(1), Lane::Bulk);
    rhythm.start(at(50), &mut schedule);
    rhythm.hurry(at(3), PUSH, &mut schedule);
    assert_eq!(schedule.first(), Some(at(50)));
    turn(&mut rhythm, &mut schedule, (50, 60), Ending::Done);
    rhythm.hurry(at(61), PUSH, &mut schedule);
    assert_eq!(schedule.first(), Some(at(70)), "the next one is");
}

#[test]
fn what_has_to_go_out_by_a_time_does_also_if_that_was_said_during_a_call() {
    for (ending, next) in [
        (Ending::Done, 70),
        (Ending::Failed, 150),
        (Ending::Outlived, 70),
    ] {
        let (mut rhythm, mut schedule) = lane();
        schedule.pop_due(at(0), Upto::Long).unwrap();
        rhythm.begin(true);
        rhythm.due_by(at(90), &mut schedule);
        rhythm.due_by(at(70), &mut schedule);
        rhythm.end(at(50), ending, &CONFIG, Some(PUSH), &mut schedule);
        assert_eq!(schedule.first(), Some(at(next)), "{ending:?}");
    }
    let (mut rhythm, mut schedule) = lane();
    schedule.pop_due(at(0), Upto::Long).unwrap();
    rhythm.begin(true);
    rhythm.due_by(at(10), &mut schedule);
    rhythm.end(at(50), Ending::Done, &CONFIG, Some(PUSH), &mut schedule);
    assert_eq!(schedule.first(), Some(at(51)), "it is late already");
}

// W10, S-5: the next activation may have something to say before the last message of this one ends.
#[test]
fn a_message_that_was_outlived_delays_nothing() {
    let (mut rhythm, mut schedule) = hurried(20, PUSH);
    rhythm.end(at(50), Ending::Outlived, &CONFIG, Some(PUSH), &mut schedule);
    assert_eq!(schedule.first(), Some(at(60)), "told during the call");
    turn(&mut rhythm, &mut schedule, (60, 80), Ending::Outlived);
    rhythm.hurry(at(85), PUSH, &mut schedule);
    assert_eq!(schedule.first(), Some(at(90)), "told after it");
}

#[test]
fn long_work_keeps_its_place_among_the_rest_and_keeps_none_of_it_back() {
    let mut schedule = Schedule::default();
    let absorb = schedule.add(at(1), Task::Absorb);
    schedule.add(at(2), Task::Report);
    schedule.add(at(2), Task::Expire);
    schedule.add(at(3), Task::RoleRound);
    assert_eq!((schedule.first(), schedule.len()), (Some(at(1)), 4));
    assert_eq!(schedule.first_short(), Some(at(2)));
    let next = |schedule: &mut Schedule, upto| schedule.pop_due(at(2), upto).map(|due| due.1);
    assert_eq!(next(&mut schedule, Upto::Polls), Some(Task::Report));
    assert_eq!(next(&mut schedule, Upto::Polls), None);
    assert_eq!(next(&mut schedule, Upto::Long), Some(Task::Absorb));
    schedule.cancel(absorb);
    assert_eq!(next(&mut schedule, Upto::Long), Some(Task::Expire));
    assert_eq!(next(&mut schedule, Upto::Long), None);
    assert_eq!(schedule.first(), Some(at(3)));
}
