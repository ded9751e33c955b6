//! Everything about a world that is decided before it begins, drawn from its seed.
//!
//! Limits are short, so that much happens in few seconds of a world, and in the proportions that
//! the daemons' flags allow. Deliberately absent: what happens by the way (a message's delay);
//! that is drawn when it happens.

use crate::Mode;
use crate::clock::{Clock, Real};
use crate::dice::{Dice, Stream};
use crate::sabotage::Sabotage;
use statestore_core::config::{CatalogConfig, Config, HaConfig, LaneConfig};
use statestore_core::pair::{self, Limits};
use statestore_wire::{NetworkAddress, Text};
use std::time::Duration;

pub(crate) mod member;
pub(crate) mod strike;

pub(crate) use member::MemberPlan;
pub(crate) use strike::{Fault, Strike};

/// A process: 0 and 1 are the statestoreds, subscribers follow.
pub(crate) type Proc = usize;
/// The statestoreds.
pub(crate) const SERVERS: [Proc; 2] = [0, 1];
/// The first subscriber.
pub(crate) const FIRST: Proc = 2;
/// Processes at most.
pub(crate) const MOST: usize = 9;

/// The topics of every subscriber: name, transient.
pub(crate) const TOPICS: [(&str, bool); 3] = [
    ("impala-membership", true),
    ("lasting", false),
    ("passing", true),
];

/// One world before it begins.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) mode: Mode,
    pub(crate) sabotage: Option<Sabotage>,
    /// The longest timeout: how long anything takes is a multiple of it.
    pub(crate) unit: Duration,
    /// Of both statestoreds; address, peer and limits are each one's own.
    pub(crate) server: Config,
    limits: [Limits; 2],
    /// By process.
    pub(crate) machines: Vec<Machine>,
    pub(crate) members: Vec<MemberPlan>,
    pub(crate) weather: Weather,
    pub(crate) strikes: Vec<Strike>,
    /// From then on all is well.
    pub(crate) heals: Real,
    /// One more fault in a world that is well otherwise: the active is lost.
    pub(crate) encore: Option<Encore>,
}

#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) clock: Clock,
    pub(crate) starts: Real,
}

/// How the network and the processes are in ordinary times.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    pub(crate) fastest: Duration,
    pub(crate) slowest: Duration,
    /// Messages in a thousand that take much longer, and how long at most.
    pub(crate) stragglers: u64,
    pub(crate) straggle: Duration,
    /// Calls in a thousand whose connection breaks.
    pub(crate) breaks: u64,
    /// Effects in a thousand that their process gets to only later, and how much at most.
    pub(crate) lags: u64,
    pub(crate) lag: Duration,
}

/// How the active is lost once all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encore {
    Crash,
    Halt,
    Stop,
    CutOff,
}

impl Plan {
    pub(crate) fn draw(seed: u64, mode: Mode) -> Self {
        let mut dice = Dice::new(seed, Stream::Plan);
        let dice = &mut dice;
        let timeout = |dice: &mut Dice| {
            Duration::from_millis(match dice.below(4) {
                0 => 300,
                1 | 2 => dice.number(300..=800),
                _ => dice.number(600..=2_000),
            })
        };
        let peer_timeout = timeout(dice);
        let subscriber_timeout = match dice.below(2) {
            0 => peer_timeout,
            _ => timeout(dice),
        };
        let server = server(dice, mode, peer_timeout, subscriber_timeout);
        let limits = limits(dice, &server, (peer_timeout, subscriber_timeout));
        let longest = limits.map(|it| it.peer_timeout.max(it.subscriber_timeout));
        let unit = longest[0].max(longest[1]);
        let flags = limits.map(|it| it.subscriber_timeout);
        let count = dice.number(2..=7) as usize;
        let members: Vec<_> = (0..count)
            .map(|i| member::draw(dice, mode, i, &server, flags))
            .collect();
        let machines = (0..FIRST + count).map(|proc| Machine {
            clock: Clock::draw(dice),
            starts: starts(dice, proc, unit),
        });
        let machines = machines.collect();
        let heals = Real(0) + unit * (dice.number(8..=14) as u32);
        let weather = weather(dice, unit);
        Self {
            seed,
            mode,
            sabotage: None,
            unit,
            machines,
            weather,
            strikes: strike::draw(dice, mode, count, unit, heals),
            heals,
            encore: encore(dice),
            server,
            limits,
            members,
        }
    }

    pub(crate) fn sabotage(&mut self, sabotage: Option<Sabotage>) {
        self.sabotage = sabotage;
        if sabotage == Some(Sabotage::Clocks) {
            for (proc, machine) in self.machines.iter_mut().enumerate() {
                machine.clock.drift(proc % 2 == 0);
            }
        }
    }

    /// The settings of one statestored.
    pub(crate) fn config(&self, proc: Proc) -> Config {
        let mut config = self.server.clone();
        if let Some(ha) = &mut config.ha {
            ha.peer = address(1 - proc);
            ha.pair.limits = self.limits[proc];
            ha.pair.address = Text::from(format!("{}:1", name(proc)));
        }
        config
    }

