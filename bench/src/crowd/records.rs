//! What a crowd notes while it answers: when calls came, when a change or a large update was there.
//!
//! Lateness is the interval between two calls of a lane to one subscriber, less the lane's
//! period; the call's own duration is part of it, for the period runs from its end. Deliberately
//! absent: averages over subscribers before the percentiles are taken.

use super::{Subscriber, lock};
use hdrhistogram::Histogram;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A statestored's three streams of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Heartbeat,
    Priority,
    Normal,
}

/// The lanes' periods, by default.
const PERIODS: [Duration; 3] = [
    Duration::from_millis(1_000),
    Duration::from_millis(100),
    Duration::from_millis(2_000),
];

/// What one subscriber remembers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    last_call: [Option<Instant>; 3],
    last_change: u64,
}

impl Memory {
    /// Lanes in which a call has come.
    pub(super) fn lanes(&self) -> usize {
        self.last_call.iter().flatten().count()
    }
}

/// What a group of subscribers notes together.
pub(crate) struct Records {
    lanes: [Mutex<Option<LaneRecord>>; 3],
    larges: Mutex<Vec<(Instant, u64)>>,
    change: Mutex<Change>,
    news: Notify,
}

struct LaneRecord {
    calls: u64,
    lateness_us: Histogram<u64>,
}

/// How late the calls of a lane were, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lateness {
    pub(crate) calls: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

#[derive(Default)]
struct Change {
    number: u64,
    missing: usize,
    published: Option<Instant>,
    delays: Vec<Duration>,
}

impl Records {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            lanes: Default::default(),
            larges: Mutex::default(),
            change: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// Begins to note calls.
    pub(crate) fn start(&self) {
        for lane in &self.lanes {
            *lock(lane) = Some(LaneRecord {
                calls: 0,
                lateness_us: histogram(),
            });
        }
    }

    /// Notes also the calls that are overdue by now, of those who were called before: whoever is
    /// called no more is late, too.
    pub(crate) fn overdue(&self, who: &[Arc<Subscriber>]) {
        let now = Instant::now();
        for one in who {
            self.overdue_of(&lock(&one.memory), now);
        }
    }

    fn overdue_of(&self, memory: &Memory, now: Instant) {
        for ((before, lane), period) in memory.last_call.iter().zip(&self.lanes).zip(PERIODS) {
            let late = before.map(|before| now.saturating_duration_since(before));
            let late = late.and_then(|silence| silence.checked_sub(period));
            if let (Some(late), Some(record)) = (late, &mut *lock(lane)) {
                record.note(late);
            }
        }
    }

    /// Ends it; what was noted of a lane, in the order heartbeat, priority, normal.
    pub(crate) fn stop(&self) -> [Lateness; 3] {
        self.lanes.each_ref().map(|lane| {
            let record = lock(lane).take();
            record.map_or_else(|| Lateness::of(0, &histogram()), |record| record.lateness())
        })
    }

    /// Calls of a lane since [`start`](Self::start).
    pub(crate) fn calls(&self, lane: Lane) -> u64 {
        lock(&self.lanes[lane as usize])
            .as_ref()
            .map_or(0, |record| record.calls)
    }

    /// Forgets the large updates so far.
    pub(crate) fn forget_larges(&self) {
        lock(&self.larges).clear();
    }

    /// Waits until so many large updates have come: when the last did, and their bytes together.
    pub(crate) async fn larges(&self, count: usize, limit: Duration) -> Option<(Instant, u64)> {
        let wait = async {
            loop {
                let news = self.news.notified();
                {
                    let larges = lock(&self.larges);
                    if larges.len() >= count {
                        let last = larges.iter().map(|(at, _)| *at).max();
                        return last.zip(Some(larges.iter().map(|(_, len)| len).sum()));
                    }
                }
                news.await;
            }
        };
        tokio::time::timeout(limit, wait).await.ok().flatten()
    }

    /// Bytes of the large updates that have come.
    pub(crate) fn large_bytes(&self) -> u64 {
        lock(&self.larges).iter().map(|(_, len)| len).sum()
    }

    /// From now on `count` subscribers are expected to receive a value that begins with `number`.
    pub(crate) fn expect(&self, number: u64, count: usize) {
        *lock(&self.change) = Change {
            number,
            missing: count,
            ..Change::default()
        };
    }

    /// Waits until all have it: how long it took each, from its publication.
    pub(crate) async fn changes(&self, limit: Duration) -> Option<Vec<Duration>> {
        let wait = async {
            loop {
                let news = self.news.notified();
                {
                    let mut change = lock(&self.change);
                    if change.missing == 0 {
                        return std::mem::take(&mut change.delays);
                    }
                }
                news.await;
            }
        };
        tokio::time::timeout(limit, wait).await.ok()
    }

