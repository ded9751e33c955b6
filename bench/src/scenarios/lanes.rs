//! P3: what it costs to ask everybody all the time, and how punctual it is.
//!
//! Heartbeats alone, then all three lanes; nothing changes meanwhile. Limit: one thread that
//! makes the same number of calls a second to the same receivers, see `straight`; beside it, what
//! an event loop takes for as many.

use super::{Bench, Meter, NORMAL, PRIORITY, Taken, others};
use crate::crowd::{Conduct, Crowd, Lateness, Records, Topic};
use crate::failure::Failure;
use crate::figures::{Bound, Figure, Section, median};
use crate::server::Statestored;
use crate::straight::{self, message};
use clap::Parser;
use statestore_wire::ItemBatch;
use std::time::Duration;
use tokio::time::Instant;

/// Heartbeats, and optionally updates, to many subscribers.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Size {
    /// Numbers of subscribers
    #[arg(long, value_delimiter = ',', default_value = "1000,5000,10000")]
    pub(crate) subscribers: Vec<usize>,
    /// Also a priority and a normal topic
    #[arg(long)]
    pub(crate) updates: bool,
    /// Everybody also asks for the lowest version that any subscriber has
    #[arg(long)]
    pub(crate) min_version: bool,
    /// The same topics, but they publish by calls and need not be polled
    #[arg(long)]
    pub(crate) publishing: bool,
    /// Seconds that are measured
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Seconds before that, until connections are open and the first calls are over
    #[arg(long, default_value_t = 4)]
    pub(crate) warm_up: u64,
    /// Seconds over which they register evenly; 0 is as fast as they are served
    #[arg(long, default_value_t = 0)]
    pub(crate) over: u64,
}

/// CPU is the median of windows of this length: the machine is slower for some of them.
const WINDOW: Duration = Duration::from_secs(2);
/// Those who register over some seconds do so in this rhythm.
const BEAT: Duration = Duration::from_millis(10);
/// Of the calls that the periods make: slack and the calls' own time are taken off.
const NEARLY_ALL: f64 = 0.9;
/// So often both are measured: the machine's phases make a fifth of difference.
const TURNS: usize = 3;
/// What is no difference.
const SAME: f64 = 1.1;
/// Connections of the limit; both ends are files of this process.
const LIMIT_CONNECTIONS: usize = 5_000;

/// One size's measure.
struct Measured {
    taken: Taken,
    /// The server's CPU in a typical second, and in all.
    cpu: f64,
    mean: f64,
    lateness: [Lateness; 3],
    registration: f64,
    /// Subscribers still registered at the end.
    left: f64,
    /// Connections opened while it was measured.
    opened: f64,
    rss: f64,
    threads: f64,
    files: f64,
}

pub(crate) async fn run(bench: &Bench, size: &Size) -> Result<Section, Failure> {
    let mut section = Section {
        title: match (size.updates, size.publishing) {
            (_, true) => "P3c: idle subscribers that publish by themselves",
            _ if size.min_version => "P3d: all lanes, and all ask for the lowest version",
            (false, false) => "P3: heartbeats only",
            (true, false) => "P3b: heartbeats, priority and normal topics",
        }
        .to_owned(),
        how: how(size),
        ..Section::default()
    };
    let mut taken = Vec::new();
    for &n in &size.subscribers {
        // Connections that idle are closed when files are short, so resting ones need none.
        let lanes = if size.updates { 3 } else { 1 };
        if !bench.allows(n * lanes) {
            section.notes.push(format!(
                "{n} subscribers were not measured: they need {} open files, the machine allows \
                 {}.",
                n * lanes,
                bench.files
            ));
            continue;
        }
        let measured = measure(bench, size, n).await?;
        let limit = limit(size, n, measured.rate()).await?;
        taken.push(measured.taken);
        section.figures.extend(figures(size, n, &measured, limit));
        if size.publishing || size.min_version {
            let beside = difference(bench, size, n, measured).await?;
            section.figures.extend(beside);
        }
    }
    section.others = others(&taken);
    Ok(section)
}

