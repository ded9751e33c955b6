//! A guest: this command as a subscriber of one topic, for as long as it runs.
//!
//! A registration creates the topics that it names (T-1), and Impala's statestored keeps them for
//! ever. So the `/topics` page is asked first, and nothing is registered for a name that is not
//! there or when the page cannot be read, unless the user said `--unchecked`. At the end the guest
//! says goodbye; a statestored that does not know the word sees missed heartbeats.
//!
//! Deliberately absent: what is done with the topic (`entries.rs`).
//! Invariant: until the first content is there, everything together ends at one deadline, and
//! every error names the address that it is about.

use statestore_subscriber::{Delta, Follow, Handle, Role, StartError, Subscriber, Text, Topic};
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::time::timeout;

use crate::address::{self, Address};
use crate::escape;
use crate::pages::{PageError, Pages};

/// How long the last answers may take at the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pause between attempts to register again, when statestored went away during `watch`.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(1);
/// Topics named in the error about one that is not there.
const NAMED_TOPICS: usize = 8;
/// Characters of a topic's name in an error.
const NAME_WIDTH: usize = 120;

/// Where to register, and under which address.
#[derive(Debug, Clone)]
pub(crate) struct Invitation {
    /// The statestored.
    pub(crate) rpc: Address,
    /// Its web server, to ask whether the topic exists; `None` does not ask.
    pub(crate) web: Option<Pages>,
    /// Name under which statestored reaches this command, instead of the route's local address.
    pub(crate) hostname: Option<String>,
    /// Where to listen, instead of there and on a port that the system picks.
    pub(crate) listen: Option<Address>,
    /// For all of it, until the first content is there.
    pub(crate) limit: Duration,
}

/// What is wanted of which topic.
#[derive(Debug, Clone)]
pub(crate) struct Interest {
    /// The topic.
    pub(crate) topic: Text,
    /// Only keys that begin so.
    pub(crate) prefix: Text,
}

/// A topic's name in messages.
#[derive(Debug, Clone)]
pub(crate) struct Name(pub(crate) Text);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape::preview(self.0.as_bytes(), NAME_WIDTH))
    }
}

/// Why there is no content. Except for the last three, statestored knows nothing of this command.
#[derive(Debug, Error)]
pub(crate) enum GuestError {
    /// The user's: most likely a typo.
    #[error("the statestored with web server {web} has no topic '{topic}'; {others}")]
    NoSuchTopic {
        topic: Name,
        web: String,
        others: Topics,
    },
    /// The daemon's or the network's, or --web is wrong.
    #[error(
        "cannot tell whether topic '{topic}' exists, and registering would create it: {source} \
         (--web names the web server, --unchecked does not ask it)"
    )]
    Unasked { topic: Name, source: PageError },
    /// The user's or the network's.
    #[error("cannot find statestored {rpc}: {source} (--rpc names it)")]
    NoRoute { rpc: Address, source: io::Error },
    /// The machine's or the user's.
    #[error("{0} (--listen names address and port of this command's own server)")]
    Listen(StartError),
    /// The daemon's or the network's, or --rpc is wrong.
    #[error("{0} (--rpc names the statestored, its --state_store_port)")]
    Refused(StartError),
    /// Likewise.
    #[error("no answer from statestored {rpc} within {limit:?} (--rpc, --timeout)")]
    Silent { rpc: Address, limit: Duration },
    /// The network's, mostly: statestored calls back.
    #[error(
        "registered with statestored {rpc}, but nothing of topic '{topic}' came within {limit:?}: \
         it sends to {own}, which it must be able to reach (--hostname, --listen, --timeout)"
    )]
    NoContent {
        rpc: Address,
        topic: Name,
        own: String,
        limit: Duration,
    },
    /// The user's: of a pair it is the other one.
    #[error(
        "statestored {rpc} stands by and sends nothing of topic '{topic}': the active one of the \
         pair does (--rpc and --web name it)"
    )]
    StandsBy { rpc: Address, topic: Name },
}

