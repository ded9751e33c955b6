//! Where subscribers register with one statestored: a [`Desk`] hands every call on, and says of
//! each subscriber that it listens at the near end of a link.
//!
//! A statestored calls the address that a subscriber registers. So this address is the one thing
//! that has to be translated to bring a link between the two, as a router does that hides
//! addresses. Deliberately absent: cutting (`links`), and changing anything else.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use statestore_rpc::{
    Call, CallLimits, HostPort, Limits, Net as _, Outcome, Pool, PoolLimits, Purpose, Quiet,
    RpcError, Server, Service, TcpNet, dispatch,
};
use statestore_wire::{
    GetProtocolVersionRequest, PublishRequest, RegisterSubscriberRequest, Rpc,
    UnregisterSubscriberRequest,
};
use thiserror::Error;
use tokio::runtime::Handle;

use super::Failure;
use super::links::{Link, Network, failed};

/// A halted statestored answers when it goes on, if that is soon.
const LIMIT: Duration = Duration::from_secs(10);

/// The desk in front of one statestored. Clones are the same desk.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Inner>);

struct Inner {
    /// Its own.
    port: u16,
    /// The statestored's; 0 while it has none.
    statestored: AtomicU16,
    pool: Pool<TcpNet>,
    runtime: Handle,
    /// From the statestored to each subscriber, by subscriber id.
    links: Mutex<BTreeMap<String, Link>>,
}

/// Why a call was not handed on, or not answered.
#[derive(Debug, Error)]
enum Unanswered {
    #[error("no statestored here yet")]
    Nobody,
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error("port {0} is none")]
    NoPort(i32),
    #[error("no link to the subscriber: {0}")]
    NoLink(#[from] io::Error),
}

impl Desk {
    /// A desk that has no statestored yet.
    pub(crate) fn open(network: &Network) -> Result<Self, Failure> {
        let runtime = network.runtime();
        let listener = runtime.block_on(TcpNet.listen("127.0.0.1", 0));
        let listener = listener.map_err(failed)?;
        let desk = Self(Arc::new(Inner {
            port: listener.local_addr().map_err(failed)?.port(),
            statestored: AtomicU16::new(0),
            pool: Pool::new(TcpNet, PoolLimits::default()),
            runtime: runtime.handle().clone(),
            links: Mutex::default(),
        }));
        let server = Server::new(listener, Limits::default(), Arc::new(Quiet));
        runtime.spawn(server.serve(desk.clone(), pending()));
        Ok(desk)
    }

    /// Where it is.
    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    /// From now on calls go to the statestored whose service has this port.
    pub(crate) fn hand_on_to(&self, port: u16) {
        self.0.statestored.store(port, Ordering::Relaxed);
    }

    /// Cuts the way from the statestored to a subscriber, or joins it again.
    pub(crate) fn cut(&self, subscriber: &str, cut: bool) {
        let links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(subscriber) {
            link.cut(cut);
        }
    }

    async fn hand_on<R: Rpc>(&self, request: &R) -> Result<R::Response, Unanswered> {
        let port = match self.0.statestored.load(Ordering::Relaxed) {
            0 => return Err(Unanswered::Nobody),
            port => port,
        };
        let to = HostPort::new("127.0.0.1", port);
        let limits = CallLimits::small(LIMIT);
        let called = self.0.pool.call(&to, Purpose("desk"), request, limits);
        Ok(called.await?)
    }

    async fn register(
        &self,
        mut request: RegisterSubscriberRequest,
    ) -> Result<<RegisterSubscriberRequest as Rpc>::Response, Unanswered> {
        let id = request.subscriber_id.to_string();
        let near = self.link_to(id, request.subscriber_location.port)?;
        request.subscriber_location.port = near.into();
        self.hand_on(&request).await
    }

    /// The near end of the link to a subscriber.
    fn link_to(&self, id: String, port: i32) -> Result<u16, Unanswered> {
        let port = u16::try_from(port).map_err(|_| Unanswered::NoPort(port))?;
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = match links.get(&id) {
            Some(link) => link,
            None => links.entry(id).or_insert(Link::open(&self.0.runtime)?),
        };
        link.lead_to(port);
        Ok(link.port())
    }
}

