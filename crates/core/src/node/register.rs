//! A subscriber joins, or is refused (rules R).
//!
//! All checks come first and change nothing. Then the former registration of the id ends, what
//! it wrote is handed to the new one for a while (W33), and the lanes start.

use super::Node;
use crate::catalog::{Candidate, Verdict};
use crate::event::Event;
use crate::ids::{RegistrationId, RequestId};
use crate::members::{Member, MemberKey, Registration, Subscription, rhythm_of};
use crate::port::{Answer, Effect, Lane, Outbox, Receiver};
use crate::refusal::Refusal;
use crate::schedule::Task;
use crate::time::Now;
use crate::view::KnownCatalogd;
use alloc::sync::Arc;
use core::time::Duration;
use statestore_wire as wire;
use statestore_wire::{CatalogRegistration, ProtocolVersion, Status, Text, UniqueId};

/// A new registration's first message goes out at once, unless this many calls of older
/// registrations of the same id are pending in its lane: then it waits one period. So a
/// subscriber that hangs and registers in a loop does not multiply its calls.
const CROWD: u32 = 2;
/// With this many, the new registration sends nothing in that lane until one of them ends.
pub(super) const FULL: u32 = 16;

/// The longest name, address or prefix in a registration, in bytes: they go into every log line.
const LONGEST: usize = 4096;
/// The shortest silence limit that a subscriber may have, in milliseconds. As the age of votes
/// follows the shortest one, everybody would have to be asked in that rhythm: so it is not below
/// one millisecond for each registered subscriber either.
const SHORTEST_TIMEOUT: i64 = 300;
/// The most topics in a registration: each is looked at for every message.
pub(super) const TOPICS: usize = 4096;

impl Node {
    pub(super) fn register(
        &mut self,
        now: Now,
        request_id: RequestId,
        request: wire::RegisterSubscriberRequest,
        drawn: RegistrationId,
        out: &mut Outbox,
    ) {
        let (response, verdict) = match self.admit(now, &request) {
            Err(refusal) => {
                let response = self.refused(&refusal);
                out.push(Effect::Log(Event::Refused {
                    subscriber: request.subscriber_id,
                    address: request.subscriber_location,
                    refusal,
                }));
                (response, Verdict::Unchanged)
            }
            Ok(()) => {
                let (id, verdict) = self.join(now, request, drawn, out);
                (self.accepted(now, &id, drawn), verdict)
            }
        };
        let fence = response.epoch;
        let answer = Answer::Register { response, fence };
        out.push(Effect::Answer { request_id, answer });
        self.elected(now, verdict, out);
    }

    /// Every reason to say no, in the order of R-1; then sizes, W26 and W27.
    fn admit(&self, now: Now, request: &wire::RegisterSubscriberRequest) -> Result<(), Refusal> {
        let id = &request.subscriber_id;
        if request.protocol_version < ProtocolVersion::V2 {
            return Err(Refusal::OldProtocol {
                subscriber: id.clone(),
                theirs: request.protocol_version,
            });
        }
        if id.is_empty() {
            return Err(Refusal::EmptyId);
        }
        let catalogd = request.catalogd_registration.as_ref();
        if catalogd.is_some_and(|c| c.enable_catalogd_ha.unwrap_or(false) != self.config.catalog.ha)
        {
            return Err(Refusal::CatalogHaMismatch);
        }
        if self.network_disabled {
            return Err(Refusal::NetworkDisabled);
        }
        if self.is_silent(now) {
            return Err(Refusal::Silent);
        }
        measure(request)?;
        let others = self.members.len() - usize::from(self.members.key_of(id).is_some());
        let shortest_ms = SHORTEST_TIMEOUT.max(i64::try_from(others).unwrap_or(i64::MAX));
        let timeout_ms = request.heartbeat_timeout_ms;
        if let Some(timeout_ms) = timeout_ms.filter(|ms| *ms < shortest_ms) {
            return Err(Refusal::TooShort {
                timeout_ms,
                shortest_ms,
            });
        }
        if others >= self.config.max_subscribers {
            return Err(Refusal::Full {
                limit: self.config.max_subscribers,
                size: others,
            });
        }
        catalogd.map_or(Ok(()), |_| self.catalog.election.admit(id))
    }

