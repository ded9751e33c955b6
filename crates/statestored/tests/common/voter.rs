//! A subscriber of two statestoreds: votes, refuses epochs that are over, writes down what it
//! is told (ha.md rules 6, 9, 17; H-34). One of ours unless it is made a reference one.

use super::pair::TIMEOUT;
use super::subscriber::{Action, Incoming, Subscriber, call};
use super::{Statestored, eventually};
use statestore_wire::{
    ConnState, Epoch, HeartbeatRequest, HeartbeatResponse, RegisterSubscriberResponse, Rpc, Status,
    StatusCode, UniqueId, UpdateStateRequest, UpdateStateResponse, UpdateStatestoredRoleRequest,
    UpdateStatestoredRoleResponse,
};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The topic that every voter has.
pub const TOPIC: &str = "catalog-update";

/// What an active one said.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub by: UniqueId,
    pub method: String,
    pub epoch: Option<Epoch>,
    pub refused: bool,
}

/// One of the two, as the voter knows it.
#[derive(Debug)]
struct Seat {
    statestore: UniqueId,
    registration: UniqueId,
    heard: Option<Instant>,
    active: bool,
}

#[derive(Debug)]
struct Mind {
    extended: bool,
    /// Says that it hears everybody, whatever it does hear.
    content: bool,
    since: Instant,
    seats: [Option<Seat>; 2],
    highest: Epoch,
    said: Vec<Said>,
    roles: Vec<UpdateStatestoredRoleRequest>,
}

/// The subscriber and its mind.
pub struct Voter {
    pub subscriber: Subscriber,
    mind: Arc<Mutex<Mind>>,
}

impl Voter {
    pub fn new(id: &str) -> Self {
        Self::with(id, true)
    }

    /// One that knows neither epochs nor votes, only connection states.
    pub fn reference(id: &str) -> Self {
        Self::with(id, false)
    }

    fn with(id: &str, extended: bool) -> Self {
        let mind = Arc::new(Mutex::new(Mind {
            extended,
            content: false,
            since: Instant::now(),
            seats: [None, None],
            highest: Epoch::default(),
            said: Vec::new(),
            roles: Vec::new(),
        }));
        let inner = mind.clone();
        let behave = move |call: &Incoming, _: &_| inner.lock().unwrap().behave(call);
        Self {
            subscriber: Subscriber::with(id, behave),
            mind,
        }
    }

    /// Registers with one of the two; a later registration in the same seat takes its place.
    pub fn join(&self, seat: usize, statestored: &Statestored) -> RegisterSubscriberResponse {
        let mut request = self.subscriber.request(&[(TOPIC, false)]);
        // Held, so that no heartbeat comes before it can be recognised.
        let mut mind = self.mind.lock().unwrap();
        if mind.extended {
            let millis = TIMEOUT.as_millis();
            request.heartbeat_timeout_ms = Some(i64::try_from(millis).unwrap());
        }
        let response: RegisterSubscriberResponse = call(statestored.rpc, &request).unwrap();
        assert!(response.status.is_ok(), "{:?}", response.status);
        mind.seats[seat] = Some(Seat {
            statestore: response.statestore_id.unwrap(),
            registration: response.registration_id.unwrap(),
            heard: None,
            active: false,
        });
        mind.highest = mind.highest.max(response.epoch.unwrap_or_default());
        response
    }

    /// From now on it says that it hears the other one.
    pub fn is_content(&self) {
        self.mind.lock().unwrap().content = true;
    }

    /// Everything that an active one said so far.
    pub fn said(&self) -> Vec<Said> {
        self.mind.lock().unwrap().said.clone()
    }

    /// All role messages so far.
    pub fn roles(&self) -> Vec<UpdateStatestoredRoleRequest> {
        self.mind.lock().unwrap().roles.clone()
    }

    /// Waits for a heartbeat of the one in this seat.
    pub fn await_heard(&self, seat: usize) {
        eventually("a heartbeat", || {
            let mind = self.mind.lock().unwrap();
            mind.seats[seat].as_ref()?.heard.map(drop)
        });
    }

    /// Waits until the one in this seat has sent an update that was not refused.
    pub fn await_update(&self, seat: usize) {
        let what = format!("an update to {} from {seat}", self.subscriber.id);
        eventually(&what, || {
            let mind = self.mind.lock().unwrap();
            let by = mind.seats[seat].as_ref()?.statestore;
            let update = |said: &Said| said.by == by && said.method == "UpdateState";
            mind.said.iter().any(update).then_some(())
        });
    }
}

