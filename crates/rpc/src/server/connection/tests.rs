//! What a connection takes of memory and of time. What it answers is in `tests/server.rs`.
//! Deliberately absent: sockets and clocks; time is paused, so that what is measured is exact.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::dispatch;
use statestore_wire::envelope::write_call;
use statestore_wire::{HeartbeatRequest, HeartbeatResponse};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

#[derive(Clone)]
struct Answers;

impl LocalService for Answers {
    const METHODS: &'static [&'static str] = &["Heartbeat"];

    async fn call(&self, call: Call) -> Outcome {
        dispatch!(call, {
            HeartbeatRequest => |_request| Ok::<_, String>(HeartbeatResponse::default()),
        })
    }
}

#[derive(Default)]
struct Times(Mutex<Vec<CallTimes>>);

impl Observer for Times {
    fn call_ended(&self, _: &'static str, times: Option<CallTimes>) {
        self.0.lock().unwrap().extend(times);
    }
}

fn conversation(
    times: &Arc<Times>,
    closing: watch::Receiver<bool>,
) -> (DuplexStream, impl Future<Output = ()> + use<>) {
    let (near, far) = tokio::io::duplex(1024);
    let shared = Shared {
        limits: Limits::default(),
        observer: times.clone(),
        idle: Idle::new(1),
    };
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    (near, converse(far, peer, Answers, shared, closing))
}

// P2: thousands of connections wait for their next call.
#[test]
fn a_connection_that_waits_takes_a_kilobyte_at_most() {
    let (_close, closing) = watch::channel(false);
    let (_, conversation) = conversation(&Arc::default(), closing);
    assert!(size_of_val(&conversation) <= 1024);
}

#[tokio::test(start_paused = true)]
async fn reading_takes_from_the_first_byte_to_the_last_and_no_longer() {
    let times = Arc::default();
    let (_close, closing) = watch::channel(false);
    let (mut near, conversation) = conversation(&times, closing);
    let mut call = Vec::new();
    write_call(&HeartbeatRequest::default(), &mut call);
    let asks = async {
        for pause in [Duration::ZERO, Duration::from_secs(3)] {
            tokio::time::sleep(Duration::from_secs(100)).await;
            let (first, rest) = call.split_at(5);
            near.write_all(first).await.unwrap();
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            near.write_all(rest).await.unwrap();
            assert_ne!(near.read(&mut [0; 1024]).await.unwrap(), 0);
        }
        drop(near);
    };
    tokio::join!(asks, conversation);
    let read: Vec<Duration> = times.0.lock().unwrap().iter().map(|it| it.read).collect();
    assert_eq!(read, [Duration::ZERO, Duration::from_secs(3)]);
}
