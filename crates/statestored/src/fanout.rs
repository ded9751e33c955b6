//! From a [`Call`] of the core to bytes on a connection, and back.
//!
//! ```text
//!   heartbeat, notice, small update -> pool of the control thread ---> small reply -> decode
//!   large update ------------------> pool of the bulk runtime          large reply -> decode there
//! ```
//!
//! Small messages never leave the control thread; a large one never runs on it, so a heartbeat
//! waits for no topic. Nearly all are of a single piece and go by `small`; what is here is what
//! else there is. Deliberately absent: when to call and what an outcome means.
//!
//! Invariant: every failure, also one of ours, is an outcome of this one call and nothing else.

use crate::fence::FenceCell;
use crate::flags::{
    DO_SUBSCRIBER_UPDATE, HANDSHAKE, SEND_UPDATE_CATALOGD, SEND_UPDATE_STATESTORED,
};
use small::{Answers, Lines, trace};
use statestore_core::port::{Body, Call, CallFault, Lane, Reply, TopicPart, Update};
use statestore_core::topic::Version;
use statestore_daemon::debug_actions::{DebugActions, Step};
use statestore_rpc::pool::Reply as Answer;
use statestore_rpc::{
    CallLimits, Gate, Gauge, HostPort, Net, Pool, PoolLimits, Purpose, RpcError, Usage, elsewhere,
};
use statestore_wire::delta::{TopicParts, UpdateFrame};
use statestore_wire::{
    Epoch, NetworkAddress, Rpc, Status, StatusCode, UpdateStateRequest, UpdateStateResponse,
};
use std::cell::RefCell;
use std::pin::Pin;
use tokio::runtime::Handle;
use tokio::task::JoinError;

mod small;

pub(crate) use small::{Begun, Flight, Outcome, abandoned};

/// Connections for topic updates, priority and normal.
pub const UPDATE_STATE: Purpose = Purpose("subscriber-update-state");
/// Connections for heartbeats.
pub const HEARTBEAT: Purpose = Purpose("subscriber-heartbeat");
/// Connections for the news of the active catalogd.
pub const UPDATE_CATALOGD: Purpose = Purpose("subscriber-update-catalogd");
/// Connections for the news of the active statestored.
pub const UPDATE_STATESTORED: Purpose = Purpose("subscriber-update-statestored");

/// Connections to the other statestored of the pair.
pub const PEER: Purpose = Purpose("statestored-ha");

/// The largest answer of the peer, in bytes: a million ids.
const MOST_MEMBERS: u64 = 128 << 20;

/// Room for a heartbeat with all its fields.
const HEARTBEAT_BYTES: usize = 160;

/// Messages above this size, in bytes, are sent and decoded off the control thread.
pub(crate) const BULK: usize = 64 * 1024;

/// How the fan-out is bounded.
#[derive(Debug, Clone)]
pub struct FanoutLimits {
    /// Largest reply to an update, in bytes.
    pub max_reply: u64,
    /// Connections and buffers; where large replies are received is the fan-out's own choice.
    pub pool: PoolLimits,
}

/// Sends the node's calls.
pub struct Fanout<N: Net> {
    small: Pool<N>,
    bulk: Pool<N>,
    bulk_runtime: Handle,
    max_reply: u64,
    debug: DebugActions,
    fence: FenceCell,
    /// Of the epoch of the last call that had one.
    gate: RefCell<Option<(Epoch, Gate)>>,
    lines: RefCell<Lines>,
    answers: RefCell<Answers>,
}

impl<N: Net> Fanout<N> {
    /// A fan-out whose large messages run on `bulk_runtime`; `fence` is asked before whatever
    /// only an active statestored says.
    pub fn new(
        net: N,
        limits: FanoutLimits,
        debug: DebugActions,
        bulk_runtime: Handle,
        fence: FenceCell,
    ) -> Self {
        let small = PoolLimits {
            bulk: Some(bulk_runtime.clone()),
            ..limits.pool.clone()
        };
        // Few subscribers get large messages at a time; the others' connections need not wait.
        let bulk = PoolLimits {
            max_open: limits.pool.max_open / 12,
            beside: Gauge::default(),
            ..limits.pool
        };
        Self {
            small: Pool::new(net.clone(), small),
            bulk: Pool::new(net, bulk),
            bulk_runtime,
            max_reply: limits.max_reply,
            debug,
            fence,
            gate: RefCell::default(),
            lines: RefCell::default(),
            answers: RefCell::default(),
        }
    }

