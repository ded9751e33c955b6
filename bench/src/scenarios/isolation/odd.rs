//! Those who answer nothing, who answer that they cannot, and who are far away.
//!
//! Deliberately absent: large topics (`bulk`). Invariant: a disturbance lasts while it is measured;
//! whoever hangs in heartbeats is given up later than that.

use super::super::{Bench, NORMAL, PRIORITY, Publisher, Taken, items};
use super::{Beside, Size, Stage, While};
use crate::crowd::{Conduct, Records, Topic};
use crate::failure::Failure;
use crate::figures::{Bound, Section};
use std::time::Duration;

/// In what they hang: for programs, for people, heartbeats, updates.
const WAYS: [(&str, &str, bool, bool); 3] = [
    ("heartbeats", "in heartbeats", true, false),
    ("updates", "in updates", false, true),
    ("both", "in both", true, true),
];
/// A heartbeat, two updates, and each again while the former is being closed.
const CONNECTIONS: usize = 6;

/// Measured without, and then with more and more of them.
struct Growing {
    without: While,
    with: Vec<(usize, While)>,
}

pub(super) async fn hung(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    for (key, what, heartbeats, updates) in WAYS {
        // Who takes updates all the same is sent them, and so are as many who do not hang.
        let company = match updates {
            true => None,
            false => Some(grow(bench, size, Conduct::Answers).await?),
        };
        let conduct = Conduct::Hangs {
            heartbeats,
            updates,
        };
        let hung = grow(bench, size, conduct).await?;
        if let Some(count) = size.hung.get(hung.with.len()) {
            let note = format!("{count} hung subscribers need more open files.");
            section.notes.push(note);
        }
        for (i, (count, with)) in hung.with.into_iter().enumerate() {
            let company = company.as_ref().and_then(|company| company.with.get(i));
            let limit = company.map_or(&hung.without, |(_, company)| company);
            let beside = Beside::new(
                format!("hung.{key}.{count}"),
                format!("{count} hung {what}"),
            );
            section.figures.extend(beside.compare(limit, &with));
            let cpu = |of: &While| of.taken.server / of.taken.seconds * 100.0;
            let figure = beside.figure("cpu", "CPU", cpu(&with), "% of a core");
            section.figures.push(figure.beside(cpu(limit)));
            taken.push(with.taken);
        }
    }
    Ok(())
}

/// A few at first, the rest later, as far as there are files for them.
async fn grow(bench: &Bench, size: &Size, conduct: Conduct) -> Result<Growing, Failure> {
    let stage = Stage::set(bench, size).await?;
    let without = stage.measure(size.windows).await?;
    let (mut with, mut so_far) = (Vec::new(), 0);
    for &count in &size.hung {
        if !bench.allows((size.subscribers + count) * CONNECTIONS) {
            break;
        }
        let more = count.saturating_sub(so_far);
        let topics = [PRIORITY, NORMAL].map(Topic::all_of);
        stage.join(more, conduct, &topics).await?;
        so_far += more;
        with.push((count, stage.measure(size.windows).await?));
    }
    Ok(Growing { without, with })
}

/// What is there to be skipped.
const ENTRIES: usize = 100;

pub(super) async fn skipping(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    let stage = Stage::set(bench, size).await?;
    let publisher = Publisher::join(&stage.crowd, &stage.server, &Records::new()).await?;
    for topic in [PRIORITY, NORMAL] {
        let entries = items(ENTRIES, 100, b's', false);
        publisher.fill(&stage.server, topic, entries).await?;
    }
    let without = stage.measure(size.windows).await?;
    let topics = [PRIORITY, NORMAL].map(Topic::all_of);
    stage.join(size.skipping, Conduct::Skips, &topics).await?;
    let with = stage.measure(size.windows).await?;
    let beside = Beside::new("skipping", format!("{} that skip", size.skipping));
    section.figures.extend(beside.compare(&without, &with));
    taken.push(with.taken);
    Ok(())
}

pub(super) async fn far(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    let stage = Stage::set(bench, size).await?;
    let without = stage.measure(size.windows).await?;
    let away = Duration::from_millis(size.away_ms);
    let topics = [PRIORITY, NORMAL].map(Topic::all_of);
    stage.join(size.far, Conduct::Far { away }, &topics).await?;
    let with = stage.measure(size.windows).await?;
    let what = format!("{} that are {} ms away", size.far, size.away_ms);
    let beside = Beside::new("far", what);
    section.figures.extend(beside.compare(&without, &with));
    let all = (size.subscribers + size.far) as f64;
    let lost = all - stage.server.subscribers().await? as f64;
    let lost = beside.figure("lost", "registrations lost", lost, "");
    section.figures.push(lost.promised("P4", Bound::Most(0.0)));
    taken.push(with.taken);
    Ok(())
}