/// Registers everybody with the active first one and the standby, and waits until they are the
/// electorate.
pub fn join(voters: &[Voter], first: &Statestored, second: &Statestored) {
    for voter in voters {
        let active = voter.join(0, first);
        assert_eq!(active.statestore_is_active, Some(true));
        assert!(active.epoch.is_some());
        let standby = voter.join(1, second);
        let says = (standby.statestore_is_active, standby.epoch);
        assert_eq!(says, (Some(false), None));
    }
    voters.iter().for_each(|voter| voter.await_update(0));
    eventually("an electorate of them all on both sides", || {
        let agreed = |one: &Statestored| {
            let page = one.json("/ha");
            page["electorate_size"] == voters.len()
                && page["electorate_is_agreed"] == true
                && page["electorate_proposed_size"].is_null()
        };
        (agreed(first) && agreed(second)).then_some(())
    });
}

impl Mind {
    fn behave(&mut self, call: &Incoming) -> Action {
        match call.method().as_str() {
            "Heartbeat" => {
                let request: HeartbeatRequest = call.args();
                let reply = self.heartbeat(&request);
                call.reply::<HeartbeatRequest>(&reply)
            }
            "UpdateState" => {
                let request: UpdateStateRequest = call.args();
                let by = request.statestore_id.unwrap();
                let status = self.listen(by, call, request.epoch);
                self.answer::<UpdateStateRequest>(call, |highest_epoch| UpdateStateResponse {
                    status,
                    highest_epoch,
                    ..Default::default()
                })
            }
            "UpdateStatestoredRole" => {
                let request: UpdateStatestoredRoleRequest = call.args();
                let status = self.listen(request.statestore_id, call, request.epoch);
                self.roles.push(request);
                self.answer::<UpdateStatestoredRoleRequest>(call, |highest_epoch| {
                    UpdateStatestoredRoleResponse {
                        status,
                        highest_epoch,
                        ..Default::default()
                    }
                })
            }
            other => panic!("called for {other}"),
        }
    }

    fn answer<R: Rpc>(
        &self,
        call: &Incoming,
        make: impl FnOnce(Option<Epoch>) -> R::Response,
    ) -> Action {
        call.reply::<R>(&make(self.extended.then_some(self.highest)))
    }

    /// An active one says something (rule 17).
    fn listen(&mut self, by: UniqueId, call: &Incoming, epoch: Option<Epoch>) -> Status {
        let refused = self.extended && epoch.is_some_and(|epoch| epoch < self.highest);
        self.said.push(Said {
            by,
            method: call.method(),
            epoch,
            refused,
        });
        if refused {
            return Status::error(StatusCode::GENERAL, "that epoch is over");
        }
        self.highest = self.highest.max(epoch.unwrap_or_default());
        Status::ok()
    }

    fn heartbeat(&mut self, request: &HeartbeatRequest) -> HeartbeatResponse {
        let to = request.registration_id;
        let own = |seat: &Option<Seat>| seat.as_ref().map(|seat| seat.registration) == to;
        let Some(at) = self.seats.iter().position(own) else {
            // A registration that is over; the reference says OK to that (W19).
            return self.pulse(match self.extended {
                true => Status::error(StatusCode::GENERAL, "not my registration"),
                false => Status::ok(),
            });
        };
        let over = request.epoch.is_some_and(|epoch| epoch < self.highest);
        if let Some(epoch) = request.epoch {
            self.said.push(Said {
                by: request.statestore_id.unwrap(),
                method: "Heartbeat".to_owned(),
                epoch: Some(epoch),
                refused: over && self.extended,
            });
            if over && self.extended {
                return self.pulse(Status::error(StatusCode::GENERAL, "that epoch is over"));
            }
            self.highest = self.highest.max(epoch);
        }
        if let Some(seat) = &mut self.seats[at] {
            seat.heard = Some(Instant::now());
            seat.active = request.request_statestore_conn_state != Some(true);
        }
        let mut reply = self.pulse(Status::ok());
        if request.request_statestore_conn_state == Some(true) {
            self.vote(1 - at, &mut reply);
        }
        reply
    }

    fn pulse(&self, status: Status) -> HeartbeatResponse {
        HeartbeatResponse {
            status,
            highest_epoch: self.extended.then_some(self.highest),
            ..Default::default()
        }
    }

    fn vote(&self, other: usize, reply: &mut HeartbeatResponse) {
        let heard = self.seats[other].as_ref().and_then(|seat| seat.heard);
        let silent = heard.unwrap_or(self.since).elapsed() >= TIMEOUT && !self.content;
        reply.statestore_conn_state = Some(match heard {
            _ if self.content => ConnState::OK,
            None => ConnState::UNKNOWN,
            Some(_) if silent => ConnState::FAILED,
            Some(_) => ConnState::OK,
        });
        if self.extended {
            reply.other_is_lost = Some(silent);
            reply.other_is_active = self.seats[other].as_ref().map(|seat| seat.active);
        }
    }
}
