//! The only door to the network: connect, listen, accept.
//!
//! Everything above is generic over [`Net`], so that TLS and a simulated network fit behind the
//! same seam. [`TcpNet`] is the real one.
//!
//! Deliberately absent: deadlines; whoever waits for a door to open knows how long.
//!
//! Invariant: `accept` waits for no peer. An implementation with a handshake does it at the
//! stream's first read or write, in the connection's own task.

use statestore_wire::HostPort;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

/// One connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// What comes next need not be acknowledged at once: nothing more is asked for a while.
    fn acknowledge_later(&self) {}

    /// True if nothing has come that was not read, and the peer is there. What has come may be lost
    /// by asking. By default a read tells, which also has to wait where the task has used its turn
    /// up; what has come is then found by the next call.
    fn is_quiet(&mut self) -> bool {
        let mut byte = [0; 1];
        let mut target = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(self).poll_read(&mut cx, &mut target).is_pending()
    }
}

/// A network that connections and listeners come from.
pub trait Net: Clone + Send + Sync + 'static {
    /// One connection.
    type Stream: Stream;
    /// An open port.
    type Listener: Listener<Stream = Self::Stream>;

    /// Opens a connection. Cancelled by dropping the future.
    fn connect(&self, to: &HostPort) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Opens a port. An empty `host` means all interfaces; port 0 is one that the system picks.
    fn listen(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Self::Listener>> + Send;
}

/// An open port.
pub trait Listener: Send + 'static {
    /// One connection.
    type Stream: Stream;

    /// The next connection and its peer. Losing the future loses no connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Plain TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpNet;

/// Many subscribers may come at once after a restart; the kernel caps it at `somaxconn`.
const BACKLOG: u32 = 4096;
/// A peer that vanished without a word must not hold its socket for ever. Asked after a silence of
/// this, and four times within another one: by then a connection whose path was forgotten is known
/// to be dead, though subscribers that rest are asked for nothing over it for longer (ADR 0011).
const KEEPALIVE: Duration = Duration::from_secs(60);
const PROBES: u32 = 4;
/// How long one address may keep the next one from being tried.
const STAGGER: Duration = Duration::from_millis(250);

impl Stream for TcpStream {
    /// Linux acknowledges what is read, where it does not look like a conversation, with a packet
    /// from within the read, which takes as long as sending the request did. It stops believing in
    /// conversations whenever nobody spoke for 40 ms, so it has to be told before each answer. A
    /// peer that sends its answer in small pieces and waits for an acknowledgement of the first
    /// (Nagle's algorithm) waits for 40 ms; Thrift's sockets do not.
    fn acknowledge_later(&self) {
        // It only was a hint.
        let _ = rustix::net::sockopt::set_tcp_quickack(self, false);
    }

