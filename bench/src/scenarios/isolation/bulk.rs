//! A large topic: while it comes, while it goes out, and at those who read it slowly.
//!
//! Deliberately absent: its own speed as a promise (`fanout`). Invariant: publisher and receivers
//! live on threads that give way, so that the crowd that is measured can read the clock.

use super::super::{BULK, Bench, LIMIT, Publisher, Taken, items, too_late};
use super::{Beside, Size, Stage, While, highest};
use crate::apart::Apart;
use crate::crowd::{Conduct, Crowd, Records, Subscriber, Topic};
use crate::failure::Failure;
use crate::figures::{Bound, Section, median};
use crate::sender::{self, Sender};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// What a publication may add to the lateness of a heartbeat, in milliseconds.
const MOST_ADDED: f64 = 5.0;
/// Publications that are ready before it is measured; more than fit into the time.
const READY: usize = 1_000;
/// What slow readers take: for programs, for people, bytes a second.
const SLOW: [(&str, &str, usize); 2] = [
    ("slow", "at 1 MB/s", 1_000_000),
    ("slowest", "at a byte a second", 1),
];

pub(super) async fn run(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    coming(bench, size, section, taken).await?;
    going(bench, size, section, taken).await?;
    for slow in SLOW {
        slowly(bench, size, slow, section, taken).await?;
    }
    Ok(())
}

/// The topic is published again and again; nobody follows it.
async fn coming(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    let stage = Stage::set(bench, size).await?;
    let apart = Apart::start()?;
    let crowd = apart.crowd("publisher").await?;
    let publisher = Publisher::join(&crowd, &stage.server, &Records::new()).await?;
    let topic = items(size.items, size.value, b'p', false);
    let mut turns = Turns::default();
    for _ in 0..size.turns {
        let quiet = stage.measure(size.windows_of_a_turn).await?;
        publisher.publish_often(BULK, topic.clone(), READY);
        let before = stage.server.version(BULK).await?;
        let with = stage.measure(size.windows_of_a_turn).await?;
        publisher.publish_no_more();
        let entries = stage.server.version(BULK).await? - before;
        let rate = stage.rate(&with, entries * size.value as u64);
        let plain = beside_plain_sender(&stage, size, (&crowd, 1), rate).await?;
        turns.add(quiet, plain, (with, rate));
    }
    let beside = Beside::new("coming", "a topic that is published again and again");
    turns.show(&beside, "coming", section, taken);
    let [plain, added] = medians(&turns.added);
    let added = beside.figure("added", "added to a heartbeat, max", added, "ms");
    let added = added.beside(plain);
    section
        .figures
        .push(added.promised("Intake", Bound::Most(MOST_ADDED)));
    Ok(())
}

/// The topic is sent again as soon as all have it.
async fn going(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    let stage = filled(bench, size).await?;
    let apart = Apart::start()?;
    let crowd = apart.crowd("receiver").await?;
    let mut turns = Turns::default();
    for _ in 0..size.turns {
        let quiet = stage.measure(size.windows_of_a_turn).await?;
        let records = Records::new();
        let receivers = crowd.add(size.receivers, Conduct::Answers, &records);
        let endless = again_and_again(&stage, &crowd, &receivers, &records);
        let with = tokio::select! {
            // Ends only by a failure.
            failed = endless => return Err(failed),
            measured = stage.measure(size.windows_of_a_turn) => measured?,
        };
        let rate = stage.rate(&with, records.large_bytes());
        let plain = beside_plain_sender(&stage, size, (&crowd, size.receivers), rate).await?;
        turns.add(quiet, plain, (with, rate));
    }
    let what = format!("a topic on its way to {}", size.receivers);
    turns.show(&Beside::new("bulk", what), "plain", section, taken);
    Ok(())
}

/// What a machine leaves of itself changes from minute to minute, so all are measured in turns.
#[derive(Default)]
struct Turns {
    quiet: While,
    /// Beside the plainest sender of as many bytes: whatever moves so much takes cores.
    plain: While,
    with: While,
    /// Of the plain sender and with the topic, by turn: gigabytes a second, and by how many
    /// milliseconds the latest heartbeat was later than without.
    rates: Vec<[f64; 2]>,
    added: Vec<[f64; 2]>,
}