/// CPU and calls of what should make no difference, beside the same without it: the least CPU of
/// some turns. Those who rest may differ though their calls do not: what they follow takes room in
/// caches.
async fn difference(
    bench: &Bench,
    size: &Size,
    n: usize,
    first: Measured,
) -> Result<Vec<Figure>, Failure> {
    let plain = Size {
        min_version: false,
        publishing: false,
        updates: size.updates && !size.publishing,
        ..size.clone()
    };
    let other = measure(bench, &plain, n).await?;
    let (mut with, mut without) = (first.mean, other.mean);
    for _ in 1..TURNS {
        with = with.min(measure(bench, size, n).await?.mean);
        without = without.min(measure(bench, &plain, n).await?.mean);
    }
    let than = match size.publishing {
        true => "heartbeats alone",
        false => "without lowest versions",
    };
    let (name, promise) = name(size);
    let figure = |part: &str, what: &str, value, unit| {
        let key = format!("{name}.{n}.difference_{part}");
        Figure::new(
            key,
            format!("{n} subscribers: {what} beside {than}"),
            value,
            unit,
        )
    };
    let cpu = figure("cpu", "CPU", with * 100.0, "% of a core").beside(without * 100.0);
    let calls = figure("calls", "calls", first.rate(), "1/s").beside(other.rate());
    Ok([calls, cpu]
        .map(|figure| figure.promised(promise, Bound::MostOfLimit(SAME)))
        .into())
}

impl Measured {
    /// Calls a second.
    fn rate(&self) -> f64 {
        let calls: u64 = self.lateness.iter().map(|lane| lane.calls).sum();
        calls as f64 / self.taken.seconds
    }
}

async fn measure(bench: &Bench, size: &Size, n: usize) -> Result<Measured, Failure> {
    let (server, crowd) = bench.start(&[]).await?;
    let records = Records::new();
    let conduct = match size.publishing {
        true => Conduct::Publishes,
        false => Conduct::Answers,
    };
    let all = crowd.add(n, conduct, &records);
    let topics = [PRIORITY, NORMAL].map(|name| Topic {
        min_version: size.min_version,
        ..Topic::all_of(name)
    });
    let none = !size.updates && !size.publishing;
    let topics: &[Topic] = if none { &[] } else { &topics };
    let (start, address) = (Instant::now(), server.address());
    if size.over == 0 {
        crowd.register(&address, &all, topics).await?;
    } else {
        let beats = Duration::from_secs(size.over).as_millis() / BEAT.as_millis();
        let mut ticks = tokio::time::interval(BEAT);
        for some in all.chunks(n.div_ceil(beats as usize)) {
            ticks.tick().await;
            crowd.register(&address, some, topics).await?;
        }
    }
    let registration = start.elapsed();
    tokio::time::sleep(Duration::from_secs(size.warm_up)).await;

    records.start();
    let opened = crowd.accepted();
    let meter = Meter::start(&server)?;
    let cpu = typical_cpu(&server, size.seconds).await?;
    let taken = meter.stop()?;
    records.overdue(&all);
    let lateness = records.stop();
    let opened = (crowd.accepted() - opened) as f64;
    let left = server.subscribers().await? as f64;
    let process = server.process();
    let (rss, threads, files) = (process.rss()?, process.threads()?, process.open_files()?);
    drop(server);
    drop(crowd);
    Ok(Measured {
        registration: registration.as_secs_f64(),
        left,
        opened,
        cpu,
        mean: taken.server / taken.seconds,
        taken,
        lateness,
        rss,
        threads,
        files,
    })
}

/// CPU in seconds that the server takes a second; the median of some windows, each long enough for
/// the longest period.
async fn typical_cpu(server: &Statestored, seconds: u64) -> Result<f64, Failure> {
    let process = server.process();
    let mut each = Vec::new();
    let (mut start, mut before) = (Instant::now(), process.cpu_of_threads()?);
    for _ in 0..seconds.div_ceil(WINDOW.as_secs()) {
        tokio::time::sleep_until(start + WINDOW).await;
        let (now, after) = (Instant::now(), process.cpu_of_threads()?);
        each.push((after - before) / (now - start).as_secs_f64());
        (start, before) = (now, after);
    }
    Ok(median(each))
}

/// CPU of as many calls a second, and of each of them in an event loop; nine of ten are empty
/// updates if updates are on.
async fn limit(size: &Size, n: usize, rate: f64) -> Result<(f64, f64), Failure> {
    let crowd = Crowd::open().await?;
    let all = crowd.add(n.min(LIMIT_CONNECTIONS), Conduct::Answers, &Records::new());
    let streams = straight::connect(all.iter().map(|one| crowd.address(one)).collect()).await?;
    let message = match size.updates {
        false => message::heartbeat(),
        true => message::update(PRIORITY, ItemBatch::new()),
    };
    let window = Duration::from_secs(size.seconds.min(5));
    let (cpu, streams) = straight::calls(streams, message.clone(), rate, window).await?;
    // Half the slack of the lane that makes most calls (ADR 0012).
    let instant = Duration::from_micros(if size.updates { 1_000 } else { 6_000 });
    let looped = straight::event_loop(streams, message, (rate, instant), window).await?;
    Ok((cpu, looped))
}

