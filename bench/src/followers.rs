//! Subscribers of a pair in this process: the shipped library, as many as wanted.
//!
//! Each has a server of its own, votes, refuses epochs that are over, and says at once when it
//! has lost a statestored or follows another. Deliberately absent: topics with content; a
//! failover does not wait for them.

use crate::failure::Failure;
use crate::pair::{Limits, Pair};
use crate::scenarios::{LIMIT, NORMAL, too_late};
use futures::future::{join_all, try_join_all};
use statestore_subscriber::{Handle, Role, StatestoreView, Subscriber, Topic, View};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Subscribers of one pair; they vanish with it.
pub(crate) struct Followers(Vec<Handle>);

/// When the subscribers noticed, in no order; who never did is missing.
pub(crate) struct Noticed {
    /// That the old one was lost.
    pub(crate) lost: Vec<Instant>,
    /// Who is active now.
    pub(crate) followed: Vec<Instant>,
}

impl Followers {
    /// Starts them and waits until they follow the active one.
    pub(crate) async fn start(count: usize, pair: &Pair, limits: Limits) -> Result<Self, Failure> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let [first, second] = pair.ports();
        let started = (0..count).map(|_| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            Subscriber::builder(format!("bench-{number}"))
                .statestore("127.0.0.1", first)
                .statestore("127.0.0.1", second)
                .hostname("127.0.0.1")
                .interface("127.0.0.1")
                .heartbeat_period(limits.period())
                .max_missed_heartbeats(limits.missed())
                .topic(Topic::new(NORMAL))
                .start()
        });
        let handles = try_join_all(started).await?;
        let followers = Self(handles);
        let both = |view: &View| {
            view.statestores.iter().all(|it| it.connected)
                && view.statestores.iter().any(|it| it.role == Role::Active)
        };
        match tokio::time::timeout(LIMIT, followers.all(both)).await {
            Ok(()) => Ok(followers),
            Err(_) => Err(too_late(format!("{count} subscribers of both"))),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    async fn all(&self, wanted: impl Fn(&View) -> bool) {
        // Who has left wants nothing more.
        join_all(self.0.iter().map(|one| one.wait(&wanted))).await;
    }

    /// Begins to watch for the loss of one statestored and for following the other.
    pub(crate) fn watch(&self, old: usize, limit: Duration) -> Watch {
        let watch = |wanted: fn(&View, usize) -> bool| {
            let one = |handle: &Handle| {
                let handle = handle.clone();
                tokio::spawn(async move {
                    let wait = handle.wait(|view| wanted(view, old));
                    let waited = tokio::time::timeout(limit, wait).await;
                    waited.is_ok_and(|it| it.is_ok()).then(Instant::now)
                })
            };
            self.0.iter().map(one).collect()
        };
        Watch {
            lost: watch(|view, old| !view.statestores[old].connected),
            followed: watch(|view, old| view.statestores[1 - old].role == Role::Active),
        }
    }

    /// How often any of them has lost a statestored so far.
    pub(crate) fn losses(&self) -> u64 {
        self.sum(|it| it.connection_failures)
    }

    /// Messages that they refused because the sender's activation was over.
    pub(crate) fn refusals(&self) -> u64 {
        self.sum(|it| it.refusals)
    }

    fn sum(&self, number: impl Fn(&StatestoreView) -> u64) -> u64 {
        let views = self.0.iter().map(|handle| handle.metrics().view);
        views
            .map(|view| view.statestores.iter().map(&number).sum::<u64>())
            .sum()
    }
}

/// Watching, until [`noticed`](Self::noticed).
pub(crate) struct Watch {
    lost: Vec<JoinHandle<Option<Instant>>>,
    followed: Vec<JoinHandle<Option<Instant>>>,
}

impl Watch {
    /// Waits until everybody has noticed, or the time is over.
    pub(crate) async fn noticed(self) -> Noticed {
        let all = |tasks| async move {
            let ended: Vec<Result<Option<Instant>, _>> = join_all::<Vec<_>>(tasks).await;
            ended
                .into_iter()
                .filter_map(|it| it.ok().flatten())
                .collect()
        };
        Noticed {
            lost: all(self.lost).await,
            followed: all(self.followed).await,
        }
    }
}
