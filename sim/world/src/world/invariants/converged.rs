//! Once nothing is in the way: one acts on a lease, the other stands by, everybody is registered
//! with both, follows the active and votes; and every mirror holds what those who live wish for,
//! no more and no less.
//!
//! "No more" has one exception: what a subscriber that is gone wrote into a topic that is not
//! transient stays there until the activation ends (T-31), so such keys may be there, and are the
//! same in all mirrors that show them. What late answers wrote is written again first (`late`).

use super::super::World;
use super::super::application::writer_of;
use crate::plan::{FIRST, Proc, SERVERS, TOPICS, name};
use bytes::Bytes;
use statestore_core::pair::{PairView, Tenure};
use statestore_core::role::Role;
use statestore_core::subscriber::Role as Seen;
use statestore_wire::Text;
use std::collections::BTreeMap;

impl World<'_> {
    /// What is not as it should be; one statestored may be `lost`.
    pub(crate) fn unsettled(&mut self, lost: Option<Proc>) -> Option<String> {
        let active = match self.acting(lost) {
            Ok(active) => active,
            Err(why) => return Some(why),
        };
        let standby = Some(1 - active).filter(|proc| Some(*proc) != lost);
        self.pair_unsettled(active, standby)
            .or_else(|| {
                self.subscribers()
                    .find_map(|it| self.member_unsettled(it, active, standby))
            })
            .or_else(|| self.mends_late(active))
            .or_else(|| (0..TOPICS.len()).find_map(|topic| self.topic_unsettled(topic)))
    }

    /// Who acts, if that is one and everybody is alive.
    fn acting(&self, lost: Option<Proc>) -> Result<Proc, String> {
        let alive = |proc: &Proc| Some(*proc) != lost;
        if let Some(dead) = (0..self.processes.len()).find(|p| alive(p) && !self.is_well(*p)) {
            return Err(format!("{} is not alive", name(dead)));
        }
        let acting: Vec<Proc> = SERVERS
            .into_iter()
            .filter(|proc| alive(proc) && self.may_act(*proc))
            .collect();
        let [active] = acting[..] else {
            let roles = SERVERS.map(|proc| self.role(proc));
            return Err(format!("{acting:?} act; roles {roles:?}"));
        };
        Ok(active)
    }

    fn is_well(&self, proc: Proc) -> bool {
        let process = &self.processes[proc];
        process.alive && !process.ending && !process.paused
    }

    fn role(&self, proc: Proc) -> Option<Role> {
        self.servers[proc].node.as_ref().map(|node| node.role())
    }

    fn view(&self, proc: Proc) -> Option<PairView<Text>> {
        self.servers[proc].node.as_ref()?.pair(self.clock(proc))
    }

    fn pair_unsettled(&self, active: Proc, standby: Option<Proc>) -> Option<String> {
        let everybody = self.members.len();
        let view = self.view(active)?;
        if let Some(standby) = standby {
            let other = self.view(standby)?;
            let agreed = |view: &PairView<Text>| {
                view.agreed == everybody && view.proposed.is_none() && !view.unilateral
            };
            let well = view.tenure == Some(Tenure::Leased)
                && other.role == Role::Standby
                && view.found_peer
                && other.found_peer
                && agreed(&view)
                && agreed(&other);
            if !well {
                let brief = |view: &PairView<Text>| {
                    let (agreed, found) = (view.agreed, view.found_peer);
                    format!("{agreed} agreed, {:?}, found peer: {found}", view.tenure)
                };
                let (one, other_one) = (brief(&view), brief(&other));
                let role = other.role;
                return Some(format!(
                    "{everybody} there; active: {one}; {role:?}: {other_one}\n{view:#?}\n{other:#?}"
                ));
            }
        }
        let all = [Some(active), standby].into_iter().flatten();
        let mut all = all.filter_map(|proc| self.servers[proc].node.as_ref());
        let registered = all.all(|node| node.totals().subscribers.len() == everybody);
        (!registered).then(|| "not everybody is registered".to_owned())
    }

    fn member_unsettled(&self, proc: Proc, active: Proc, standby: Option<Proc>) -> Option<String> {
        let member = &self.members[proc - FIRST];
        let servers = [Some(active), standby].into_iter().flatten();
        if let Some(reference) = &member.reference {
            let follows = reference.servers[active].active == Some(true);
            let mut servers = servers;
            let connected = servers.all(|server| reference.is_connected(server));
            return (!(follows && connected)).then(|| {
                let (who, whom) = (name(proc), name(active));
                format!("{who}, a reference, does not follow {whom}: {reference:#?}")
            });
        }
        let view = member.core.as_ref()?.view();
        let epoch = self.servers[active].fence.map(|fence| fence.epoch);
        let follows = view.statestores[active].role == Seen::Active;
        let mut servers = servers;
        let connected = servers.all(|server| view.statestores[server].connected);
        if follows && connected && view.highest_epoch == epoch {
            return None;
        }
        Some(format!(
            "{} does not follow {}: {view:#?}",
            name(proc),
            name(active)
        ))
    }

    /// Every mirror of one topic against the wishes of everybody.
    fn topic_unsettled(&self, topic: usize) -> Option<String> {
        let mut wished: BTreeMap<&Text, &Bytes> = BTreeMap::new();
        for member in &self.members {
            wished.extend(&member.application.wishes[topic]);
        }
        let mut gone: BTreeMap<&Text, &Bytes> = BTreeMap::new();
        for proc in self.subscribers() {
            let prefix = self.plan.members[proc - FIRST].prefix(topic);
            let mirror = &self.members[proc - FIRST].application.mirrors[topic].mirror;
            let what = |text: &str, key: &Text| {
                let who = name(proc);
                Some(format!("{who}, topic {}: '{key}' {text}", TOPICS[topic].0))
            };
            let shown = |key: &Text| key.as_bytes().starts_with(prefix.as_bytes());
            for (key, value) in wished.iter().filter(|(key, _)| shown(key)) {
                match mirror.value(key.as_bytes()) {
                    None => return what("is missing", key),
                    Some(held) if held != *value => return what("is old", key),
                    Some(_) => {}
                }
            }
            for (key, value) in mirror.iter().filter(|(key, _)| !wished.contains_key(key)) {
                let left_behind =
                    !TOPICS[topic].1 && writer_of(key).is_some_and(|writer| !self.lives(writer));
                if !left_behind {
                    return what("was to be gone", key);
                }
                if *gone.entry(key).or_insert(value) != value {
                    return what("is not the same everywhere", key);
                }
            }
        }
        None
    }
}
