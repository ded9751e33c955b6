//! [`Places`]: things that are found at once, under keys that are never used again.
//!
//! A key is a number, which only rises, and a place in a vector, which is used again. So a look is
//! one step however many there are, and what has a former thing's place does not answer to its key.
//!
//! Deliberately absent: any other order than that of places, which is the same in every run.
//! Invariant: a place is free, or promised to one key, or holds that key's thing.

use crate::ids::Key;
use alloc::vec::Vec;

/// Things under keys of its own.
#[derive(Debug)]
pub(crate) struct Places<T> {
    all: Vec<Place<T>>,
    free: Vec<u32>,
    numbered: u64,
    len: usize,
}

#[derive(Debug)]
struct Place<T> {
    number: u64,
    thing: Option<T>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            free: Vec::new(),
            numbered: 0,
            len: 0,
        }
    }
}

impl<T> Places<T> {
    /// A key for a thing that is going to be put there; nobody else gets its place.
    pub(crate) fn promise(&mut self) -> Key {
        self.numbered += 1;
        let number = self.numbered;
        let empty = Place {
            number,
            thing: None,
        };
        let place = match self.free.pop() {
            Some(free) => {
                self.all[free as usize] = empty;
                free
            }
            None => {
                self.all.push(empty);
                // No machine has memory for as many as do not fit.
                self.all.len() as u32 - 1
            }
        };
        Key { number, place }
    }

    /// Puts a thing where it was promised to be.
    pub(crate) fn put(&mut self, key: Key, thing: T) {
        if let Some(place) = self.place_mut(key) {
            let old = place.thing.replace(thing);
            self.len += usize::from(old.is_none());
        }
    }

    /// Takes a thing out.
    pub(crate) fn take(&mut self, key: Key) -> Option<T> {
        let thing = self.place_mut(key)?.thing.take()?;
        self.all[key.place as usize].number = 0;
        self.free.push(key.place);
        self.len -= 1;
        Some(thing)
    }

    /// The thing of this key.
    pub(crate) fn find(&self, key: Key) -> Option<&T> {
        let place = self.all.get(key.place as usize)?;
        place.thing.as_ref().filter(|_| place.number == key.number)
    }

    /// The same, to change it.
    pub(crate) fn find_mut(&mut self, key: Key) -> Option<&mut T> {
        self.place_mut(key)?.thing.as_mut()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.all.iter().filter_map(|place| place.thing.as_ref())
    }

    /// All of them, to change them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> + '_ {
        self.all.iter_mut().filter_map(|place| place.thing.as_mut())
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn place_mut(&mut self, key: Key) -> Option<&mut Place<T>> {
        let place = self.all.get_mut(key.place as usize)?;
        (place.number == key.number).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    #[test]
    fn a_place_is_used_again_and_a_key_is_not() {
        let mut places = Places::default();
        let first = places.promise();
        let second = places.promise();
        assert_eq!(places.find(first), None);
        places.put(second, "b");
        places.put(first, "a");
        assert_eq!(places.take(first), Some("a"));
        let third = places.promise();
        places.put(third, "c");
        assert_eq!((third.place, third.number), (first.place, 3));
        assert_eq!(places.find(first), None);
        assert_eq!(places.take(first), None);
        places.put(first, "late");
        assert_eq!(places.find(third), Some(&"c"));
        assert_eq!(places.iter().copied().collect::<Vec<_>>(), ["c", "b"]);
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((0..3u8, 0..8usize), 0..200)) {
            let (mut places, mut map) = (Places::default(), BTreeMap::new());
            let mut keys = Vec::new();
            for (i, (verb, which)) in steps.into_iter().enumerate() {
                match (verb, keys.get(which).copied()) {
                    (0, _) | (_, None) => {
                        let key = places.promise();
                        places.put(key, i);
                        map.insert(key, i);
                        keys.insert(0, key);
                    }
                    (1, Some(key)) => prop_assert_eq!(places.take(key), map.remove(&key)),
                    (_, Some(key)) => {
                        prop_assert_eq!(places.find_mut(key).copied(), map.get(&key).copied());
                    }
                }
                prop_assert_eq!(places.len(), map.len());
            }
            let mut all: Vec<usize> = places.iter().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, map.into_values().collect::<Vec<_>>());
        }
    }
}
