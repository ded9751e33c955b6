//! Runs.
use std::time::Duration;
use statestore_model::{report, scenarios};
fn main() {
    let want = std::env::args().nth(1).unwrap_or_default();
    for rules in scenarios::all() {
        if !rules.name.contains(&want) { continue; }
        let limit = Duration::from_secs(std::env::args().nth(2).map_or(60, |s| s.parse().unwrap()));
        let out = report::run(&rules, 2, limit);
        println!("{}: {} states, {:.1}s, exhausted {}, missed {:?}", rules.name, out.states, out.took.as_secs_f64(), out.exhausted, out.missed);
        for (name, trace) in out.violated { println!("VIOLATED {name}"); for l in trace { println!("  {l}"); } }
        for (name, trace) in out.reached { println!("reached {name} in {}", trace.len()); if std::env::var("TRACE").is_ok() { for l in trace { println!("  {l}"); } } }
    }
}
