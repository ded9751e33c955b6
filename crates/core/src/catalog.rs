//! The election of the active catalogd (rules C-1 to C-25): an untimed machine.
//!
//! ```text
//!            first arrives            wait over, forced,
//!   Nobody ----------------> First    or a second arrives      Led { active, standby? }
//!      \________________________\_____________________________/   ^            |
//!        alone, and forced or the wait is over                    |  active fails, standby is next
//!      ^                                                          +------------+
//!      +---------------------- the last one fails ----------------------------/
//! ```
//!
//! Time reaches it as one fact, [`Election::wait_is_over`]; the catalogds' addresses stay with
//! their registrations. So the state is small and hashable, and a model checker can walk it.
//!
//! Invariants: the version rises exactly when there is something new to tell; once somebody led,
//! nobody ever waits again (C-21); a standby exists only beside an active one.

use crate::ids::RegistrationId;
use crate::refusal::Refusal;
use statestore_wire::Text;

/// A registered catalogd.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Its subscriber id.
    pub subscriber: Text,
    /// Its current registration.
    pub registration_id: RegistrationId,
}

/// Who sits where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Seats {
    Nobody,
    First(Candidate),
    Led {
        active: Candidate,
        standby: Option<Candidate>,
    },
}

/// What the election decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nothing to tell anybody.
    Unchanged,
    /// The version rose: tell everybody who the active catalogd is, and where.
    Announce,
    /// There was an active catalogd and now there is none.
    Vacant,
}

/// The election.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Election {
    ha: bool,
    by_subscriber_id: bool,
    waited: bool,
    seats: Seats,
    version: i64,
    /// The one that the active statestored of a pair designated, while this one stands by.
    elsewhere: Option<Text>,
}

impl Election {
    /// Nobody is here yet. `waited` says that there is no waiting period at all.
    pub fn new(ha: bool, by_subscriber_id: bool, waited: bool) -> Self {
        Self {
            ha,
            by_subscriber_id,
            waited,
            seats: Seats::Nobody,
            version: 0,
            elsewhere: None,
        }
    }

    /// Counts designations; 0 before the first.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The active catalogd.
    pub fn active(&self) -> Option<&Candidate> {
        match &self.seats {
            Seats::Led { active, .. } => Some(active),
            _ => None,
        }
    }

    /// The one that would take over.
    pub fn standby(&self) -> Option<&Candidate> {
        match &self.seats {
            Seats::Led { standby, .. } => standby.as_ref(),
            _ => None,
        }
    }

    /// Everybody who has a seat.
    pub fn seated(&self) -> impl Iterator<Item = &Candidate> {
        let (one, other) = match &self.seats {
            Seats::Nobody => (None, None),
            Seats::First(first) => (Some(first), None),
            Seats::Led { active, standby } => (Some(active), standby.as_ref()),
        };
        one.into_iter().chain(other)
    }

    /// False only for a catalogd that has to stand by: it gets no updates (S-10) and does not
    /// count for the lowest version (T-10).
    pub fn is_followed(&self, subscriber: &Text) -> bool {
        !self.ha || self.active().is_some_and(|c| c.subscriber == *subscriber)
    }