    fn is_quiet(&mut self) -> bool {
        // Where there was no event since the last read, that is known without a system call.
        let read = self.try_read(&mut [0; 1]);
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// A pipe inside the process.
impl Stream for DuplexStream {}

impl Net for TcpNet {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn connect(&self, to: &HostPort) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = lookup_host((to.host(), to.port())).await?.collect();
        let stream = connect_any(&addresses).await?;
        tune(&stream);
        Ok(stream)
    }

    async fn listen(&self, host: &str, port: u16) -> io::Result<TcpListener> {
        if host.is_empty() {
            // IPv6 may be switched off on this machine.
            return listen_on((Ipv6Addr::UNSPECIFIED, port).into())
                .or_else(|_| listen_on((Ipv4Addr::UNSPECIFIED, port).into()));
        }
        let mut last = no_address();
        for address in lookup_host((host, port)).await? {
            match listen_on(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, mut peer) = TcpListener::accept(self).await?;
        tune(&stream);
        // An IPv4 peer of a dual-stack socket looks like ::ffff:a.b.c.d.
        peer.set_ip(peer.ip().to_canonical());
        Ok((stream, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}

/// Failures here cost speed, not correctness; a dead socket says so at its first use.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_socket_keepalive(stream, true);
    let _ = rustix::net::sockopt::set_tcp_keepidle(stream, KEEPALIVE);
    let _ = rustix::net::sockopt::set_tcp_keepintvl(stream, KEEPALIVE / PROBES);
    let _ = rustix::net::sockopt::set_tcp_keepcnt(stream, PROBES);
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(ip) => {
            let socket = TcpSocket::new_v6()?;
            if ip.is_unspecified() {
                rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
            }
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Tries all addresses: the next one when the last failed or has been silent for [`STAGGER`].
/// The first connection wins; if there is none, the last error is told.
async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [address] = addresses {
        return TcpStream::connect(*address).await;
    }
    let mut untried = addresses.iter().copied();
    let mut running: Vec<Attempt> = Vec::new();
    let mut last = no_address();
    loop {
        match untried.next() {
            Some(address) => running.push(Box::pin(TcpStream::connect(address))),
            None if running.is_empty() => return Err(last),
            None => {}
        }
        let first = first_done(&mut running);
        let done = if untried.len() == 0 {
            Some(first.await)
        } else {
            tokio::time::timeout(STAGGER, first).await.ok()
        };
        match done {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last = error,
            None => {}
        }
    }
}

/// The result of whichever attempt ends first; that attempt is taken out of the list.
async fn first_done(running: &mut Vec<Attempt>) -> io::Result<TcpStream> {
    poll_fn(|cx| {
        for i in 0..running.len() {
            if let Poll::Ready(result) = running[i].as_mut().poll(cx) {
                drop(running.swap_remove(i));
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn all_interfaces_take_ipv4_and_where_there_is_ipv6_that_too() {
        let mut listener = TcpNet.listen("", 0).await.unwrap();
        let port = Listener::local_addr(&listener).unwrap().port();
        let mut hosts = vec!["127.0.0.1"];
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            hosts.push("::1");
        }
        for host in hosts {
            let near = TcpNet.connect(&HostPort::new(host, port)).await.unwrap();
            let (_far, peer) = Listener::accept(&mut listener).await.unwrap();
            assert_eq!(peer.ip().to_string(), host);
            assert!(near.nodelay().unwrap());
        }
    }

    // ADR 0011: nothing may be said over it for minutes.
    #[tokio::test]
    async fn a_dead_connection_is_found_within_two_minutes() {
        use rustix::net::sockopt;
        let mut listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let port = Listener::local_addr(&listener).unwrap().port();
        let to = HostPort::new("127.0.0.1", port);
        let near = TcpNet.connect(&to).await.unwrap();
        let (far, _) = Listener::accept(&mut listener).await.unwrap();
        for end in [&near, &far] {
            assert!(sockopt::socket_keepalive(end).unwrap());
            let asked = sockopt::tcp_keepintvl(end).unwrap() * sockopt::tcp_keepcnt(end).unwrap();
            let found = sockopt::tcp_keepidle(end).unwrap() + asked;
            assert!(found <= Duration::from_secs(120), "{found:?}");
        }
    }

    // K-1
    #[tokio::test]
    async fn a_connection_is_quiet_until_the_peer_speaks_or_leaves() {
        let mut listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let port = Listener::local_addr(&listener).unwrap().port();
        let to = HostPort::new("127.0.0.1", port);
        for leaves in [false, true] {
            let mut near = TcpNet.connect(&to).await.unwrap();
            let (mut far, _) = Listener::accept(&mut listener).await.unwrap();
            assert!(near.is_quiet());
            // After an answer as well, for which there was an event.
            far.write_all(b"answer").await.unwrap();
            near.read_exact(&mut [0; 6]).await.unwrap();
            assert!(near.is_quiet());
            assert!(near.is_quiet(), "asking changes nothing");
            match leaves {
                true => drop(far),
                false => far.write_all(b"x").await.unwrap(),
            }
            near.readable().await.unwrap();
            assert!(!near.is_quiet());
        }
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let open = Listener::local_addr(&listener).unwrap();
        let unused = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let closed = Listener::local_addr(&unused).unwrap();
        drop(unused);
        let stream = connect_any(&[closed, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        assert!(connect_any(&[closed, closed]).await.is_err());
        assert!(connect_any(&[]).await.is_err());
    }
}
