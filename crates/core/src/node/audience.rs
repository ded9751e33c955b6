//! Who should hear of a topic's changes at once, and who need not.
//!
//! Subscribers with the same prefix see the same changes: they are one audience, and a change is
//! judged once for all of them. Nobody needs to hear at once of what only itself wrote, so a
//! subscriber that publishes with every answer does not drive itself.
//!
//! Deliberately absent: time, and how an audience is told.

use crate::members::MemberKey;
use alloc::collections::{BTreeMap, BTreeSet};
use statestore_wire::{ItemBatch, Text};

/// The subscribers of one topic, by what they can see of it.
#[derive(Debug, Default)]
pub(super) struct Audiences(BTreeMap<Text, Audience>);

#[derive(Debug, Default)]
struct Audience {
    members: BTreeSet<MemberKey>,
    news: News,
}

/// What an audience has not been told yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum News {
    #[default]
    Nothing,
    /// Changes that one member made, or (`None`) nobody among them.
    By(Option<MemberKey>),
    ByMany,
}

impl Audiences {
    /// So many prefixes are judged; with more, the rest is taken to see every change.
    const JUDGED: usize = 16;

    pub(super) fn join(&mut self, prefix: &Text, key: MemberKey) {
        let audience = self.0.entry(prefix.clone()).or_default();
        audience.members.insert(key);
    }

    pub(super) fn leave(&mut self, prefix: &Text, key: MemberKey) {
        if let Some(audience) = self.0.get_mut(prefix) {
            audience.members.remove(&key);
            if audience.members.is_empty() {
                self.0.remove(prefix);
            }
        }
    }

    /// How many subscribers.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(|audience| audience.members.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Something changed. `items` is what, if that is known. True if anybody can see it.
    pub(super) fn note(&mut self, writer: Option<MemberKey>, items: Option<&ItemBatch>) -> bool {
        let mut seen = false;
        for (i, (prefix, audience)) in self.0.iter_mut().enumerate() {
            let sees = |items: &ItemBatch| {
                let mut items = items.iter();
                prefix.is_empty() || items.any(|item| item.key.starts_with(prefix.as_bytes()))
            };
            if i < Self::JUDGED && !items.is_none_or(sees) {
                continue;
            }
            seen = true;
            audience.news = match audience.news {
                News::Nothing => News::By(writer),
                News::By(other) if other == writer => News::By(writer),
                News::By(_) | News::ByMany => News::ByMany,
            };
        }
        seen
    }

    /// Calls `hear` for everybody who has to be told; then there is nothing left to tell.
    pub(super) fn tell(&mut self, mut hear: impl FnMut(MemberKey)) {
        for audience in self.0.values_mut() {
            let except = match core::mem::take(&mut audience.news) {
                News::Nothing => continue,
                News::By(writer) => writer,
                News::ByMany => None,
            };
            let told = audience.members.iter().filter(|key| Some(**key) != except);
            told.for_each(|key| hear(*key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn told(audiences: &mut Audiences) -> Vec<u64> {
        let mut all = Vec::new();
        audiences.tell(|key| all.push(key.0));
        all
    }

    fn three() -> Audiences {
        let mut audiences = Audiences::default();
        for (prefix, key) in [("", 1), ("", 2), ("x:", 3)] {
            audiences.join(&Text::from(prefix), MemberKey(key));
        }
        audiences
    }

    #[test]
    fn a_change_is_told_once_to_those_who_see_it_and_not_to_its_writer() {
        let mut audiences = three();
        let batch = ItemBatch::from_items([(&b"y:1"[..], &b""[..], false)]);
        assert!(audiences.note(Some(MemberKey(1)), Some(&batch)));
        assert_eq!(told(&mut audiences), [2]);
        assert_eq!(told(&mut audiences), []);
        audiences.note(Some(MemberKey(1)), None);
        assert_eq!(told(&mut audiences), [2, 3]);
    }

    #[test]
    fn with_two_writers_each_hears_of_the_other() {
        let mut audiences = three();
        audiences.note(Some(MemberKey(1)), None);
        audiences.note(Some(MemberKey(2)), None);
        assert_eq!(told(&mut audiences), [1, 2, 3]);
    }

    #[test]
    fn a_change_that_nobody_sees_is_no_news() {
        let mut audiences = three();
        audiences.leave(&Text::from(""), MemberKey(1));
        audiences.leave(&Text::from(""), MemberKey(2));
        assert_eq!(audiences.len(), 1);
        let batch = ItemBatch::from_items([(&b"y:1"[..], &b""[..], false)]);
        assert!(!audiences.note(None, Some(&batch)));
        assert_eq!(told(&mut audiences), []);
    }
}
