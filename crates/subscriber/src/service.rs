//! [`SubscriberService`]: carries statestored's calls to the owner and its answers back.
//!
//! Decoding and encoding happen here, in the connection's task, and for large messages on a
//! thread of their own, so that the owner only ever moves handles.
//!
//! Statestored's first update is sent together with its answer to the registration and may arrive
//! before it. The core would have to skip it (B-22), and it would come again only two periods
//! later (S-5), so it waits here for a moment.
//!
//! Deliberately absent: every decision.

use crate::inbox::{Inbox, Message};
use statestore_core::ids::StatestoreId;
use statestore_core::subscriber::port::{Answer, ConnectionId, Request, TopicUpdate};
use statestore_core::subscriber::{StatestoreView, View};
use statestore_rpc::{Call, Outcome, Service};
use statestore_wire::envelope::ApplicationException;
use statestore_wire::{
    Envelope, HeartbeatRequest, Rpc, Text, UpdateCatalogdRequest, UpdateStateRequest,
    UpdateStatestoredRoleRequest, Wire,
};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// From this size, in bytes, a message is decoded, and encoded, on a thread of its own.
pub(crate) const LARGE: usize = 256 * 1024;

/// How long an update waits for the end of the registration that it overtook.
const OVERTAKING: Duration = Duration::from_secs(1);

pub(crate) struct SubscriberService {
    inbox: Inbox,
    view: watch::Receiver<Arc<View>>,
    connection: ConnectionId,
    connections: Arc<AtomicU64>,
}

impl SubscriberService {
    pub(crate) fn new(inbox: Inbox, view: watch::Receiver<Arc<View>>) -> Self {
        Self {
            inbox,
            view,
            connection: ConnectionId(0),
            connections: Arc::default(),
        }
    }

    async fn ask(&self, request: Request) -> Option<Answer> {
        let (sender, answer) = oneshot::channel();
        self.inbox
            .send(Message::Request(request, sender))
            .await
            .ok()?;
        answer.await.ok()
    }

    /// Waits while a registration is under way that `sender` may be the other end of: it is if
    /// nothing else is known of it, as a statestored that was started anew has another id.
    async fn settled(&self, sender: StatestoreId) {
        let follows = |it: &StatestoreView| !it.registering && it.statestore_id == Some(sender);
        let settled = |view: &Arc<View>| {
            let all = &view.statestores;
            all.iter().any(follows) || !all.iter().any(|it| it.registering)
        };
        let mut view = self.view.clone();
        // Whatever became of it, the core judges the message as it finds things.
        let _ = timeout(OVERTAKING, view.wait_for(settled)).await;
    }
}

/// A server clones its service for every connection: that is how connections are told apart.
impl Clone for SubscriberService {
    fn clone(&self) -> Self {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        Self {
            inbox: self.inbox.clone(),
            view: self.view.clone(),
            connection: ConnectionId(number + 1),
            connections: Arc::clone(&self.connections),
        }
    }
}

impl Service for SubscriberService {
    const METHODS: &'static [&'static str] = &[
        HeartbeatRequest::METHOD,
        UpdateStateRequest::METHOD,
        UpdateCatalogdRequest::METHOD,
        UpdateStatestoredRoleRequest::METHOD,
    ];

    async fn call(&self, call: Call) -> Outcome {
        let envelope = call.envelope().clone();
        let connection = self.connection;
        let large = call.size() >= LARGE;
        let read = move || match call.envelope().method.as_bytes() {
            b"Heartbeat" => call.args().map(Request::Heartbeat),
            b"UpdateState" => call.args().map(|request| Request::Update {
                connection,
                request,
            }),
            b"UpdateCatalogd" => call.args().map(Request::Catalogd),
            _ => call.args().map(Request::Role),
        };
        let request = match apart(large, read).await {
            Some(Ok(request)) => request,
            Some(Err(fault)) => return Outcome::Malformed(fault),
            None => return stopping(),
        };
        if let Request::Update { request, .. } = &request {
            let sender = StatestoreId(request.statestore_id.unwrap_or_default());
            self.settled(sender).await;
        }
        match self.ask(request).await {
            None => stopping(),
            Some(Answer::Heartbeat(response)) => reply(&envelope, response),
            Some(Answer::Catalogd(response)) => reply(&envelope, response),
            Some(Answer::Role(response)) => reply(&envelope, response),
            Some(Answer::Update(answer)) => {
                let large = size(&answer.updates) >= LARGE;
                let write = move || reply(&envelope, answer.into_response());
                apart(large, write).await.unwrap_or_else(stopping)
            }
        }
    }
}

fn reply(envelope: &Envelope, response: impl Wire) -> Outcome {
    Outcome::answer::<_, Infallible>(envelope, Ok(response))
}

/// Bytes of keys and values that are to be encoded.
pub(crate) fn size(updates: &[TopicUpdate]) -> usize {
    let items = updates.iter().flat_map(|update| &update.items);
    let sizes = items.map(|(key, value)| key.len() + value.as_ref().map_or(0, bytes::Bytes::len));
    sizes.sum()
}

/// Runs long work on a thread of its own. `None` if the runtime is shutting down.
pub(crate) async fn apart<T: Send + 'static>(
    long: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if long {
        tokio::task::spawn_blocking(work).await.ok()
    } else {
        Some(work())
    }
}

fn stopping() -> Outcome {
    Outcome::Exception(ApplicationException {
        message: Some(Text::from_static("The subscriber is stopping")),
        kind: Some(ApplicationException::INTERNAL_ERROR),
    })
}
