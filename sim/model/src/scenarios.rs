//! What is explored: the sound scenarios, each to its end, the quick ones first.
//!
//! Two sizes of time: T = 3 ticks where the numbers of states allow it, T = 2 otherwise; one with
//! T = 7, where a vote may be a tick old. What is bounded is part of what is printed.
//!
//! Deliberately absent: what must fail (`ablations`), random walks (`heal`, `lockstep`).

use crate::scenario::{Faults, Goal, Late, Scenario};

const BEATS: Late = Late {
    beats: true,
    ..Late::HEARTBEATS
};
const HELLOS: Late = Late {
    hellos: true,
    ..BEATS
};
/// All. `quick` leaves out what takes longer than some seconds.
pub fn all(quick: bool) -> Vec<Scenario> {
    let mut all = small();
    if !quick {
        all.extend(many());
        all.extend(delayed());
        all.extend(crashing());
        all.extend(changing());
        all.extend(references());
    }
    all
}

fn brief(name: &'static str, voters: usize) -> Scenario {
    Scenario {
        timeout: 2,
        clock: 3,
        ..Scenario::plain(name, voters)
    }
}

fn small() -> Vec<Scenario> {
    vec![
        Scenario {
            activations: 3,
            counter: 3,
            quiet: false,
            goals: &[Goal::Takeover, Goal::Reversal, Goal::Third],
            ..Scenario::plain("1 voter, three activations", 1)
        },
        Scenario {
            timeout: 7,
            clock: 8,
            steps: &[1, 3],
            goals: &[Goal::Takeover, Goal::Reversal],
            ..Scenario::plain("1 voter, one takeover, T = 7", 1)
        },
        Scenario {
            goals: &[Goal::Takeover, Goal::Reversal],
            ..brief("2 voters, one takeover, T = 2", 2)
        },
        Scenario {
            until_one: true,
            goals: &[Goal::Takeover],
            ..brief("3 voters, one takeover, T = 2", 3)
        },
    ]
}

/// One takeover by more voters, or more takeovers.
fn many() -> Vec<Scenario> {
    vec![
        Scenario {
            goals: &[Goal::Takeover, Goal::Reversal],
            ..Scenario::plain("2 voters, one takeover", 2)
        },
        Scenario {
            activations: 3,
            counter: 3,
            goals: &[Goal::Takeover, Goal::Reversal, Goal::Third],
            ..brief("2 voters, three activations", 2)
        },
        Scenario {
            until_one: true,
            goals: &[Goal::Takeover],
            ..Scenario::plain("3 voters, one takeover", 3)
        },
        Scenario {
            until_one: true,
            goals: &[Goal::Takeover],
            ..brief("4 voters, one takeover", 4)
        },
    ]
}

/// Messages arrive late and in another order.
fn delayed() -> Vec<Scenario> {
    vec![
        Scenario {
            mail: 1,
            late: BEATS,
            goals: &[Goal::Takeover, Goal::Reversal],
            ..Scenario::plain("1 voter, one late", 1)
        },
        Scenario {
            until_one: true,
            mail: 2,
            late: BEATS,
            goals: &[Goal::Takeover],
            ..brief("1 voter, two late", 1)
        },
        Scenario {
            until_one: true,
            mail: 1,
            late: HELLOS,
            hellos: true,
            counter: 3,
            goals: &[Goal::Takeover],
            ..brief("1 voter, handshakes, one late", 1)
        },
        Scenario {
            mail: 1,
            late: Late {
                beats: true,
                ..Late::NONE
            },
            hellos: true,
            counter: 3,
            goals: &[Goal::Takeover, Goal::Reversal, Goal::Claimed],
            ..brief("1 voter, handshakes, one HA heartbeat late", 1)
        },
        Scenario {
            agreed: 0,
            registered: 1,
            mail: 1,
            late: Late {
                beats: true,
                ..Late::NONE
            },
            hellos: true,
            activations: 1,
            goals: &[Goal::Start, Goal::Claimed],
            ..brief("1 voter, start, one HA heartbeat late", 1)
        },
        Scenario {
            until_one: true,
            mail: 1,
            late: BEATS,
            goals: &[Goal::Takeover],
            ..brief("2 voters, one late", 2)
        },
    ]
}

