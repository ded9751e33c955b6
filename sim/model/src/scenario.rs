//! What one exploration is about: who is there, what may go wrong how often, where it ends.
//!
//! Time is counted in ticks of a second. The sound scenarios take the shipped limits for a
//! timeout of so many ticks, with one exception: a wait for a peer that is never over keeps a
//! pair from starting alone, where S1 is not promised (ha.md section 4).
//!
//! Deliberately absent: what follows from a fault; `step` knows.

use crate::sabotage::Sabotage;
use crate::ticks::{NEVER, ticks};
use statestore_core::ids::StatestoreId;
use statestore_core::pair::{Config, Limits, Terms};
use statestore_core::time::{Now, Time, Wall};
use statestore_wire::{Text, UniqueId};

/// The most voters.
pub const MOST: usize = 4;

/// How often something may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Restarts of A and of B.
    pub restarts: [u8; 2],
    /// Restarts of voters.
    pub voter_restarts: u8,
    /// Voters that stop on purpose.
    pub leaves: u8,
    /// Voters that come back after that, under their old names.
    pub returns: u8,
    /// Registrations that a server ends.
    pub removals: u8,
    /// Times that a reference voter ignores a server until it registers anew.
    pub deaf: u8,
    /// Servers that stop on purpose, and start anew.
    pub goodbyes: u8,
}

impl Faults {
    /// None at all.
    pub const NONE: Self = Self {
        restarts: [0, 0],
        voter_restarts: 0,
        leaves: 0,
        returns: 0,
        removals: 0,
        deaf: 0,
        goodbyes: 0,
    };
}

/// What may arrive late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// Heartbeats to voters.
    pub heartbeats: bool,
    /// HA heartbeats.
    pub beats: bool,
    /// Handshakes.
    pub hellos: bool,
    /// Updates to voters.
    pub updates: bool,
    /// Not only requests, but their answers too.
    pub replies: bool,
}

impl Late {
    /// Nothing.
    pub const NONE: Self = Self {
        heartbeats: false,
        beats: false,
        hellos: false,
        updates: false,
        replies: false,
    };
    /// Heartbeats and all answers.
    pub const HEARTBEATS: Self = Self {
        heartbeats: true,
        replies: true,
        ..Self::NONE
    };
}

/// What is to be reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// B acts after A.
    Takeover,
    /// A stands by, B acts, and both agree.
    Reversal,
    /// Three activations.
    Third,
    /// Both have agreed on another electorate than the first.
    Change,
    /// Somebody becomes active in a pair that has just started.
    Start,
    /// Somebody acts above the epoch of a claim that failed.
    Claimed,
}

/// One exploration.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// As it is shown.
    pub name: &'static str,
    /// How many subscribers there are.
    pub voters: usize,
    /// How many of them are agreed on in the beginning; none means two servers that start.
    pub agreed: usize,
    /// Where none are: how many have registered with both servers already.
    pub registered: usize,
    /// The subscribers understand epochs.
    pub ours: bool,
    /// T_p and T_s in ticks.
    pub timeout: u64,
    /// What every clock reads, in ticks: older than that is as old as that.
    pub clock: u64,
    /// By how much time may move on at once.
    pub steps: &'static [u64],
    /// The wait for a peer, in ticks.
    pub preemption: u64,
    /// How many messages are late at one time.
    pub mail: usize,
    /// Which.
    pub late: Late,
    /// What goes wrong.
    pub faults: Faults,
    /// No more activations than that.
    pub activations: usize,
    /// No further once that many activations are spent and the role of one server is over: two
    /// can act no more.
    pub until_one: bool,
    /// No epochs of a server beyond that count, not of a claim either: each one that fails takes
    /// another, so without a bound there would be states without end.
    pub counter: i64,
    /// Servers look for each other; without, roles change by votes and HA heartbeats only.
    pub hellos: bool,
    /// Clocks run on and nothing is levelled, to compare with: such a search never ends.
    pub raw: bool,
    /// Voters may change names, as long as nobody looks.
    pub alike: bool,
    /// A server that is not active sends heartbeats only when a takeover is near.
    pub quiet: bool,
    /// The calendar is never behind an epoch that was taken; without, it stands still.
    pub calendar: bool,
    /// Who restarts is registered at once with everybody: without, a server may count votes of
    /// others than its peer's electorate, where S1 is not promised (ha.md section 4).
    pub rejoins: bool,
    /// Who stops on purpose has no next process, and never quite ends; with one, S1 is open
    /// (docs/model.md).
    pub for_good: bool,
    /// The rule that is left out.
    pub sabotage: Sabotage,
    /// What is to be reachable.
    pub goals: &'static [Goal],
}

