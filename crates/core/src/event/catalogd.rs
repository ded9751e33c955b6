//! The words for the active catalogd and for who is told of it.
//!
//! Deliberately absent: every other event.

use super::{Brief, Event};
use core::fmt;

impl Event {
    pub(super) fn catalogd(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CatalogdDesignated {
                subscriber,
                address,
                version,
                standby,
            } => {
                write!(
                    f,
                    "Catalogd '{subscriber}' at {address} is the active one (version {version})"
                )?;
                match standby {
                    Some(standby) => write!(f, ", '{standby}' stands by"),
                    None => Ok(()),
                }
            }
            Self::CatalogdLost { version } => write!(
                f,
                "The active catalogd (version {version}) failed; none is left"
            ),
            Self::CatalogdNoticeFinished { version } => write!(
                f,
                "All subscribers concerned know the active catalogd (version {version})"
            ),
            Self::CatalogdNoticeFailed {
                subscriber,
                address,
                version,
                status,
            } => write!(
                f,
                "Subscriber '{subscriber}' at {address} could not be told the active catalogd \
                 (version {version}): {}",
                Brief(&status.message())
            ),
            _ => Ok(()),
        }
    }
}
