//! [`Feed`]: the mirror of one topic and its streams; [`Follow`]: one stream.
//!
//! A stream begins with the whole content and goes on with deltas. One that is not read for
//! long loses its queue and gets the whole content again instead, so a slow reader costs a
//! bounded queue and nothing else.
//!
//! Deliberately absent: waiting. The lock is held while a delta is applied or copied, never
//! across an await.
//!
//! Invariant: applying what a stream yields, in order, leaves the mirror as it was when the last
//! of it was taken.

use crate::topic::Delta;
use futures::Stream;
use statestore_core::subscriber::Mirror;
use statestore_wire::Text;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Deltas that wait for one reader: as many as a few seconds of a busy topic.
const MAX_QUEUED: usize = 256;
/// Their bytes; one delta may always wait.
const MAX_QUEUED_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(crate) struct Feed {
    topic: Text,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    mirror: Mirror,
    /// At least one message has come.
    synced: bool,
    closed: bool,
    /// Messages that changed something, as streams yield them.
    position: u64,
    followers: BTreeMap<u64, Follower>,
    next_follower: u64,
}

#[derive(Debug)]
struct Follower {
    /// With the position that each leads to.
    queue: VecDeque<(u64, Arc<Delta>)>,
    bytes: usize,
    /// What was yielded leads to here.
    position: u64,
    /// The next thing to yield is the whole content.
    needs_all: bool,
    waker: Option<Waker>,
}

impl Feed {
    pub(crate) fn new(topic: Text) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { topic, state })
    }

    /// Takes in the next delta.
    pub(crate) fn apply(&self, delta: &Arc<Delta>) {
        let mut state = self.lock();
        let nothing = delta.items().is_empty()
            && (delta.is_delta() || (state.synced && state.mirror.is_empty()));
        state.mirror.apply(&delta.0);
        state.synced = true;
        state.position += u64::from(!nothing);
        let position = state.position;
        for follower in state.followers.values_mut() {
            if !nothing {
                follower.push(position, delta);
            }
            if let Some(waker) = follower.waker.take() {
                waker.wake();
            }
        }
    }

    /// Ends all streams, after what they have queued.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state
            .followers
            .values_mut()
            .filter_map(|follower| follower.waker.take())
            .for_each(Waker::wake);
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&Mirror) -> R) -> R {
        read(&self.lock().mirror)
    }

    pub(crate) fn follow(self: &Arc<Self>) -> Follow {
        let mut state = self.lock();
        let id = state.next_follower;
        state.next_follower += 1;
        let follower = Follower {
            queue: VecDeque::new(),
            bytes: 0,
            position: 0,
            needs_all: true,
            waker: None,
        };
        state.followers.insert(id, follower);
        Follow {
            feed: Arc::clone(self),
            id,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A mirror that a panic left half-way is whole again with the next full message.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    fn push(&mut self, position: u64, delta: &Arc<Delta>) {
        if !delta.is_delta() {
            self.queue.clear();
            self.bytes = 0;
            self.needs_all = false;
        }
        if self.needs_all {
            return;
        }
        self.bytes += delta.items().byte_len();
        self.queue.push_back((position, Arc::clone(delta)));
        let too_much = self.queue.len() > MAX_QUEUED || self.bytes > MAX_QUEUED_BYTES;
        if too_much && self.queue.len() > 1 {
            self.queue.clear();
            self.bytes = 0;
            self.needs_all = true;
        }
    }
}

/// A stream of one topic's changes: the whole content first, deltas after it, and the whole
/// content again whenever that is what statestored sent or the reader fell behind. Empty deltas
/// are left out. Ends when the subscriber leaves.
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Follow {
    feed: Arc<Feed>,
    id: u64,
}

impl Follow {
    /// The next change; `None` after the subscriber has left. Losing the future loses nothing.
    pub async fn next(&mut self) -> Option<Arc<Delta>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// How far what was yielded leads: of two streams of one topic, the one with the larger
    /// number has seen all that the other has. Only rises; counted from the process's start.
    pub fn position(&self) -> u64 {
        let state = self.feed.lock();
        let follower = state.followers.get(&self.id);
        follower.map_or(0, |follower| follower.position)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arc<Delta>>> {
        let mut guard = self.feed.lock();
        let state = &mut *guard;
        let Some(follower) = state.followers.get_mut(&self.id) else {
            return Poll::Ready(None);
        };
        if follower.needs_all && state.synced {
            follower.needs_all = false;
            follower.position = state.position;
            let all = state.mirror.full(&self.feed.topic);
            return Poll::Ready(Some(Arc::new(Delta(all))));
        }
        if let Some((position, delta)) = follower.queue.pop_front() {
            follower.position = position;
            follower.bytes -= delta.items().byte_len();
            return Poll::Ready(Some(delta));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        follower.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Stream for Follow {
    type Item = Arc<Delta>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Arc<Delta>>> {
        self.poll(cx)
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.feed.lock().followers.remove(&self.id);
    }
}
