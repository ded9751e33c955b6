//! Runs a search and says what came of it, with a trace where something was found.
//!
//! A search that ran out of time is never told as exhausted. Deliberately absent: what holds
//! (`search`), and how the result is printed (`main`).

use crate::action::{Action, describe, server_name, voter_name};
use crate::scenario::Scenario;
use crate::search::Search;
use crate::world::World;
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// What a search found.
#[derive(Debug)]
pub struct Outcome {
    /// Different states.
    pub states: usize,
    /// How long it took.
    pub took: Duration,
    /// Every state within the bounds was visited.
    pub exhausted: bool,
    /// What does not hold, with a trace.
    pub violated: BTreeMap<&'static str, Vec<String>>,
    /// What was reached, with a trace.
    pub reached: BTreeMap<&'static str, Vec<String>>,
    /// What was to be reached, and was not.
    pub missed: Vec<&'static str>,
}

/// Walks a scenario. With one thread the first violation has a shortest trace.
pub fn run(rules: &Scenario, threads: usize, limit: Duration) -> Outcome {
    let begun = Instant::now();
    let search = Search::new(rules.clone()).checker();
    let search = search.threads(threads).timeout(limit);
    let checker = search
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let took = begun.elapsed();
    let mut outcome = Outcome {
        states: checker.unique_state_count(),
        took,
        exhausted: false,
        violated: BTreeMap::new(),
        reached: BTreeMap::new(),
        missed: Vec::new(),
    };
    let found = checker.discoveries();
    for property in checker.model().properties() {
        let failure = property.expectation != Expectation::Sometimes;
        match found.get(property.name) {
            Some(path) => {
                let trace = narrate(rules, path.clone().into_vec());
                let place = match failure {
                    true => &mut outcome.violated,
                    false => &mut outcome.reached,
                };
                place.insert(property.name, trace);
            }
            None if !failure => outcome.missed.push(property.name),
            None => {}
        }
    }
    outcome.exhausted = took < limit && outcome.violated.is_empty();
    outcome
}

/// A path, one line an action.
pub fn narrate(rules: &Scenario, path: Vec<(World, Option<Action>)>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut time = 0;
    for pair in path.windows(2) {
        let [(before, Some(action)), (after, _)] = pair else {
            continue;
        };
        if let Action::Time(count) = action {
            time += count;
            let changes = changes(rules, before, after);
            if !changes.is_empty() {
                lines.push(format!("t{time}: {changes}"));
            }
            continue;
        }
        let mut line = format!("t{time}: {action}");
        if let Action::Deliver(at, _) | Action::Drop(at) = action {
            let _ = write!(line, " ({})", describe(&before.mail[*at]));
        }
        if let Action::Heartbeat(from, voter, _) = action {
            let lost = before.voters[*voter].has_lost(rules, 1 - from);
            if before.servers[*from].pair.asks() && lost {
                let other = server_name(1 - from);
                let _ = write!(line, "; {} has lost {other}", voter_name(*voter));
            }
        }
        let _ = write!(line, "{}", changes(rules, before, after));
        lines.push(line);
    }
    lines
}

/// Who acts since, and who no more.
pub fn changes(rules: &Scenario, before: &World, after: &World) -> String {
    let mut text = String::new();
    for server in 0..2 {
        let name = server_name(server);
        match (before.acting(rules, server), after.acting(rules, server)) {
            (None, Some(epoch)) => {
                let _ = write!(text, "; {name} ACTS, epoch {epoch}");
            }
            (Some(_), None) => {
                let _ = write!(text, "; {name} acts no more");
            }
            (Some(old), Some(new)) if old != new => {
                let _ = write!(text, "; {name} acts anew, epoch {new}");
            }
            _ => {}
        }
        let role = |world: &World| world.servers[server].pair.role();
        if role(before) != role(after) && !role(after).acts() {
            let _ = write!(text, "; {name} is {}", role(after));
        }
    }
    text
}
