//! The same code over a network of pipes in virtual time: deadlines to the millisecond, and
//! listeners that fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Probe, heartbeat, reply};
use statestore_rpc::{
    CallLimits, HostPort, Limits, Listener, Net, Pool, PoolLimits, Purpose, Quiet, Server,
};
use statestore_wire::{HeartbeatRequest, StatusCode};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

const PURPOSE: Purpose = Purpose("test");
const SECOND: Duration = Duration::from_secs(1);

/// What becomes of one attempt to connect: how long it takes, and what the peer does.
#[derive(Debug, Clone, Copy)]
enum Plan {
    Refuse(Duration),
    /// Answers after a time.
    Answer(Duration, Duration),
    /// Closes after a time, without an answer.
    Close(Duration, Duration),
}

#[derive(Clone, Default)]
struct Pipes(Arc<Mutex<VecDeque<Plan>>>);

impl Pipes {
    fn new(plans: &[Plan]) -> Self {
        Self(Arc::new(Mutex::new(plans.iter().copied().collect())))
    }
}

impl Net for Pipes {
    type Stream = DuplexStream;
    type Listener = Flaky;

    async fn connect(&self, _to: &HostPort) -> io::Result<DuplexStream> {
        let plan = self.0.lock().unwrap().pop_front();
        let (near, mut far) = duplex(4096);
        let (delay, work, answer) = match plan.expect("no more attempts than planned") {
            Plan::Refuse(delay) => {
                sleep(delay).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Plan::Answer(delay, work) => (delay, work, reply("Heartbeat", 0)),
            Plan::Close(delay, work) => (delay, work, Vec::new()),
        };
        sleep(delay).await;
        tokio::spawn(async move {
            far.read_exact(&mut vec![0; heartbeat().len()]).await?;
            sleep(work).await;
            far.write_all(&answer).await
        });
        Ok(near)
    }

    async fn listen(&self, _host: &str, _port: u16) -> io::Result<Flaky> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Runs one call with a deadline of ten seconds: its class, and how long it took in seconds.
async fn run(plans: &[Plan]) -> (StatusCode, u64) {
    let net = Pipes::new(plans);
    let pool = Pool::new(net.clone(), PoolLimits::default());
    let start = Instant::now();
    let limits = CallLimits::small(10 * SECOND);
    let request = HeartbeatRequest::default();
    let to = HostPort::new("peer", 1);
    let result = pool.call(&to, PURPOSE, &request, limits).await;
    assert!(
        net.0.lock().unwrap().is_empty(),
        "fewer attempts than planned"
    );
    let code = result.map_or_else(|error| error.code(), |_| StatusCode::OK);
    (code, start.elapsed().as_secs())
}

// K-2, K-3, K-5, W14
#[tokio::test(start_paused = true)]
async fn one_deadline_covers_connecting_sending_reconnecting_and_sending_again() {
    use Plan::{Answer, Close, Refuse};
    let s = |n: u32| n * SECOND;
    let cases: &[(&[Plan], StatusCode, u64)] = &[
        (&[Answer(s(4), s(5))], StatusCode::OK, 9),
        (&[Answer(s(4), s(7))], StatusCode::RPC_RECV_TIMEOUT, 10),
        (&[Answer(s(11), s(0))], StatusCode::GENERAL, 10),
        (&[Refuse(s(3))], StatusCode::GENERAL, 3),
        (&[Close(s(1), s(2)), Answer(s(3), s(3))], StatusCode::OK, 9),
        (
            &[Close(s(1), s(2)), Answer(s(3), s(5))],
            StatusCode::RPC_GENERAL_ERROR,
            10,
        ),
        (
            &[Close(s(1), s(2)), Close(s(3), s(3))],
            StatusCode::RPC_GENERAL_ERROR,
            9,
        ),
        (
            &[Close(s(1), s(2)), Refuse(s(1))],
            StatusCode::RPC_CLIENT_CONNECT_FAILURE,
            4,
        ),
        (
            &[Close(s(1), s(2)), Refuse(s(8))],
            StatusCode::RPC_CLIENT_CONNECT_FAILURE,
            10,
        ),
    ];
    for (plans, code, seconds) in cases {
        assert_eq!(run(plans).await, (*code, *seconds), "{plans:?}");
    }
}

// F-4: what is cancelled comes back to nobody
#[tokio::test(start_paused = true)]
async fn a_call_can_be_cancelled_at_any_moment() {
    let plans = [
        Plan::Close(2 * SECOND, SECOND),
        Plan::Answer(SECOND, SECOND),
    ];
    for half_seconds in 0..10 {
        let net = Pipes::new(&plans);
        let pool = Pool::new(net, PoolLimits::default());
        let to = HostPort::new("peer", 1);
        let request = HeartbeatRequest::default();
        let call = pool.call(&to, PURPOSE, &request, CallLimits::small(60 * SECOND));
        let cancelled = tokio::time::timeout(half_seconds * SECOND / 2, call).await;
        assert!(cancelled.is_err(), "the call takes five seconds");
        assert_eq!(pool.usage(PURPOSE), statestore_rpc::Usage::default());
    }
}

/// Fails as if all file handles were in use, then hands out one connection, then nothing.
struct Flaky {
    failures: usize,
    stream: Option<DuplexStream>,
}

impl Listener for Flaky {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(io::Error::other("too many open files"));
        }
        match self.stream.take() {
            Some(stream) => Ok((stream, self.local_addr()?)),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(([127, 0, 0, 1], 1).into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_goes_on_when_accepting_fails_and_does_not_spin() {
    let (mut near, far) = duplex(4096);
    let listener = Flaky {
        failures: 20,
        stream: Some(far),
    };
    let server = Server::new(listener, Limits::default(), Arc::new(Quiet));
    tokio::spawn(server.serve(Probe::new(), std::future::pending()));
    let start = Instant::now();
    near.write_all(&heartbeat()).await.unwrap();
    let mut got = vec![0; reply("Heartbeat", 0).len()];
    near.read_exact(&mut got).await.unwrap();
    assert_eq!(got, reply("Heartbeat", 0));
    assert!(start.elapsed() >= SECOND, "twenty pauses");
}
