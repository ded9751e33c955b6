//! Who acts, looked at as often as the pages answer: was there a moment with two, or with none.
//!
//! A look is no moment: what it shows was so at some time between the question and the answer.
//! So there are two figures. *Surely*: between the looks that say so, without anything in doubt.
//! *Possibly*: all that the looks do not rule out.
//! Deliberately absent: what acting is (`pair`), and what a halted process would do.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at the same page; both cores of a small machine have other things to do.
const PAUSE: Duration = Duration::from_millis(1);

/// One look at one statestored.
#[derive(Debug, Clone, Copy)]
struct Look {
    asked: Instant,
    answered: Instant,
    acts: bool,
}

/// Looks that go on, by a thread for each of the two.
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    eyes: [JoinHandle<Vec<Look>>; 2],
}

impl Watch {
    /// Looks once at each, and goes on looking; `acts` says what a page shows now.
    pub(crate) fn begin<A>(acts: [A; 2]) -> Self
    where
        A: Fn() -> bool + Send + 'static,
    {
        let over = Arc::new(AtomicBool::new(false));
        let eyes = acts.map(|acts| {
            let (over, first) = (Arc::clone(&over), look(&acts));
            std::thread::spawn(move || look_on(first, &acts, &over))
        });
        Self { over, eyes }
    }

    /// Ends it: what was seen.
    pub(crate) fn end(self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        // One that panicked has said so, and has seen nothing.
        Seen(self.eyes.map(|eye| eye.join().unwrap_or_default()))
    }
}

fn look_on(first: Look, acts: &impl Fn() -> bool, over: &AtomicBool) -> Vec<Look> {
    let mut looks = vec![first];
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
        looks.push(look(acts));
    }
    looks
}

fn look(acts: &impl Fn() -> bool) -> Look {
    let asked = Instant::now();
    let acts = acts();
    Look {
        asked,
        answered: Instant::now(),
        acts,
    }
}

/// All looks at both.
pub(crate) struct Seen([Vec<Look>; 2]);

impl Seen {
    /// How often each was looked at.
    pub(crate) fn looks(&self) -> Looks {
        let gaps = |looks: &Vec<Look>| {
            let gaps = looks
                .windows(2)
                .map(|two| two[1].answered - two[0].answered);
            gaps.collect::<Vec<Duration>>()
        };
        let mut gaps: Vec<Duration> = self.0.iter().flat_map(gaps).collect();
        gaps.sort_unstable();
        Looks {
            count: self.0.each_ref().map(Vec::len),
            median: gaps.get(gaps.len() / 2).copied().unwrap_or_default(),
        }
    }

    /// How often one was looked at, and how often it acted.
    pub(crate) fn acting(&self, which: usize) -> (usize, usize) {
        let looks = &self.0[which];
        (looks.len(), looks.iter().filter(|look| look.acts).count())
    }

    /// How often one began or ceased to act.
    pub(crate) fn changes(&self, which: usize) -> usize {
        let two = self.0[which].windows(2);
        two.filter(|two| two[0].acts != two[1].acts).count()
    }

    /// For how long two acted at once: surely, and possibly.
    pub(crate) fn both(&self) -> (Duration, Duration) {
        let [one, other] = &self.0;
        (
            overlap(&surely(one), &surely(other)),
            overlap(&possibly(one), &possibly(other)),
        )
    }

    /// Leaves out what this one said between the two moments, when it could not do anything, and
    /// what it was asked before and said after that: it may have been about to say so when it was
    /// halted.
    pub(crate) fn halted(&mut self, which: usize, from: Instant, to: Instant) {
        let looks = &mut self.0[which];
        let before = looks.iter().rposition(|look| look.answered <= from);
        let at = before.map_or(0, |at| at + 1);
        looks.retain(|look| look.answered <= from || look.asked > from && look.answered >= to);
        let still = |at| Look {
            asked: at,
            answered: at,
            acts: false,
        };
        looks.splice(at..at, [still(from), still(to)]);
        if let Some(after) = looks.get_mut(at + 2) {
            after.asked = after.asked.max(to);
        }
    }
}

/// How often was looked.
#[derive(Debug)]
pub(crate) struct Looks {
    count: [usize; 2],
    median: Duration,
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = self.count;
        let median = self.median.as_secs_f64() * 1e3;
        write!(
            f,
            "{one} and {other} looks at the pages /ha, one every {median:.1} ms"
        )
    }
}

type Span = (Instant, Instant);

