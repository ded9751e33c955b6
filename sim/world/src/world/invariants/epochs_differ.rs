//! No two activations have the same epoch (ha.md rule 16, S2).
//!
//! Excused is one case, which S2 leaves to the clock: a later process of the same statestored,
//! elected by a peer that never heard of the former epoch (no voter is asked before a grant), on a
//! machine whose calendar is behind that epoch because somebody set it, or that of whoever chose
//! the epoch before. The former process is gone, its messages name another statestored id, and that
//! each subscriber only goes up and that no mirror mixes the two is looked at all the same.

use super::super::World;
use crate::plan::Proc;
use statestore_core::pair::News;
use statestore_wire::Epoch;

impl World<'_> {
    /// A pair said something.
    pub(crate) fn check_news(&mut self, proc: Proc, news: &News) {
        let News::Active { epoch, .. } = news else {
            return;
        };
        let life = self.processes[proc].life;
        let Some(before) = self.watch.activations.insert(*epoch, life) else {
            return;
        };
        let same_statestored = before.proc == proc && before.number < life.number;
        if same_statestored && self.calendar_is_behind(proc, *epoch) {
            return self.coverage.count("epoch again: calendar set back");
        }
        let says = format!("{epoch} is of {before:?} and of {life:?}");
        self.breaks_rule("epochs differ", says);
    }

    /// The clock of rule 16 would not have chosen this epoch.
    fn calendar_is_behind(&self, proc: Proc, epoch: Epoch) -> bool {
        let counter = epoch.0 >> 1;
        self.clock(proc).wall.0 + 1 < counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::{Mode, Trace};
    use statestore_core::pair::Why;

    /// The second activation is of `proc` in its life `life`, under an epoch that the calendar is
    /// `ahead` of by so many microseconds.
    fn breach(proc: Proc, life: u32, ahead: i64) -> bool {
        let mut world = World::new(Plan::draw(1, Mode::Ours), Trace::Nothing);
        let epoch = Epoch((world.clock(proc).wall.0 - ahead) << 1);
        let news = News::Active {
            epoch,
            why: Why::Alone,
        };
        world.processes[0].life.number = 1;
        world.check_news(0, &news);
        world.processes[proc].life.number = life;
        world.check_news(proc, &news);
        world.breach.is_some()
    }

    #[test]
    fn one_epoch_is_seen_twice_and_excused_only_if_the_clock_could_not_help() {
        assert!(breach(1, 1, -1_000_000), "two statestoreds");
        assert!(breach(0, 1, -1_000_000), "one life");
        assert!(breach(0, 2, 1_000_000), "the calendar is ahead");
        assert!(!breach(0, 2, -1_000_000), "the calendar is behind");
    }
}
