//! P4: whether those who answer notice those who do not, or a large topic on its way.
//!
//! ```text
//!   the same 200: measured | a disturbance begins | measured again
//! ```
//!
//! What they had without it, on the same server just before, is the limit. Deliberately absent:
//! how the disturbers fare, but for their registrations.

use super::{Bench, Meter, NORMAL, PRIORITY, Taken, others};
use crate::crowd::{Conduct, Crowd, Lateness, Records, Subscriber, Topic};
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section, median};
use crate::server::Statestored;
use clap::{Parser, ValueEnum};
use std::sync::Arc;
use std::time::Duration;

mod bulk;
mod odd;

/// How long each of those who came at once takes to be due apart from the others: a thousand, some
/// seconds (ADR 0012).
const SETTLING: Duration = Duration::from_millis(5);

/// Punctuality beside those who hang, skip, are far or read slowly, and beside a large topic
#[derive(Debug, Parser)]
pub(crate) struct Size {
    /// Subscribers that are measured
    #[arg(long, default_value_t = 200)]
    pub(crate) subscribers: usize,
    /// Numbers of subscribers that never answer: heartbeats, updates, both
    #[arg(long, value_delimiter = ',', default_values_t = [1, 20, 1_000])]
    pub(crate) hung: Vec<usize>,
    /// Subscribers that answer every update by `skipped`
    #[arg(long, default_value_t = 50)]
    pub(crate) skipping: usize,
    /// Subscribers that are far away
    #[arg(long, default_value_t = 20)]
    pub(crate) far: usize,
    /// How far: milliseconds there and back
    #[arg(long, default_value_t = 200)]
    pub(crate) away_ms: u64,
    /// Entries of the large topic
    #[arg(long, default_value_t = 100_000)]
    pub(crate) items: usize,
    /// Bytes of a value in it
    #[arg(long, default_value_t = 1_000)]
    pub(crate) value: usize,
    /// Subscribers that are sent it, over and over
    #[arg(long, default_value_t = 10)]
    pub(crate) receivers: usize,
    /// Subscribers that read it slowly, a megabyte or a byte a second
    #[arg(long, default_value_t = 20)]
    pub(crate) slow: usize,
    /// How often a publisher or they have their turn, and the limit
    #[arg(long, default_value_t = 3)]
    pub(crate) turns: usize,
    /// Windows of a turn
    #[arg(long, default_value_t = 2)]
    pub(crate) windows_of_a_turn: usize,
    /// Seconds that are measured in a row
    #[arg(long, default_value_t = 3)]
    pub(crate) seconds: u64,
    /// How often, each time; the median of 50th and 99th percentiles counts
    #[arg(long, default_value_t = 5)]
    pub(crate) windows: usize,
    /// Seconds before that, until connections are open and a disturbance has begun
    #[arg(long, default_value_t = 2)]
    pub(crate) warm_up: u64,
    /// Only these disturbances
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Kind>,
}

/// What disturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Hung,
    Skipping,
    Far,
    Topic,
}

impl Size {
    fn has(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.contains(&kind)
    }
}

/// A server with those who are measured.
struct Stage {
    server: Statestored,
    crowd: Crowd,
    all: Vec<Arc<Subscriber>>,
    records: Arc<Records>,
    window: Duration,
    warm_up: Duration,
}

/// A while of theirs.
#[derive(Default)]
struct While {
    windows: Vec<[Lateness; 3]>,
    taken: Taken,
}

/// A disturbance: for programs, for people.
#[derive(Debug, Clone)]
struct Beside {
    key: String,
    what: String,
}

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let mut section = Section {
        title: "P4: nobody waits for anybody".to_owned(),
        how: how(size),
        ..Section::default()
    };
    let mut taken = Vec::new();
    if size.has(Kind::Hung) {
        odd::hung(bench, size, &mut section, &mut taken).await?;
    }
    if size.has(Kind::Skipping) {
        odd::skipping(bench, size, &mut section, &mut taken).await?;
    }
    if size.has(Kind::Far) {
        odd::far(bench, size, &mut section, &mut taken).await?;
    }
    if size.has(Kind::Topic) {
        bulk::run(bench, size, &mut section, &mut taken).await?;
    }
    section.others = others(&taken);
    Ok(section)
}

