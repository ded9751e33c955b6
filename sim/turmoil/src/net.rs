//! The drivers' door to the network, opened onto turmoil's: names, ports, streams, and a clock.
//!
//! A process that is killed has its connections closed in the order in which they were opened.
//! Left to its end they would be closed in the order of hash tables, and two runs of a seed would
//! not be the same.
//!
//! Deliberately absent: what is cut or slow (`troubles`). Calendars that somebody sets and clocks
//! that drift are `world`'s: here all machines share one time.

use statestore_core::time::{Now, Time, Wall};
use statestore_rpc::{HostPort, Listener, Net, Stream};
use statestored::clock::Clock;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// Turmoil's network, as one process sees it.
#[derive(Clone, Default)]
pub(crate) struct SimNet(Arc<Mutex<Streams>>);

#[derive(Default)]
struct Streams {
    ended: bool,
    opened: u64,
    open: BTreeMap<u64, TcpStream>,
}

/// One of its connections, kept with the others.
pub(crate) struct SimStream {
    net: SimNet,
    number: u64,
}

/// One of its ports.
pub(crate) struct SimListener {
    net: SimNet,
    listener: TcpListener,
    address: SocketAddr,
}

impl SimNet {
    /// The process is killed: from now on it says and hears nothing.
    pub(crate) fn end(&self) {
        let mut streams = self.streams();
        streams.ended = true;
        while let Some((_, stream)) = streams.open.pop_first() {
            drop(stream);
        }
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, stream: TcpStream) -> io::Result<SimStream> {
        let mut streams = self.streams();
        if streams.ended {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        streams.opened += 1;
        let number = streams.opened;
        streams.open.insert(number, stream);
        Ok(SimStream {
            net: self.clone(),
            number,
        })
    }
}

impl SimStream {
    fn with<T>(
        &self,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.net.streams().open.get_mut(&self.number) {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.net.streams().open.remove(&self.number);
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}

impl Stream for SimStream {}

impl Net for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;

    async fn connect(&self, to: &HostPort) -> io::Result<SimStream> {
        if self.streams().ended {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.keep(TcpStream::connect((to.host(), to.port())).await?)
    }

    async fn listen(&self, _host: &str, port: u16) -> io::Result<SimListener> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        let address = listener.local_addr()?;
        Ok(SimListener {
            net: self.clone(),
            listener,
            address,
        })
    }
}

impl Listener for SimListener {
    type Stream = SimStream;

    async fn accept(&mut self) -> io::Result<(SimStream, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        Ok((self.net.keep(stream)?, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// A day in 2027, in microseconds.
const TODAY: i64 = 1_800_000_000_000_000;

/// Turmoil's time, and how fast it goes here, in percent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SimClock(pub(crate) u32);

impl Clock for SimClock {
    fn now(&self) -> Now {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default() * self.0 / 100;
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let micros = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        Now {
            time: Time::from_nanos(nanos.saturating_add(1_000_000_000)),
            wall: Wall(TODAY.saturating_add(micros)),
        }
    }
}