    /// Whether there is a seat for this catalogd (C-25, W27). Changes nothing.
    pub fn admit(&self, subscriber: &Text) -> Result<(), Refusal> {
        match &self.seats {
            Seats::Led { active, .. } if !self.ha && active.subscriber != *subscriber => {
                Err(Refusal::SecondCatalogd {
                    subscriber: subscriber.clone(),
                    registered: active.subscriber.clone(),
                })
            }
            Seats::Led {
                active,
                standby: Some(standby),
            } if active.subscriber != *subscriber && standby.subscriber != *subscriber => {
                Err(Refusal::ThirdCatalogd {
                    subscriber: subscriber.clone(),
                    active: active.subscriber.clone(),
                    standby: standby.subscriber.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// A catalogd registered, for the first time or again. `moved`: its address is another one
    /// than before (W28). It must have been admitted.
    pub fn arrives(&mut self, candidate: Candidate, force: bool, moved: bool) -> Verdict {
        let verdict = self.seat(candidate, force, moved);
        self.yield_to_elsewhere();
        verdict
    }

    fn seat(&mut self, candidate: Candidate, force: bool, moved: bool) -> Verdict {
        let again = self.seated().any(|c| c.subscriber == candidate.subscriber);
        if !self.ha {
            return self.lead(candidate, None); // C-1
        }
        match core::mem::replace(&mut self.seats, Seats::Nobody) {
            Seats::Nobody if force || self.waited => self.lead(candidate, None), // C-2, C-3
            Seats::First(_) if again && self.waited => self.lead(candidate, None), // C-10
            Seats::Nobody => self.sit(Seats::First(candidate)),                  // C-4
            Seats::First(_) if again => self.sit(Seats::First(candidate)),       // C-11
            Seats::First(first) if force || self.precedes(&candidate, &first) => {
                self.lead(candidate, Some(first)) // C-6, C-8
            }
            Seats::First(first) => self.lead(first, Some(candidate)), // C-8
            Seats::Led { active, .. } if force && active.subscriber != candidate.subscriber => {
                self.lead(candidate, Some(active)) // C-6, C-9, C-12
            }
            Seats::Led { active, standby } if active.subscriber == candidate.subscriber => {
                if moved {
                    self.lead(candidate, standby) // W28
                } else {
                    self.sit(Seats::Led {
                        active: candidate,
                        standby,
                    }) // C-11
                }
            }
            Seats::Led { active, .. } => self.sit(Seats::Led {
                active,
                standby: Some(candidate),
            }), // C-7, C-11, C-24
        }
    }

    /// Another statestored designated this catalogd, as its `version`-th choice: it leads here
    /// too, as soon as it is here (W11). Numbers go on from the higher of both.
    pub fn follow(&mut self, active: Text, version: i64) {
        self.version = self.version.max(version);
        self.elsewhere = Some(active);
        self.yield_to_elsewhere();
    }

    fn yield_to_elsewhere(&mut self) {
        let Some(wanted) = &self.elsewhere else {
            return;
        };
        let is = |candidate: &Candidate| candidate.subscriber == *wanted;
        self.seats = match core::mem::replace(&mut self.seats, Seats::Nobody) {
            Seats::First(first) if is(&first) => Seats::Led {
                active: first,
                standby: None,
            },
            Seats::Led {
                active,
                standby: Some(standby),
            } if is(&standby) => Seats::Led {
                active: standby,
                standby: Some(active),
            },
            seats => seats,
        };
        self.waited |= matches!(self.seats, Seats::Led { .. });
    }

    /// From now on this statestored decides itself.
    pub fn decide_here(&mut self) {
        self.elsewhere = None;
    }

    /// A catalogd failed.
    pub fn leaves(&mut self, subscriber: &Text) -> Verdict {
        match core::mem::replace(&mut self.seats, Seats::Nobody) {
            Seats::First(first) if first.subscriber == *subscriber => Verdict::Unchanged, // C-23
            Seats::Led { active, standby } if active.subscriber == *subscriber => match standby {
                Some(standby) => self.lead(standby, None), // C-20
                None => {
                    self.waited = true; // C-21
                    Verdict::Vacant
                }
            },
            Seats::Led { active, standby } => {
                let standby = standby.filter(|c| c.subscriber != *subscriber); // C-22
                self.sit(Seats::Led { active, standby })
            }
            seats => self.sit(seats),
        }
    }

    /// The waiting period since the first registration of all has passed (C-5).
    pub fn wait_is_over(&mut self) -> Verdict {
        self.waited = true;
        match core::mem::replace(&mut self.seats, Seats::Nobody) {
            Seats::First(first) => self.lead(first, None),
            seats => self.sit(seats),
        }
    }

    /// C-8: the lower one leads.
    fn precedes(&self, a: &Candidate, b: &Candidate) -> bool {
        if self.by_subscriber_id {
            a.subscriber < b.subscriber
        } else {
            a.registration_id < b.registration_id
        }
    }

    fn lead(&mut self, active: Candidate, standby: Option<Candidate>) -> Verdict {
        self.seats = Seats::Led { active, standby };
        self.waited = true;
        self.version += 1;
        Verdict::Announce
    }

    fn sit(&mut self, seats: Seats) -> Verdict {
        self.seats = seats;
        Verdict::Unchanged
    }
}

#[cfg(test)]
mod tests;
