//! [`MessageReader`]: whole messages out of a stream that has no framing.
//!
//! Small messages go through one scratch buffer per thread, so that an idle connection owns no
//! buffer at all. A large one has its own, which grows with what has arrived, so that copying
//! stays linear; what it claims never counts, what it takes is charged to a [`Budget`]. Topic items
//! may be [sifted](MessageReader::sift) out of a message while it arrives.
//!
//! Deliberately absent: what a message says, and time.
//!
//! Invariant: all state lives in the reader, so dropping a read in the middle loses nothing; and
//! between two messages the reader holds only bytes that a peer sent ahead.

use crate::budget::{Budget, Charge};
use crate::buffer::Buffer;
use bytes::Bytes;
use statestore_wire::scan::{Scanner, Step};
use statestore_wire::sift::sift;
use statestore_wire::{Fault, Reader, Sifted};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use thiserror::Error;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::yield_now;

/// Bytes of a thread's scratch buffer, and the size from which a message reads into its own.
const SCRATCH: usize = 64 * 1024;
/// The most that is read at once, and charged ahead of received bytes.
const AHEAD: usize = 1024 * 1024;
/// So many bytes of items are worth taking out at once: what is behind them moves.
const SIFTED: usize = AHEAD;

thread_local! {
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Why no message could be read. The connection cannot be used any more.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The network's or the peer's fault.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The peer's fault: bytes that are no message, or too many.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The peer ended the stream inside a message.
    #[error("the connection was closed {received} bytes into a message")]
    Truncated {
        /// Bytes of that message that had arrived.
        received: usize,
    },
    /// The fault of this machine, or of its limits.
    #[error("no memory for a message of more than {received} bytes: {source}")]
    NoMemory {
        /// Bytes of it that had arrived.
        received: usize,
        /// What the system says.
        source: io::Error,
    },
    /// Nobody's single fault: all connections together buffer too much.
    #[error("no room for a message of more than {wanted} bytes beside others (budget {limit})")]
    OverBudget {
        /// What has arrived and is read next, in bytes.
        wanted: u64,
        /// The budget, in bytes.
        limit: u64,
    },
}

/// One whole message. Holds its share of the budget until dropped.
#[derive(Debug)]
pub struct Received {
    bytes: Bytes,
    /// What was taken out of it.
    sifted: Option<Box<Sifted>>,
    charge: Charge,
}

impl Received {
    /// The message, from its envelope on, without what was sifted out of it. A clone or slice pins
    /// all of it, uncounted.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of the message as it was sent.
    pub fn size(&self) -> usize {
        self.bytes.len() + cut_out(self.sifted.as_deref())
    }

    /// Reads the message as it was sent. What was sifted out is found by the first one only.
    pub fn reader(&self) -> Reader<'_> {
        match &self.sifted {
            Some(sifted) => Reader::beside(&self.bytes, &**sifted),
            None => Reader::new(&self.bytes),
        }
    }

    /// Frees the message, but not its share of the budget.
    pub(crate) fn into_charge(self) -> Charge {
        self.charge
    }
}

/// How much of a message is here.
#[derive(Debug)]
pub enum Begun {
    /// All of it.
    Whole(Received),
    /// More than goes through a scratch buffer; the rest is bulk.
    Large,
}

/// What came of a read.
enum Arrived {
    Bytes(usize),
    Known(Received),
}

/// Cuts messages out of the bytes of one stream.
#[derive(Debug)]
pub struct MessageReader {
    /// What has arrived and was not handed out: `buf[start..]`.
    buf: Buffer,
    start: usize,
    scanner: Scanner,
    /// What was taken out of the message that arrives.
    sifted: Option<Box<Sifted>>,
    charge: Charge,
}

impl MessageReader {
    /// A reader that refuses messages of more than `max_message` bytes.
    pub fn new(max_message: u64, budget: &Budget) -> Self {
        Self {
            buf: Buffer::default(),
            start: 0,
            scanner: Scanner::new(max_message),
            sifted: None,
            charge: budget.charge(),
        }
    }

    /// From now on the items at the end of this path are taken out of large messages while they
    /// arrive, also of the one that has begun.
    pub fn sift(&mut self, path: &'static [Step]) {
        self.scanner.look_for(path);
    }

    /// Bytes that arrived and belong to no message handed out yet.
    pub fn received(&self) -> usize {
        self.buf.len() - self.start
    }