/// Some topics that do exist.
#[derive(Debug)]
pub(crate) struct Topics(Vec<String>);

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().take(NAMED_TOPICS);
        let list: Vec<String> = shown
            .map(|name| format!("'{}'", Name(name.as_str().into())))
            .collect();
        match self.0.len() {
            0 => f.write_str("it has none yet"),
            few if few <= NAMED_TOPICS => write!(f, "it has {}", list.join(", ")),
            many => write!(f, "it has {many}, among them {}", list.join(", ")),
        }
    }
}

/// A registered guest.
pub(crate) struct Guest {
    /// The subscriber.
    pub(crate) handle: Handle,
    /// What came first: the whole content.
    pub(crate) first: Arc<Delta>,
    /// What comes after it.
    pub(crate) changes: Follow,
}

impl Guest {
    /// Asks for the topic, registers, and waits for its whole content.
    pub(crate) async fn join(
        invitation: &Invitation,
        interest: &Interest,
    ) -> Result<Self, GuestError> {
        let deadline = Instant::now() + invitation.limit;
        if let Some(web) = invitation.web.clone() {
            let topic = interest.topic.clone();
            // Aside, so that Ctrl-C need not wait for the page.
            let asked = tokio::task::spawn_blocking(move || expect_topic(&web, &topic)).await;
            asked.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
        }
        let handle = register(invitation, interest, deadline).await?;
        let content = async {
            // Fails only once the guest has left, and then nothing is waited for.
            let _ = handle.synced(interest.topic.clone()).await;
            let mut changes = handle.follow(interest.topic.clone()).ok()?;
            Some((changes.next().await?, changes))
        };
        match timeout(remaining(deadline), content).await {
            Ok(Some((first, changes))) => Ok(Self {
                handle,
                first,
                changes,
            }),
            Ok(None) | Err(_) => {
                let error = no_content(&handle, invitation, interest);
                farewell(handle).await;
                Err(error)
            }
        }
    }

    /// Answers what is in hand and closes the own server.
    pub(crate) async fn leave(self) {
        drop(self.changes);
        farewell(self.handle).await;
    }
}

/// Why nothing came of what is registered.
fn no_content(handle: &Handle, invitation: &Invitation, interest: &Interest) -> GuestError {
    let (rpc, topic) = (invitation.rpc.clone(), Name(interest.topic.clone()));
    let statestores = handle.status().statestores;
    if statestores.iter().all(|it| it.role == Role::Standby) {
        return GuestError::StandsBy { rpc, topic };
    }
    GuestError::NoContent {
        rpc,
        topic,
        own: handle.address().to_string(),
        limit: invitation.limit,
    }
}

async fn farewell(handle: Handle) {
    // What has not ended by then ends with the process.
    let _ = timeout(FAREWELL, handle.leave()).await;
}

fn expect_topic(web: &Pages, topic: &Text) -> Result<(), GuestError> {
    let unasked = |source| GuestError::Unasked {
        topic: Name(topic.clone()),
        source,
    };
    let page = web.json("/topics").map_err(unasked)?;
    let Some(rows) = page["topics"].as_array() else {
        return Err(unasked(web.lacks("/topics", "list named topics")));
    };
    let names = rows.iter().filter_map(|row| row["topic_id"].as_str());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    if names.iter().any(|name| *name == topic.to_str()) {
        return Ok(());
    }
    names.sort_unstable();
    Err(GuestError::NoSuchTopic {
        topic: Name(topic.clone()),
        web: web.address().to_owned(),
        others: Topics(names),
    })
}

