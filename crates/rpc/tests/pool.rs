//! K-1 to K-5: connections kept, sent once more, errors by class, all within one deadline.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Act, Scripted, exception, heartbeat_parts, reply, until, within};
use statestore_rpc::{
    Attempts, CallLimits, Failure, HostPort, Listener, Net, Pool, PoolLimits, Purpose, RpcError,
    TcpNet, Usage, retry,
};
use statestore_wire::{HeartbeatRequest, HeartbeatResponse, StatusCode};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const BEATS: Purpose = Purpose("subscriber-heartbeat");
const UPDATES: Purpose = Purpose("subscriber-update-state");
/// Long enough never to pass in a test that expects no timeout.
const LONG: Duration = common::PATIENCE;
/// Short, where the test waits for it.
const SHORT: Duration = Duration::from_millis(150);

fn pool() -> Pool<TcpNet> {
    Pool::new(TcpNet, PoolLimits::default())
}

async fn call(
    pool: &Pool<TcpNet>,
    to: &HostPort,
    deadline: Duration,
) -> Result<HeartbeatResponse, RpcError> {
    let request = HeartbeatRequest::default();
    pool.call(to, BEATS, &request, CallLimits::small(deadline))
        .await
}

fn usage(in_use: usize, total: usize) -> Usage {
    Usage { in_use, total }
}

/// An address where nobody listens.
async fn closed_port() -> HostPort {
    let listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
    HostPort::new("127.0.0.1", Listener::local_addr(&listener).unwrap().port())
}

// K-1
#[tokio::test]
async fn idle_connections_are_kept_per_purpose_and_address_and_reused() {
    let (one, two) = (
        Scripted::start(vec![Act::Answer(usize::MAX)]).await,
        Scripted::start(vec![Act::Answer(usize::MAX)]).await,
    );
    let pool = pool();
    for _ in 0..5 {
        call(&pool, &one.at, LONG).await.unwrap();
        call(&pool, &two.at, LONG).await.unwrap();
    }
    assert_eq!((one.accepted(), two.accepted()), (1, 1));
    assert_eq!(pool.usage(BEATS), usage(0, 2));
    let parts = heartbeat_parts();
    let limits = CallLimits::small(LONG);
    pool.call_parts::<HeartbeatRequest>(&one.at, UPDATES, &parts, limits)
        .await
        .unwrap();
    assert_eq!(one.accepted(), 2);
    assert_eq!(pool.usage(UPDATES), usage(0, 1));
}

// K-1: at once, each over its own connection
#[tokio::test]
async fn calls_at_the_same_time_use_a_connection_each() {
    let peer = Scripted::start(vec![Act::Answer(usize::MAX)]).await;
    let pool = pool();
    let (a, b) = tokio::join!(call(&pool, &peer.at, LONG), call(&pool, &peer.at, LONG));
    a.unwrap();
    b.unwrap();
    assert_eq!(peer.accepted(), 2);
    assert_eq!(pool.usage(BEATS), usage(0, 2));
}

// K-1: after any failed call the connection is dropped
#[tokio::test]
async fn a_failed_call_drops_its_connection() {
    let no_result = {
        let mut bytes = reply("Heartbeat", 0);
        bytes.truncate(21);
        bytes.push(0);
        bytes
    };
    for bytes in [
        exception("Heartbeat", 0, 0, "Invalid data"),
        reply("UpdateState", 0),
        no_result,
    ] {
        let peer = Scripted::start(vec![Act::Send(bytes), Act::Answer(9)]).await;
        let pool = pool();
        let error = call(&pool, &peer.at, LONG).await.unwrap_err();
        assert_eq!(error.code(), StatusCode::RPC_GENERAL_ERROR);
        assert_eq!(pool.usage(BEATS), usage(0, 0));
        // Not sent again: only K-2's two cases are.
        assert_eq!(peer.calls(), 1);
        call(&pool, &peer.at, LONG).await.unwrap();
        assert_eq!(peer.accepted(), 2);
    }
}

// K-1: a second answer is no answer to the next call
#[tokio::test]
async fn an_answer_sent_twice_is_never_taken_for_the_next_calls() {
    let twice = [reply("Heartbeat", 0), reply("Heartbeat", 0)].concat();
    let peer = Scripted::start(vec![Act::Send(twice), Act::Answer(9)]).await;
    let pool = pool();
    call(&pool, &peer.at, LONG).await.unwrap();
    call(&pool, &peer.at, LONG).await.unwrap();
    assert_eq!((peer.accepted(), peer.calls()), (2, 2));
}

// K-2: closed before answering, on a first connection
#[tokio::test]
async fn an_orderly_close_before_the_answer_is_sent_once_more_over_a_new_connection() {
    for refusal in [Act::Answer(0), Act::Reset] {
        let peer = Scripted::start(vec![refusal, Act::Answer(9)]).await;
        let pool = pool();
        call(&pool, &peer.at, LONG).await.unwrap();
        assert_eq!((peer.accepted(), peer.calls()), (2, 2));
        assert_eq!(pool.usage(BEATS), usage(0, 1));
    }
}

