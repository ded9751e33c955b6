//! etcd: a store of keys that many may watch, by its gRPC.
//!
//! Each watcher has a connection of its own, as separate daemons have, and counts events. Many
//! entries are written in transactions, several of them under way: that is how a client fills an
//! etcd fast. Deliberately absent: leases, compaction, more than one member.

use super::{Heard, Program, START, connect, free_port, protobuf};
use crate::failure::Failure;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use h2::client::SendRequest;
use http::{Method, Request};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Puts of a transaction; etcd's default bound is 128.
const PUTS: usize = 100;
/// Transactions under way.
const AT_ONCE: usize = 8;
/// Bytes that may come before they are asked for.
const WINDOW: u32 = 16 * 1024 * 1024;

/// A running one, with its watchers.
pub(super) struct Server {
    program: Program,
    port: u16,
    publisher: SendRequest<Bytes>,
    heard: Arc<Heard>,
    watchers: usize,
    /// Connections and those who read from them.
    tasks: JoinSet<()>,
}

impl Server {
    /// None if the program is not installed.
    pub(super) async fn start() -> Result<Option<Self>, Failure> {
        let (port, unused) = (free_port()?, free_port()?);
        let [clients, peers] = [port, unused].map(|port| format!("http://127.0.0.1:{port}"));
        let launched = Program::start("etcd", |folder| {
            Ok(vec![
                format!("--data-dir={}", folder.join("data").display()),
                format!("--listen-client-urls={clients}"),
                format!("--advertise-client-urls={clients}"),
                format!("--listen-peer-urls={peers}"),
                format!("--initial-advertise-peer-urls={peers}"),
                format!("--initial-cluster=default={peers}"),
            ])
        })?;
        let Some(program) = launched else {
            return Ok(None);
        };
        let mut tasks = JoinSet::new();
        let reach = || Failure::io("reach etcd");
        let publisher = open(port, &mut tasks).await.map_err(reach())?;
        let start = Instant::now();
        // It answers before it has elected itself.
        while let Err(error) =
            call(&publisher, "/etcdserverpb.KV/Put", protobuf::put(b"a", b"")).await
        {
            if start.elapsed() > START {
                return Err(reach()(error));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(Self {
            program,
            port,
            publisher,
            heard: Arc::default(),
            watchers: 0,
            tasks,
        }))
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    pub(super) async fn watch(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let connection = open(self.port, &mut self.tasks).await?;
            let request = request("/etcdserverpb.Watch/Watch")?;
            let mut ready = connection.ready().await.map_err(io::Error::other)?;
            let sent = ready.send_request(request, false);
            let (response, mut words) = sent.map_err(io::Error::other)?;
            let wanted = protobuf::framed(&protobuf::watch(b"k", b"l")).into();
            words.send_data(wanted, false).map_err(io::Error::other)?;
            let response = response.await.map_err(io::Error::other)?;
            let mut events = Events::new(response.into_body());
            // The first one says that the watch was created.
            events.next().await?;
            let heard = Arc::clone(&self.heard);
            self.tasks.spawn(async move {
                // Both stay, or the stream would end.
                let _held = (ready, words);
                // One that ends is missed by who waits for its events.
                while let Ok(Some(events)) = events.next().await {
                    heard.add(events);
                }
            });
        }
        self.watchers += count;
        Ok(())
    }

    pub(super) async fn publish(&mut self, count: usize, len: usize) -> io::Result<()> {
        let goal = self.heard.expect((count * self.watchers) as u64);
        let value = vec![b'v'; len];
        let put = |i: usize| protobuf::put(format!("k{i:011}").as_bytes(), &value);
        if count == 1 {
            call(&self.publisher, "/etcdserverpb.KV/Put", put(0)).await?;
        } else {
            let parts = (0..count).step_by(PUTS).map(|first| {
                let puts = (first..count.min(first + PUTS)).map(put);
                let publisher = &self.publisher;
                async move {
                    let transaction = protobuf::transaction(puts);
                    call(publisher, "/etcdserverpb.KV/Txn", transaction).await
                }
            });
            let parts = futures::stream::iter(parts).buffer_unordered(AT_ONCE);
            parts.try_collect::<()>().await?;
        }
        self.heard.reach(goal).await;
        Ok(())
    }
}

/// What a watcher is sent.
struct Events {
    body: h2::RecvStream,
    arrived: BytesMut,
}

impl Events {
    fn new(body: h2::RecvStream) -> Self {
        let arrived = BytesMut::new();
        Self { body, arrived }
    }

    /// How many events the next message holds; none at the end.
    async fn next(&mut self) -> io::Result<Option<u64>> {
        loop {
            if let Some(len) =
                protobuf::frame_len(&self.arrived).filter(|len| *len <= self.arrived.len())
            {
                let frame = self.arrived.split_to(len);
                return protobuf::events(&frame[5..]).map(Some);
            }
            let Some(chunk) = self.body.data().await else {
                return Ok(None);
            };
            let chunk = chunk.map_err(io::Error::other)?;
            let freed = self.body.flow_control().release_capacity(chunk.len());
            freed.map_err(io::Error::other)?;
            self.arrived.extend_from_slice(&chunk);
        }
    }
}

/// A new connection; what moves its bytes is among the tasks.
async fn open(port: u16, tasks: &mut JoinSet<()>) -> io::Result<SendRequest<Bytes>> {
    let stream = connect(port).await?;
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(1024 * 1024);
    let (sender, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
    tasks.spawn(async move {
        // How it ended is seen by whoever uses it.
        let _ = connection.await;
    });
    Ok(sender)
}

/// One message there, one back; an error if etcd says that it failed.
async fn call(sender: &SendRequest<Bytes>, method: &str, message: Vec<u8>) -> io::Result<()> {
    let mut ready = sender.clone().ready().await.map_err(io::Error::other)?;
    let sent = ready.send_request(request(method)?, false);
    let (response, mut words) = sent.map_err(io::Error::other)?;
    let frame = protobuf::framed(&message).into();
    words.send_data(frame, true).map_err(io::Error::other)?;
    let response = response.await.map_err(io::Error::other)?;
    // A failure without an answer has its status where others have their first words.
    let early = response.headers().get("grpc-status").cloned();
    let mut body = response.into_body();
    while let Some(chunk) = body.data().await {
        let len = chunk.map_err(io::Error::other)?.len();
        let freed = body.flow_control().release_capacity(len);
        freed.map_err(io::Error::other)?;
    }
    let last = body.trailers().await.map_err(io::Error::other)?;
    let status = last.and_then(|last| last.get("grpc-status").cloned());
    match status.or(early) {
        Some(status) if status == "0" => Ok(()),
        status => Err(io::Error::other(format!("gRPC status {status:?}"))),
    }
}

fn request(method: &str) -> io::Result<Request<()>> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://127.0.0.1{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(());
    request.map_err(io::Error::other)
}
