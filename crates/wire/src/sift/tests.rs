//! What is left and what was taken out, read together, against the whole message.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::envelope::{Header, read_result};
use crate::thrift::{Reader, code, put_field, put_size, put_string};
use crate::{Envelope, MessageKind, Text, UpdateStateResponse};
use alloc::vec::Vec;
use proptest::prelude::*;

type Entry = (Vec<u8>, Vec<u8>, bool);

/// One topic's items, in how many pieces its list comes (the last one counts), and the type of
/// the collection.
#[derive(Debug, Clone)]
struct Topic {
    lists: Vec<Vec<Entry>>,
    ty: u8,
}

fn topic() -> impl Strategy<Value = Topic> {
    let bytes = |most: usize| prop::collection::vec(any::<u8>(), 0..most);
    let entry = (bytes(6), bytes(40), any::<bool>());
    let lists = prop::collection::vec(prop::collection::vec(entry, 0..12), 1..3);
    let ty = prop_oneof![9 => Just(code::LIST), 1 => Just(code::SET)];
    (lists, ty).prop_map(|(lists, ty)| Topic { lists, ty })
}

/// Half of them not in the order in which we write them, and some with a field that nobody knows.
fn put_entry(out: &mut Vec<u8>, (key, value, deleted): &Entry) {
    if value.len().is_multiple_of(5) {
        put_field(out, code::STRUCT, 9);
        put_field(out, code::LIST, 2);
        out.extend_from_slice(&[code::STRUCT, 0, 0, 0, 1, code::STOP, code::STOP]);
    }
    let order = match value.len().is_multiple_of(2) {
        true => [1, 2, 3],
        false => [2, 3, 1],
    };
    for id in order {
        match id {
            3 => {
                put_field(out, code::BOOL, id);
                out.push(u8::from(*deleted));
            }
            _ => {
                put_field(out, code::STRING, id);
                put_string(out, if id == 1 { key } else { value });
            }
        }
    }
    out.push(code::STOP);
}

fn put_topic(out: &mut Vec<u8>, number: usize, topic: &Topic) {
    put_field(out, code::STRING, 1);
    put_string(out, &[b't', number as u8]);
    put_field(out, code::LIST, 2);
    out.push(code::STRUCT);
    put_size(out, 0);
    for list in &topic.lists {
        put_field(out, topic.ty, 2);
        out.push(code::STRUCT);
        put_size(out, list.len());
        list.iter().for_each(|entry| put_entry(out, entry));
    }
    put_field(out, code::BOOL, 3);
    out.extend_from_slice(&[1, code::STOP]);
}

/// An answer that says each of these one after the other; the last one counts.
fn message(answers: &[Vec<Topic>]) -> Vec<u8> {
    let mut out = Vec::new();
    let envelope = Envelope {
        kind: MessageKind::Reply,
        method: Text::from("UpdateState"),
        seqid: 0,
    };
    envelope.write(&mut out);
    put_field(&mut out, code::STRUCT, 0);
    put_field(&mut out, code::STRUCT, 1);
    put_field(&mut out, code::I32, 1);
    out.extend_from_slice(&[0, 0, 0, 0, code::STOP]);
    put_field(&mut out, code::LIST, 2);
    out.push(code::STRUCT);
    put_size(&mut out, 0);
    for topics in answers {
        let is_set = topics.len() == 3;
        let ty = if is_set { code::SET } else { code::LIST };
        put_field(&mut out, ty, 2);
        out.push(code::STRUCT);
        put_size(&mut out, topics.len());
        let topics = topics.iter().enumerate();
        topics.for_each(|(number, topic)| put_topic(&mut out, number, topic));
    }
    out.extend_from_slice(&[code::STOP, code::STOP]);
    out
}

fn read(mut reader: Reader<'_>) -> Result<Option<UpdateStateResponse>, Fault> {
    Header::read(&mut reader)?;
    read_result(&mut reader)
}

const ENOUGH: u64 = 1 << 40;

