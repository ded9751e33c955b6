//! What a statestored remembers is bounded by who is there: calls that are pending in its core
//! are exactly those that its driver has under way, and it keeps no voter that is nobody.

use super::super::World;
use crate::plan::SERVERS;

/// Calls that may be pending for one subscriber: what `node::register` calls full, in three
/// lanes, and its notices.
const MOST_CALLS: usize = 3 * 18 + 4;

impl World<'_> {
    /// At the end of a world.
    pub(crate) fn check_memory(&mut self) {
        for proc in SERVERS {
            let Some(node) = &self.servers[proc].node else {
                continue;
            };
            let pending = node.totals().calls_pending;
            let all = self.flights.values();
            let under_way = all.filter(|flight| flight.caller.proc == proc).count();
            let most = MOST_CALLS * self.members.len() + 3;
            let voters = node
                .pair(self.clock(proc))
                .map_or(0, |view| view.voters.len());
            if pending != under_way || pending > most || voters > self.members.len() {
                let says = format!(
                    "{pending} calls pending, {under_way} under way, at most {most}; {voters} \
                     voters of {} subscribers",
                    self.members.len()
                );
                self.breaks_rule("bounded", says);
            }
        }
    }
}
