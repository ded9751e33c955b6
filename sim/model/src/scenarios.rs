//! What is explored: the sound scenarios, each to its end.

use crate::scenario::{Faults, Goal, Late, Scenario};

/// All.
pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            goals: &[Goal::Takeover],
            ..Scenario::plain("2 voters, one takeover", 2)
        },
        Scenario {
            activations: 3,
            counter: 3,
            goals: &[Goal::Takeover, Goal::Reversal, Goal::Third],
            ..Scenario::plain("1 voter, three activations", 1)
        },
        Scenario {
            activations: 3,
            counter: 3,
            goals: &[Goal::Takeover, Goal::Reversal, Goal::Third],
            ..Scenario::plain("2 voters, three activations", 2)
        },
        Scenario {
            goals: &[Goal::Takeover],
            ..Scenario::plain("3 voters, one takeover", 3)
        },
        Scenario {
            agreed: 0,
            goals: &[Goal::Start],
            ..Scenario::plain("1 voter, start", 1)
        },
        Scenario {
            mail: 1,
            late: Late { heartbeats: true, beats: true, hellos: true, updates: false, replies: true },
            goals: &[Goal::Takeover],
            ..Scenario::plain("2 voters, one takeover, one late message", 2)
        },
        Scenario {
            faults: Faults { restarts: [1, 1], voter_restarts: 1, ..Faults::default() },
            goals: &[Goal::Takeover],
            ..Scenario::plain("1 voter, restarts", 1)
        },
    ]
}
