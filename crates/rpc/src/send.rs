//! [`Sending`]: many segments written as one message.
//!
//! Segments are shared, never joined: a delta for fifty subscribers leaves from one copy.
//!
//! A thread whose receivers keep up never sleeps, and may keep its core for milliseconds while
//! those who only have a short turn wait for it. So pieces are short, and a thread that
//! [gives way](give_way) gives its core up after each long one.
//!
//! Invariant: progress lives here, so a send that is dropped and taken up again neither repeats
//! nor skips a byte.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Segments per system call, where they are many: as many as Linux takes, for they may be short.
const MANY: usize = 1024;
/// And where they are few.
const FEW: usize = 8;
/// The most bytes per system call. A kernel may let nobody else run on its core meanwhile.
const ENOUGH: usize = 1 << 20;
/// A piece of more bytes than this is long: it takes longer than giving a core up does.
const LONG: usize = 64 << 10;

thread_local! {
    static GIVES_WAY: Cell<bool> = const { Cell::new(false) };
}

/// What this thread sends can wait: from now on it gives its core up after each long piece.
pub fn give_way() {
    GIVES_WAY.set(true);
}

/// How far a message has been sent.
pub(crate) struct Sending<'a, P> {
    /// What is left; the first one from `offset` on.
    parts: &'a [P],
    offset: usize,
    sent: u64,
}

impl<'a, P: AsRef<[u8]>> Sending<'a, P> {
    pub(crate) fn new(parts: &'a [P]) -> Self {
        Self {
            parts,
            offset: 0,
            sent: 0,
        }
    }

    /// The same where the stream has taken so many bytes of it before.
    pub(crate) fn after(parts: &'a [P], sent: u64) -> Self {
        let mut sending = Self::new(parts);
        sending.advance(usize::try_from(sent).unwrap_or(usize::MAX));
        sending
    }

    /// Bytes that the stream has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends the rest and flushes.
    pub(crate) async fn run<S>(&mut self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        poll_fn(|cx| self.poll_while(cx, stream, || Ok::<_, io::Error>(()))).await
    }

    /// The same by polling, while `go_on` says so; it is asked before every piece that the stream
    /// is given.
    pub(crate) fn poll_while<S, E>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        mut go_on: impl FnMut() -> Result<(), E>,
    ) -> Poll<Result<(), E>>
    where
        S: AsyncWrite + Unpin,
        E: From<io::Error>,
    {
        let mut stream = Pin::new(stream);
        while self.skip_empty() {
            go_on()?;
            let n = ready!(self.poll_batch(cx, stream.as_mut()))?;
            self.advance(n);
            if n > LONG && GIVES_WAY.get() {
                std::thread::yield_now();
            }
        }
        stream.poll_flush(cx).map_err(E::from)
    }

    /// True if there is anything left.
    fn skip_empty(&mut self) -> bool {
        while let [first, rest @ ..] = self.parts {
            if self.offset < first.as_ref().len() {
                return true;
            }
            self.parts = rest;
            self.offset = 0;
        }
        false
    }

    fn poll_batch<S>(&self, cx: &mut Context<'_>, stream: Pin<&mut S>) -> Poll<io::Result<usize>>
    where
        S: AsyncWrite,
    {
        let n = match self.parts {
            // Most messages by far, and the plain call is the cheaper one.
            [only] => stream.poll_write(cx, up_to(ENOUGH, &only.as_ref()[self.offset..])),
            few if few.len() <= FEW => self.poll_some::<FEW, S>(cx, stream),
            _ => self.poll_some::<MANY, S>(cx, stream),
        };
        match ready!(n)? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            n => Poll::Ready(Ok(n)),
        }
    }

    fn poll_some<const MOST: usize, S>(
        &self,
        cx: &mut Context<'_>,
        stream: Pin<&mut S>,
    ) -> Poll<io::Result<usize>>
    where
        S: AsyncWrite,
    {
        let mut slices = [IoSlice::new(&[]); MOST];
        let (mut skip, mut used, mut room) = (self.offset, 0, ENOUGH);
        for (slice, part) in slices.iter_mut().zip(self.parts) {
            *slice = IoSlice::new(up_to(room, &part.as_ref()[skip..]));
            (skip, used, room) = (0, used + 1, room - slice.len());
            if room == 0 {
                break;
            }
        }
        stream.poll_write_vectored(cx, &slices[..used])
    }

    fn advance(&mut self, mut n: usize) {
        self.sent += n as u64;
        while let [first, rest @ ..] = self.parts {
            let left = first.as_ref().len() - self.offset;
            if n < left {
                self.offset += n;
                return;
            }
            n -= left;
            self.parts = rest;
            self.offset = 0;
        }
        assert!(n == 0, "the stream took {n} bytes more than it was given");
    }
}

