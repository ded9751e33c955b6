//! Heartbeats, catalogd notices and role messages: what is accepted from whom (B-20, B-21, B-24,
//! B-30 to B-35, B-41).
//!
//! Invariant: none of these ever waits for a delivery or a registration under way (W23).

use super::catalogd::Verdict;
use super::port::{CatalogdChange, Effect, Outbox};
use super::statestore::Statestore;
use super::view::Role;
use super::{Event, Subscriber};
use crate::ids::{RegistrationId, StatestoreId};
use crate::time::{Now, Time};
use alloc::format;
use statestore_wire::{
    ConnState, Epoch, HeartbeatRequest, HeartbeatResponse, ProtocolVersion, Status, StatusCode,
    UniqueId, UpdateCatalogdRequest, UpdateCatalogdResponse, UpdateStatestoredRoleRequest,
    UpdateStatestoredRoleResponse,
};

impl Subscriber {
    pub(super) fn heartbeat(
        &mut self,
        now: Now,
        request: &HeartbeatRequest,
        out: &mut Outbox,
    ) -> HeartbeatResponse {
        let statestore_id = StatestoreId(request.statestore_id.unwrap_or_default());
        // Alone, whoever knows the registration is the one (B-21).
        let sender = if self.is_alone() {
            Some(0)
        } else {
            self.sender(statestore_id)
        };
        let mut response = HeartbeatResponse::default();
        match self.accept_heartbeat(now, sender, request, out) {
            Ok(accepted) => {
                if let Some(status) = self.given_up(accepted, request) {
                    response.status = refuse_heartbeat(request, status, out);
                    return response;
                }
                let asks = request.request_statestore_conn_state == Some(true);
                if let Some(i) = accepted.filter(|_| asks) {
                    self.vote(now.time, i, &mut response);
                }
                let own = accepted.is_some_and(|i| self.statestores[i].is_named());
                response.unacknowledged = (!own).then_some(true);
            }
            Err(status) => response.status = status,
        }
        response
    }

    /// Whose heartbeat it was; `None` if that is not known yet.
    fn accept_heartbeat(
        &mut self,
        now: Now,
        sender: Option<usize>,
        request: &HeartbeatRequest,
        out: &mut Outbox,
    ) -> Result<Option<usize>, Status> {
        const METHOD: &str = "Heartbeat";
        if let Some(status) = self.check_version(METHOD, request.protocol_version, out) {
            return Err(status);
        }
        let Some(i) = sender else {
            return self.early_heartbeat(now, request, out).map(|()| None);
        };
        let got = request.registration_id.unwrap_or_default();
        if !self.statestores[i].matches(got) {
            let status = unexpected(got, self.statestores[i].registration_id);
            return Err(refuse_heartbeat(request, status, out));
        }
        self.check_epoch(now.wall, Some(i), (METHOD, request.epoch), out)?;
        self.statestores[i].heartbeat(now, request.epoch);
        match request.epoch {
            Some(epoch) => {
                self.accept_epoch(i, epoch);
                self.follow_epoch(now.time, i, epoch, out);
            }
            None => self.statestores[i].is_refused = false,
        }
        Ok(Some(i))
    }

    /// It may be of the one whose answer to our registration is still on its way, or for a
    /// registration of a former life, which may have had a longer limit. So it is answered with
    /// OK, but as no acknowledgement, and its sender is not heard by it (ha.md rule 9).
    fn early_heartbeat(
        &mut self,
        now: Now,
        request: &HeartbeatRequest,
        out: &mut Outbox,
    ) -> Result<(), Status> {
        let unnamed = |it: &Statestore| it.statestore_id.0.is_unset();
        let Some(first) = self.statestores.iter().position(unnamed) else {
            let id = StatestoreId(request.statestore_id.unwrap_or_default());
            let text = format!("Heartbeat of an unknown statestored: {id}");
            let status = Status::error(StatusCode::GENERAL, text);
            return Err(refuse_heartbeat(request, status, out));
        };
        let claim = ("Heartbeat", request.epoch);
        self.check_epoch(now.wall, Some(first), claim, out)?;
        self.accept_foreign_epoch(request.epoch);
        Ok(())
    }

