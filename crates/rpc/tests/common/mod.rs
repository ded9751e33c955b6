//! What the tests share: a small service, a server of it, and peers that misbehave by script.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use bytes::Bytes;
use statestore_rpc::message::MessageReader;
use statestore_rpc::{
    Budget, Call, HostPort, Limits, Listener, Net, Observer, Outcome, Server, Service, TcpNet,
    dispatch,
};
use statestore_wire::envelope::{ApplicationException, write_call, write_exception, write_reply};
use statestore_wire::{
    Envelope, GetProtocolVersionRequest, HeartbeatRequest, HeartbeatResponse, MessageKind, Reader,
    SetStatestoreDebugActionRequest, SetStatestoreDebugActionResponse, UpdateStateRequest,
    UpdateStateResponse,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

pub mod counts;
pub mod way;

/// Generous: only a broken test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Lets time pass at once, where a test waits for no other.
pub async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Heartbeats are answered, updates echoed, versions refused with an error; debug actions
/// panic when they disable the network, else wait at the gate.
#[derive(Clone)]
pub struct Probe {
    pub gate: Arc<Semaphore>,
    pub waiting: Arc<AtomicUsize>,
}

impl Probe {
    pub fn new() -> Self {
        Self {
            gate: Arc::new(Semaphore::new(0)),
            waiting: Arc::default(),
        }
    }

    async fn wait(&self, panics: bool) -> Result<SetStatestoreDebugActionResponse, String> {
        assert!(!panics, "as the test asked");
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.acquire().await.unwrap());
        Ok(SetStatestoreDebugActionResponse::default())
    }
}

impl Service for Probe {
    const METHODS: &'static [&'static str] = &[
        "Heartbeat",
        "UpdateState",
        "GetProtocolVersion",
        "SetStatestoreDebugAction",
    ];

    async fn call(&self, call: Call) -> Outcome {
        dispatch!(call, {
            HeartbeatRequest => |_request| Ok::<_, String>(HeartbeatResponse::default()),
            UpdateStateRequest => |request| Ok::<_, String>(UpdateStateResponse {
                topic_updates: request.topic_deltas.0.into_iter().map(|(_, d)| d).collect(),
                ..Default::default()
            }),
            GetProtocolVersionRequest => |_request| Err("Invalid data"),
            SetStatestoreDebugActionRequest => |request| {
                self.wait(request.disable_network == Some(true)).await
            },
        })
    }
}

/// A server under test.
pub struct Running {
    pub at: HostPort,
    pub probe: Probe,
    stop: oneshot::Sender<()>,
    pub ended: JoinHandle<()>,
}

impl Running {
    pub async fn start(limits: Limits, observer: Arc<dyn Observer>) -> Self {
        let listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let port = Listener::local_addr(&listener).unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let probe = Probe::new();
        let server = Server::new(listener, limits, observer);
        let serving = server.serve(probe.clone(), async move {
            let _ = stopped.await;
        });
        Self {
            at: HostPort::new("127.0.0.1", port),
            probe,
            stop,
            ended: tokio::spawn(serving),
        }
    }

    pub fn stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(());
        self.ended
    }
}

pub async fn plain(at: &HostPort) -> TcpStream {
    TcpNet.connect(at).await.unwrap()
}

pub fn heartbeat() -> Vec<u8> {
    let mut out = Vec::new();
    write_call(&HeartbeatRequest::default(), &mut out);
    out
}

pub fn heartbeat_parts() -> [Bytes; 1] {
    [heartbeat().into()]
}

pub fn envelope(kind: MessageKind, method: &str, seqid: i32) -> Envelope {
    Envelope {
        kind,
        method: method.into(),
        seqid,
    }
}

/// A heartbeat's reply under any method name.
pub fn reply(method: &str, seqid: i32) -> Vec<u8> {
    let mut out = Vec::new();
    let call = envelope(MessageKind::Call, method, seqid);
    write_reply(&call, &HeartbeatResponse::default(), &mut out);
    out
}

pub fn exception(method: &str, seqid: i32, kind: i32, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let exception = ApplicationException {
        message: Some(text.into()),
        kind: Some(kind),
    };
    let call = envelope(MessageKind::Call, method, seqid);
    write_exception(&call, &exception, &mut out);
    out
}

