//! Liveness, by sample: a random walk through all faults at once, then none any more. Within a
//! bounded time exactly one server acts and every voter follows it, and that stays so.
//!
//! Deliberately absent: a proof, and any claim about S1 on the way: these walks start servers
//! alone, where it is not promised (ha.md section 4).

use crate::action::{Action, Fate};
use crate::scenario::{Faults, Late, Scenario};
use crate::step::start;
use crate::world::World;

/// Ticks after which the pair must be whole.
pub const HEALED_AFTER: u64 = 40;
/// Ticks that it has to stay so.
const STAYS: u64 = 10;

/// All faults, and clocks that read far enough for every rule.
pub fn troubled(ours: bool, agreed: usize) -> Scenario {
    Scenario {
        ours,
        agreed,
        hellos: true,
        clock: 8,
        preemption: 2,
        mail: 3,
        late: Late {
            heartbeats: true,
            beats: true,
            hellos: true,
            updates: true,
            replies: true,
        },
        faults: Faults {
            restarts: [2, 2],
            voter_restarts: 2,
            leaves: 1,
            returns: 1,
            removals: 2,
            deaf: if ours { 0 } else { 2 },
            goodbyes: 1,
        },
        activations: usize::MAX,
        counter: i64::MAX,
        quiet: false,
        alike: false,
        calendar: true,
        ..Scenario::plain("all faults, then none", 3)
    }
}

/// A walk of `length` actions, and the healing after it. The error tells what is not whole.
pub fn walk(rules: &Scenario, seed: u64, length: usize) -> Result<u64, String> {
    let mut chance = Chance::new(seed);
    let mut world = start(rules);
    let mut done = Vec::new();
    let mut actions = Vec::new();
    for _ in 0..length {
        actions.clear();
        Action::all(rules, &world, &mut actions);
        let action = actions[chance.below(actions.len())];
        if world.apply(rules, action).is_some() {
            done.push(action);
        }
    }
    let healed = heal(rules, &mut world);
    healed.map_err(|what| {
        let walk: Vec<String> = done.iter().map(ToString::to_string).collect();
        format!("seed {seed}: {what}\n  {}\n{world:#?}", walk.join("\n  "))
    })
}

fn heal(rules: &Scenario, world: &mut World) -> Result<u64, String> {
    world.mail.clear();
    let mut whole_since = None;
    for time in 0..HEALED_AFTER + STAYS {
        round(rules, world);
        match flaw(rules, world) {
            None => {
                whole_since.get_or_insert(time);
            }
            Some(flaw) if time >= HEALED_AFTER => return Err(flaw),
            Some(_) => whole_since = None,
        }
        let _ = world.apply(rules, Action::Time(1));
    }
    whole_since.ok_or_else(|| "never whole".to_owned())
}

/// Everybody says everything once.
fn round(rules: &Scenario, world: &mut World) {
    let mut all = Vec::new();
    for server in 0..2 {
        all.extend([Action::Tick(server), Action::Hello(server, Fate::Answered)]);
    }
    for server in 0..2 {
        all.push(Action::Beat(server, Fate::Answered));
        for voter in 0..rules.voters {
            let subscriber = &world.voters[voter];
            let node = &world.servers[server];
            let member = node.members[voter];
            if subscriber.gone && member.is_some() {
                all.push(Action::Remove(voter, server));
            } else if !subscriber.gone
                && (member != Some(subscriber.life)
                    || subscriber.registered[server] != Some(node.life)
                    || subscriber.deaf[server])
            {
                all.push(Action::Register(voter, server));
            }
            all.push(Action::Heartbeat(server, voter, Fate::Answered));
            if !rules.ours {
                all.push(Action::Role(server, voter));
                all.push(Action::Update(server, voter, Fate::Answered));
            }
        }
        all.push(Action::Tick(server));
        all.push(Action::Beat(server, Fate::Answered));
    }
    for action in all {
        let _ = world.apply(rules, action);
    }
}

/// What is not as it should be.
fn flaw(rules: &Scenario, world: &World) -> Option<String> {
    let acts = |server: &usize| world.acting(rules, *server).is_some();
    let acting: Vec<usize> = (0..2).filter(acts).collect();
    let [active] = acting[..] else {
        return Some(format!("{} servers act", acting.len()));
    };
    let astray =
        |voter: &&crate::subscriber::Subscriber| !voter.gone && voter.follows != Some(active);
    let astray = world.voters[..rules.voters].iter().filter(astray).count();
    (astray > 0).then(|| format!("{astray} voters do not follow the active"))
}

/// Xorshift: a walk is its seed.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from((self.0 >> 11) % bound).unwrap_or(0)
    }
}