// K-2: once, not twice
#[tokio::test]
async fn a_second_close_is_a_general_error() {
    let peer = Scripted::start(vec![Act::Answer(0)]).await;
    let error = call(&pool(), &peer.at, LONG).await.unwrap_err();
    assert!(matches!(
        error,
        RpcError::General {
            failure: Failure::Closed,
            ..
        }
    ));
    assert_eq!((peer.accepted(), peer.calls()), (2, 2));
}

// K-2: a kept connection that the peer closed or resets
#[tokio::test]
async fn a_kept_connection_that_went_stale_costs_the_call_nothing() {
    for act in [Act::Answer(1), Act::AnswerThenReset] {
        let peer = Scripted::start(vec![act, Act::Answer(9)]).await;
        let pool = pool();
        call(&pool, &peer.at, LONG).await.unwrap();
        call(&pool, &peer.at, LONG).await.unwrap();
        assert_eq!(peer.accepted(), 2);
    }
}

// K-2: closed inside the answer is not closed before it
#[tokio::test]
async fn half_an_answer_is_not_sent_again() {
    let half = reply("Heartbeat", 0)[..20].to_vec();
    let peer = Scripted::start(vec![Act::SendAndClose(half)]).await;
    let error = call(&pool(), &peer.at, LONG).await.unwrap_err();
    assert_eq!(error.code(), StatusCode::RPC_GENERAL_ERROR);
    assert_eq!(peer.calls(), 1);
}

// K-2, K-3: 31, not retried
#[tokio::test]
async fn a_receive_timeout_is_not_retried() {
    let peer = Scripted::start(vec![Act::Silent]).await;
    let pool = pool();
    let start = Instant::now();
    let error = call(&pool, &peer.at, SHORT).await.unwrap_err();
    assert!(start.elapsed() >= SHORT);
    assert_eq!(error.code(), StatusCode::RPC_RECV_TIMEOUT);
    let text = format!(
        "RPC recv timed out: dest address: {}, rpc: Heartbeat",
        peer.at
    );
    assert_eq!(error.to_string(), text);
    until("the call arrived", || peer.calls() == 1).await;
    assert_eq!(peer.accepted(), 1);
    assert_eq!(pool.usage(BEATS), usage(0, 0));
}

// K-3: 2
#[tokio::test]
async fn a_first_connect_that_fails_is_general_with_the_transports_text() {
    let nobody = closed_port().await;
    let error = call(&pool(), &nobody, LONG).await.unwrap_err();
    assert_eq!(error.code(), StatusCode::GENERAL);
    let text = error.status().message().to_string();
    let expected = format!("Couldn't open transport for {nobody} (connect() failed: ");
    assert!(text.starts_with(&expected), "{text}");
}

// K-3: 58, for a kept connection and for one closed before its answer
#[tokio::test]
async fn a_reconnect_that_fails_is_a_connect_failure() {
    for answers in [0, 1] {
        let mut listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let port = Listener::local_addr(&listener).unwrap().port();
        let at = HostPort::new("127.0.0.1", port);
        let pool = pool();
        let peer = async {
            let (mut stream, _) = Listener::accept(&mut listener).await.unwrap();
            drop(listener);
            let answer = reply("Heartbeat", 0).repeat(answers);
            let mut call = [0; 64];
            tokio::io::AsyncReadExt::read(&mut stream, &mut call)
                .await
                .unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, &answer)
                .await
                .unwrap();
        };
        let calls = async {
            for _ in 0..answers {
                call(&pool, &at, LONG).await.unwrap();
            }
            call(&pool, &at, LONG).await.unwrap_err()
        };
        let ((), error) = within(async { tokio::join!(peer, calls) }).await;
        assert_eq!(error.code(), StatusCode::RPC_CLIENT_CONNECT_FAILURE);
        let start = "RPC client failed to connect: Couldn't open transport for ";
        assert!(error.to_string().starts_with(start), "{error}");
    }
}

// K-5, W14: connecting is inside the deadline
#[tokio::test]
async fn a_connect_that_hangs_ends_at_the_deadline() {
    // A listener that never accepts, its queue full: the kernel drops further attempts.
    let full = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    rustix::net::bind(&full, &any).unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let bound = std::net::SocketAddr::try_from(rustix::net::getsockname(&full).unwrap()).unwrap();
    let at = HostPort::new("127.0.0.1", bound.port());
    let mut queued = Vec::new();
    while let Ok(connected) = tokio::time::timeout(4 * SHORT, TcpNet.connect(&at)).await {
        queued.push(connected.unwrap());
    }
    let start = Instant::now();
    let error = within(call(&pool(), &at, SHORT)).await.unwrap_err();
    assert!(start.elapsed() >= SHORT);
    assert_eq!(error.code(), StatusCode::GENERAL);
    let text = format!("Couldn't open transport for {at} (connect() timed out)");
    assert_eq!(error.to_string(), text);
}

