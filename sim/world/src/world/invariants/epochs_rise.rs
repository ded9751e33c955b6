//! S2: no subscriber of ours accepts an active's message of a lower epoch than one that it
//! accepted before, in one life (ha.md rule 17).

use super::super::World;
use crate::message::Reply;
use crate::plan::{FIRST, Proc};
use statestore_wire::Epoch;

impl World<'_> {
    /// A subscriber answers an active's message; `before` is what it had accepted when it came.
    /// An update is judged on arrival and answered once its application has seen it.
    pub(crate) fn check_accepted(
        &mut self,
        proc: Proc,
        (before, epoch): (Option<Epoch>, Epoch),
        reply: &Reply,
    ) {
        if !reply.accepts() {
            return self.coverage.count("active's message not accepted");
        }
        let accepted = &mut self.members[proc - FIRST].accepted;
        *accepted = (*accepted).max(Some(epoch));
        if before > Some(epoch) {
            let says = format!("accepted {epoch} after {before:?}: {reply:?}");
            self.breaks_rule("epochs rise", says);
        }
    }
}
