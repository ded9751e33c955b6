//! A gate in the way of calls, over pipes in virtual time: what may not be sent any more is not
//! sent, however long the call waited for its turn (ha.md rule 3).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bytes::Bytes;
use common::way::{Caller, Way, end};
use common::{heartbeat, reply};
use statestore_rpc::pool::Ended;
use statestore_rpc::{
    CallLimits, Failure, Gate, HostPort, Listener, Net, Pool, PoolLimits, Purpose, RpcError, Usage,
};
use statestore_wire::{HeartbeatRequest, HeartbeatResponse};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

const PURPOSE: Purpose = common::way::BEATS;
const SECOND: Duration = Duration::from_secs(1);
/// As much as a pipe holds.
const PIPE: usize = 4096;

/// What a peer does once it is connected, which takes a second.
#[derive(Clone, Copy)]
enum Peer {
    /// Reads a heartbeat and answers, again and again.
    Answers,
    /// Reads a heartbeat and closes.
    Closes,
    /// Reads one pipe's content a second.
    ReadsSlowly,
    /// Answers a heartbeat, then does something else.
    AnswersThen(&'static Peer),
}

/// Peers in the order of connections, and the bytes that each of them was sent.
#[derive(Clone)]
struct Pipes {
    peers: Arc<Mutex<Vec<Peer>>>,
    got: Arc<Mutex<Vec<Arc<AtomicUsize>>>>,
}

impl Pipes {
    fn new(peers: &[Peer]) -> Self {
        let peers = peers.iter().rev().copied().collect();
        Self {
            peers: Arc::new(Mutex::new(peers)),
            got: Arc::default(),
        }
    }

    fn got(&self) -> Vec<usize> {
        let got = self.got.lock().unwrap();
        got.iter().map(|n| n.load(Ordering::SeqCst)).collect()
    }
}

impl Net for Pipes {
    type Stream = DuplexStream;
    type Listener = Nobody;

    async fn connect(&self, _to: &HostPort) -> io::Result<DuplexStream> {
        sleep(SECOND).await;
        let peer = self
            .peers
            .lock()
            .unwrap()
            .pop()
            .expect("as many as planned");
        let (near, far) = duplex(PIPE);
        let got = Arc::new(AtomicUsize::new(0));
        self.got.lock().unwrap().push(got.clone());
        tokio::spawn(behave(peer, far, got));
        Ok(near)
    }

