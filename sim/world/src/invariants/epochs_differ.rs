//! No two activations have the same epoch (ha.md rule 16, S2).

use crate::plan::Proc;
use crate::world::World;
use statestore_core::pair::News;

impl World<'_> {
    /// A pair said something.
    pub(crate) fn check_news(&mut self, proc: Proc, news: &News) {
        let News::Active { epoch, .. } = news else {
            return;
        };
        let life = self.processes[proc].life;
        if let Some(before) = self.watch.activations.insert(*epoch, life) {
            let says = format!("{epoch} is of {before:?} and of {life:?}");
            self.breaks_rule("epochs differ", says);
        }
    }
}
