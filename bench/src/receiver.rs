//! Subscribers of the shipped library in a process of their own, so that what they cost is theirs.
//!
//! ```text
//!   this program --- starts itself: receive ---> N subscribers, counting entries
//!        ^------------- a line each time all have a whole topic ----------'
//! ```
//!
//! Deliberately absent: a look at what is received; a handler that does nothing costs nothing.
//! Invariant: the process ends with its [`Receiver`], or when nobody reads its lines.

use crate::failure::Failure;
use crate::machine::Process;
use crate::scenarios::{LIMIT, NORMAL, too_late};
use clap::Parser;
use futures::future::try_join_all;
use statestore_rpc::HostPort;
use statestore_subscriber::{Subscriber, Topic};
use std::io::{self, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Notify;

/// What the process is told.
#[derive(Debug, Parser)]
pub(crate) struct Wanted {
    /// Where the statestored listens, on this machine
    #[arg(long)]
    port: u16,
    #[arg(long)]
    subscribers: usize,
    /// Entries that are a whole topic
    #[arg(long)]
    items: u64,
    /// Also keep a copy
    #[arg(long)]
    mirrored: bool,
}

/// The process's whole life.
pub(crate) async fn live(wanted: &Wanted) -> Result<(), Failure> {
    let (received, news) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let whole = wanted.items.max(1) * wanted.subscribers as u64;
    let started = (0..wanted.subscribers).map(|number| {
        let (received, news) = (Arc::clone(&received), Arc::clone(&news));
        let count = move |items: u64| {
            let before = received.fetch_add(items, Ordering::SeqCst);
            if before / whole < (before + items) / whole {
                news.notify_one();
            }
        };
        let topic = Topic::new(NORMAL)
            .handler(move |delta, _| count(delta.items().len() as u64))
            .mirrored(wanted.mirrored);
        Subscriber::builder(format!("receiver-{number}"))
            .statestore("127.0.0.1", wanted.port)
            .hostname("127.0.0.1")
            .interface("127.0.0.1")
            .topic(topic)
            .start()
    });
    let _subscribers = try_join_all(started).await?;
    loop {
        let told = writeln!(io::stdout(), "{}", received.load(Ordering::SeqCst) / whole);
        if told.and_then(|()| io::stdout().flush()).is_err() {
            return Ok(()); // Nobody reads it any more.
        }
        news.notified().await;
    }
}

/// The running process.
pub(crate) struct Receiver {
    child: Child,
    process: Process,
    said: Lines<BufReader<ChildStdout>>,
}

impl Receiver {
    /// Starts it and waits until its subscribers run.
    pub(crate) async fn start(
        server: &HostPort,
        subscribers: usize,
        items: usize,
        mirrored: bool,
    ) -> Result<Self, Failure> {
        let this = std::env::current_exe().map_err(Failure::io("find this program"))?;
        let mut child = Command::new(this)
            .arg("receive")
            .arg(format!("--port={}", server.port()))
            .arg(format!("--subscribers={subscribers}"))
            .arg(format!("--items={items}"))
            .args(mirrored.then_some("--mirrored"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::io("start a process of subscribers"))?;
        let gone = || Failure::io("speak to it")(io::ErrorKind::BrokenPipe.into());
        let said = child.stdout.take().ok_or_else(gone)?;
        let process = Process::new(child.id().ok_or_else(gone)?);
        let mut receiver = Self {
            child,
            process,
            said: BufReader::new(said).lines(),
        };
        receiver.received(0).await?;
        Ok(receiver)
    }

    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// Waits until all have received the topic so often.
    pub(crate) async fn received(&mut self, times: u64) -> Result<(), Failure> {
        let wait = async {
            while let Some(line) = self.said.next_line().await? {
                if line.parse().is_ok_and(|so_far: u64| so_far >= times) {
                    return Ok(());
                }
            }
            Err(io::ErrorKind::UnexpectedEof.into())
        };
        let waited = tokio::time::timeout(LIMIT, wait).await;
        let waited = waited.map_err(|_| too_late("the topic at the library".to_owned()))?;
        waited.map_err(Failure::io("hear from a process of subscribers"))
    }

    /// Ends it and waits for its end.
    pub(crate) async fn end(mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().await;
    }
}
