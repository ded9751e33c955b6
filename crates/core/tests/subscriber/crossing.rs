//! Calls that publish against a naive statestored to which they come late, twice, out of order
//! and slowly, while replies carry what is too large for them: nothing is lost, and on no key an
//! older value follows a newer one.
//!
//! Deliberately absent: what others do to the topics, and what a filter hides (`convergence`).

use crate::convergence::NaiveTopic;
use crate::support::*;
use crate::words::*;
use proptest::prelude::*;
use statestore_core::subscriber::port::*;
use statestore_wire::{PublishResponse, Status, StatusCode, Text};
use std::collections::BTreeMap;

const TOPICS: [&str; 3] = ["impala-membership", "busy", "t"];
const LIMIT: i64 = 400;

#[derive(Debug, Clone)]
enum Op {
    Put {
        topic: usize,
        key: u8,
        large: bool,
    },
    Delete {
        topic: usize,
        key: u8,
    },
    Clear {
        topic: usize,
    },
    /// A call reaches the statestored, which takes its time if it is slow.
    Reach {
        call: usize,
        slow: bool,
    },
    /// The subscriber waits no longer; the call may reach the statestored all the same.
    TimeOut {
        call: usize,
    },
    /// What a slow one took in is written.
    Write {
        stream: usize,
    },
    /// An update, and what becomes of its answer.
    Update {
        stream: usize,
        fate: Fate,
    },
    /// A late answer comes.
    Arrive {
        stream: usize,
    },
    /// The retry pause.
    Pause,
    Rejoin {
        restarted: bool,
    },
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Fine,
    Late,
    Lost,
}

fn op() -> impl Strategy<Value = Op> {
    let (topic, key, stream) = (0..3usize, 0..3u8, 0..2usize);
    let call = 0..4usize;
    let fate = prop_oneof![Just(Fate::Fine), Just(Fate::Late), Just(Fate::Lost)];
    prop_oneof![
        6 => (topic.clone(), key.clone(), proptest::bool::weighted(0.3))
            .prop_map(|(topic, key, large)| Op::Put { topic, key, large }),
        1 => (topic.clone(), key).prop_map(|(topic, key)| Op::Delete { topic, key }),
        1 => topic.prop_map(|topic| Op::Clear { topic }),
        6 => (call.clone(), any::<bool>()).prop_map(|(call, slow)| Op::Reach { call, slow }),
        3 => call.prop_map(|call| Op::TimeOut { call }),
        3 => stream.clone().prop_map(|stream| Op::Write { stream }),
        5 => (stream.clone(), fate).prop_map(|(stream, fate)| Op::Update { stream, fate }),
        2 => stream.prop_map(|stream| Op::Arrive { stream }),
        3 => Just(Op::Pause),
        1 => any::<bool>().prop_map(|restarted| Op::Rejoin { restarted }),
    ]
}

/// A call on its way.
#[derive(Debug)]
struct Flying {
    call: Call,
    unasked: Unasked,
    awaited: bool,
}

struct Model {
    world: World,
    wishes: BTreeMap<(String, String), Option<u64>>,
    puts: u64,
    topics: BTreeMap<String, NaiveTopic>,
    /// The newest value that the topics' statestored ever had of a key.
    newest: BTreeMap<(String, String), u64>,
    flying: Vec<Flying>,
    writing: [Option<Flying>; 2],
    done: [i64; 2],
    statestore: i64,
    registration: i64,
    /// Answers that are late, and where they move the bases.
    late: [Option<(UpdateAnswer, Vec<i64>)>; 2],
    /// From below, topics come whole: they were cleared.
    bases: BTreeMap<String, i64>,
    /// One a stream, and the last of all.
    connections: [u64; 2],
    connection: u64,
}

