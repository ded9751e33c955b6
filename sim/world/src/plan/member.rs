//! One subscriber of a world: what it is and wishes for, and how patient each of its lives is.
//!
//! A subscriber that starts anew may have other settings than before. Deliberately absent: which
//! limits the statestoreds have; its own are drawn from those.

use super::{FIRST, SERVERS, TOPICS, address, name};
use crate::Mode;
use crate::dice::Dice;
use statestore_core::config::Config;
use statestore_core::subscriber;
use statestore_wire::Text;
use std::num::NonZeroU32;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct MemberPlan {
    config: subscriber::Config,
    /// Its limits, a life each, again and again.
    timeouts: [Duration; 4],
    /// One of the reference: it knows no epochs.
    pub(crate) reference: bool,
    /// Between two wishes of its application.
    pub(crate) pause: Duration,
}

impl MemberPlan {
    /// The settings of its life of this number.
    pub(crate) fn config(&self, life: u32) -> subscriber::Config {
        let mut config = self.config.clone();
        config.timeout = self.timeouts[life as usize % self.timeouts.len()];
        config
    }

    /// The settings of its most patient life.
    pub(super) fn slowest(&self) -> subscriber::Config {
        let mut config = self.config.clone();
        config.timeout = self.timeouts.iter().copied().max().unwrap_or_default();
        config
    }

    /// What a topic is filtered by.
    pub(crate) fn prefix(&self, topic: usize) -> &Text {
        &self.config.topics[topic].prefix
    }

    pub(crate) fn farewell(&self) -> Duration {
        self.config.farewell
    }
}

pub(super) fn draw(
    dice: &mut Dice,
    mode: Mode,
    index: usize,
    server: &Config,
    flags: [Duration; 2],
) -> MemberPlan {
    let timeout = flags[0].min(flags[1]);
    let proc = FIRST + index;
    let statestores = SERVERS.map(address).to_vec();
    let mut config = subscriber::Config::new(name(proc), address(proc), statestores);
    let one = match dice.below(8) {
        0 => Duration::from_millis(dice.number(300..=1_500)),
        _ => timeout,
    };
    let mut timeouts = [one; 4];
    if dice.chance(250) {
        for timeout in &mut timeouts {
            *timeout = Duration::from_millis(dice.number(300..=2_000));
        }
    }
    config.heartbeat_period = server.heartbeat.period;
    config.attempts = NonZeroU32::new(dice.number(0..=3) as u32);
    config.call_timeout = Some(dice.share(timeout, 50, 200));
    config.farewell = dice.share(timeout, 10, 60);
    config.recovery_grace = timeout;
    config.follow_catalogd = true;
    let reference = mode == Mode::Reference && dice.chance(500);
    for (topic, transient) in TOPICS {
        config.topics.push(subscriber::TopicConfig {
            name: Text::from(topic),
            transient,
            prefix: match dice.below(10) {
                0 if !reference => Text::from("s1"),
                _ => Text::default(),
            },
            min_version: dice.chance(300),
        });
    }
    if reference {
        timeouts = [flags[0].max(flags[1]); 4]; // it cannot say its own
    }
    MemberPlan {
        config,
        timeouts,
        reference,
        pause: dice.share(timeout, 20, 200),
    }
}
