//! Cutting messages out of streams: any chunks, any bytes.
#![allow(clippy::unwrap_used)]

mod common;

use bytes::Bytes;
use common::{exception, heartbeat, reply};
use proptest::collection::vec;
use proptest::prelude::*;
use statestore_rpc::Budget;
use statestore_rpc::message::{Begun, MessageReader, ReadError};
use statestore_wire::UpdateStateRequest;
use statestore_wire::envelope::write_call;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// A stream that yields its bytes in given portions, then ends.
struct Portions {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<usize>,
    next: usize,
}

impl Portions {
    fn new(bytes: &[u8], sizes: &[usize]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            at: 0,
            sizes: sizes.to_vec(),
            next: 0,
        }
    }
}

impl AsyncRead for Portions {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.sizes[self.next % self.sizes.len()];
        let n = size.min(target.remaining()).min(self.bytes.len() - self.at);
        target.put_slice(&self.bytes[self.at..self.at + n]);
        self.at += n;
        self.next += 1;
        Poll::Ready(Ok(()))
    }
}

/// All messages of a stream, and why it ended early if it did.
fn read_all(bytes: &[u8], sizes: &[usize], limit: u64) -> (Vec<Bytes>, Option<ReadError>) {
    let budget = Budget::new(1 << 40);
    let mut reader = MessageReader::new(limit, &budget);
    let mut stream = Portions::new(bytes, sizes);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let result = runtime.block_on(async {
        let mut messages = Vec::new();
        loop {
            match reader.read(&mut stream).await {
                Ok(Some(message)) => messages.push(message.bytes().clone()),
                Ok(None) => return (messages, None),
                Err(error) => return (messages, Some(error)),
            }
        }
    });
    drop(reader);
    assert_eq!(budget.used(), 0);
    result
}

/// The first message of a stream, read by someone who expects this one.
fn first(bytes: &[u8], sizes: &[usize], usual: Option<&Bytes>) -> Result<Option<Bytes>, String> {
    let mut reader = MessageReader::new(1 << 20, &Budget::unlimited());
    let mut stream = Portions::new(bytes, sizes);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let Poll::Ready(begun) = reader.poll_begin(&mut cx, &mut stream, usual) else {
        panic!("there is always more, or an end")
    };
    match begun.map_err(|error| error.to_string())? {
        Some(Begun::Whole(message)) => Ok(Some(message.bytes().clone())),
        Some(Begun::Large) => Err("large".into()),
        None => Ok(None),
    }
}

fn update(value_sizes: &[usize]) -> Vec<u8> {
    let values: Vec<Vec<u8>> = value_sizes.iter().map(|n| vec![0xc; *n]).collect();
    let items = values.iter().map(|value| (&b"key"[..], &value[..], false));
    let delta = statestore_wire::TopicDelta {
        topic_name: "t".into(),
        topic_entries: statestore_wire::ItemBatch::from_items(items),
        ..Default::default()
    };
    let request = UpdateStateRequest {
        topic_deltas: statestore_wire::TopicDeltas(vec![("t".into(), delta)]),
        ..Default::default()
    };
    let mut out = Vec::new();
    write_call(&request, &mut out);
    out
}

fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let message = prop_oneof![
        Just(heartbeat()),
        Just(reply("Heartbeat", 5)),
        Just(exception("Ride", 1, 1, "no")),
        vec(0..3000usize, 0..20).prop_map(|sizes| update(&sizes)),
        vec(0..300_000usize, 1..4).prop_map(|sizes| update(&sizes)),
    ];
    vec(message, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..Default::default() })]

    #[test]
    fn messages_come_out_as_they_went_in_whatever_the_portions(
        messages in messages(),
        sizes in vec(prop_oneof![1..40usize, 1..200_000usize], 1..20),
    ) {
        let (got, error) = read_all(&messages.concat(), &sizes, 1 << 30);
        prop_assert!(error.is_none(), "{error:?}");
        prop_assert_eq!(got, messages);
    }

    // K-1
    #[test]
    fn what_is_expected_makes_no_difference_to_what_comes(
        before in prop_oneof![Just(Vec::new()), vec(any::<u8>(), 1..3), Just(heartbeat())],
        after in prop_oneof![Just(Vec::new()), vec(any::<u8>(), 1..3)],
        cut in prop_oneof![4 => Just(0), 1 => 1..40usize],
        first_portion in prop_oneof![Just(1), Just(2), Just(usize::MAX), 1..60usize],
    ) {
        let usual = Bytes::from(reply("Heartbeat", 5));
        let mut bytes = [&before[..], &usual, &after].concat();
        bytes.truncate(bytes.len().saturating_sub(cut));
        let sizes = [first_portion, usual.len(), usize::MAX];
        let plain = first(&bytes, &sizes, None);
        prop_assert_eq!(first(&bytes, &sizes, Some(&usual)), plain);
    }

    // P9
    #[test]
    fn damaged_streams_end_in_an_error_or_in_other_messages(
        messages in messages(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = messages.concat();
        bytes.extend(heartbeat());
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let (got, _) = read_all(&bytes, &[70_000, 3], 1 << 20);
        prop_assert!(bytes.starts_with(&got.concat()));
    }
}

#[test]
fn many_small_messages_sent_ahead_cost_no_more_than_their_bytes() {
    let many = heartbeat().repeat(200_000);
    let start = std::time::Instant::now();
    let (got, error) = read_all(&many, &[usize::MAX], 1 << 20);
    assert!(error.is_none());
    assert_eq!(got.len(), 200_000);
    // Quadratic copying would take minutes.
    assert!(start.elapsed() < common::PATIENCE);
}
