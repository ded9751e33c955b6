//! The plainest sender in a process and session of its own, as a statestored is: whoever reads
//! takes no more of the machine from the one than from the other.
//!
//! ```text
//!   this program --- starts itself: send ---> a thread a connection, see `straight`
//!        |------- connect, send, .. -------------^
//!        ^------- bytes of all, a line each time all were answered ---'
//! ```
//!
//! Deliberately absent: when the last receiver has it, which receivers say. Invariant: the process
//! ends with its [`Sender`], or when nobody speaks to it any more.

use crate::failure::Failure;
use crate::machine;
use crate::scenarios::{LIMIT, NORMAL, by_prefix, in_turns, items, too_late};
use crate::straight::{self, message};
use clap::Parser;
use futures::future::try_join_all;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A topic, and who is to receive it.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Wanted {
    /// Entries of the topic
    #[arg(long)]
    pub(crate) items: usize,
    /// Bytes of a value
    #[arg(long)]
    pub(crate) value: usize,
    /// Keys begin with so many prefixes in turns, and receivers, in turns, get those of one
    #[arg(long, default_value_t = 0)]
    pub(crate) prefixes: usize,
    /// Where each receiver listens
    #[arg(long)]
    pub(crate) to: Vec<SocketAddr>,
}

/// Who gets the same.
struct Group {
    to: Vec<SocketAddr>,
    prefix: &'static str,
    message: Arc<Vec<u8>>,
    /// From what it is picked, if not all of it is.
    whole: Option<Arc<message::Entries>>,
}

const CONNECT: &str = "connect";
const SEND: &str = "send";

/// The process's whole life.
pub(crate) async fn live(wanted: &Wanted) -> Result<(), Failure> {
    let groups = groups(wanted);
    let bytes = groups
        .iter()
        .map(|group| group.message.len() * group.to.len());
    let mut told = say(bytes.sum::<usize>());
    // Nothing else is to be done on this thread meanwhile.
    let mut asked = io::stdin().lines();
    let mut open = Vec::new();
    while told.is_ok()
        && let Some(Ok(line)) = asked.next()
    {
        told = if line == CONNECT {
            let connect = |group: &Group| straight::connect(group.to.clone());
            open = try_join_all(groups.iter().map(connect)).await?;
            say("open")
        } else {
            let works = groups.iter().zip(std::mem::take(&mut open));
            let works = works.map(|(group, streams)| group.send(streams));
            say(try_join_all(works).await?.into_iter().sum::<f64>())
        };
    }
    Ok(())
}

fn say(what: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout(), "{what}")?;
    io::stdout().flush()
}

fn groups(wanted: &Wanted) -> Vec<Group> {
    let whole = (wanted.prefixes > 0).then(|| {
        let all = in_turns(0..wanted.items, wanted.value, wanted.prefixes, |_| true);
        Arc::new(message::Entries::of(&all))
    });
    let group = |((prefix, to), nth)| {
        let items = match wanted.prefixes {
            0 => items(wanted.items, wanted.value, b'v', false),
            _ => in_turns(0..wanted.items, wanted.value, wanted.prefixes, |turn| {
                turn == nth
            }),
        };
        Group {
            to,
            prefix,
            message: Arc::new(message::update(NORMAL, items)),
            whole: whole.clone(),
        }
    };
    let all = by_prefix(&wanted.to, wanted.prefixes);
    all.into_iter().zip(0..).map(group).collect()
}

impl Group {
    /// Seconds of CPU.
    fn send(&self, streams: Vec<TcpStream>) -> impl Future<Output = Result<f64, Failure>> {
        let (message, whole) = (Arc::clone(&self.message), self.whole.clone());
        let prefix = self.prefix.as_bytes();
        straight::fan_out(streams, move || match whole {
            Some(whole) => Arc::new(message::picked(&whole, prefix, &message)),
            None => message,
        })
    }
}

/// The running process.
pub(crate) struct Sender {
    /// Ends with it.
    _child: Child,
    asked: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    /// All receivers' together.
    pub(crate) bytes: u64,
}

impl Sender {
    /// Starts it and waits until its messages are made.
    pub(crate) async fn start(wanted: Wanted) -> Result<Self, Failure> {
        let this = std::env::current_exe().map_err(Failure::io("find this program"))?;
        let mut child = Command::from(machine::session_of(&this))
            .arg("send")
            .arg(format!("--items={}", wanted.items))
            .arg(format!("--value={}", wanted.value))
            .arg(format!("--prefixes={}", wanted.prefixes))
            .args(wanted.to.iter().map(|to| format!("--to={to}")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::io("start a process that sends"))?;
        let gone = || Failure::io("speak to it")(io::ErrorKind::BrokenPipe.into());
        let asked = child.stdin.take().ok_or_else(gone)?;
        let said = child.stdout.take().ok_or_else(gone)?;
        let mut sender = Self {
            _child: child,
            asked,
            said: BufReader::new(said).lines(),
            bytes: 0,
        };
        sender.bytes = sender.answer().await? as u64;
        Ok(sender)
    }

    /// Opens a connection to each receiver, before the clock runs.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        self.ask(CONNECT).await?;
        self.line().await.map(|_| ())
    }

    /// Sends everybody the topic and waits for all answers; seconds of CPU.
    pub(crate) async fn send(&mut self) -> Result<f64, Failure> {
        self.ask(SEND).await?;
        self.answer().await
    }

    async fn ask(&mut self, what: &str) -> Result<(), Failure> {
        let asked = self.asked.write_all(format!("{what}\n").as_bytes()).await;
        asked.map_err(Failure::io("speak to a process that sends"))
    }

    async fn answer(&mut self) -> Result<f64, Failure> {
        let line = self.line().await?;
        let wrong = |error| Failure::io("understand it")(io::Error::other(error));
        line.parse().map_err(wrong)
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let line = tokio::time::timeout(LIMIT, self.said.next_line()).await;
        let line = line.map_err(|_| too_late("the plainest sender's messages".to_owned()))?;
        let gone = || io::ErrorKind::UnexpectedEof.into();
        line.and_then(|line| line.ok_or_else(gone))
            .map_err(Failure::io("hear from a process that sends"))
    }
}
