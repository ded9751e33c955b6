//! Who should hear of a topic's changes at once, and who need not.
//!
//! Subscribers with the same prefix see the same changes: they are one audience, and a change is
//! judged once for all of them. Nobody needs to hear at once of what only itself wrote, so a
//! subscriber that publishes with every answer does not drive itself.
//!
//! Deliberately absent: time, and how an audience is told.

use crate::members::MemberKey;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use statestore_wire::Text;

/// The subscribers of one topic, by what they can see of it.
#[derive(Debug, Default)]
pub(super) struct Audiences {
    by_prefix: BTreeMap<Text, Audience>,
    /// How many prefixes are how long.
    lengths: BTreeMap<usize, usize>,
    /// How many audiences have something to be told.
    with_news: usize,
}

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
    /// Of prefixes, so many lengths are judged; a longer one is taken to see every change.
    const LENGTHS: usize = 16;

    pub(super) fn join(&mut self, prefix: &Text, key: MemberKey) {
        let audience = self.by_prefix.entry(prefix.clone()).or_default();
        if audience.members.is_empty() {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        audience.members.insert(key);
    }

    pub(super) fn leave(&mut self, prefix: &Text, key: MemberKey) {
        let Some(audience) = self.by_prefix.get_mut(prefix) else {
            return;
        };
        audience.members.remove(&key);
        if !audience.members.is_empty() {
            return;
        }
        self.with_news -= usize::from(audience.news != News::Nothing);
        self.by_prefix.remove(prefix);
        if let Some(same) = self.lengths.get_mut(&prefix.len()) {
            *same -= 1;
            if *same == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    /// How many subscribers.
    pub(super) fn len(&self) -> usize {
        self.by_prefix
            .values()
            .map(|audience| audience.members.len())
            .sum()
    }

    /// How many audiences: what a change costs.
    pub(super) fn kinds(&self) -> usize {
        self.by_prefix.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    /// Something changed, and nobody knows what.
    pub(super) fn note(&mut self, writer: Option<MemberKey>) {
        for audience in self.by_prefix.values_mut() {
            audience.hear(writer, &mut self.with_news);
        }
    }

    /// These items changed. Costs the prefixes, and the items by the logarithm of their number.
    pub(super) fn note_items<'a>(
        &mut self,
        writer: Option<MemberKey>,
        items: impl Iterator<Item = &'a [u8]>,
    ) {
        let judged: Vec<usize> = self.lengths.keys().copied().take(Self::LENGTHS).collect();
        let longest = judged.last().copied().unwrap_or_default();
        // Who is sure to see them, or knows already, needs no look.
        let mut unsure = 0;
        for (prefix, audience) in &mut self.by_prefix {
            if prefix.is_empty() || prefix.len() > longest {
                audience.hear(writer, &mut self.with_news);
            } else if !audience.news.includes(writer) {
                unsure += 1;
            }
        }
        for key in items {
            if unsure == 0 {
                return;
            }
            let prefixes = judged.iter().filter_map(|len| key.get(..*len));
            for prefix in prefixes {
                if let Some(audience) = self.by_prefix.get_mut(prefix)
                    && !audience.news.includes(writer)
                {
                    audience.hear(writer, &mut self.with_news);
                    unsure -= 1;
                }
            }
        }
    }

    /// True if anybody has to be told.
    pub(super) fn have_news(&self) -> bool {
        self.with_news > 0
    }

    /// Whatever happened or not.
    pub(super) fn everybody(&self) -> Vec<MemberKey> {
        let audiences = self.by_prefix.values();
        audiences.flat_map(|a| a.members.iter().copied()).collect()
    }

    /// Everybody who has to be told, once; then there is nothing left to tell.
    pub(super) fn tell(&mut self) -> Vec<MemberKey> {
        let mut told = Vec::new();
        self.with_news = 0;
        for audience in self.by_prefix.values_mut() {
            let except = match core::mem::take(&mut audience.news) {
                News::Nothing => continue,
                News::By(writer) => writer,
                News::ByMany => None,
            };
            let members = audience.members.iter().copied();
            told.extend(members.filter(|key| Some(*key) != except));
        }
        told
    }
}

impl Audience {
    /// This one changed something that it sees; `with_news` counts those that have any.
    fn hear(&mut self, writer: Option<MemberKey>, with_news: &mut usize) {
        *with_news += usize::from(self.news == News::Nothing);
        self.news.add(writer);
    }
}

impl News {
    fn add(&mut self, writer: Option<MemberKey>) {
        *self = match *self {
            Self::Nothing => Self::By(writer),
            Self::By(other) if other == writer => Self::By(writer),
            Self::By(_) | Self::ByMany => Self::ByMany,
        };
    }

    /// What this writer changes would add nothing.
    fn includes(self, writer: Option<MemberKey>) -> bool {
        self == Self::ByMany || self == Self::By(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn told(audiences: &mut Audiences) -> Vec<u64> {
        audiences
            .tell()
            .into_iter()
            .map(|key| key.0.number)
            .collect()
    }

    fn changed(audiences: &mut Audiences, writer: u64, keys: &[&str]) {
        let keys = keys.iter().map(|key| key.as_bytes());
        audiences.note_items(Some(MemberKey::numbered(writer)), keys);
    }

    fn three() -> Audiences {
        let mut audiences = Audiences::default();
        for (prefix, key) in [("", 1), ("", 2), ("x:", 3)] {
            audiences.join(&Text::from(prefix), MemberKey::numbered(key));
        }
        audiences
    }

    #[test]
    fn a_change_is_told_once_to_those_who_see_it_and_not_to_its_writer() {
        let mut audiences = three();
        changed(&mut audiences, 1, &["y:1"]);
        assert!(audiences.have_news());
        assert_eq!(told(&mut audiences), [2]);
        assert_eq!(told(&mut audiences), []);
        audiences.note(Some(MemberKey::numbered(1)));
        assert_eq!(told(&mut audiences), [2, 3]);
    }

    #[test]
    fn with_two_writers_each_hears_of_the_other() {
        let mut audiences = three();
        audiences.note(Some(MemberKey::numbered(1)));
        audiences.note(Some(MemberKey::numbered(2)));
        assert_eq!(told(&mut audiences), [1, 2, 3]);
    }

    #[test]
    fn a_change_that_nobody_sees_is_no_news() {
        let mut audiences = three();
        audiences.leave(&Text::from(""), MemberKey::numbered(1));
        audiences.leave(&Text::from(""), MemberKey::numbered(2));
        assert_eq!(audiences.len(), 1);
        changed(&mut audiences, 9, &["y:1", "x", ""]);
        assert!(!audiences.have_news());
        assert_eq!(told(&mut audiences), []);
    }

    #[test]
    fn news_go_with_the_last_of_those_who_should_hear_them() {
        let mut audiences = three();
        changed(&mut audiences, 1, &["x:1", "x:2"]);
        for (prefix, key) in [("", 1), ("x:", 3), ("", 2)] {
            assert!(audiences.have_news());
            audiences.leave(&Text::from(prefix), MemberKey::numbered(key));
        }
        assert!(!audiences.have_news() && audiences.is_empty());
        assert!(audiences.lengths.is_empty());
    }

    #[test]
    fn of_many_filters_those_see_a_change_whose_prefix_its_key_has() {
        let mut audiences = Audiences::default();
        for n in 0..1_000 {
            let digits = 3 + n as usize % 2;
            let prefix = Text::from(format!("{n:0>digits$}"));
            audiences.join(&prefix, MemberKey::numbered(n));
        }
        changed(&mut audiences, 0, &["0007x", "012", "0013"]);
        changed(&mut audiences, 0, &["0013"]);
        // Of three digits are the even ones: 0, 12, and 2 is "002".
        assert_eq!(told(&mut audiences), [7, 13, 12]);
        // A seventeenth length is not judged.
        for len in 5..18 {
            let prefix = "z".repeat(len);
            audiences.join(&Text::from(prefix), MemberKey::numbered(len as u64));
        }
        changed(&mut audiences, 0, &["none"]);
        assert_eq!(told(&mut audiences), []);
        audiences.join(&Text::from("z".repeat(18)), MemberKey::numbered(18));
        audiences.join(&Text::from("y".repeat(19)), MemberKey::numbered(19));
        changed(&mut audiences, 0, &["none"]);
        assert_eq!(told(&mut audiences), [19]);
    }
}
