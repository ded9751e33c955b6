//! What the scenarios share: starting a server, filling a topic, taking the measure of a while.
//!
//! Each scenario starts a statestored of its own and a crowd for it, and ends both. Deliberately
//! absent: a scenario that needs what another left behind.

use crate::crowd::{Crowd, Lane, Records, Subscriber, Topic};
use crate::failure::Failure;
use crate::machine::{self, Process};
use crate::server::Statestored;
use statestore_wire::{ItemBatch, TopicDelta};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) mod changes;
pub(crate) mod failover;
pub(crate) mod fanout;
pub(crate) mod growth;
pub(crate) mod isolation;
pub(crate) mod lanes;
pub(crate) mod library;
pub(crate) mod memory;
pub(crate) mod peers;
pub(crate) mod steady;
pub(crate) mod steps;
pub(crate) mod storm;
pub(crate) mod stream;

/// A topic whose updates go out every 2 s, and one of those that are sent every 100 ms.
pub(crate) const NORMAL: &str = "catalog-update";
pub(crate) const PRIORITY: &str = "impala-membership";
/// A normal topic that only those follow who are to receive much.
pub(crate) const BULK: &str = "bulk";

/// How long anything may take before a run is given up.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What all scenarios are given.
pub(crate) struct Bench {
    pub(crate) binary: PathBuf,
    /// Open files that this process and the server may have each.
    pub(crate) files: u64,
}

impl Bench {
    pub(crate) async fn start(&self, flags: &[&str]) -> Result<(Statestored, Crowd), Failure> {
        let server = Statestored::start(&self.binary, flags).await?;
        Ok((server, Crowd::open().await?))
    }

    /// Says early what the machine does not allow.
    pub(crate) fn allows(&self, connections: usize) -> bool {
        const OTHER_FILES: u64 = 300;
        connections as u64 + OTHER_FILES <= self.files
    }
}

/// A subscriber that writes topics and is sent nothing of them.
pub(crate) struct Publisher(Arc<Subscriber>);

impl Publisher {
    pub(crate) async fn join(
        crowd: &Crowd,
        server: &Statestored,
        records: &Arc<Records>,
    ) -> Result<Self, Failure> {
        let one = crowd.add(1, crate::crowd::Conduct::Answers, records);
        // It is asked ten times a second in the priority lane and may publish any topic there.
        let topics = [PRIORITY, NORMAL, BULK].map(Topic::nothing_of);
        crowd.register(&server.address(), &one, &topics).await?;
        Ok(Self(Arc::clone(&one[0])))
    }

    /// Publishes with its next answer.
    pub(crate) fn publish(&self, topic: &'static str, items: ItemBatch) {
        self.publish_often(topic, items, 1);
    }

    /// Publishes the same with so many answers.
    pub(crate) fn publish_often(&self, topic: &'static str, items: ItemBatch, times: usize) {
        let delta = TopicDelta {
            topic_name: topic.into(),
            topic_entries: items,
            is_delta: true,
            ..TopicDelta::default()
        };
        self.0.publish(Lane::Priority, delta, times);
    }

    /// Forgets what it has not published yet.
    pub(crate) fn publish_no_more(&self) {
        self.0.publish_no_more();
    }

    /// Publishes and waits until the statestored has it all.
    pub(crate) async fn fill(
        &self,
        server: &Statestored,
        topic: &'static str,
        items: ItemBatch,
    ) -> Result<(), Failure> {
        let goal = server.version(topic).await? + items.len() as u64;
        self.publish(topic, items);
        let start = Instant::now();
        while server.version(topic).await? < goal {
            if start.elapsed() > LIMIT {
                return Err(too_late(format!("{topic} at version {goal}")));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// Items with keys `key-00000000` and on, values of one letter.
pub(crate) fn items(count: usize, value: usize, letter: u8, deleted: bool) -> ItemBatch {
    let value = vec![letter; if deleted { 0 } else { value }];
    batch(0..count, &value, deleted)
}

/// The items of these numbers.
pub(crate) fn numbered(numbers: Range<usize>, value: usize) -> ItemBatch {
    batch(numbers, &vec![b'n'; value], false)
}

fn batch(numbers: Range<usize>, value: &[u8], deleted: bool) -> ItemBatch {
    let keys: Vec<String> = numbers.map(|i| format!("key-{i:08}")).collect();
    let items = keys.iter().map(|key| (key.as_bytes(), value, deleted));
    ItemBatch::from_items(items)
}

/// What keys made by [`in_turns`] begin with.
pub(crate) const PREFIXES: [&str; 4] = ["kea-", "kec-", "keg-", "kek-"];

/// The items of these numbers whose number modulo `prefixes` fits, under that many prefixes.
pub(crate) fn in_turns(
    numbers: Range<usize>,
    value: usize,
    prefixes: usize,
    fits: impl Fn(usize) -> bool,
) -> ItemBatch {
    let turns = numbers.map(|i| (i, i % prefixes.clamp(1, PREFIXES.len())));
    let keys = turns.filter(|(_, turn)| fits(*turn));
    let keys: Vec<String> = keys
        .map(|(i, turn)| format!("{}{i:08}", PREFIXES[turn]))
        .collect();
    let value = vec![b'n'; value];
    ItemBatch::from_items(keys.iter().map(|key| (key.as_bytes(), &value[..], false)))
}

/// Who gets the keys of which prefix, in turns; all of them by none if there are no `prefixes`.
pub(crate) fn by_prefix<T: Clone>(who: &[T], prefixes: usize) -> Vec<(&'static str, Vec<T>)> {
    if prefixes == 0 {
        return vec![("", who.to_vec())];
    }
    let count = prefixes.min(PREFIXES.len());
    let nth = |nth: usize| who.iter().skip(nth).step_by(count).cloned().collect();
    let prefixes = PREFIXES.iter().take(count).zip(0..);
    prefixes.map(|(prefix, n)| (*prefix, nth(n))).collect()
}

/// Bytes of a key made by [`items`].
pub(crate) const KEY: usize = 12;

pub(crate) fn too_late(what: String) -> Failure {
    let limit = LIMIT;
    Failure::TooLate { what, limit }
}

/// A while that is being measured.
pub(crate) struct Meter {
    server: Process,
    start: Instant,
    server_cpu: f64,
    own_cpu: f64,
    busy: f64,
    network: f64,
}

/// What a while took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) seconds: f64,
    /// The server's CPU, in seconds.
    pub(crate) server: f64,
    /// The part of the machine that neither server nor crowd nor the network used. 0 to 1.
    pub(crate) others: f64,
}

impl Meter {
    pub(crate) fn start(server: &Statestored) -> Result<Self, Failure> {
        Self::of(server.process())
    }

    pub(crate) fn of(server: Process) -> Result<Self, Failure> {
        Ok(Self {
            server,
            server_cpu: server.cpu()?,
            own_cpu: Process::this().cpu()?,
            busy: machine::busy(),
            network: machine::network(),
            start: Instant::now(),
        })
    }

    pub(crate) fn stop(self) -> Result<Taken, Failure> {
        let seconds = self.start.elapsed().as_secs_f64();
        let server = self.server.cpu()? - self.server_cpu;
        let own = Process::this().cpu()? - self.own_cpu;
        let network = machine::network() - self.network;
        let others = machine::busy() - self.busy - server - own - network;
        Ok(Taken {
            seconds,
            server,
            others: (others / seconds / machine::cores() as f64).clamp(0.0, 1.0),
        })
    }
}

/// The highest of several.
pub(crate) fn others(taken: &[Taken]) -> f64 {
    taken.iter().map(|taken| taken.others).fold(0.0, f64::max)
}
