//! `/ha`: what an operator wants to know of the pair at any time. Which one is active, what its
//! lease rests on and when it ends, who may vote, every vote and its age, and why a takeover has
//! not happened.
//!
//! Ages and spans are whole milliseconds, epochs whole numbers, ids as everywhere. Deliberately
//! absent: the navigation bar, whose entries are an interface; `/` links here.

use super::{document, gone};
use crate::views::{Scene, Views};
use statestore_core::config::HaConfig;
use statestore_core::pair::limits::lease;
use statestore_core::pair::{ElectorView, Obstacle, PairView, Tenure};
use statestore_core::role::Role;
use statestore_daemon::serde_json::{Value as Json, json};
use statestore_daemon::web::{Document, Page};
use statestore_wire::{ConnState, Text};
use std::time::Duration;

/// Where it is.
pub(super) const PATH: &str = "/ha";

/// The page.
pub(super) fn page(views: Views, config: HaConfig) -> Page {
    Page::document(PATH, move |_| {
        let (views, config) = (views.clone(), config.clone());
        async move {
            let seen = views.look(Seen::take).await;
            seen.flatten()
                .map_or_else(gone, |seen| pair(&seen, &config))
        }
    })
}

struct Seen {
    view: PairView<Text>,
    missed_of_peer: Option<u64>,
    silence: Option<Duration>,
    peer_error: Option<String>,
    /// Period and limit of heartbeats to each voter, if they are not what the flags say.
    paces: Vec<Option<(Duration, Duration)>>,
}

impl Seen {
    fn take(scene: &Scene<'_>) -> Option<Self> {
        let (node, now) = (scene.node, scene.now);
        let view = node.pair(now)?;
        let heartbeat = &node.config().heartbeat;
        let flags = (heartbeat.period, heartbeat.timeout);
        let voters = view.voters.iter();
        let paces = voters.map(|voter| node.heartbeat_pace(now, &voter.id));
        let paces = paces.map(|pace| (pace != flags).then_some(pace)).collect();
        // Nobody owes an active one heartbeats.
        let missed_of_peer = node.missed_of_peer(now).filter(|_| !view.role.acts());
        Some(Self {
            view,
            missed_of_peer,
            silence: node.peer_silence(now),
            peer_error: node.peer_error().map(ToString::to_string),
            paces,
        })
    }
}

fn pair(seen: &Seen, config: &HaConfig) -> Document {
    let view = &seen.view;
    let mut page = document([
        ("statestore_id", view.id.to_string().into()),
        ("role", view.role.to_string().into()),
        ("seed_role", seed_role(view.role).into()),
        ("is_active", view.role.acts().into()),
        ("epoch", view.epoch.0.into()),
        ("highest_epoch", view.highest.0.into()),
        ("rests_on", rests_on(view).into()),
    ]);
    page.extend(document([
        ("lease_held_by_peer_ms", millis(view.held_by_peer)),
        ("lease_held_by_voters_ms", millis(view.held_by_voters)),
        ("peer_address", config.peer.to_string().into()),
        ("peer_id", view.peer.map(|id| id.to_string()).into()),
        ("peer_found", view.found_peer.into()),
        ("peer_last_error", seen.peer_error.clone().into()),
        ("peer_knows_epochs", view.peer_is_extended.into()),
        ("peer_missed_heartbeats", view.missed.into()),
        ("missed_heartbeats_of_peer", seen.missed_of_peer.into()),
        ("since_peer_was_heard_ms", seen.silence.map(millis).into()),
        ("electorate_size", view.agreed.into()),
        ("electorate_is_agreed", is_agreed(view).into()),
        ("electorate_proposed_size", view.proposed.into()),
        ("guarantee", guarantee(view).into()),
        ("limits", limits(config)),
    ]));
    let obstacles = view.obstacles.iter().map(|it| obstacle(it).into());
    page.insert("obstacles".to_owned(), Json::Array(obstacles.collect()));
    let voters = view.voters.iter().zip(&seen.paces);
    let voters = voters.map(|(it, pace)| voter(it, *pace));
    page.insert("voters".to_owned(), Json::Array(voters.collect()));
    page
}

