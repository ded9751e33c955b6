//! One of a pair: the role is decided in `crate::pair`; here it meets subscribers, messages and
//! the schedule.
//!
//! ```text
//!   request of the peer --+                        +--> answer
//!   outcome of a call ----+--> Pair --> News --+---+--> tell everybody the role (H-30)
//!   deadline -------------+                    +------> forget all topics (W10), recall calls
//! ```
//!
//! Deliberately absent: every rule of ha.md. What is said to the peer is in `peer`, who is told
//! of the role in `tell`.
//!
//! Invariant: after each way into the pair its news are acted on before anything else is sent.

use super::calls::Pending;
use super::reach::Reach;
use super::{Node, SHORTEST};
use crate::config::HaConfig;
use crate::event::Event;
use crate::members::{MemberKey, rhythm_of};
use crate::notice::Notice;
use crate::pair::{News, Pair, PairView, Terms, VoterReply, epoch};
use crate::port::{Effect, Fence, Lane, Outbox, Receiver};
use crate::role::Role;
use crate::schedule::{Slot, Task};
use crate::time::{Now, Time, Wall, from_millis};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire as wire;
use statestore_wire::{Epoch, Text};

/// No more than one line about strangers in this time.
const QUIET: Duration = Duration::from_secs(10);

/// What a node of a pair has beside a node alone.
#[derive(Debug)]
pub(super) struct Paired {
    pub(super) config: HaConfig,
    /// Where the peer listens.
    pub(super) peer: Arc<Receiver>,
    pub(super) pair: Pair,
    pub(super) reach: Reach,
    /// The role on its way to subscribers.
    pub(super) notice: Notice,
    pub(super) next_round: Option<Slot>,
    wake: Option<Slot>,
    /// The next one planned.
    pub(super) turn: Slot,
    pub(super) beat_pending: bool,
    pub(super) hello_pending: bool,
    pub(super) next_hello: Time,
    /// The next handshake is the first of its round (flags.md section 10).
    pub(super) first_hello: bool,
    /// Every heartbeat was made due sooner for the votes that may be needed.
    asking: bool,
    /// When a stranger was last worth a line.
    stranger_logged: Option<Time>,
    /// A subscriber that knows no epochs was worth a line; one is.
    reference_logged: bool,
    /// The shortest own limit of a subscriber whose heartbeats it shortens, among those that were
    /// worth a line.
    pub(super) shortest_logged: Option<Duration>,
}

impl Paired {
    /// `turn` is the first one.
    pub(super) fn new(config: HaConfig, pair: Pair, turn: Slot) -> Self {
        Self {
            peer: Arc::new(Receiver::new(Text::default(), config.peer.clone())),
            config,
            pair,
            reach: Reach::default(),
            notice: Notice::default(),
            next_round: None,
            wake: None,
            turn,
            beat_pending: false,
            hello_pending: false,
            next_hello: turn.at,
            first_hello: true,
            asking: false,
            stranger_logged: None,
            reference_logged: false,
            shortest_logged: None,
        }
    }
}

impl Node {
    /// The role: active from start to end, unless one of a pair.
    pub fn role(&self) -> Role {
        self.ha.as_ref().map_or(Role::Active, |ha| ha.pair.role())
    }

    /// True once the start-up handshake is decided (H-4, R-10); at once without a pair.
    pub fn is_decided(&self) -> bool {
        self.role() != Role::Starting
    }

    /// What the driver asks before it sends what carries a fence (ha.md rule 3); none if this
    /// statestored is not active, or not one of a pair.
    pub fn fence(&self) -> Option<Fence> {
        self.ha.as_ref()?.pair.fence()
    }

    /// What an operator sees of the pair.
    pub fn pair(&self, now: Now) -> Option<PairView<Text>> {
        Some(self.ha.as_ref()?.pair.view(now.time))
    }

    /// For one of a pair: whether its peer answers.
    pub fn found_peer(&self) -> Option<bool> {
        Some(self.ha.as_ref()?.pair.found_peer())
    }

    /// For one of a pair: how many periods of HA heartbeats in a row have passed without one that
    /// was accepted. Nobody owes any to the active one.
    pub fn missed_of_peer(&self, now: Now) -> Option<u64> {
        let ha = self.ha.as_ref()?;
        let tick = ha.config.tick.max(SHORTEST).as_nanos();
        let silence = if self.acts() {
            0
        } else {
            ha.pair.silence(now.time).as_nanos()
        };
        Some(u64::try_from(silence / tick).unwrap_or(u64::MAX))
    }