impl Scenario {
    /// Two servers of ours that have agreed on `voters` of ours: the plainest scenario.
    pub const fn plain(name: &'static str, voters: usize) -> Self {
        Self {
            name,
            voters,
            agreed: voters,
            registered: 0,
            ours: true,
            timeout: 3,
            clock: 4,
            steps: &[1],
            preemption: NEVER,
            mail: 0,
            late: Late::NONE,
            faults: Faults::NONE,
            activations: 2,
            until_one: false,
            counter: 2,
            hellos: false,
            raw: false,
            alike: true,
            quiet: true,
            calendar: false,
            rejoins: false,
            for_good: false,
            sabotage: Sabotage::None,
            goals: &[],
        }
    }

    /// What every clock reads after so many ticks; `newest` is what the calendar reads.
    pub fn now(&self, passed: u64, newest: i64) -> Now {
        Now {
            time: Time::ZERO + ticks(self.clock + passed),
            wall: Wall(if self.calendar { newest } else { 0 }),
        }
    }

    /// A server's settings.
    pub fn config(&self, server: usize) -> Config {
        let mut limits = Limits::new(
            ticks(self.timeout),
            ticks(self.timeout),
            ticks(self.preemption),
        );
        self.sabotage.limits(server, &mut limits);
        Config {
            limits,
            address: Text::from_static(["A", "B"][server]),
            force: false,
            address_as_priority: false,
            max_missed: 3,
        }
    }

    /// What a voter says of itself to a server.
    pub fn terms(&self, server: usize) -> Terms {
        let mut terms = Terms {
            timeout: ticks(self.timeout),
            extended: self.ours,
        };
        self.sabotage.terms(server, &mut terms);
        terms
    }

    /// What is bounded, in words.
    pub fn bounds(&self) -> String {
        let (most, highest) = (self.activations, self.counter);
        let whose = if self.hellos {
            " with those of claims"
        } else {
            ""
        };
        let mut all = vec![format!("{most} activations, epochs to {highest}{whose}")];
        let mut say = |wanted: bool, text: String| all.extend(wanted.then_some(text));
        let faults = &self.faults;
        say(self.timeout != 3, format!("T = {} ticks", self.timeout));
        say(self.until_one, "until one is left".to_owned());
        say(self.mail > 0, format!("k = {}", self.mail));
        say(self.hellos, "handshakes".to_owned());
        say(!self.quiet, "standby speaks at any time".to_owned());
        let [a, b] = faults.restarts;
        say(a + b > 0, format!("{a} + {b} server restarts"));
        say(
            self.rejoins,
            "who restarts is registered at once".to_owned(),
        );
        let some = [
            (faults.voter_restarts, "voter restarts"),
            (faults.leaves, "leaves"),
            (faults.returns, "returns"),
            (faults.removals, "removals"),
            (faults.deaf, "deaf"),
            (
                faults.goodbyes,
                if self.for_good {
                    "goodbyes for good"
                } else {
                    "goodbyes"
                },
            ),
        ];
        for (count, what) in some {
            say(count > 0, format!("{count} {what}"));
        }
        all.join(", ")
    }

    /// True if rule 19 is in reach of the clocks.
    pub fn takes_turns(&self) -> bool {
        self.clock > 2 * self.timeout
    }

    /// The name of a process. A new one sorts before or behind all former ones.
    pub fn id(&self, server: usize, life: u8, high: bool) -> StatestoreId {
        let server = i64::try_from(server).unwrap_or(0);
        let distance = i64::from(life) * 2;
        let hi = 100 + server + if high { distance } else { -distance };
        let lo = hi.wrapping_mul(0x1E37_79B9_7F4A_7C15);
        StatestoreId(UniqueId { hi, lo })
    }
}