    /// What is asked before each send.
    pub fn fence(&self) -> &FenceCell {
        &self.fence
    }

    /// Runs what takes longer than a step may; it ends with the caller.
    pub(crate) async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        elsewhere(&self.bulk_runtime, async move { work() })
            .await
            .ok()
    }

    /// Connections of one purpose.
    pub fn usage(&self, purpose: Purpose) -> Usage {
        let (small, bulk) = (self.small.usage(purpose), self.bulk.usage(purpose));
        Usage {
            in_use: small.in_use + bulk.in_use,
            total: small.total + bulk.total,
        }
    }

    /// Closes idle connections to an address (F-4).
    pub fn disconnect(&self, address: &NetworkAddress) {
        // An address that nobody can connect to has no connections.
        if let Ok(address) = HostPort::try_from(address) {
            self.small.close(&address);
            self.bulk.close(&address);
        }
    }

    /// Makes one call that is not [small](Self::begin).
    // An `async fn` would hold the call twice, and there are thousands of these at a time.
    #[expect(clippy::manual_async_fn)]
    pub(crate) fn send(&self, call: Call) -> impl Future<Output = Result<Reply, CallFault>> {
        async move {
            trace(&call);
            let receiver = &call.to;
            let to = receiver.host.as_ref().map_err(|error| {
                let address = &receiver.address;
                let text = format!("Couldn't open transport for {address} ({error})");
                CallFault(Status::error(StatusCode::GENERAL, text))
            })?;
            let limits = CallLimits::small(call.timeout);
            let small = self.small.behind(self.gate(call.fence));
            let outcome = match call.body {
                // To an address that can be connected to, all of these are small.
                Body::Heartbeat(_) => return Err(abandoned()),
                Body::Update(update) => {
                    let limits = CallLimits {
                        max_reply: self.max_reply,
                        ..limits
                    };
                    let update = self.update(&small, to, update, limits).await;
                    return update.map(Reply::Update);
                }
                Body::Catalogd(request) => seldom(&small, to, UPDATE_CATALOGD, &*request, limits)
                    .await
                    .map(Reply::Catalogd),
                Body::Role(request) => seldom(&small, to, UPDATE_STATESTORED, &*request, limits)
                    .await
                    .map(Reply::Role),
                Body::Handshake(request) => seldom(&small, to, PEER, &*request, limits)
                    .await
                    .map(|reply| Reply::Handshake(Box::new(reply))),
                Body::HaHeartbeat(request) => {
                    // The answer may list every subscriber.
                    let limits = CallLimits {
                        max_reply: self.max_reply.min(MOST_MEMBERS),
                        ..limits
                    };
                    let reply = seldom(&small, to, PEER, &*request, limits).await;
                    reply.map(|reply| Reply::HaHeartbeat(Box::new(reply)))
                }
                Body::HaLeave(request) => seldom(&small, to, PEER, &*request, limits)
                    .await
                    .map(Reply::HaLeave),
            };
            outcome.map_err(failed)
        }
    }

    /// What a call with this fence has to pass; open without one.
    fn gate(&self, fence: Option<Epoch>) -> Gate {
        let Some(epoch) = fence else {
            return Gate::default();
        };
        let mut gate = self.gate.borrow_mut();
        match &*gate {
            Some((of, gate)) if *of == epoch => gate.clone(),
            _ => {
                let fresh = self.fence.gate(epoch);
                *gate = Some((epoch, fresh.clone()));
                fresh
            }
        }
    }

    async fn update(
        &self,
        small: &Pool<N>,
        to: &HostPort,
        update: Update,
        limits: CallLimits,
    ) -> Result<UpdateStateResponse, CallFault> {
        let bytes: usize = update.topics.iter().map(|part| part.delta.bytes).sum();
        if bytes > BULK {
            let pool = self.bulk.behind(small.gate().clone());
            let sent = elsewhere(&self.bulk_runtime, large(pool, to.clone(), update, limits));
            return sent.await.map_err(ended)?;
        }
        let frame = encode(&update)?;
        let parts = frame.pieces();
        let method = UpdateStateRequest::METHOD;
        let call = small.call_raw(to, UPDATE_STATE, method, &parts, limits);
        let answer: Answer<N> = call.await.map_err(failed)?;
        if answer.size() > BULK {
            let from = to.clone();
            let decoded = elsewhere(&self.bulk_runtime, async move { answer.decode(&from) });
            return decoded.await.map_err(ended)?.map_err(failed);
        }
        answer.decode(to).map_err(failed)
    }

    /// What tests want to happen before a call (flags.md section 10); `dice` yields 0 to 1.
    pub fn injections(&self, call: &Call, dice: impl FnMut() -> f64) -> Vec<Step> {
        label(call)
            .filter(|label| self.debug.concern(label))
            .map_or_else(Vec::new, |label| self.debug.at(label, dice))
    }
}

