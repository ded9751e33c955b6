//! A statestored that does what a test tells it to: real sockets, no will of its own.

#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test's tool, shared by several test programs"
)]

use statestore_rpc::net::Listener;
use statestore_rpc::server::{Limits, Quiet, Server};
use statestore_rpc::{
    Call, CallLimits, HostPort, Net, Outcome, Pool, PoolLimits, Purpose, RpcError, Service, TcpNet,
    dispatch,
};
use statestore_wire::*;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot, watch};

/// Generous: reached only when something is broken.
pub const LIMIT: Duration = Duration::from_secs(30);

pub struct FakeStatestore {
    pub port: u16,
    pub state: Arc<Mutex<State>>,
    registered: watch::Receiver<u64>,
    left: watch::Receiver<Vec<UnregisterSubscriberRequest>>,
    pool: Pool<TcpNet>,
    _stop: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
pub struct State {
    pub statestore_id: UniqueId,
    pub registrations: Vec<RegisterSubscriberRequest>,
    pub version_calls: u64,
    /// Answered instead of accepting.
    pub refuse: Option<Status>,
    pub is_active: bool,
    /// Each answer to a registration waits for a permit.
    pub gate: Option<Arc<Semaphore>>,
    pub catalogd: Option<(CatalogRegistration, i64)>,
    /// What becomes of a farewell.
    pub on_farewell: OnFarewell,
    /// Named in whatever an active one says.
    pub epoch: Option<Epoch>,
    /// It says that it takes `Publish`, which it never knows.
    pub publication_limit: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFarewell {
    #[default]
    Answers,
    /// As the reference, which does not know the word.
    Unknown,
    /// Takes it and never answers.
    Hangs,
}

#[derive(Clone)]
struct Front {
    state: Arc<Mutex<State>>,
    registered: Arc<watch::Sender<u64>>,
    left: Arc<watch::Sender<Vec<UnregisterSubscriberRequest>>>,
}

impl Service for Front {
    const METHODS: &'static [&'static str] = &[
        "RegisterSubscriber",
        "GetProtocolVersion",
        "UnregisterSubscriber",
    ];

    async fn call(&self, call: Call) -> Outcome {
        let on_farewell = self.state.lock().unwrap().on_farewell;
        if call.method() == b"UnregisterSubscriber" && on_farewell == OnFarewell::Unknown {
            return Outcome::unknown_method(call.envelope());
        }
        dispatch!(call, {
            GetProtocolVersionRequest => |_request| {
                self.state.lock().unwrap().version_calls += 1;
                Ok::<_, Infallible>(GetProtocolVersionResponse::default())
            },
            RegisterSubscriberRequest => |request| {
                let response = self.register(request);
                let gate = self.state.lock().unwrap().gate.clone();
                if let Some(gate) = gate {
                    gate.acquire().await.unwrap().forget();
                }
                Ok::<_, Infallible>(response)
            },
            UnregisterSubscriberRequest => |request| {
                self.left.send_modify(|left| left.push(request));
                if on_farewell == OnFarewell::Hangs {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(UnregisterSubscriberResponse::default())
            },
        })
    }
}

impl Front {
    fn register(&self, request: RegisterSubscriberRequest) -> RegisterSubscriberResponse {
        let mut state = self.state.lock().unwrap();
        if let Some(status) = state.refuse.clone() {
            return RegisterSubscriberResponse {
                status,
                ..Default::default()
            };
        }
        state.registrations.push(request);
        let number = state.registrations.len() as u64;
        let catalogd = state.catalogd.clone();
        let response = RegisterSubscriberResponse {
            registration_id: Some(UniqueId {
                hi: 7,
                lo: number as i64,
            }),
            protocol_version: Some(ProtocolVersion::V2),
            statestore_id: Some(state.statestore_id),
            catalogd_version: catalogd.as_ref().map(|(_, version)| *version),
            catalogd_registration: catalogd.map(|(registration, _)| registration),
            statestore_is_active: Some(state.is_active),
            active_statestored_version: Some(1),
            epoch: state.epoch.filter(|_| state.is_active),
            publication_limit: state.publication_limit,
            ..Default::default()
        };
        self.registered.send_replace(number);
        response
    }
}

impl FakeStatestore {
    /// An active statestored with this id, on a port that the system picks.
    pub async fn start(id: i64) -> Self {
        let state = State {
            statestore_id: UniqueId { hi: id, lo: id },
            is_active: true,
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let (sender, registered) = watch::channel(0);
        let (leaver, left) = watch::channel(Vec::new());
        let listener = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let port = Listener::local_addr(&listener).unwrap().port();
        let front = Front {
            state: Arc::clone(&state),
            registered: Arc::new(sender),
            left: Arc::new(leaver),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let server = Server::new(listener, Limits::default(), Arc::new(Quiet));
            server
                .serve(front, async move { drop(stopped.await) })
                .await;
        });
        let pool = Pool::new(TcpNet, PoolLimits::default());
        Self {
            port,
            state,
            registered,
            left,
            pool,
            _stop: stop,
        }
    }