impl Service for Desk {
    const METHODS: &'static [&'static str] = &[
        "RegisterSubscriber",
        "GetProtocolVersion",
        "UnregisterSubscriber",
        "Publish",
    ];

    async fn call(&self, call: Call) -> Outcome {
        dispatch!(call, {
            RegisterSubscriberRequest => |request| self.register(request).await,
            GetProtocolVersionRequest => |request| self.hand_on(&request).await,
            PublishRequest => |request| self.hand_on(&request).await,
            UnregisterSubscriberRequest => |request| self.hand_on(&request).await,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::address::Address;
    use crate::rpc;
    use statestore_wire::{NetworkAddress, RegisterSubscriberResponse};

    /// A statestored that remembers at which ports its subscribers are.
    #[derive(Clone, Default)]
    struct Statestored(Arc<Mutex<Vec<i32>>>);

    impl Service for Statestored {
        const METHODS: &'static [&'static str] = &["RegisterSubscriber"];

        async fn call(&self, call: Call) -> Outcome {
            dispatch!(call, {
                RegisterSubscriberRequest => |request| {
                    self.0.lock().unwrap().push(request.subscriber_location.port);
                    Ok::<_, RpcError>(RegisterSubscriberResponse::default())
                },
            })
        }
    }

    fn register(desk: &Desk, id: &str, port: i32) -> Result<(), rpc::CallError> {
        let location = NetworkAddress {
            hostname: "127.0.0.1".into(),
            port,
            uds_address: None,
        };
        let request = RegisterSubscriberRequest::new(id.into(), location);
        let to = Address::new("127.0.0.1", desk.port());
        rpc::call(&to, Duration::from_secs(30), &request).map(drop)
    }

    /// What a subscriber never calls.
    const OPERATORS: [&str; 2] = ["SetStatestoreDebugAction", "ForceStatestoreActive"];

    #[test]
    fn every_call_of_a_subscriber_is_handed_on() {
        let idl = include_str!("../../../../idl/statestore.thrift");
        let (_, service) = idl.split_once("service StatestoreService {").unwrap();
        let (service, _) = service.split_once('}').unwrap();
        let methods = service.lines().filter_map(|line| {
            let name = line.split_once('(')?.0.split_whitespace().last()?;
            (!line.trim_start().starts_with("//")).then_some(name)
        });
        let methods: Vec<&str> = methods.filter(|name| !OPERATORS.contains(name)).collect();
        assert!(methods.contains(&"RegisterSubscriber"), "{methods:?}");
        for method in methods {
            assert!(Desk::METHODS.contains(&method), "{method}");
        }
    }

    #[test]
    fn each_subscriber_is_said_to_be_at_the_near_end_of_a_link_of_its_own() {
        let network = Network::start().unwrap();
        let desk = Desk::open(&network).unwrap();
        assert!(register(&desk, "a", 4711).is_err(), "nobody is there yet");

        let statestored = Statestored::default();
        let runtime = network.runtime();
        let listener = runtime.block_on(TcpNet.listen("127.0.0.1", 0)).unwrap();
        desk.hand_on_to(listener.local_addr().unwrap().port());
        let server = Server::new(listener, Limits::default(), Arc::new(Quiet));
        runtime.spawn(server.serve(statestored.clone(), pending()));
        for (id, port) in [("a", 4711), ("b", 4711), ("a", 4712)] {
            register(&desk, id, port).unwrap();
        }
        let ports = statestored.0.lock().unwrap().clone();
        assert!(
            !ports.contains(&4711) && !ports.contains(&4712),
            "{ports:?}"
        );
        assert_eq!((ports.len(), ports[0]), (3, ports[2]));
        assert_ne!(ports[0], ports[1]);
        assert!(register(&desk, "c", -1).is_err(), "no port");
    }
}
