//! Whole messages out of a connection, without keeping large ones.
//!
//! A message of up to [`HEAD`] bytes is collected and its end found by the scanner. Of a larger
//! one, which can only be a topic update, nothing is kept but its last bytes: an update ends with
//! two ids of known shape, and the statestored says nothing more before it is answered. So fifty
//! receivers of 100 MB need no memory, and reading costs what the kernel's copy costs.
//!
//! Deliberately absent: meaning. Invariant: after a message nothing of it is left.

use statestore_wire::Scanner;
use std::cell::RefCell;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// The largest message that is collected.
const HEAD: usize = 64 * 1024;
/// What a slow reader reads at once of each message.
const SHORT: u64 = 4 * 1024;
/// Bytes that one read takes at most.
const SCRATCH: usize = 256 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// How an update ends: two structs of two 8-byte numbers as fields 3 and 4, then the stops of the
/// request and of the arguments. `None` stands for any byte.
const END: [Option<u8>; 54] = {
    let mut end = [None; 54];
    let mut at = 0;
    let mut field = 3;
    while field <= 4 {
        (end[at], end[at + 1], end[at + 2]) = (Some(12), Some(0), Some(field));
        (end[at + 3], end[at + 4], end[at + 5]) = (Some(10), Some(0), Some(1));
        (end[at + 14], end[at + 15], end[at + 16]) = (Some(10), Some(0), Some(2));
        end[at + 25] = Some(0);
        at += 26;
        field += 1;
    }
    (end[52], end[53]) = (Some(0), Some(0));
    end
};

/// What is known of the message that is arriving.
pub(super) struct Inbox {
    head: Vec<u8>,
    tail: Vec<u8>,
    len: u64,
    scanner: Scanner,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            head: Vec::new(),
            tail: Vec::new(),
            len: 0,
            scanner: Scanner::new(u64::MAX / 2),
        }
    }

    /// The message, if it was small enough to be kept.
    pub(super) fn small(&self) -> Option<&[u8]> {
        (self.len == self.head.len() as u64).then_some(&self.head)
    }

    /// Reads a whole message; its length, or `None` if the peer is gone.
    pub(super) async fn next(
        &mut self,
        stream: &TcpStream,
        bytes_per_second: Option<usize>,
    ) -> io::Result<Option<u64>> {
        self.head.clear();
        self.head.shrink_to(4 * 1024);
        self.tail.clear();
        self.len = 0;
        self.scanner.reset();
        loop {
            stream.readable().await?;
            // Even a slow reader takes a short message whole. Of a long one it takes a twentieth
            // of its share twenty times a second, one byte at least.
            let slow = bytes_per_second.filter(|_| self.len >= SHORT);
            let most = match (slow, bytes_per_second) {
                (Some(speed), _) => (speed / 20).clamp(1, SCRATCH),
                (None, Some(_)) => (SHORT - self.len) as usize,
                (None, None) => SCRATCH,
            };
            let read: io::Result<usize> = SPARE.with_borrow_mut(|spare| {
                let n = stream.try_read(&mut spare[..most])?;
                self.take(&spare[..n]);
                Ok(n)
            });
            match read {
                Ok(0) => return Ok(None),
                Ok(_) if self.complete()? => return Ok(Some(self.len)),
                Ok(_) => {
                    if let Some(speed) = slow {
                        let pause = Duration::from_secs_f64(most as f64 / speed as f64);
                        tokio::time::sleep(pause).await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let collected = self.len == self.head.len() as u64;
        self.len += bytes.len() as u64;
        if collected && self.head.len() + bytes.len() <= HEAD {
            self.head.extend_from_slice(bytes);
            return;
        }
        if collected {
            self.tail.extend_from_slice(&self.head);
        }
        let last = &bytes[bytes.len().saturating_sub(END.len())..];
        self.tail.extend_from_slice(last);
        self.tail.drain(..self.tail.len().saturating_sub(END.len()));
    }

    fn complete(&mut self) -> io::Result<bool> {
        if self.small().is_some() {
            let found = self.scanner.advance(&self.head).map_err(io::Error::other)?;
            return Ok(found == Some(self.head.len()));
        }
        let fits = |(byte, wanted): (&u8, &Option<u8>)| wanted.is_none_or(|wanted| *byte == wanted);
        Ok(self.tail.len() == END.len() && self.tail.iter().zip(&END).all(fits))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use statestore_wire::envelope::write_call;
    use statestore_wire::{ItemBatch, TopicDelta, TopicDeltas, UniqueId, UpdateStateRequest};

    fn update(value: usize) -> Vec<u8> {
        let value = vec![b'v'; value];
        let delta = TopicDelta {
            topic_entries: ItemBatch::from_items([(&b"key"[..], &value[..], false)]),
            ..TopicDelta::default()
        };
        let request = UpdateStateRequest {
            topic_deltas: TopicDeltas(vec![("topic".into(), delta)]),
            registration_id: Some(UniqueId { hi: 1, lo: -1 }),
            statestore_id: Some(UniqueId { hi: -3, lo: 5 }),
            ..UpdateStateRequest::default()
        };
        let mut bytes = Vec::new();
        write_call(&request, &mut bytes);
        bytes
    }

    #[test]
    fn small_and_large_updates_end_where_they_end_however_they_arrive() {
        for value in [10, HEAD - 200, HEAD, 3 * HEAD] {
            let bytes = update(value);
            for step in [1, 7, 53, 1000, HEAD, 4 * HEAD] {
                let mut inbox = Inbox::new();
                let mut ends = Vec::new();
                let mut arrived = 0;
                for chunk in bytes.chunks(step) {
                    inbox.take(chunk);
                    arrived += chunk.len();
                    if inbox.complete().unwrap() {
                        ends.push(arrived);
                    }
                }
                assert_eq!(ends, [bytes.len()], "value {value}, step {step}");
                assert_eq!(inbox.len, bytes.len() as u64);
                assert_eq!(inbox.small().is_some(), bytes.len() <= HEAD);
            }
        }
    }
}
