//! Small calls: heartbeats, and updates of up to 2 KiB, over connections that are there.
//!
//! They are nearly all calls, so each keeps what it needs in a [`Flight`] that is polled, and the
//! connections of a registration are found by the registration's place. Whatever else a call may
//! need (a connection, a second try, room for a large answer) makes a future of it.
//!
//! Deliberately absent: who polls, and deadlines.
//!
//! Invariant: a panic while a call begins, is polled or ends is that call's end and nobody else's.

use super::{BULK, Fanout, HEARTBEAT, HEARTBEAT_BYTES, UPDATE_STATE, encode, ended, failed};
use statestore_core::ids::{CallId, Key, MemberKey};
use statestore_core::members::rhythm_of;
use statestore_core::port::{Body, Call, CallFault, Effect, Lane, Receiver, Reply};
use statestore_rpc::pool::{self, Later, Place, Small, Started, Usual};
use statestore_rpc::{CallLimits, HostPort, Net, RpcError, elsewhere};
use statestore_wire::delta::UpdateFrame;
use statestore_wire::envelope::write_call;
use statestore_wire::{HeartbeatRequest, Rpc, Status, StatusCode, UpdateStateRequest};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// Updates with fewer bytes of items than this are a single piece, whatever the items are.
const WHOLE: usize = 2048;

/// A small call under way.
pub(crate) struct Flight<N: Net> {
    pub(crate) id: CallId,
    /// It ends when this statestored is no longer active.
    pub(crate) fenced: bool,
    to: Arc<Receiver>,
    lane: Lane,
    small: Box<Small<N>>,
    broken: bool,
}

/// What comes of a call.
pub(crate) enum Outcome {
    /// Its end.
    Now(Result<Reply, CallFault>),
    /// Its end, in a while.
    Later(Pin<Box<dyn Future<Output = Result<Reply, CallFault>>>>),
}

/// What comes of a call that is to begin.
pub(crate) enum Begun<N: Net> {
    /// It is to be polled.
    Flight(Flight<N>),
    /// It is none that is polled.
    Outcome(Outcome),
    /// It is not small.
    Large(Call),
}

/// Where the connections to each registration are.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// By the registration's place.
    all: Vec<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// Of the registration: its place is used again.
    number: u64,
    places: [Place; 3],
}

impl Lines {
    fn place(&mut self, key: Key, lane: Lane) -> &mut Place {
        let at = key.place as usize;
        if self.all.len() <= at {
            self.all.resize_with(at + 1, Line::default);
        }
        let line = &mut self.all[at];
        if line.number != key.number {
            *line = Line {
                number: key.number,
                ..Line::default()
            };
        }
        &mut line.places[rhythm_of(lane).unwrap_or_default()]
    }

    fn known(&self, key: Key, lane: Lane) -> Option<Place> {
        let line = self.all.get(key.place as usize)?;
        Some(line.places[rhythm_of(lane)?])
    }
}

impl<N: Net> Flight<N> {
    pub(crate) fn deadline(&self) -> Instant {
        self.small.deadline()
    }
}

/// What subscribers answered last.
#[derive(Debug, Default)]
pub(super) struct Answers {
    heartbeat: Usual<HeartbeatRequest>,
    update: Usual<UpdateStateRequest>,
}

impl Answers {
    /// What a call that is ready was answered, if that is what most answer: then it has ended well.
    /// If not, the error is the call as it was, for its [end](Small::end).
    fn accept<N: Net>(&self, lane: Lane, small: Box<Small<N>>) -> Result<Reply, Box<Small<N>>> {
        if lane != Lane::Heartbeat {
            let (response, _) = self.update.accept(small)?;
            return Ok(Reply::Update(response));
        }
        let (response, connection) = self.heartbeat.accept(small)?;
        Ok(Reply::Heartbeat {
            response,
            connection,
        })
    }

    fn decode<N: Net>(
        &mut self,
        lane: Lane,
        answer: pool::Reply<N>,
        from: &HostPort,
    ) -> Result<Reply, RpcError> {
        if lane != Lane::Heartbeat {
            return self.update.decode(answer, from).map(Reply::Update);
        }
        let connection = answer.connection();
        let response = self.heartbeat.decode(answer, from)?;
        Ok(Reply::Heartbeat {
            response,
            connection,
        })
    }
}

impl<N: Net> Fanout<N> {
    /// Begins a call if it is a small one; nothing is sent before it is polled.
    pub(crate) fn begin(&self, call: Call) -> Begun<N> {
        let begun = catch_unwind(AssertUnwindSafe(|| self.begun(call)));
        begun.unwrap_or_else(|_| Begun::Outcome(Outcome::Now(Err(abandoned()))))
    }

