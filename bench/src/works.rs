//! What is counted by `instructions`: small works of codec, log and node, each prepared before it
//! is counted.
//!
//! Deliberately absent: sockets and threads; their instructions are the system's. Invariant: a
//! work does the same in each run.

use crate::bed::{Bed, Interest};
use statestore_core::config::Config;
use statestore_core::topic::{TopicLog, Version};
use statestore_wire::envelope::{Envelope, write_call, write_reply};
use statestore_wire::{
    HeartbeatRequest, HeartbeatResponse, ItemBatch, MessageKind, ProtocolVersion, Reader, Rpc,
    UniqueId, Wire,
};
use std::hint::black_box;
use std::time::Duration;

/// Something to count.
pub(crate) struct Work {
    /// In the file of counts.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) what: &'static str,
    /// The count is divided by this.
    pub(crate) units: u64,
    pub(crate) prepare: fn() -> Box<dyn FnMut()>,
}

pub(crate) const WORKS: &[Work] = &[
    Work {
        name: "heartbeat_encode",
        what: "a heartbeat is encoded",
        units: 1_000,
        prepare: heartbeat_encode,
    },
    Work {
        name: "heartbeat_decode",
        what: "its answer is decoded",
        units: 1_000,
        prepare: heartbeat_decode,
    },
    Work {
        name: "batch_read",
        what: "1000 items of 100 bytes are read",
        units: 1,
        prepare: batch_read,
    },
    Work {
        name: "log_write",
        what: "1000 of 10000 items are written anew, one by one",
        units: 1,
        prepare: log_write,
    },
    Work {
        name: "log_adopt",
        what: "10000 items are written at once",
        units: 1,
        prepare: log_adopt,
    },
    Work {
        name: "log_delta",
        what: "a delta of 1000 items",
        units: 1,
        prepare: log_delta,
    },
    Work {
        name: "log_prefix",
        what: "a quarter of 10000 items, by prefix",
        units: 1,
        prepare: log_prefix,
    },
    Work {
        name: "step_1000",
        what: "a heartbeat of one of 1000 is due and answered",
        units: 1_000,
        prepare: || step(1_000, &[]),
    },
    Work {
        name: "step_10000",
        what: "a heartbeat of one of 10000 is due and answered",
        units: 10_000,
        prepare: || step(10_000, &[]),
    },
    Work {
        name: "update_1000",
        what: "all lanes of one of 1000 are due and answered",
        units: 1_000,
        prepare: || step(1_000, &["catalog-update", "impala-membership"]),
    },
];

fn request() -> HeartbeatRequest {
    HeartbeatRequest {
        protocol_version: ProtocolVersion::V2,
        registration_id: Some(UniqueId { hi: 1, lo: 2 }),
        statestore_id: Some(UniqueId { hi: 3, lo: 4 }),
        request_statestore_conn_state: None,
        epoch: None,
    }
}

fn heartbeat_encode() -> Box<dyn FnMut()> {
    let request = request();
    Box::new(move || {
        for _ in 0..1_000 {
            let mut out = Vec::with_capacity(256);
            write_call(black_box(&request), &mut out);
            black_box(out);
        }
    })
}

fn heartbeat_decode() -> Box<dyn FnMut()> {
    let call = Envelope {
        kind: MessageKind::Call,
        method: HeartbeatRequest::METHOD.into(),
        seqid: 0,
    };
    let mut bytes = Vec::new();
    write_reply(&call, &HeartbeatResponse::default(), &mut bytes);
    Box::new(move || {
        for _ in 0..1_000 {
            let mut r = Reader::new(black_box(&bytes));
            let envelope = Envelope::read(&mut r).map(black_box);
            let field = r.field().map(black_box);
            let response = HeartbeatResponse::read(&mut r).map(black_box);
            assert!(envelope.is_ok() && field.is_ok() && response.is_ok());
        }
    })
}

/// Items with four prefixes in turns, values of so many bytes.
fn items(range: std::ops::Range<usize>, value: usize) -> ItemBatch {
    let value = vec![b'v'; value];
    let keys: Vec<_> = range
        .map(|i| format!("{}:{i:010}", ["a", "b", "c", "d"][i % 4]))
        .collect();
    ItemBatch::from_items(keys.iter().map(|key| (key.as_bytes(), &value[..], false)))
}

fn batch_read() -> Box<dyn FnMut()> {
    let mut bytes = Vec::new();
    items(0..1_000, 100).write(&mut bytes);
    Box::new(move || {
        let batch = ItemBatch::read(&mut Reader::new(black_box(&bytes)));
        assert!(batch.is_ok_and(|batch| black_box(batch).len() == 1_000));
    })
}

fn log_write() -> Box<dyn FnMut()> {
    let mut log = filled();
    let batch = items(3_000..4_000, 100);
    Box::new(move || {
        for i in 0..batch.len() {
            black_box(log.write_part(&batch, i..i + 1));
        }
    })
}

fn log_adopt() -> Box<dyn FnMut()> {
    let mut log = TopicLog::new(1);
    let batch = items(0..10_000, 100);
    Box::new(move || {
        black_box(log.write(&batch));
    })
}

fn log_delta() -> Box<dyn FnMut()> {
    let mut log = filled();
    log.write(&items(3_000..4_000, 100));
    Box::new(move || assert_eq!(black_box(log.delta(Version(10_000), b"")).count, 1_000))
}

fn log_prefix() -> Box<dyn FnMut()> {
    let mut log = filled();
    Box::new(move || assert_eq!(black_box(log.delta(Version::ZERO, b"b:")).count, 2_500))
}

fn filled() -> TopicLog {
    let mut log = TopicLog::new(1);
    log.write(&items(0..10_000, 100));
    log
}

fn step(subscribers: usize, topics: &[&str]) -> Box<dyn FnMut()> {
    let mut bed = Bed::without_clock(Config {
        max_subscribers: subscribers,
        ..Config::default()
    });
    let topics: Vec<_> = topics
        .iter()
        .map(|topic| Interest::in_all_of(topic))
        .collect();
    for i in 0..subscribers {
        bed.register(&format!("subscriber-{i:05}"), &topics);
    }
    bed.answer();
    Box::new(move || {
        bed.pass(Duration::from_secs(3));
        bed.answer();
    })
}