    /// Gives the id and what the election says to it.
    fn join(
        &mut self,
        now: Now,
        request: wire::RegisterSubscriberRequest,
        drawn: RegistrationId,
        out: &mut Outbox,
    ) -> (Text, Verdict) {
        let (id, address) = (request.subscriber_id.clone(), request.subscriber_location);
        let receiver = Arc::new(Receiver::new(id, address));
        let registration = Arc::new(Registration {
            key: self.members.next_key(),
            id: request.subscriber_id,
            registration_id: drawn,
            receiver,
            subscriber_type: request
                .subscriber_type
                .unwrap_or(wire::SubscriberType::UNKNOWN),
            wants_catalogd: request.subscribe_catalogd_change.unwrap_or(false),
            catalogd: request.catalogd_registration.map(|c| CatalogRegistration {
                registration_time: Some(now.wall.as_millis()),
                ..c
            }),
            publishes: request.publishes == Some(true) && self.config.max_publication.is_some(),
            topics: Subscription::from_wire(request.topic_registrations),
        });
        let (id, key) = (registration.id.clone(), registration.key);
        let timeout_ms = request.heartbeat_timeout_ms;
        let mut member = Member::new(registration.clone(), now.time);
        self.subscribe(now, &mut member, out);
        let former = self.members.key_of(&id);
        let former = former.and_then(|key| self.replace(now, key, &mut member, out));
        out.push(Effect::Log(joined(&registration, former.as_deref())));
        self.members.insert(member);
        self.voter_joins(now, &id, timeout_ms, out);
        self.start_lanes(now, key);
        let verdict = self.candidacy(now, &registration, former.as_deref());
        (id, verdict)
    }

    fn subscribe(&mut self, now: Now, member: &mut Member, out: &mut Outbox) {
        let registration = &member.registration;
        for (place, subscription) in registration.topics.iter().enumerate() {
            let name = &subscription.topic;
            let (topic, created) = self.topics.ensure(name, subscription.lane);
            topic.audiences.join(&subscription.prefix, registration.key);
            let first = subscription.wants_min && topic.wanting_min == 0;
            topic.wanting_min += usize::from(subscription.wants_min);
            topic.mark(
                registration.key,
                member.followed,
                &mut member.progress[place],
            );
            if created {
                out.push(Effect::Log(Event::TopicCreated {
                    topic: name.clone(),
                    subscriber: registration.id.clone(),
                }));
            }
            if first && !created {
                self.poll_anew(now, name);
            }
        }
    }

    /// S-4.
    fn start_lanes(&mut self, now: Now, key: MemberKey) {
        let Some(member) = self.members.find_mut(key) else {
            return;
        };
        let registration = member.registration.clone();
        for lane in [Lane::Heartbeat, Lane::Priority, Lane::Bulk] {
            let Some(rhythm) = rhythm_of(lane).filter(|_| registration.uses(lane)) else {
                continue;
            };
            let crowded = self.calls.outlived(&registration.id, lane) >= CROWD;
            let wait = match lane {
                _ if crowded => self.config.lane(lane).period,
                Lane::Heartbeat => Duration::ZERO,
                _ => self.config.first_update_delay,
            };
            member.rhythms[rhythm].start(now.time + wait, &mut self.schedule);
        }
    }