    pub(super) fn acts(&self) -> bool {
        self.role().acts()
    }

    /// The epoch that goes into, and fences, what only an active server says.
    pub(super) fn acting(&self) -> Option<Epoch> {
        self.ha.as_ref()?.pair.acting()
    }

    /// Whether this subscriber is served: alone, or by an active server that it may follow.
    pub(super) fn serves(&self, id: &Text) -> bool {
        self.ha.as_ref().is_none_or(|ha| ha.pair.serves(id))
    }

    /// Rule 19: nothing is said to subscribers.
    pub(super) fn is_silent(&self, now: Now) -> bool {
        let ha = self.ha.as_ref();
        ha.is_some_and(|ha| ha.pair.is_silent(now.time))
    }

    /// Rule 4, before everything else in a step.
    pub(super) fn observe_lease(&mut self, now: Now, out: &mut Outbox) {
        if let Some(ha) = &mut self.ha {
            ha.pair.observe(now.time);
        }
        self.act_on_news(now, out);
    }

    /// The pair's own deadline has come.
    pub(super) fn wake_pair(&mut self, now: Now, out: &mut Outbox) {
        if let Some(ha) = &mut self.ha {
            ha.wake = None;
            ha.pair.tick(now);
        }
        self.act_on_news(now, out);
    }

    /// Sees to it that the pair is woken when it wants to be, and asked for votes in time.
    pub(super) fn arm_pair(&mut self, now: Now) {
        let Some(ha) = &mut self.ha else {
            return;
        };
        let due = ha.pair.deadline(now.time);
        if ha.wake.map(|slot| slot.at) != due {
            if let Some(slot) = ha.wake.take() {
                self.schedule.cancel(slot);
            }
            ha.wake = due.map(|at| self.schedule.add(at, Task::PairWake));
        }
        let period = ha.pair.ask_period(now.time);
        let began = period.is_some() && !ha.asking;
        ha.asking = period.is_some();
        if let (true, Some(period)) = (began, period) {
            self.ask_everybody(now, period);
        }
    }

    /// Rule 6: within one period everybody is asked, evenly spread.
    fn ask_everybody(&mut self, now: Now, period: Duration) {
        let keys: Vec<MemberKey> = self.members.iter().map(|m| m.registration.key).collect();
        let step = period / u32::try_from(keys.len().max(1)).unwrap_or(u32::MAX);
        let mut at = now.time;
        for key in keys {
            self.due_by(key, Lane::Heartbeat, at);
            at = at + step;
        }
    }

    /// The lane's next message goes out at `at`, if not sooner.
    pub(super) fn due_by(&mut self, key: MemberKey, lane: Lane, at: Time) {
        if let (Some(member), Some(rhythm)) = (self.members.find_mut(key), rhythm_of(lane)) {
            member.rhythms[rhythm].due_by(at, &mut self.schedule);
        }
    }

    /// A registration stands (R-3).
    pub(super) fn voter_joins(
        &mut self,
        now: Now,
        id: &Text,
        timeout_ms: Option<i64>,
        out: &mut Outbox,
    ) {
        let Some(ha) = &mut self.ha else {
            return;
        };
        let default = ha.config.pair.limits.subscriber_timeout;
        let said = from_millis(timeout_ms);
        let terms = Terms {
            timeout: said.unwrap_or(default),
            extended: said.is_some(),
        };
        if !terms.extended && !core::mem::replace(&mut ha.reference_logged, true) {
            let subscriber = id.clone();
            out.push(Effect::Log(Event::ReferenceSubscriber { subscriber }));
        }
        ha.pair.voter_registered(now.time, id.clone(), terms);
        if terms.extended {
            self.note_short_limit(id, terms.timeout, out);
        }
        self.act_on_news(now, out);
    }

    /// A heartbeat that named this epoch ended: none is no answer. A subscriber that says so is
    /// there, but has not acknowledged it: it may have a shorter limit than the life that
    /// registered (rule 9). Nor has one that registered as ours and has not seen the epoch: a
    /// reference process has taken its place, and answers OK to all (rule 20).
    pub(super) fn voter_answers(
        &mut self,
        now: Now,
        (pending, named): (&Pending, Option<Epoch>),
        answer: Option<&(wire::HeartbeatResponse, u64)>,
        out: &mut Outbox,
    ) {
        let Some(ha) = &mut self.ha else {
            return;
        };
        let id = &pending.registration.id;
        let seen = named.filter(|_| ha.pair.is_extended(id));
        match answer {
            Some((reply, connection)) if acknowledges(reply, seen) => {
                let said = VoterReply {
                    state: reply.statestore_conn_state,
                    other_is_lost: reply.other_is_lost,
                    other_is_active: reply.other_is_active.unwrap_or(false),
                    highest: reply.highest_epoch,
                };
                ha.pair
                    .heartbeat_answered(now, id, (pending.started, *connection), &said);
            }
            refused => {
                let highest = refused.and_then(|(reply, _)| reply.highest_epoch);
                ha.pair.heartbeat_failed(now, id, highest);
            }
        }
        self.act_on_news(now, out);
    }

