//! The order of what is due, against one map of everything.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::ids::Key;
use alloc::vec::Vec;
use proptest::prelude::*;

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn send(lane: Lane) -> Task {
    let (number, place) = (1, 0);
    Task::Send(MemberKey(Key { number, place }), lane)
}

#[test]
fn what_is_due_comes_in_order_of_time_and_then_of_addition() {
    let mut schedule = Schedule::default();
    let tasks = [
        (5, Task::Report),
        (3, Task::CatalogWait),
        (5, Task::CatalogRound),
    ];
    for (time, task) in tasks {
        schedule.add(at(time), task);
    }
    let mut due = Vec::new();
    while let Some((_, task)) = schedule.pop_due(at(5), Upto::Long) {
        due.push(task);
    }
    assert_eq!(due, [Task::CatalogWait, Task::Report, Task::CatalogRound]);
}

#[test]
fn holes_are_filled_up_and_a_moment_without_tasks_is_gone() {
    let mut schedule = Schedule::default();
    let slots: Vec<Slot> = (0..1_000)
        .map(|_| schedule.add(at(7), Task::Report))
        .collect();
    let (last, others) = slots.split_last().unwrap();
    others.iter().for_each(|slot| schedule.cancel(*slot));
    assert_eq!(schedule.len(), 1);
    let Some(Moment::Many(crowd)) = schedule.queues[0].all.get(&at(7)) else {
        panic!("they had a moment in common")
    };
    assert!(crowd.tasks.len() <= HOLES + 2);
    schedule.cancel(others[0]);
    schedule.cancel(*last);
    assert!(schedule.is_empty() && schedule.queues[0].all.is_empty());
}

#[test]
fn queues_take_turns_and_each_keeps_its_order() {
    let mut schedule = Schedule::default();
    let poll = Task::Send(MemberKey::numbered(2), Lane::Priority);
    schedule.add_poll(at(1), poll);
    schedule.add_poll(at(0), poll);
    for time in [1, 2, 3] {
        schedule.add(at(time), send(Lane::Bulk));
    }
    schedule.add(at(4), send(Lane::Heartbeat));
    schedule.add(at(4), Task::Absorb);
    for time in [6, 5] {
        schedule.add(at(time), send(Lane::Priority));
    }
    let wanted = [
        (4, send(Lane::Heartbeat)),
        (5, send(Lane::Priority)),
        (1, send(Lane::Bulk)),
        (6, send(Lane::Priority)),
        (2, send(Lane::Bulk)),
        (3, send(Lane::Bulk)),
        // One after three turns of the others, as far as these have anything.
        (0, poll),
        (1, poll),
    ];
    let ahead: Vec<Task> = schedule.due(at(9), Upto::Polls).collect();
    assert_eq!(ahead, wanted.map(|(_, task)| task));
    let mut due = Vec::new();
    while let Some((slot, task)) = schedule.pop_due(at(9), Upto::Polls) {
        due.push((slot.at.as_nanos() / 1_000_000, task));
    }
    assert_eq!(due, wanted);
    assert_eq!(schedule.len(), 1);
}

#[test]
fn polls_have_each_fourth_turn_beside_others_and_heartbeats_are_none() {
    let mut schedule = Schedule::default();
    for _ in 0..8 {
        schedule.add_poll(at(1), send(Lane::Priority));
        schedule.add(at(2), send(Lane::Bulk));
    }
    let beat = schedule.add_poll(at(3), send(Lane::Heartbeat));
    assert!(!beat.is_poll());
    schedule.cancel(beat);
    let lanes = core::iter::from_fn(|| schedule.pop_due(at(3), Upto::Polls));
    let polls: Vec<bool> = lanes.map(|(slot, _)| slot.is_poll()).collect();
    let wanted = [3, 7, 10, 11, 12, 13, 14, 15].map(|place| (place, true));
    let polls: Vec<_> = polls.into_iter().enumerate().filter(|it| it.1).collect();
    assert_eq!(polls, wanted);
}

// A naive schedule: all there is, in order of time and addition; and the turn that was taken.
fn next(
    map: &BTreeMap<Slot, Task>,
    now: Time,
    upto: Upto,
    turn: usize,
) -> Option<(Slot, Task, usize)> {
    let due = || map.iter().filter(|(slot, _)| slot.at <= now);
    let of = |queue: usize| due().find(move |(slot, _)| slot.queue() == queue);
    let first = due().find(|(slot, _)| upto == Upto::Long || slot.queue() != LONG);
    if let Some((slot, task)) = first.filter(|(slot, _)| slot.queue() == LONG) {
        return Some((*slot, *task, turn));
    }
    let turns = (turn..turn + TURNS.len()).map(|turn| turn % TURNS.len());
    let turns = turns.filter(|turn| upto != Upto::News || TURNS[*turn] != POLLS);
    let mut taken = turns.filter_map(|turn| Some((of(TURNS[turn])?, turn + 1)));
    taken
        .next()
        .map(|((slot, task), turn)| (*slot, *task, turn))
}

// All that is due of what is soon done.
fn short(mut map: BTreeMap<Slot, Task>, now: Time, upto: Upto, mut turn: usize) -> Vec<Task> {
    let mut all = Vec::new();
    while let Some((slot, task, taken)) = next(&map, now, upto.min(Upto::Polls), turn) {
        map.remove(&slot);
        all.push(task);
        turn = taken;
    }
    all
}

proptest! {
    #[test]
    fn it_does_what_one_map_does(
        steps in prop::collection::vec((0..6u8, 0..6u64, any::<prop::sample::Index>()), 0..300)
    ) {
        let tasks = [
            Task::Report,
            Task::Absorb,
            send(Lane::Bulk),
            Task::Push,
            send(Lane::Priority),
            Task::Collect,
        ];
        let mut turn = 0;
        let (mut schedule, mut map) = (Schedule::default(), BTreeMap::new());
        let mut slots = Vec::new();
        for (verb, time, which) in steps {
            match verb {
                0 if !slots.is_empty() => {
                    let slot: Slot = slots[which.index(slots.len())];
                    schedule.cancel(slot);
                    map.remove(&slot);
                }
                1 => {
                    let upto = [Upto::News, Upto::Polls, Upto::Long][which.index(3)];
                    let wanted = next(&map, at(time), upto, turn);
                    let ahead: Vec<Task> = schedule.due(at(time), upto).collect();
                    prop_assert_eq!(ahead, short(map.clone(), at(time), upto, turn));
                    let popped = schedule.pop_due(at(time), upto);
                    prop_assert_eq!(popped, wanted.map(|(slot, task, _)| (slot, task)));
                    if let Some((slot, _, taken)) = wanted {
                        map.remove(&slot);
                        turn = taken;
                    }
                }
                _ => {
                    let task = tasks[which.index(tasks.len())];
                    let slot = match verb {
                        2 => schedule.add_poll(at(time), task),
                        _ => schedule.add(at(time), task),
                    };
                    slots.push(slot);
                    map.insert(slot, task);
                }
            }
            prop_assert_eq!(schedule.len(), map.len());
            prop_assert_eq!(schedule.first(), map.keys().next().map(|slot| slot.at));
            let mut news = map.keys().filter(|slot| slot.queue() < POLLS);
            prop_assert_eq!(schedule.first_news(), news.next().map(|slot| slot.at));
        }
    }
}
