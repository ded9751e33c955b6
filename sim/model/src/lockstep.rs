//! The search levels its states (`Pair::canonical`); here the same walk is taken twice, once
//! with states as they are and clocks that run on, once levelled after each action. Both must
//! say and allow the same at every step.
//!
//! Deliberately absent: a proof; these are random walks. Bounded clocks never see rule 19, which
//! begins after T_p + T_s: such a walk ends where the other one falls silent.

use crate::action::Action;
use crate::heal::{self, Chance};
use crate::letter::Letter;
use crate::report::changes;
use crate::scenario::{Faults, Late, Scenario};
use crate::step::start;
use crate::subscriber::Subscriber;
use crate::world::World;
use statestore_core::role::Role;
use statestore_wire::Epoch;

/// What a walk saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Actions that both took.
    pub actions: usize,
    /// Activations on the way.
    pub activations: usize,
}

/// Everything that others can notice.
#[derive(Debug, PartialEq)]
struct Shown {
    acting: [Option<Epoch>; 2],
    roles: [Role; 2],
    highest: [Epoch; 2],
    named: [Epoch; 2],
    asks: [bool; 2],
    serves: [Vec<bool>; 2],
    voters: Vec<Subscriber>,
    mail: Vec<u64>,
    history: (usize, bool, bool, bool),
    next: Vec<Action>,
}

/// What is walked: everything that levelling looks at.
pub fn all() -> Vec<Scenario> {
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
            ..Faults::NONE
        },
        name: "bounded clocks, handshakes",
        ..bounded.clone()
    };
    let troubled = |ours, agreed| Scenario {
        mail: 1,
        ..heal::troubled(ours, agreed)
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

/// Up to `length` actions. The error tells where the two differ.
pub fn walk(rules: &Scenario, seed: u64, length: usize) -> Result<Seen, String> {
    let levelled = Scenario {
        alike: false,
        raw: false,
        ..rules.clone()
    };
    let raw = Scenario {
        raw: true,
        ..levelled.clone()
    };
    let mut chance = Chance::new(seed);
    let mut worlds = (start(&levelled), start(&raw));
    let mut done: Vec<String> = Vec::new();
    for _ in 0..length {
        let shown = shown(&levelled, &worlds.0);
        let other = self::shown(&raw, &worlds.1);
        if silent(&raw, &worlds.1) && !rules.takes_turns() {
            break;
        }
        if shown != other {
            let walk = done.join("\n  ");
            return Err(format!(
                "seed {seed}:\n  {walk}\nlevelled: {shown:#?}\nas it is: {other:#?}"
            ));
        }
        let action = pick(&shown.next, &mut chance);
        let mut after = worlds.clone();
        let took = after.0.apply(&levelled, action);
        if took != after.1.apply(&raw, action) {
            return Err(format!("seed {seed}: only one of the two could: {action}"));
        }
        // Two letters have no order in common.
        if took.is_some() && after.0.mail.len() <= 1 {
            let changes = changes(&raw, &worlds.1, &after.1);
            done.push(format!("{action}{changes}"));
            worlds = after;
        }
    }
    Ok(Seen {
        actions: done.len(),
        activations: worlds.0.history.activations,
    })
}

/// Time passes often enough for something to end.
fn pick(next: &[Action], chance: &mut Chance) -> Action {
    match chance.below(6) {
        0 => Action::Time(1),
        _ => next[chance.below(next.len())],
    }
}

fn silent(rules: &Scenario, world: &World) -> bool {
    let now = world.now(rules).time;
    world.servers.iter().any(|it| it.pair.is_silent(now))
}

fn shown(rules: &Scenario, world: &World) -> Shown {
    let voters = 0..rules.voters;
    let pair = |server: usize| &world.servers[server].pair;
    let mut next = Vec::new();
    Action::all(rules, world, &mut next);
    let history = &world.history;
    Shown {
        acting: [0, 1].map(|server| world.acting(rules, server)),
        roles: [0, 1].map(|server| pair(server).role()),
        highest: [0, 1].map(|server| pair(server).highest()),
        named: [0, 1].map(|server| pair(server).highest_named()),
        asks: [0, 1].map(|server| pair(server).asks()),
        serves: [0, 1].map(|server| {
            let serves = |voter| pair(server).serves(&crate::world::name(voter));
            voters.clone().map(serves).collect()
        }),
        voters: world.voters[voters.clone()].to_vec(),
        mail: world.mail.iter().map(Letter::said).collect(),
        history: (
            history.activations,
            history.twins,
            history.down,
            history.deaf,
        ),
        next,
    }
}
