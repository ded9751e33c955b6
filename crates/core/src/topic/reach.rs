//! How far the subscribers of one topic are, so that the lowest is known without asking all (W15).
//!
//! Invariant: every member stands under exactly one version, and no version stands empty.

use super::Version;
use alloc::collections::{BTreeMap, BTreeSet};

/// The version that each subscriber of a topic has processed. Changes and questions cost the
/// logarithm of the number of subscribers.
#[derive(Debug, Clone)]
pub struct Reach<K> {
    of: BTreeMap<K, Version>,
    at: BTreeMap<Version, BTreeSet<K>>,
}

impl<K> Default for Reach<K> {
    fn default() -> Self {
        Self {
            of: BTreeMap::new(),
            at: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Copy> Reach<K> {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member, or moves it; gives the version that it had.
    pub fn set(&mut self, member: K, version: Version) -> Option<Version> {
        let old = self.of.insert(member, version);
        if old != Some(version) {
            if let Some(old) = old {
                self.leave(member, old);
            }
            self.at.entry(version).or_default().insert(member);
        }
        old
    }

    /// Takes a member out; gives the version that it had.
    pub fn remove(&mut self, member: K) -> Option<Version> {
        let old = self.of.remove(&member)?;
        self.leave(member, old);
        Some(old)
    }

    /// The version of a member.
    pub fn version(&self, member: K) -> Option<Version> {
        self.of.get(&member).copied()
    }

    /// The lowest version and, of those who have it, the first member (T-10).
    pub fn lowest(&self) -> Option<(Version, K)> {
        self.lowest_from(Version::ZERO)
    }

    /// The lowest among those who get deltas, so have a version above zero (W12).
    pub fn lowest_above_zero(&self) -> Option<(Version, K)> {
        self.lowest_from(Version::ZERO.next())
    }

    /// How many members.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// True if there is no member.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// All members with their versions, in the members' order.
    pub fn iter(&self) -> impl Iterator<Item = (K, Version)> + '_ {
        self.of.iter().map(|(member, version)| (*member, *version))
    }

    fn lowest_from(&self, version: Version) -> Option<(Version, K)> {
        let (version, members) = self.at.range(version..).next()?;
        members.first().map(|member| (*version, *member))
    }

    fn leave(&mut self, member: K, version: Version) {
        if let Some(members) = self.at.get_mut(&version) {
            members.remove(&member);
            if members.is_empty() {
                self.at.remove(&version);
            }
        }
    }
}
