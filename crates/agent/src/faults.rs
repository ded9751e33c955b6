//! Failures of registrations that tests ask for (`--debug_actions`, flags.md section 10).
//!
//! Deliberately absent: parsing (`statestore_daemon::debug_actions`) and where they act (the
//! library).

use futures::FutureExt as _;
use statestore_daemon::debug_actions::{DebugActions, Known, Step};
use statestore_subscriber::{Inject, InjectionPoint};
use std::sync::Arc;

/// What an agent reads of the flag.
pub(crate) const KNOWN: Known = Known {
    labels: &[
        InjectionPoint::RegisterOnStartup.label(),
        InjectionPoint::ProtocolVersionFirstAttempt.label(),
        InjectionPoint::RegisterFirstAttempt.label(),
    ],
    switches: &[],
};

/// Waits and fails as the actions say.
pub(crate) fn inject(actions: DebugActions) -> Inject {
    Arc::new(move |point| {
        let steps = actions.at(point.label(), rand::random);
        let follow = async move {
            for step in steps {
                match step {
                    Step::Sleep(time) => tokio::time::sleep(time).await,
                    Step::Fail(text) => return Err(text),
                }
            }
            Ok(())
        };
        follow.boxed()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn an_action_fails_its_own_step_only() {
        let text = "REGISTER_SUBSCRIBER_FIRST_ATTEMPT:FAIL@1.0@no luck|OTHER:FAIL";
        let actions = DebugActions::parse(text, KNOWN).unwrap();
        assert_eq!(actions.foreign, ["OTHER:FAIL"]);
        let inject = inject(actions);
        let failed = inject(InjectionPoint::RegisterFirstAttempt).await;
        assert_eq!(failed, Err("no luck".to_owned()));
        assert_eq!(inject(InjectionPoint::RegisterOnStartup).await, Ok(()));
    }
}