    /// Waits for a whole message, or for the beginning of a large one; `None` if the peer ended the
    /// stream before. One that arrives in a piece and is `usual` is not scanned.
    pub fn poll_begin<S>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        usual: Option<&Bytes>,
    ) -> Poll<Result<Option<Begun>, ReadError>>
    where
        S: AsyncRead + Unpin,
    {
        loop {
            if let Some(message) = self.complete()? {
                return Poll::Ready(Ok(Some(Begun::Whole(message))));
            }
            if self.received() >= SCRATCH {
                return Poll::Ready(Ok(Some(Begun::Large)));
            }
            let arrived = self.poll_small(cx, stream, |reader, arrived| {
                match usual.filter(|usual| reader.received() == 0 && *usual == arrived) {
                    Some(usual) => Ok(Arrived::Known(reader.known(usual))),
                    None => reader.keep(arrived).map(Arrived::Bytes),
                }
            });
            match ready!(arrived)? {
                Arrived::Known(message) => return Poll::Ready(Ok(Some(Begun::Whole(message)))),
                Arrived::Bytes(0) => return Poll::Ready(self.ended()),
                Arrived::Bytes(_) => {}
            }
        }
    }

    /// The next message; `None` if the peer ended the stream between two messages.
    pub async fn read<S>(&mut self, stream: &mut S) -> Result<Option<Received>, ReadError>
    where
        S: AsyncRead + Unpin,
    {
        loop {
            if let Some(message) = self.complete()? {
                return Ok(Some(message));
            }
            self.take_items()?;
            if self.fill(stream).await? == 0 {
                return self.ended();
            }
            if self.received() >= SCRATCH {
                // A sender that is fast enough would have the thread for itself.
                yield_now().await;
            }
        }
    }

    /// Takes items out of the message that has begun, if there are many.
    fn take_items(&mut self) -> Result<(), Fault> {
        if self.received() < SIFTED {
            return Ok(());
        }
        let received = &mut self.buf[self.start..];
        let sifted = self.sifted.get_or_insert_default();
        if let Some(gone) = sift(sifted, &mut self.scanner, received, SIFTED)? {
            self.buf
                .remove(self.start + gone.start..self.start + gone.end);
        }
        Ok(())
    }

    /// The next message if all of it is here.
    pub fn complete(&mut self) -> Result<Option<Received>, ReadError> {
        if self.received() == 0 {
            return Ok(None);
        }
        let Some(len) = self.scanner.advance(&self.buf[self.start..])? else {
            return Ok(None);
        };
        self.scanner.reset();
        Ok(Some(self.hand_out(len)))
    }

    /// Waits for more bytes; 0 if the peer ended the stream.
    pub async fn fill<S>(&mut self, stream: &mut S) -> Result<usize, ReadError>
    where
        S: AsyncRead + Unpin,
    {
        if self.received() < SCRATCH {
            return Ok(poll_fn(|cx| self.poll_small(cx, stream, Self::keep)).await?);
        }
        let most = self.make_room()?;
        Ok(self.buf.read_from(stream, most).await?)
    }

    /// What arrives, through the scratch buffer, for `take` to do something with.
    fn poll_small<S, T>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        take: impl FnOnce(&mut Self, &[u8]) -> io::Result<T>,
    ) -> Poll<io::Result<T>>
    where
        S: AsyncRead + Unpin,
    {
        let fresh = || vec![0; SCRATCH].into_boxed_slice();
        let mut scratch = SPARE.take().unwrap_or_else(fresh);
        let mut target = ReadBuf::new(&mut scratch);
        let poll = Pin::new(stream)
            .poll_read(cx, &mut target)
            .map(|read| read.and_then(|()| take(self, target.filled())));
        SPARE.set(Some(scratch));
        poll
    }

    fn keep(&mut self, arrived: &[u8]) -> io::Result<usize> {
        self.discard_handed_out();
        self.buf.extend(arrived)?;
        Ok(arrived.len())
    }

    /// A message that is known, all that has arrived.
    fn known(&mut self, message: &Bytes) -> Received {
        Received {
            bytes: message.clone(),
            sifted: None,
            charge: self.charge.take(),
        }
    }

    /// The peer ended the stream.
    fn ended<T>(&self) -> Result<Option<T>, ReadError> {
        match self.received() {
            0 => Ok(None),
            received => Err(ReadError::Truncated {
                received: received + cut_out(self.sifted.as_deref()),
            }),
        }
    }

    /// Room for the next bytes of a large message; how many may be read into it.
    fn make_room(&mut self) -> Result<usize, ReadError> {
        self.discard_handed_out();
        let received = self.buf.len();
        // A single large value says how much it lacks; many small ones do not.
        let ahead = self.scanner.wants().clamp(SCRATCH, AHEAD);
        let wanted = received.saturating_add(self.aside() + ahead);
        if !self.charge.raise(wanted as u64) {
            let (wanted, limit) = (wanted as u64, self.charge.limit());
            return Err(ReadError::OverBudget { wanted, limit });
        }
        if self.buf.room() == 0 {
            let grown = self.buf.grow(ahead.max(received));
            let received = received + cut_out(self.sifted.as_deref());
            grown.map_err(|source| ReadError::NoMemory { received, source })?;
        }
        Ok(ahead)
    }

    /// What was taken out of the message that arrives takes so much memory.
    fn aside(&self) -> usize {
        self.sifted.as_ref().map_or(0, |sifted| sifted.memory())
    }

    /// Only once the front half is done, so that many small messages in one buffer stay linear.
    fn discard_handed_out(&mut self) {
        if self.start > self.buf.len() / 2 {
            self.buf.remove(0..self.start);
            self.start = 0;
        }
    }

    fn hand_out(&mut self, len: usize) -> Received {
        let aside = self.aside() as u64;
        let mut sifted = self.sifted.take();
        if let Some(sifted) = &mut sifted {
            sifted.end(len);
        }
        if self.start == 0 && len == self.buf.len() {
            return Received {
                bytes: std::mem::take(&mut self.buf).into_bytes(),
                sifted,
                charge: self.charge.take(),
            };
        }
        // The peer sent ahead: copy the message, keep the rest.
        let mut charge = self.charge.split(aside);
        let bytes = Bytes::copy_from_slice(&self.buf[self.start..self.start + len]);
        self.start += len;
        if self.received() == 0 {
            self.buf = Buffer::default();
            self.start = 0;
            drop(self.charge.take());
        }
        charge.force(len as u64);
        Received {
            bytes,
            sifted,
            charge,
        }
    }
}

/// Bytes that were taken out of a message.
fn cut_out(sifted: Option<&Sifted>) -> usize {
    sifted.map_or(0, Sifted::byte_len)
}
