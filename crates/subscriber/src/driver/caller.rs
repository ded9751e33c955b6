//! [`Caller`]: makes the calls to statestoreds, with faults injected where a test wants them.
//!
//! Invariants: each call ends within its limit, looking up names included; what is large is encoded
//! on a thread of its own.

use crate::inject::{Inject, InjectionPoint};
use crate::service::{LARGE, apart, size};
use statestore_core::subscriber::port::{Body, Call, Reply};
use statestore_rpc::{CallLimits, HostPort, Net, Pool, Purpose};
use statestore_wire::envelope::write_call;
use statestore_wire::{
    GetProtocolVersionResponse, PublishRequest, RegisterSubscriberRequest, Status, StatusCode, Text,
};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Connections to statestoreds.
pub(super) const PURPOSE: Purpose = Purpose("statestore");

pub(super) struct Caller<C: Net> {
    pub(super) pool: Pool<C>,
    /// Register with an address of this host name instead of the name.
    pub(super) resolve: Option<String>,
    pub(super) inject: Option<Inject>,
}

impl<C: Net> Clone for Caller<C> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            resolve: self.resolve.clone(),
            inject: self.inject.clone(),
        }
    }
}

impl<C: Net> Caller<C> {
    pub(super) async fn call(&self, call: Call) -> Result<Reply, Status> {
        let to = HostPort::try_from(&call.to)
            .map_err(|error| Status::error(StatusCode::GENERAL, error.to_string()))?;
        if let Some(outcome) = self.injected(&call, &to).await {
            return outcome;
        }
        let timeout = call.timeout;
        match call.body {
            Body::ProtocolVersion(request) => self
                .pool
                .call(&to, PURPOSE, &request, CallLimits::small(timeout))
                .await
                .map(Reply::ProtocolVersion)
                .map_err(|error| error.status()),
            Body::Register(request) => self.register(&to, *request, timeout).await,
            Body::Publish(publication) => {
                let large = size(&publication.updates) >= LARGE;
                let encode = move || {
                    let mut message = Vec::new();
                    write_call(&publication.into_request(), &mut message);
                    [message]
                };
                let parts = apart(large, encode).await.ok_or_else(|| {
                    Status::error(StatusCode::GENERAL, "The subscriber is stopping")
                })?;
                self.pool
                    .call_parts::<PublishRequest>(&to, PURPOSE, &parts, CallLimits::small(timeout))
                    .await
                    .map(Reply::Publish)
                    .map_err(|error| error.status())
            }
            Body::Unregister(request) => self
                .pool
                .call(&to, PURPOSE, &request, CallLimits::small(timeout))
                .await
                .map(Reply::Unregister)
                .map_err(|error| error.status()),
        }
    }

    async fn register(
        &self,
        to: &HostPort,
        mut request: RegisterSubscriberRequest,
        timeout: Duration,
    ) -> Result<Reply, Status> {
        if let Some(name) = &self.resolve {
            let address = tokio::time::timeout(timeout, resolve(name)).await;
            let address = address.unwrap_or_else(|_| Err("timed out".to_owned()));
            let address = address.map_err(|reason| {
                let text = format!("Cannot resolve the own host name '{name}': {reason}");
                Status::error(StatusCode::GENERAL, text)
            })?;
            request.subscriber_location.hostname = Text::from(address.to_string());
        }
        self.pool
            .call(to, PURPOSE, &request, CallLimits::small(timeout))
            .await
            .map(Reply::Register)
            .map_err(|error| error.status())
    }

    /// What a test wants to happen instead of the call.
    async fn injected(&self, call: &Call, to: &HostPort) -> Option<Result<Reply, Status>> {
        let inject = self.inject.as_ref().filter(|_| call.first_attempt)?;
        let fault = |text: String| {
            tracing::info!("Injected RPC error to {to}: {text}");
            Status::error(StatusCode::INTERNAL_ERROR, text)
        };
        let point = match call.body {
            Body::Unregister(_) | Body::Publish(_) => return None,
            Body::Register(_) => InjectionPoint::RegisterFirstAttempt,
            Body::ProtocolVersion(_) => {
                if call.startup
                    && let Err(text) = inject(InjectionPoint::RegisterOnStartup).await
                {
                    // As an answer: it fails the registration, not only this attempt.
                    let status = fault(text);
                    let response = GetProtocolVersionResponse {
                        status,
                        ..GetProtocolVersionResponse::default()
                    };
                    return Some(Ok(Reply::ProtocolVersion(response)));
                }
                InjectionPoint::ProtocolVersionFirstAttempt
            }
        };
        inject(point).await.err().map(|text| Err(fault(text)))
    }
}

/// The first of the sorted IPv4 addresses that is not the loopback, or the first at all.
async fn resolve(name: &str) -> Result<Ipv4Addr, String> {
    let found = tokio::net::lookup_host((name, 0))
        .await
        .map_err(|error| error.to_string())?;
    let mut addresses: Vec<Ipv4Addr> = found
        .filter_map(|address| match address.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
        .collect();
    addresses.sort_unstable();
    let outside = addresses.iter().find(|address| !address.is_loopback());
    outside
        .or(addresses.first())
        .copied()
        .ok_or_else(|| "it has no IPv4 address".to_owned())
}
