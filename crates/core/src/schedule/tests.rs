//! The order of what is due, against one map of everything.
#![allow(clippy::unwrap_used)]

use super::*;
use alloc::vec::Vec;
use proptest::prelude::*;

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
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
    while let Some((_, task)) = schedule.pop_due(at(5), true) {
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
    let Some(Moment::Many(crowd)) = schedule.short.all.get(&at(7)) else {
        panic!("they had a moment in common")
    };
    assert!(crowd.tasks.len() <= HOLES + 2);
    schedule.cancel(others[0]);
    schedule.cancel(*last);
    assert!(schedule.is_empty() && schedule.short.all.is_empty());
}

proptest! {
    #[test]
    fn it_does_what_one_map_does(
        steps in prop::collection::vec((0..5u8, 0..6u64, any::<prop::sample::Index>()), 0..300)
    ) {
        let tasks = [Task::Report, Task::Absorb, Task::Push, Task::Collect];
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
                    let long = time % 2 == 0;
                    let due = |(slot, task): &(&Slot, &Task)| {
                        slot.at <= at(time) && (long || !task.is_long())
                    };
                    let wanted = map.iter().find(due).map(|(slot, task)| (*slot, *task));
                    prop_assert_eq!(schedule.pop_due(at(time), long), wanted);
                    wanted.map(|(slot, _)| map.remove(&slot));
                }
                _ => {
                    let task = tasks[which.index(tasks.len())];
                    let slot = schedule.add(at(time), task);
                    slots.push(slot);
                    map.insert(slot, task);
                }
            }
            prop_assert_eq!(schedule.len(), map.len());
            prop_assert_eq!(schedule.first(), map.keys().next().map(|slot| slot.at));
        }
    }
}
