//! The other end: what a subscriber does with one statestored, or with the two of an HA pair.
//!
//! ```text
//!                 heartbeat, update, catalogd, role          Answer
//!   statestored  --------------------------------->  step  ---------->  statestored
//!                 replies to own calls                  \ Call
//!   application  --------------------------------->       ---------->  application
//!                 publish, processed, leave                Deliver, Catalogd, Active
//! ```
//!
//! Read [`port`] first, then `register` (join, lose, join again), `notices` (heartbeats,
//! catalogd, roles), `epochs` (whose word counts), `updates` (deltas in, publications out),
//! [`publisher`] (what is still to be published), `unasked` (published at once), `leave`, and
//! `view` (what others may see).
//!
//! Deliberately absent: the content of topics. [`Mirror`] keeps it for whoever wants it, beside
//! the machine, so that no step takes longer because a topic is large.
//!
//! Invariants: every request is answered exactly once; nothing a statestored sends stops the
//! subscriber from trying to be registered; the loss of the active alone switches no role (B-34).

mod catalogd;
mod config;
mod epochs;
mod event;
mod leave;
mod mirror;
mod notices;
pub mod port;
pub mod publisher;
mod register;
mod statestore;
mod unasked;
mod updates;
mod view;

pub use crate::view::Tally;
pub use config::{Config, SHORTEST_PATIENCE, TopicConfig};
pub use event::Event;
pub use mirror::Mirror;
pub use view::{Role, StatestoreView, TopicView, View};

use crate::ids::{CallId, RequestId, StatestoreId};
use crate::time::{Now, Time};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use catalogd::KnownCatalogd;
use epochs::Epochs;
use port::{Answer, Command, Effect, Input, Outbox, Request, Token};
use publisher::{Publisher, UpdateAnswer};
use statestore::Statestore;
use statestore_wire::{
    HeartbeatResponse, Status, StatusCode, Text, UpdateCatalogdResponse,
    UpdateStatestoredRoleResponse,
};
use thiserror::Error;
use updates::{Processing, Topic};

/// The caller's mistake: topics are part of the registration (B-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("Subscriber already started, can't add new topic")]
pub struct AlreadyStarted;

/// A subscriber; see the module.
#[derive(Debug)]
pub struct Subscriber {
    config: Config,
    statestores: Vec<Statestore>,
    topics: BTreeMap<Text, Topic>,
    publisher: Publisher,
    catalogd: KnownCatalogd,
    processing: BTreeMap<Token, Processing>,
    totals: Totals,
    epochs: Epochs,
    /// Counts the times that all bases became void: what was delivered before does not count.
    generation: u64,
    last_failover: Option<Time>,
    next_id: u64,
    left: bool,
    /// Farewells under way.
    farewells: BTreeSet<CallId>,
}

/// What is counted over all statestoreds and topics.
#[derive(Debug, Default)]
struct Totals {
    update_intervals: Tally,
    update_durations: Tally,
    last_update_end: Option<Time>,
    catalogd_notices: u64,
    failovers: u64,
}

impl Subscriber {
    /// A subscriber that registers as soon as it is stepped.
    pub fn new(config: Config, now: Now) -> Self {
        let mut statestores = Vec::new();
        let mut begin = now.time;
        for address in &config.statestores {
            statestores.push(Statestore::new(address.clone(), now.time, begin));
            // One after the other (B-2), but a silent first one must not keep the second away.
            begin = begin + config.retry_pause();
        }
        let mut subscriber = Self {
            statestores,
            topics: BTreeMap::new(),
            publisher: Publisher::default(),
            catalogd: KnownCatalogd::default(),
            processing: BTreeMap::new(),
            totals: Totals::default(),
            epochs: Epochs::default(),
            generation: 0,
            last_failover: None,
            next_id: 0,
            left: false,
            farewells: BTreeSet::new(),
            config,
        };
        for topic in subscriber.config.topics.clone() {
            subscriber.follow(topic);
        }
        subscriber
    }

    /// One more topic, before the first registration has succeeded (B-1).
    pub fn add_topic(&mut self, topic: TopicConfig) -> Result<(), AlreadyStarted> {
        if self
            .statestores
            .iter()
            .any(|it| it.last_registration.is_some())
        {
            return Err(AlreadyStarted);
        }
        self.config.topics.push(topic.clone());
        self.follow(topic);
        Ok(())
    }