    /// Why a heartbeat of a registration that this subscriber has not, or not yet, is answered with
    /// an error (W19). OK would keep a former life's registration up after its new one was refused,
    /// and with it a voter that neither acknowledges nor votes.
    fn given_up(&mut self, sender: Option<usize>, request: &HeartbeatRequest) -> Option<Status> {
        let got = RegistrationId(request.registration_id.unwrap_or_default());
        if let Some(i) = sender {
            let statestore = &mut self.statestores[i];
            if statestore.has_refused() {
                statestore.given_up = Some(got);
            } else if statestore.is_named() {
                return None;
            }
        }
        let mut all = self.statestores.iter();
        let given_up = all.any(|it| it.given_up == Some(got));
        given_up.then(|| {
            let text = format!("Heartbeat for a registration that was given up: {got}");
            Status::error(StatusCode::GENERAL, text)
        })
    }

    /// What a standby asks for: the state of the other one (H-34, B-35), and our vote.
    fn vote(&self, now: Time, i: usize, response: &mut HeartbeatResponse) {
        response.statestore_conn_state = Some(self.other_state(now, i));
        let mut all = self.statestores.iter().enumerate();
        if let Some((_, other)) = all.find(|(other, _)| *other != i) {
            let lost = other.is_unheard(&self.config, now);
            response.other_is_lost = Some(lost);
            response.other_is_active = Some(other.acts && !lost);
        }
    }

