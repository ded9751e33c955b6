//! Who may vote: the set that both servers agreed on, changed only jointly (ha.md rules 12, 13).
//!
//! The active proposes; until its peer has adopted the proposal, both the agreed and the proposed
//! set count in every decision, on whichever server that is. With the peer out of sight nothing
//! can be agreed, so the set is frozen: who dies stays in the denominator, who comes does not
//! count.
//!
//! Invariant: nobody agreed on is no electorate of size 0: it means that only the peer's
//! acknowledgements hold a lease, so a pair without subscribers can always begin anew.

use alloc::collections::BTreeSet;

/// The agreed set, and what is proposed in its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Electorate<V: Ord> {
    agreed: BTreeSet<V>,
    proposed: Option<BTreeSet<V>>,
    /// Counts what was sent to the peer, within one activation.
    version: i64,
    /// What of that the peer is known to have adopted.
    adopted: i64,
}

impl<V: Ord> Default for Electorate<V> {
    fn default() -> Self {
        Self {
            agreed: BTreeSet::new(),
            proposed: None,
            version: 0,
            adopted: 0,
        }
    }
}

impl<V: Ord + Clone> Electorate<V> {
    /// The agreed set; empty if nothing is agreed.
    pub fn agreed(&self) -> &BTreeSet<V> {
        &self.agreed
    }

    /// What the peer was sent and has not acknowledged.
    pub fn proposed(&self) -> Option<&BTreeSet<V>> {
        self.proposed.as_ref()
    }

    /// True if nothing was ever agreed, or nobody of it is left.
    pub fn is_none(&self) -> bool {
        self.agreed.is_empty() && self.proposed.is_none()
    }

    /// The one or two sets that count. Nothing counts unless all of them agree.
    pub fn sets(&self) -> impl Iterator<Item = &BTreeSet<V>> {
        core::iter::once(&self.agreed).chain(&self.proposed)
    }

    /// The sets whose majorities take over. Where nobody was agreed on yet, those proposed are
    /// all there is; a majority of nobody would never come.
    pub(super) fn deciding(&self) -> impl Iterator<Item = &BTreeSet<V>> {
        self.sets().filter(|set| !set.is_empty())
    }

    /// True for who is in either set.
    pub fn contains(&self, voter: &V) -> bool {
        self.sets().any(|set| set.contains(voter))
    }

    /// What the peer is to have, and its number.
    pub fn to_send(&self) -> (&BTreeSet<V>, i64) {
        (self.proposed.as_ref().unwrap_or(&self.agreed), self.version)
    }

    /// True if the peer has what it is to have.
    pub fn is_adopted(&self) -> bool {
        self.adopted == self.version
    }

    /// A new activation: the peer has nothing of it yet.
    pub(super) fn begin(&mut self, version: i64) {
        self.version = version;
        self.adopted = version - 1;
    }

    /// The peer turns out not to have it: another process, or one that lost it.
    pub(super) fn resend(&mut self) {
        self.adopted = self.version - 1;
    }

    /// The same sets under other names (`canon`).
    pub(super) fn rename(&mut self, renamed: impl Fn(&BTreeSet<V>) -> BTreeSet<V>) {
        self.agreed = renamed(&self.agreed);
        self.proposed = self.proposed.as_ref().map(renamed);
    }

    /// Nothing counts any more but these (a takeover or a start without anything agreed).
    pub(super) fn settle(&mut self, voters: BTreeSet<V>) {
        self.agreed = voters;
        self.proposed = None;
    }

    /// Proposes a change, if none is under way and it is one. True if it is proposed.
    pub(super) fn propose(&mut self, wanted: BTreeSet<V>) -> bool {
        let news = self.proposed.is_none() && self.is_adopted() && wanted != self.agreed;
        if news {
            self.proposed = Some(wanted);
            self.version += 1;
        }
        news
    }

    /// The peer has adopted this version.
    pub(super) fn acknowledged(&mut self, version: i64) {
        if version != self.version {
            return;
        }
        self.adopted = version;
        if let Some(proposed) = self.proposed.take() {
            self.agreed = proposed;
        }
    }
}

/// More than half.
pub(super) fn is_majority(some: usize, of: usize) -> bool {
    some * 2 > of
}

/// So many that the rest is no majority: half, rounded up.
pub(super) fn blocking(of: usize) -> usize {
    of.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(voters: &[u8]) -> BTreeSet<u8> {
        voters.iter().copied().collect()
    }

    // rule 12
    #[test]
    fn a_change_counts_beside_the_old_set_until_it_is_acknowledged() {
        let mut electorate = Electorate::default();
        electorate.settle(set(&[1, 2]));
        electorate.begin(0);
        electorate.acknowledged(0);
        electorate.propose(set(&[2, 3]));
        assert!(electorate.contains(&1) && electorate.contains(&3));
        electorate.propose(set(&[4]));
        assert_eq!(electorate.to_send(), (&set(&[2, 3]), 1), "one at a time");
        electorate.acknowledged(0);
        assert!(electorate.contains(&1), "that was an older version");
        electorate.acknowledged(1);
        assert_eq!(electorate.agreed(), &set(&[2, 3]));
        assert_eq!(electorate.proposed(), None);
    }

    // rule 12
    #[test]
    fn a_new_activation_proposes_nothing_before_its_peer_has_the_agreed_set() {
        let mut electorate = Electorate::default();
        electorate.settle(set(&[1]));
        electorate.begin(1);
        electorate.propose(set(&[1, 2]));
        assert_eq!(electorate.proposed(), None);
        electorate.acknowledged(1);
        electorate.propose(set(&[1, 2]));
        assert_eq!(electorate.proposed(), Some(&set(&[1, 2])));
    }

    // rule 12: in contact also the last one goes, and both may begin anew
    #[test]
    fn nobody_left_is_agreed_on_too() {
        let mut electorate = Electorate::default();
        electorate.settle(set(&[1]));
        electorate.begin(1);
        electorate.acknowledged(1);
        electorate.propose(set(&[]));
        assert!(!electorate.is_none(), "until the peer has it");
        electorate.acknowledged(2);
        assert!(electorate.is_none());
    }

    // rule 1, rule 5; H-15
    #[test]
    fn half_blocks_and_more_than_half_takes_over() {
        let cases = [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 3), (5, 3, 3)];
        for (of, blocks, takes) in cases {
            assert_eq!(blocking(of), blocks);
            assert!(is_majority(takes, of) && !is_majority(takes - 1, of));
            assert!(!is_majority(of - blocks, of), "the rest is no majority");
        }
        assert!(!is_majority(0, 0));
    }
}