async fn register(
    invitation: &Invitation,
    interest: &Interest,
    deadline: Instant,
) -> Result<Handle, GuestError> {
    let rpc = &invitation.rpc;
    let silent = || GuestError::Silent {
        rpc: rpc.clone(),
        limit: invitation.limit,
    };
    let no_route = |source| GuestError::NoRoute {
        rpc: rpc.clone(),
        source,
    };
    let look_up = tokio::net::lookup_host((rpc.host.as_str(), rpc.port));
    let found = timeout(remaining(deadline), look_up)
        .await
        .map_err(|_| silent())?;
    let found: Vec<_> = found.map_err(no_route)?.collect();
    let local = address::local_address(&found)
        .map_err(no_route)?
        .to_string();
    let (hostname, listen) = own_address(invitation, local);

    let subscriber = Subscriber::builder(own_id())
        .statestore(&rpc.host, rpc.port)
        .hostname(&hostname)
        .interface(&listen.host)
        .listen(listen.port)
        .topic(Topic::new(interest.topic.clone()).prefix(interest.prefix.clone()))
        .attempts(NonZeroU32::new(1))
        .tolerate_startup_delay(false)
        .call_timeout(remaining(deadline))
        .recovery_interval(RECOVERY_INTERVAL);
    match timeout(remaining(deadline), subscriber.start()).await {
        Err(_) => Err(silent()),
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(error @ StartError::Listen { .. })) => Err(GuestError::Listen(error)),
        Ok(Err(error)) => Err(GuestError::Refused(error)),
    }
}

/// Under which name to register, and where to listen.
fn own_address(invitation: &Invitation, local: String) -> (String, Address) {
    let everywhere = |host: &str| matches!(host, "" | "0.0.0.0" | "::");
    let listen = match (&invitation.listen, &invitation.hostname) {
        (Some(listen), _) => listen.clone(),
        // A name may lead to any interface, the route's address only to its own.
        (None, Some(_)) => Address::new("", 0),
        (None, None) => Address::new(&local, 0),
    };
    let hostname = match &invitation.hostname {
        Some(name) => name.clone(),
        None if everywhere(&listen.host) => local,
        None => listen.host.clone(),
    };
    (hostname, listen)
}

/// Unique in the cluster as long as this process lives.
fn own_id() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("statestorectl@{host}:{}", std::process::id())
}

/// Until the deadline; never zero, which would be no limit to some and a wrong one to others.
fn remaining(deadline: Instant) -> Duration {
    deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}

/// Reads a limit in seconds.
pub(crate) fn parse_limit(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(limit) if limit >= Duration::from_millis(1) && seconds <= 86_400.0 => Ok(limit),
        _ => Err("must be from 0.001 to 86400 seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_sensible_number_of_seconds() {
        assert_eq!(parse_limit("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_limit("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["", "x", "0", "-1", "nan", "inf", "1e9", "0.0001"] {
            assert!(parse_limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_own_address_is_the_routes_unless_told_otherwise() {
        let own = |hostname: Option<&str>, listen: Option<Address>| {
            let invitation = Invitation {
                rpc: Address::new("s1", 1),
                web: None,
                hostname: hostname.map(str::to_owned),
                listen,
                limit: Duration::from_secs(1),
            };
            let (hostname, listen) = own_address(&invitation, "10.0.0.3".to_owned());
            (hostname, listen.to_string())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let port = |host| Some(Address::new(host, 7));
        assert_eq!(own(None, None), pair("10.0.0.3", "10.0.0.3:0"));
        assert_eq!(own(None, port("")), pair("10.0.0.3", ":7"));
        assert_eq!(own(None, port("10.9.9.9")), pair("10.9.9.9", "10.9.9.9:7"));
        assert_eq!(own(Some("h"), None), pair("h", ":0"));
        assert_eq!(own(Some("h"), port("0.0.0.0")), pair("h", "0.0.0.0:7"));
    }

    #[test]
    fn existing_topics_are_named_but_not_all() {
        let names = |n: usize| Topics((0..n).map(|i| format!("t{i}")).collect());
        assert_eq!(names(0).to_string(), "it has none yet");
        assert_eq!(names(2).to_string(), "it has 't0', 't1'");
        let many = names(20).to_string();
        assert!(many.starts_with("it has 20, among them 't0', "), "{many}");
        assert!(many.ends_with("'t7'"), "{many}");
    }

    #[test]
    fn a_hostile_name_is_escaped() {
        assert_eq!(Name("a\u{1b}[2J".into()).to_string(), "a\\u{1b}[2J");
    }
}
