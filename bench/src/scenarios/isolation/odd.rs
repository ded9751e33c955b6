//! Those who answer nothing, who answer that they cannot, and who are far away.
//!
//! Deliberately absent: large topics (`bulk`). Invariant: a disturbance lasts while it is measured;
//! whoever hangs in heartbeats is given up later than that.

use super::super::{Bench, NORMAL, PRIORITY, Publisher, Taken, items};
use super::{Beside, Size, Stage};
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

pub(super) async fn hung(
    bench: &Bench,
    size: &Size,
    section: &mut Section,
    taken: &mut Vec<Taken>,
) -> Result<(), Failure> {
    for (key, what, heartbeats, updates) in WAYS {
        let stage = Stage::set(bench, size).await?;
        let without = stage.measure().await?;
        let mut so_far = 0;
        for &count in &size.hung {
            // A few at first, the rest later.
            if !bench.allows((size.subscribers + count) * CONNECTIONS) {
                let note = format!("{count} hung subscribers need more open files.");
                section.notes.push(note);
                break;
            }
            let conduct = Conduct::Hangs {
                heartbeats,
                updates,
            };
            let more = count.saturating_sub(so_far);
            let topics = [PRIORITY, NORMAL].map(Topic::all_of);
            stage.join(more, conduct, &topics).await?;
            so_far += more;
            let with = stage.measure().await?;
            let beside = Beside::new(
                format!("hung.{key}.{count}"),
                format!("{count} hung {what}"),
            );
            section.figures.extend(beside.compare(&without, &with));
            let cpu = with.taken.server / with.taken.seconds * 100.0;
            let cpu = beside.figure("cpu", "CPU", cpu, "% of a core");
            section.figures.push(cpu);
            taken.push(with.taken);
        }
    }
    Ok(())
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
    let without = stage.measure().await?;
    let topics = [PRIORITY, NORMAL].map(Topic::all_of);
    stage.join(size.skipping, Conduct::Skips, &topics).await?;
    let with = stage.measure().await?;
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
    let without = stage.measure().await?;
    let away = Duration::from_millis(size.away_ms);
    let topics = [PRIORITY, NORMAL].map(Topic::all_of);
    stage.join(size.far, Conduct::Far { away }, &topics).await?;
    let with = stage.measure().await?;
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
