//! A subscriber made of threads and blocking sockets: honest by default, hostile on request.
//!
//! It shares with the daemon only the codec (whose bytes are checked elsewhere), so that a fault
//! of the RPC layer cannot hide behind itself.

use super::{LIMIT, eventually};
use statestore_wire::envelope::{read_args, read_result, write_call, write_reply};
use statestore_wire::scan::Scanner;
use statestore_wire::{
    Envelope, Fault, HeartbeatRequest, HeartbeatResponse, ItemBatch, MessageKind, NetworkAddress,
    ProtocolVersion, Reader, RegisterSubscriberRequest, RegisterSubscriberResponse, Rpc,
    SubscriberType, Text, TopicDelta, TopicRegistration, UniqueId, UpdateCatalogdRequest,
    UpdateCatalogdResponse, UpdateStateRequest, UpdateStateResponse,
};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One call that arrived.
pub struct Incoming {
    pub envelope: Envelope,
    args: Vec<u8>,
}

impl Incoming {
    pub fn method(&self) -> String {
        self.envelope.method.to_str().into_owned()
    }

    pub fn args<R: Rpc>(&self) -> R {
        read_args(&mut Reader::new(&self.args)).unwrap()
    }

    pub fn reply<R: Rpc>(&self, response: &R::Response) -> Action {
        let mut out = Vec::new();
        write_reply(&self.envelope, response, &mut out);
        Action::Send(out)
    }
}

/// What to do with a call.
pub enum Action {
    Send(Vec<u8>),
    Close,
    /// Say nothing, for ever.
    Hang,
}

/// What an honest subscriber has seen and is about to publish.
#[derive(Default)]
pub struct State {
    pub heartbeats: Vec<(Instant, HeartbeatRequest)>,
    pub updates: Vec<(Instant, UpdateStateRequest)>,
    pub catalogds: Vec<UpdateCatalogdRequest>,
    /// Key to value, per topic.
    pub topics: BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Goes out with the next reply to an update.
    pub publish: Vec<TopicDelta>,
}

impl State {
    fn apply(&mut self, update: &UpdateStateRequest) {
        for (name, delta) in &update.topic_deltas.0 {
            let topic = self.topics.entry(name.to_str().into_owned()).or_default();
            if !delta.is_delta {
                topic.clear();
            }
            for item in delta.topic_entries.iter() {
                if item.deleted {
                    topic.remove(item.key);
                } else {
                    topic.insert(item.key.to_vec(), item.value.to_vec());
                }
            }
        }
    }
}

type Behaviour = dyn Fn(&Incoming, &Mutex<State>) -> Action + Send + Sync;

/// A listening subscriber; closes its port and connections when dropped.
pub struct Subscriber {
    pub id: String,
    pub address: SocketAddr,
    pub state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    open: Arc<Mutex<Open>>,
}

/// Connections to a subscriber, by number.
#[derive(Default)]
struct Open {
    accepted: usize,
    streams: BTreeMap<usize, TcpStream>,
}

impl Subscriber {
    /// One that answers everything as it should.
    pub fn new(id: &str) -> Self {
        Self::with(id, honest)
    }

