//! What the two of a pair say to each other: handshakes, HA heartbeats, goodbyes (H-1 to H-20).
//!
//! Here messages become the pair's own terms and back. Deliberately absent: what follows from
//! them (`crate::pair`).

use super::calls::{Asked, Manner};
use super::complete::fault;
use super::told::{beat_reply, member_timeouts, patience};
use super::{Node, SHORTEST};
use crate::ids::StatestoreId;
use crate::pair::{Beat, Hello, Welcome};
use crate::port::{Body, CallFault, Outbox, Reply};
use crate::time::{Now, to_millis};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;
use statestore_wire as wire;
use statestore_wire::{ProtocolVersion, Status, StatusCode, Text};

/// The most ids that a message between the two may list.
const MOST_VOTERS: usize = 1_000_000;

impl Node {
    /// A tick: the active renews its lease, who has no role looks for its peer.
    pub(super) fn peer_turn(&mut self, now: Now, out: &mut Outbox) {
        let Some(ha) = &self.ha else {
            return;
        };
        let tick = ha.config.tick.max(SHORTEST);
        let greets = ha.pair.seeks_peer(now.time) && now.time >= ha.next_hello;
        let until_hello = ha.next_hello.since(now.time);
        self.beat(now, out);
        if greets {
            self.greet(now, out);
        }
        // A handshake may be due before the next tick.
        let next = match until_hello {
            Duration::ZERO => tick,
            sooner => tick.min(sooner),
        };
        self.plan_turn(now.time + next);
    }

    /// An HA heartbeat, if one is due and none is pending.
    pub(super) fn beat(&mut self, now: Now, out: &mut Outbox) {
        let Some(ha) = self.ha.as_mut().filter(|ha| !ha.beat_pending) else {
            return;
        };
        let Some((beat, sent)) = ha.pair.beat(now.time) else {
            return self.act_on_news(now, out);
        };
        if self.network_disabled {
            ha.pair.on_beat_reply(now, sent, None); // H-9
            return self.act_on_news(now, out);
        }
        ha.beat_pending = true;
        let manner = Manner {
            timeout: ha.config.call_timeout,
            first_attempt: true,
            fence: ha.pair.acting(),
        };
        let request = wire::StatestoreHaHeartbeatRequest {
            protocol_version: ProtocolVersion::V2,
            dst_statestore_id: beat.dst.0,
            src_statestore_id: beat.src.0,
            epoch: beat.epoch,
            electorate_version: Some(beat.electorate_version),
            electorate: beat.electorate.map(|set| set.into_iter().collect()),
            known_members_version: Some(beat.known_members),
            active_catalogd: self.catalog.election.active().map(|c| c.subscriber.clone()),
            catalogd_version: Some(self.catalog.election.version()),
            claims: beat.claims.then_some(true),
            timeout_ms: beat.patience.map(|it| to_millis(it.peer)),
            subscriber_timeout_ms: beat.patience.map(|it| to_millis(it.subscriber)),
        };
        let call = (Asked::Beat(sent), Body::HaHeartbeat(Box::new(request)));
        self.calls.send_to_peer(&ha.peer, call, manner, out);
        self.act_on_news(now, out);
    }

    fn greet(&mut self, now: Now, out: &mut Outbox) {
        let Some(ha) = self.ha.as_mut().filter(|ha| !ha.hello_pending) else {
            return;
        };
        if self.network_disabled {
            return; // H-9
        }
        ha.hello_pending = true;
        ha.next_hello = now.time + ha.config.hello_period.max(SHORTEST);
        let (hello, sent) = ha.pair.hello(now.time);
        let request = wire::StatestoreHaHandshakeRequest {
            src_protocol_version: ProtocolVersion::V2,
            src_statestore_id: hello.id.0,
            src_statestore_address: hello.address,
            src_force_active: hello.force,
            highest_epoch: hello.highest,
            epoch: hello.active,
            timeout_ms: hello.patience.map(|it| to_millis(it.peer)),
            subscriber_timeout_ms: hello.patience.map(|it| to_millis(it.subscriber)),
        };
        let manner = Manner {
            timeout: ha.config.call_timeout.max(ha.config.hello_period),
            first_attempt: core::mem::replace(&mut ha.first_hello, false),
            fence: None,
        };
        let call = (Asked::Hello(sent), Body::Handshake(Box::new(request)));
        self.calls.send_to_peer(&ha.peer, call, manner, out);
    }