    /// Waits for the `n`th registration and returns it.
    pub async fn registration(&self, n: u64) -> RegisterSubscriberRequest {
        let mut registered = self.registered.clone();
        let wait = registered.wait_for(|count| *count >= n);
        tokio::time::timeout(LIMIT, wait).await.unwrap().unwrap();
        self.state.lock().unwrap().registrations[n as usize - 1].clone()
    }

    /// Waits for the first farewell and returns it.
    pub async fn farewell(&self) -> UnregisterSubscriberRequest {
        let mut left = self.left.clone();
        let wait = left.wait_for(|left| !left.is_empty());
        tokio::time::timeout(LIMIT, wait).await.unwrap().unwrap()[0].clone()
    }

    /// From now on it is the active one of a pair, under this epoch; or none.
    pub fn activate(&self, epoch: Option<i64>) {
        let mut state = self.state.lock().unwrap();
        state.is_active = epoch.is_some();
        state.epoch = epoch.map(Epoch);
    }

    pub fn statestore_id(&self) -> UniqueId {
        self.state.lock().unwrap().statestore_id
    }

    pub fn registration_id(&self) -> UniqueId {
        let lo = self.state.lock().unwrap().registrations.len() as i64;
        UniqueId { hi: 7, lo }
    }

    pub async fn call<R: Rpc>(
        &self,
        lane: &'static str,
        request: &R,
    ) -> Result<R::Response, RpcError> {
        let location = {
            let state = self.state.lock().unwrap();
            let last = state.registrations.last().unwrap();
            HostPort::new("127.0.0.1", last.subscriber_location.port as u16)
        };
        let limits = CallLimits {
            deadline: LIMIT,
            max_reply: 1 << 30,
        };
        self.pool
            .call(&location, Purpose(lane), request, limits)
            .await
    }

    /// The next call of every lane goes over a new connection.
    pub fn disconnect(&self) {
        self.pool.close_all();
    }

    pub async fn heartbeat(&self) -> HeartbeatResponse {
        let request = HeartbeatRequest {
            protocol_version: ProtocolVersion::V2,
            registration_id: Some(self.registration_id()),
            statestore_id: Some(self.statestore_id()),
            request_statestore_conn_state: None,
            epoch: self.epoch(),
        };
        self.call("heartbeat", &request).await.unwrap()
    }

    /// A standby's heartbeat that asks for the vote.
    pub async fn ask(&self) -> HeartbeatResponse {
        let request = HeartbeatRequest {
            registration_id: Some(self.registration_id()),
            statestore_id: Some(self.statestore_id()),
            request_statestore_conn_state: Some(true),
            ..HeartbeatRequest::default()
        };
        self.call("heartbeat", &request).await.unwrap()
    }

    fn epoch(&self) -> Option<Epoch> {
        let state = self.state.lock().unwrap();
        state.epoch.filter(|_| state.is_active)
    }

    pub async fn update(&self, deltas: Vec<TopicDelta>) -> UpdateStateResponse {
        let deltas = deltas
            .into_iter()
            .map(|delta| (delta.topic_name.clone(), delta));
        let request = UpdateStateRequest {
            protocol_version: ProtocolVersion::V2,
            topic_deltas: TopicDeltas(deltas.collect()),
            registration_id: Some(self.registration_id()),
            statestore_id: Some(self.statestore_id()),
            epoch: self.epoch(),
        };
        self.call("update", &request).await.unwrap()
    }
}

/// A subscriber of this statestored that does not wait long.
pub fn builder(statestore: &FakeStatestore) -> statestore_subscriber::Builder {
    statestore_subscriber::Subscriber::builder("tester")
        .statestore("127.0.0.1", statestore.port)
        .hostname("127.0.0.1")
        .recovery_interval(Duration::from_millis(20))
        .retry_interval(Duration::from_millis(20))
}

/// The same, once it is registered with this topic.
pub async fn registered(
    statestore: &FakeStatestore,
    topic: statestore_subscriber::Topic,
) -> statestore_subscriber::Handle {
    let start = builder(statestore).topic(topic).start();
    let subscriber = start.await.unwrap();
    subscriber.registered().await.unwrap();
    subscriber
}

/// A delta of puts; a full message if `from` is 0.
pub fn delta(topic: &str, from: i64, to: i64, entries: &[(&str, &str)]) -> TopicDelta {
    let items = entries
        .iter()
        .map(|(key, value)| (key.as_bytes(), value.as_bytes(), false));
    TopicDelta {
        topic_name: topic.into(),
        topic_entries: ItemBatch::from_items(items),
        is_delta: from > 0,
        from_version: Some(from),
        to_version: Some(to),
        ..Default::default()
    }
}

/// The entries of a reply's update, as text.
pub fn entries(update: &TopicDelta) -> Vec<(String, String, bool)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    update
        .topic_entries
        .iter()
        .map(|item| (text(item.key), text(item.value), item.deleted))
        .collect()
}
