//! The faults of a world: what, against whom, when and for how long.
//!
//! Whom a fault meets is partly said by role ("the active one"), because that is who matters, and
//! found out when it strikes. Deliberately absent: what each does; `faults` does it.

use super::{FIRST, Proc};
use crate::Mode;
use crate::clock::Real;
use crate::dice::Dice;
use std::fmt;
use std::time::Duration;

/// One fault of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) at: Real,
    pub(crate) lasts: Duration,
    pub(crate) fault: Fault,
}

/// Whom it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    Active,
    Standby,
    One(Proc),
}

/// Which directions of a link are cut, seen from whom the fault meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ways {
    Both,
    Out,
    In,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies; if `silent`, so does its machine, and nobody is told.
    Crash { whom: Whom, silent: bool },
    /// A statestored stops on purpose.
    Stop(Whom),
    /// A process does nothing for a while, and then everything that waited.
    Pause(Whom),
    /// What goes between `whom` and these (a bit each) does not arrive.
    Cut { whom: Whom, from: u64, ways: Ways },
    /// The same, but it arrives late.
    Delay {
        whom: Whom,
        from: u64,
        ways: Ways,
        most: Duration,
    },
    /// Every connection of this process breaks.
    Reset(Whom),
    /// Somebody sets the calendar, by so many microseconds.
    Calendar { whom: Whom, by: i64 },
    /// The debug switch of H-9.
    Switch(Whom),
    /// A subscriber leaves on purpose.
    Leave(Proc),
    /// So many subscribers leave at about the same time.
    ScaleDown { from: u64 },
    /// An operator makes a statestored active whatever it thinks.
    Force(Whom),
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} for {:?}", self.at, self.fault, self.lasts)
    }
}

/// All strikes of a world, by time.
pub(super) fn draw(
    dice: &mut Dice,
    mode: Mode,
    members: usize,
    unit: Duration,
    heals: Real,
) -> Vec<Strike> {
    let count = dice.number(2..=10);
    let span = heals.since(Real(0)) - unit / 2;
    let mut strikes = Vec::new();
    for _ in 0..count {
        let at = dice.moment(span) + unit / 2;
        let lasts = match dice.below(6) {
            0 => dice.share(unit, 1, 30),
            1 | 2 => dice.share(unit, 30, 120),
            3 | 4 => dice.share(unit, 100, 300),
            _ => heals.since(Real(0)),
        };
        let fault = fault(dice, mode, members, unit);
        strikes.push(Strike { at, lasts, fault });
    }
    strikes.sort_by_key(|strike| strike.at);
    strikes
}

fn fault(dice: &mut Dice, mode: Mode, members: usize, unit: Duration) -> Fault {
    let server = match dice.below(5) {
        0..=2 => Whom::Active,
        3 => Whom::Standby,
        _ => Whom::One(dice.index(2)),
    };
    let member = FIRST + dice.index(members);
    let anybody = match dice.below(3) {
        0 => Whom::One(member),
        _ => server,
    };
    match dice.below(if mode == Mode::Forced { 21 } else { 19 }) {
        0..=1 => Fault::Crash {
            whom: server,
            silent: dice.chance(400),
        },
        2 => Fault::Crash {
            whom: Whom::One(member),
            silent: dice.chance(400),
        },
        3 => Fault::Stop(server),
        4..=5 => Fault::Pause(anybody),
        6..=11 => {
            let (whom, from, ways) = link(dice, server, member, members);
            Fault::Cut { whom, from, ways }
        }
        12..=13 => {
            let (whom, from, ways) = link(dice, server, member, members);
            let most = dice.share(unit, 10, 250);
            Fault::Delay {
                whom,
                from,
                ways,
                most,
            }
        }
        14 => Fault::Reset(anybody),
        15 => Fault::Calendar {
            whom: anybody,
            by: step(dice),
        },
        16 => Fault::Switch(server),
        17 => Fault::Leave(member),
        18 => Fault::ScaleDown {
            from: dice.below(1 << members) << FIRST,
        },
        _ => Fault::Force(server),
    }
}

/// A cut that may be told in one word: the pair's link, a server alone, a server and some of the
/// subscribers, a subscriber alone.
fn link(dice: &mut Dice, server: Whom, member: Proc, members: usize) -> (Whom, u64, Ways) {
    let everybody = (1 << (FIRST + members)) - 1;
    let subscribers = everybody & !3;
    let some = dice.below(1 << members) << FIRST;
    let ways = match dice.below(5) {
        0 => Ways::Out,
        1 => Ways::In,
        _ => Ways::Both,
    };
    let (whom, from) = match dice.below(7) {
        0 | 1 => (server, 3),
        2 => (server, everybody),
        3 => (server, subscribers),
        4 => (server, some),
        5 => (server, some | 3),
        _ => (Whom::One(member), everybody),
    };
    (whom, from, ways)
}

/// Back or forth by up to a second, an hour or a year.
fn step(dice: &mut Dice) -> i64 {
    let most = [1, 3_600, 365 * 24 * 3_600][dice.index(3)];
    let by = dice.number(1..=most * 1_000_000).cast_signed();
    if dice.chance(500) { by } else { -by }
}
