//! NATS and Redis: servers that hand messages to whoever listens, by the words of their protocols.
//!
//! A delivered message has a length that is known before, so a watcher needs no parser and only
//! counts bytes. Deliberately absent: client libraries, whose price is not the server's.

use super::{Heard, Program, connect, free_port};
use crate::failure::Failure;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How to speak to a kind of server.
pub(super) struct Kind {
    program: &'static str,
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

pub(super) const NATS: Kind = Kind {
    program: "nats-server",
    settings: |port| format!("listen: 127.0.0.1:{port}\nmax_pending: 2GB\n"),
    arguments: &["--config"],
    subscribe: (
        "CONNECT {\"verbose\":false}\r\nSUB changes 1\r\nPING\r\n",
        "PONG\r\n",
    ),
    publish: |len| format!("PUB changes {len}\r\n"),
    deliver: |len| format!("MSG changes 1 {len}\r\n"),
};

pub(super) const REDIS: Kind = Kind {
    program: "redis-server",
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
};

/// A running one, with its watchers.
pub(super) struct Server {
    kind: &'static Kind,
    program: Program,
    publisher: TcpStream,
    heard: Arc<Heard>,
    watchers: JoinSet<()>,
}

impl Server {
    /// None if the program is not installed.
    pub(super) async fn start(kind: &'static Kind) -> Result<Option<Self>, Failure> {
        let port = free_port()?;
        let launched = Program::start(kind.program, |folder| {
            let file = folder.join("settings");
            std::fs::write(&file, (kind.settings)(port))?;
            let arguments = kind.arguments.iter().map(|it| (*it).to_owned());
            Ok(arguments.chain([file.display().to_string()]).collect())
        })?;
        let Some(program) = launched else {
            return Ok(None);
        };
        let publisher = connect(port).await;
        let publisher = publisher.map_err(Failure::io(format!("reach {}", kind.program)))?;
        Ok(Some(Self {
            kind,
            program,
            publisher,
            heard: Arc::default(),
            watchers: JoinSet::new(),
        }))
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    pub(super) async fn watch(&mut self, count: usize) -> std::io::Result<()> {
        let address = self.publisher.peer_addr()?;
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await?;
            let (words, answer) = self.kind.subscribe;
            stream.write_all(words.as_bytes()).await?;
            let mut said = Vec::new();
            while !said.ends_with(answer.as_bytes()) {
                said.push(stream.read_u8().await?);
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

    pub(super) async fn publish(&mut self, count: usize, len: usize) -> std::io::Result<()> {
        let delivered = ((self.kind.deliver)(len).len() + len + END.len()) * count;
        let goal = self.heard.expect((delivered * self.watchers.len()) as u64);
        let mut message = (self.kind.publish)(len).into_bytes();
        message.resize(message.len() + len, b'v');
        message.extend_from_slice(END);
        let mut left = count;
        while left > 0 {
            // About 64 KiB a write, as a client with a buffer.
            let some = left.min((64 * 1024 / message.len()).max(1));
            self.publisher.write_all(&message.repeat(some)).await?;
            left -= some;
        }
        self.heard.reach(goal).await;
        Ok(())
    }
}
