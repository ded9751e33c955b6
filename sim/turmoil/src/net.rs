//! The drivers' door to the network, opened onto turmoil's: names, ports, streams, and a clock.
//!
//! Deliberately absent: what is cut or slow; `story` says that. Calendars that somebody sets and
//! clocks that drift are `world`'s: here all machines share one time.

use statestore_core::time::{Now, Time, Wall};
use statestore_rpc::{HostPort, Listener, Net};
use statestored::clock::Clock;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use turmoil::net::{TcpListener, TcpStream};

/// Turmoil's network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SimNet;

/// One of its ports.
pub(crate) struct SimListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Net for SimNet {
    type Stream = TcpStream;
    type Listener = SimListener;

    async fn connect(&self, to: &HostPort) -> io::Result<TcpStream> {
        TcpStream::connect((to.host(), to.port())).await
    }

    async fn listen(&self, _host: &str, port: u16) -> io::Result<SimListener> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        let address = listener.local_addr()?;
        Ok(SimListener { listener, address })
    }
}

impl Listener for SimListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// A day in 2027, in microseconds.
const TODAY: i64 = 1_800_000_000_000_000;

/// Turmoil's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SimClock;

impl Clock for SimClock {
    fn now(&self) -> Now {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let micros = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        Now {
            time: Time::from_nanos(nanos.saturating_add(1_000_000_000)),
            wall: Wall(TODAY.saturating_add(micros)),
        }
    }
}
