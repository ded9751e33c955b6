//! [`KnownCatalogd`]: which news of the active catalogd to believe (B-6, B-41).
//!
//! A statestored's own answer to a registration is believed whatever its number, since another
//! statestored counts from elsewhere; between registrations the number only rises.
//!
//! Deliberately absent: who may tell (B-24); `Subscriber` has looked at that.

use statestore_wire::CatalogRegistration;

#[derive(Debug, Default)]
pub(super) struct KnownCatalogd {
    pub(super) registration: Option<CatalogRegistration>,
    pub(super) version: i64,
    /// The version came with a registration; its notice is on the way and no surprise.
    from_registration: bool,
}

/// What a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    New,
    /// The notice of what a registration reply has told already.
    Expected,
    Stale,
}

impl KnownCatalogd {
    /// A registration reply or failover told of it.
    pub(super) fn told(&mut self, registration: &CatalogRegistration, version: i64) -> bool {
        if version < 0 {
            self.forget();
            return false;
        }
        self.registration = Some(registration.clone());
        self.version = version;
        self.from_registration = true;
        true
    }

    /// A re-registration told of none: any version is news again.
    pub(super) fn forget(&mut self) {
        self.version = 0;
        self.from_registration = false;
    }

    pub(super) fn notified(&mut self, registration: &CatalogRegistration, version: i64) -> Verdict {
        if version > self.version {
            self.registration = Some(registration.clone());
            self.version = version;
            self.from_registration = false;
            Verdict::New
        } else if version == self.version && core::mem::take(&mut self.from_registration) {
            Verdict::Expected
        } else {
            Verdict::Stale
        }
    }
}