    /// Takes in what happened; what is to be done lies in `out` afterwards.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Outbox) {
        match input {
            Input::Timer => {}
            Input::Request { id, request } if self.left => self.answer(id, decline(&request), out),
            Input::Request { id, request } => self.request(now, id, request, out),
            Input::Completed { call, outcome } => self.completed(now, call, outcome, out),
            Input::Processed {
                token,
                outcome,
                durations,
            } => {
                self.processed(now.time, token, outcome, &durations, out);
            }
            Input::Publish(commands) => self.wish(commands, out),
            Input::Leave => self.leave(out),
        }
        if !self.left {
            self.run_timers(now, out);
            self.publish_unasked(now, out);
        }
    }

    /// When to step with [`Input::Timer`], unless something else comes first.
    pub fn deadline(&self) -> Option<Time> {
        let pending = self.statestores.iter().filter(|_| !self.left);
        pending
            .filter_map(|statestore| statestore.deadline(&self.config))
            .chain(self.repeats_at().filter(|_| !self.left))
            .min()
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What others may see.
    pub fn view(&self) -> View {
        let topic = |(name, topic): (&Text, &Topic)| topic.view(name);
        View {
            statestores: self.statestores.iter().map(Statestore::view).collect(),
            topics: self.topics.iter().map(topic).collect(),
            catalogd: self.catalogd.registration.clone(),
            catalogd_version: self.catalogd.version,
            outstanding: self.publisher.outstanding(),
            update_intervals: self.totals.update_intervals,
            update_durations: self.totals.update_durations,
            catalogd_notices: self.totals.catalogd_notices,
            failovers: self.totals.failovers,
            last_failover: self.last_failover,
            highest_epoch: self.epochs.highest,
            left: self.left,
        }
    }

    /// True while members may be missing without being gone (B-40).
    pub fn in_grace(&self, now: Time) -> bool {
        self.view().in_grace(&self.config, now)
    }

    fn follow(&mut self, topic: TopicConfig) {
        self.publisher
            .subscribe(&topic.name, topic.transient, &topic.prefix);
        self.topics.insert(topic.name, Topic::default());
    }

    fn wish(&mut self, commands: Vec<Command>, out: &mut Outbox) {
        for command in commands {
            let most = self.config.max_deletions;
            if let Some(topic) = self.publisher.command(command, most) {
                out.push(Effect::Log(Event::DeletionsGivenUp { topic, most }));
            }
        }
    }

    fn request(&mut self, now: Now, id: RequestId, request: Request, out: &mut Outbox) {
        let answer = match request {
            Request::Heartbeat(request) => Answer::Heartbeat(self.heartbeat(now, &request, out)),
            Request::Update {
                connection,
                request,
            } => {
                let answer = self.update(now, id, connection, request, out);
                let Some(answer) = answer else { return };
                Answer::Update(answer)
            }
            Request::Catalogd(request) => Answer::Catalogd(self.catalogd(now, &request, out)),
            Request::Role(request) => Answer::Role(self.role(now, &request, out)),
        };
        self.answer(id, answer, out);
    }

    /// Every answer tells the highest epoch, so that an active that was replaced learns of it.
    fn answer(&self, id: RequestId, mut answer: Answer, out: &mut Outbox) {
        let highest = match &mut answer {
            Answer::Heartbeat(response) => &mut response.highest_epoch,
            Answer::Update(response) => &mut response.highest_epoch,
            Answer::Catalogd(response) => &mut response.highest_epoch,
            Answer::Role(response) => &mut response.highest_epoch,
        };
        *highest = self.epochs.highest;
        out.push(Effect::Answer { id, answer });
    }

    /// The statestored with this id. All-zero is nobody's.
    fn sender(&self, id: StatestoreId) -> Option<usize> {
        if id.0.is_unset() {
            return None;
        }
        self.statestores
            .iter()
            .position(|statestore| statestore.statestore_id == id)
    }

    /// A statestored alone is the active one, whatever it says.
    fn is_active(&self, i: usize) -> bool {
        self.is_alone() || self.statestores[i].role == Role::Active
    }

    fn is_alone(&self) -> bool {
        self.statestores.len() == 1
    }

    /// Whatever is known of topics came from another registration: start anew.
    fn rebase(&mut self, with: StatestoreId) {
        self.generation += 1;
        self.topics.values_mut().for_each(Topic::rebase);
        self.publisher.registered(with);
    }

    fn incompatible(&self, statestored: i32) -> Status {
        let own = statestore_wire::ProtocolVersion::V2.0;
        Status::incompatible(&self.config.id, own, statestored)
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn fresh_call(&mut self) -> CallId {
        CallId::numbered(self.fresh_id())
    }
}

/// The answer of a subscriber that has left: send again, to whoever comes next.
fn decline(request: &Request) -> Answer {
    let skipped = Some(true);
    match request {
        Request::Heartbeat(_) => Answer::Heartbeat(HeartbeatResponse {
            status: Status::error(StatusCode::GENERAL, "The subscriber has left"),
            ..HeartbeatResponse::default()
        }),
        Request::Update { .. } => Answer::Update(UpdateAnswer::skipped()),
        Request::Catalogd(_) => Answer::Catalogd(UpdateCatalogdResponse {
            skipped,
            ..UpdateCatalogdResponse::default()
        }),
        Request::Role(_) => Answer::Role(UpdateStatestoredRoleResponse {
            skipped,
            ..UpdateStatestoredRoleResponse::default()
        }),
    }
}