    fn begun(&self, call: Call) -> Begun<N> {
        let (receiver, Some(MemberKey(key))) = (&call.to, call.member) else {
            return Begun::Large(call);
        };
        let Ok(to) = &receiver.host else {
            return Begun::Large(call);
        };
        let limits = CallLimits::small(call.timeout);
        let (purpose, method, message, limits) = match &call.body {
            Body::Heartbeat(request) => {
                let mut message = Vec::with_capacity(HEARTBEAT_BYTES);
                write_call(request, &mut message);
                (HEARTBEAT, HeartbeatRequest::METHOD, message, limits)
            }
            Body::Update(update) => {
                let bytes: usize = update.topics.iter().map(|part| part.delta.bytes).sum();
                let frame = (bytes < WHOLE).then(|| encode(update));
                let Some(message) = frame.and_then(|it| UpdateFrame::into_single(it.ok()?)) else {
                    return Begun::Large(call);
                };
                let max_reply = self.max_reply;
                let limits = CallLimits {
                    max_reply,
                    ..limits
                };
                (UPDATE_STATE, UpdateStateRequest::METHOD, message, limits)
            }
            _ => return Begun::Large(call),
        };
        trace(&call);
        let pool = self.small.behind(self.gate(call.fence));
        let mut lines = self.lines.borrow_mut();
        let place = lines.place(key, call.lane);
        let started = pool.start((to, purpose, place), (method, message), limits);
        match started {
            Started::Small(small) => Begun::Flight(Flight {
                id: call.id,
                fenced: call.fence.is_some(),
                to: call.to,
                lane: call.lane,
                small,
                broken: false,
            }),
            Started::Later(later) => Begun::Outcome(self.later(call.to, call.lane, later)),
        }
    }

    /// A call goes on as far as it can; once it is ready, it is to be [ended](Self::end).
    pub(crate) fn poll(&self, cx: &mut Context<'_>, flight: &mut Flight<N>) -> Poll<()> {
        let answers = self.answers.borrow();
        let small = &mut flight.small;
        let polled = catch_unwind(AssertUnwindSafe(|| match flight.lane {
            Lane::Heartbeat => small.poll(cx, &answers.heartbeat),
            _ => small.poll(cx, &answers.update),
        }));
        polled.unwrap_or_else(|_| {
            flight.broken = true;
            Poll::Ready(())
        })
    }

    /// What comes of a call that is ready, or whose deadline has passed.
    pub(crate) fn end(&self, flight: Flight<N>) -> Outcome {
        if flight.broken {
            return Outcome::Now(Err(abandoned()));
        }
        let end = catch_unwind(AssertUnwindSafe(|| self.ended(flight)));
        end.unwrap_or_else(|_| Outcome::Now(Err(abandoned())))
    }

    fn ended(&self, flight: Flight<N>) -> Outcome {
        let Flight {
            to, lane, small, ..
        } = flight;
        let small = match self.answers.borrow().accept(lane, small) {
            Ok(reply) => return Outcome::Now(Ok(reply)),
            Err(small) => small,
        };
        let Ok(from) = &to.host else {
            return Outcome::Now(Err(abandoned()));
        };
        match small.end(from) {
            pool::Ended::Now(Ok(answer)) if answer.size() > BULK => {
                self.later(to, lane, Box::pin(async move { Ok(answer) }))
            }
            pool::Ended::Now(answer) => {
                let mut answers = self.answers.borrow_mut();
                let reply = answer.and_then(|answer| answers.decode(lane, answer, from));
                Outcome::Now(reply.map_err(failed))
            }
            pool::Ended::Later(later) => self.later(to, lane, later),
        }
    }

    /// The rest of a call; a large answer is decoded elsewhere.
    fn later(&self, to: Arc<Receiver>, lane: Lane, later: Later<N>) -> Outcome {
        let bulk = self.bulk_runtime.clone();
        Outcome::Later(Box::pin(async move {
            let answer = later.await.map_err(failed)?;
            let Ok(from) = &to.host else {
                return Err(abandoned());
            };
            if answer.size() <= BULK {
                return Answers::default()
                    .decode(lane, answer, from)
                    .map_err(failed);
            }
            let from = from.clone();
            let decoded = elsewhere(&bulk, async move {
                Answers::default().decode(lane, answer, &from)
            });
            decoded.await.map_err(ended)?.map_err(failed)
        }))
    }

    /// These calls begin soon: what that needs is fetched.
    pub(crate) fn fetch<'a>(&self, effects: impl Iterator<Item = &'a Effect>) {
        let lines = self.lines.borrow();
        self.small.fetch(effects.filter_map(|effect| match effect {
            Effect::Call(call) => lines.known(call.member?.0, call.lane),
            _ => None,
        }));
    }

    /// These end soon: the same.
    pub(crate) fn fetch_ends<'a>(&self, flights: impl Iterator<Item = &'a Flight<N>>) {
        self.small.fetch_ends(flights.map(|flight| &*flight.small));
    }
}

/// A call goes out.
pub(super) fn trace(call: &Call) {
    let (lane, to) = (call.lane, &call.to);
    tracing::trace!("{lane:?} message to '{}' at {}", to.subscriber, to.address);
}

/// The call ended in a way that nobody meant.
pub(crate) fn abandoned() -> CallFault {
    CallFault(Status::error(
        StatusCode::INTERNAL_ERROR,
        "the call was abandoned",
    ))
}
