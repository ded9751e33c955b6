//! One connection, one call at a time; a peer at the other end of a pipe that misbehaves.
//! Time is virtual here: nothing but the pipe and the clock can wake a task.
#![allow(clippy::unwrap_used)]

mod common;

use common::{exception, heartbeat, reply};
use statestore_rpc::{Budget, CallLimits, Connection, Failure, HostPort, RpcError, Stream};
use statestore_wire::{Fault, HeartbeatRequest, HeartbeatResponse, StatusCode};
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::time::{Instant, sleep};

const DEADLINE: Duration = Duration::from_secs(3);

fn pair() -> (Connection<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(1 << 20);
    (Connection::new(near, &Budget::unlimited()), far)
}

async fn call(connection: &mut Connection<impl Stream>) -> Result<HeartbeatResponse, RpcError> {
    let request = HeartbeatRequest::default();
    let limits = CallLimits::small(DEADLINE);
    connection
        .call(&HostPort::new("::1", 9), &request, limits)
        .await
}

/// A call whose peer answers with these bytes.
async fn answered_with(bytes: &[u8]) -> (Connection<DuplexStream>, DuplexStream, RpcError) {
    let (mut connection, mut far) = pair();
    far.write_all(bytes).await.unwrap();
    let error = call(&mut connection).await.unwrap_err();
    (connection, far, error)
}

