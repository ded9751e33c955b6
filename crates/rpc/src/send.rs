//! [`Sending`]: many segments written as one message.
//!
//! Segments are shared, never joined: a delta for fifty subscribers leaves from one copy. One that
//! sends much never waits, so that its thread would use its time up each time, and whoever has a
//! short turn on the same core would be late by milliseconds: it gives its core up after each piece.
//!
//! Invariant: progress lives here, so a send that is dropped and taken up again neither repeats
//! nor skips a byte.

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
/// After more bytes than this it is others' turn.
const LONG: usize = 64 << 10;

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

    /// Bytes that the stream has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends the rest and flushes.
    pub(crate) async fn run<S>(&mut self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        self.run_while(stream, || Ok::<_, io::Error>(())).await
    }

    /// The same while `go_on` says so; it is asked before every piece that the stream is given.
    pub(crate) async fn run_while<S, E>(
        &mut self,
        stream: &mut S,
        mut go_on: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E>
    where
        S: AsyncWrite + Unpin,
        E: From<io::Error>,
    {
        poll_fn(|cx| {
            let mut stream = Pin::new(&mut *stream);
            while self.skip_empty() {
                go_on()?;
                let n = ready!(self.poll_batch(cx, stream.as_mut()))?;
                self.advance(n);
                if n > LONG {
                    std::thread::yield_now();
                }
            }
            stream.poll_flush(cx).map_err(E::from)
        })
        .await
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

    /// Takes whatever it is given.
    struct Sink(Vec<usize>);

    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let bytes = slices.iter().map(|slice| slice.len()).sum();
            self.0.push(bytes);
            Poll::Ready(Ok(bytes))
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
    async fn no_system_call_takes_more_than_a_core_can_be_spared_for() {
        let large = || Bytes::from(vec![0; 3 * ENOUGH + 1]);
        let halves = || vec![Bytes::from(vec![0; ENOUGH / 2]); 7];
        let many = || vec![Bytes::from(vec![0; ENOUGH / 10]); 35];
        for parts in [vec![large()], halves(), many(), vec![large(), large()]] {
            let all: usize = parts.iter().map(Bytes::len).sum();
            let mut sink = Sink(Vec::new());
            Sending::new(&parts).run(&mut sink).await.unwrap();
            assert_eq!(sink.0.iter().sum::<usize>(), all);
            let (last, full) = sink.0.split_last().unwrap();
            assert!(full.iter().all(|&piece| piece == ENOUGH), "{full:?}");
            assert!(*last <= ENOUGH);
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
