//! The pieces against the plain writer.
#![allow(clippy::unwrap_used)]

use super::{COPY_BELOW, COPY_TOTAL, TooManyItems, TopicParts, UpdateFrame};
use crate::envelope::write_call;
use crate::item::ItemBatch;
use crate::messages::{
    Epoch, ProtocolVersion, TopicDelta, TopicDeltas, UniqueId, UpdateStateRequest,
};
use crate::text::Text;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use proptest::prelude::*;

fn batch() -> impl Strategy<Value = ItemBatch> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    prop::collection::vec((bytes(12), bytes(3000), any::<bool>()), 0..6)
        .prop_map(|items| ItemBatch::from_items(items.iter().map(|(k, v, d)| (&k[..], &v[..], *d))))
}

prop_compose! {
    fn delta()(
        name in prop::collection::vec(any::<u8>(), 0..20),
        topic_entries in batch(),
        is_delta: bool,
        from: i64,
        to: i64,
        min_subscriber_topic_version: Option<i64>,
    ) -> TopicDelta {
        TopicDelta {
            topic_name: Text::from(&name[..]),
            topic_entries,
            is_delta,
            from_version: Some(from),
            to_version: Some(to),
            min_subscriber_topic_version,
            clear_topic_entries: None,
        }
    }
}

/// A batch cut into runs behind every item whose bit is set.
fn cut(batch: &ItemBatch, cuts: u8) -> Vec<Bytes> {
    let Some(chunk) = batch.chunks().first() else {
        return vec![Bytes::new()];
    };
    assert_eq!(batch.chunks().len(), 1, "small enough for one");
    let at = |place| {
        chunk
            .items()
            .nth(place)
            .map_or(chunk.bytes().len(), |i| chunk.range(i).start)
    };
    let run = |from, to| chunk.bytes().slice(at(from)..at(to));
    let mut runs = vec![];
    let mut start = 0;
    for i in 0..batch.len() {
        if cuts & (1 << (i % 8)) != 0 {
            runs.push(run(start, i + 1));
            start = i + 1;
        }
    }
    runs.push(run(start, batch.len()));
    runs
}

fn parts<'a>(delta: &'a TopicDelta, runs: &'a [Bytes]) -> TopicParts<'a> {
    TopicParts {
        name: &delta.topic_name,
        runs,
        items: delta.topic_entries.len(),
        is_delta: delta.is_delta,
        from_version: delta.from_version.unwrap(),
        to_version: delta.to_version.unwrap(),
        min_subscriber_topic_version: delta.min_subscriber_topic_version,
    }
}

proptest! {
    // wire.md 5.4
    #[test]
    fn the_pieces_are_what_the_plain_writer_writes(
        deltas in prop::collection::vec(delta(), 0..4),
        cuts: u8,
        ids: [i64; 4],
        epoch: Option<i64>,
    ) {
        let epoch = epoch.map(Epoch);
        let registration_id = UniqueId { hi: ids[0], lo: ids[1] };
        let statestore_id = UniqueId { hi: ids[2], lo: ids[3] };
        let runs: Vec<Vec<Bytes>> = deltas.iter().map(|d| cut(&d.topic_entries, cuts)).collect();
        let topics: Vec<_> = deltas.iter().zip(&runs).map(|(d, runs)| parts(d, runs)).collect();
        let frame = UpdateFrame::new(registration_id, statestore_id, epoch, &topics).unwrap();

        let mut plain = vec![];
        let named = deltas.iter().map(|d| (d.topic_name.clone(), d.clone())).collect();
        write_call(
            &UpdateStateRequest {
                protocol_version: ProtocolVersion::V2,
                topic_deltas: TopicDeltas(named),
                registration_id: Some(registration_id),
                statestore_id: Some(statestore_id),
                epoch,
},
            &mut plain,
        );
        prop_assert_eq!(frame.pieces().concat(), &plain[..]);
        prop_assert!(frame.pieces().iter().all(|piece| !piece.is_empty()));
    }
}

fn one_topic(runs: &[Bytes], items: usize) -> Result<UpdateFrame<'_>, TooManyItems> {
    static NAME: Text = Text::from_static("catalog-update");
    let topic = TopicParts {
        name: &NAME,
        runs,
        items,
        is_delta: true,
        from_version: 1,
        to_version: 2,
        min_subscriber_topic_version: None,
    };
    UpdateFrame::new(UniqueId::default(), UniqueId::default(), None, &[topic])
}

#[test]
fn large_runs_leave_as_the_same_memory() {
    let value = vec![7; 100_000];
    let batch = ItemBatch::from_items([(&b"k"[..], &value[..], false)]);
    let runs = [batch.chunks()[0].bytes().clone()];
    let frame = one_topic(&runs, 1).unwrap();
    assert_eq!(frame.pieces().len(), 3, "head, run, tail");
    assert_eq!(
        frame.pieces()[1].as_ptr(),
        batch.chunks()[0].bytes().as_ptr()
    );
}

#[test]
fn a_small_update_is_one_piece() {
    let batch = ItemBatch::from_items([(&b"k"[..], &b"v"[..], false)]);
    let runs = [batch.chunks()[0].bytes().clone()];
    let frame = one_topic(&runs, 1).unwrap();
    assert_eq!(frame.pieces().len(), 1);
}

#[test]
fn many_short_runs_are_not_all_copied() {
    let value = vec![7; COPY_BELOW - 100];
    let batch = ItemBatch::from_items([(&b"k"[..], &value[..], false)]);
    let runs = vec![batch.chunks()[0].bytes().clone(); 200];
    let frame = one_topic(&runs, 200).unwrap();
    let shared = |piece: &&&[u8]| piece.as_ptr() == batch.chunks()[0].bytes().as_ptr();
    let copied = 200 - frame.pieces().iter().filter(shared).count();
    assert!(
        copied > 0 && copied * batch.chunks()[0].bytes().len() <= COPY_TOTAL,
        "{copied}"
    );
}

#[test]
fn a_count_beyond_the_protocol_is_refused_with_the_topics_name() {
    let items = i32::MAX as usize + 1;
    let topic = Text::from_static("catalog-update");
    assert_eq!(one_topic(&[], items), Err(TooManyItems { topic, items }));
}
