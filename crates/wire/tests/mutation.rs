//! Recorded messages broken at random: every outcome is a value or a fault, memory stays small.
//!
//! The generator's seed is fixed, so a failure comes back. `STATESTORE_MUTATIONS` sets another
//! number of rounds for a longer search.
#![allow(clippy::unwrap_used)]

mod common;

use common::{decode, recorded};
use statestore_wire::{Fault, Reader, Scanner, Wire, envelope::read_args, *};

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Size words that lie in the most ways.
const CLAIMS: [i32; 8] = [
    i32::MAX,
    i32::MIN,
    -1,
    0,
    1,
    0x00ff_ffff,
    0x0c00_0000,
    0x7fff_0000,
];

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            3 if !bytes.is_empty() => bytes[at] = random.below(17) as u8,
            4 if at + 4 <= bytes.len() => {
                bytes[at..at + 4].copy_from_slice(&random.pick(&CLAIMS).to_be_bytes());
            }
            5 => {
                let other = random.pick(seeds);
                let from = random.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let end = (at + random.below(40)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

fn rounds() -> usize {
    let wanted = std::env::var("STATESTORE_MUTATIONS").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(300_000)
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = recorded("reference.jsonl");
    seeds.extend(recorded("python.jsonl"));
    seeds.into_iter().map(|message| message.bytes).collect()
}

/// Scans in two steps, then decodes what the scanner says is a message.
fn swallow(bytes: &[u8], random: &mut Random) -> Result<bool, Fault> {
    let mut scanner = Scanner::new(1 << 36);
    let cut = random.below(bytes.len() + 1);
    let early = scanner.advance(&bytes[..cut])?;
    let Some(end) = scanner.advance(bytes)? else {
        assert!(scanner.wants() > 0);
        assert!(decode(bytes).is_err(), "an incomplete message decodes");
        return Ok(false);
    };
    assert!(end <= bytes.len());
    assert!(early.is_none_or(|early| early == end && end <= cut));
    let decoded = decode(&bytes[..end])?;
    // What was read can be written and read again, and is then in its one form.
    assert_eq!(decode(&decoded.written)?.written, decoded.written);
    Ok(true)
}

#[test]
fn broken_messages_end_in_a_value_or_a_fault() {
    let seeds = seeds();
    let mut random = Random(0x5eed_0001);
    let before = virtual_memory();
    let (mut whole, mut short, mut faults) = (0, 0, 0);
    for _ in 0..rounds() {
        let bytes = mutate(&mut random, &seeds);
        match swallow(&bytes, &mut random) {
            Ok(true) => whole += 1,
            Ok(false) => short += 1,
            Err(_) => faults += 1,
        }
    }
    let least = rounds() / 50;
    assert!(
        whole > least && short > least && faults > least,
        "mutations reach all ends: {whole} whole, {short} short, {faults} faults"
    );
    let grown = virtual_memory().saturating_sub(before);
    assert!(
        grown < 256 << 20,
        "the highest reservation grew by {grown} bytes"
    );
}

/// The most address space this process ever had; a claim that is believed shows here at once,
/// even if it is never touched. 0 where the system does not tell.
fn virtual_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

#[test]
fn decoded_containers_reserve_in_proportion_to_the_bytes_present() {
    let mut random = Random(0x5eed_0002);
    let updates: Vec<_> = seeds()
        .into_iter()
        .filter(|m| m.windows(11).any(|w| w == b"UpdateState"))
        .collect();
    let mut decoded = 0;
    for _ in 0..rounds() / 3 {
        let bytes = mutate(&mut random, &updates);
        let mut r = Reader::new(&bytes);
        let Ok(envelope) = Envelope::read(&mut r) else {
            continue;
        };
        if envelope.kind != MessageKind::Call {
            continue;
        }
        let Ok(request) = read_args::<UpdateStateRequest>(&mut r) else {
            continue;
        };
        decoded += 1;
        let deltas = &request.topic_deltas.0;
        let reserved = deltas.capacity() * size_of::<(Text, TopicDelta)>();
        assert!(
            reserved <= 16 * bytes.len(),
            "{reserved} bytes for {} received",
            bytes.len()
        );
        let items: usize = deltas
            .iter()
            .map(|(_, delta)| delta.topic_entries.byte_len())
            .sum();
        assert!(items <= bytes.len(), "items are copied once");
    }
    assert!(decoded > 100, "{decoded}");
}

#[test]
fn a_list_that_claims_two_billion_of_anything_reserves_little() {
    fn claim<T: Wire>(element: u8) {
        let mut bytes = vec![element, 0x7f, 0xff, 0xff, 0xff];
        bytes.extend_from_slice(&[0; 37]);
        let before = virtual_memory();
        assert!(Vec::<T>::read(&mut Reader::new(&bytes)).is_err());
        assert!(virtual_memory() - before < 64 << 20);
    }
    claim::<Text>(11);
    claim::<i64>(10);
    claim::<TopicRegistration>(12);
    claim::<TopicDelta>(12);
    claim::<UniqueId>(12);
}
