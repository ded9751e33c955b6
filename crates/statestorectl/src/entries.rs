//! `get` and `watch`: what is in a topic, now and from now on.
//!
//! For people a table and lines of time, sign, key, size and the beginning of the value; for
//! programs the JSON lines that the agent prints too (`statestore_subscriber::json_lines`), so
//! that `get --json` is an array of what `watch --json` prints line by line.
//!
//! Deliberately absent: registering (`guest.rs`), and writing into topics.

use jiff::Zoned;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use statestore_subscriber::{Delta, Item, Text, View, json_lines};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::escape;
use crate::guest::{Guest, GuestError, Interest, Invitation, Name};
use crate::show;

/// Characters of a key that people are shown.
const KEY_WIDTH: usize = 200;
/// Characters of a value that people are shown.
const PREVIEW_WIDTH: usize = 60;

/// Why a command about entries failed.
#[derive(Debug, Error)]
pub(crate) enum EntriesError {
    /// There is no content.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The user's: most likely a typo, and nobody looked whether the topic exists.
    #[error(
        "topic '{0}' is empty and nobody has ever written to it; if it did not exist, asking for \
         it with --unchecked has created it"
    )]
    NeverWritten(Name),
    /// The user's.
    #[error("topic '{topic}' has no key '{key}'")]
    NoSuchKey { topic: Name, key: Name },
    /// The user's: a value may hold what a terminal obeys.
    #[error(
        "the value of key '{0}' is not plain text: redirect --raw to a file or a program, or leave \
         it out"
    )]
    NotForTerminals(Name),
    /// The machine's; a closed pipe is told apart where commands end.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How `get` answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    /// JSON instead of a table.
    pub(crate) json: bool,
    /// Only this key.
    pub(crate) key: Option<Text>,
    /// Only this key's value, byte for byte.
    pub(crate) raw: bool,
}

/// Prints what is in a topic.
pub(crate) fn get(
    invitation: &Invitation,
    interest: &Interest,
    form: &Form,
) -> Result<(), EntriesError> {
    let first = run(async {
        let guest = Guest::join(invitation, interest).await?;
        let first = guest.first.clone();
        guest.leave().await;
        Ok(first)
    })?;
    if invitation.web.is_none() && first.is_fresh() {
        return Err(EntriesError::NeverWritten(Name(interest.topic.clone())));
    }
    let items: Vec<Item<'_>> = match &form.key {
        None => first.items().iter().collect(),
        Some(key) => {
            let mut items = first.items().iter();
            let found = items.find(|item| item.key == key.as_bytes());
            vec![found.ok_or_else(|| EntriesError::NoSuchKey {
                topic: Name(interest.topic.clone()),
                key: Name(key.clone()),
            })?]
        }
    };
    match (form, items.as_slice()) {
        (Form { raw: true, .. }, [item]) => raw_value(item),
        (
            Form {
                json: true, key, ..
            },
            _,
        ) => {
            // A whole key is the longest prefix of itself; longer keys are left out here.
            let only = key.as_ref().map(|_| items.len());
            Ok(show::bytes(json_array(&first, only).as_bytes())?)
        }
        _ => Ok(show::bytes(table(&first, &items).as_bytes())?),
    }
}

/// Prints what is in a topic and then every change of it, until SIGINT or SIGTERM, or until nobody
/// reads it any more.
pub(crate) fn watch(
    invitation: &Invitation,
    interest: &Interest,
    json: bool,
) -> Result<(), EntriesError> {
    run(async {
        let rpc = invitation.rpc.to_string();
        let mut end = End::watched()?;
        let joined = tokio::select! {
            joined = Guest::join(invitation, interest) => joined,
            () = end.came() => return Ok(()),
        };
        let mut guest = joined?;
        let mut change = guest.first.clone();
        let mut lost = false;
        loop {
            let text = match json {
                true => escape::json(&json_lines(&change, b"")),
                false => lines(&change, &clock()),
            };
            // A reader that stands still must not keep heartbeats or Ctrl-C waiting.
            let written = tokio::task::spawn_blocking(move || show::bytes(text.as_bytes()));
            tokio::select! {
                written = written => written.map_err(io::Error::other)??,
                () = end.came() => break,
            }
            change = tokio::select! {
                next = next_change(&mut guest, &mut lost, &rpc) => {
                    let Some(next) = next else { break };
                    next
                }
                () = end.came() => break,
            };
        }
        guest.leave().await;
        Ok(())
    })
}