impl Turns {
    fn add(&mut self, quiet: While, (plain, plain_rate): (While, f64), (with, rate): (While, f64)) {
        let latest = |of: &While| of.lateness(0).max;
        let added = |of: &While| highest(latest(of) - latest(&quiet), 0.0);
        self.added.push([added(&plain), added(&with)]);
        self.quiet.extend(quiet);
        self.plain.extend(plain);
        self.with.extend(with);
        self.rates.push([plain_rate, rate]);
    }

    fn show(&self, beside: &Beside, key: &str, section: &mut Section, taken: &mut Vec<Taken>) {
        let sender = Beside::new(format!("plain_{key}"), "as many bytes by another process");
        section
            .figures
            .extend(sender.show(&self.quiet, &self.plain));
        let figures = beside.compare_with_plain(&self.quiet, &self.plain, &self.with);
        section.figures.extend(figures);
        let [plain, rate] = medians(&self.rates);
        let rate = beside.figure("rate", "its rate", rate, "GB/s");
        section.figures.push(rate.beside(plain));
        // Beside the plain sender it would be what others take.
        taken.push(self.with.taken);
    }
}

fn medians(turns: &[[f64; 2]]) -> [f64; 2] {
    [0, 1].map(|of| median(turns.iter().map(|turn| turn[of]).collect()))
}

async fn slowly(
    bench: &Bench,
    size: &Size,
    (key, what, bytes_per_second): (&str, &str, usize),
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    let stage = filled(bench, size).await?;
    let without = stage.measure(size.windows).await?;
    let conduct = Conduct::Reads { bytes_per_second };
    stage
        .join(size.slow, conduct, &[Topic::all_of(BULK)])
        .await?;
    let with = stage.measure(size.windows).await?;
    let beside = Beside::new(key, format!("{} that read the topic {what}", size.slow));
    section.figures.extend(beside.compare(&without, &with));
    taken.push(with.taken);
    Ok(())
}

/// With the topic, which none of those who are measured follows.
async fn filled(bench: &Bench, size: &Size) -> Result<Stage, Failure> {
    let stage = Stage::set(bench, size).await?;
    let publisher = Publisher::join(&stage.crowd, &stage.server, &Records::new()).await?;
    let topic = items(size.items, size.value, b'v', false);
    publisher.fill(&stage.server, BULK, topic).await?;
    Ok(stage)
}

/// What is measured beside the plainest sender, which sends so many GB/s at most, and how many it
/// was.
async fn beside_plain_sender(
    stage: &Stage,
    size: &Size,
    (crowd, receivers): (&Crowd, usize),
    rate: f64,
) -> Result<(While, f64), Failure> {
    let records = Records::new();
    let receivers = crowd.add(receivers, Conduct::Answers, &records);
    let sender = Sender::start(sender::Wanted {
        items: size.items,
        value: size.value,
        prefixes: 0,
        to: receivers.iter().map(|one| crowd.address(one)).collect(),
    });
    let sender = sender.await?;
    let with = tokio::select! {
        // Ends only by a failure.
        failed = plainly(sender, rate) => return Err(failed),
        measured = stage.measure(size.windows_of_a_turn) => measured?,
    };
    let rate = stage.rate(&with, records.large_bytes());
    Ok((with, rate))
}

/// Sends the same again and again, no faster than so many GB/s.
async fn plainly(mut sender: Sender, rate: f64) -> Failure {
    let period = Duration::from_secs_f64(sender.bytes as f64 / 1e9 / rate.max(1e-3));
    let mut pace = tokio::time::interval(period);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        if let Err(failure) = sender.connect().await {
            return failure;
        }
        if let Err(failure) = sender.send().await {
            return failure;
        }
    }
}

/// Sends the topic to all receivers, and again as soon as all have it.
async fn again_and_again(
    stage: &Stage,
    crowd: &Crowd,
    receivers: &[Arc<Subscriber>],
    records: &Records,
) -> Failure {
    let followed = [Topic::all_of(BULK)];
    for round in 1.. {
        let address = stage.server.address();
        if let Err(failure) = crowd.register(&address, receivers, &followed).await {
            return failure;
        }
        let all = records.larges(round * receivers.len(), LIMIT).await;
        if all.is_none() {
            break;
        }
    }
    too_late("the large topic at its receivers".to_owned())
}
