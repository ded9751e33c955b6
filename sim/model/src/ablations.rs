//! Each rule left out, in the smallest world that misses it: every one must be found.
//!
//! Deliberately absent: how a rule is broken (`sabotage`). Not everything is here: rules 10, 18,
//! 19 and 21 have no ablation, and rule 4 for leaves has no trace any more (docs/model.md).

use crate::sabotage::Sabotage;
use crate::scenario::{Faults, Late, Scenario};
use crate::search::{EPOCHS_DIFFER, NOBODY_DEAF, NOBODY_DOWN, ONE_ACTS};

/// A scenario that must fail.
#[derive(Debug, Clone)]
pub struct Ablation {
    /// What is walked.
    pub rules: Scenario,
    /// What does not hold in it.
    pub breaks: &'static str,
    /// Takes more than a second or two.
    pub slow: bool,
}

/// Not in the quick part.
const SLOW: [&str; 3] = ["1: L = T", "4: a lease revives", "6: votes of any age"];

/// All.
pub fn all() -> Vec<Ablation> {
    let mut all = reference();
    all.extend(times());
    all.extend(meetings());
    all.extend(voters());
    all.extend(unpromised());
    for ablation in &mut all {
        // Traces tell of voters by name.
        ablation.rules.alike = false;
        ablation.slow = SLOW.contains(&ablation.rules.name);
    }
    all
}

fn of(name: &'static str, voters: usize, sabotage: Sabotage) -> Scenario {
    Scenario {
        sabotage,
        ..Scenario::plain(name, voters)
    }
}

fn one_acts(rules: Scenario) -> Ablation {
    Ablation {
        rules,
        breaks: ONE_ACTS,
        slow: false,
    }
}

fn reference() -> Vec<Ablation> {
    let all = |name, voters| one_acts(of(name, voters, Sabotage::Reference));
    vec![
        all("all: the reference's rule, 1 voter", 1),
        all("all: the reference's rule, 2 voters", 2),
        all("all: the reference's rule, 3 voters", 3),
        all("all: the reference's rule, 4 voters", 4),
    ]
}

fn times() -> Vec<Ablation> {
    vec![
        one_acts(Scenario {
            timeout: 7,
            clock: 8,
            steps: &[1, 3],
            ..of("1: L = T", 2, Sabotage::LeaseIsTimeout)
        }),
        one_acts(Scenario {
            mail: 1,
            late: Late::HEARTBEATS,
            ..of("2: from the arrival", 1, Sabotage::ArrivalTime)
        }),
        one_acts(of("3: no look before sending", 1, Sabotage::NoFence)),
        one_acts(Scenario {
            mail: 1,
            late: Late::HEARTBEATS,
            ..of("4: a lease revives", 2, Sabotage::Revival)
        }),
        one_acts(of("5: no silence of the peer", 1, Sabotage::NoSilence)),
        one_acts(of("6: votes of any age", 2, Sabotage::OldVotes)),
    ]
}

fn meetings() -> Vec<Ablation> {
    let hellos = |name, sabotage| Scenario {
        hellos: true,
        activations: 3,
        ..of(name, 1, sabotage)
    };
    vec![
        one_acts(hellos("7: no promise", Sabotage::NoPromise)),
        one_acts(Scenario {
            mail: 1,
            late: Late {
                hellos: true,
                heartbeats: false,
                ..Late::HEARTBEATS
            },
            ..hellos("7: an old grant", Sabotage::OldGrant)
        }),
        one_acts(Scenario {
            faults: Faults {
                restarts: [0, 1],
                ..Faults::NONE
            },
            ..of("8: no wait", 1, Sabotage::NoWait)
        }),
        one_acts(Scenario {
            faults: Faults {
                goodbyes: 1,
                ..Faults::NONE
            },
            ..of("15: the leaver goes on", 1, Sabotage::UndeadLeaver)
        }),
        Ablation {
            rules: Scenario {
                faults: Faults {
                    restarts: [0, 1],
                    ..Faults::NONE
                },
                activations: 4,
                ..hellos("16: the calendar stands still", Sabotage::None)
            },
            breaks: EPOCHS_DIFFER,
            slow: false,
        },
        Ablation {
            rules: Scenario {
                activations: 3,
                ..of("16: voters keep epochs secret", 1, Sabotage::SecretEpochs)
            },
            breaks: NOBODY_DEAF,
            slow: false,
        },
        Ablation {
            rules: Scenario {
                mail: 1,
                late: Late::HEARTBEATS,
                ..of("17: voters follow anybody", 1, Sabotage::ObedientVoters)
            },
            breaks: NOBODY_DOWN,
            slow: false,
        },
    ]
}

/// No rule is left out, and two act all the same: the end of what is promised. A server that
/// starts anew counts those who register with it, and cannot know whom its peer counts, or that
/// its peer needs no lease since the goodbye of the process before (ha.md section 4).
fn unpromised() -> Vec<Ablation> {
    vec![
        one_acts(Scenario {
            faults: Faults {
                restarts: [0, 1],
                ..Faults::NONE
            },
            ..of("none: B restarts, found by one of two", 2, Sabotage::None)
        }),
        one_acts(Scenario {
            faults: Faults {
                goodbyes: 1,
                ..Faults::NONE
            },
            ..of(
                "none: after a goodbye of B the next B is cut off",
                1,
                Sabotage::None,
            )
        }),
    ]
}

fn voters() -> Vec<Ablation> {
    vec![
        one_acts(Scenario {
            faults: Faults {
                voter_restarts: 1,
                ..Faults::NONE
            },
            ..of("9: a newborn votes", 2, Sabotage::NewbornVotes)
        }),
        one_acts(Scenario {
            faults: Faults {
                voter_restarts: 1,
                ..Faults::NONE
            },
            ..of(
                "9: a newborn acknowledges",
                1,
                Sabotage::NewbornAcknowledges,
            )
        }),
        one_acts(Scenario {
            agreed: 1,
            ..of("12: one joins, on one side", 2, Sabotage::OneSidedChange)
        }),
        one_acts(Scenario {
            timeout: 2,
            clock: 3,
            faults: Faults {
                removals: 1,
                ..Faults::NONE
            },
            ..of(
                "13: one is dropped, on one side",
                3,
                Sabotage::OneSidedChange,
            )
        }),
        one_acts(Scenario {
            faults: Faults {
                leaves: 1,
                ..Faults::NONE
            },
            ..of("14: the standby drops a leaver", 2, Sabotage::EagerLeave)
        }),
        one_acts(Scenario {
            ours: false,
            faults: Faults {
                deaf: 1,
                ..Faults::NONE
            },
            ..of("20: reference taken for ours", 1, Sabotage::ReferenceAsOurs)
        }),
    ]
}
