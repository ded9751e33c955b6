//! What a user might pick instead, as a process beside, each given the same work.
//!
//! ```text
//!   one publisher --- its own protocol ---> the server ---> N watchers: tasks that only count
//! ```
//!
//! A watcher costs as little as can be, for all of them alike: what it takes is not the server's.
//! Deliberately absent: a cluster of any of them, persistence that is not the default. Invariant:
//! no server outlives its [`Peer`], and no other process is ever ended.

use crate::failure::Failure;
use crate::machine::{self, Process};
use crate::scenarios::Bench;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::Notify;

mod etcd;
mod ours;
mod protobuf;
mod words;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Statestored,
    Etcd,
    Nats,
    Redis,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Statestored, Self::Etcd, Self::Nats, Self::Redis];

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Statestored => "statestored",
            Self::Etcd => "etcd (watch)",
            Self::Nats => "NATS (core)",
            Self::Redis => "Redis (pub/sub)",
        }
    }

    /// For programs.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Statestored => "statestored",
            Self::Etcd => "etcd",
            Self::Nats => "nats",
            Self::Redis => "redis",
        }
    }

    /// Debian's.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Statestored => "(none)",
            Self::Etcd => "etcd-server",
            Self::Nats => "nats-server",
            Self::Redis => "redis-server",
        }
    }
}

/// A running one, with its watchers.
pub(crate) struct Peer {
    kind: Kind,
    server: Server,
}

enum Server {
    Ours(ours::Server),
    Etcd(etcd::Server),
    Words(words::Server),
}

impl Peer {
    /// None if the program is not installed.
    pub(crate) async fn start(bench: &Bench, kind: Kind) -> Result<Option<Self>, Failure> {
        let server = match kind {
            Kind::Statestored => Some(Server::Ours(ours::Server::start(bench).await?)),
            Kind::Etcd => etcd::Server::start().await?.map(Server::Etcd),
            Kind::Nats => words::Server::start(&words::NATS).await?.map(Server::Words),
            Kind::Redis => words::Server::start(&words::REDIS)
                .await?
                .map(Server::Words),
        };
        Ok(server.map(|server| Self { kind, server }))
    }

    pub(crate) fn process(&self) -> Process {
        match &self.server {
            Server::Ours(server) => server.process(),
            Server::Etcd(server) => server.program().process(),
            Server::Words(server) => server.program().process(),
        }
    }

    /// Lets so many more watch everything.
    pub(crate) async fn watch(&mut self, count: usize) -> Result<(), Failure> {
        let watched = match &mut self.server {
            Server::Ours(server) => return server.watch(count).await,
            Server::Etcd(server) => server.watch(count).await,
            Server::Words(server) => server.watch(count).await,
        };
        watched.map_err(Failure::io(format!("listen to {}", self.kind.name())))
    }

    /// Publishes `count` entries and waits until each watcher has all of them.
    pub(crate) async fn publish(
        &mut self,
        count: usize,
        len: usize,
        limit: Duration,
    ) -> Result<Duration, Failure> {
        let (name, start) = (self.kind.name(), Instant::now());
        let failed = || Failure::io(format!("publish to {name}"));
        let work = async {
            match &mut self.server {
                Server::Ours(server) => server.publish(count, len).await,
                Server::Etcd(server) => server.publish(count, len).await.map_err(failed()),
                Server::Words(server) => server.publish(count, len).await.map_err(failed()),
            }
        };
        let worked = tokio::time::timeout(limit, work).await;
        let late = |_| Failure::TooLate {
            what: format!("everything at the watchers of {name}"),
            limit,
        };
        worked.map_err(late)??;
        Ok(start.elapsed())
    }
}

/// What all watchers have received: bytes, or entries.
#[derive(Default)]
struct Heard {
    so_far: AtomicU64,
    goal: AtomicU64,
    reached: Notify,
}

impl Heard {
    fn add(&self, more: u64) {
        let before = self.so_far.fetch_add(more, Ordering::SeqCst);
        if before + more >= self.goal.load(Ordering::SeqCst) {
            self.reached.notify_one();
        }
    }

    /// What it will be when so much more has come.
    fn expect(&self, more: u64) -> u64 {
        let goal = self.so_far.load(Ordering::SeqCst) + more;
        self.goal.store(goal, Ordering::SeqCst);
        goal
    }

    async fn reach(&self, goal: u64) {
        while self.so_far.load(Ordering::SeqCst) < goal {
            self.reached.notified().await;
        }
    }
}

/// A server's process, in a folder of its own.
struct Program {
    child: Child,
    _folder: TempDir,
}

impl Program {
    /// Its arguments may name files in the folder. None if it is not installed.
    fn start(
        name: &str,
        arguments: impl FnOnce(&Path) -> std::io::Result<Vec<String>>,
    ) -> Result<Option<Self>, Failure> {
        let Some(program) = machine::installed(name) else {
            return Ok(None);
        };
        let folder = TempDir::new().map_err(Failure::io("make a folder"))?;
        let arguments = arguments(folder.path());
        let arguments = arguments.map_err(Failure::io("write the settings of a peer"))?;
        let child = machine::session_of(&program)
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.map_err(Failure::io(format!("start {name}")))?;
        Ok(Some(Self {
            child,
            _folder: folder,
        }))
    }

    fn process(&self) -> Process {
        Process::new(self.child.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16, Failure> {
    let listener = StdListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.map_err(Failure::io("find a port"))?.port())
}

/// How long a start may take.
const START: Duration = Duration::from_secs(10);

async fn connect(port: u16) -> std::io::Result<TcpStream> {
    let start = Instant::now();
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if start.elapsed() > START => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
