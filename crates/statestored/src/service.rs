//! StatestoreService: what subscribers call (wire.md section 3).
//!
//! It runs on the control thread and asks the node by a direct call. Deliberately absent: every
//! decision about a registration; that is the node's.

use crate::fanout::BULK;
use crate::flags::{DISABLE_NETWORK, START_IN_V1};
use crate::owner::Owner;
use statestore_core::node::too_large;
use statestore_core::port::{Answer, Request};
use statestore_daemon::debug_actions::DebugActions;
use statestore_rpc::{Call, LocalService, Net, Outcome, dispatch};
use statestore_wire::{
    Fault, ForceStatestoreActiveRequest, GetProtocolVersionRequest, GetProtocolVersionResponse,
    ProtocolVersion, PublishRequest, PublishResponse, RegisterSubscriberRequest,
    RegisterSubscriberResponse, Rpc, SetStatestoreDebugActionRequest,
    SetStatestoreDebugActionResponse, Status, UnregisterSubscriberRequest,
};
use std::rc::Rc;

/// The answer of a node that is gone.
const CLOSING: &str = "statestored is shutting down";

/// Answers subscribers.
pub(crate) struct StatestoreService<N: Net> {
    owner: Owner<N>,
    debug: Rc<DebugActions>,
}

impl<N: Net> StatestoreService<N> {
    pub(crate) fn new(owner: Owner<N>, debug: DebugActions) -> Self {
        Self {
            owner,
            debug: Rc::new(debug),
        }
    }

    async fn register(
        &self,
        request: RegisterSubscriberRequest,
    ) -> Result<RegisterSubscriberResponse, &'static str> {
        // Plays a server of protocol V1, for the tests of clients (wire.md section 8).
        if self.debug.switched(START_IN_V1)
            && request
                .subscriber_id
                .as_bytes()
                .starts_with(b"python-test-client")
            && request.protocol_version > ProtocolVersion::V1
        {
            return Err("Invalid data");
        }
        self.owner.register(request).await.ok_or(CLOSING)
    }

    async fn publish(&self, request: PublishRequest) -> Result<PublishResponse, &'static str> {
        match self.owner.ask(Request::Publish(request)).await {
            Some(Answer::Publish(response)) => Ok(response),
            _ => Err(CLOSING),
        }
    }

    /// Decodes it where that makes nobody wait, and frees it there if it is refused for its size.
    /// It counts for the server's budget until it is answered: what queues is bounded too.
    async fn publish_much(&self, call: Call) -> Outcome {
        let envelope = call.envelope().clone();
        let decode = move || -> Result<_, Fault> {
            let (request, held) = call.into_args::<PublishRequest>()?;
            Ok(match too_large(&request) {
                Some(status) => Err(PublishResponse { status }),
                None => Ok((request, held)),
            })
        };
        let result = match self.owner.fanout().elsewhere(decode).await {
            Some(Ok(Ok((request, _held)))) => self.publish(request).await,
            Some(Ok(Err(refusal))) => Ok(refusal),
            Some(Err(fault)) => return Outcome::Malformed(fault),
            None => Err(CLOSING),
        };
        Outcome::answer(&envelope, result)
    }

    /// answered in every state.
    fn protocol_version(&self, request: &GetProtocolVersionRequest) -> GetProtocolVersionResponse {
        let theirs = i64::from(request.protocol_version.0) + 1;
        tracing::debug!("asked for the protocol version by a V{theirs}");
        GetProtocolVersionResponse {
            status: Status::ok(),
            protocol_version: ProtocolVersion::V2,
            statestore_id: Some(self.owner.statestore_id().0),
        }
    }

    /// Answers OK and does nothing unless the switch is there (flags.md section 10).
    fn debug_action(
        &self,
        request: &SetStatestoreDebugActionRequest,
    ) -> SetStatestoreDebugActionResponse {
        if let Some(disabled) = request.disable_network
            && self.debug.switched(DISABLE_NETWORK)
        {
            let word = if disabled { "disabled" } else { "enabled" };
            tracing::info!("network {word} by SetStatestoreDebugAction");
            self.owner.disable_network(disabled);
        }
        SetStatestoreDebugActionResponse {
            status: Status::ok(),
        }
    }
}

impl<N: Net> Clone for StatestoreService<N> {
    fn clone(&self) -> Self {
        Self {
            owner: self.owner.clone(),
            debug: Rc::clone(&self.debug),
        }
    }
}

impl<N: Net> LocalService for StatestoreService<N> {
    const METHODS: &'static [&'static str] = &[
        "RegisterSubscriber",
        "GetProtocolVersion",
        "SetStatestoreDebugAction",
        "UnregisterSubscriber",
        "Publish",
        "ForceStatestoreActive",
    ];

    async fn call(&self, call: Call) -> Outcome {
        if call.size() > BULK && call.method() == PublishRequest::METHOD.as_bytes() {
            return self.publish_much(call).await;
        }
        dispatch!(call, {
            RegisterSubscriberRequest => |request| self.register(request).await,
            GetProtocolVersionRequest => |request| {
                Ok::<_, &str>(self.protocol_version(&request))
            },
            SetStatestoreDebugActionRequest => |request| {
                Ok::<_, &str>(self.debug_action(&request))
            },
            PublishRequest => |request| self.publish(request).await,
            UnregisterSubscriberRequest => |request| {
                match self.owner.ask(Request::Unregister(request)).await {
                    Some(Answer::Unregister(response)) => Ok(response),
                    _ => Err(CLOSING),
                }
            },
            ForceStatestoreActiveRequest => |request| {
                match self.owner.ask(Request::ForceActive(request)).await {
                    Some(Answer::ForceActive(response)) => Ok(response),
                    _ => Err(CLOSING),
                }
            },
        })
    }
}
