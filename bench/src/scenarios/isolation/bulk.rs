//! A large topic: while it comes, while it goes out, and at those who read it slowly.
//!
//! Deliberately absent: its own speed as a promise (`fanout`). Invariant: publisher and receivers
//! live on threads that give way, so that the crowd that is measured can read the clock.

use super::super::{BULK, Bench, LIMIT, Publisher, Taken, items, too_late};
use super::{Beside, Size, Stage, While};
use crate::apart::Apart;
use crate::crowd::{Conduct, Crowd, Records, Subscriber, Topic};
use crate::failure::Failure;
use crate::figures::{Bound, Section};
use crate::straight::{self, message};
use std::sync::Arc;

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

/// The topic is published again and again; nobody follows it. Limit: what the plainest sender of
/// the same bytes to one process leaves of the machine.
async fn coming(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    let stage = Stage::set(bench, size).await?;
    let quiet = stage.measure().await?;
    let apart = Apart::start()?;
    let crowd = apart.crowd("publisher").await?;
    let (plain, plain_rate) = beside_plain_sender(&stage, size, &crowd, 1).await?;
    let publisher = Publisher::join(&crowd, &stage.server, &Records::new()).await?;
    publisher.publish_often(BULK, items(size.items, size.value, b'p', false), READY);
    let before = stage.server.version(BULK).await?;
    let with = stage.measure().await?;
    let entries = stage.server.version(BULK).await? - before;
    let beside = Beside::new("coming", "a topic that is published again and again");
    let sender = Beside::new("plain_coming", "the same bytes to another process");
    section.figures.extend(sender.show(&quiet, &plain));
    section.figures.extend(beside.compare(&plain, &with));
    let added = with.lateness[0].max - plain.lateness[0].max;
    let added = beside.figure("added", "added to a heartbeat, max", added.max(0.0), "ms");
    let rate = stage.rate(&with, entries * size.value as u64);
    section.figures.extend([
        added.promised("Intake", Bound::Most(MOST_ADDED)),
        beside
            .figure("rate", "its rate", rate, "GB/s")
            .beside(plain_rate),
    ]);
    taken.extend([plain.taken, with.taken]);
    Ok(())
}

/// The topic is sent again as soon as all have it. Whatever sends so much takes the machine's
/// cores from those who are measured, so the limit is what the plainest sender leaves them.
async fn going(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    let stage = filled(bench, size).await?;
    let quiet = stage.measure().await?;
    let apart = Apart::start()?;
    let crowd = apart.crowd("receiver").await?;
    let (plain, plain_rate) = beside_plain_sender(&stage, size, &crowd, size.receivers).await?;
    let records = Records::new();
    let receivers = crowd.add(size.receivers, Conduct::Answers, &records);
    let endless = again_and_again(&stage, &crowd, &receivers, &records);
    let (with, sent) = tokio::select! {
        // Ends only by a failure.
        failed = endless => return Err(failed),
        measured = stage.measure() => (measured?, records.large_bytes()),
    };
    let sender = Beside::new("plain", "the same bytes by another process");
    section.figures.extend(sender.show(&quiet, &plain));
    let what = format!("a topic on its way to {}", size.receivers);
    let beside = Beside::new("bulk", what);
    section.figures.extend(beside.compare(&plain, &with));
    let rate = beside.figure("rate", "its rate", stage.rate(&with, sent), "GB/s");
    section.figures.push(rate.beside(plain_rate));
    taken.extend([plain.taken, with.taken]);
    Ok(())
}

async fn slowly(
    bench: &Bench,
    size: &Size,
    (key, what, bytes_per_second): (&str, &str, usize),
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    let stage = filled(bench, size).await?;
    let without = stage.measure().await?;
    let conduct = Conduct::Reads { bytes_per_second };
    stage
        .join(size.slow, conduct, &[Topic::all_of(BULK)])
        .await?;
    let with = stage.measure().await?;
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

/// What is measured beside the plainest sender, and how fast that is, in GB/s.
async fn beside_plain_sender(
    stage: &Stage,
    size: &Size,
    crowd: &Crowd,
    receivers: usize,
) -> Result<(While, f64), Failure> {
    let records = Records::new();
    let receivers = crowd.add(receivers, Conduct::Answers, &records);
    let with = tokio::select! {
        // Ends only by a failure.
        failed = plainly(size, crowd, &receivers) => return Err(failed),
        measured = stage.measure() => measured?,
    };
    let rate = stage.rate(&with, records.large_bytes());
    Ok((with, rate))
}

/// Sends the same bytes to as many by the plainest means, and again as soon as all have them.
async fn plainly(size: &Size, crowd: &Crowd, receivers: &[Arc<Subscriber>]) -> Failure {
    let topic = items(size.items, size.value, b'v', false);
    let message = Arc::new(message::update(BULK, topic));
    loop {
        let addresses = receivers.iter().map(|one| crowd.address(one));
        let sent = match straight::connect(addresses.collect()).await {
            Ok(streams) => {
                let message = Arc::clone(&message);
                straight::fan_out(streams, || message).await
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = sent {
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
