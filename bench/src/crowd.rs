//! A crowd of subscribers in one process: what a statestored sees of thousands of daemons.
//!
//! ```text
//!   statestored --- 127.1.0.0:port, 127.1.0.1:port, ... ---> one listener ---> a task a connection
//!                                                                         reads, notes, answers
//! ```
//!
//! Each subscriber has an address of its own; one listening socket serves them all, so that a
//! connection costs this process one file and the crowd may be as large as the server's. Nobody
//! keeps what arrives: a topic is not stored, only looked through for what is being measured.
//!
//! Deliberately absent: correctness of what is received; the tests of the daemon see to that.
//! Invariant: only peers on this machine are served.

use crate::failure::Failure;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use statestore_rpc::{CallLimits, HostPort, Pool, PoolLimits, Purpose, TcpNet};
use statestore_wire::{
    NetworkAddress, ProtocolVersion, RegisterSubscriberRequest, SubscriberType, Text, TopicDelta,
    TopicRegistration, UniqueId, UpdateStateRequest, UpdateStateResponse, envelope,
};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

mod answer;
mod far;
mod inbox;
mod records;

pub(crate) use records::{Lane, Lateness, Records, change};

/// Registrations under way at one time.
const AT_ONCE: usize = 64;
/// How long one may take.
const REGISTRATION: Duration = Duration::from_secs(30);
const BACKLOG: u32 = 4096;

/// The crowd's door.
pub(crate) struct Crowd {
    /// Begins the names of its subscribers.
    name: &'static str,
    port: u16,
    members: Members,
    accepted: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

type Members = Arc<RwLock<Vec<Arc<Subscriber>>>>;

/// What a subscriber does with calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Conduct {
    /// Reads and answers at once.
    Answers,
    /// The same, and says that it publishes by calls of its own.
    Publishes,
    /// Takes connections and never answers calls of these kinds; of both, and it reads nothing.
    Hangs {
        /// Heartbeats.
        heartbeats: bool,
        /// Updates of either lane.
        updates: bool,
    },
    /// Answers each update that it cannot take it now.
    Skips,
    /// Answers at once, from so far away: there and back.
    Far {
        /// The time that it takes.
        away: Duration,
    },
    /// Answers, but reads large messages no faster than this.
    Reads {
        /// The speed.
        bytes_per_second: usize,
    },
}

/// One simulated subscriber.
pub(crate) struct Subscriber {
    index: u32,
    conduct: Conduct,
    records: Arc<Records>,
    outgoing: Mutex<VecDeque<Publication>>,
    memory: Mutex<records::Memory>,
}

/// A reply that publishes.
#[derive(Clone)]
struct Publication {
    on: Lane,
    reply: Bytes,
}

/// A topic to subscribe to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    /// A publisher hides a topic from itself by a prefix that no key has.
    pub(crate) prefix: &'static str,
    /// What is published goes with its publisher.
    pub(crate) transient: bool,
    /// The lowest version that any subscriber has is to be told.
    pub(crate) min_version: bool,
}

impl Topic {
    pub(crate) fn all_of(name: &'static str) -> Self {
        Self {
            name,
            prefix: "",
            transient: false,
            min_version: false,
        }
    }

    pub(crate) fn nothing_of(name: &'static str) -> Self {
        let prefix = "no key begins so";
        Self {
            prefix,
            ..Self::all_of(name)
        }
    }

    pub(crate) fn owned(name: &'static str) -> Self {
        Self {
            transient: true,
            ..Self::nothing_of(name)
        }
    }
}

impl Crowd {
    /// Opens the door, on the loopback device only.
    pub(crate) async fn open() -> Result<Self, Failure> {
        Self::open_as("bench").await
    }