/// For programs, and the promise that it shows.
fn name(size: &Size) -> (&'static str, &'static str) {
    match (size.updates, size.publishing) {
        (_, true) => ("p3c", "Push"),
        _ if size.min_version => ("p3d", "W15"),
        (true, false) => ("p3b", "P3b"),
        (false, false) => ("p3", "P3"),
    }
}

fn figures(
    size: &Size,
    n: usize,
    measured: &Measured,
    (limit, event_loop): (f64, f64),
) -> Vec<Figure> {
    let (name, number) = name(size);
    let figure = |key: &str, what: &str, value, unit| {
        let key = format!("{name}.{n}.{key}");
        Figure::new(key, format!("{n} subscribers: {what}"), value, unit)
    };
    let share = |cpu: f64| cpu * 100.0;
    let cpu = share(measured.cpu);
    let a_call = |cpu: f64| cpu / measured.rate() * 1e6;
    // P3b: what one thread with direct calls took for 5,000 (docs/adr/0004), and 5 % of a period.
    let promised = |figure: Figure, number, most| match (number, name, n) {
        ("P3", "p3", 10_000) | ("P3b", "p3b", 5_000) => figure.promised(number, Bound::Most(most)),
        _ => figure,
    };
    let used = figure("cpu", "CPU", cpu, "% of a core");
    let used = promised(used.beside(share(limit)), "P3", 15.0);
    let mut figures = vec![
        promised(used, "P3b", 60.0),
        figure("cpu_per_call", "CPU a call", a_call(measured.cpu), "us").beside(a_call(limit)),
        figure(
            "event_loop",
            "a bare event loop's CPU a call",
            event_loop * 1e6,
            "us",
        ),
        figure("calls", "calls", measured.rate(), "1/s")
            .beside(n as f64 * if size.updates { 11.5 } else { 1.0 })
            .promised(number, Bound::LeastOfLimit(NEARLY_ALL)),
    ];
    let lanes = ["heartbeat", "priority", "normal"];
    for (lane, late) in lanes.iter().zip(&measured.lateness) {
        if !size.updates && *lane != "heartbeat" {
            continue;
        }
        let ms = |part: &str, value| {
            let what = format!("{lane} lateness, {part}");
            figure(&format!("{lane}_{part}"), &what, value, "ms")
        };
        let (p50, p99) = (ms("p50", late.p50), ms("p99", late.p99));
        let (p50, p99) = match *lane {
            "heartbeat" => (p50, promised(p99, "P3", 20.0)),
            // Within 5 % of its period.
            "priority" => (promised(p50, "P3b", 5.0), p99),
            _ => (p50, p99),
        };
        figures.extend([p50, p99, ms("max", late.max)]);
    }
    let (open, register) = ("connections opened meanwhile", "all registered in");
    figures.extend([
        figure("left", "still registered", measured.left, "")
            .beside(n as f64)
            .promised(number, Bound::LeastOfLimit(1.0)),
        figure("opened", open, measured.opened, ""),
        figure("registration", register, measured.registration, "s"),
        figure("rss", "memory", measured.rss / 1e6, "MB"),
        figure("threads", "threads", measured.threads, ""),
        figure("files", "open files", measured.files, ""),
    ]);
    figures
}

fn how(size: &Size) -> String {
    let periods = match (size.updates, size.publishing) {
        (_, true) => {
            "Heartbeats every second, a priority and a normal topic. All have said that they \
             publish by calls, so they are asked for updates once in 4 to 8 minutes only, in case \
             something was lost, and not while this measures; nothing changes. Compared with \
             subscribers of no topics, in turns."
        }
        (false, false) => "Heartbeats every second, no topics.",
        (true, false) => {
            "Heartbeats every second, a priority topic every 100 ms, a normal one every 2 s, all \
             empty and unchanged. Push on change is on (the default), but nothing changes, so the \
             periods decide."
        }
    };
    let periods = match size.min_version {
        true => {
            format!("{periods} All ask for the lowest version, and then nobody does, in turns.")
        }
        false => periods.to_owned(),
    };
    let pace = match size.over {
        0 => "as fast as they are served".to_owned(),
        over => format!("evenly over {over} s, and so their heartbeats come"),
    };
    format!(
        "{periods} The subscribers register {pace}; then {} s of warm-up, {} s are measured. CPU \
         is the median of windows of 2 s. Lateness, seen by the subscriber: from one call's \
         arrival to the next, less the period; the call's own duration and the period's slack are \
         part of it. Limit: one thread with blocking sockets makes as many calls a second, written \
         and read in batches, without timers, deadlines or a wait for readiness; for the number of \
         calls, what the periods alone would give. A bare event loop is one thread that waits for \
         readiness, makes as many calls a second, at the instants of those periods, and has \
         nothing else to do. Both have {LIMIT_CONNECTIONS} connections at most.",
        size.warm_up, size.seconds
    )
}