/// The words of the documentation that operators have.
fn seed_role(role: Role) -> &'static str {
    match role {
        Role::Active => "primary",
        Role::Standby => "standby",
        Role::Starting => "starting",
        Role::Recovery => "recovery",
    }
}

fn rests_on(view: &PairView<Text>) -> String {
    match view.tenure {
        None if view.claims => "a claim that the peer has not acknowledged".to_owned(),
        None => "nothing: not active".to_owned(),
        Some(Tenure::Leased) => "a lease".to_owned(),
        Some(Tenure::Alone { forced: true, .. }) => {
            "an operator's word, or a new peer that has yet to answer".to_owned()
        }
        Some(Tenure::Alone { .. }) => "nobody else being there".to_owned(),
        Some(Tenure::Unopposed) => "the peer having stopped on purpose".to_owned(),
    }
}

/// Between the two; what one of them took on itself is not.
fn is_agreed(view: &PairView<Text>) -> bool {
    view.agreed > 0 && !view.unilateral
}

/// What the flags came to, after all that was made shorter.
fn limits(config: &HaConfig) -> Json {
    let limits = &config.pair.limits;
    json!({
        "peer_timeout_ms": millis(limits.peer_timeout),
        "peer_lease_ms": millis(limits.peer_lease),
        "subscriber_timeout_ms": millis(limits.subscriber_timeout),
        "subscriber_lease_ms": millis(lease(limits.subscriber_timeout)),
        "vote_age_ms": millis(limits.vote_age),
        "preemption_wait_ms": millis(limits.preemption_wait),
        "ha_heartbeat_period_ms": millis(config.tick),
        "ha_call_limit_ms": millis(config.call_timeout),
        "handshake_period_ms": millis(config.hello_period),
    })
}

/// What is promised, in one sentence (docs/protocol.md).
fn guarantee(view: &PairView<Text>) -> &'static str {
    if view.unilateral || matches!(view.tenure, Some(Tenure::Alone { .. })) {
        return "at most one active among those that these subscribers know: nothing was agreed \
                with the peer yet";
    }
    let strangers = view.voters.iter().any(|voter| !voter.extended);
    match (view.peer_is_extended, strangers) {
        (Some(false), _) => {
            "the peer knows no epochs and no lease: this side keeps its rules, the other may not"
        }
        (_, true) => {
            "at most one active, if restarts of subscribers that know no epochs are recognised"
        }
        _ => "at most one active",
    }
}

fn obstacle(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::PeerHeard(time) => {
            format!(
                "the peer was heard: no takeover for {} ms",
                time.as_millis()
            )
        }
        Obstacle::TooFewVotes { lost, of, needed } => {
            format!("{lost} of {of} voters have lost the other statestored, {needed} are needed")
        }
        Obstacle::LooksForPeer(time) => {
            format!(
                "nobody is registered: looks for its peer for {} ms",
                time.as_millis()
            )
        }
        Obstacle::Silent(time) => {
            format!("silent for the peer's sake for {} ms", time.as_millis())
        }
        Obstacle::AwaitsAcknowledgement => {
            "its claim waits for the peer's acknowledgement".to_owned()
        }
    }
}

fn voter(voter: &ElectorView<Text>, pace: Option<(Duration, Duration)>) -> Json {
    let voice = voter.voice.map(|voice| match voice.state {
        ConnState::OK => "OK",
        ConnState::FAILED => "FAILED",
        _ => "UNKNOWN",
    });
    json!({
        "id": voter.id.to_str(),
        "registered": voter.registered,
        "in_electorate": voter.agreed,
        "in_proposed_electorate": voter.proposed,
        "knows_epochs": voter.extended,
        "timeout_ms": millis(voter.timeout),
        "heartbeat_period_ms": pace.map(|(period, _)| millis(period)),
        "heartbeat_call_limit_ms": pace.map(|(_, limit)| millis(limit)),
        "acknowledged_ms_ago": voter.acknowledged.map(millis),
        "vote": voice,
        "vote_is_for_takeover": voter.voice.map(|voice| voice.lost),
        "vote_says_other_is_active": voter.voice.map(|voice| voice.other_is_active),
        "vote_age_ms": voter.voice_age.map(millis),
    })
}

fn millis(time: Duration) -> Json {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into()
}
