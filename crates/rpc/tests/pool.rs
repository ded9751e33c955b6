//! K-1 to K-5: connections kept, sent once more, errors by class, all within one deadline.
#![allow(clippy::unwrap_used)]

mod common;

use common::way::{BEATS, WAYS};
use common::{Act, Scripted, exception, heartbeat, pass, reply, until, within};
use statestore_rpc::{
    Attempts, CallLimits, Failure, HostPort, Listener, Net, PoolLimits, Purpose, RpcError, TcpNet,
    Usage, retry,
};
use statestore_wire::{HeartbeatResponse, StatusCode};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const UPDATES: Purpose = Purpose("subscriber-update-state");
/// Long enough never to pass in a test that expects no timeout.
const LONG: Duration = common::PATIENCE;
/// Short, where the test waits for it.
const SHORT: Duration = Duration::from_millis(150);

fn usage(in_use: usize, total: usize) -> Usage {
    Usage { in_use, total }
}

/// What went wrong on an open connection.
fn failure(error: RpcError) -> Failure {
    match error {
        RpcError::General { failure, .. } => failure,
        other => panic!("{other}"),
    }
}

/// An address where nobody listens.
async fn closed_port() -> HostPort {
    let listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
    HostPort::new("127.0.0.1", Listener::local_addr(&listener).unwrap().port())
}

// K-1
#[tokio::test]
async fn idle_connections_are_kept_per_purpose_and_address_and_reused() {
    for way in WAYS {
        let (caller, one) = way.meet(vec![Act::Answer(usize::MAX)]).await;
        let two = Scripted::start(vec![Act::Answer(usize::MAX)]).await;
        for _ in 0..5 {
            caller.call(&one.at, LONG).await.unwrap();
            caller.call(&two.at, LONG).await.unwrap();
        }
        assert_eq!((one.accepted(), two.accepted()), (1, 1));
        assert_eq!(caller.pool.usage(BEATS), usage(0, 2));
        let limits = CallLimits::small(LONG);
        let call = caller.reply((&one.at, UPDATES), heartbeat(), limits);
        let reply = call.await.unwrap();
        reply.decode::<HeartbeatResponse>(&one.at).unwrap();
        assert_eq!(one.accepted(), 2);
        assert_eq!(caller.pool.usage(UPDATES), usage(0, 1));
    }
}

// K-1: at once, each over its own connection
#[tokio::test]
async fn calls_at_the_same_time_use_a_connection_each() {
    for way in WAYS {
        let (caller, peer) = way.meet(vec![Act::Answer(usize::MAX)]).await;
        let call = || caller.call(&peer.at, LONG);
        let (a, b) = tokio::join!(call(), call());
        a.unwrap();
        b.unwrap();
        assert_eq!(peer.accepted(), 2);
        assert_eq!(caller.pool.usage(BEATS), usage(0, 2));
    }
}

// K-1: after any failed call the connection is dropped
#[tokio::test]
async fn a_failed_call_drops_its_connection() {
    let mut no_result = reply("Heartbeat", 0);
    no_result.truncate(21);
    no_result.push(0);
    let bad = [
        exception("Heartbeat", 0, 0, "Invalid data"),
        reply("UpdateState", 0),
        no_result,
    ];
    for (way, bytes) in WAYS
        .iter()
        .flat_map(|way| bad.iter().map(move |it| (way, it)))
    {
        let acts = vec![Act::Send(bytes.clone()), Act::Answer(9)];
        let (caller, peer) = way.meet(acts).await;
        let error = caller.call(&peer.at, LONG).await.unwrap_err();
        assert_eq!(error.code(), StatusCode::RPC_GENERAL_ERROR);
        assert_eq!(caller.pool.usage(BEATS), usage(0, 0));
        // Not sent again: only K-2's two cases are.
        assert_eq!(peer.calls(), 1);
        caller.call(&peer.at, LONG).await.unwrap();
        assert_eq!(peer.accepted(), 2);
    }
}

// K-1: a second answer is no answer to the next call
#[tokio::test]
async fn an_answer_sent_twice_is_never_taken_for_the_next_calls() {
    let twice = reply("Heartbeat", 0).repeat(2);
    for way in WAYS {
        let (caller, peer) = way
            .meet(vec![Act::Send(twice.clone()), Act::Answer(9)])
            .await;
        caller.call(&peer.at, LONG).await.unwrap();
        caller.call(&peer.at, LONG).await.unwrap();
        assert_eq!((peer.accepted(), peer.calls()), (2, 2));
    }
}

