//! The scanner against the reader, on random values and at every cut.
#![allow(clippy::unwrap_used)]

use super::Scanner;
use crate::envelope::Envelope;
use crate::thrift::{Fault, Reader, code, put_field, put_size, put_string};
use alloc::vec::Vec;
use alloc::{format, vec};
use proptest::prelude::*;

const NO_LIMIT: u64 = 1 << 36;

/// Any Thrift value, to be written with its type.
#[derive(Debug, Clone)]
enum Value {
    Fixed(u8, u64),
    String(Vec<u8>),
    Struct(Vec<(i16, Value)>),
    /// Type code of the list or set, then elements: copies of one value.
    List(u8, alloc::boxed::Box<Value>, usize),
    Map(alloc::boxed::Box<(Value, Value)>, usize),
}

impl Value {
    fn ty(&self) -> u8 {
        match self {
            Self::Fixed(ty, _) | Self::List(ty, ..) => *ty,
            Self::String(_) => code::STRING,
            Self::Struct(_) => code::STRUCT,
            Self::Map(..) => code::MAP,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fixed(ty, bits) => {
                let width = crate::thrift::fixed_width(*ty).unwrap();
                out.extend_from_slice(&bits.to_be_bytes()[8 - width..]);
            }
            Self::String(bytes) => put_string(out, bytes),
            Self::Struct(fields) => {
                for (id, value) in fields {
                    put_field(out, value.ty(), *id);
                    value.write(out);
                }
                out.push(code::STOP);
            }
            Self::List(_, element, n) => {
                out.push(element.ty());
                put_size(out, *n);
                (0..*n).for_each(|_| element.write(out));
            }
            Self::Map(pair, n) => {
                out.extend_from_slice(&[pair.0.ty(), pair.1.ty()]);
                put_size(out, *n);
                (0..*n).for_each(|_| {
                    pair.0.write(out);
                    pair.1.write(out);
                });
            }
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let fixed = prop::sample::select(vec![
        code::BOOL,
        code::BYTE,
        code::DOUBLE,
        code::I16,
        code::I32,
        code::I64,
    ]);
    let leaf = prop_oneof![
        (fixed, any::<u64>()).prop_map(|(ty, bits)| Value::Fixed(ty, bits)),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let list = prop::sample::select(vec![code::LIST, code::SET]);
        prop_oneof![
            prop::collection::vec((any::<i16>(), inner.clone()), 0..5).prop_map(Value::Struct),
            (list, inner.clone(), 0usize..5).prop_map(|(ty, value, n)| Value::List(
                ty,
                value.into(),
                n
            )),
            (inner.clone(), inner, 0usize..5)
                .prop_map(|(key, value, n)| Value::Map((key, value).into(), n)),
        ]
    })
}

/// A whole message and where its body starts.
fn message(strict: bool, fields: &[(i16, Value)]) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    if strict {
        out.extend_from_slice(&[0x80, 1, 0, 1]);
        put_string(&mut out, b"Heartbeat");
    } else {
        put_string(&mut out, b"Heartbeat");
        out.push(1);
    }
    out.extend_from_slice(&7i32.to_be_bytes());
    let body = out.len();
    Value::Struct(fields.to_vec()).write(&mut out);
    (out, body)
}

fn scan(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    Scanner::new(NO_LIMIT).advance(bytes)
}

proptest! {
    // wire.md 1: no framing; wire.md 2: both envelopes
    #[test]
    fn the_end_is_found_however_the_bytes_arrive(
        strict: bool,
        fields in prop::collection::vec((any::<i16>(), value()), 0..4),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        next in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let (mut bytes, body) = message(strict, &fields);
        let len = bytes.len();
        let mut r = Reader::new(&bytes[body..]);
        r.skip(code::STRUCT).unwrap();
        prop_assert!(r.rest().is_empty(), "the reader finds the same end");

        let mut scanner = Scanner::new(len as u64);
        let mut ends: Vec<usize> = cuts.drain(..).map(|cut| cut.index(len)).collect();
        ends.sort_unstable();
        for end in ends {
            prop_assert_eq!(scanner.advance(&bytes[..end])?, None);
            prop_assert!(scanner.wants() >= 1);
            prop_assert!(end + scanner.wants() <= len, "wants is a lower bound");
        }
        bytes.extend_from_slice(&next);
        prop_assert_eq!(scanner.advance(&bytes)?, Some(len));
        prop_assert_eq!(scanner.wants(), 0);
        scanner.reset();
        prop_assert_eq!(scanner.advance(&bytes)?, Some(len));
    }

    #[test]
    fn one_byte_at_a_time_reports_no_end_before_the_last(
        strict: bool,
        fields in prop::collection::vec((any::<i16>(), value()), 0..3),
    ) {
        let (bytes, _) = message(strict, &fields);
        let mut scanner = Scanner::new(NO_LIMIT);
        for end in 0..bytes.len() {
            prop_assert_eq!(scanner.advance(&bytes[..end])?, None);
        }
        prop_assert_eq!(scanner.advance(&bytes)?, Some(bytes.len()));
    }

    #[test]
    fn scanner_and_reader_agree_on_any_bytes(
        noise in prop::collection::vec(
            prop_oneof![2 => 0u8..16, 1 => Just(0u8), 1 => any::<u8>()], 0..80),
    ) {
        let (mut bytes, body) = message(true, &[]);
        bytes.truncate(body);
        bytes.extend_from_slice(&noise);
        let mut r = Reader::new(&bytes[body..]);
        let read = r.skip(code::STRUCT);
        match scan(&bytes) {
            Ok(Some(end)) => {
                prop_assert_eq!(read, Ok(()));
                prop_assert_eq!(end, bytes.len() - r.rest().len());
            }
            Ok(None) => prop_assert!(matches!(read, Err(Fault::Truncated { .. })), "{:?}", read),
            Err(_) => prop_assert!(read.is_err(), "the scanner only refuses earlier"),
        }
    }

    #[test]
    fn a_message_one_byte_over_the_limit_is_refused(
        fields in prop::collection::vec((any::<i16>(), value()), 0..4),
    ) {
        let (bytes, _) = message(true, &fields);
        let limit = bytes.len() as u64 - 1;
        prop_assert_eq!(Scanner::new(limit).advance(&bytes), Err(Fault::TooLarge { limit }));
    }
}