    /// One that answers as `behaviour` says.
    pub fn with(
        id: &str,
        behaviour: impl Fn(&Incoming, &Mutex<State>) -> Action + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self {
            id: id.to_owned(),
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
            stop: Arc::default(),
            open: Arc::default(),
        };
        let (state, stop, open) = (this.state.clone(), this.stop.clone(), this.open.clone());
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // Under the lock: what is accepted while it ends is hung up here or there.
                let mut opened = open.lock().unwrap();
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                opened.accepted += 1;
                let number = opened.accepted;
                opened.streams.insert(number, stream.try_clone().unwrap());
                drop(opened);
                let (state, behaviour, open) = (state.clone(), behaviour.clone(), open.clone());
                std::thread::spawn(move || {
                    serve(stream, &state, &*behaviour);
                    open.lock().unwrap().streams.remove(&number);
                });
            }
        });
        this
    }

    /// The request that registers it for `(topic, is_transient)`.
    pub fn request(&self, topics: &[(&str, bool)]) -> RegisterSubscriberRequest {
        let topic = |&(name, is_transient): &(&str, bool)| TopicRegistration {
            topic_name: name.into(),
            is_transient,
            ..Default::default()
        };
        RegisterSubscriberRequest {
            protocol_version: ProtocolVersion::V2,
            subscriber_id: self.id.as_str().into(),
            subscriber_location: NetworkAddress {
                hostname: self.address.ip().to_string().into(),
                port: self.address.port().into(),
                uds_address: None,
            },
            topic_registrations: topics.iter().map(topic).collect(),
            subscriber_type: Some(SubscriberType::COORDINATOR),
            subscribe_catalogd_change: Some(false),
            catalogd_registration: None,
            heartbeat_timeout_ms: None,
            publishes: None,
        }
    }

    /// Registers; the registration id.
    pub fn register(&self, at: SocketAddr, topics: &[(&str, bool)]) -> UniqueId {
        let response: RegisterSubscriberResponse = call(at, &self.request(topics)).unwrap();
        assert!(response.status.is_ok(), "{:?}", response.status);
        response.registration_id.unwrap()
    }

    /// Publishes with the next reply.
    pub fn publish(&self, topic: &str, items: &[(&[u8], &[u8], bool)]) {
        let delta = TopicDelta {
            topic_name: topic.into(),
            topic_entries: ItemBatch::from_items(items.iter().copied()),
            is_delta: false,
            ..Default::default()
        };
        self.state.lock().unwrap().publish.push(delta);
    }

    /// What it holds under a key.
    pub fn value(&self, topic: &str, key: &[u8]) -> Option<Vec<u8>> {
        self.state
            .lock()
            .unwrap()
            .topics
            .get(topic)?
            .get(key)
            .cloned()
    }

    /// Waits until it holds `value` under `key`.
    pub fn await_value(&self, topic: &str, key: &[u8], value: Option<&[u8]>) {
        let what = format!("{} has {:?} in {topic}", self.id, value.map(<[u8]>::len));
        eventually(&what, || {
            (self.value(topic, key).as_deref() == value).then_some(())
        });
    }

    /// Connections that were ever opened to it.
    pub fn accepted(&self) -> usize {
        self.open.lock().unwrap().accepted
    }

    /// When the last heartbeat came.
    pub fn last_heartbeat(&self) -> Option<Instant> {
        let state = self.state.lock().unwrap();
        state.heartbeats.last().map(|(came, _)| *came)
    }

    pub fn heartbeats(&self) -> usize {
        self.state.lock().unwrap().heartbeats.len()
    }

    /// Waits for `n` more heartbeats.
    pub fn await_heartbeats(&self, n: usize) {
        let goal = self.heartbeats() + n;
        eventually(&format!("{n} heartbeats to {}", self.id), || {
            (self.heartbeats() >= goal).then_some(())
        });
    }

    /// Pauses between the heartbeats so far.
    pub fn beat(&self) -> Vec<Duration> {
        let state = self.state.lock().unwrap();
        state
            .heartbeats
            .windows(2)
            .map(|pair| pair[1].0 - pair[0].0)
            .collect()
    }

    /// The median of those that ended after `start`: who is held up by something else again and
    /// again has a long one, who is without a processor for once has not.
    pub fn median_beat(&self, start: Instant) -> Duration {
        let state = self.state.lock().unwrap();
        let pairs = state.heartbeats.windows(2);
        let pairs = pairs.filter(|pair| pair[1].0 > start);
        let mut pauses: Vec<_> = pairs.map(|pair| pair[1].0 - pair[0].0).collect();
        pauses.sort_unstable();
        let median = pauses.get(pauses.len() / 2);
        *median.expect("a heartbeat since the start")
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for stream in self.open.lock().unwrap().streams.values() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Answers as a correct subscriber does.
pub fn honest(call: &Incoming, state: &Mutex<State>) -> Action {
    // Not under the lock, which another connection's update may hold.
    let came = Instant::now();
    let lock = || state.lock().unwrap();
    match call.method().as_str() {
        "Heartbeat" => {
            let request = call.args::<HeartbeatRequest>();
            lock().heartbeats.push((came, request));
            call.reply::<HeartbeatRequest>(&HeartbeatResponse::default())
        }
        "UpdateState" => {
            let request = call.args::<UpdateStateRequest>();
            let mut state = lock();
            state.apply(&request);
            let names: Vec<_> = request
                .topic_deltas
                .0
                .iter()
                .map(|(n, _)| n.clone())
                .collect();
            state.updates.push((came, request));
            let (now, later) = std::mem::take(&mut state.publish)
                .into_iter()
                .partition(|delta| names.contains(&delta.topic_name));
            state.publish = later;
            let response = UpdateStateResponse {
                topic_updates: now,
                ..Default::default()
            };
            call.reply::<UpdateStateRequest>(&response)
        }
        "UpdateCatalogd" => {
            let request = call.args::<UpdateCatalogdRequest>();
            lock().catalogds.push(request);
            call.reply::<UpdateCatalogdRequest>(&UpdateCatalogdResponse::default())
        }
        other => panic!("called for {other}"),
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, behaviour: &Behaviour) {
    let mut buffer = Vec::new();
    while let Ok(Some(message)) = read_message(&mut stream, &mut buffer) {
        let mut reader = Reader::new(&message);
        let envelope = Envelope::read(&mut reader).unwrap();
        let args = reader.rest().to_vec();
        match behaviour(&Incoming { envelope, args }, state) {
            Action::Send(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Action::Close => {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
            Action::Hang => loop {
                std::thread::park();
            },
        }
    }
}

/// One message, or `None` at the end of the stream.
pub fn read_message(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<Vec<u8>>> {
    let mut scanner = Scanner::new(u64::MAX);
    let mut chunk = vec![0; 1 << 20];
    loop {
        if !buffer.is_empty() {
            let found = scanner
                .advance(buffer)
                .map_err(|fault: Fault| std::io::Error::other(fault.to_string()))?;
            if let Some(len) = found {
                let rest = buffer.split_off(len);
                return Ok(Some(std::mem::replace(buffer, rest)));
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            n => buffer.extend_from_slice(&chunk[..n]),
        }
    }
}

/// One call on a connection of its own; an exception is its text.
pub fn call<R: Rpc>(to: SocketAddr, request: &R) -> Result<R::Response, String> {
    let mut message = Vec::new();
    write_call(request, &mut message);
    let answer = raw_call(to, &message).map_err(|error| error.to_string())?;
    let answer = answer.ok_or("closed without an answer")?;
    let mut reader = Reader::new(&answer);
    let envelope = Envelope::read(&mut reader).unwrap();
    if envelope.kind == MessageKind::Exception {
        return Err(String::from_utf8_lossy(reader.rest()).into_owned());
    }
    Ok(read_result(&mut reader).unwrap().expect("a result"))
}

/// Sends bytes, reads one message.
pub fn raw_call(to: SocketAddr, message: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(message)?;
    read_message(&mut stream, &mut Vec::new())
}

/// A text for a request.
pub fn text(text: &str) -> Text {
    text.into()
}