// K-2: closed before answering
#[tokio::test]
async fn an_orderly_close_before_the_answer_is_sent_once_more_over_a_new_connection() {
    for way in WAYS {
        for refusal in [Act::Answer(0), Act::Reset] {
            let (caller, peer) = way.meet(vec![refusal, Act::Answer(9)]).await;
            caller.call(&peer.at, LONG).await.unwrap();
            assert_eq!((peer.accepted(), peer.calls()), (2, 2));
            assert_eq!(caller.pool.usage(BEATS), usage(0, 1));
        }
    }
}

// K-2: once, not twice
#[tokio::test]
async fn a_second_close_is_a_general_error() {
    for way in WAYS {
        let (caller, peer) = way.meet(vec![Act::Answer(0)]).await;
        let error = caller.call(&peer.at, LONG).await.unwrap_err();
        assert!(matches!(failure(error), Failure::Closed));
        assert_eq!((peer.accepted(), peer.calls()), (2, 2));
        assert_eq!(caller.pool.usage(BEATS), usage(0, 0));
    }
}

// K-2: a kept connection that the peer closed or resets
#[tokio::test]
async fn a_kept_connection_that_went_stale_costs_the_call_nothing() {
    for way in WAYS {
        for act in [Act::Answer(1), Act::AnswerThen(1, Act::Reset.into())] {
            let (caller, peer) = way.meet(vec![act, Act::Answer(9)]).await;
            caller.call(&peer.at, LONG).await.unwrap();
            caller.call(&peer.at, LONG).await.unwrap();
            assert_eq!(peer.accepted(), 2);
        }
    }
}

// K-2: closed inside the answer is not closed before it
#[tokio::test]
async fn half_an_answer_is_not_sent_again() {
    let half = &reply("Heartbeat", 0)[..20];
    for way in WAYS {
        let (caller, peer) = way.meet(vec![Act::SendAndClose(half.to_vec())]).await;
        let error = caller.call(&peer.at, LONG).await.unwrap_err();
        assert_eq!(error.code(), StatusCode::RPC_GENERAL_ERROR);
        assert_eq!(peer.calls(), 1);
    }
}

// K-2, K-3: 31, not retried
#[tokio::test]
async fn a_receive_timeout_is_not_retried() {
    for way in WAYS {
        let (caller, peer) = way.meet(vec![Act::Silent]).await;
        let start = Instant::now();
        let error = caller.call(&peer.at, SHORT).await.unwrap_err();
        assert!(start.elapsed() >= SHORT);
        assert_eq!(error.code(), StatusCode::RPC_RECV_TIMEOUT);
        let text = format!(
            "RPC recv timed out: dest address: {}, rpc: Heartbeat",
            peer.at
        );
        assert_eq!(error.to_string(), text);
        until("the call arrived", || peer.calls() == 1).await;
        assert_eq!(peer.accepted(), 1);
        assert_eq!(caller.pool.usage(BEATS), usage(0, 0));
    }
}

// K-2, K-3: 30, for the second time
#[tokio::test]
async fn a_receive_timeout_of_the_second_send_is_a_general_error() {
    for way in WAYS {
        let (caller, peer) = way.meet(vec![Act::Reset, Act::Silent]).await;
        let second_is_late = async {
            until("the second send", || peer.calls() == 2).await;
            pass(LONG).await;
        };
        let (result, ()) = tokio::join!(caller.call(&peer.at, LONG), second_is_late);
        let error = result.unwrap_err();
        assert!(matches!(failure(error), Failure::SecondRecvTimeout));
        assert_eq!(peer.accepted(), 2);
    }
}

// K-3: 2
#[tokio::test]
async fn a_first_connect_that_fails_is_general_with_the_transports_text() {
    let nobody = closed_port().await;
    for way in WAYS {
        let caller = way.caller(PoolLimits::default());
        let error = caller.call(&nobody, LONG).await.unwrap_err();
        assert_eq!(error.code(), StatusCode::GENERAL);
        let text = error.status().message().to_string();
        let expected = format!("Couldn't open transport for {nobody} (connect() failed: ");
        assert!(text.starts_with(&expected), "{text}");
    }
}

// K-3: 58, for a kept connection and for one closed before its answer
#[tokio::test]
async fn a_reconnect_that_fails_is_a_connect_failure() {
    for (way, answers) in WAYS.iter().flat_map(|way| [(way, 0), (way, 1)]) {
        let mut listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let port = Listener::local_addr(&listener).unwrap().port();
        let at = HostPort::new("127.0.0.1", port);
        let caller = way.caller(PoolLimits::default());
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
                caller.call(&at, LONG).await.unwrap();
            }
            caller.call(&at, LONG).await.unwrap_err()
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
    for way in WAYS {
        let caller = way.caller(PoolLimits::default());
        let start = Instant::now();
        let error = within(caller.call(&at, SHORT)).await.unwrap_err();
        assert!(start.elapsed() >= SHORT);
        assert_eq!(error.code(), StatusCode::GENERAL);
        let text = format!("Couldn't open transport for {at} (connect() timed out)");
        assert_eq!(error.to_string(), text);
    }
}