    /// Tells the election of a catalogd that came, came again, or came back as something else.
    fn candidacy(
        &mut self,
        now: Now,
        registration: &Registration,
        former: Option<&Registration>,
    ) -> Verdict {
        let before = former.and_then(|former| former.catalogd.as_ref());
        let Some(catalogd) = &registration.catalogd else {
            return match before {
                Some(_) => self.catalog.election.leaves(&registration.id),
                None => Verdict::Unchanged,
            };
        };
        if !core::mem::replace(&mut self.catalog.wait_began, true) {
            let over = now.time + self.config.catalog.preemption_wait;
            self.schedule.add(over, Task::CatalogWait); // C-3, C-5
        }
        let candidate = Candidate {
            subscriber: registration.id.clone(),
            registration_id: registration.registration_id,
        };
        let force = catalogd.force_catalogd_active.unwrap_or(false);
        let moved = before.is_some_and(|before| before.address != catalogd.address);
        let verdict = self.catalog.election.arrives(candidate, force, moved);
        self.follow_the_active(now);
        verdict
    }

    ///
    fn accepted(
        &mut self,
        now: Now,
        id: &Text,
        drawn: RegistrationId,
    ) -> wire::RegisterSubscriberResponse {
        let active = self.acts() && self.serves(id);
        let epoch = self.acting().filter(|_| active);
        let catalogd = self.active_catalogd().filter(|_| active).cloned();
        let version = self.catalog.election.version();
        let key = self.members.key_of(id);
        if let Some(member) = key.and_then(|key| self.members.find_mut(key)) {
            member.follows = epoch;
        }
        if let (Some(member), Some(catalogd)) =
            (key.and_then(|key| self.members.find_mut(key)), &catalogd)
        {
            // N-7
            member.knows = Some(KnownCatalogd {
                version,
                address: catalogd.address.clone(),
                at: now.wall,
            });
        }
        wire::RegisterSubscriberResponse {
            status: Status::ok(),
            registration_id: Some(drawn.0),
            protocol_version: Some(ProtocolVersion::V2),
            statestore_id: Some(self.identity.statestore_id.0),
            catalogd_version: catalogd.is_some().then_some(version),
            catalogd_registration: catalogd,
            statestore_is_active: Some(active),
            active_statestored_version: Some(self.active_since.0),
            epoch,
            publication_limit: self.config.max_publication,
        }
    }

    /// Nothing is set that does not belong to a refusal (W35); a peer before V2 gets no
    /// registration id at all (wire.md section 8), others the unset one.
    fn refused(&self, refusal: &Refusal) -> wire::RegisterSubscriberResponse {
        let old = matches!(refusal, Refusal::OldProtocol { .. });
        wire::RegisterSubscriberResponse {
            status: refusal.status(),
            registration_id: (!old).then(UniqueId::default),
            protocol_version: Some(ProtocolVersion::V2),
            statestore_id: Some(self.identity.statestore_id.0),
            ..Default::default()
        }
    }
}

/// Refuses what is larger than any real registration.
fn measure(request: &wire::RegisterSubscriberRequest) -> Result<(), Refusal> {
    let check = |field, size, limit| {
        let fits = size <= limit;
        fits.then_some(())
            .ok_or(Refusal::TooLarge { field, size, limit })
    };
    let name = |field, text: Option<&Text>| check(field, text.map_or(0, Text::len), LONGEST);
    let address = |field, address: &wire::NetworkAddress| {
        name(field, Some(&address.hostname))?;
        name(field, address.uds_address.as_ref())
    };
    name("subscriber_id", Some(&request.subscriber_id))?;
    address("subscriber_location", &request.subscriber_location)?;
    if let Some(catalogd) = &request.catalogd_registration {
        address("catalogd_registration.address", &catalogd.address)?;
    }
    let topics = &request.topic_registrations;
    check("topic_registrations", topics.len(), TOPICS)?;
    for topic in topics {
        name("topic_name", Some(&topic.topic_name))?;
        name("filter_prefix", topic.filter_prefix.as_ref())?;
    }
    Ok(())
}

fn joined(registration: &Registration, former: Option<&Registration>) -> Event {
    let subscriber = registration.id.clone();
    let registration_id = registration.registration_id;
    let address = registration.address().clone();
    match former {
        None => Event::Registered {
            subscriber,
            registration_id,
            address,
        },
        Some(former) => Event::Reregistered {
            subscriber,
            registration_id,
            address,
            former_id: former.registration_id,
            former_address: former.address().clone(),
        },
    }
}
