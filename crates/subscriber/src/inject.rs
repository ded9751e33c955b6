//! Faults that tests inject into a registration (flags.md section 10, the labels read by B).
//!
//! Deliberately absent: the syntax of `debug_actions`; whoever injects decides when.

use futures::future::BoxFuture;
use std::sync::Arc;

/// Where a fault may be injected into a registration, for tests of what lives around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectionPoint {
    /// `REGISTER_STATESTORE_ON_STARTUP`: fails the whole registration.
    RegisterOnStartup,
    /// `GET_PROTOCOL_VERSION_FIRST_ATTEMPT`: fails the first attempt of a registration.
    ProtocolVersionFirstAttempt,
    /// `REGISTER_SUBSCRIBER_FIRST_ATTEMPT`: likewise.
    RegisterFirstAttempt,
}

impl InjectionPoint {
    /// The label in flag `debug_actions`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::RegisterOnStartup => "REGISTER_STATESTORE_ON_STARTUP",
            Self::ProtocolVersionFirstAttempt => "GET_PROTOCOL_VERSION_FIRST_ATTEMPT",
            Self::RegisterFirstAttempt => "REGISTER_SUBSCRIBER_FIRST_ATTEMPT",
        }
    }
}

/// Runs at an injection point: may wait, and fails the step with a text.
pub type Inject =
    Arc<dyn Fn(InjectionPoint) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;