    /// H-34: of the other one, whatever its role.
    fn other_state(&self, now: Time, i: usize) -> ConnState {
        let mut others = self
            .statestores
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != i);
        let state = others
            .next()
            .map(|(_, other)| other.state(&self.config, now));
        state.unwrap_or(ConnState::UNKNOWN)
    }

    pub(super) fn catalogd(
        &mut self,
        now: Now,
        request: &UpdateCatalogdRequest,
        out: &mut Outbox,
    ) -> UpdateCatalogdResponse {
        const METHOD: &str = "UpdateCatalogd";
        let version = request.catalogd_version;
        let known = self.catalogd.version;
        let refused = |status| UpdateCatalogdResponse {
            status,
            ..UpdateCatalogdResponse::default()
        };
        if let Some(status) = self.check_version(METHOD, request.protocol_version, out) {
            return refused(status);
        }
        let sender = self.sender(StatestoreId(request.statestore_id));
        if sender.is_some()
            && let Err(status) = self.check_epoch(now.wall, sender, (METHOD, request.epoch), out)
        {
            return refused(status);
        }
        if let Some(why) = self.reason_to_skip(sender, request) {
            let event = Event::CatalogdIgnored {
                version,
                known,
                skipped: true,
                why,
            };
            out.push(Effect::Log(event));
            return UpdateCatalogdResponse {
                skipped: Some(true),
                ..UpdateCatalogdResponse::default()
            };
        }
        if let (Some(i), Some(epoch)) = (sender, request.epoch) {
            self.accept_epoch(i, epoch);
            self.follow_epoch(now.time, i, epoch, out);
        }
        let registration = &request.catalogd_registration;
        match self.catalogd.notified(registration, version) {
            Verdict::New => {
                self.totals.catalogd_notices += 1;
                let address = registration.address.clone();
                out.push(Effect::Log(Event::CatalogdChanged { address, version }));
                out.push(Effect::Catalogd(CatalogdChange {
                    registration: registration.clone(),
                    version,
                    is_registration_reply: false,
                }));
            }
            Verdict::Expected => {}
            Verdict::Stale => {
                let why = "the version is not higher";
                let event = Event::CatalogdIgnored {
                    version,
                    known,
                    skipped: false,
                    why,
                };
                out.push(Effect::Log(event));
            }
        }
        UpdateCatalogdResponse::default()
    }

    /// B-24. An epoch that is news makes its sender the active one.
    fn reason_to_skip(
        &self,
        sender: Option<usize>,
        request: &UpdateCatalogdRequest,
    ) -> Option<&'static str> {
        let Some(i) = sender else {
            return Some("the sender is unknown");
        };
        let is_news = request.epoch.is_some_and(|it| self.epochs.is_news(it));
        if !self.is_active(i) && !is_news {
            Some("the sender is not the active statestored")
        } else if self.statestores[i].is_registering() {
            Some("registering with the sender")
        } else if !self.statestores[i].matches(request.registration_id) {
            Some("it is for another registration")
        } else {
            None
        }
    }

    pub(super) fn role(
        &mut self,
        now: Now,
        request: &UpdateStatestoredRoleRequest,
        out: &mut Outbox,
    ) -> UpdateStatestoredRoleResponse {
        const METHOD: &str = "UpdateStatestoredRole";
        let mut response = UpdateStatestoredRoleResponse::default();
        if let Some(status) = self.check_version(METHOD, request.protocol_version, out) {
            response.status = status;
            return response;
        }
        let statestore_id = StatestoreId(request.statestore_id);
        let version = request.active_statestored_version;
        let ignored = |skipped, why| {
            Effect::Log(Event::RoleIgnored {
                statestore_id,
                version,
                skipped,
                why,
            })
        };
        let Some(i) = self.sender(statestore_id) else {
            out.push(ignored(true, "the sender is unknown"));
            response.skipped = Some(true);
            return response;
        };
        let claim = (METHOD, request.epoch);
        if let Err(status) = self.check_epoch(now.wall, Some(i), claim, out) {
            response.status = status;
            return response;
        }
        if self.statestores[i].role == Role::Standby {
            self.statestores[i].role_notices += 1;
        }
        if !request.is_active {
            out.push(ignored(false, "only becoming active is news"));
            return response;
        }
        if let Some(epoch) = request.epoch {
            self.accept_epoch(i, epoch);
        }
        if !self.claim(now.time, i, version, request.epoch, out) {
            out.push(ignored(false, "the sender is known to be active"));
        } else if let Some(registration) = &request.catalogd_registration {
            let version = request.catalogd_version.unwrap_or(0);
            self.catalogd_told(registration, version, out);
        }
        response
    }

    /// One says that it is the active one. False if that is no news (B-31).
    pub(super) fn claim(
        &mut self,
        now: Time,
        i: usize,
        version: i64,
        epoch: Option<Epoch>,
        out: &mut Outbox,
    ) -> bool {
        let mut all = self.statestores.iter();
        let before = all.position(|it| it.role == Role::Active);
        let is_news = self.settle_epoch(epoch);
        if before == Some(i) {
            return match epoch.filter(|_| is_news) {
                Some(epoch) => {
                    self.activated_anew(i, version, epoch, out);
                    true
                }
                None => false,
            };
        }
        for statestore in &mut self.statestores {
            statestore.role = Role::Standby;
            if before.is_some() {
                statestore.active_version = version;
            }
        }
        self.statestores[i].role = Role::Active;
        self.statestores[i].active_version = version;
        let failover = before.is_some();
        if failover {
            self.last_failover = Some(now);
            self.totals.failovers += 1;
        }
        out.push(Effect::Log(Event::ActiveChanged {
            active: self.statestores[i].address.clone(),
            version,
            before: before.map(|before| self.statestores[before].address.clone()),
        }));
        out.push(Effect::Active {
            statestore: i,
            failover,
        });
        self.rebase(self.statestores[i].statestore_id);
        true
    }

    /// B-20.
    pub(super) fn check_version(
        &self,
        method: &'static str,
        version: ProtocolVersion,
        out: &mut Outbox,
    ) -> Option<Status> {
        if version >= ProtocolVersion::V2 {
            return None;
        }
        out.push(Effect::Log(Event::Incompatible {
            method,
            version: version.0,
        }));
        Some(self.incompatible(version.0))
    }
}

/// Tells the log of it; who asks for something else than it names is somebody else (W19).
fn refuse_heartbeat(request: &HeartbeatRequest, status: Status, out: &mut Outbox) -> Status {
    out.push(Effect::Log(Event::HeartbeatRefused {
        statestore_id: StatestoreId(request.statestore_id.unwrap_or_default()),
        registration_id: RegistrationId(request.registration_id.unwrap_or_default()),
        status: status.clone(),
    }));
    status
}

/// W18, W19: the text that wire.md section 6 fixes.
pub(super) fn unexpected(got: UniqueId, own: RegistrationId) -> Status {
    let text = format!("Unexpected registration ID: {got}, was expecting {own}");
    Status::error(StatusCode::GENERAL, text)
}
