//! P5 under a publisher that never rests: changes that come together leave together.
//!
//! Deliberately absent: how long one change takes (`changes`).

use super::{Bench, Meter, NORMAL, others};
use crate::crowd::{Conduct, Records, Topic};
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section};
use crate::unasked::Caller;
use clap::Parser;
use statestore_wire::ItemBatch;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// A publisher that changes many keys a second: messages and CPU that become of it
#[derive(Debug, Parser)]
pub(crate) struct Size {
    #[arg(long, default_value_t = 100)]
    pub(crate) subscribers: usize,
    /// Changes a second, each of another key and by a call of its own
    #[arg(long, default_value_t = 1_000)]
    pub(crate) rate: u64,
    #[arg(long, default_value_t = 8)]
    pub(crate) seconds: u64,
}

/// Updates that a subscriber may be sent in a second: one in each `--statestore_push_coalesce_ms`
/// of 10, the default.
const MOST: f64 = 100.0;
const VALUE: [u8; 100] = [b's'; 100];

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let (server, crowd) = bench.start(&[]).await?;
    let records = Records::new();
    let all = crowd.add(size.subscribers, Conduct::Answers, &records);
    let followed = [Topic::all_of(NORMAL)];
    crowd.register(&server.address(), &all, &followed).await?;
    let topics = [Topic::nothing_of(NORMAL)];
    let mut caller = Caller::join(&crowd, server.address(), &topics, &Records::new()).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let window = Duration::from_secs(size.seconds);
    let (meter, start, mut changes) = (Meter::start(&server)?, Instant::now(), 0);
    records.start();
    let mut turns = interval(Duration::from_secs(1) / size.rate.max(1) as u32);
    turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while start.elapsed() < window {
        turns.tick().await;
        let key = format!("key-{:08}", changes % 1_000);
        let item = [(key.as_bytes(), &VALUE[..], false)];
        caller.publish(NORMAL, ItemBatch::from_items(item)).await?;
        changes += 1;
    }
    let taken = meter.stop()?;
    let updates = records.stop()[2].calls as f64;
    let (seconds, n) = (taken.seconds, size.subscribers as f64);
    let rate = f64::from(changes) / seconds;
    let figure = |key: &str, what: &str, value, unit| {
        Figure::new(format!("p5.stream.{key}"), what, value, unit)
    };
    Ok(Section {
        title: format!("P5: {} changes a second to {n} subscribers", size.rate),
        how: format!(
            "A publisher changes {} keys a second, each by a call of its own, for {} s; the \
             subscribers follow the normal topic at the default settings. Limit: a message for \
             each change; for the changes, what was asked for.",
            size.rate, size.seconds
        ),
        figures: vec![
            figure("changes", "changes taken in", rate, "1/s").beside(size.rate as f64),
            figure(
                "updates",
                "updates for each subscriber",
                updates / seconds / n,
                "1/s",
            )
            .beside(rate)
            .promised("P5", Bound::Most(MOST)),
            figure("cpu", "CPU", taken.server / seconds * 100.0, "% of a core"),
            figure(
                "cpu_per_update",
                "CPU an update, all included",
                taken.server / updates.max(1.0) * 1e6,
                "us",
            ),
        ],
        others: others(&[taken]),
        ..Section::default()
    })
}
