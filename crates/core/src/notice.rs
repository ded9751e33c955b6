//! Tell everyone until acknowledged: one machine for catalogd news (N-1 to N-7) and role news
//! (H-30, H-31).
//!
//! Picture a clerk with a list of names. New news: a new list, everybody is told at once (W22).
//! Who acknowledges is struck off; who does not is told again in the next round, under the
//! registration that is current *then* (W21). Nobody is told two things at a time: who still has
//! the previous call pending gets the newer news when that call ends.
//!
//! Deliberately absent: the news itself, what counts as an acknowledgement, and time; the node
//! builds each call from the state of the moment and says when a round is due.
//!
//! Invariant: memory is one entry per receiver, however often the news changes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use statestore_wire::Text;

/// One kind of news on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Notice {
    version: i64,
    /// Who has to be told, and what came of it so far.
    waiting: BTreeMap<Text, Tries>,
    /// Who has a call pending, and about which version.
    pending: BTreeMap<Text, i64>,
}

/// What came of telling one receiver so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Tries {
    begun: bool,
    failed: bool,
}

/// What follows from the end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// Nothing: others are still being told, or this was about older news.
    Nothing,
    /// Everybody knows.
    Finished,
    /// Somebody has to be told again: a round is due after the pause.
    Round,
    /// Newer news was waiting for this call to end: tell this receiver now.
    Now,
}

impl Notice {
    /// Newer news for these receivers; whoever was on the list for older news is forgotten (N-4).
    pub fn announce(&mut self, version: i64, receivers: impl IntoIterator<Item = Text>) {
        self.version = version;
        let fresh = |id| (id, Tries::default());
        self.waiting = receivers.into_iter().map(fresh).collect();
    }

    /// One more receiver of the same news. False if it is on the list already.
    pub fn add(&mut self, receiver: Text) -> bool {
        if self.waiting.contains_key(&receiver) {
            return false;
        }
        self.waiting.insert(receiver, Tries::default());
        true
    }

    /// There are no news any more.
    pub fn withdraw(&mut self) {
        self.waiting.clear();
    }

    /// The version announced last; 0 before the first.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// True while somebody has not acknowledged.
    pub fn is_unfinished(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Who is to be told in this round.
    pub fn round(&self) -> Vec<Text> {
        let idle = |id: &&Text| !self.pending.contains_key(*id);
        self.waiting.keys().filter(idle).cloned().collect()
    }

    /// A call to this receiver is on its way. True if it is the first with this news.
    pub fn calling(&mut self, receiver: &Text) -> bool {
        self.pending.insert(receiver.clone(), self.version);
        match self.waiting.get_mut(receiver) {
            Some(tries) => !core::mem::replace(&mut tries.begun, true),
            None => true,
        }
    }

    /// This receiver is gone. True if that leaves nobody to tell.
    pub fn forget(&mut self, receiver: &Text) -> bool {
        self.waiting.remove(receiver).is_some() && self.waiting.is_empty()
    }

    /// The call to this receiver fails: to be said before it is `ended`. True if it is the first
    /// failure with this news.
    pub fn fails(&mut self, receiver: &Text) -> bool {
        let current = self.is_current(receiver);
        let tries = self.waiting.get_mut(receiver).filter(|_| current);
        tries.is_some_and(|tries| !core::mem::replace(&mut tries.failed, true))
    }

    /// True if the call that is pending is about this news, and others about it have failed.
    pub fn has_failed(&self, receiver: &Text) -> bool {
        let tries = self.waiting.get(receiver);
        self.is_current(receiver) && tries.is_some_and(|tries| tries.failed)
    }

    fn is_current(&self, receiver: &Text) -> bool {
        self.pending.get(receiver) == Some(&self.version)
    }

    /// The call to this receiver ended.
    pub fn ended(&mut self, receiver: &Text, acknowledged: bool) -> Next {
        let Some(told) = self.pending.remove(receiver) else {
            return Next::Nothing;
        };
        if !self.waiting.contains_key(receiver) {
            return Next::Nothing;
        }
        if told != self.version {
            return Next::Now;
        }
        if !acknowledged {
            return Next::Round;
        }
        if self.forget(receiver) {
            Next::Finished
        } else {
            Next::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<Text> {
        names.iter().map(|&name| Text::from(name)).collect()
    }

    // N-1, N-2, W22: all at once, not one after another
    #[test]
    fn everybody_is_told_in_one_round() {
        let mut notice = Notice::default();
        notice.announce(1, ids(&["a", "b"]));
        assert_eq!(notice.round(), ids(&["a", "b"]));
    }

    // N-3, N-4
    #[test]
    fn only_who_did_not_acknowledge_is_told_again() {
        let mut notice = Notice::default();
        notice.announce(1, ids(&["a", "b"]));
        assert!(notice.calling(&Text::from("a")));
        assert!(notice.calling(&Text::from("b")));
        assert_eq!(notice.ended(&Text::from("a"), true), Next::Nothing);
        assert_eq!(notice.ended(&Text::from("b"), false), Next::Round);
        assert_eq!(notice.round(), ids(&["b"]));
        assert!(
            !notice.calling(&Text::from("b")),
            "no longer the first attempt"
        );
        assert_eq!(notice.ended(&Text::from("b"), true), Next::Finished);
        assert!(!notice.is_unfinished());
    }

    // N-4
    #[test]
    fn newer_news_replaces_the_list_and_waits_for_a_pending_call() {
        let mut notice = Notice::default();
        notice.announce(1, ids(&["a", "b"]));
        notice.calling(&Text::from("a"));
        notice.calling(&Text::from("b"));
        notice.announce(2, ids(&["b", "c"]));
        assert_eq!(
            notice.round(),
            ids(&["c"]),
            "b is still busy with the old news"
        );
        assert_eq!(notice.ended(&Text::from("a"), false), Next::Nothing);
        assert_eq!(notice.ended(&Text::from("b"), true), Next::Now);
        assert_eq!(notice.round(), ids(&["b", "c"]));
    }

    // Ten times a second the same would be said of each that is dead.
    #[test]
    fn a_failure_is_the_first_one_once_for_each_news() {
        let a = Text::from("a");
        let mut notice = Notice::default();
        notice.announce(1, ids(&["a"]));
        for first in [true, false, false] {
            notice.calling(&a);
            assert_eq!(notice.has_failed(&a), !first);
            assert_eq!(notice.fails(&a), first);
            assert_eq!(notice.ended(&a, false), Next::Round);
        }
        notice.calling(&a);
        notice.announce(2, ids(&["a"]));
        assert!(!notice.fails(&a) && !notice.has_failed(&a), "older news");
        assert_eq!(notice.ended(&a, false), Next::Now);
        notice.calling(&a);
        assert!(notice.fails(&a));
    }

    // N-4
    #[test]
    fn when_the_last_one_to_be_told_is_gone_the_round_is_over() {
        let mut notice = Notice::default();
        notice.announce(1, ids(&["a"]));
        assert!(notice.forget(&Text::from("a")));
        assert!(!notice.forget(&Text::from("a")));
    }
}
