//! S1: at no real instant may two statestoreds act (ha.md section 4).
//!
//! Whoever may act is who its fence lets, on its own clock; a paused one too, for what waits in it
//! may be sent the moment it goes on. The fence only ever begins to let in a step, so it is
//! enough to look after each step.
//!
//! Excused is what ha.md section 4 calls impossible, and nothing else: one of the two acts
//! *alone* (without a lease, because it never had a peer and nobody it asked has heard another),
//! or was elected by an electorate that was its own word (nothing was agreed with a peer in this
//! life). Both know only what their own subscribers know. The world may then have two by name;
//! that each subscriber follows one all the same is `epochs_rise` and `one_source`.
//!
//! With subscribers of the reference the guarantee needs what this world takes away on purpose
//! (answers OK to ignored heartbeats), so there it is only counted.

use super::super::World;
use crate::Mode;
use crate::plan::{Proc, SERVERS};
use statestore_core::pair::{PairView, Tenure};
use statestore_wire::Text;

impl World<'_> {
    /// After each step of a statestored.
    pub(crate) fn check_server(&mut self, proc: Proc) {
        if !(self.may_act(proc) && self.may_act(1 - proc)) {
            self.watch.excused = false;
            return;
        }
        let views = SERVERS.map(|proc| {
            let node = self.servers[proc].node.as_ref();
            node.and_then(|node| node.pair(self.clock(proc)))
        });
        let references = self.plan.mode == Mode::Reference;
        let excuse = views.iter().flatten().find_map(excuse);
        let excuse = excuse.or(references.then_some("two acted: among references"));
        if let Some(excuse) = excuse {
            if !std::mem::replace(&mut self.watch.excused, true) {
                self.coverage.count(excuse);
            }
            return;
        }
        let [a, b] = views;
        self.breaks_rule("one acts", format!("A: {a:#?}\nB: {b:#?}"));
    }
}

fn excuse(view: &PairView<Text>) -> Option<&'static str> {
    match view.tenure {
        Some(Tenure::Alone { forced: true, .. }) => Some("two acted: one was forced"),
        Some(Tenure::Alone { .. }) => Some("two acted: one was alone"),
        _ => view
            .unilateral
            .then_some("two acted: one had agreed with nobody"),
    }
}
