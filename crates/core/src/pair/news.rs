//! What a pair has to tell: for the node to act on, and for the log.
//!
//! Deliberately absent: wording; `event` has it. News are facts that have happened already.

use super::Patience;
use crate::ids::StatestoreId;
use core::time::Duration;
use statestore_wire::Epoch;

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum News {
    /// This server is active now.
    Active {
        /// Under this epoch.
        epoch: Epoch,
        /// Why.
        why: Why,
    },
    /// It no longer is.
    SteppedDown {
        /// The epoch that is over.
        epoch: Epoch,
        /// Why.
        why: Why,
        /// How long its lease had been over by then: who gets no CPU notices late.
        expired: Duration,
    },
    /// It stands by for an active peer.
    StandsBy(Why),
    /// The peer answers; `extended` if it is one of ours.
    PeerFound {
        /// The process.
        id: StatestoreId,
        /// It understands the extensions, so that the guarantee is whole.
        extended: bool,
    },
    /// The peer does not answer.
    PeerLost,
    /// The standby stopped on purpose.
    PeerLeft(StatestoreId),
    /// The two have different limits; the lease follows the shorter.
    PeerPatienceDiffers {
        /// This server's.
        own: Patience,
        /// The peer's.
        theirs: Patience,
    },
    /// The configured peer is this server itself (W9).
    PeerIsMyself,
    /// A message came from, or for, a process that is not one of this pair (W34).
    Stranger(StatestoreId),
    /// Somebody named an epoch that no clock can say.
    UnbelievableEpoch(Epoch),
    /// The majority lost the active, but this server has heard it too lately (H-16).
    MajorityLostActive {
        /// So many have lost it.
        lost: usize,
        /// Of so many.
        of: usize,
        /// Since it was heard here.
        silence: Duration,
    },
    /// Neither side is active and subscribers hear both: silence begins (rule 19).
    Silent,
}

/// Why a role was won, lost or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The peer granted it in a handshake.
    Granted,
    /// The peer acknowledged the first HA heartbeat after a handshake.
    Acknowledged,
    /// The peer was silent and a majority had lost it.
    TakeOver {
        /// So many had lost it.
        lost: usize,
        /// Of so many.
        of: usize,
    },
    /// No peer, and no subscriber that has heard one.
    Alone,
    /// The peer stopped on purpose.
    PeerLeft,
    /// This process stops on purpose.
    Stopping,
    /// An operator said so.
    Forced,
    /// Too few acknowledgements came in time.
    LeaseExpired,
    /// Somebody follows a higher one.
    HigherEpoch(Epoch),
    /// The peer insists on being active.
    PeerForced,
    /// The peer is active.
    PeerActive,
    /// Most subscribers hear the other server.
    OthersHearPeer,
    /// Most subscribers skip updates: they follow the other server (rule 21).
    Skipped,
    /// A reference peer sends HA heartbeats too (H-13).
    DualActive,
}