    /// A call to the peer ended.
    pub(super) fn peer_answered(
        &mut self,
        now: Now,
        asked: Asked,
        outcome: Result<Reply, CallFault>,
        out: &mut Outbox,
    ) {
        let Some(ha) = &mut self.ha else {
            return;
        };
        let outcome = outcome.map_err(|CallFault(status)| status);
        match (asked, outcome) {
            (Asked::Beat(sent), Ok(Reply::HaHeartbeat(reply))) => {
                ha.beat_pending = false;
                if let Some(id) = reply.statestore_id {
                    ha.reach.failed(&reply.status);
                    ha.pair.on_other_process(now, sent, StatestoreId(id));
                } else {
                    ha.reach.answered(now.time);
                    ha.pair.on_beat_reply(now, sent, Some(beat_reply(*reply)));
                }
            }
            (Asked::Beat(sent), other) => {
                ha.beat_pending = false;
                ha.reach.failed(&fault(other));
                ha.pair.on_beat_reply(now, sent, None);
            }
            (Asked::Hello(sent), Ok(Reply::Handshake(reply))) if reply.status.is_ok() => {
                ha.hello_pending = false;
                let welcome = Welcome {
                    id: StatestoreId(reply.dst_statestore_id),
                    active: reply.dst_statestore_active,
                    highest: reply.highest_epoch,
                    patience: patience(reply.timeout_ms, reply.subscriber_timeout_ms),
                };
                match welcome.id.0.is_unset() {
                    true => ha
                        .reach
                        .failed(&refused("this statestored itself has answered")),
                    false => ha.reach.answered(now.time),
                }
                ha.pair.on_welcome(now, sent, &welcome); // W8
            }
            (Asked::Hello(_), other) => {
                ha.hello_pending = false;
                ha.reach.failed(&match other {
                    Ok(Reply::Handshake(reply)) => reply.status,
                    other => fault(other),
                });
                ha.pair.hello_missed(now.time);
            }
            (Asked::Leave, _) => {}
        }
        self.act_on_news(now, out);
        self.explain_absence(out);
    }

    /// H-5.
    pub(super) fn handshake(
        &mut self,
        now: Now,
        request: wire::StatestoreHaHandshakeRequest,
    ) -> wire::StatestoreHaHandshakeResponse {
        if request.src_protocol_version < ProtocolVersion::V2 {
            let address = &request.src_statestore_address;
            return wire::StatestoreHaHandshakeResponse {
                status: incompatible(address, request.src_protocol_version),
                ..Default::default()
            }; // H-5a
        }
        let hello = Hello {
            id: StatestoreId(request.src_statestore_id),
            address: request.src_statestore_address,
            force: request.src_force_active,
            highest: request.highest_epoch,
            active: request.epoch,
            patience: patience(request.timeout_ms, request.subscriber_timeout_ms),
        };
        let welcome = self
            .ha
            .as_mut()
            .and_then(|ha| ha.pair.on_hello(now, &hello));
        let Some(welcome) = welcome else {
            return wire::StatestoreHaHandshakeResponse {
                status: refused("this process has left the pair"),
                ..Default::default()
            };
        };
        // A claim is worth nothing before it is acknowledged, and who is alone has no lease before:
        // do not wait for the next tick.
        let soon = now.time + SHORTEST;
        let ha = self.ha.as_ref().filter(|ha| soon < ha.turn.at);
        if ha.is_some_and(|ha| ha.pair.awaits_first_acknowledgement()) {
            self.plan_turn(soon);
        }
        wire::StatestoreHaHandshakeResponse {
            status: Status::ok(),
            dst_protocol_version: ProtocolVersion::V2,
            dst_statestore_id: welcome.id.0,
            dst_statestore_active: welcome.active,
            highest_epoch: welcome.highest,
            timeout_ms: welcome.patience.map(|it| to_millis(it.peer)),
            subscriber_timeout_ms: welcome.patience.map(|it| to_millis(it.subscriber)),
        }
    }

