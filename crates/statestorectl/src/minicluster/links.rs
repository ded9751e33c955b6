//! The network of the demonstration. Every connection to or from a statestored runs through a
//! [`Link`] of this program, so that it can be cut by whoever is not root.
//!
//! A cut link behaves as a network that loses everything: what is under way is held, nobody is
//! told anything, and no new connection gets through. Joined again, what was held arrives late,
//! as TCP would have it; connections that were opened meanwhile are reset.
//! Deliberately absent: looking at what passes (`desk`), and who is at which end (`pair`).

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use super::Failure;

/// Bytes that one direction of a connection holds.
const HELD: usize = 64 * 1024;
/// When no connection can be accepted: files may be used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What carries all links.
pub(crate) struct Network(Runtime);

impl Network {
    /// A network without links.
    pub(crate) fn start() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        runtime.map(Self).map_err(failed)
    }

    /// A link that leads nowhere yet.
    pub(crate) fn link(&self) -> Result<Link, Failure> {
        Link::open(self.0.handle()).map_err(failed)
    }

    /// Where links and desks run.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.0
    }
}

/// The machine has no ports or threads left.
pub(super) fn failed(error: io::Error) -> Failure {
    Failure::io("open a link on", Path::new("127.0.0.1"), error)
}

/// A port of this program behind which another port of this machine is. Clones are the same link.
#[derive(Clone)]
pub(crate) struct Link {
    port: u16,
    way: Arc<watch::Sender<Way>>,
}

/// Where a link leads.
#[derive(Clone, Copy, Default)]
struct Way {
    to: Option<u16>,
    cut: bool,
}

impl Link {
    /// A new port, picked by the system.
    pub(super) fn open(runtime: &Handle) -> io::Result<Self> {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        let _inside = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let (way, ways) = watch::channel(Way::default());
        runtime.spawn(accept(listener, ways));
        let way = Arc::new(way);
        Ok(Self { port, way })
    }

    /// What to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on new connections lead to this port.
    pub(crate) fn lead_to(&self, port: u16) {
        self.way.send_modify(|way| way.to = Some(port));
    }

    /// Cuts it, or joins it again.
    pub(crate) fn cut(&self, cut: bool) {
        self.way.send_modify(|way| way.cut = cut);
    }
}

type Ways = watch::Receiver<Way>;

async fn accept(listener: TcpListener, ways: Ways) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                // Looked at here: its task may begin only when the link is joined again.
                let way = *ways.borrow();
                tokio::spawn(carry(client, way, ways.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// One connection, from its first byte to its last. `way` is what was when it was accepted.
async fn carry(mut client: TcpStream, way: Way, mut ways: Ways) {
    if way.cut {
        joined(&mut ways).await;
        return reset(&client);
    }
    let server = match way.to {
        Some(port) => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await,
        None => Err(io::ErrorKind::ConnectionRefused.into()),
    };
    let Ok(mut server) = server else {
        return reset(&client);
    };
    // Failures cost speed only.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    // Whichever end breaks, both are closed.
    let _ = tokio::try_join!(
        pump(from_client, to_server, ways.clone()),
        pump(from_server, to_client, ways.clone()),
    );
}

/// One direction, to its end.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut ways: Ways,
) -> io::Result<()> {
    let mut held = vec![0; HELD];
    loop {
        let read = from.read(&mut held).await;
        // Not even an end or an error gets through.
        joined(&mut ways).await;
        match read? {
            0 => return to.shutdown().await,
            n => to.write_all(&held[..n]).await?,
        }
    }
}

/// Waits while the link is cut.
async fn joined(ways: &mut Ways) {
    // An error is the end of the demonstration.
    let _ = ways.wait_for(|way| !way.cut).await;
}

/// Closes it in the way of a port at which nobody listens.
fn reset(client: &TcpStream) {
    let _ = client.set_zero_linger();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream as StdStream;
    use std::time::Instant;

    fn connect(port: u16) -> StdStream {
        let stream = StdStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).unwrap();
        stream
    }

    /// A link to a port at which somebody listens.
    fn to_somebody(network: &Network) -> (Link, StdListener) {
        let somebody = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let link = network.link().unwrap();
        link.lead_to(somebody.local_addr().unwrap().port());
        (link, somebody)
    }

    /// Reads from a connection that was refused: the end or an error, as the system has it.
    fn assert_refused(mut client: StdStream) {
        match client.read(&mut [0; 1]) {
            Ok(n) => assert_eq!(n, 0, "answered"),
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "left waiting"),
        }
    }

    /// The system lets clients in before the link has seen them.
    fn wait_until_accepted(link: &Link) {
        let begun = Instant::now();
        // One for the port, one for each connection whose way is decided.
        while link.way.receiver_count() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(30), "not accepted");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_is_sent_while_it_is_cut_arrives_when_it_is_joined() {
        let network = Network::start().unwrap();
        let (link, somebody) = to_somebody(&network);
        let mut client = connect(link.port());
        let (mut server, _) = somebody.accept().unwrap();
        client.write_all(b"one").unwrap();
        let mut bytes = [0; 3];
        server.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"one");

        link.cut(true);
        client.write_all(b"two").unwrap();
        drop(client);
        // Meanwhile as much goes to and fro through another link as would take far longer.
        let (beside, someone) = to_somebody(&network);
        let mut near = connect(beside.port());
        let (mut far, _) = someone.accept().unwrap();
        for _ in 0..100 {
            near.write_all(b"x").unwrap();
            far.read_exact(&mut [0; 1]).unwrap();
            far.write_all(b"y").unwrap();
            near.read_exact(&mut [0; 1]).unwrap();
        }
        server.set_nonblocking(true).unwrap();
        let early = server.read(&mut bytes).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::WouldBlock);

        server.set_nonblocking(false).unwrap();
        link.cut(false);
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"two");
    }

    #[test]
    fn a_connection_opened_while_it_is_cut_is_reset_and_never_seen() {
        let network = Network::start().unwrap();
        let (link, somebody) = to_somebody(&network);
        link.cut(true);
        let mut client = connect(link.port());
        client.write_all(b"lost").unwrap();
        wait_until_accepted(&link);
        link.cut(false);
        assert_refused(client);
        let mut client = connect(link.port());
        client.write_all(b"heard").unwrap();
        let (mut server, _) = somebody.accept().unwrap();
        let limit = Some(Duration::from_secs(30));
        server.set_read_timeout(limit).unwrap();
        let mut bytes = [0; 5];
        server.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"heard");
    }

    #[test]
    fn where_nobody_listens_the_link_refuses() {
        let network = Network::start().unwrap();
        let link = network.link().unwrap();
        assert_refused(connect(link.port()));
    }
}
