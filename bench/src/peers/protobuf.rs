//! The few messages of etcd's gRPC that a publisher and a watcher need, to and from bytes.
//!
//! ```text
//!   gRPC: 0, length (4 bytes) | protobuf: field and kind, length, content; and again
//! ```
//!
//! By hand, because a client library makes every build of the tree need a compiler for these
//! messages. Deliberately absent: numbers as content that is looked at; names of fields nobody
//! needs here. Invariant: whatever bytes come, reading them ends, with an error or an answer.

use std::io;

/// Fields of etcd's `rpc.proto` and `kv.proto` that are used here.
mod field {
    pub(super) const KEY: u64 = 1;
    pub(super) const VALUE: u64 = 2;
    pub(super) const TXN_SUCCESS: u64 = 2;
    pub(super) const OP_PUT: u64 = 2;
    pub(super) const WATCH_CREATE: u64 = 1;
    pub(super) const RANGE_END: u64 = 2;
    pub(super) const WATCH_EVENTS: u64 = 11;
}

/// Kinds of content that have a length or must be skipped.
const NUMBER: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const WITH_LENGTH: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// `PutRequest`.
pub(super) fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut put = Vec::new();
    with_length(field::KEY, key, &mut put);
    with_length(field::VALUE, value, &mut put);
    put
}

/// `TxnRequest` that does these puts, whatever was there.
pub(super) fn transaction(puts: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut transaction = Vec::new();
    for put in puts {
        let mut operation = Vec::new();
        with_length(field::OP_PUT, &put, &mut operation);
        with_length(field::TXN_SUCCESS, &operation, &mut transaction);
    }
    transaction
}

/// `WatchRequest` for all keys from `first` to before `end`.
pub(super) fn watch(first: &[u8], end: &[u8]) -> Vec<u8> {
    let mut create = Vec::new();
    with_length(field::KEY, first, &mut create);
    with_length(field::RANGE_END, end, &mut create);
    let mut request = Vec::new();
    with_length(field::WATCH_CREATE, &create, &mut request);
    request
}

/// A message as gRPC sends it.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

/// The length of the frame that begins here, its own head included, if that much is known.
pub(super) fn frame_len(bytes: &[u8]) -> Option<usize> {
    let len = bytes.get(1..5)?.try_into().ok()?;
    Some(5 + u32::from_be_bytes(len) as usize)
}

/// Events of a `WatchResponse`.
pub(super) fn events(mut response: &[u8]) -> io::Result<u64> {
    let mut events = 0;
    while !response.is_empty() {
        let tag = number(&mut response)?;
        let len = match tag & 7 {
            NUMBER => {
                number(&mut response)?;
                0
            }
            EIGHT_BYTES => 8,
            WITH_LENGTH => usize::try_from(number(&mut response)?).map_err(io::Error::other)?,
            FOUR_BYTES => 4,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let rest = response.get(len..);
        response = rest.ok_or(io::ErrorKind::UnexpectedEof)?;
        events += u64::from(tag >> 3 == field::WATCH_EVENTS);
    }
    Ok(events)
}

fn with_length(field: u64, content: &[u8], out: &mut Vec<u8>) {
    for mut number in [field << 3 | WITH_LENGTH, content.len() as u64] {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }
    out.extend(content);
}

fn number(bytes: &mut &[u8]) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(io::ErrorKind::UnexpectedEof)?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if *first < 0x80 {
            return Ok(number);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn requests_are_those_of_the_schema() {
        assert_eq!(put(b"k", b"vv"), b"\x0a\x01k\x12\x02vv");
        assert_eq!(watch(b"k", b"l"), b"\x0a\x06\x0a\x01k\x12\x01l");
        let two = transaction([put(b"a", b""), put(b"b", b"")].into_iter());
        let one = |key: &[u8]| [b"\x12\x07\x12\x05\x0a\x01", key, b"\x12\x00"].concat();
        assert_eq!(two, [one(b"a"), one(b"b")].concat());
        let long = put(b"k", &[b'v'; 300]);
        assert_eq!(long[3..6], [0x12, 0xac, 0x02]);
    }

    #[test]
    fn frames_say_how_long_they_are() {
        let frame = framed(b"12345");
        assert_eq!(frame, b"\x00\x00\x00\x00\x0512345");
        assert_eq!(frame_len(&frame), Some(10));
        assert_eq!(frame_len(&frame[..4]), None);
    }

    #[test]
    fn events_are_counted_among_other_fields() {
        let mut response = Vec::new();
        with_length(1, b"header", &mut response);
        response.extend([2 << 3, 0x96, 0x01, 3 << 3, 1]);
        with_length(11, &[7; 200], &mut response);
        with_length(11, b"", &mut response);
        assert_eq!(events(&response).unwrap(), 2);
        assert_eq!(events(b"").unwrap(), 0);
        for cut in 1..response.len() {
            // An error, or fewer events where a field ends there by chance.
            assert!(events(&response[..cut]).map_or(true, |events| events < 2));
        }
        assert!(events(&[0xff; 20]).is_err());
        assert!(events(&[11 << 3 | 3]).is_err());
    }
}