    /// H-13, H-14, rule 10.
    pub(super) fn ha_heartbeat(
        &mut self,
        now: Now,
        request: wire::StatestoreHaHeartbeatRequest,
    ) -> wire::StatestoreHaHeartbeatResponse {
        let refusal = |status| wire::StatestoreHaHeartbeatResponse {
            status,
            ..Default::default()
        };
        if request.protocol_version < ProtocolVersion::V2 {
            let address = Text::from(format!("{}", request.src_statestore_id));
            return refusal(incompatible(&address, request.protocol_version));
        }
        let ids = request.electorate.as_ref().map_or(0, Vec::len);
        if ids > MOST_VOTERS {
            let text = format!("electorate has {ids} members, at most {MOST_VOTERS} are accepted");
            return refusal(refused(&text));
        }
        let Some(ha) = self.ha.as_mut().filter(|_| !self.network_disabled) else {
            return wire::StatestoreHaHeartbeatResponse::default(); // H-9
        };
        let src = StatestoreId(request.src_statestore_id);
        let dst = StatestoreId(request.dst_statestore_id);
        let beat = Beat {
            src,
            dst,
            epoch: request.epoch,
            claims: request.claims == Some(true),
            electorate_version: request.electorate_version.unwrap_or(0),
            electorate: request
                .electorate
                .filter(|_| ha.pair.expects(src, dst))
                .map(|ids| ids.into_iter().collect()),
            known_members: request.known_members_version.unwrap_or(0),
            patience: patience(request.timeout_ms, request.subscriber_timeout_ms),
        };
        let reply = match ha.pair.on_beat(now, &beat) {
            Ok(reply) => reply,
            Err(stranger) => {
                let text = "not from the peer that is known, or not for this process";
                return wire::StatestoreHaHeartbeatResponse {
                    status: refused(text),
                    statestore_id: Some(stranger.own.0),
                    ..Default::default()
                };
            }
        };
        if reply.accepted
            && let Some(active) = request.active_catalogd
        {
            self.follow_election(now, active, request.catalogd_version.unwrap_or(0));
        }
        let status = match reply.accepted {
            true => Status::ok(),
            false if reply.is_active => refused("this statestored is active itself"),
            false => refused("a higher epoch is known here"),
        };
        wire::StatestoreHaHeartbeatResponse {
            status,
            highest_epoch: reply.highest,
            is_active: Some(reply.is_active),
            electorate_version: reply.electorate_version,
            members_version: Some(reply.members_version),
            member_timeouts_ms: member_timeouts(&reply),
            members: reply.members.map(|set| set.into_iter().collect()),
            statestore_id: None,
            timeout_ms: reply.patience.map(|it| to_millis(it.peer)),
            subscriber_timeout_ms: reply.patience.map(|it| to_millis(it.subscriber)),
        }
    }

    /// Rule 15, at the side that stays.
    pub(super) fn peer_leaves(
        &mut self,
        now: Now,
        request: &wire::StatestoreHaLeaveRequest,
    ) -> wire::StatestoreHaLeaveResponse {
        let src = StatestoreId(request.src_statestore_id);
        let meant = request.dst_statestore_id == self.identity.statestore_id.0;
        let left = self
            .ha
            .as_mut()
            .is_some_and(|ha| meant && ha.pair.peer_left(now, src));
        let status = match left {
            true => Status::ok(),
            false => refused("not from the known peer, or not for this process"),
        };
        wire::StatestoreHaLeaveResponse { status }
    }

    /// Rule 15, at the side that goes: first it acts no more, then it says so.
    pub(super) fn say_goodbye(&mut self, now: Now, out: &mut Outbox) {
        let peer = self.ha.as_mut().and_then(|ha| ha.pair.resign(now.time));
        self.act_on_news(now, out);
        let Some((ha, peer)) = self
            .ha
            .as_mut()
            .zip(peer)
            .filter(|_| !self.network_disabled)
        else {
            return;
        };
        let request = wire::StatestoreHaLeaveRequest {
            protocol_version: ProtocolVersion::V2,
            dst_statestore_id: peer.0,
            src_statestore_id: self.identity.statestore_id.0,
        };
        let manner = Manner {
            timeout: ha.config.call_timeout,
            first_attempt: true,
            fence: None,
        };
        let call = (Asked::Leave, Body::HaLeave(Box::new(request)));
        self.calls.send_to_peer(&ha.peer, call, manner, out);
    }

    /// The way out that gives up the guarantee for a moment (ha.md section 4).
    pub(super) fn force_active(
        &mut self,
        now: Now,
        request: &wire::ForceStatestoreActiveRequest,
    ) -> wire::ForceStatestoreActiveResponse {
        let own = self.identity.statestore_id;
        let refusal = match &mut self.ha {
            None => "this statestored is not one of a pair",
            Some(_) if request.statestore_id != own.0 => "another process is meant",
            Some(ha) => match ha.pair.force(now) {
                None => "this statestored is about to stop",
                Some(fence) => {
                    return wire::ForceStatestoreActiveResponse {
                        status: Status::ok(),
                        epoch: Some(fence.epoch),
                    };
                }
            },
        };
        wire::ForceStatestoreActiveResponse {
            status: refused(refusal),
            epoch: None,
        }
    }
}

fn refused(text: &str) -> Status {
    Status::error(StatusCode::GENERAL, text)
}

fn incompatible(who: &Text, theirs: ProtocolVersion) -> Status {
    Status::incompatible(who, theirs.0, ProtocolVersion::V2.0)
}