fn label(call: &Call) -> Option<&'static str> {
    match call.lane {
        Lane::Heartbeat | Lane::Priority | Lane::Bulk => Some(DO_SUBSCRIBER_UPDATE),
        Lane::Catalogd if call.first_attempt => Some(SEND_UPDATE_CATALOGD),
        Lane::Role if call.first_attempt => Some(SEND_UPDATE_STATESTORED),
        Lane::Peer if call.first_attempt && matches!(call.body, Body::Handshake(_)) => {
            Some(HANDSHAKE)
        }
        Lane::Catalogd | Lane::Role | Lane::Peer => None,
    }
}

/// A call of which there are few at a time. Boxed, so that it takes no room in the others.
fn seldom<'a, N: Net, R: Rpc>(
    pool: &'a Pool<N>,
    to: &'a HostPort,
    purpose: Purpose,
    request: &'a R,
    limits: CallLimits,
) -> Pin<Box<dyn Future<Output = Result<R::Response, RpcError>> + 'a>> {
    Box::pin(pool.call(to, purpose, request, limits))
}

/// Lets happen to a call what tests want to happen before it.
pub(crate) async fn inject(call: &Call, injected: Vec<Step>) -> Result<(), CallFault> {
    for step in injected {
        match step {
            Step::Sleep(time) => tokio::time::sleep(time).await,
            Step::Fail(text) if label(call) == Some(DO_SUBSCRIBER_UPDATE) => {
                tracing::warn!("Ignoring debug action failure: {text}");
            }
            Step::Fail(text) => {
                tracing::warn!("Injected RPC error to {}: {text}", call.to.address);
                return Err(CallFault(Status::error(StatusCode::INTERNAL_ERROR, text)));
            }
        }
    }
    Ok(())
}

fn failed(error: RpcError) -> CallFault {
    CallFault(error.status())
}

/// Work on the bulk runtime that did not come to its end.
fn ended(error: JoinError) -> CallFault {
    CallFault(Status::error(StatusCode::INTERNAL_ERROR, error.to_string()))
}

/// An update that is too large for the control thread.
async fn large<N: Net>(
    pool: Pool<N>,
    to: HostPort,
    update: Update,
    limits: CallLimits,
) -> Result<UpdateStateResponse, CallFault> {
    let frame = encode(&update)?;
    let parts = frame.pieces();
    let call = pool.call_parts::<UpdateStateRequest>(&to, UPDATE_STATE, &parts, limits);
    call.await.map_err(failed)
}

fn encode(update: &Update) -> Result<UpdateFrame<'_>, CallFault> {
    let topics: Vec<TopicParts<'_>> = update.topics.iter().map(part_of).collect();
    UpdateFrame::new(
        update.registration_id.0,
        update.statestore_id.0,
        update.epoch,
        &topics,
    )
    .map_err(|error| CallFault(Status::error(StatusCode::INTERNAL_ERROR, error.to_string())))
}

fn part_of(part: &TopicPart) -> TopicParts<'_> {
    TopicParts {
        name: &part.name,
        runs: &part.delta.runs,
        items: part.delta.count,
        is_delta: part.delta.is_delta,
        from_version: part.delta.from.to_wire(),
        to_version: part.delta.to.to_wire(),
        min_subscriber_topic_version: part.min_version.map(Version::to_wire),
    }
}