// K-3: not a receive timeout, the send was not complete
#[tokio::test]
async fn a_peer_that_never_reads_blocks_only_until_the_deadline() {
    for way in WAYS {
        let (caller, peer) = way.meet(vec![Act::Deaf]).await;
        let limits = CallLimits::small(SHORT);
        let call = caller.reply((&peer.at, BEATS), vec![0; 64 << 20], limits);
        let error = within(call).await.unwrap_err();
        assert!(matches!(failure(error), Failure::SendTimeout));
        assert_eq!(caller.pool.usage(BEATS), usage(0, 0));
    }
}

// F-4
#[tokio::test]
async fn closing_an_address_closes_idle_connections_and_takes_back_none_in_use() {
    for way in WAYS {
        let (caller, peer) = way.meet(vec![Act::Answer(usize::MAX)]).await;
        let call = || caller.call(&peer.at, LONG);
        let (a, b) = tokio::join!(call(), call());
        a.unwrap();
        b.unwrap();
        let limits = CallLimits::small(LONG);
        let in_use = caller.reply((&peer.at, BEATS), heartbeat(), limits);
        let in_use = in_use.await.unwrap();
        assert_eq!(caller.pool.usage(BEATS), usage(1, 2));
        caller.pool.close(&peer.at);
        assert_eq!(caller.pool.usage(BEATS), usage(1, 1));
        in_use.decode::<HeartbeatResponse>(&peer.at).unwrap();
        assert_eq!(caller.pool.usage(BEATS), usage(0, 0));
        call().await.unwrap();
        assert_eq!(peer.accepted(), 3);
        caller.pool.close_all();
        assert_eq!(caller.pool.usage(BEATS), usage(0, 0));
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_closes_its_connection_at_once() {
    for way in WAYS {
        for acts in [
            vec![Act::Answer(1), Act::Silent],
            vec![Act::AnswerThen(1, Act::Silent.into())],
        ] {
            let (caller, peer) = way.meet(acts).await;
            caller.call(&peer.at, LONG).await.unwrap();
            let under_way = || peer.calls() == 2 && caller.pool.usage(BEATS).in_use == 1;
            tokio::select! {
                _ = caller.call(&peer.at, LONG) => panic!("nobody answers"),
                () = until("the second call arrives", under_way) => {}
            }
            assert_eq!(caller.pool.usage(BEATS), usage(0, 0));
        }
    }
}

#[tokio::test]
async fn idle_connections_are_bounded_and_the_longest_idle_goes_first() {
    for way in WAYS {
        let mut peers = Vec::new();
        for _ in 0..4 {
            peers.push(Scripted::start(vec![Act::Answer(usize::MAX)]).await);
        }
        let caller = way.caller(PoolLimits {
            max_open: 3,
            ..Default::default()
        });
        for n in [0, 1, 2, 0, 3] {
            caller.call(&peers[n].at, LONG).await.unwrap();
            assert!(caller.pool.usage(BEATS).total <= 3);
        }
        for n in [0, 2, 3] {
            caller.call(&peers[n].at, LONG).await.unwrap();
            assert_eq!(peers[n].accepted(), 1);
        }
        caller.call(&peers[1].at, LONG).await.unwrap();
        assert_eq!(peers[1].accepted(), 2);
    }
}

#[tokio::test]
async fn connections_to_addresses_never_used_again_go_with_time() {
    for way in WAYS {
        let (gone, used) = (
            Scripted::start(vec![Act::Answer(usize::MAX)]).await,
            Scripted::start(vec![Act::Answer(usize::MAX)]).await,
        );
        let caller = way.caller(PoolLimits {
            max_idle_time: Duration::ZERO,
            ..Default::default()
        });
        caller.call(&gone.at, LONG).await.unwrap();
        let tick = Instant::now() + Duration::from_millis(2);
        until("a clock tick", || Instant::now() > tick).await;
        caller.call(&used.at, LONG).await.unwrap();
        assert_eq!(caller.pool.usage(BEATS), usage(0, 1));
    }
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
            let succeeds = made.get() >= succeeds_at;
            succeeds.then_some(()).ok_or(made.get())
        })
        .await;
        assert_eq!((made.get(), result.is_ok()), (makes, makes == succeeds_at));
        assert_eq!(start.elapsed(), pause * (makes - 1));
    }
}
