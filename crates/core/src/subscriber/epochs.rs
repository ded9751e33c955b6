//! Which activation of a statestored counts (ha.md rules 16 and 17, W2).
//!
//! A statestored of ours names its activation, the *epoch*, in whatever only an active one sends.
//! Whoever names a lower one than was accepted before is an active that was replaced and does not
//! know it: refused, with the number that tells it. Whoever names a higher one than roles were
//! settled by is the active one from now on, whichever of its messages comes first.
//!
//! Messages without an epoch, of a standby or of a reference statestored, pass as they ever did.
//!
//! Deliberately absent: whether a message is for this registration; its own rule has looked.
//!
//! Invariant: of two accepted messages that name epochs, the later names none that is lower.

use super::port::{Effect, Outbox};
use super::{Event, Subscriber};
use crate::pair::epoch::{counter, is_believable};
use crate::time::{Time, Wall};
use alloc::format;
use statestore_wire::{Epoch, Status, StatusCode};

/// What is known of activations.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    /// The highest that was accepted.
    pub(super) highest: Option<Epoch>,
    /// The highest that roles were settled by.
    settled: Option<Epoch>,
}

impl Epochs {
    /// An epoch that may be accepted; otherwise why not.
    fn judge(&self, method: &str, epoch: Epoch, wall: Wall) -> Result<(), Status> {
        let why = if !is_believable(epoch, wall) {
            "is no activation"
        } else if self.highest.is_some_and(|highest| epoch < highest) {
            "is over"
        } else {
            return Ok(());
        };
        let text = match self.highest {
            Some(highest) => {
                format!("{method} refused: epoch {epoch} {why}, the highest seen is {highest}")
            }
            None => format!("{method} refused: epoch {epoch} {why}, none was seen yet"),
        };
        Err(Status::error(StatusCode::GENERAL, text))
    }

    fn accept(&mut self, epoch: Epoch) {
        self.highest = self.highest.max(Some(epoch));
    }

    /// True if roles were settled by a lower one, or by none. They are settled by this one now.
    fn settle(&mut self, epoch: Epoch) -> bool {
        let newer = self.is_news(epoch);
        self.settled = self.settled.max(Some(epoch));
        newer
    }

    pub(super) fn is_news(&self, epoch: Epoch) -> bool {
        Some(epoch) > self.settled
    }
}

impl Subscriber {
    /// Refuses what statestored `i` says under an epoch that is over, or that nobody can have.
    /// `None` for `i` if it is not known which one it is.
    pub(super) fn check_epoch(
        &mut self,
        wall: Wall,
        i: Option<usize>,
        (method, epoch): (&'static str, Option<Epoch>),
        out: &mut Outbox,
    ) -> Result<(), Status> {
        let Some(epoch) = epoch else { return Ok(()) };
        let Err(status) = self.epochs.judge(method, epoch, wall) else {
            return Ok(());
        };
        let Some(statestore) = i.and_then(|i| self.statestores.get_mut(i)) else {
            return Err(status);
        };
        statestore.refusals += 1;
        // An active that was replaced says so many times a second; the first time is the news.
        if !core::mem::replace(&mut statestore.is_refused, true) {
            out.push(Effect::Log(Event::EpochRefused {
                statestore: statestore.address.clone(),
                status: status.clone(),
            }));
        }
        Err(status)
    }

    /// Remembers the epoch of an accepted message.
    pub(super) fn accept_epoch(&mut self, i: usize, epoch: Epoch) {
        self.epochs.accept(epoch);
        self.statestores[i].epoch = Some(epoch);
        self.statestores[i].is_refused = false;
    }

    /// The same where it is not known yet whose message it is.
    pub(super) fn accept_foreign_epoch(&mut self, epoch: Option<Epoch>) {
        epoch.into_iter().for_each(|it| self.epochs.accept(it));
    }

    /// Statestored `i` has acted under this epoch: if that is news, it is the active one, as if
    /// it had sent the role message that may be lost.
    pub(super) fn follow_epoch(&mut self, now: Time, i: usize, epoch: Epoch, out: &mut Outbox) {
        if self.epochs.is_news(epoch) {
            self.claim(now, i, counter(epoch), Some(epoch), out);
        }
    }

    /// Roles are settled by this epoch. True if that is news: what the statestored was told
    /// before, it may have forgotten with the role that it lost in between (W10).
    pub(super) fn settle_epoch(&mut self, epoch: Option<Epoch>) -> bool {
        let news = epoch.is_some_and(|epoch| self.epochs.settle(epoch));
        if news {
            self.publisher.doubt();
        }
        news
    }

    /// The known active lost its role and won it again.
    pub(super) fn activated_anew(
        &mut self,
        i: usize,
        version: i64,
        epoch: Epoch,
        out: &mut Outbox,
    ) {
        let statestore = &mut self.statestores[i];
        statestore.active_version = version;
        out.push(Effect::Log(Event::ActivatedAnew {
            statestore: statestore.address.clone(),
            epoch,
        }));
        let id = statestore.statestore_id;
        self.rebase(id);
    }
}