impl Beside {
    fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        let (key, what) = (key.into(), what.into());
        Self { key, what }
    }

    fn figure(&self, part: &str, what: &str, value: f64, unit: &'static str) -> Figure {
        let key = format!("p4.{}.{part}", self.key);
        Figure::new(key, format!("beside {}: {what}", self.what), value, unit)
    }

    /// Heartbeats and priority updates, after beside before: hardly worse.
    fn compare(&self, without: &While, with: &While) -> Vec<Figure> {
        let figures = self.show(without, with).into_iter();
        let promise = |figure: Figure| match figure.key.ends_with("_p99") {
            true => figure.promised("P4", Bound::MostOfLimit(1.1)),
            false => figure,
        };
        figures.map(promise).collect()
    }

    /// The same where a plain sender is the limit: what is promised is by what was `without` it.
    fn compare_with_plain(&self, without: &While, plain: &While, with: &While) -> Vec<Figure> {
        let promised = self.show(without, with).into_iter();
        let figures = promised.zip(self.show(plain, with));
        let promise =
            |(by, figure): (Figure, Figure)| match (figure.key.ends_with("_p99"), by.limit) {
                (true, Some(without)) => figure.promised("P4", Bound::Most(1.1 * without)),
                _ => figure,
            };
        figures.map(promise).collect()
    }

    /// The same, promising nothing.
    fn show(&self, without: &While, with: &While) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (lane, i) in [("heartbeat", 0), ("priority", 1)] {
            let (before, after) = (without.lateness(i), with.lateness(i));
            let figure = |part: &str, before: f64, after: f64| {
                let what = format!("{lane} lateness, {part}");
                self.figure(&format!("{lane}_{part}"), &what, after, "ms")
                    .beside(before)
            };
            figures.extend([
                figure("p50", before.p50, after.p50),
                figure("p99", before.p99, after.p99),
                figure("max", before.max, after.max),
            ]);
        }
        figures
    }
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
            all,
            records,
            window: Duration::from_secs(size.seconds),
            warm_up: Duration::from_secs(size.warm_up),
        })
    }

    /// Lets so many more in, who then disturb; until those who came at once no longer are due at
    /// once.
    async fn join(&self, count: usize, conduct: Conduct, topics: &[Topic]) -> Result<(), Failure> {
        let more = self.crowd.add(count, conduct, &Records::new());
        let address = self.server.address();
        self.crowd.register(&address, &more, topics).await?;
        tokio::time::sleep(SETTLING * count as u32).await;
        Ok(())
    }

    async fn measure(&self, windows: usize) -> Result<While, Failure> {
        tokio::time::sleep(self.warm_up).await;
        let meter = Meter::start(&self.server)?;
        let mut seen = Vec::new();
        for _ in 0..windows {
            self.records.start();
            tokio::time::sleep(self.window).await;
            self.records.overdue(&self.all);
            seen.push(self.records.stop());
        }
        let taken = meter.stop()?;
        Ok(While {
            windows: seen,
            taken,
        })
    }

    /// GB/s of what moved during a measure and the warm-up before it.
    fn rate(&self, with: &While, bytes: u64) -> f64 {
        let seconds = with.taken.seconds + self.warm_up.as_secs_f64();
        bytes as f64 / 1e9 / seconds
    }
}

impl While {
    /// Of a lane.
    fn lateness(&self, lane: usize) -> Lateness {
        typical(self.windows.iter().map(|window| window[lane]))
    }

    /// By another one of the same kind.
    fn extend(&mut self, other: Self) {
        self.windows.extend(other.windows);
        self.taken.seconds += other.taken.seconds;
        self.taken.server += other.taken.server;
        self.taken.others = self.taken.others.max(other.taken.others);
    }
}

/// A single burst decides the 99th percentile of a window, so the median of several counts.
fn typical(windows: impl Iterator<Item = Lateness> + Clone) -> Lateness {
    let of = |take: fn(Lateness) -> f64| windows.clone().map(take).collect::<Vec<f64>>();
    Lateness {
        calls: windows.clone().map(|window| window.calls).sum(),
        p50: median(of(|window| window.p50)),
        p99: median(of(|window| window.p99)),
        max: of(|window| window.max).into_iter().fold(0.0, highest),
    }
}

/// Not a number if either is none.
fn highest(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

fn how(size: &Size) -> String {
    format!(
        "{}{} subscribers with heartbeats (1 s), a priority topic (100 ms) and a normal one (2 s) \
         are measured {} times for {} s, without and with a disturbance, and the medians of the \
         percentiles count: more subscribers of the same topics \
         that take connections and never answer heartbeats, updates, or either; {} (of all, one \
         in five) that answer each update by `skipped` and are sent a hundred entries again and \
         again; {} behind a proxy that carries everything {} ms later, there and back together; a \
         topic of {:.0} MB that is published again and again; the same on its way to {} others, \
         who are sent it again as soon as they have it, as fast as they read; the same to {} who \
         read a megabyte each second, or one byte. Limit: the same figure without the \
         disturbance, on the same server just before; beside those who hang in heartbeats only, \
         and so go on taking updates, beside as many who answer all. While the topic is published \
         or on its way, {} times {} windows without it, with it, and beside a plain sender are in \
         turns; then the limit is the figure beside blocking threads of another process that write \
         as many bytes a second to one or as many, which is what this machine leaves of itself, \
         and what is promised is by the figure without either. Periods have a slack, of 12 ms and \
         2 ms, which is part of the lateness on both sides.",
        match size.only.is_empty() {
            true => "",
            false => "Some of these disturbances only. ",
        },
        size.subscribers,
        size.windows,
        size.seconds,
        size.skipping,
        size.far,
        size.away_ms,
        (size.items * size.value) as f64 / 1e6,
        size.receivers,
        size.slow,
        size.turns,
        size.windows_of_a_turn,
    )
}