/// Sends bytes and reads exactly what is expected back.
pub async fn expect(stream: &mut TcpStream, send: &[u8], answer: &[u8]) {
    stream.write_all(send).await.unwrap();
    let mut got = vec![0; answer.len()];
    within(stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, answer);
}

/// A call that waits at the gate, or panics.
pub fn gate_call(panics: bool) -> Vec<u8> {
    let request = SetStatestoreDebugActionRequest {
        disable_network: panics.then_some(true),
        ..Default::default()
    };
    let mut out = Vec::new();
    write_call(&request, &mut out);
    out
}

/// Sends bytes and sees the connection closed without an answer.
pub async fn expect_closed(stream: &mut TcpStream, send: &[u8]) {
    let _ = stream.write_all(send).await; // the peer may close in the middle
    let mut got = Vec::new();
    // A reset is a close with bytes unread.
    let _ = within(stream.read_to_end(&mut got)).await;
    assert_eq!(got, b"");
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

/// What a scripted peer does with one connection.
#[derive(Debug, Clone)]
pub enum Act {
    /// Answers this many calls, then closes orderly.
    Answer(usize),
    /// Answers this many calls, then does something else with the same connection.
    AnswerThen(usize, Box<Self>),
    /// Reads a call and resets the connection.
    Reset,
    /// Reads calls, never answers.
    Silent,
    /// Reads a call, sends these bytes, and keeps the connection open.
    Send(Vec<u8>),
    /// Reads a call, sends these bytes, closes.
    SendAndClose(Vec<u8>),
    /// Reads nothing.
    Deaf,
}

/// A peer that treats its nth connection by the nth act, later ones by the last.
pub struct Scripted {
    pub at: HostPort,
    accepted: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Scripted {
    pub async fn start(acts: Vec<Act>) -> Self {
        let mut listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let port = Listener::local_addr(&listener).unwrap().port();
        let peer = Self {
            at: HostPort::new("127.0.0.1", port),
            accepted: Arc::default(),
            calls: Arc::default(),
        };
        let (accepted, calls) = (peer.accepted.clone(), peer.calls.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = Listener::accept(&mut listener).await.unwrap();
                let n = accepted.fetch_add(1, Ordering::SeqCst);
                let act = acts[n.min(acts.len() - 1)].clone();
                tokio::spawn(perform(act, stream, calls.clone()));
            }
        });
        peer
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Calls read so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Counts calls from here.
    pub fn forget_calls(&self) {
        self.calls.store(0, Ordering::SeqCst);
    }
}

async fn perform(mut act: Act, mut stream: TcpStream, calls: Arc<AtomicUsize>) {
    while let Act::AnswerThen(many, then) = act {
        for _ in 0..many {
            if !read_call(&mut stream).await {
                return;
            }
            calls.fetch_add(1, Ordering::SeqCst);
            stream.write_all(&reply("Heartbeat", 0)).await.unwrap();
        }
        act = *then;
    }
    if matches!(act, Act::Deaf) {
        return std::future::pending().await;
    }
    let mut call = 0;
    while read_call(&mut stream).await {
        calls.fetch_add(1, Ordering::SeqCst);
        call += 1;
        match &act {
            Act::Answer(n) => {
                if call <= *n {
                    stream.write_all(&reply("Heartbeat", 0)).await.unwrap();
                }
                if call >= *n {
                    return;
                }
            }
            Act::Reset => {
                return rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))
                    .unwrap();
            }
            Act::Send(bytes) => stream.write_all(bytes).await.unwrap(),
            Act::SendAndClose(bytes) => return stream.write_all(bytes).await.unwrap(),
            Act::Silent | Act::Deaf | Act::AnswerThen(..) => {}
        }
    }
}

/// Reads one call; nobody sends the next one before it was answered.
async fn read_call(stream: &mut TcpStream) -> bool {
    let mut reader = MessageReader::new(1 << 20, &Budget::unlimited());
    let call = reader.read(stream).await;
    let call = call.ok().flatten();
    if let Some(call) = &call {
        let envelope = Envelope::read(&mut Reader::new(call.bytes())).unwrap();
        assert_eq!((envelope.kind, reader.received()), (MessageKind::Call, 0));
    }
    call.is_some()
}