fn failure(error: RpcError) -> Failure {
    match error {
        RpcError::General { failure, .. } => failure,
        other => panic!("of another class: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn calls_follow_each_other_on_one_connection() {
    let (mut connection, mut far) = pair();
    for _ in 0..3 {
        far.write_all(&reply("Heartbeat", 0)).await.unwrap();
        assert_eq!(
            call(&mut connection).await.unwrap(),
            HeartbeatResponse::default()
        );
        let mut got = vec![0; heartbeat().len()];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(got, heartbeat());
        assert!(connection.is_fresh());
    }
}

thread_local! {
    static LATER: Cell<usize> = const { Cell::new(0) };
}

/// A pipe that counts how often it is told that acknowledgements have time.
struct Counting(DuplexStream);

impl Stream for Counting {
    fn acknowledge_later(&self) {
        LATER.set(LATER.get() + 1);
    }
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_have_time_where_the_last_call_was_a_moment_ago() {
    let (near, mut far) = duplex(1 << 20);
    let mut connection = Connection::new(Counting(near), &Budget::unlimited());
    let mut told = Vec::new();
    for pause in [0, 100, 199, 200, 1_000, 50] {
        sleep(Duration::from_millis(pause)).await;
        far.write_all(&reply("Heartbeat", 0)).await.unwrap();
        call(&mut connection).await.unwrap();
        told.push(LATER.take());
    }
    assert_eq!(told, [0, 1, 1, 0, 0, 1]);
}

// K-3: 31 after a complete send, with our text
#[tokio::test(start_paused = true)]
async fn a_late_answer_is_a_receive_timeout_at_the_deadline_and_the_connection_is_gone() {
    let (mut connection, mut far) = pair();
    let start = Instant::now();
    let error = call(&mut connection).await.unwrap_err();
    assert_eq!(start.elapsed(), DEADLINE);
    assert_eq!(error.code(), StatusCode::RPC_RECV_TIMEOUT);
    let text = "RPC recv timed out: dest address: [::1]:9, rpc: Heartbeat";
    assert_eq!(error.status().message(), text);
    far.write_all(&reply("Heartbeat", 0)).await.unwrap();
    let error = call(&mut connection).await.unwrap_err();
    assert!(matches!(failure(error), Failure::Unusable));
}

// W14: a total deadline, not one per socket operation
#[tokio::test(start_paused = true)]
async fn a_peer_that_dribbles_its_answer_does_not_stretch_the_deadline() {
    let (mut connection, mut far) = pair();
    let start = Instant::now();
    let dribble = async {
        for byte in reply("Heartbeat", 0) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            far.write_all(&[byte]).await.unwrap();
        }
    };
    let error = tokio::select! {
        result = call(&mut connection) => result.unwrap_err(),
        () = dribble => panic!("the deadline passed long ago"),
    };
    assert_eq!(error.code(), StatusCode::RPC_RECV_TIMEOUT);
    assert_eq!(start.elapsed(), DEADLINE);
}

// K-3: 31 only after a complete send
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_a_general_error_at_the_deadline() {
    let (near, _far) = duplex(16);
    let mut connection = Connection::new(near, &Budget::unlimited());
    let start = Instant::now();
    let error = call(&mut connection).await.unwrap_err();
    assert_eq!(start.elapsed(), DEADLINE);
    assert_eq!(error.code(), StatusCode::RPC_GENERAL_ERROR);
    assert!(
        error.to_string().starts_with("RPC Error: send timed out"),
        "{error}"
    );
    assert!(matches!(failure(error), Failure::SendTimeout));
}

#[tokio::test(start_paused = true)]
async fn an_exception_is_a_failed_call_with_the_peers_text() {
    let bytes = exception("Heartbeat", 0, 1, "Invalid method name: 'Heartbeat'");
    let (mut connection, _far, error) = answered_with(&bytes).await;
    assert_eq!(error.code(), StatusCode::RPC_GENERAL_ERROR);
    assert_eq!(error.exception().unwrap().kind, Some(1));
    assert!(
        error
            .to_string()
            .contains("Invalid method name: 'Heartbeat'")
    );
    // K-1: dropped after any failed call
    assert!(!connection.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn a_result_without_success_is_an_unknown_result() {
    let mut bytes = reply("Heartbeat", 0);
    bytes.truncate(4 + 13 + 4);
    bytes.push(0);
    let (mut connection, _far, error) = answered_with(&bytes).await;
    assert!(
        error
            .to_string()
            .contains("Heartbeat failed: unknown result"),
        "{error}"
    );
    assert!(!connection.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn a_required_field_absent_in_a_reply_fails_the_call_and_drops_the_connection() {
    let mut bytes = reply("Heartbeat", 0);
    bytes.truncate(4 + 13 + 4 + 3); // up to the header of field `success`
    bytes.extend([0, 0]);
    let (mut connection, _far, error) = answered_with(&bytes).await;
    assert_eq!(error.code(), StatusCode::RPC_GENERAL_ERROR);
    let missing = Failure::BadReply(Fault::MissingField("HeartbeatResponse.status"));
    assert_eq!(failure(error).to_string(), missing.to_string());
    assert!(!connection.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_to_the_call_is_a_general_error() {
    let mut oneway = reply("Heartbeat", 0);
    oneway[3] = 4;
    let cases: [(&str, Vec<u8>); 6] = [
        ("another method", reply("UpdateState", 0)),
        (
            "another method's exception",
            exception("UpdateState", 0, 0, "x"),
        ),
        ("a call", heartbeat()),
        ("a oneway", oneway),
        ("garbage", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("a bad version", vec![0x80, 2, 0, 2, 0, 0, 0, 0]),
    ];
    for (what, bytes) in cases {
        let (mut connection, _far, error) = answered_with(&bytes).await;
        assert_eq!(error.code(), StatusCode::RPC_GENERAL_ERROR, "{what}");
        assert!(!connection.is_fresh(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_sequence_id_of_a_reply_is_not_checked() {
    let (mut connection, mut far) = pair();
    far.write_all(&reply("Heartbeat", 4711)).await.unwrap();
    call(&mut connection).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_before_the_answer_and_one_inside_it_are_told_apart() {
    for (cut, closed) in [(0, true), (1, false), (30, false)] {
        let (mut connection, mut far) = pair();
        far.write_all(&reply("Heartbeat", 0)[..cut]).await.unwrap();
        far.shutdown().await.unwrap();
        let failure = failure(call(&mut connection).await.unwrap_err());
        assert_eq!(matches!(failure, Failure::Closed), closed, "{failure}");
        assert_eq!(matches!(failure, Failure::Receive(_)), !closed, "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_beyond_the_limit_is_refused_before_it_is_read() {
    let mut bytes = reply("Heartbeat", 0);
    bytes.truncate(4 + 13 + 4);
    bytes.extend([11, 0, 9, 0x7f, 0xff, 0xff, 0xff]); // an unknown string of 2 GiB
    let (_connection, _far, error) = answered_with(&bytes).await;
    let failure = failure(error);
    assert!(
        matches!(failure, Failure::BadReply(Fault::TooLarge { .. })),
        "{failure}"
    );
}

// K-1
#[tokio::test(start_paused = true)]
async fn a_connection_is_not_fresh_once_the_peer_spoke_unasked_or_left() {
    let (mut connection, mut far) = pair();
    let twice = [reply("Heartbeat", 0), reply("Heartbeat", 0)].concat();
    far.write_all(&twice).await.unwrap();
    call(&mut connection).await.unwrap();
    assert!(!connection.is_fresh());
    assert!(matches!(
        failure(call(&mut connection).await.unwrap_err()),
        Failure::Unusable
    ));

    let (mut connection, mut far) = pair();
    assert!(connection.is_fresh());
    far.write_all(b"x").await.unwrap();
    assert!(!connection.is_fresh());

    let (mut connection, far) = pair();
    drop(far);
    assert!(!connection.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_dropped_in_the_middle_spoils_the_connection() {
    let (mut connection, mut far) = pair();
    tokio::select! {
        biased;
        _ = call(&mut connection) => panic!("there is no answer"),
        () = std::future::ready(()) => {}
    }
    far.write_all(&reply("Heartbeat", 0)).await.unwrap();
    assert!(!connection.is_fresh());
    assert!(matches!(
        failure(call(&mut connection).await.unwrap_err()),
        Failure::Unusable
    ));
}