/// From the end of the first to the beginning of the last of each row of looks that say so.
fn surely(looks: &[Look]) -> Vec<Span> {
    let rows = looks.chunk_by(|one, next| one.acts == next.acts);
    let acting = rows.filter(|row| row[0].acts);
    let spans = acting.filter_map(|row| Some((row.first()?.answered, row.last()?.asked)));
    spans.filter(|(from, to)| from < to).collect()
}

/// From the last look before that does not say so to the first one after.
fn possibly(looks: &[Look]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    for row in looks.chunk_by(|one, next| one.acts == next.acts) {
        let (first, end) = (at, at + row.len());
        at = end;
        if !row[0].acts {
            continue;
        }
        let before = first
            .checked_sub(1)
            .map_or(row[0].asked, |i| looks[i].asked);
        let last = row.last().map_or(row[0].answered, |look| look.answered);
        spans.push((before, looks.get(end).map_or(last, |look| look.answered)));
    }
    spans
}

fn overlap(some: &[Span], others: &[Span]) -> Duration {
    let of_two = |(a, b): &Span, (c, d): &Span| (*b.min(d)).saturating_duration_since(*a.max(c));
    let pairs = some
        .iter()
        .flat_map(|one| others.iter().map(move |other| of_two(one, other)));
    pairs.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks that take 2 ms each, by the millisecond at which they begin.
    fn seen(zero: Instant, one: &[(u64, bool)], other: &[(u64, bool)]) -> Seen {
        let at = |ms| zero + Duration::from_millis(ms);
        let look = |&(ms, acts): &(u64, bool)| Look {
            asked: at(ms),
            answered: at(ms + 2),
            acts,
        };
        Seen([
            one.iter().map(look).collect(),
            other.iter().map(look).collect(),
        ])
    }

    fn both(one: &[(u64, bool)], other: &[(u64, bool)]) -> (u128, u128) {
        let (surely, possibly) = seen(Instant::now(), one, other).both();
        (surely.as_millis(), possibly.as_millis())
    }

    #[test]
    fn two_that_act_one_after_the_other_never_act_at_once() {
        let one = [(0, true), (10, true), (20, false), (30, false)];
        let other = [(0, false), (30, false), (40, true), (50, true)];
        assert_eq!(both(&one, &other), (0, 0));
    }

    #[test]
    fn what_lies_between_two_looks_is_in_doubt() {
        let one = [(0, true), (10, true), (20, false)];
        let other = [(0, false), (12, false), (16, true), (30, true)];
        // The one ended between 10 and 22, the other began between 12 and 18.
        assert_eq!(both(&one, &other), (0, 10));
    }

    #[test]
    fn two_that_act_at_once_are_found() {
        let one = [(0, true), (10, true), (20, true), (30, false)];
        let other = [(0, false), (5, true), (10, true), (30, true)];
        // Surely from 7 to 20, possibly from 0 to 32.
        assert_eq!(both(&one, &other), (13, 32));
        assert_eq!(seen(Instant::now(), &one, &other).changes(1), 1);
    }

    #[test]
    fn a_halted_one_does_not_act_until_it_goes_on() {
        let zero = Instant::now();
        let one = [(0, true), (8, true), (90, false), (100, false)];
        let other = [(0, false), (40, false), (50, true), (110, true)];
        let mut halted = seen(zero, &one, &other);
        // Asked while it was halted, answered when it went on.
        halted.0[0][2].asked = zero + Duration::from_millis(13);
        let possibly = |seen: &Seen| seen.both().1.as_millis();
        assert_eq!(possibly(&halted), 52);
        let at = |ms| zero + Duration::from_millis(ms);
        halted.halted(0, at(12), at(91));
        assert_eq!(possibly(&halted), 0);
        assert_eq!((halted.acting(0), halted.changes(0)), ((6, 2), 1));
    }

    #[test]
    fn what_a_halted_one_was_about_to_say_is_of_before() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let one = [(0, true), (10, true), (92, false)];
        let other = [(0, false), (40, false), (50, true), (110, true)];
        let mut halted = seen(zero, &one, &other);
        halted.0[0][1].answered = at(91);
        halted.halted(0, at(11), at(90));
        assert_eq!((halted.acting(0), halted.changes(0)), ((4, 1), 1));
        assert_eq!(halted.both().1, Duration::ZERO);
        // Asked while it was halted, it speaks of when it went on.
        let mut halted = seen(zero, &one, &other);
        halted.0[0][1].asked = at(12);
        halted.0[0][1].answered = at(91);
        halted.halted(0, at(11), at(90));
        assert_eq!(halted.changes(0), 3);
    }
}
