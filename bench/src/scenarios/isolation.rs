//! P4: whether those who answer notice those who do not, or a large update on its way.
//!
//! The same subscribers are measured with and without the disturbance, on the same server; what
//! they had without it is the limit.

use super::{
    BULK, Bench, LIMIT, Meter, NORMAL, PRIORITY, Publisher, Taken, items, others, too_late,
};
use crate::apart::Apart;
use crate::crowd::{Conduct, Crowd, Lateness, Records, Subscriber, Topic};
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section};
use crate::server::Statestored;
use clap::Parser;
use std::sync::Arc;
use std::time::Duration;

/// Punctuality beside hung subscribers, a large update under way, and slow readers.
#[derive(Debug, Parser)]
pub(crate) struct Size {
    /// Subscribers that are measured
    #[arg(long, default_value_t = 200)]
    pub(crate) subscribers: usize,
    /// Subscribers that take connections and never answer
    #[arg(long, default_value_t = 1_000)]
    pub(crate) hung: usize,
    /// Entries of the large topic
    #[arg(long, default_value_t = 100_000)]
    pub(crate) items: usize,
    /// Bytes of a value in it
    #[arg(long, default_value_t = 1_000)]
    pub(crate) value: usize,
    /// Subscribers that are sent it, over and over
    #[arg(long, default_value_t = 10)]
    pub(crate) receivers: usize,
    /// Subscribers that read it slowly
    #[arg(long, default_value_t = 20)]
    pub(crate) slow: usize,
    /// Seconds that are measured, each time
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Seconds before that, until connections are open and a disturbance has begun
    #[arg(long, default_value_t = 3)]
    pub(crate) warm_up: u64,
}

/// What a slow reader takes.
const SLOW: usize = 1_000_000;

/// A server with those who are measured.
struct Stage {
    server: Statestored,
    crowd: Crowd,
    records: Arc<Records>,
    window: Duration,
    warm_up: Duration,
}

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let mut section = Section {
        title: "P4: nobody waits for anybody".to_owned(),
        how: how(size),
        ..Section::default()
    };
    let mut taken = Vec::new();
    hung(bench, size, &mut section, &mut taken).await?;
    bulk(bench, size, &mut section, &mut taken).await?;
    section.others = others(&taken);
    Ok(section)
}

async fn hung(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    // A heartbeat, two updates, and each again while the former is being closed.
    if !bench.allows((size.subscribers + size.hung) * 6) {
        let note = format!("{} hung subscribers need more open files.", size.hung);
        section.notes.push(note);
        return Ok(());
    }
    let stage = Stage::set(bench, size).await?;
    let (without, _) = stage.measure().await?;
    let silent = stage.crowd.add(size.hung, Conduct::Hangs, &Records::new());
    let topics = [PRIORITY, NORMAL].map(Topic::all_of);
    let address = stage.server.address();
    stage.crowd.register(&address, &silent, &topics).await?;
    let (with, this) = stage.measure().await?;
    taken.push(this);
    let what = format!("beside {} hung", size.hung);
    section
        .figures
        .extend(compare("hung", &what, &without, &with));
    let cpu = this.server / this.seconds * 100.0;
    section.figures.push(Figure::new(
        "p4.hung.cpu",
        format!("{what}: CPU"),
        cpu,
        "% of a core",
    ));
    Ok(())
}

async fn bulk(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    let stage = Stage::set(bench, size).await?;
    let publisher = Publisher::join(&stage.crowd, &stage.server, &Records::new()).await?;
    let topic = items(size.items, size.value, b'v', false);
    publisher.fill(&stage.server, BULK, topic).await?;
    let (without, _) = stage.measure().await?;

    let records = Records::new();
    let apart = Apart::start()?;
    let crowd = apart.crowd("receiver").await?;
    let receivers = crowd.add(size.receivers, Conduct::Answers, &records);
    let endless = again_and_again(&stage, &crowd, &receivers, &records);
    let measured = stage.measure();
    let ((with, this), sent) = tokio::select! {
        // Ends only by a failure.
        failed = endless => return Err(failed),
        measured = measured => (measured?, records.large_bytes() as f64),
    };
    taken.push(this);
    let what = format!("beside a topic on its way to {}", size.receivers);
    section
        .figures
        .extend(compare("bulk", &what, &without, &with));
    let seconds = this.seconds + stage.warm_up.as_secs_f64();
    section.figures.push(Figure::new(
        "p4.bulk.rate",
        format!("{what}: its rate"),
        sent / 1e9 / seconds,
        "GB/s",
    ));

    let conduct = Conduct::Reads {
        bytes_per_second: SLOW,
    };
    let slow = stage.crowd.add(size.slow, conduct, &Records::new());
    let address = stage.server.address();
    let followed = [Topic::all_of(BULK)];
    stage.crowd.register(&address, &slow, &followed).await?;
    let (with, this) = stage.measure().await?;
    taken.push(this);
    let what = format!("beside {} slow readers of the topic", size.slow);
    section
        .figures
        .extend(compare("slow", &what, &without, &with));
    Ok(())
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
        if records
            .larges(round * receivers.len(), LIMIT)
            .await
            .is_none()
        {
            break;
        }
    }
    too_late("the large topic at its receivers".to_owned())
}

impl Stage {
    async fn set(bench: &Bench, size: &Size) -> Result<Self, Failure> {
        let (server, crowd) = bench.start(&[]).await?;
        let records = Records::new();
        let all = crowd.add(size.subscribers, Conduct::Answers, &records);
        let topics = [PRIORITY, NORMAL].map(Topic::all_of);
        crowd.register(&server.address(), &all, &topics).await?;
        Ok(Self {
            server,
            crowd,
            records,
            window: Duration::from_secs(size.seconds),
            warm_up: Duration::from_secs(size.warm_up),
        })
    }

    async fn measure(&self) -> Result<([Lateness; 3], Taken), Failure> {
        tokio::time::sleep(self.warm_up).await;
        let meter = Meter::start(&self.server)?;
        self.records.start();
        tokio::time::sleep(self.window).await;
        Ok((self.records.stop(), meter.stop()?))
    }
}

fn compare(key: &str, what: &str, without: &[Lateness; 3], with: &[Lateness; 3]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (lane, i) in [("heartbeat", 0), ("priority", 1)] {
        let (before, after) = (&without[i], &with[i]);
        let figure = |part: &str, before: f64, after: f64| {
            let key = format!("p4.{key}.{lane}_{part}");
            let what = format!("{what}: {lane} lateness, {part}");
            Figure::new(key, what, after, "ms").beside(before)
        };
        figures.extend([
            figure("p50", before.p50, after.p50),
            figure("p99", before.p99, after.p99).promised("P4", Bound::MostOfLimit(1.1)),
            figure("max", before.max, after.max),
        ]);
    }
    figures
}

fn how(size: &Size) -> String {
    format!(
        "{} subscribers with heartbeats (1 s), a priority topic (100 ms) and a normal one (2 s) \
         are measured for {} s without and with a disturbance: {} more subscribers of the same \
         topics that take connections and never answer; a topic of {:.0} MB that {} others are \
         sent again as soon as they have it, as fast as they read; the same topic to {} who read \
         {} MB/s each. Limit: the same figure without the disturbance.",
        size.subscribers,
        size.seconds,
        size.hung,
        (size.items * size.value) as f64 / 1e6,
        size.receivers,
        size.slow,
        SLOW / 1_000_000,
    )
}
