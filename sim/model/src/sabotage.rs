//! Each rule left out, to see that the model misses it: a search that finds nothing proves
//! something only if it finds what is there.
//!
//! What ships has no switches. So a rule is broken from outside: by limits that `Limits::new`
//! does not make, by telling a server another time, an older grant, a different voter than the
//! world has. Deliberately absent: where each is used, apart from limits and terms.

use crate::ticks::{NEVER, ticks};
use statestore_core::pair::{Limits, Terms};

/// The rule of ha.md that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sabotage {
    /// None is.
    #[default]
    None,
    /// All of them, as in the reference: a lease never ends, a vote has any age.
    Reference,
    /// Section 1: a lease lasts as long as the timeout.
    LeaseIsTimeout,
    /// Rule 2: an acknowledgement counts from when it arrives.
    ArrivalTime,
    /// Rule 3: whoever has the role sends, without a look at its lease.
    NoFence,
    /// Rule 4: a late acknowledgement finds the lease as it was when the request was sent.
    Revival,
    /// Rule 5: the standby takes over whatever it hears of its peer.
    NoSilence,
    /// Rule 6: the standby uses votes of any age.
    OldVotes,
    /// Rule 7: who grants forgets so at once.
    NoPromise,
    /// Rule 7: a grant counts from when it arrives.
    OldGrant,
    /// Rule 8: who starts takes the silence before for its peer's.
    NoWait,
    /// Rule 9: a voter that starts has lost everybody.
    NewbornVotes,
    /// Rule 9: a voter that starts acknowledges what is meant for its former life.
    NewbornAcknowledges,
    /// Rules 1, 12, 13: a change of the electorate counts before the peer has it.
    OneSidedChange,
    /// Rule 14: the standby drops a leaver's seat at once, by itself.
    EagerLeave,
    /// Rule 15: who says goodbye goes on.
    UndeadLeaver,
    /// Rule 16: voters keep to themselves which epochs they saw.
    SecretEpochs,
    /// Rule 17: voters follow any epoch.
    ObedientVoters,
    /// Rule 20: a reference voter is taken for one of ours.
    ReferenceAsOurs,
}

impl Sabotage {
    /// The limits that this server takes for right.
    pub fn limits(self, server: usize, limits: &mut Limits) {
        match self {
            Self::Reference => {
                limits.peer_lease = ticks(NEVER);
                limits.subscriber_timeout = ticks(NEVER);
                limits.vote_age = ticks(NEVER);
            }
            Self::NoSilence if server == 1 => limits.peer_timeout = ticks(0),
            Self::LeaseIsTimeout => {
                limits.peer_lease = limits.peer_timeout;
                limits.subscriber_timeout = limits.subscriber_timeout * 4 / 3;
            }
            Self::OldVotes if server == 1 => limits.vote_age = ticks(NEVER),
            _ => {}
        }
    }

    /// What this server takes a voter for.
    pub fn terms(self, server: usize, terms: &mut Terms) {
        match self {
            Self::Reference => terms.timeout = ticks(NEVER),
            Self::LeaseIsTimeout => terms.timeout = terms.timeout * 4 / 3,
            // A vote is no older than a part of the timeout.
            Self::OldVotes if server == 1 => terms.timeout = ticks(NEVER),
            Self::ReferenceAsOurs => terms.extended = true,
            _ => {}
        }
    }
}