fn up_to(most: usize, bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn segments_of_any_size_arrive_in_order_through_a_narrow_pipe() {
        let parts: Vec<Bytes> = (0..200usize)
            .map(|i| Bytes::from(vec![i as u8; (i * 37) % 90]))
            .collect();
        let (mut near, mut far) = tokio::io::duplex(7);
        let mut sending = Sending::new(&parts);
        let send = async {
            sending.run(&mut near).await.unwrap();
            drop(near);
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(send, far.read_to_end(&mut got));
        assert_eq!(read.unwrap() as u64, sending.sent());
        assert_eq!(got, parts.concat());
    }

    /// Takes whatever it is given, up to so much at a time.
    struct Sink {
        most: usize,
        offered: Vec<usize>,
        taken: Vec<u8>,
    }

    impl Sink {
        fn take(&mut self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect();
            let taken = all.len().min(self.most);
            self.offered.push(all.len());
            self.taken.extend(&all[..taken]);
            Poll::Ready(Ok(taken))
        }
    }

    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.take(&[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.take(slices)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    // P4
    #[tokio::test]
    async fn no_system_call_is_given_more_than_a_core_can_be_spared_for() {
        let of = |len: usize| Bytes::from((0..len).map(|i| (i % 251) as u8).collect::<Vec<u8>>());
        let empty = Bytes::new();
        let many = vec![of(ENOUGH / 10); 35];
        let messages = [
            vec![of(3 * ENOUGH + 1)],
            vec![of(ENOUGH / 2), of(ENOUGH / 2), empty, of(ENOUGH), of(7)],
            vec![of(2 * ENOUGH + 5), of(2 * ENOUGH)],
            many,
        ];
        for (message, most) in messages
            .iter()
            .flat_map(|it| [(it, usize::MAX), (it, 300_007)])
        {
            let mut sink = Sink {
                most,
                offered: Vec::new(),
                taken: Vec::new(),
            };
            Sending::new(message).run(&mut sink).await.unwrap();
            assert!(sink.taken == message.concat(), "{most} at a time");
            let (last, full) = sink.offered.split_last().unwrap();
            assert!(*last <= ENOUGH);
            // Each call is given as much as it may be, where so much is left.
            let left = |call: usize| sink.taken.len().saturating_sub(call * most.min(ENOUGH));
            for (call, offered) in full.iter().enumerate() {
                assert_eq!(*offered, ENOUGH.min(left(call)), "call {call}");
            }
        }
    }

    #[tokio::test]
    async fn a_send_that_was_dropped_goes_on_where_it_was() {
        let parts = [Bytes::from_static(b"hello "), Bytes::from_static(b"world")];
        let (mut near, mut far) = tokio::io::duplex(8);
        let mut sending = Sending::new(&parts);
        tokio::select! {
            biased;
            _ = sending.run(&mut near) => unreachable!("the pipe is too narrow"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(sending.sent(), 8);
        let mut got = [0; 11];
        let (sent, read) = tokio::join!(sending.run(&mut near), far.read_exact(&mut got));
        sent.unwrap();
        read.unwrap();
        assert_eq!(&got, b"hello world");
    }
}