    /// A registration ended because its subscriber failed.
    pub(super) fn voter_fails(&mut self, now: Now, id: &Text, out: &mut Outbox) {
        if let Some(ha) = &mut self.ha {
            ha.pair.voter_removed(now.time, id);
        }
        self.act_on_news(now, out);
    }

    /// A reply named an epoch (rule 17).
    pub(super) fn learn_epoch(&mut self, now: Now, seen: Option<Epoch>, out: &mut Outbox) {
        if let Some(ha) = &mut self.ha {
            ha.pair.learn_epoch(now, seen);
        }
        self.act_on_news(now, out);
    }

    /// An update of this epoch was answered (rules 20, 21).
    pub(super) fn voter_updated(
        &mut self,
        now: Now,
        id: &Text,
        sent: Time,
        processed: bool,
        out: &mut Outbox,
    ) {
        if let Some(ha) = &mut self.ha {
            ha.pair.update_answered(now, id, sent, processed);
        }
        self.act_on_news(now, out);
    }

    /// Everything that the pair has decided takes effect.
    pub(super) fn act_on_news(&mut self, now: Now, out: &mut Outbox) {
        while let Some(ha) = self.ha.as_mut().filter(|ha| ha.pair.has_news()) {
            for news in ha.pair.take_news() {
                if self.is_worth_a_line(now.time, &news) {
                    out.push(Effect::Log(Event::Pair(news)));
                }
                match news {
                    News::Active { epoch, .. } => self.activated(now, epoch, out),
                    News::SteppedDown { .. } => self.deactivated(now, out),
                    News::StandsBy(_) => self.look_again(now),
                    News::PeerFound { .. } => self.peer_is_found(),
                    _ => {}
                }
            }
        }
    }

    /// This statestored is active: everybody is to know, at once (H-30, W22, N-6).
    fn activated(&mut self, now: Now, epoch: Epoch, out: &mut Outbox) {
        self.active_since = Wall(epoch::counter(epoch));
        self.catalog.election.decide_here();
        self.announce_role(now, epoch, out);
        self.announce_catalogd(now, out);
        self.beat(now, out);
    }

    /// It no longer is. What its topics hold is old by the time it is active again (W10).
    fn deactivated(&mut self, now: Now, out: &mut Outbox) {
        out.push(Effect::Recall);
        self.withdraw_role();
        self.forget_topics(now, out);
        self.look_again(now);
    }

    /// The next turn is then, and no other one is planned.
    pub(super) fn plan_turn(&mut self, at: Time) {
        if let Some(ha) = &mut self.ha {
            self.schedule.cancel(ha.turn);
            ha.turn = self.schedule.add(at, Task::PeerTurn);
        }
    }

    /// The peer is looked for from now on, in a new round.
    fn look_again(&mut self, now: Now) {
        if let Some(ha) = &mut self.ha {
            ha.next_hello = now.time;
            ha.first_hello = true;
        }
    }

    /// Whoever finds the port can send nonsense: that is said now and then only.
    fn is_worth_a_line(&mut self, now: Time, news: &News) -> bool {
        let noise = matches!(
            news,
            News::Stranger(_)
                | News::PeerIsMyself
                | News::UnbelievableEpoch(_)
                | News::MajorityLostActive { .. }
        );
        let Some(ha) = self.ha.as_mut().filter(|_| noise) else {
            return true;
        };
        let recently = |at: Time| now.since(at) < QUIET;
        if ha.stranger_logged.is_some_and(recently) {
            return false;
        }
        ha.stranger_logged = Some(now);
        true
    }
}

/// Whether an answer is an acknowledgement, which one of ours gives once it has seen the epoch.
fn acknowledges(reply: &wire::HeartbeatResponse, seen: Option<Epoch>) -> bool {
    let has_seen = seen.is_none() || reply.highest_epoch >= seen;
    reply.status.is_ok() && reply.unacknowledged != Some(true) && has_seen
}