/// The next change; says on the way when statestored went away and came back.
async fn next_change(guest: &mut Guest, lost: &mut bool, rpc: &str) -> Option<Arc<Delta>> {
    let recovering = |view: &View| view.statestores.iter().any(|it| it.recovering);
    loop {
        let before = *lost;
        tokio::select! {
            change = guest.changes.next() => return change,
            Ok(()) = guest.handle.wait(|view| recovering(view) != before) => {
                *lost = !before;
                show::note(&match *lost {
                    true => format!("no heartbeats from statestored {rpc}, registering again"),
                    false => format!("registered with statestored {rpc} again"),
                });
            }
        }
    }
}

/// What ends a watch.
struct End {
    interrupt: Signal,
    terminate: Signal,
    unread: oneshot::Receiver<()>,
}

impl End {
    fn watched() -> io::Result<Self> {
        let (closed, unread) = oneshot::channel();
        // A thread of its own, which ends with the process: the next write may be far away.
        std::thread::Builder::new().spawn(move || {
            wait_until_unread();
            // Nobody waits for it once the watch has ended.
            let _ = closed.send(());
        })?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            unread,
        })
    }

    async fn came(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = &mut self.unread => {}
        }
    }
}

/// Returns once stdout is a pipe or terminal that nobody holds on the other side; for a file
/// that is never.
fn wait_until_unread() {
    let stdout = io::stdout();
    // No event is asked for; errors and hang-ups come unasked.
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    while poll(&mut polled, None) == Err(Errno::INTR) {}
}

/// Runs on a runtime whose other thread answers statestored whatever this one does.
fn run<T>(work: impl Future<Output = Result<T, EntriesError>>) -> Result<T, EntriesError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(work);
    // A name server or a reader that does not answer is not waited for.
    runtime.shutdown_background();
    outcome
}

fn clock() -> String {
    Zoned::now().strftime("%H:%M:%S%.3f").to_string()
}

/// A change for people.
fn lines(change: &Delta, time: &str) -> String {
    let items = change.items();
    let mut out = String::new();
    // Writing into a String cannot fail, here and below.
    if !change.is_delta() {
        let topic = Name(change.topic().clone());
        let (count, version) = (items.len(), change.to_version());
        let _ = writeln!(out, "{time} = {topic}: {count} entries, version {version}");
    }
    for item in items.iter() {
        let key = escape::preview(item.key, KEY_WIDTH);
        let _ = match item.deleted {
            true => writeln!(out, "{time} - {key}"),
            false => writeln!(
                out,
                "{time} + {key}  {}  {}",
                show::size(item.value.len() as u64),
                escape::preview(item.value, PREVIEW_WIDTH)
            ),
        };
    }
    out
}

/// A topic for people.
fn table(whole: &Delta, items: &[Item<'_>]) -> String {
    let rows = items.iter().map(|item| {
        [
            escape::preview(item.key, KEY_WIDTH),
            item.value.len().to_string(),
            escape::preview(item.value, PREVIEW_WIDTH),
        ]
    });
    let keys: usize = items.iter().map(|item| item.key.len()).sum();
    let values: usize = items.iter().map(|item| item.value.len()).sum();
    format!(
        "{}\n{} entries, {} in keys, {} in values, version {}\n",
        show::plain_table(&["key", "bytes", "value"], rows, &[1]),
        items.len(),
        show::size(keys as u64),
        show::size(values as u64),
        whole.to_version()
    )
}

/// The entries as an array with one of them a line; `only` so many of them.
fn json_array(whole: &Delta, only: Option<usize>) -> String {
    let lines = json_lines(whole, b"");
    // The first line announces the others.
    let entries = lines.lines().skip(1).take(only.unwrap_or(usize::MAX));
    let entries: Vec<&str> = entries.collect();
    match entries.is_empty() {
        true => "[]\n".to_owned(),
        false => escape::json(&format!("[\n{}\n]\n", entries.join(",\n"))),
    }
}

fn raw_value(item: &Item<'_>) -> Result<(), EntriesError> {
    let plain = escape::message(&String::from_utf8_lossy(item.value)).as_bytes() == item.value;
    if !plain && io::stdout().is_terminal() {
        return Err(EntriesError::NotForTerminals(Name(item.key.into())));
    }
    Ok(show::bytes(item.value)?)
}
