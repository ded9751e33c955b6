//! The subscriber against a naive statestored that loses answers, asks twice, restarts, and
//! serves others too: in the end the topics hold what was wished for, and mirrors equal topics.

use crate::support::*;
use crate::words::*;
use proptest::prelude::*;
use statestore_core::subscriber::port::*;
use statestore_core::subscriber::{Mirror, TopicConfig};
use statestore_wire::*;
use std::collections::BTreeMap;

const TOPICS: [&str; 3] = ["impala-membership", "hidden", "lasting"];
const PRIORITY: [&str; 1] = ["impala-membership"];
const NORMAL: [&str; 2] = ["hidden", "lasting"];

/// A topic as behaviour.md section 1 has it, with no thought of cost.
#[derive(Debug, Default)]
pub(crate) struct NaiveTopic {
    pub(crate) rows: BTreeMap<String, (i64, Option<String>)>,
    pub(crate) counter: i64,
    /// L of our registration.
    pub(crate) reached: i64,
    /// Transient entries of our registration (T-24).
    owned: BTreeMap<String, i64>,
    /// Those of the registration before, until the first answer of the new one (W33).
    expiring: BTreeMap<String, i64>,
}

impl NaiveTopic {
    pub(crate) fn write(&mut self, key: &str, value: Option<String>) -> i64 {
        self.counter += 1;
        self.rows.insert(key.to_owned(), (self.counter, value));
        self.counter
    }

    /// W13: a new base for everybody.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.reached = 0;
    }

    pub(crate) fn end_registration(&mut self) {
        self.expire();
        self.expiring = std::mem::take(&mut self.owned);
        self.reached = 0;
    }

    /// T-30.
    pub(crate) fn expire(&mut self) {
        for (key, version) in std::mem::take(&mut self.expiring) {
            if self.rows.get(&key).is_some_and(|row| row.0 == version) {
                self.write(&key, None);
            }
        }
    }

    /// T-5 to T-8.
    pub(crate) fn delta(&self, name: &str, prefix: &str) -> TopicDelta {
        let is_delta = self.reached > 0;
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.1.0 > self.reached)
            .collect();
        rows.sort_by_key(|row| row.1.0);
        let shown = rows
            .iter()
            .filter(|(key, row)| key.starts_with(prefix) && (is_delta || row.1.is_some()))
            .map(|(key, row)| {
                let value = row.1.as_deref().unwrap_or("");
                (key.as_bytes(), value.as_bytes(), row.1.is_none())
            });
        TopicDelta {
            topic_name: name.into(),
            topic_entries: ItemBatch::from_items(shown),
            is_delta,
            from_version: Some(self.reached),
            to_version: Some(self.rows.values().map(|row| row.0).max().unwrap_or(0)),
            ..TopicDelta::default()
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Put(usize, u8, u8),
    Delete(usize, u8),
    Clear(usize),
    Foreign(usize, u8, Option<u8>),
    ForeignClear,
    /// One RPC of a lane and what happens to it.
    Exchange(bool, Fate),
    /// Both lanes at once; the second ends first.
    Overlap,
    /// The statestored drops the registration; or restarts, and knows nothing.
    Rejoin {
        restarted: bool,
    },
    /// An answer arrives after its registration has ended (T-32).
    LateAnswer(bool),
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Fine,
    /// The connection was closed while idle.
    NewConnection,
    AnswerLost,
    /// K-2: executed twice, the second answer counts.
    AskedTwice,
    /// The application fails.
    Failed,
}

fn op() -> impl Strategy<Value = Op> {
    let fate = prop_oneof![
        4 => Just(Fate::Fine),
        2 => Just(Fate::NewConnection),
        3 => Just(Fate::AnswerLost),
        2 => Just(Fate::AskedTwice),
        1 => Just(Fate::Failed),
    ];
    prop_oneof![
        6 => (0..3usize, 0..4u8, 0..3u8).prop_map(|(t, k, v)| Op::Put(t, k, v)),
        3 => (0..3usize, 0..4u8).prop_map(|(t, k)| Op::Delete(t, k)),
        1 => (0..3usize).prop_map(Op::Clear),
        3 => (0..3usize, 0..3u8, proptest::option::of(0..3u8))
            .prop_map(|(t, k, v)| Op::Foreign(t, k, v)),
        1 => Just(Op::ForeignClear),
        12 => (any::<bool>(), fate).prop_map(|(lane, fate)| Op::Exchange(lane, fate)),
        2 => Just(Op::Overlap),
        1 => any::<bool>().prop_map(|restarted| Op::Rejoin { restarted }),
        1 => any::<bool>().prop_map(Op::LateAnswer),
    ]
}

