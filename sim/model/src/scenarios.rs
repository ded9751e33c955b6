//! What is explored: the sound scenarios, each to its end, the quick ones first.

use crate::scenario::{Faults, Goal, Late, Scenario};

const HEARTBEATS: Late = Late {
    heartbeats: true,
    beats: false,
    hellos: false,
    updates: false,
    replies: true,
};

/// All. `quick` leaves out what takes longer than some seconds.
pub fn all(quick: bool) -> Vec<Scenario> {
    let mut all = small();
    if !quick {
        all.extend(large());
    }
    all
}

/// What is walked in lockstep: everything that levelling looks at.
pub fn walked() -> Vec<Scenario> {
    let every = Late {
        heartbeats: true,
        beats: true,
        hellos: true,
        updates: true,
        replies: true,
    };
    let bounded = Scenario {
        mail: 1,
        late: every,
        activations: usize::MAX,
        counter: i64::MAX,
        quiet: false,
        ..Scenario::plain("bounded clocks", 2)
    };
    let meeting = Scenario {
        hellos: true,
        calendar: true,
        faults: Faults {
            restarts: [1, 1],
            voter_restarts: 1,
            removals: 1,
            goodbyes: 1,
            ..Faults::default()
        },
        name: "bounded clocks, handshakes",
        ..bounded.clone()
    };
    let troubled = |ours, agreed| Scenario {
        mail: 1,
        ..crate::heal::troubled(ours, agreed)
    };
    vec![
        bounded,
        Scenario {
            agreed: 0,
            name: "bounded clocks, start",
            ..meeting.clone()
        },
        meeting,
        troubled(true, 0),
        troubled(true, 3),
        troubled(false, 0),
        troubled(false, 3),
    ]
}

fn small() -> Vec<Scenario> {
    vec![
        Scenario {
            hellos: true,
            agreed: 0,
            registered: 1,
            goals: &[Goal::Start, Goal::Takeover],
            ..Scenario::plain("1 voter, start", 1)
        },
        Scenario {
            activations: 3,
            counter: 3,
            quiet: false,
            goals: &[Goal::Takeover, Goal::Reversal, Goal::Third],
            ..Scenario::plain("1 voter, three activations", 1)
        },
        Scenario {
            goals: &[Goal::Takeover, Goal::Reversal],
            ..Scenario::plain("2 voters, one takeover", 2)
        },
        Scenario {
            timeout: 7,
            clock: 8,
            steps: &[1, 3],
            goals: &[Goal::Takeover, Goal::Reversal],
            ..Scenario::plain("1 voter, one takeover, T = 7", 1)
        },
        Scenario {
            hellos: true,
            activations: 3,
            counter: 3,
            goals: &[Goal::Takeover, Goal::Reversal, Goal::Third],
            ..Scenario::plain("1 voter, handshakes", 1)
        },
        Scenario {
            mail: 1,
            late: Late {
                beats: true,
                ..HEARTBEATS
            },
            goals: &[Goal::Takeover, Goal::Reversal],
            ..Scenario::plain("1 voter, one takeover, one late", 1)
        },
    ]
}

fn large() -> Vec<Scenario> {
    vec![
        Scenario {
            hellos: true,
            agreed: 0,
            activations: 1,
            goals: &[Goal::Start],
            ..Scenario::plain("1 voter, start and registration", 1)
        },
        Scenario {
            until_one: true,
            goals: &[Goal::Takeover],
            ..Scenario::plain("3 voters, one takeover, until one", 3)
        },
        Scenario {
            timeout: 2,
            clock: 3,
            until_one: true,
            goals: &[Goal::Takeover],
            ..Scenario::plain("4 voters, one takeover", 4)
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
            mail: 1,
            late: Late {
                beats: true,
                ..HEARTBEATS
            },
            goals: &[Goal::Takeover],
            ..Scenario::plain("2 voters, one takeover, one late", 2)
        },
        Scenario {
            mail: 1,
            late: Late {
                hellos: true,
                beats: true,
                ..HEARTBEATS
            },
            hellos: true,
            goals: &[Goal::Takeover],
            ..Scenario::plain("1 voter, handshakes, one late", 1)
        },
        Scenario {
            faults: Faults {
                restarts: [0, 1],
                voter_restarts: 1,
                ..Faults::default()
            },
            calendar: true,
            counter: 3,
            goals: &[Goal::Takeover],
            ..Scenario::plain("2 voters, a server and a voter restart", 2)
        },
        Scenario {
            hellos: true,
            faults: Faults {
                restarts: [1, 1],
                ..Faults::default()
            },
            calendar: true,
            activations: 3,
            counter: 3,
            goals: &[Goal::Takeover],
            ..Scenario::plain("1 voter, handshakes, both servers restart", 1)
        },
        Scenario {
            faults: Faults {
                removals: 1,
                ..Faults::default()
            },
            goals: &[Goal::Takeover, Goal::Change],
            ..Scenario::plain("2 voters, one is dropped", 2)
        },
        Scenario {
            agreed: 1,
            goals: &[Goal::Takeover, Goal::Change],
            ..Scenario::plain("2 voters, one joins", 2)
        },
        Scenario {
            faults: Faults {
                leaves: 1,
                returns: 1,
                ..Faults::default()
            },
            goals: &[Goal::Takeover, Goal::Change],
            ..Scenario::plain("2 voters, one leaves and returns", 2)
        },
        Scenario {
            ours: false,
            faults: Faults {
                deaf: 1,
                ..Faults::default()
            },
            goals: &[Goal::Takeover],
            ..Scenario::plain("1 reference voter, deaf once", 1)
        },
        Scenario {
            ours: false,
            faults: Faults {
                deaf: 1,
                ..Faults::default()
            },
            mail: 2,
            late: Late {
                updates: true,
                ..HEARTBEATS
            },
            goals: &[Goal::Takeover],
            ..Scenario::plain("1 reference voter, deaf once, two late", 1)
        },
        Scenario {
            ours: false,
            faults: Faults {
                voter_restarts: 1,
                ..Faults::default()
            },
            goals: &[Goal::Takeover],
            ..Scenario::plain("1 reference voter, restarts", 1)
        },
        Scenario {
            hellos: true,
            faults: Faults {
                goodbyes: 1,
                ..Faults::default()
            },
            calendar: true,
            goals: &[Goal::Takeover],
            ..Scenario::plain("1 voter, a server says goodbye", 1)
        },
    ]
}
