//! What a user might pick instead, as a process beside: servers that hand messages to whoever
//! listens, driven by the words of their own protocols.
//!
//! ```text
//!   one publisher --- words ---> the peer ---> N watchers: tasks that only count bytes
//! ```
//!
//! A delivered message has a length that is known before, so a watcher needs no parser, and
//! receiving costs no more than for the statestored's crowd. Deliberately absent: client
//! libraries, whose price is not the server's.

use crate::failure::Failure;
use crate::machine::Process;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How to speak to a kind of server.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    /// Its settings, for a file.
    settings: fn(port: u16) -> String,
    /// Words that name the file.
    arguments: &'static [&'static str],
    /// Asks for all that is published, and what ends the answer.
    subscribe: (&'static str, &'static str),
    /// Begins a publication of so many bytes.
    publish: fn(len: usize) -> String,
    /// Begins its delivery.
    deliver: fn(len: usize) -> String,
}

/// The end of a payload, in both.
const END: &[u8] = b"\r\n";

pub(crate) const KINDS: [Kind; 2] = [
    Kind {
        name: "NATS (core)",
        program: "nats-server",
        package: "nats-server",
        settings: |port| format!("listen: 127.0.0.1:{port}\nmax_pending: 2GB\n"),
        arguments: &["--config"],
        subscribe: (
            "CONNECT {\"verbose\":false}\r\nSUB changes 1\r\nPING\r\n",
            "PONG\r\n",
        ),
        publish: |len| format!("PUB changes {len}\r\n"),
        deliver: |len| format!("MSG changes 1 {len}\r\n"),
    },
    Kind {
        name: "Redis (pub/sub)",
        program: "redis-server",
        package: "redis-server",
        settings: |port| {
            format!(
                "port {port}\nbind 127.0.0.1\nsave \"\"\nappendonly no\nmaxclients 20000\n\
                 client-output-buffer-limit pubsub 0 0 0\n"
            )
        },
        arguments: &[],
        subscribe: ("SUBSCRIBE changes\r\n", ":1\r\n"),
        publish: |len| format!("*3\r\n$7\r\nPUBLISH\r\n$7\r\nchanges\r\n${len}\r\n"),
        deliver: |len| format!("*3\r\n$7\r\nmessage\r\n$7\r\nchanges\r\n${len}\r\n"),
    },
];

/// A running one, with its watchers.
pub(crate) struct Peer {
    kind: &'static Kind,
    child: Child,
    publisher: TcpStream,
    heard: Arc<Heard>,
    watchers: JoinSet<()>,
    _folder: TempDir,
}

/// What all watchers have read.
#[derive(Default)]
struct Heard {
    bytes: AtomicU64,
    goal: AtomicU64,
    reached: Notify,
}

impl Peer {
    /// None if the program is not installed.
    pub(crate) async fn start(kind: &'static Kind) -> Result<Option<Self>, Failure> {
        let folder = TempDir::new().map_err(Failure::io("make a folder"))?;
        let port = free_port().map_err(Failure::io("find a port"))?;
        let file = folder.path().join("settings");
        let written = std::fs::write(&file, (kind.settings)(port));
        written.map_err(Failure::io("write the settings of a peer"))?;
        let child = Command::new(kind.program)
            .args(kind.arguments)
            .arg(&file)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io(format!("start {}", kind.program))(error)),
        };
        let publisher = match connect(port).await {
            Ok(publisher) => publisher,
            Err(error) => {
                end(&mut child);
                return Err(Failure::io(format!("reach {}", kind.program))(error));
            }
        };
        Ok(Some(Self {
            kind,
            child,
            publisher,
            heard: Arc::default(),
            watchers: JoinSet::new(),
            _folder: folder,
        }))
    }

    pub(crate) fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Lets so many more listen.
    pub(crate) async fn watch(&mut self, count: usize) -> Result<(), Failure> {
        let failed = || Failure::io(format!("listen to {}", self.kind.program));
        let address = self.publisher.peer_addr().map_err(failed())?;
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await.map_err(failed())?;
            let (words, answer) = self.kind.subscribe;
            stream.write_all(words.as_bytes()).await.map_err(failed())?;
            let mut said = Vec::new();
            while !said.ends_with(answer.as_bytes()) {
                said.push(stream.read_u8().await.map_err(failed())?);
            }
            let heard = Arc::clone(&self.heard);
            self.watchers.spawn(async move {
                let mut scratch = vec![0; 256 * 1024];
                // One that ends is missed by who waits for its bytes.
                while let Ok(len @ 1..) = stream.read(&mut scratch).await {
                    heard.add(len as u64);
                }
            });
        }
        Ok(())
    }

    /// Publishes `count` messages and waits until each watcher has all of them.
    pub(crate) async fn publish(
        &mut self,
        count: usize,
        len: usize,
        limit: Duration,
    ) -> Result<Duration, Failure> {
        let delivered = ((self.kind.deliver)(len).len() + len + END.len()) * count;
        let heard = Arc::clone(&self.heard);
        let before = heard.bytes.load(Ordering::SeqCst);
        let goal = before + (delivered * self.watchers.len()) as u64;
        heard.goal.store(goal, Ordering::SeqCst);
        let mut message = (self.kind.publish)(len).into_bytes();
        message.resize(message.len() + len, b'v');
        message.extend_from_slice(END);
        let start = Instant::now();
        let work = async {
            let mut left = count;
            while left > 0 {
                // About 64 KiB a write, as a client with a buffer.
                let some = left.min((64 * 1024 / message.len()).max(1));
                self.publisher.write_all(&message.repeat(some)).await?;
                left -= some;
            }
            while heard.bytes.load(Ordering::SeqCst) < goal {
                heard.reached.notified().await;
            }
            Ok(())
        };
        let program = self.kind.program;
        let late = |_| Failure::TooLate {
            what: format!("all messages of {program}"),
            limit,
        };
        let worked = tokio::time::timeout(limit, work).await.map_err(late)?;
        worked.map_err(Failure::io(format!("publish to {program}")))?;
        Ok(start.elapsed())
    }
}

impl Heard {
    fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::SeqCst);
        if before + bytes >= self.goal.load(Ordering::SeqCst) {
            self.reached.notify_one();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

fn free_port() -> std::io::Result<u16> {
    let listener = StdListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?.port())
}

async fn connect(port: u16) -> std::io::Result<TcpStream> {
    let start = Instant::now();
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) if start.elapsed() > Duration::from_secs(10) => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