    /// One of several crowds of a statestored. It lives on the runtime that opens it.
    pub(crate) async fn open_as(name: &'static str) -> Result<Self, Failure> {
        let listener = listen().map_err(Failure::io("listen on the loopback device"))?;
        let port = listener.local_addr();
        let port = port
            .map_err(Failure::io("read the listener's port"))?
            .port();
        let members = Members::default();
        let accepted = Arc::default();
        let accepting = accept(listener, Arc::clone(&members), Arc::clone(&accepted));
        let accepting = tokio::spawn(accepting);
        Ok(Self {
            name,
            port,
            members,
            accepted,
            accepting,
        })
    }

    /// Adds subscribers, which the statestored does not know yet.
    pub(crate) fn add(
        &self,
        count: usize,
        conduct: Conduct,
        records: &Arc<Records>,
    ) -> Vec<Arc<Subscriber>> {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        let first = members.len();
        members.extend((first..first + count).map(|index| {
            Arc::new(Subscriber {
                index: index as u32,
                conduct,
                records: Arc::clone(records),
                outgoing: Mutex::default(),
                memory: Mutex::default(),
            })
        }));
        members[first..].to_vec()
    }

    /// Connections opened so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Where a subscriber listens.
    pub(crate) fn address(&self, who: &Subscriber) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(host(who.index)), self.port)
    }

    /// Registers them all, as fast as the server answers; how long it took.
    pub(crate) async fn register(
        &self,
        server: &HostPort,
        who: &[Arc<Subscriber>],
        topics: &[Topic],
    ) -> Result<Duration, Failure> {
        let pool = Pool::new(TcpNet, PoolLimits::default());
        let pool = || pool.clone();
        self.register_over(pool, server, who, topics, AT_ONCE).await
    }

    /// The same, with so many under way at one time, each over a connection of its own.
    pub(crate) async fn register_at_once(
        &self,
        server: &HostPort,
        who: &[Arc<Subscriber>],
        topics: &[Topic],
        at_once: usize,
    ) -> Result<Duration, Failure> {
        let pool = || Pool::new(TcpNet, PoolLimits::default());
        self.register_over(pool, server, who, topics, at_once).await
    }

    async fn register_over(
        &self,
        pool: impl Fn() -> Pool<TcpNet>,
        server: &HostPort,
        who: &[Arc<Subscriber>],
        topics: &[Topic],
        at_once: usize,
    ) -> Result<Duration, Failure> {
        let start = Instant::now();
        let calls = who.iter().map(|one| {
            let pool = pool();
            async move {
                self.register_one(&pool, server, one, topics)
                    .await
                    .map(|_| ())
            }
        });
        let calls = futures::stream::iter(calls).buffer_unordered(at_once);
        calls.try_collect::<()>().await?;
        Ok(start.elapsed())
    }

    /// Registers one; its name and its registration.
    pub(crate) async fn register_one(
        &self,
        pool: &Pool<TcpNet>,
        server: &HostPort,
        who: &Subscriber,
        topics: &[Topic],
    ) -> Result<(Text, UniqueId), Failure> {
        let request = self.request(who, topics);
        let limits = CallLimits::small(REGISTRATION);
        let reply = pool
            .call(server, Purpose("register"), &request, limits)
            .await;
        let id = request.subscriber_id.to_str();
        let reply = reply.map_err(|error| Failure::registration(&id, &error))?;
        let registration = reply.registration_id.filter(|_| reply.status.is_ok());
        let registration = registration.ok_or_else(|| Failure::Registration {
            subscriber: id.to_string(),
            why: format!("{:?}", reply.status),
        })?;
        Ok((request.subscriber_id.clone(), registration))
    }

    fn request(&self, who: &Subscriber, topics: &[Topic]) -> RegisterSubscriberRequest {
        let registration = |topic: &Topic| TopicRegistration {
            topic_name: topic.name.into(),
            is_transient: topic.transient,
            populate_min_subscriber_topic_version: topic.min_version,
            filter_prefix: (!topic.prefix.is_empty()).then(|| topic.prefix.into()),
        };
        RegisterSubscriberRequest {
            protocol_version: ProtocolVersion::V2,
            subscriber_id: format!("{}-{}", self.name, who.index).into(),
            subscriber_location: NetworkAddress {
                hostname: host(who.index).to_string().into(),
                port: self.port.into(),
                uds_address: None,
            },
            topic_registrations: topics.iter().map(registration).collect(),
            subscriber_type: Some(SubscriberType::EXECUTOR),
            subscribe_catalogd_change: Some(false),
            catalogd_registration: None,
            heartbeat_timeout_ms: None,
            publishes: (who.conduct == Conduct::Publishes).then_some(true),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Subscriber {
    /// It had calls of so many lanes.
    pub(crate) fn is_served(&self, lanes: usize) -> bool {
        lock(&self.memory).lanes() >= lanes
    }

    /// Publishes with the replies to so many next updates of a lane.
    pub(crate) fn publish(&self, on: Lane, delta: TopicDelta, times: usize) {
        let response = UpdateStateResponse {
            topic_updates: vec![delta],
            ..UpdateStateResponse::default()
        };
        let reply = reply_to("UpdateState", &response).into();
        let publication = Publication { on, reply };
        lock(&self.outgoing).extend(std::iter::repeat_n(publication, times));
    }

    /// Forgets what it has not published yet.
    pub(crate) fn publish_no_more(&self) {
        lock(&self.outgoing).clear();
    }
}

/// A reply with the sequence id that a statestored uses.
fn reply_to<T: statestore_wire::Wire>(method: &'static str, result: &T) -> Vec<u8> {
    let call = statestore_wire::Envelope {
        kind: statestore_wire::MessageKind::Call,
        method: method.into(),
        seqid: 0,
    };
    let mut bytes = Vec::new();
    envelope::write_reply(&call, result, &mut bytes);
    bytes
}

/// The topic names of an update decide its lane, as in the statestored.
fn lane_of(request: &UpdateStateRequest) -> Lane {
    let first = request.topic_deltas.0.first();
    match first.is_some_and(|(name, _)| name.as_bytes().ends_with(b"impala-membership")) {
        true => Lane::Priority,
        false => Lane::Normal,
    }
}

/// 127.1.0.0 and on, and where those listen who are behind a proxy: none is used by anything else.
const HOSTS: u32 = u32::from_be_bytes([127, 1, 0, 0]);
const BEHIND: u32 = u32::from_be_bytes([127, 65, 0, 0]);

fn host(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(HOSTS + index)
}

/// Whose host it is, and whether the one behind a proxy.
fn index(host: Ipv4Addr) -> Option<(usize, bool)> {
    let host = u32::from(host);
    let (first, behind) = if host < BEHIND {
        (HOSTS, false)
    } else {
        (BEHIND, true)
    };
    let index = host.checked_sub(first)?;
    usize::try_from(index).ok().map(|index| (index, behind))
}

fn listen() -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Older kernels keep this for root; peers from elsewhere are turned away below all the same.
    let _ = socket.bind_device(Some(b"lo"));
    socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, members: Members, accepted: Arc<AtomicU64>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of files: some will be closed.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        accepted.fetch_add(1, Ordering::Relaxed);
        let (local, who) = match (peer.ip().is_loopback(), stream.local_addr()) {
            (true, Ok(SocketAddr::V4(local))) => (local, index(*local.ip())),
            _ => continue,
        };
        let Some((index, behind)) = who else { continue };
        let members = members.read().unwrap_or_else(PoisonError::into_inner);
        match members.get(index).map(|who| (who, who.conduct)) {
            Some((_, Conduct::Far { away })) if !behind => {
                let home = SocketAddr::from((Ipv4Addr::from(BEHIND + index as u32), local.port()));
                tokio::spawn(far::relay(stream, home, away));
            }
            Some((who, _)) => {
                tokio::spawn(answer::serve(stream, Arc::clone(who)));
            }
            None => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every holder leaves the value whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