fn call_with(field: &[u8]) -> Vec<u8> {
    let (mut bytes, body) = message(true, &[]);
    bytes.truncate(body);
    bytes.extend_from_slice(field);
    bytes
}

#[test]
fn a_claim_of_two_billion_structs_costs_nothing_up_front() {
    let bytes = call_with(&[code::LIST, 0, 1, code::STRUCT, 0x7f, 0xff, 0xff, 0xff]);
    let mut scanner = Scanner::new(NO_LIMIT);
    assert_eq!(scanner.advance(&bytes), Ok(None));
    assert_eq!(scanner.wants(), 0x7fff_ffff + 1);
    assert!(scanner.open.capacity() < 64);
    let limit = 1 << 30;
    assert_eq!(
        Scanner::new(limit).advance(&bytes),
        Err(Fault::TooLarge { limit }),
        "the count alone exceeds the limit"
    );
}

#[test]
fn a_claimed_string_over_the_limit_is_refused_before_it_arrives() {
    let bytes = call_with(&[code::STRING, 0, 1, 0x00, 0x10, 0x00, 0x00]);
    let limit = 1 << 20;
    assert_eq!(
        Scanner::new(limit).advance(&bytes),
        Err(Fault::TooLarge { limit })
    );
    let mut scanner = Scanner::new(NO_LIMIT);
    assert_eq!(scanner.advance(&bytes), Ok(None));
    assert_eq!(scanner.wants(), (1 << 20) + 1);
}

#[test]
fn a_large_fixed_width_list_is_passed_by_arithmetic() {
    let mut bytes = call_with(&[code::LIST, 0, 1, code::I64, 0, 1, 0, 0]);
    let body = bytes.len();
    let mut scanner = Scanner::new(NO_LIMIT);
    assert_eq!(scanner.advance(&bytes), Ok(None));
    assert_eq!(scanner.wants(), (1 << 19) + 1);
    bytes.resize(body + (1 << 19) + 1, 0);
    assert_eq!(scanner.advance(&bytes), Ok(Some(bytes.len())));
}

// wire.md 2, reading rules: bad version word, negative size
#[test]
fn senseless_headers_are_refused_as_soon_as_they_are_there() {
    let version = [0x80, 0x02, 0, 1];
    assert_eq!(scan(&version), Err(Fault::BadVersion(0x8002_0001)));
    assert_eq!(scan(&[0x80, 1, 0, 9]), Err(Fault::BadMessageType(9)));
    assert_eq!(scan(b"GET "), Err(Fault::NameTooLong(0x4745_5420)));
    assert_eq!(
        scan(&[0x16, 3, 1, 2]),
        Err(Fault::NameTooLong(0x1603_0102)),
        "a TLS greeting on a plain port"
    );
    for (bytes, named) in [(b"GET ", "HTTP"), (b"\x16\x03\x01\x02", "TLS")] {
        let said = format!("{}", scan(bytes).unwrap_err());
        assert!(said.contains(named), "{said}");
    }
    let negative = Fault::NegativeSize {
        what: "method name",
        size: -1,
    };
    assert_eq!(scan(&[0x80, 1, 0, 1, 255, 255, 255, 255]), Err(negative));
    let negative = Fault::NegativeSize {
        what: "string",
        size: -2,
    };
    assert_eq!(
        scan(&call_with(&[code::STRING, 0, 1, 255, 255, 255, 254])),
        Err(negative)
    );
    assert_eq!(scan(&call_with(&[1])), Err(Fault::BadType(1)));
    assert_eq!(
        scan(&call_with(&[code::LIST, 0, 1, 5, 0, 0, 0, 1])),
        Err(Fault::BadType(5))
    );
}

#[test]
fn deep_nesting_is_refused_and_the_deepest_allowed_is_read() {
    let nest = |levels: usize| {
        let mut bytes = call_with(&[]);
        (1..levels).for_each(|_| put_field(&mut bytes, code::STRUCT, 1));
        (0..levels).for_each(|_| bytes.push(code::STOP));
        bytes
    };
    let deepest = nest(64);
    assert_eq!(scan(&deepest), Ok(Some(deepest.len())));
    assert_eq!(scan(&nest(65)), Err(Fault::TooDeep));
}

#[test]
fn the_scanner_and_the_envelope_agree_where_the_header_ends() {
    let (bytes, body) = message(false, &[]);
    let mut r = Reader::new(&bytes);
    let envelope = Envelope::read(&mut r).unwrap();
    assert_eq!(envelope.method, "Heartbeat");
    assert_eq!(envelope.seqid, 7);
    assert_eq!(bytes.len() - r.rest().len(), body);
}