    /// How long everything may take to be as it should, once nothing is in the way.
    ///
    /// A call that hangs ends by its limit; then each of these may come once: a registration with
    /// its pauses, silence for the other's sake (rule 19), the whole detection of a lost active,
    /// the wait for a peer, and as much again for whoever began in the middle of it.
    pub(crate) fn patience(&self) -> Duration {
        let longest = |of: fn(&Limits) -> Duration| self.limits.iter().map(of).max();
        let detection = longest(|it| it.peer_timeout + it.subscriber_timeout).unwrap_or_default();
        let wait = longest(|it| it.preemption_wait).unwrap_or_default();
        let calls = self.server.bulk.timeout.max(self.server.priority.timeout);
        let members = self.members.iter().map(|member| {
            let config = member.slowest();
            config.call_limit()
                + (config.recovery_pause() + config.retry_pause()) * 4
                + config.patience()
        });
        let member = members.max().unwrap_or_default();
        calls + member + detection * 4 + wait * 2
    }
}

/// What a process is called.
pub(crate) fn name(proc: Proc) -> String {
    match proc {
        0 => "A".to_owned(),
        1 => "B".to_owned(),
        other => format!("s{}", other - FIRST + 1),
    }
}

/// Where a process is; the port tells who it is.
pub(crate) fn address(proc: Proc) -> NetworkAddress {
    NetworkAddress {
        hostname: Text::from(name(proc)),
        port: proc as i32,
        uds_address: None,
    }
}

fn starts(dice: &mut Dice, proc: Proc, unit: Duration) -> Real {
    let latest = match (proc, dice.below(4)) {
        (0 | 1, 0) => unit * 4,
        (0 | 1, _) => unit / 4,
        _ => unit,
    };
    dice.moment(latest)
}

fn server(dice: &mut Dice, mode: Mode, peer: Duration, subscriber: Duration) -> Config {
    let wait = dice.share(peer, 20, 120);
    let limits = Limits::new(peer, subscriber, wait);
    let tick = dice.share(limits.peer_lease, 10, 22);
    let lane = |period: Duration, timeout| LaneConfig {
        period,
        timeout,
        slack: period / 64,
    };
    let push = dice.share(subscriber, 1, 3);
    let mut config = Config {
        heartbeat: lane(dice.share(subscriber, 8, 20), dice.share(subscriber, 8, 30)),
        priority: lane(
            dice.share(subscriber, 12, 40),
            dice.share(subscriber, 50, 250),
        ),
        bulk: lane(
            dice.share(subscriber, 30, 90),
            dice.share(subscriber, 50, 300),
        ),
        push_coalesce: (!dice.chance(150)).then_some(push),
        first_update_delay: dice.share(subscriber, 0, 3),
        max_missed_heartbeats: dice.number(2..=10) as u32,
        max_subscribers: 100,
        heartbeat_report_period: Duration::from_secs(3_600),
        transient_grace: dice.share(subscriber, 10, 150),
        catalog: CatalogConfig {
            ha: false,
            subscriber_id_as_priority: dice.chance(500),
            preemption_wait: dice.share(subscriber, 0, 60),
            resend: dice.share(subscriber, 5, 20),
            timeout: dice.share(subscriber, 20, 100),
        },
        items_per_step: *dice.pick(&[1, 4_096]),
        max_publication: None,
        idle_period: subscriber.saturating_mul(2),
        hash_seed: 0,
        ha: Some(HaConfig {
            pair: pair::Config {
                limits,
                address: Text::default(),
                force: mode == Mode::Forced && dice.chance(100),
                address_as_priority: dice.chance(300),
                max_missed: dice.number(2..=6) as u32,
            },
            peer: NetworkAddress::default(),
            tick,
            hello_period: (wait / dice.number(3..=10) as u32).max(tick / 2),
            call_timeout: dice.share(limits.peer_lease, 12, 25),
            role_timeout: dice.share(subscriber, 20, 100),
            role_resend: dice.share(subscriber, 5, 20),
        }),
    };
    // Answers of later steps find no way back here.
    config.max_publication = (config.items_per_step > 1).then_some(1 << 20);
    config
}

/// The same flags for both, or longer ones for one of them: periods are made for the shorter.
fn limits(dice: &mut Dice, server: &Config, timeouts: (Duration, Duration)) -> [Limits; 2] {
    let wait = server.ha.as_ref().map(|ha| ha.pair.limits.preemption_wait);
    let (peer, subscriber) = timeouts;
    let mut each = [(peer, subscriber); 2];
    if dice.chance(250) {
        let patient = &mut each[dice.index(2)];
        patient.0 = dice.share(peer, 100, 300);
        patient.1 = dice.share(subscriber, 100, 300);
    }
    each.map(|(peer, subscriber)| Limits::new(peer, subscriber, wait.unwrap_or_default()))
}

fn weather(dice: &mut Dice, unit: Duration) -> Weather {
    let stormy = dice.below(3);
    Weather {
        fastest: Duration::from_micros(50),
        slowest: match stormy {
            0 => Duration::from_millis(1),
            1 => unit / 100,
            _ => unit / 30,
        },
        stragglers: [0, 5, 40][dice.index(3)],
        straggle: dice.share(unit, 20, 200),
        breaks: [0, 3, 20][dice.index(3)],
        lags: [0, 20, 200][dice.index(3)],
        lag: dice.share(unit, 1, 40),
    }
}

impl Weather {
    /// Nothing is in the way, though nothing takes no time.
    pub(crate) fn calm() -> Self {
        Self {
            fastest: Duration::from_micros(50),
            slowest: Duration::from_millis(1),
            stragglers: 0,
            straggle: Duration::ZERO,
            breaks: 0,
            lags: 0,
            lag: Duration::ZERO,
        }
    }
}

fn encore(dice: &mut Dice) -> Option<Encore> {
    match dice.below(12) {
        0 => Some(Encore::Crash),
        1 => Some(Encore::Halt),
        2 => Some(Encore::Stop),
        3 => Some(Encore::CutOff),
        _ => None,
    }
}