impl Model {
    fn new() -> Self {
        let mut config = config(1);
        config.topics = TOPICS.iter().map(|name| topic(name)).collect();
        let mut model = Self {
            world: World::new(config),
            wishes: BTreeMap::new(),
            puts: 0,
            topics: BTreeMap::new(),
            newest: BTreeMap::new(),
            flying: Vec::new(),
            writing: [None, None],
            done: [0; 2],
            statestore: 9,
            registration: 0,
            late: [None, None],
            bases: BTreeMap::new(),
            connections: [0; 2],
            connection: 0,
        };
        model.join(true);
        model
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Put { topic, key, large } => self.put(topic, key, large),
            Op::Delete { topic, key } => {
                let key = format!("k{key}");
                self.world.publish(vec![delete(TOPICS[topic], &key)]);
                self.wishes.insert((TOPICS[topic].into(), key), None);
            }
            Op::Clear { topic } => {
                let topic = TOPICS[topic];
                let command = Command::Clear {
                    topic: topic.into(),
                };
                self.world.publish(vec![command]);
                let wishes = self.wishes.iter_mut();
                let cleared = wishes.filter(|((of, _), _)| of == topic);
                cleared.for_each(|(_, wish)| *wish = None);
            }
            Op::Reach { call, slow } if call < self.flying.len() => {
                let flying = self.flying.remove(call);
                self.reach(flying, slow);
            }
            Op::TimeOut { call } => {
                if let Some(flying) = self.flying.get_mut(call)
                    && std::mem::replace(&mut flying.awaited, false)
                {
                    self.world.fail(&flying.call);
                }
            }
            Op::Reach { .. } => {}
            Op::Write { stream } => self.write(stream),
            Op::Update { stream, fate } => self.update(stream, fate),
            Op::Arrive { stream } => self.arrive(stream),
            Op::Pause => {
                self.world.heartbeat(self.statestore, self.registration);
                self.world.seconds(3);
            }
            Op::Rejoin { restarted } => {
                self.world.seconds(31);
                self.collect();
                if !restarted {
                    (0..2).for_each(|stream| self.arrive(stream)); // T-32
                }
                self.join(restarted);
            }
        }
        self.collect();
    }

    /// Values are numbers that rise; a large one is preceded by zeros.
    fn put(&mut self, topic: usize, key: u8, large: bool) {
        self.puts += 1;
        let width = if large { 110 } else { 1 };
        let (key, value) = (format!("k{key}"), format!("{:0width$}", self.puts));
        self.world.publish(vec![put(TOPICS[topic], &key, &value)]);
        let wish = Some(self.puts);
        self.wishes.insert((TOPICS[topic].into(), key), wish);
    }

    fn collect(&mut self) {
        let is_publication = |call: &mut Call| matches!(call.body, Body::Publish(_));
        for call in self.world.calls.extract_if(.., is_publication) {
            let Body::Publish(unasked) = &call.body else {
                unreachable!()
            };
            let unasked = unasked.as_ref().clone();
            self.flying.push(Flying {
                call,
                unasked,
                awaited: true,
            });
        }
    }

    /// wire.md section 5.6: in order, once, under the current registration.
    fn reach(&mut self, flying: Flying, slow: bool) {
        let stream = flying.unasked.stream as usize;
        let done = self.done[stream];
        if flying.unasked.registration_id.0 != id(self.registration)
            || self.writing[stream].is_some()
            || flying.unasked.sequence < done
        {
            self.answer(&flying, Status::error(StatusCode::GENERAL, "refused"));
        } else if flying.unasked.sequence == done {
            self.answer(&flying, Status::ok());
        } else {
            self.writing[stream] = Some(flying);
            if !slow {
                self.write(stream);
            }
        }
    }

    fn answer(&mut self, flying: &Flying, status: Status) {
        if flying.awaited {
            let reply = Reply::Publish(PublishResponse { status });
            self.world.complete(flying.call.id, Ok(reply));
        }
    }

    fn write(&mut self, stream: usize) {
        let Some(flying) = self.writing[stream].take() else {
            return;
        };
        self.apply(&flying.unasked.updates);
        if flying.unasked.registration_id.0 == id(self.registration) {
            self.done[stream] = flying.unasked.sequence;
        }
        self.answer(&flying, Status::ok());
    }

    fn apply(&mut self, updates: &[TopicUpdate]) {
        for update in updates {
            let name = update.topic.to_string();
            let topic = self.topics.get_mut(&name).unwrap();
            if let Some(from) = update.from_version {
                topic.reached = from;
            }
            if update.clear {
                topic.clear();
                self.bases.insert(name.clone(), topic.counter + 1);
            }
            for (key, value) in &update.items {
                let text = |it: &bytes::Bytes| String::from_utf8(it.to_vec()).unwrap();
                let value = value.as_ref().map(text);
                if let Some(number) = value.as_ref().map(|it| it.parse().unwrap()) {
                    let place = (name.clone(), key.to_string());
                    let newest = self.newest.insert(place, number).unwrap_or(0);
                    assert!(newest <= number, "{number} of {key} overtook {newest}");
                }
                topic.write(&key.to_string(), value);
            }
        }
    }

    /// T-5 to T-8: an update of a stream's topics, once the one before it was answered (S-3).
    fn update(&mut self, stream: usize, fate: Fate) {
        self.arrive(stream);
        let names = names(stream).iter();
        let message = names.map(|name| self.topics[*name].delta(name, ""));
        let message: Vec<_> = message.collect();
        let reached = message.iter().map(|it| it.to_version.unwrap()).collect();
        let from = (self.statestore, self.registration);
        let connection = self.connections[stream];
        let answer = self.world.update_from(from, connection, message);
        assert!(answer.status.is_ok() && !answer.skipped, "{answer:?}");
        match fate {
            Fate::Fine | Fate::Late => self.late[stream] = Some((answer, reached)),
            Fate::Lost => self.reconnect(stream), // K-1
        }
        if matches!(fate, Fate::Fine) {
            self.arrive(stream);
        }
    }

    /// T-20 to T-26; what is said about a topic is written in the order in which it came.
    fn arrive(&mut self, stream: usize) {
        let Some((answer, reached)) = self.late[stream].take() else {
            return;
        };
        for (name, reached) in names(stream).iter().zip(reached) {
            let holds = reached >= *self.bases.get(*name).unwrap_or(&0);
            self.topics.get_mut(*name).unwrap().reached = if holds { reached } else { 0 };
        }
        let mut topics = answer.updates.iter().map(|it| &it.topic);
        let queue = self.writing[stream].as_ref().map(|it| &it.unasked.updates);
        let before = |topic: &Text| queue.is_some_and(|it| it.iter().any(|it| it.topic == *topic));
        if topics.any(before) {
            self.write(stream);
        }
        self.apply(&answer.updates);
    }

    fn reconnect(&mut self, stream: usize) {
        self.connection += 1;
        self.connections[stream] = self.connection;
    }

    /// A new registration; a restarted statestored knows nothing.
    fn join(&mut self, restarted: bool) {
        if restarted {
            self.statestore += 1;
            let fresh = |name: &&str| ((*name).to_owned(), NaiveTopic::default());
            self.topics = TOPICS.iter().map(fresh).collect();
            self.newest.clear();
            self.writing = [None, None];
            self.late = [None, None];
            self.bases.clear();
        }
        self.topics.values_mut().for_each(|topic| topic.reached = 0);
        self.done = [0; 2];
        self.registration += 1;
        (0..2).for_each(|stream| self.reconnect(stream));
        self.world.answer_version(0);
        let mut reply = accepted(self.statestore, self.registration, true);
        reply.publication_limit = Some(LIMIT);
        self.world.answer_registration(0, reply);
    }

    fn heal_and_check(&mut self) {
        for _ in 0..8 {
            (0..2).for_each(|stream| self.write(stream));
            self.collect();
            for flying in std::mem::take(&mut self.flying) {
                self.reach(flying, false);
            }
            self.collect();
            (0..2).for_each(|stream| self.update(stream, Fate::Fine));
            self.run(Op::Pause);
        }
        assert_eq!(self.world.view().outstanding, 0);
        for ((topic, key), wish) in &self.wishes {
            let row = self.topics[topic].rows.get(key);
            let held = row.and_then(|row| row.1.as_ref());
            let held = held.map(|value| value.parse().unwrap());
            assert_eq!(held, *wish, "{topic} {key}");
        }
    }
}

fn names(stream: usize) -> &'static [&'static str] {
    if stream == 0 {
        &TOPICS[..1]
    } else {
        &TOPICS[1..]
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(2000, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // S-2, B-13, T-9, T-20, T-23, K-1: whatever happens on the way.
    #[test]
    fn what_is_published_by_calls_and_by_replies_arrives_and_overtakes_nothing(
        ops in proptest::collection::vec(op(), 1..80)
    ) {
        let mut model = Model::new();
        for op in ops {
            model.run(op);
        }
        model.heal_and_check();
    }
}
