//! A [`World`] of one subscriber: time is a number, statestoreds are the test.

use crate::words::*;
use statestore_core::ids::{CallId, RegistrationId, RequestId, StatestoreId};
use statestore_core::subscriber::port::*;
use statestore_core::subscriber::{Config, Role, Subscriber, TopicConfig, View};
use statestore_core::time::{Now, Time, Wall};
use statestore_wire::*;
use std::time::Duration;

pub(crate) struct World {
    pub(crate) subscriber: Subscriber,
    pub(crate) now: Time,
    pub(crate) calls: Vec<Call>,
    pub(crate) log: Vec<Event>,
    pub(crate) catalogds: Vec<CatalogdChange>,
    pub(crate) actives: Vec<(usize, bool)>,
    pub(crate) start_failure: Option<Status>,
    answers: Vec<(RequestId, Answer)>,
    deliveries: Vec<Delivery>,
    next_request: u64,
}

/// Deltas that wait to be processed.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) token: Token,
    pub(crate) request: RequestId,
    pub(crate) topics: Vec<(Text, TopicDelta)>,
}

pub(crate) fn config(statestores: usize) -> Config {
    let address = |i: usize| NetworkAddress {
        hostname: "statestore".into(),
        port: 24000 + i as i32,
        uds_address: None,
    };
    let mut config = Config::new(
        "me",
        NetworkAddress {
            hostname: "host".into(),
            port: 23000,
            uds_address: None,
        },
        (0..statestores).map(address).collect(),
    );
    config.attempts = std::num::NonZeroU32::new(3);
    config
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let now = Time::from_millis(1_000);
        let mut world = Self {
            subscriber: Subscriber::new(
                config,
                Now {
                    time: now,
                    wall: Wall(0),
                },
            ),
            now,
            calls: Vec::new(),
            log: Vec::new(),
            catalogds: Vec::new(),
            actives: Vec::new(),
            start_failure: None,
            answers: Vec::new(),
            deliveries: Vec::new(),
            next_request: 0,
        };
        world.step(Input::Timer);
        world
    }

    /// One statestored (id 10, registration 1), registered, following `topics`.
    pub(crate) fn following(topics: Vec<TopicConfig>) -> Self {
        let mut config = config(1);
        config.topics = topics;
        let mut world = Self::new(config);
        world.register(0, 10, 1, true);
        world
    }

    /// A pair: 10 is active (registration 1), 20 standby (registration 2).
    pub(crate) fn pair(topics: Vec<TopicConfig>) -> Self {
        let mut config = config(2);
        config.topics = topics;
        let mut world = Self::new(config);
        world.register(0, 10, 1, true);
        world.register(1, 20, 2, false);
        world
    }

    pub(crate) fn step(&mut self, input: Input) {
        let mut outbox = Outbox::new();
        let now = Now {
            time: self.now,
            wall: Wall(7),
        };
        self.subscriber.step(now, input, &mut outbox);
        for effect in outbox {
            match effect {
                Effect::Call(call) => self.calls.push(call),
                Effect::Answer { id, answer } => self.answers.push((id, answer)),
                Effect::Deliver {
                    token,
                    request,
                    topics,
                } => {
                    self.deliveries.push(Delivery {
                        token,
                        request,
                        topics,
                    });
                }
                Effect::Catalogd(change) => self.catalogds.push(change),
                Effect::Active {
                    statestore,
                    failover,
                } => {
                    self.actives.push((statestore, failover));
                }
                Effect::StartFailed { status, .. } => self.start_failure = Some(status),
                Effect::Log(event) => {
                    assert!(!event.to_string().is_empty());
                    self.log.push(event);
                }
            }
        }
    }

    /// Lets time pass; timers run when they are due.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.subscriber.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(deadline);
            self.step(Input::Timer);
        }
        self.now = end;
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// The only call under way.
    pub(crate) fn call(&mut self) -> Call {
        assert_eq!(self.calls.len(), 1, "calls: {:?}", self.calls);
        self.calls.remove(0)
    }

    pub(crate) fn complete(&mut self, call: CallId, outcome: Result<Reply, Status>) {
        self.step(Input::Completed { call, outcome });
    }

    pub(crate) fn fail(&mut self, call: &Call) {
        self.complete(
            call.id,
            Err(Status::error(StatusCode::GENERAL, "connection refused")),
        );
    }

    /// Answers both calls of statestored `i`'s registration.
    pub(crate) fn register(&mut self, i: usize, statestore: i64, registration: i64, active: bool) {
        self.answer_version(i);
        self.answer_registration(i, accepted(statestore, registration, active));
    }

    pub(crate) fn answer_version(&mut self, i: usize) {
        let call = self.take_call(i);
        assert!(matches!(call.body, Body::ProtocolVersion(_)), "{call:?}");
        self.complete(
            call.id,
            Ok(Reply::ProtocolVersion(GetProtocolVersionResponse::default())),
        );
    }

    pub(crate) fn answer_registration(&mut self, i: usize, response: RegisterSubscriberResponse) {
        let call = self.take_call(i);
        assert!(matches!(call.body, Body::Register(_)), "{call:?}");
        self.complete(call.id, Ok(Reply::Register(response)));
    }

    pub(crate) fn take_call(&mut self, i: usize) -> Call {
        let at = self.calls.iter().position(|call| call.statestore == i);
        self.calls
            .remove(at.unwrap_or_else(|| panic!("no call to {i}: {:?}", self.calls)))
    }

    /// Makes a request; its answer, if there is one already.
    pub(crate) fn request(&mut self, request: Request) -> (RequestId, Option<Answer>) {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.step(Input::Request { id, request });
        (id, self.take_answer(id))
    }

    pub(crate) fn take_answer(&mut self, id: RequestId) -> Option<Answer> {
        let at = self.answers.iter().position(|(of, _)| *of == id)?;
        Some(self.answers.remove(at).1)
    }

    pub(crate) fn heartbeat(&mut self, statestore: i64, registration: i64) -> HeartbeatResponse {
        self.heartbeat_asking(statestore, registration, None)
    }

    pub(crate) fn heartbeat_asking(
        &mut self,
        statestore: i64,
        registration: i64,
        state: Option<bool>,
    ) -> HeartbeatResponse {
        let request = HeartbeatRequest {
            registration_id: Some(id(registration)),
            statestore_id: Some(id(statestore)),
            request_statestore_conn_state: state,
            ..HeartbeatRequest::default()
        };
        match self.request(Request::Heartbeat(request)).1 {
            Some(Answer::Heartbeat(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    /// An active one's heartbeat; registrations as in [`World::pair`].
    pub(crate) fn beat(&mut self, statestore: i64, epoch: i64) -> HeartbeatResponse {
        let request = HeartbeatRequest {
            registration_id: Some(id(statestore / 10)),
            statestore_id: Some(id(statestore)),
            epoch: Some(Epoch(epoch)),
            ..HeartbeatRequest::default()
        };
        match self.request(Request::Heartbeat(request)).1 {
            Some(Answer::Heartbeat(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn notify(&mut self, request: UpdateCatalogdRequest) -> UpdateCatalogdResponse {
        match self.request(Request::Catalogd(request)).1 {
            Some(Answer::Catalogd(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn tell(
        &mut self,
        request: UpdateStatestoredRoleRequest,
    ) -> UpdateStatestoredRoleResponse {
        match self.request(Request::Role(request)).1 {
            Some(Answer::Role(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn roles(&self) -> Vec<Role> {
        self.view().statestores.iter().map(|it| it.role).collect()
    }

    /// Sends an update from statestored 10, registration 1, and begins its delivery.
    pub(crate) fn begin_update(&mut self, connection: u64, deltas: Vec<TopicDelta>) -> Begun {
        self.begin_update_from((10, 1), connection, deltas)
    }

    pub(crate) fn begin_update_from(
        &mut self,
        (statestore, registration): (i64, i64),
        connection: u64,
        deltas: Vec<TopicDelta>,
    ) -> Begun {
        self.begin_update_under(None, (statestore, registration), connection, deltas)
    }

    pub(crate) fn begin_update_under(
        &mut self,
        epoch: Option<i64>,
        (statestore, registration): (i64, i64),
        connection: u64,
        deltas: Vec<TopicDelta>,
    ) -> Begun {
        let deltas = deltas
            .into_iter()
            .map(|delta| (delta.topic_name.clone(), delta));
        let request = UpdateStateRequest {
            topic_deltas: TopicDeltas(deltas.collect()),
            registration_id: Some(id(registration)),
            statestore_id: Some(id(statestore)),
            epoch: epoch.map(Epoch),
            ..UpdateStateRequest::default()
        };
        let connection = ConnectionId(connection);
        match self.request(Request::Update {
            connection,
            request,
        }) {
            (_, Some(Answer::Update(answer))) => Begun::Answered(answer),
            (of, None) => {
                let at = self.deliveries.iter().position(|it| it.request == of);
                Begun::Delivered(self.deliveries.remove(at.unwrap()))
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn finish(&mut self, delivery: Delivery, commands: Vec<Command>) -> UpdateAnswer {
        self.finish_with(delivery, Ok(commands))
    }

    pub(crate) fn finish_with(
        &mut self,
        delivery: Delivery,
        outcome: Result<Vec<Command>, Text>,
    ) -> UpdateAnswer {
        let durations = delivery
            .topics
            .iter()
            .map(|(name, _)| (name.clone(), Duration::from_millis(3)))
            .collect();
        self.step(Input::Processed {
            token: delivery.token,
            outcome,
            durations,
        });
        match self.take_answer(delivery.request) {
            Some(Answer::Update(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// Sends an update and processes what is delivered of it.
    pub(crate) fn update(&mut self, connection: u64, deltas: Vec<TopicDelta>) -> UpdateAnswer {
        self.update_from((10, 1), connection, deltas)
    }

    pub(crate) fn update_from(
        &mut self,
        from: (i64, i64),
        connection: u64,
        deltas: Vec<TopicDelta>,
    ) -> UpdateAnswer {
        self.update_under(None, from, connection, deltas)
    }

    pub(crate) fn update_under(
        &mut self,
        epoch: Option<i64>,
        from: (i64, i64),
        connection: u64,
        deltas: Vec<TopicDelta>,
    ) -> UpdateAnswer {
        match self.begin_update_under(epoch, from, connection, deltas) {
            Begun::Answered(answer) => answer,
            Begun::Delivered(delivery) => self.finish(delivery, Vec::new()),
        }
    }

    pub(crate) fn publish(&mut self, commands: Vec<Command>) {
        self.step(Input::Publish(commands));
    }

    pub(crate) fn view(&self) -> View {
        self.subscriber.view()
    }

    pub(crate) fn registration_id(&self, i: usize) -> Option<RegistrationId> {
        self.view().statestores[i].registration_id
    }

    pub(crate) fn statestore_id(&self, i: usize) -> Option<StatestoreId> {
        self.view().statestores[i].statestore_id
    }
}

/// What became of an update.
#[derive(Debug)]
pub(crate) enum Begun {
    Answered(UpdateAnswer),
    Delivered(Delivery),
}

impl Begun {
    pub(crate) fn answer(self) -> UpdateAnswer {
        match self {
            Self::Answered(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn delivery(self) -> Delivery {
        match self {
            Self::Delivered(delivery) => delivery,
            other => panic!("{other:?}"),
        }
    }
}
