//! What is seen of the machines, and what must hold in it.
//!
//! - *one acts* (S1): never may two of the pair act in one look, unless one had agreed with nobody.
//! - *epochs rise* (S2): no subscriber's highest epoch goes down in one life.
//! - *converges*: once nothing is in the way, within a bounded time one acts, by agreement, and
//!   everybody is registered with both, follows it, and has the entries of all.
//!
//! One that has agreed with nobody may act beside another: what it would have to know for S1 it
//! cannot know (ha.md section 4, "impossible in full").
//!
//! Why a look is exact although each machine looks for itself: a statestored looks after every
//! tick, and a message takes some ticks, so whatever one does because the other has stepped down
//! comes after the look that shows it.
//!
//! Deliberately absent: when troubles strike (`troubles`), how long is waited (`story`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) const SERVERS: [&str; 2] = ["a", "b"];
pub(crate) const SUBSCRIBERS: [&str; 4] = ["s1", "s2", "s3", "s4"];

/// What one statestored says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Server {
    /// Its fence lets it send what only an active one sends.
    pub(crate) acts: bool,
    /// It has agreed with nobody: it is alone, or its electorate is its own word.
    pub(crate) alone: bool,
    pub(crate) epoch: i64,
    /// Size of the agreed electorate.
    pub(crate) agreed: usize,
}

/// What one subscriber says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// Counts processes: what one saw does not bind the next.
    pub(crate) life: u64,
    pub(crate) epoch: i64,
    /// Which of the pair it follows.
    pub(crate) active: Option<usize>,
    pub(crate) connected: usize,
    pub(crate) failovers: u64,
    pub(crate) topic: BTreeMap<String, String>,
}

/// Everything that is seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sight {
    pub(crate) servers: [Server; 2],
    pub(crate) members: [Member; 4],
    /// Grows with each change, so that nobody compares in vain.
    changes: u64,
}

/// Where the machines write it.
pub(crate) type Board = Rc<RefCell<Sight>>;

impl Sight {
    /// Statestored `index` is like this.
    pub(crate) fn server(&mut self, index: usize, now: Server) {
        if self.servers[index] != now {
            self.servers[index] = now;
            self.changes += 1;
        }
    }

    /// Subscriber `index` is.
    pub(crate) fn member(&mut self, index: usize, now: Member) {
        if self.members[index] != now {
            self.members[index] = now;
            self.changes += 1;
        }
    }

    /// Whether anything differs from an earlier look.
    pub(crate) fn differs(&self, earlier: &Self) -> bool {
        self.changes != earlier.changes
    }

    /// S1 or S2, if one does not hold any more.
    pub(crate) fn breach(&self, earlier: &Self) -> Option<String> {
        let [a, b] = &self.servers;
        if self.two_act() && !a.alone && !b.alone {
            return Some(format!("one acts: a {a:?}, b {b:?}"));
        }
        let mut lives = earlier.members.iter().zip(&self.members);
        lives
            .find(|(before, now)| before.life == now.life && before.epoch > now.epoch)
            .map(|(before, now)| format!("epochs rise: {before:?}, then {now:?}"))
    }

    /// Both act.
    pub(crate) fn two_act(&self) -> bool {
        self.servers.iter().all(|it| it.acts)
    }

    /// How often subscribers took another one for active since.
    pub(crate) fn failovers(&self, earlier: &Self) -> u64 {
        let lives = earlier.members.iter().zip(&self.members);
        lives
            .filter(|(before, now)| before.life == now.life)
            .map(|(before, now)| now.failovers - before.failovers.min(now.failovers))
            .sum()
    }

    /// What has changed since, a line each.
    pub(crate) fn news(&self, earlier: &Self) -> Vec<String> {
        let servers = SERVERS
            .iter()
            .zip(earlier.servers.iter().zip(&self.servers));
        let servers = servers
            .filter(|(_, (before, now))| before != now)
            .map(|(name, (_, now))| format!("{name}: {now:?}"));
        let members = SUBSCRIBERS
            .iter()
            .zip(earlier.members.iter().zip(&self.members));
        let members = members
            .filter(|(_, (before, now))| before != now)
            .map(|(name, (_, now))| format!("{name}: {now:?}"));
        servers.chain(members).collect()
    }

    /// Who acts; the first one if nobody does.
    pub(crate) fn active(&self) -> usize {
        usize::from(self.servers[1].acts)
    }

    /// What is not yet as it must be in the end.
    pub(crate) fn unsettled(&self) -> Option<String> {
        let acting: Vec<usize> = (0..2).filter(|i| self.servers[*i].acts).collect();
        let [active] = acting[..] else {
            return Some(format!("{} act: {:?}", acting.len(), self.servers));
        };
        let server = &self.servers[active];
        if server.alone || server.agreed != SUBSCRIBERS.len() {
            return Some(format!("nothing is agreed: {server:?}"));
        }
        let entry = |(name, it): (&&str, &Member)| ((*name).to_owned(), entry_of(it.life));
        let wished: BTreeMap<_, _> = SUBSCRIBERS.iter().zip(&self.members).map(entry).collect();
        let well = |member: &Member| {
            member.active == Some(active)
                && member.connected == SERVERS.len()
                && member.epoch == server.epoch
                && member.topic == wished
        };
        let bad = self.members.iter().position(|member| !well(member))?;
        let (name, member) = (SUBSCRIBERS[bad], &self.members[bad]);
        Some(format!(
            "{name}: {member:?}, while {active} acts: {server:?}"
        ))
    }
}

/// What a subscriber publishes in a life.
pub(crate) fn entry_of(life: u64) -> String {
    format!("life {life}")
}