    async fn listen(&self, _host: &str, _port: u16) -> io::Result<Nobody> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct Nobody;

impl Listener for Nobody {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        std::future::pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

async fn behave(mut peer: Peer, mut far: DuplexStream, got: Arc<AtomicUsize>) -> io::Result<()> {
    let mut chunk = vec![0; PIPE];
    let mut unanswered = 0;
    loop {
        let n = far.read(&mut chunk).await?;
        if n == 0 {
            return Ok(());
        }
        got.fetch_add(n, Ordering::SeqCst);
        unanswered += n;
        match peer {
            Peer::ReadsSlowly => sleep(SECOND).await,
            _ if unanswered < heartbeat().len() => {}
            Peer::Closes => {
                sleep(SECOND).await;
                return Ok(());
            }
            Peer::Answers | Peer::AnswersThen(_) => {
                unanswered = 0;
                far.write_all(&reply("Heartbeat", 0)).await?;
            }
        }
        if let (0, Peer::AnswersThen(next)) = (unanswered, peer) {
            peer = *next;
        }
    }
}

/// A gate that closes so long after now, and says so.
fn closing_after(seconds: u32) -> Gate {
    let end = Instant::now() + SECOND * seconds;
    Gate::new(move || match Instant::now() < end {
        true => Ok(()),
        false => Err("the lease is over".to_owned()),
    })
}

fn limits() -> CallLimits {
    CallLimits::small(60 * SECOND)
}

/// One heartbeat.
async fn beat(pool: &Pool<Pipes>) -> Result<HeartbeatResponse, RpcError> {
    let request = HeartbeatRequest::default();
    pool.call(&peer(), PURPOSE, &request, limits()).await
}

fn peer() -> HostPort {
    HostPort::new("peer", 1)
}

/// What a barred call had sent.
fn sent(error: &RpcError) -> u64 {
    let text = error.to_string();
    assert!(text.contains("the lease is over"), "{text}");
    match error {
        RpcError::General {
            failure: Failure::Barred { sent, .. },
            ..
        } => *sent,
        other => panic!("{other}"),
    }
}

// ha.md rule 3
#[tokio::test(start_paused = true)]
async fn fenced_off_after_a_slow_connect_sends_nothing() {
    let net = Pipes::new(&[Peer::Answers]);
    let pool = Pool::new(net.clone(), PoolLimits::default());
    let late = pool.behind(closing_after(1));
    assert_eq!(sent(&beat(&late).await.unwrap_err()), 0);
    assert_eq!(net.got(), [0]);
    assert_eq!(pool.usage(PURPOSE), Usage::default());
}

// ha.md rule 3, K-2
#[tokio::test(start_paused = true)]
async fn fenced_off_between_first_and_second_try_sends_nothing_more() {
    for (seconds, tries) in [(10, vec![1, 1]), (3, vec![1, 0])] {
        let net = Pipes::new(&[Peer::Closes, Peer::Answers]);
        let pool = Pool::new(net.clone(), PoolLimits::default());
        let pool = pool.behind(closing_after(seconds));
        let result = beat(&pool).await;
        let heartbeats: Vec<usize> = net.got().iter().map(|n| n / heartbeat().len()).collect();
        assert_eq!(heartbeats, tries);
        match seconds {
            10 => assert!(result.is_ok()),
            _ => assert_eq!(sent(&result.unwrap_err()), 0),
        }
    }
}

// ha.md rule 3
#[tokio::test(start_paused = true)]
async fn a_long_send_is_cut_off_in_the_middle_when_fenced_off() {
    let net = Pipes::new(&[Peer::ReadsSlowly]);
    let pool = Pool::new(net.clone(), PoolLimits::default());
    let parts: Vec<Bytes> = (0..50).map(|_| Bytes::from(vec![7; 1000])).collect();
    let start = Instant::now();
    let gated = pool.behind(closing_after(5));
    let to = peer();
    let call = gated.call_raw(&to, PURPOSE, "UpdateState", &parts, limits());
    let sent = sent(&call.await.unwrap_err());
    assert_eq!(start.elapsed(), 5 * SECOND);
    assert!(sent > 0 && sent < 50_000, "{sent}");
    // The peer gets what had left, then the end of the connection.
    while (net.got()[0] as u64) < sent {
        sleep(SECOND).await;
    }
    sleep(10 * SECOND).await;
    assert_eq!(net.got(), [usize::try_from(sent).unwrap()]);
}

// ha.md rule 3
#[tokio::test(start_paused = true)]
async fn a_polled_call_is_fenced_off_before_its_first_byte_and_in_the_middle() {
    for seconds in [0, 5] {
        let net = Pipes::new(&[Peer::AnswersThen(&Peer::ReadsSlowly)]);
        let pool = Pool::new(net.clone(), PoolLimits::default());
        beat(&pool).await.unwrap();
        let before = net.got()[0];
        let start = Instant::now();
        let caller = Caller::new(Way::Polled, pool.behind(closing_after(seconds)));
        let small = caller.small(&peer(), vec![7; 50_000], limits());
        let Ended::Now(result) = end(small, &peer(), &RefCell::default()).await else {
            panic!("it is not sent once more");
        };
        let sent = sent(&result.unwrap_err());
        assert_eq!(start.elapsed(), seconds * SECOND);
        assert_eq!(sent > 0, seconds > 0);
        assert!(sent < 50_000, "{sent}");
        assert_eq!(pool.usage(PURPOSE), Usage::default());
        // The peer gets what had left, then the end of the connection.
        sleep(60 * SECOND).await;
        assert_eq!((net.got()[0] - before) as u64, sent);
        assert_eq!(net.got().len(), 1);
    }
}

// ha.md rule 3, K-2
#[tokio::test(start_paused = true)]
async fn a_polled_call_is_fenced_off_between_first_and_second_try() {
    for (seconds, tries) in [(10, [2, 1]), (1, [2, 0])] {
        let net = Pipes::new(&[Peer::AnswersThen(&Peer::Closes), Peer::Answers]);
        let pool = Pool::new(net.clone(), PoolLimits::default());
        beat(&pool).await.unwrap();
        let caller = Caller::new(Way::Polled, pool.behind(closing_after(seconds)));
        let small = caller.small(&peer(), heartbeat(), limits());
        let Ended::Later(later) = end(small, &peer(), &RefCell::default()).await else {
            panic!("it is sent once more");
        };
        match (seconds, later.await) {
            (10, result) => assert!(result.is_ok()),
            (_, result) => assert_eq!(sent(&result.unwrap_err()), 0),
        }
        let heartbeats: Vec<usize> = net.got().iter().map(|n| n / heartbeat().len()).collect();
        assert_eq!(heartbeats, tries);
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_gate_and_none_are_the_same_and_share_connections() {
    let net = Pipes::new(&[Peer::Answers]);
    let pool = Pool::new(net.clone(), PoolLimits::default());
    let gated = pool.behind(closing_after(100));
    for pool in [&gated, &pool, &gated.clone()] {
        beat(pool).await.unwrap();
    }
    assert_eq!(net.got(), [3 * heartbeat().len()], "one connection");
}

// ha.md rule 9
#[tokio::test(start_paused = true)]
async fn a_reply_names_its_connection_and_no_other_one_ever_has_that_name() {
    let net = Pipes::new(&[Peer::Answers, Peer::Closes, Peer::Answers]);
    let pool = Pool::new(net, PoolLimits::default());
    let parts = [Bytes::from(heartbeat())];
    let mut serials = Vec::new();
    for _ in 0..3 {
        let to = peer();
        let call = pool.call_raw(&to, PURPOSE, "Heartbeat", &parts, limits());
        let reply = call.await.unwrap();
        serials.push(reply.connection());
        let _: HeartbeatResponse = reply.decode(&to).unwrap();
        if serials.len() == 2 {
            pool.close_all(); // the third call goes to one that closes, then to a third
        }
    }
    assert_eq!(serials[0], serials[1]);
    assert!(serials[2] > serials[1], "{serials:?}");
}
