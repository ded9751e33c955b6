//! The lowest version of all subscribers, beside asking each of them (W15).

use proptest::collection::vec;
use proptest::prelude::*;
use statestore_core::topic::{Reach, Version};
use std::collections::BTreeMap;

// T-10 W15
#[test]
fn the_lowest_version_comes_with_the_first_member_that_has_it() {
    let mut reach = Reach::new();
    assert_eq!((reach.lowest(), reach.lowest_above_zero()), (None, None));
    reach.set('b', Version(7));
    reach.set('a', Version(7));
    reach.set('c', Version::ZERO);
    assert_eq!(reach.lowest(), Some((Version::ZERO, 'c')));
    assert_eq!(reach.lowest_above_zero(), Some((Version(7), 'a')));
    assert_eq!(reach.set('c', Version(9)), Some(Version::ZERO));
    assert_eq!(reach.lowest(), Some((Version(7), 'a')));
    assert_eq!(reach.remove('a'), Some(Version(7)));
    assert_eq!(reach.remove('a'), None);
    assert_eq!(reach.lowest(), Some((Version(7), 'b')));
}

proptest! {
    // W15
    #[test]
    fn any_moves_leave_the_same_minimum_as_a_scan(
        moves in vec((0..8_u8, prop::option::weighted(0.8, 0..5_u64)), 0..80),
    ) {
        let mut reach = Reach::new();
        let mut naive = BTreeMap::new();
        for (member, version) in moves {
            match version.map(Version) {
                Some(version) => {
                    prop_assert_eq!(reach.set(member, version), naive.insert(member, version));
                }
                None => prop_assert_eq!(reach.remove(member), naive.remove(&member)),
            }
            let lowest = |from: Version| {
                let members = naive.iter().map(|(member, version)| (*version, *member));
                members.filter(|(version, _)| *version >= from).min()
            };
            prop_assert_eq!(reach.lowest(), lowest(Version::ZERO));
            prop_assert_eq!(reach.lowest_above_zero(), lowest(Version(1)));
            prop_assert_eq!(reach.len(), naive.len());
            let expected = naive.iter().map(|(member, version)| (*member, *version));
            prop_assert!(reach.iter().eq(expected));
        }
    }
}
