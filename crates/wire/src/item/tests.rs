//! Batches: canonical and other encodings, and what a false claim costs.
#![allow(clippy::unwrap_used)]

use super::batch::{CHUNK_BYTES, CHUNK_ITEMS};
use super::{ITEM_OVERHEAD, ItemBatch, ItemBatchBuilder};
use crate::schema::Wire;
use crate::thrift::{Fault, Reader, code, put_field, put_size, put_string};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

/// How a sender wrote an item.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Canonical,
    /// Fields in descending order.
    Reversed,
    /// A field that we do not know comes first.
    Extended,
    /// `deleted` is some other non-zero byte.
    LooseBool,
}

type Entry = (Vec<u8>, Vec<u8>, bool, Shape);

fn entry() -> impl Strategy<Value = Entry> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..30);
    let shape = prop_oneof![
        6 => Just(Shape::Canonical),
        1 => Just(Shape::Reversed),
        1 => Just(Shape::Extended),
        1 => Just(Shape::LooseBool),
    ];
    (bytes(), bytes(), any::<bool>(), shape)
}

fn put_shaped(out: &mut Vec<u8>, (key, value, deleted, shape): &Entry) {
    let put_deleted = |out: &mut Vec<u8>| {
        put_field(out, code::BOOL, 3);
        let loose = matches!(shape, Shape::LooseBool);
        out.push(if *deleted && loose {
            0x7f
        } else {
            u8::from(*deleted)
        });
    };
    let put_bytes = |out: &mut Vec<u8>, id, bytes: &[u8]| {
        put_field(out, code::STRING, id);
        put_string(out, bytes);
    };
    if matches!(shape, Shape::Extended) {
        put_field(out, code::I64, 100);
        out.extend_from_slice(&[1; 8]);
        put_bytes(out, 3, b"deleted, but as text");
    }
    if matches!(shape, Shape::Reversed) {
        put_deleted(out);
        put_bytes(out, 2, value);
        put_bytes(out, 1, key);
    } else {
        put_bytes(out, 1, key);
        put_bytes(out, 2, value);
        put_deleted(out);
    }
    out.push(code::STOP);
}

fn list(entries: &[Entry]) -> Vec<u8> {
    let mut out = vec![code::STRUCT];
    put_size(&mut out, entries.len());
    entries.iter().for_each(|entry| put_shaped(&mut out, entry));
    out
}

proptest! {
    // wire.md 2, reading rules: unknown id, other type, any non-zero bool
    #[test]
    fn whatever_the_shape_a_batch_holds_canonical_items(
        entries in prop::collection::vec(entry(), 0..12),
    ) {
        let bytes = list(&entries);
        let mut r = Reader::new(&bytes);
        let batch = ItemBatch::read(&mut r).unwrap();
        prop_assert!(r.rest().is_empty());
        let plain = |(key, value, deleted, _): &'_ Entry| (key.clone(), value.clone(), *deleted);
        let plain: Vec<_> = entries.iter().map(plain).collect();
        let plain: Vec<_> = plain.iter().map(|(k, v, d)| (&k[..], &v[..], *d)).collect();
        prop_assert_eq!(&batch, &ItemBatch::from_items(plain.iter().copied()));
        for (i, (key, value, deleted)) in plain.iter().copied().enumerate() {
            let item = batch.item(i);
            prop_assert_eq!((item.key, item.value, item.deleted), (key, value, deleted));
            let chunk = &batch.chunks()[0];
            prop_assert_eq!(&chunk.bytes()[chunk.range(i)], item.encoded);
            prop_assert_eq!(&batch.value_bytes(i)[..], value);
        }
    }

    #[test]
    fn a_cut_list_is_a_fault_and_never_a_shorter_batch(
        entries in prop::collection::vec(entry(), 1..6),
        end: prop::sample::Index,
    ) {
        let bytes = list(&entries);
        let cut = &bytes[..end.index(bytes.len())];
        let truncated = matches!(
            ItemBatch::read(&mut Reader::new(cut)),
            Err(Fault::Truncated { .. })
        );
        prop_assert!(truncated);
    }
}

