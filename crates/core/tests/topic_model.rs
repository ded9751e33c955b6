//! A topic beside a naive model of it: whatever is written, expired, cleared and collected, in
//! whatever order, both say the same to every subscriber.
//!
//! The model keeps rows in a plain list and encodes each item anew. What it does not know is
//! memory: segments, holes and their limits are in `topic_memory.rs`.

#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use statestore_core::topic::{Delta, Looks, TopicLog, Version};
use statestore_wire::item::put_item;
use statestore_wire::{Item, ItemBatch};
use std::collections::BTreeMap;

/// A row as the rules describe it: key, value, version, deleted.
type Row = (Vec<u8>, Vec<u8>, u64, bool);

#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    counter: u64,
    last: u64,
}

impl Model {
    fn write(&mut self, key: &[u8], value: &[u8], deleted: bool) {
        self.counter += 1;
        self.last = self.counter;
        self.rows.retain(|row| row.0 != key);
        self.rows
            .push((key.to_vec(), value.to_vec(), self.counter, deleted));
    }

    fn expire(&mut self, version: u64) -> Option<Version> {
        let row = self
            .rows
            .iter()
            .find(|row| row.2 == version && !row.3)?
            .clone();
        self.write(&row.0, &[], true);
        Some(Version(self.counter))
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.last = 0;
    }

    fn collect(&mut self, floor: u64) {
        self.rows.retain(|row| !row.3 || row.2 > floor);
    }

    /// T-5, T-6, T-7 with a naive encoder; `full` is for the log to say.
    fn encode(&self, since: u64, full: bool, prefix: &[u8]) -> (usize, Vec<u8>) {
        let wanted =
            |row: &&Row| row.0.starts_with(prefix) && if full { !row.3 } else { row.2 > since };
        let mut bytes = Vec::new();
        let rows = self.rows.iter().filter(wanted);
        let count = rows
            .map(|row| put_item(&mut bytes, &row.0, &row.1, row.3))
            .count();
        (count, bytes)
    }

    fn check_sizes(&self, log: &TopicLog) {
        let sizes = log.sizes();
        let tombstones = self.rows.iter().filter(|row| row.3).count();
        let bytes = |part: fn(&Row) -> usize| self.rows.iter().map(part).sum::<usize>();
        assert_eq!(sizes.entries, self.rows.len() - tombstones);
        assert_eq!(sizes.tombstones, tombstones);
        assert_eq!(sizes.key_bytes, bytes(|row| row.0.len()));
        assert_eq!(sizes.value_bytes, bytes(|row| row.1.len()));
        let rows = log.items(b"");
        let rows = rows.map(|e| (e.key.to_vec(), e.value.to_vec(), e.version.0, e.deleted));
        assert_eq!(rows.collect::<Vec<_>>(), self.rows);
    }
}

/// A subscriber that applies what it gets.
#[derive(Default)]
struct Replica {
    at: Version,
    prefix: Vec<u8>,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Replica {
    fn apply(&mut self, delta: &Delta) {
        if delta.is_delta {
            assert_eq!(delta.from, self.at);
        } else {
            self.entries.clear();
        }
        let bytes = delta.runs.concat();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let item = Item::from_canonical(rest);
            let len = statestore_wire::item::ITEM_OVERHEAD + item.key.len() + item.value.len();
            let item = Item::from_canonical(&rest[..len]);
            if item.deleted {
                self.entries.remove(item.key);
            } else {
                self.entries.insert(item.key.to_vec(), item.value.to_vec());
            }
            rest = &rest[len..];
        }
        self.at = delta.to;
    }
}

#[derive(Debug, Clone)]
enum Op {
    Write(Vec<(u8, u16, bool)>),
    Expire(u64),
    Clear,
    /// Collect up to the lowest subscriber.
    Collect,
    /// Collect up to some version, whoever is below.
    CollectAt(u64),
    /// A subscriber takes what it lacks.
    Follow(usize),
    /// A subscriber asks for what it lacks, to be had in pieces: it may have to ask again. The
    /// flag says that nobody else's may be dropped for it.
    Piece(usize, usize, bool),
    /// A subscriber asks from elsewhere (T-22).
    Jump(usize, u64),
    /// Anybody asks.
    Ask(u64, u8),
}

