//! What a statestored tells its peer of limits and members, from and to the pair's own terms
//! (ha.md rules 9, 12).
//!
//! Deliberately absent: what follows from it (`crate::pair`).
//!
//! Invariant: what is not understood is not known, so that nothing confirms it.

use crate::pair::{BeatReply, Patience};
use crate::time::{from_millis, to_millis};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire as wire;
use statestore_wire::Text;

/// Members, and their limits below the flag.
type Told = (BTreeSet<Text>, BTreeMap<Text, Duration>);

/// The answer to an HA heartbeat.
pub(super) fn beat_reply(reply: wire::StatestoreHaHeartbeatResponse) -> BeatReply<Text> {
    let limits = reply.member_timeouts_ms;
    let told = reply.members.and_then(|ids| members_told(ids, limits));
    let (members, short_limits) = told.unzip();
    BeatReply {
        members,
        short_limits: short_limits.unwrap_or_default(),
        accepted: reply.status.is_ok(),
        highest: reply.highest_epoch,
        is_active: reply.is_active.unwrap_or(false),
        electorate_version: reply.electorate_version,
        members_version: reply.members_version.unwrap_or(0),
        patience: patience(reply.timeout_ms, reply.subscriber_timeout_ms),
    }
}

/// None where limits are not one for each member: then nothing
/// is known of the members either, or the next HA heartbeat would confirm that it is (rule 9).
fn members_told(ids: Vec<Text>, millis: Option<Vec<i64>>) -> Option<Told> {
    let millis = millis.unwrap_or_else(|| vec![0; ids.len()]);
    if millis.len() != ids.len() || millis.iter().any(|it| *it < 0) {
        return None;
    }
    let limits = millis.into_iter().map(|it| from_millis(Some(it)));
    let short = ids.iter().cloned().zip(limits);
    let short = short.filter_map(|(id, limit)| Some((id, limit?)));
    let short = short.collect();
    Some((ids.into_iter().collect(), short))
}

/// In the order of the members; 0 for who has none below the flag.
pub(super) fn member_timeouts(reply: &BeatReply<Text>) -> Option<Vec<i64>> {
    let members = reply.members.as_ref()?;
    let limit = |id| reply.short_limits.get(id).copied().map_or(0, to_millis);
    let any = !reply.short_limits.is_empty();
    any.then(|| members.iter().map(limit).collect())
}

/// None unless both are told.
pub(super) fn patience(peer: Option<i64>, subscriber: Option<i64>) -> Option<Patience> {
    Some(Patience {
        peer: from_millis(peer)?,
        subscriber: from_millis(subscriber)?,
    })
}
