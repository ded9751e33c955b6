//! [`Place`]: one connection among as many as there may be.
//!
//! ```text
//!   idles: no request yet, or the next one is not there as a whole --request--> is answered
//!     |    ^------------------------------------------------------------------------/
//!     \--another one needs its place, and nobody idles for longer--> goes
//! ```
//!
//! Who never sent a whole request idles too, be it that half a head or no body came: a probe of
//! `/healthz` must not wait for these.
//!
//! Deliberately absent: who goes, which is [`Idle`]'s; sockets.
//! Invariant: none goes while its request is in hand.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use statestore_rpc::{Idle, Waits};
use tokio::sync::Notify;

#[derive(Debug)]
pub(super) struct Place {
    idle: Idle,
    told: Arc<Notify>,
    stands: Mutex<Stands>,
    was_used: AtomicBool,
}

#[derive(Debug)]
enum Stands {
    Idle(Waits),
    InHand,
    /// It was asked for before it idled.
    Goes,
}

impl Place {
    /// For one that has just connected.
    pub(super) fn new(idle: &Idle) -> Arc<Self> {
        let told = Arc::default();
        let waits = idle.wait(false, &told);
        Arc::new(Self {
            idle: idle.clone(),
            told,
            stands: Mutex::new(waits.map_or(Stands::Goes, Stands::Idle)),
            was_used: AtomicBool::new(false),
        })
    }

    /// Whether a request was ever answered here.
    pub(super) fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Relaxed)
    }

    /// A request is there as a whole.
    pub(super) fn begin(&self) {
        let before = std::mem::replace(&mut *self.lock(), Stands::InHand);
        if let Stands::Idle(waits) = before {
            // If it was told to go, another one goes for it.
            waits.end();
        }
    }

    /// It is answered.
    pub(super) fn end(&self) {
        self.was_used.store(true, Ordering::Relaxed);
        let mut stands = self.lock();
        // Who was told while a body was awaited stays told.
        if matches!(&*stands, Stands::Idle(waits) if waits.is_told()) {
            return;
        }
        *stands = match self.idle.wait(true, &self.told) {
            Some(waits) => Stands::Idle(waits),
            None => {
                self.told.notify_one();
                Stands::Goes
            }
        };
    }

    /// Waits until another one needs this place.
    pub(super) async fn needed(&self) {
        loop {
            self.told.notified().await;
            // It may have been rung for a request ago; another one has gone then.
            match &*self.lock() {
                Stands::Idle(waits) if !waits.is_told() => {}
                Stands::InHand => {}
                Stands::Idle(_) | Stands::Goes => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stands> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's body; with its end the request is there as a whole.
pub(super) struct Awaited {
    body: Incoming,
    place: Option<Arc<Place>>,
}

impl Awaited {
    pub(super) fn new(body: Incoming, place: &Arc<Place>) -> Self {
        let mut awaited = Self {
            body,
            place: Some(Arc::clone(place)),
        };
        awaited.look();
        awaited
    }

    fn look(&mut self) {
        if self.body.is_end_stream()
            && let Some(place) = self.place.take()
        {
            place.begin();
        }
    }
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.look();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
