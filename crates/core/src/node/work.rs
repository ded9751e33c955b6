//! How much a step may still do, so that whatever fell due at once, a step stays short and other
//! inputs get their turn. What is left is due and is done by the next step that may: work that is
//! longer than one is the timer's, because dozens of outcomes may arrive at once.
//!
//! Counted in looks at a row of a topic, some nanoseconds each. Deliberately absent: clocks; the
//! same inputs must give the same steps.

use crate::config::Config;
use crate::schedule::Upto;
use crate::topic::Looks;

/// What a step may still do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    looks: Looks,
    /// What of what is due it may do.
    upto: Upto,
}

impl Work {
    /// An item written, expired or collected.
    pub(super) const ITEM: usize = 16;
    /// A topic looked at, to see what somebody lacks of it.
    pub(super) const TOPIC: usize = 16;
    /// Somebody's message is made due sooner.
    pub(super) const WISH: usize = 64;
    /// A task of the schedule: mostly a call that goes out.
    pub(super) const TASK: usize = 128;

    /// What a step may do: as long as a piece of a large publication takes.
    pub(super) fn of_a_step(config: &Config, upto: Upto) -> Self {
        let left = config.items_per_step.max(1).saturating_mul(Self::ITEM);
        let few = left / 4;
        Self {
            looks: Looks { left, few },
            upto,
        }
    }

    pub(super) fn upto(self) -> Upto {
        self.upto
    }

    /// It may go on with what takes longer than one step.
    pub(super) fn may_be_long(self) -> bool {
        self.upto == Upto::Long
    }

    pub(super) fn looks(&mut self) -> &mut Looks {
        &mut self.looks
    }

    pub(super) fn spend(&mut self, looks: usize) {
        self.looks.left = self.looks.left.saturating_sub(looks);
    }

    /// So many items may still be written, expired or collected: at least one.
    pub(super) fn items(self) -> usize {
        (self.looks.left / Self::ITEM).max(1)
    }

    pub(super) fn spend_items(&mut self, items: usize) {
        self.spend(items.saturating_mul(Self::ITEM));
    }

    /// Nothing more in this step.
    pub(super) fn is_done(self) -> bool {
        self.looks.left == 0
    }
}