    /// The change goes out now.
    pub(crate) fn published(&self, now: Instant) {
        lock(&self.change).published = Some(now);
    }

    pub(super) fn call(&self, memory: &mut Memory, lane: Lane, now: Instant) {
        let before = memory.last_call[lane as usize].replace(now);
        let mut record = lock(&self.lanes[lane as usize]);
        let Some(record) = &mut *record else { return };
        record.calls += 1;
        if let Some(before) = before {
            record.note((now - before).saturating_sub(PERIODS[lane as usize]));
        }
    }

    pub(super) fn large(&self, len: u64, now: Instant) {
        lock(&self.larges).push((now, len));
        self.news.notify_one();
    }

    /// A topic item has come: is it the change that is awaited?
    pub(super) fn item(&self, memory: &mut Memory, value: &[u8], now: Instant) {
        let Some(number) = number_of(value) else {
            return;
        };
        let mut change = lock(&self.change);
        if number != change.number || memory.last_change == number {
            return;
        }
        memory.last_change = number;
        if let (Some(published), 1..) = (change.published, change.missing) {
            change.delays.push(now - published);
            change.missing -= 1;
            if change.missing == 0 {
                self.news.notify_one();
            }
        }
    }
}

impl LaneRecord {
    fn note(&mut self, late: Duration) {
        self.lateness_us.saturating_record(late.as_micros() as u64);
    }

    fn lateness(&self) -> Lateness {
        Lateness::of(self.calls, &self.lateness_us)
    }
}

impl Lateness {
    fn of(calls: u64, us: &Histogram<u64>) -> Self {
        // Whoever was not called again was not called in time.
        let none = us.is_empty();
        let ms = |us: u64| if none { f64::NAN } else { us as f64 / 1e3 };
        Self {
            calls,
            p50: ms(us.value_at_quantile(0.5)),
            p99: ms(us.value_at_quantile(0.99)),
            max: ms(us.max()),
        }
    }
}

/// A value that announces the change `number`, so many bytes long.
pub(crate) fn change(number: u64, len: usize) -> Vec<u8> {
    let mut value = format!("{MARK}{number:020}").into_bytes();
    value.resize(len.max(value.len()), b'.');
    value
}

const MARK: &str = "change ";

fn number_of(value: &[u8]) -> Option<u64> {
    let digits = value.strip_prefix(MARK.as_bytes())?.get(..20)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Microseconds up to a minute.
fn histogram() -> Histogram<u64> {
    #[expect(
        clippy::expect_used,
        reason = "the bounds are constants that the crate accepts"
    )]
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("constant bounds")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lateness_is_the_interval_less_the_period() {
        let records = Records::new();
        records.start();
        let (mut memory, start) = (Memory::default(), Instant::now());
        for ms in [0, 101, 203, 350] {
            let now = start + Duration::from_millis(ms);
            records.call(&mut memory, Lane::Priority, now);
        }
        let [_, priority, normal] = records.stop();
        assert_eq!((priority.calls, normal.calls), (4, 0));
        assert!((priority.p50 - 2.0).abs() < 0.01, "{priority:?}");
        assert!((priority.max - 47.0).abs() < 0.1, "{priority:?}");
    }

    #[test]
    fn whoever_is_called_no_more_is_late() {
        let records = Records::new();
        records.start();
        let (mut memory, start) = (Memory::default(), Instant::now());
        records.call(&mut memory, Lane::Priority, start);
        records.overdue_of(&memory, start + Duration::from_millis(99));
        records.overdue_of(&memory, start + Duration::from_millis(400));
        let [heartbeat, priority, _] = records.stop();
        assert!((priority.max - 300.0).abs() < 0.5, "{priority:?}");
        assert!(heartbeat.max.is_nan());
    }

    #[tokio::test]
    async fn a_change_is_complete_when_everybody_has_it_once() {
        let records = Records::new();
        let (start, value) = (Instant::now(), change(7, 100));
        assert_eq!(value.len(), 100);
        records.expect(7, 2);
        records.published(start);
        let mut memories = [Memory::default(), Memory::default()];
        let ms = Duration::from_millis;
        records.item(&mut memories[0], &change(6, 100), start);
        records.item(&mut memories[0], &value, start + ms(3));
        records.item(&mut memories[0], &value, start + ms(4));
        assert!(records.changes(ms(1)).await.is_none());
        records.item(&mut memories[1], &value, start + ms(5));
        assert_eq!(records.changes(ms(1)).await.unwrap(), [ms(3), ms(5)]);
    }
}
