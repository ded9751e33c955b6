//! Heartbeats, catalogd notices and role messages: what is accepted from whom (B-20, B-21, B-24,
//! B-30 to B-35, B-41).
//!
//! Invariant: none of these ever waits for a delivery or a registration under way (W23).

use super::catalogd::Verdict;
use super::port::{CatalogdChange, Effect, Outbox};
use super::view::Role;
use super::{Event, Subscriber};
use crate::ids::{RegistrationId, StatestoreId};
use crate::time::Time;
use alloc::format;
use statestore_wire::{
    ConnState, HeartbeatRequest, HeartbeatResponse, ProtocolVersion, Status, StatusCode, UniqueId,
    UpdateCatalogdRequest, UpdateCatalogdResponse, UpdateStatestoredRoleRequest,
    UpdateStatestoredRoleResponse,
};

impl Subscriber {
    pub(super) fn heartbeat(
        &mut self,
        now: Time,
        request: &HeartbeatRequest,
        out: &mut Outbox,
    ) -> HeartbeatResponse {
        let mut response = HeartbeatResponse::default();
        if let Some(status) = self.check_version("Heartbeat", request.protocol_version, out) {
            response.status = status;
            return response;
        }
        let statestore_id = StatestoreId(request.statestore_id.unwrap_or_default());
        let got = request.registration_id.unwrap_or_default();
        // Alone, whoever knows the registration is the one (B-21).
        let sender = if self.is_alone() {
            Some(0)
        } else {
            self.sender(statestore_id)
        };
        let status = match sender {
            Some(i) if self.statestores[i].matches(got) => {
                self.statestores[i].heartbeat(now);
                if request.request_statestore_conn_state == Some(true) {
                    response.statestore_conn_state = Some(self.other_state(now, i));
                }
                return response;
            }
            Some(i) => unexpected(got, self.statestores[i].registration_id),
            // It may be the one whose answer to our registration is still on its way.
            None if self
                .statestores
                .iter()
                .any(|it| it.statestore_id.0.is_unset()) =>
            {
                return response;
            }
            None => {
                let text = format!("Heartbeat of an unknown statestored: {statestore_id}");
                Status::error(StatusCode::GENERAL, text)
            }
        };
        out.push(Effect::Log(Event::HeartbeatRefused {
            statestore_id,
            registration_id: RegistrationId(got),
            status: status.clone(),
        }));
        response.status = status;
        response
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
        request: &UpdateCatalogdRequest,
        out: &mut Outbox,
    ) -> UpdateCatalogdResponse {
        let version = request.catalogd_version;
        let known = self.catalogd.version;
        if let Some(status) = self.check_version("UpdateCatalogd", request.protocol_version, out) {
            return UpdateCatalogdResponse {
                status,
                skipped: None,
                highest_epoch: None,
            };
        }
        if let Some(why) = self.reason_to_skip(request) {
            let event = Event::CatalogdIgnored {
                version,
                known,
                skipped: true,
                why,
            };
            out.push(Effect::Log(event));
            return UpdateCatalogdResponse {
                status: Status::ok(),
                skipped: Some(true),
                highest_epoch: None,
            };
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

    /// B-24.
    fn reason_to_skip(&self, request: &UpdateCatalogdRequest) -> Option<&'static str> {
        let Some(i) = self.sender(StatestoreId(request.statestore_id)) else {
            return Some("the sender is unknown");
        };
        if !self.is_active(i) {
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
        now: Time,
        request: &UpdateStatestoredRoleRequest,
        out: &mut Outbox,
    ) -> UpdateStatestoredRoleResponse {
        let method = "UpdateStatestoredRole";
        if let Some(status) = self.check_version(method, request.protocol_version, out) {
            return UpdateStatestoredRoleResponse {
                status,
                skipped: None,
                highest_epoch: None,
            };
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
            return UpdateStatestoredRoleResponse {
                status: Status::ok(),
                skipped: Some(true),
                highest_epoch: None,
            };
        };
        if self.statestores[i].role == Role::Standby {
            self.statestores[i].role_notices += 1;
        }
        if !request.is_active {
            out.push(ignored(false, "only becoming active is news"));
        } else if self.claim(now, i, version, out) {
            if let Some(registration) = &request.catalogd_registration {
                let version = request.catalogd_version.unwrap_or(0);
                self.catalogd_told(registration, version, out);
            }
        } else {
            out.push(ignored(false, "the sender is known to be active"));
        }
        UpdateStatestoredRoleResponse::default()
    }

    /// One says that it is the active one. False if that is no news (B-31).
    pub(super) fn claim(&mut self, now: Time, i: usize, version: i64, out: &mut Outbox) -> bool {
        let before = self
            .statestores
            .iter()
            .position(|it| it.role == Role::Active);
        if before == Some(i) {
            return false;
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

/// W18, W19: the text that wire.md section 6 fixes.
pub(super) fn unexpected(got: UniqueId, own: RegistrationId) -> Status {
    let text = format!("Unexpected registration ID: {got}, was expecting {own}");
    Status::error(StatusCode::GENERAL, text)
}
