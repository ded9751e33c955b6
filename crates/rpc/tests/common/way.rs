//! One call by each way through a pool: the same rules hold for all (K-1 to K-3).

use super::{Act, PATIENCE, Scripted, heartbeat};
use statestore_rpc::pool::{Ended, Place, Small, Started, Usual};
use statestore_rpc::{
    CallLimits, HostPort, Net, Pool, PoolLimits, Purpose, Reply, RpcError, TcpNet,
};
use statestore_wire::{HeartbeatRequest, HeartbeatResponse};
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::time::Duration;
use tokio::time::timeout_at;

pub const BEATS: Purpose = Purpose("subscriber-heartbeat");
const METHOD: &str = "Heartbeat";

/// How calls are made, and what is there when the first one begins that a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As a future; there is no connection.
    Future,
    /// As a future; there is a connection from earlier calls.
    FutureKept,
    /// By polling, with a place that is looked up for each call; there is no connection.
    Polled,
    /// By polling, with a place that is remembered; there is a connection from earlier calls.
    PolledKept,
}

pub const WAYS: [Way; 4] = [Way::Future, Way::FutureKept, Way::Polled, Way::PolledKept];

impl Way {
    /// A caller and a peer that plays these acts. Where connections are kept, calls were made
    /// before that nobody counts, and the first act begins after them.
    pub async fn meet(self, acts: Vec<Act>) -> (Caller<TcpNet>, Scripted) {
        let caller = self.caller(PoolLimits::default());
        if matches!(self, Self::Future | Self::Polled) {
            return (caller, Scripted::start(acts).await);
        }
        let later = &acts[1.min(acts.len() - 1)..];
        let mut kept = vec![Act::AnswerThen(2, Box::new(acts[0].clone()))];
        kept.extend_from_slice(later);
        let peer = Scripted::start(kept).await;
        for _ in 0..2 {
            caller.call(&peer.at, PATIENCE).await.unwrap();
        }
        peer.forget_calls();
        (caller, peer)
    }

    /// A caller alone.
    pub fn caller(self, limits: PoolLimits) -> Caller<TcpNet> {
        Caller::new(self, Pool::new(TcpNet, limits))
    }
}

/// Who makes calls by one of the ways.
pub struct Caller<N: Net> {
    pub pool: Pool<N>,
    way: Way,
    places: RefCell<HashMap<(HostPort, Purpose), Place>>,
    /// The last answer to a call that was polled.
    pub usual: RefCell<Usual<HeartbeatRequest>>,
}

impl<N: Net> Caller<N> {
    pub fn new(way: Way, pool: Pool<N>) -> Self {
        Self {
            pool,
            way,
            places: RefCell::default(),
            usual: RefCell::default(),
        }
    }

    /// One heartbeat.
    pub async fn call(
        &self,
        to: &HostPort,
        deadline: Duration,
    ) -> Result<HeartbeatResponse, RpcError> {
        let limits = CallLimits::small(deadline);
        if matches!(self.way, Way::Future | Way::FutureKept) {
            let reply = self.reply((to, BEATS), heartbeat(), limits).await?;
            return reply.decode(to);
        }
        let reply = match self.start((to, BEATS), heartbeat(), limits) {
            Started::Later(later) => later.await?,
            Started::Small(mut small) => {
                ready(&mut small, &self.usual).await;
                let accepted = self.usual.borrow().accept(small);
                match accepted {
                    Ok((response, _)) => return Ok(response),
                    Err(small) => rest(small.end(to)).await?,
                }
            }
        };
        self.usual.borrow_mut().decode(reply, to)
    }

    /// The answer to a message.
    pub async fn reply(
        &self,
        (to, purpose): (&HostPort, Purpose),
        message: Vec<u8>,
        limits: CallLimits,
    ) -> Result<Reply<N>, RpcError> {
        if matches!(self.way, Way::Future | Way::FutureKept) {
            let parts = [message];
            let call = self.pool.call_raw(to, purpose, METHOD, &parts, limits);
            return call.await;
        }
        whole(self.start((to, purpose), message, limits), to, &self.usual).await
    }

    /// The beginning of a call that is polled.
    pub fn start(
        &self,
        (to, purpose): (&HostPort, Purpose),
        message: Vec<u8>,
        limits: CallLimits,
    ) -> Started<N> {
        let mut places = self.places.borrow_mut();
        let place = places.entry((to.clone(), purpose)).or_default();
        if self.way == Way::Polled {
            *place = Place::default();
        }
        let message = (METHOD, message);
        let to = (to, purpose, place);
        self.pool.start(to, message, limits)
    }

    /// The same over a connection that is there.
    pub fn small(&self, to: &HostPort, message: Vec<u8>, limits: CallLimits) -> Box<Small<N>> {
        match self.start((to, BEATS), message, limits) {
            Started::Small(small) => small,
            Started::Later(_) => panic!("nothing is idle"),
        }
    }

    /// What it remembers.
    pub fn place(&self, to: &HostPort) -> Place {
        self.places.borrow()[&(to.clone(), BEATS)]
    }

    /// It remembers something else.
    pub fn set_place(&self, to: &HostPort, place: Place) {
        self.places.borrow_mut().insert((to.clone(), BEATS), place);
    }
}

impl<N: Net> Drop for Caller<N> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the calls were made by this way: {:?}", self.way);
        }
    }
}

/// The rest of a call, however it goes on.
pub async fn whole<N: Net>(
    started: Started<N>,
    to: &HostPort,
    usual: &RefCell<Usual<HeartbeatRequest>>,
) -> Result<Reply<N>, RpcError> {
    match started {
        Started::Later(later) => later.await,
        Started::Small(small) => rest(end(small, to, usual).await).await,
    }
}

async fn rest<N: Net>(ended: Ended<N>) -> Result<Reply<N>, RpcError> {
    match ended {
        Ended::Now(result) => result,
        Ended::Later(later) => later.await,
    }
}

/// Polls a call until it is ready, or its deadline is over.
pub async fn end<N: Net>(
    mut small: Box<Small<N>>,
    to: &HostPort,
    usual: &RefCell<Usual<HeartbeatRequest>>,
) -> Ended<N> {
    ready(&mut small, usual).await;
    small.end(to)
}

/// The same without asking for the end.
pub async fn ready<N: Net>(small: &mut Small<N>, usual: &RefCell<Usual<HeartbeatRequest>>) {
    let deadline = small.deadline();
    let ready = timeout_at(deadline, poll_fn(|cx| small.poll(cx, &usual.borrow()))).await;
    drop(ready); // the call knows whether it was
}