fn op(item: impl Strategy<Value = (u8, u16, bool)> + 'static) -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => vec(item, 0..12).prop_map(Op::Write),
        2 => any::<u64>().prop_map(Op::Expire),
        1 => Just(Op::Clear),
        2 => Just(Op::Collect),
        1 => any::<u64>().prop_map(Op::CollectAt),
        4 => (0..4_usize).prop_map(Op::Follow),
        4 => (0..4_usize, 0..200_usize, prop::bool::weighted(0.3))
            .prop_map(|(who, left, waits)| Op::Piece(who, left, waits)),
        1 => (0..4_usize, any::<u64>()).prop_map(|(who, at)| Op::Jump(who, at)),
        3 => (any::<u64>(), 0..5_u8).prop_map(|(since, prefix)| Op::Ask(since, prefix)),
    ]
}

/// Several hundred items of some KiB at a time, every third of a random stretch or all of it.
fn churn() -> impl Strategy<Value = Op> {
    let item = |k, len| (k, len, k % 23 == 0);
    let batch = (any::<u8>(), 1..4_usize, 0..6000_u16).prop_map(move |(from, stride, len)| {
        let keys = (from..=u8::MAX).step_by(stride);
        Op::Write(keys.map(|k| item(k, len + u16::from(k))).collect())
    });
    prop_oneof![4 => batch, 2 => op((any::<u8>(), 0..9000_u16, prop::bool::weighted(0.3)))]
}

fn key(k: u8) -> Vec<u8> {
    format!("{}:{}", ["", "a", "ab", "b"][usize::from(k) % 4], k / 4).into_bytes()
}

fn prefix(p: u8) -> &'static [u8] {
    [&b""[..], b"a", b"ab", b"b:1", b"zz"][usize::from(p)]
}