struct Model {
    world: World,
    topics: BTreeMap<String, NaiveTopic>,
    wishes: BTreeMap<(usize, String), String>,
    mirrors: BTreeMap<String, Mirror>,
    statestore: i64,
    registration: i64,
    connection: u64,
}

impl Model {
    fn new() -> Self {
        let topics = vec![
            TopicConfig {
                transient: true,
                ..topic(TOPICS[0])
            },
            TopicConfig {
                prefix: "!".into(),
                ..topic(TOPICS[1])
            },
            topic(TOPICS[2]),
        ];
        let naive = |name: &&str| ((*name).to_owned(), NaiveTopic::default());
        Self {
            world: World::following(topics),
            topics: TOPICS.iter().map(naive).collect(),
            wishes: BTreeMap::new(),
            mirrors: BTreeMap::new(),
            statestore: 10,
            registration: 1,
            connection: 1,
        }
    }

    fn prefix(name: &str) -> &'static str {
        if name == "hidden" { "!" } else { "" }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Put(t, k, v) => {
                let (key, value) = (format!("k{k}"), format!("v{v}"));
                self.world.publish(vec![put(TOPICS[t], &key, &value)]);
                self.wishes.insert((t, key), value);
            }
            Op::Delete(t, k) => {
                let key = format!("k{k}");
                self.world.publish(vec![delete(TOPICS[t], &key)]);
                self.wishes.remove(&(t, key));
            }
            Op::Clear(t) => {
                self.world.publish(vec![Command::Clear {
                    topic: TOPICS[t].into(),
                }]);
                self.wishes.retain(|(topic, _), _| *topic != t);
            }
            Op::Foreign(t, k, v) => {
                let value = v.map(|v| format!("f{v}"));
                self.topic(TOPICS[t]).write(&format!("foreign{k}"), value);
            }
            // Only where the filter hides nothing: what it hides cannot be missed.
            Op::ForeignClear => self.topic("lasting").clear(),
            Op::Exchange(lane, fate) => self.exchange(names(lane), fate),
            Op::Overlap => {
                let (first, second) = (self.connection, self.connection + 1);
                self.connection += 1;
                let one = self.begin(&NORMAL, first);
                let two = self.begin(&PRIORITY, second);
                let two = self.finish(two);
                let one = self.finish(one);
                self.apply(&PRIORITY, &two);
                self.apply(&NORMAL, &one);
            }
            Op::Rejoin { restarted } => self.rejoin(restarted),
            Op::LateAnswer(lane) => {
                let begun = self.begin(names(lane), self.connection);
                let answer = self.finish(begun);
                self.rejoin(false);
                self.write(&answer);
                self.topics.values_mut().for_each(|topic| {
                    // T-32, and L belongs to the registration that has ended.
                    let reached = topic.reached;
                    topic.end_registration();
                    topic.expire();
                    topic.reached = reached;
                });
            }
        }
    }

    fn exchange(&mut self, lane: &'static [&'static str], fate: Fate) {
        if matches!(fate, Fate::NewConnection) {
            self.connection += 1;
        }
        let begun = self.begin(lane, self.connection);
        let begun = match (fate, begun) {
            (Fate::Failed, Begun::Delivered(delivery)) => {
                let answer = self.world.finish_with(delivery, Err("failed".into()));
                assert!(!answer.status.is_ok() && answer.updates.is_empty());
                return;
            }
            (_, begun) => begun,
        };
        let mut answer = self.finish(begun);
        if matches!(fate, Fate::AnswerLost | Fate::AskedTwice) {
            self.connection += 1; // K-1: dropped after a failed call
        }
        if matches!(fate, Fate::AskedTwice) {
            let again = self.begin(lane, self.connection);
            answer = self.finish(again);
        }
        if !matches!(fate, Fate::AnswerLost) {
            self.apply(lane, &answer);
        }
    }

    fn begin(&mut self, lane: &[&str], connection: u64) -> Begun {
        let message = lane
            .iter()
            .map(|name| self.topics[*name].delta(name, Self::prefix(name)));
        let message = message.collect();
        self.world
            .begin_update_from((self.statestore, self.registration), connection, message)
    }

    fn finish(&mut self, begun: Begun) -> UpdateAnswer {
        match begun {
            Begun::Answered(answer) => answer,
            Begun::Delivered(delivery) => {
                for (name, delta) in &delivery.topics {
                    self.mirrors
                        .entry(name.to_string())
                        .or_default()
                        .apply(delta);
                }
                self.world.finish(delivery, vec![])
            }
        }
    }

    /// T-20 to T-26. The content may have changed since the message was built, but in this
    /// model nothing happens between building and applying, except what other lanes do.
    fn apply(&mut self, lane: &[&str], answer: &UpdateAnswer) {
        assert!(answer.status.is_ok() && !answer.skipped, "{answer:?}");
        for name in lane {
            let topic = self.topic(name);
            topic.reached = topic.rows.values().map(|row| row.0).max().unwrap_or(0);
        }
        self.write(answer);
        lane.iter().for_each(|name| self.topic(name).expire());
    }

    fn write(&mut self, answer: &UpdateAnswer) {
        for update in &answer.updates {
            let name = update.topic.to_string();
            let transient = name == TOPICS[0];
            let topic = self.topic(&name);
            if let Some(from) = update.from_version {
                topic.reached = from;
            }
            if update.clear {
                topic.clear();
            }
            for (key, value) in &update.items {
                let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                let version = topic.write(&key.to_string(), value.as_ref().map(text));
                if transient {
                    topic.owned.insert(key.to_string(), version);
                }
            }
        }
    }

    fn rejoin(&mut self, restarted: bool) {
        if restarted {
            self.statestore += 1;
            self.topics
                .values_mut()
                .for_each(|topic| *topic = NaiveTopic::default());
        }
        self.topics
            .values_mut()
            .for_each(NaiveTopic::end_registration);
        self.world.seconds(31);
        self.registration += 1;
        self.connection += 1;
        self.world
            .register(0, self.statestore, self.registration, true);
    }

    fn topic(&mut self, name: &str) -> &mut NaiveTopic {
        self.topics.get_mut(name).unwrap()
    }

    fn heal_and_check(&mut self) {
        for _ in 0..4 {
            self.exchange(&PRIORITY, Fate::Fine);
            self.exchange(&NORMAL, Fate::Fine);
        }
        assert_eq!(self.world.view().outstanding, 0);
        for (t, name) in TOPICS.iter().enumerate() {
            let topic = &self.topics[*name];
            for k in 0..4 {
                let key = format!("k{k}");
                let held = topic.rows.get(&key).and_then(|row| row.1.clone());
                assert_eq!(
                    held,
                    self.wishes.get(&(t, key.clone())).cloned(),
                    "{name} {key}"
                );
            }
            let seen = self.mirrors.entry((*name).to_owned()).or_default();
            let seen: BTreeMap<_, _> = seen
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_vec()))
                .collect();
            let is: BTreeMap<_, _> = topic
                .rows
                .iter()
                .filter(|(key, _)| key.starts_with(Self::prefix(name)))
                .filter_map(|(key, row)| Some((key.clone(), row.1.clone()?.into_bytes())))
                .collect();
            assert_eq!(seen, is, "mirror of {name}");
        }
    }
}

fn names(priority: bool) -> &'static [&'static str] {
    if priority { &PRIORITY } else { &NORMAL }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(4000, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // B-13, B-36..B-39, T-9, T-26, T-32, K-2: whatever happens on the way.
    #[test]
    fn topics_end_up_as_wished_and_mirrors_equal_to_topics(
        ops in proptest::collection::vec(op(), 1..60)
    ) {
        let mut model = Model::new();
        for op in ops {
            model.run(op);
        }
        model.heal_and_check();
    }
}