/// What is left of the first message, what was taken out of it, and what came after.
fn arrive(
    (bytes, most): (&[u8], u64),
    mut piece: impl FnMut() -> usize,
    least: usize,
) -> Result<(Vec<u8>, Sifted, Vec<u8>), Fault> {
    let (mut scanner, mut sifted) = (Scanner::new(most), Sifted::default());
    scanner.look_for(ITEMS_OF_UPDATE_ANSWER);
    let (mut held, mut coming) = (Vec::new(), bytes);
    loop {
        if let Some(len) = scanner.advance(&held)? {
            let after = held.split_off(len);
            sifted.end(len);
            return Ok((held, sifted, [&after, coming].concat()));
        }
        while let Some(gone) = sift(&mut sifted, &mut scanner, &mut held, least)? {
            held.drain(gone);
        }
        assert!(scanner.wants() > 0);
        if scanner.wants() > coming.len() {
            let missing = scanner.wants() - coming.len();
            let what = "message";
            return Err(Fault::Truncated { what, missing });
        }
        let (now, later) = coming.split_at(piece().min(coming.len()));
        held.extend_from_slice(now);
        coming = later;
    }
}

proptest! {
    #[test]
    fn what_is_left_beside_what_was_taken_out_is_the_message(
        answers in prop::collection::vec(prop::collection::vec(topic(), 0..4), 1..3),
        pieces in prop::collection::vec(1..90usize, 1..20),
        least in 1..120usize,
    ) {
        let whole = message(&answers);
        let mut pieces = pieces.into_iter().cycle();
        let sent = [&whole[..], b"next"].concat();
        let mut piece = || pieces.next().unwrap();
        let most = whole.len() as u64;
        let (left, sifted, after) = arrive((&sent, most), &mut piece, least).unwrap();
        prop_assert_eq!(after, b"next");
        prop_assert_eq!(left.len() + sifted.byte_len(), whole.len());
        let wanted = read(Reader::new(&whole)).unwrap();
        prop_assert!(wanted.is_some());
        prop_assert_eq!(read(Reader::beside(&left, &sifted)).unwrap(), wanted);
        // What was taken out counts.
        let refused = arrive((&sent, most - 1), &mut piece, least).map(drop);
        prop_assert_eq!(refused, Err(Fault::TooLarge { limit: most - 1 }));
    }

    // P9
    #[test]
    fn what_is_damaged_is_taken_or_refused_as_if_it_were_read_at_once(
        answers in prop::collection::vec(prop::collection::vec(topic(), 0..4), 1..3),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        (piece, least) in (1..90usize, 1..120usize),
    ) {
        let mut bytes = message(&answers);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut scanner = Scanner::new(ENOUGH);
        let len = scanner.advance(&bytes).ok().flatten();
        let wanted = len.and_then(|len| read(Reader::new(&bytes[..len])).ok());
        let arrived = arrive((&bytes, ENOUGH), || piece, least).ok();
        let got = arrived.and_then(|(left, sifted, _)| {
            read(Reader::beside(&left, &sifted)).ok()
        });
        prop_assert_eq!(got, wanted);
    }
}

fn entries(n: u8) -> Vec<Entry> {
    (0..n)
        .map(|n| ([n].to_vec(), [n; 40].to_vec(), false))
        .collect()
}

fn one(ty: u8, entries: Vec<Entry>) -> Vec<u8> {
    let lists = [entries].to_vec();
    message(&[[Topic { lists, ty }].to_vec()])
}

#[test]
fn all_but_the_last_items_are_taken_out_of_a_list_and_none_of_anything_else() {
    let whole = one(code::LIST, entries(100));
    let (left, sifted, _) = arrive((&whole, ENOUGH), || 10, 1).unwrap();
    assert!(left.len() < 300 && sifted.byte_len() > 5_700, "{sifted:?}");
    assert!(sifted.memory() > sifted.byte_len() + 90 * 12);
    let (left, sifted, _) = arrive((&whole, ENOUGH), || 10, 1 << 20).unwrap();
    assert_eq!((left, sifted.byte_len()), (whole, 0));
    let set = one(code::SET, entries(100));
    let (_, sifted, _) = arrive((&set, ENOUGH), || 10, 1).unwrap();
    assert_eq!(sifted.byte_len(), 0);
}

#[test]
fn what_is_no_item_is_refused_when_it_comes() {
    let mut whole = one(code::LIST, entries(9));
    let first_key = [0, 1, 0, 0, 0, 1, 0]; // id, length, bytes
    let key = whole.windows(7).position(|it| it == first_key).unwrap();
    whole[key + 1] = 9; // a field that nobody knows
    let refused = arrive((&whole, ENOUGH), || 1, 1).map(drop);
    assert_eq!(refused, Err(Fault::MissingField("TopicItem.key")));
}