#[test]
fn a_claim_of_two_billion_items_allocates_for_the_bytes_that_are_there() {
    let mut bytes = vec![code::STRUCT, 0x7f, 0xff, 0xff, 0xff];
    bytes.extend_from_slice(&[code::STOP; 37]);
    let mut r = Reader::new(&bytes);
    let (_, n) = r.list().unwrap();
    assert!(r.capacity(n, ITEM_OVERHEAD) <= 1);
    let mut builder = ItemBatchBuilder::default();
    let missing = Fault::MissingField("TopicItem.key");
    assert_eq!(builder.read_items(&mut r, n), Err(missing));
    assert!(builder.bytes.capacity() <= bytes.len());
    assert!(builder.spans.capacity() <= 4);
}

#[test]
fn reading_canonical_items_takes_exactly_their_bytes() {
    let batch = ItemBatch::from_items((0..100).map(|_| (&b"key"[..], &b"value"[..], false)));
    let mut bytes = vec![];
    batch.write(&mut bytes);
    let mut r = Reader::new(&bytes);
    let (_, n) = r.list().unwrap();
    let mut builder = ItemBatchBuilder::default();
    builder.read_items(&mut r, n).unwrap();
    let len = batch.byte_len();
    assert_eq!(builder.bytes.capacity(), len, "one copy, not a growing one");
    assert_eq!(builder.finish(), batch);
}

#[test]
fn items_fall_into_chunks_by_their_lengths_however_they_came() {
    let lens = (0..9_000).map(|i| match i {
        4_000 => CHUNK_BYTES - 22,
        4_001 | 8_999 => CHUNK_BYTES + 1,
        4_002..5_000 => 1_000,
        i => i % 7,
    });
    let values: Vec<_> = lens.map(|len| vec![b'v'; len]).collect();
    let items = values.iter().map(|value| (&b"key"[..], &value[..], false));
    let batch = ItemBatch::from_items(items.clone());
    let mut at = 0;
    for chunk in batch.chunks() {
        assert_eq!(chunk.items().start, at);
        at = chunk.items().end;
        let short = chunk.bytes().len() <= CHUNK_BYTES && chunk.items().len() <= CHUNK_ITEMS;
        assert!(short || chunk.items().len() == 1);
        for place in chunk.items() {
            assert_eq!(batch.item(place), chunk.item(place));
        }
    }
    assert_eq!((at, batch.len()), (9_000, 9_000));
    assert!(
        items.eq(batch
            .iter()
            .map(|item| (item.key, item.value, item.deleted)))
    );

    // Canonical, and with one in the middle that is not.
    for odd in [9_000, 6_000] {
        let mut bytes = vec![code::STRUCT];
        put_size(&mut bytes, values.len());
        for (i, value) in values.iter().enumerate() {
            let shape = if i == odd {
                Shape::Reversed
            } else {
                Shape::Canonical
            };
            put_shaped(&mut bytes, &(b"key".to_vec(), value.clone(), false, shape));
        }
        let read = ItemBatch::read(&mut Reader::new(&bytes)).unwrap();
        let chunks = |batch: &ItemBatch| -> Vec<_> {
            batch.chunks().iter().map(|chunk| chunk.items()).collect()
        };
        assert_eq!(chunks(&read), chunks(&batch));
        assert!(read == batch && read.byte_len() == batch.byte_len());
    }
}

#[test]
fn each_missing_field_of_an_item_is_named() {
    for (skip, name) in [
        (1, "TopicItem.key"),
        (2, "TopicItem.value"),
        (3, "TopicItem.deleted"),
    ] {
        let mut bytes = vec![code::STRUCT, 0, 0, 0, 1];
        for id in (1..=3).filter(|id| *id != skip) {
            if id == 3 {
                put_field(&mut bytes, code::BOOL, 3);
                bytes.push(0);
            } else {
                put_field(&mut bytes, code::STRING, id);
                put_string(&mut bytes, b"x");
            }
        }
        bytes.push(code::STOP);
        let read = ItemBatch::read(&mut Reader::new(&bytes));
        assert_eq!(read, Err(Fault::MissingField(name)));
    }
}

#[test]
fn a_deletion_may_carry_a_value() {
    let batch = ItemBatch::from_items([(&b"k"[..], &b"last"[..], true)]);
    assert!(batch.item(0).deleted);
    assert_eq!(batch.item(0).value, b"last");
}