struct Pair {
    log: TopicLog,
    model: Model,
    replicas: Vec<Replica>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let replica = |p| Replica {
            prefix: prefix(p).to_vec(),
            ..Replica::default()
        };
        let replicas = [0, 1, 2, 0].map(replica).into();
        Self {
            log: TopicLog::new(seed),
            model: Model::default(),
            replicas,
        }
    }

    fn step(&mut self, op: &Op) {
        let near = |at: u64| at % (self.model.counter + 3);
        match op {
            Op::Write(items) => self.write(items),
            Op::Expire(at) => {
                let at = near(*at);
                let current = self.model.rows.iter().any(|row| row.2 == at);
                assert_eq!(self.log.is_current(Version(at)), current);
                assert_eq!(self.log.expire(Version(at)), self.model.expire(at));
            }
            Op::Clear => {
                self.log.clear();
                self.model.clear();
            }
            Op::Collect => {
                let at = |r: &Replica| Some(r.at).filter(|at| *at > Version::ZERO);
                let floor = self.replicas.iter().filter_map(at).min();
                self.collect(floor.unwrap_or(self.log.last()));
            }
            Op::CollectAt(at) => self.collect(Version(near(*at))),
            Op::Follow(who) => self.follow(*who),
            Op::Piece(who, left, waits) => self.piece(*who, *left, !waits),
            Op::Jump(who, at) => self.replicas[*who].at = Version(near(*at)),
            Op::Ask(since, p) => {
                let since = Version(near(*since));
                self.ask(since, prefix(*p));
            }
        }
        assert_eq!(self.log.counter(), Version(self.model.counter));
        assert_eq!(self.log.last(), Version(self.model.last));
        self.model.check_sizes(&self.log);
    }

    fn write(&mut self, items: &[(u8, u16, bool)]) {
        let items: Vec<_> = items
            .iter()
            .map(|(k, len, deleted)| (key(*k), vec![*k; usize::from(*len)], *deleted))
            .collect();
        let batch = items
            .iter()
            .map(|(k, v, deleted)| (&k[..], &v[..], *deleted));
        let written = self.log.write(&ItemBatch::from_items(batch));
        assert_eq!(*written.start(), Version(self.model.counter + 1));
        items
            .iter()
            .for_each(|(k, v, deleted)| self.model.write(k, v, *deleted));
        assert_eq!(*written.end(), Version(self.model.counter));
    }

    fn collect(&mut self, floor: Version) {
        while self.log.collect(floor) {}
        self.model.collect(floor.0);
    }

    /// Compares with the naive encoder, and asks twice, the second time from the cache.
    fn ask(&mut self, since: Version, prefix: &[u8]) -> Delta {
        let delta = self.log.delta(since, prefix);
        assert_eq!(delta, self.log.delta(since, prefix));
        if delta.is_delta {
            assert!(delta.from == since && since > Version::ZERO && since >= self.log.base());
        } else {
            assert_eq!(delta.from, Version::ZERO);
            let must = since == Version::ZERO || since < self.log.base() || since > self.log.last();
            assert!(must, "a full message at {since} without need");
        }
        assert_eq!(delta.to, self.log.last());
        let (count, bytes) = self.model.encode(since.0, !delta.is_delta, prefix);
        assert_eq!(delta.count, count);
        assert_eq!(delta.bytes, bytes.len());
        assert!(
            delta.runs.concat() == bytes,
            "other bytes than a naive encoder's"
        );
        delta
    }

    /// What is there at last is what would have been there at once.
    fn piece(&mut self, who: usize, left: usize, may_begin: bool) {
        let (at, prefix) = (self.replicas[who].at, self.replicas[who].prefix.clone());
        let mut looks = Looks { left, few: 0 };
        let delta = self.log.delta_within(at, &prefix, &mut looks, may_begin);
        assert!(looks.left <= left);
        if let Some(delta) = delta {
            let runs = delta.runs.concat();
            let at_once = self.ask(at, &prefix);
            assert!(runs == at_once.runs.concat(), "other bytes than at once");
            self.replicas[who].apply(&delta);
        }
    }

    fn follow(&mut self, who: usize) {
        let (at, prefix) = (self.replicas[who].at, self.replicas[who].prefix.clone());
        let delta = self.ask(at, &prefix);
        self.replicas[who].apply(&delta);
    }

    /// A replica that jumped holds nonsense until it asks for everything.
    fn check_replicas(&mut self, jumped: &[usize]) {
        for who in (0..self.replicas.len()).filter(|who| !jumped.contains(who)) {
            self.follow(who);
            let replica = &self.replicas[who];
            let live = self.model.rows.iter().filter(|row| !row.3);
            let live = live.filter(|row| row.0.starts_with(&replica.prefix));
            let live: BTreeMap<_, _> = live.map(|row| (row.0.clone(), row.1.clone())).collect();
            assert!(replica.entries == live, "replica {who} differs");
        }
    }
}

fn run(seed: u64, ops: &[Op]) {
    let mut pair = Pair::new(seed);
    ops.iter().for_each(|op| pair.step(op));
    let jump = |op: &Op| {
        if let Op::Jump(who, _) = op {
            Some(*who)
        } else {
            None
        }
    };
    let jumped: Vec<_> = ops.iter().filter_map(jump).collect();
    pair.check_replicas(&jumped);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    // T-2 T-3 T-4 T-5 T-6 T-7 T-8 T-9 T-12 T-22 T-23 T-30 W12 W13
    #[test]
    fn any_history_reads_like_the_naive_model(
        seed: u64,
        ops in vec(op((any::<u8>(), 0..40_u16, prop::bool::weighted(0.3))), 0..60),
    ) {
        run(seed, &ops);
    }

    // The same over segments: items of up to 64 KiB fill, adopt and rewrite many of them.
    #[test]
    fn any_history_of_large_items_reads_like_the_naive_model(
        seed: u64,
        ops in vec(op((0..48_u8, any::<u16>(), prop::bool::weighted(0.1))), 0..40),
    ) {
        run(seed, &ops);
    }

    // The same with enough churn that segments are rewritten and merged over and over.
    #[test]
    fn any_history_of_much_churn_reads_like_the_naive_model(
        seed: u64,
        ops in vec(churn(), 10..60),
    ) {
        run(seed, &ops);
    }
}