/// Servers start, meet, crash and stop; voters crash.
fn crashing() -> Vec<Scenario> {
    vec![
        Scenario {
            hellos: true,
            activations: 3,
            counter: 5,
            goals: &[Goal::Takeover, Goal::Reversal, Goal::Third, Goal::Claimed],
            ..brief("1 voter, handshakes", 1)
        },
        Scenario {
            hellos: true,
            agreed: 0,
            activations: 1,
            counter: 3,
            goals: &[Goal::Start, Goal::Claimed],
            ..brief("1 voter, start and registration", 1)
        },
        Scenario {
            hellos: true,
            agreed: 0,
            registered: 1,
            counter: 3,
            goals: &[Goal::Start, Goal::Takeover, Goal::Claimed],
            ..brief("1 voter, start and takeover", 1)
        },
        Scenario {
            until_one: true,
            faults: Faults {
                restarts: [0, 1],
                voter_restarts: 1,
                ..Faults::NONE
            },
            rejoins: true,
            calendar: true,
            counter: 3,
            goals: &[Goal::Takeover],
            ..brief("2 voters, a server and a voter restart", 2)
        },
        Scenario {
            faults: Faults {
                voter_restarts: 1,
                ..Faults::NONE
            },
            goals: &[Goal::Takeover, Goal::Reversal],
            ..brief("1 voter, restarts and registers at any time", 1)
        },
        Scenario {
            until_one: true,
            faults: Faults {
                restarts: [1, 1],
                ..Faults::NONE
            },
            rejoins: true,
            calendar: true,
            counter: 3,
            goals: &[Goal::Takeover],
            ..brief("1 voter, both servers restart", 1)
        },
        Scenario {
            until_one: true,
            for_good: true,
            faults: Faults {
                goodbyes: 1,
                ..Faults::NONE
            },
            calendar: true,
            goals: &[Goal::Takeover],
            ..brief("1 voter, a server says goodbye for good", 1)
        },
    ]
}

/// The electorate changes.
fn changing() -> Vec<Scenario> {
    vec![
        Scenario {
            until_one: true,
            faults: Faults {
                removals: 1,
                ..Faults::NONE
            },
            goals: &[Goal::Takeover, Goal::Change],
            ..brief("2 voters, one is dropped", 2)
        },
        Scenario {
            agreed: 1,
            until_one: true,
            goals: &[Goal::Takeover, Goal::Change],
            ..brief("2 voters, one joins", 2)
        },
        Scenario {
            faults: Faults {
                leaves: 1,
                ..Faults::NONE
            },
            until_one: true,
            goals: &[Goal::Takeover, Goal::Change],
            ..brief("2 voters, one leaves", 2)
        },
        Scenario {
            faults: Faults {
                leaves: 1,
                returns: 1,
                ..Faults::NONE
            },
            goals: &[Goal::Takeover, Goal::Change],
            ..brief("1 voter, leaves and returns", 1)
        },
    ]
}

/// Subscribers of the reference.
fn references() -> Vec<Scenario> {
    let deaf = Faults {
        deaf: 1,
        ..Faults::NONE
    };
    vec![
        Scenario {
            ours: false,
            faults: deaf,
            goals: &[Goal::Takeover],
            ..Scenario::plain("1 reference voter, deaf once", 1)
        },
        Scenario {
            ours: false,
            timeout: 2,
            clock: 3,
            faults: deaf,
            mail: 1,
            late: Late {
                updates: true,
                heartbeats: false,
                ..Late::HEARTBEATS
            },
            goals: &[Goal::Takeover],
            ..Scenario::plain("1 reference voter, deaf once, one update late", 1)
        },
        Scenario {
            ours: false,
            faults: Faults {
                voter_restarts: 1,
                ..Faults::NONE
            },
            goals: &[Goal::Takeover],
            until_one: true,
            ..brief("1 reference voter, restarts", 1)
        },
    ]
}
