//! Batches: canonical and other encodings, and what a false claim costs.
#![allow(clippy::unwrap_used)]

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
        first: prop::sample::Index,
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
            prop_assert_eq!(&batch.bytes()[batch.range(i)], item.encoded);
            prop_assert_eq!(&batch.value_bytes(i)[..], value);
        }
        let first = first.index(entries.len() + 1);
        let mut halves = batch.run(0..first).to_vec();
        halves.extend_from_slice(&batch.run(first..entries.len()));
        prop_assert_eq!(&halves[..], &batch.bytes()[..]);
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
    let mut builder = ItemBatchBuilder::with_capacity(r.capacity(n, ITEM_OVERHEAD), 0);
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
    assert_eq!(
        builder.bytes.capacity(),
        batch.bytes().len(),
        "one copy, not a growing one"
    );
    assert_eq!(builder.finish(), batch);
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