// K-3: not a receive timeout, the send was not complete
#[tokio::test]
async fn a_peer_that_never_reads_blocks_only_until_the_deadline() {
    let peer = Scripted::start(vec![Act::Deaf]).await;
    let pool = pool();
    let parts = vec![bytes::Bytes::from(vec![0; 1 << 20]); 64];
    let limits = CallLimits::small(SHORT);
    let call = pool.call_parts::<HeartbeatRequest>(&peer.at, UPDATES, &parts, limits);
    let error = within(call).await.unwrap_err();
    assert!(matches!(
        error,
        RpcError::General {
            failure: Failure::SendTimeout,
            ..
        }
    ));
}

// F-4
#[tokio::test]
async fn closing_an_address_closes_idle_connections_and_takes_back_none_in_use() {
    let peer = Scripted::start(vec![Act::Answer(usize::MAX)]).await;
    let pool = pool();
    let (a, b) = tokio::join!(call(&pool, &peer.at, LONG), call(&pool, &peer.at, LONG));
    a.unwrap();
    b.unwrap();
    let parts = heartbeat_parts();
    let limits = CallLimits::small(LONG);
    let in_use = pool
        .call_raw(&peer.at, BEATS, "Heartbeat", &parts, limits)
        .await
        .unwrap();
    assert_eq!(pool.usage(BEATS), usage(1, 2));
    pool.close(&peer.at);
    assert_eq!(pool.usage(BEATS), usage(1, 1));
    in_use.decode::<HeartbeatResponse>(&peer.at).unwrap();
    assert_eq!(pool.usage(BEATS), usage(0, 0));
    call(&pool, &peer.at, LONG).await.unwrap();
    assert_eq!(peer.accepted(), 3);
    pool.close_all();
    assert_eq!(pool.usage(BEATS), usage(0, 0));
}

#[tokio::test]
async fn a_call_that_is_cancelled_closes_its_connection_at_once() {
    let peer = Scripted::start(vec![Act::Answer(1), Act::Silent]).await;
    let pool = pool();
    {
        let mut running = std::pin::pin!(call(&pool, &peer.at, LONG));
        running.as_mut().await.unwrap();
    }
    let cancelled = tokio::spawn({
        let (pool, at) = (pool.clone(), peer.at.clone());
        async move { call(&pool, &at, LONG).await }
    });
    until("the second call arrives", || peer.calls() == 2).await;
    assert_eq!(pool.usage(BEATS).in_use, 1);
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());
    assert_eq!(pool.usage(BEATS), usage(0, 0));
}

#[tokio::test]
async fn idle_connections_are_bounded_and_the_longest_idle_goes_first() {
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(Scripted::start(vec![Act::Answer(usize::MAX)]).await);
    }
    let limits = PoolLimits {
        max_open: 3,
        ..Default::default()
    };
    let pool = Pool::new(TcpNet, limits);
    for n in [0, 1, 2, 0, 3] {
        call(&pool, &peers[n].at, LONG).await.unwrap();
        assert!(pool.usage(BEATS).total <= 3);
    }
    for n in [0, 2, 3] {
        call(&pool, &peers[n].at, LONG).await.unwrap();
        assert_eq!(peers[n].accepted(), 1);
    }
    call(&pool, &peers[1].at, LONG).await.unwrap();
    assert_eq!(peers[1].accepted(), 2);
}

#[tokio::test]
async fn connections_to_addresses_never_used_again_go_with_time() {
    let (gone, used) = (
        Scripted::start(vec![Act::Answer(usize::MAX)]).await,
        Scripted::start(vec![Act::Answer(usize::MAX)]).await,
    );
    let limits = PoolLimits {
        max_idle_time: Duration::ZERO,
        ..Default::default()
    };
    let pool = Pool::new(TcpNet, limits);
    call(&pool, &gone.at, LONG).await.unwrap();
    let start = Instant::now();
    until("a clock tick", || {
        start.elapsed() > Duration::from_millis(2)
    })
    .await;
    call(&pool, &used.at, LONG).await.unwrap();
    assert_eq!(pool.usage(BEATS), usage(0, 1));
}

// K-4
#[tokio::test(start_paused = true)]
async fn retrying_calls_make_n_attempts_with_a_fixed_pause() {
    let pause = Duration::from_secs(7);
    let made = Cell::new(0);
    for (limit, succeeds_at, makes) in [(Some(3), 9, 3), (Some(3), 2, 2), (None, 50, 50)] {
        made.set(0);
        let start = tokio::time::Instant::now();
        let attempts = Attempts {
            limit: limit.and_then(NonZeroU32::new),
            pause,
        };
        let result = retry(attempts, async || {
            made.set(made.get() + 1);
            if made.get() >= succeeds_at {
                Ok(())
            } else {
                Err(made.get())
            }
        })
        .await;
        assert_eq!((made.get(), result.is_ok()), (makes, makes == succeeds_at));
        assert_eq!(start.elapsed(), pause * (makes - 1));
    }
}
