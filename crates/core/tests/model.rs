//! Whatever happens, in whatever order: when it is quiet again, all subscribers hold exactly what
//! a naive model of the topics says, and nothing of those who are gone.
//!
//! The subscribers behave as rules B-36 to B-39 say, when they behave; in between they skip, fail
//! before or after processing, answer late, for a registration that is over, with any version,
//! for any topic, or for another method. No step may panic.

#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use proptest::prelude::*;
use world::{Act, Answer, Publication, World};

fn publication() -> impl Strategy<Value = Publication> {
    let from = prop_oneof![
        6 => Just(None),
        1 => any::<i64>().prop_map(Some),
        1 => (-2..40i64).prop_map(Some),
    ];
    let items = prop::collection::vec((0..6u8, any::<u8>(), prop::bool::weighted(0.25)), 0..4);
    (0..4usize, prop::bool::weighted(0.1), from, items).prop_map(|(topic, clear, from, items)| {
        Publication {
            topic,
            clear,
            from,
            items,
        }
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    let publications = || prop::collection::vec(publication(), 0..3);
    prop_oneof![
        8 => publications().prop_map(Answer::Ok),
        1 => publications().prop_map(Answer::Skip),
        1 => Just(Answer::Error),
        1 => Just(Answer::FailBefore),
        1 => Just(Answer::FailAfter),
        1 => Just(Answer::Wrong),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..3_000u64).prop_map(Act::Wait),
        2 => (0..3usize, 0..4usize).prop_map(|(who, plan)| Act::Register { who, plan }),
        8 => (any::<prop::sample::Index>(), answer()).prop_map(|(call, answer)| {
            Act::Answer { call, answer }
        }),
        1 => (0..3usize).prop_map(Act::Die),
        1 => any::<bool>().prop_map(Act::Network),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // T-5 to T-7, T-20 to T-27, T-30 to T-33, S-3, R-3, W13, W25, W33
    #[test]
    fn after_any_history_all_subscribers_hold_the_naive_topics(
        acts in prop::collection::vec(act(), 0..80),
        push in any::<bool>(),
        items_per_step in 1..6usize,
    ) {
        let mut world = World::new(push, items_per_step);
        for act in acts {
            world.act(act);
        }
        world.settle();
        world.check();
    }
}
