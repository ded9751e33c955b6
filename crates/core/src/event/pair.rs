//! The words for what happens to a pair of statestoreds (observability.md section 6).
//!
//! Deliberately absent: when each is worth saying; the node decides that.

use super::{Brief, Event, Severity};
use crate::pair::{News, Why};
use core::fmt;

/// How loud.
pub(super) fn severity(news: &News) -> Severity {
    match news {
        News::PeerIsMyself => Severity::Error,
        News::SteppedDown {
            why: Why::Stopping, ..
        } => Severity::Info,
        News::SteppedDown { .. }
        | News::PeerLost
        | News::Stranger(_)
        | News::UnbelievableEpoch(_)
        | News::PeerPatienceDiffers { .. }
        | News::MajorityLostActive { .. }
        | News::Silent
        | News::PeerFound {
            extended: false, ..
        }
        | News::Active {
            why: Why::Alone | Why::Forced,
            ..
        } => Severity::Warning,
        _ => Severity::Info,
    }
}

/// One line.
pub(super) fn write(news: &News, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match news {
        News::Active { epoch, why } => write!(f, "Active statestored (epoch {epoch}): {why}"),
        News::SteppedDown {
            epoch,
            why,
            expired,
        } => {
            let then = match why {
                Why::Stopping => "",
                _ => ", recovery begins",
            };
            write!(
                f,
                "No longer the active statestored (epoch {epoch} is over){then}: {why}"
            )?;
            match why {
                Why::LeaseExpired => {
                    let ms = expired.as_secs_f64() * 1e3;
                    write!(f, "; its lease ended {ms:.3} ms ago")
                }
                _ => Ok(()),
            }
        }
        News::StandsBy(why) => write!(f, "Standby statestored: {why}"),
        News::PeerFound { id, extended: true } => write!(f, "Peer statestored {id} found"),
        News::PeerFound { id, .. } => write!(
            f,
            "Peer statestored {id} found; it knows no epochs, so at most this side can be kept \
             from acting beside another"
        ),
        News::PeerLost => f.write_str("Peer statestored lost: it does not answer"),
        News::PeerLeft(id) => write!(f, "Peer statestored {id} stopped on purpose"),
        News::PeerPatienceDiffers { own, theirs } => write!(
            f,
            "The peer takes over after {} ms of silence, and counts on {} ms of subscribers; this \
             statestored after {} ms, and on {} ms: the lease follows the shorter; give both the \
             same --statestore_peer_timeout_seconds and --statestore_subscriber_timeout_seconds",
            theirs.peer.as_millis(),
            theirs.subscriber.as_millis(),
            own.peer.as_millis(),
            own.subscriber.as_millis()
        ),
        News::PeerIsMyself => f.write_str(
            "--state_store_peer_host and --state_store_peer_ha_port point to this statestored \
             itself",
        ),
        News::Stranger(id) => write!(
            f,
            "Message of statestored {id} refused: it is not the peer, or not for this process"
        ),
        News::UnbelievableEpoch(epoch) => write!(
            f,
            "Epoch {epoch} ignored: no statestored can have it at this time of the calendar"
        ),
        News::MajorityLostActive { lost, of, silence } => write!(
            f,
            "{lost} of {of} subscribers lost the active statestored, which was heard here {} ms \
             ago: too lately for a takeover",
            silence.as_millis()
        ),
        News::Silent => f.write_str(
            "No statestored is active and subscribers hear both: silent for the peer's sake",
        ),
    }
}

impl Event {
    pub(super) fn of_pair(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerNotFound { peer, reason, .. } => {
                write!(f, "Peer statestored not found at {peer}: {reason}")
            }
            Self::ReferenceSubscriber { subscriber } => write!(
                f,
                "Subscriber '{subscriber}' knows no epochs and names no limit of its own, as \
                 others may that are not told of: --statestore_subscriber_timeout_seconds is taken \
                 for theirs, and at most one statestored is active if their restarts are recognised"
            ),
            Self::RoleNoticeFinished { epoch } => write!(
                f,
                "All subscribers concerned know that this statestored is active (epoch {epoch})"
            ),
            Self::RoleNoticeFailed {
                subscriber,
                address,
                status,
            } => write!(
                f,
                "Subscriber '{subscriber}' at {address} could not be told that this statestored \
                 is active: {}",
                Brief(&status.message())
            ),
            Self::RoleNoticeDelivered {
                subscriber,
                address,
            } => write!(
                f,
                "Subscriber '{subscriber}' at {address} knows at last that this statestored is \
                 active"
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted => f.write_str("decided in a handshake"),
            Self::Acknowledged => f.write_str("the peer stands by"),
            Self::TakeOver { lost, of } => write!(
                f,
                "took over, the active one is silent and {lost} of {of} subscribers lost it"
            ),
            Self::Alone => f.write_str("no peer was found, and no subscriber has heard one"),
            Self::PeerLeft => f.write_str("the peer stopped on purpose"),
            Self::Stopping => f.write_str("this statestored stops"),
            Self::Forced => f.write_str("an operator forced it; there may be two for a moment"),
            Self::LeaseExpired => {
                f.write_str("neither the peer nor half of the subscribers acknowledged it in time")
            }
            Self::HigherEpoch(epoch) => write!(f, "epoch {epoch} is followed elsewhere"),
            Self::PeerForced => f.write_str("the peer has --statestore_force_active"),
            Self::PeerActive => f.write_str("the peer is active"),
            Self::OthersHearPeer => f.write_str("most subscribers hear the other statestored"),
            Self::Skipped => f.write_str("most subscribers skip its updates"),
            Self::DualActive => f.write_str("the peer is active too"),
        }
    }
}
