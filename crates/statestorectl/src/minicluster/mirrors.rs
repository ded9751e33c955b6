//! The scenes about content: mirrors equal the source, and a change reaches all of them.
//!
//! Deliberately absent: how folders are compared (`tree`).

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::cluster::{CATALOG, Cluster};
use super::narration::{SCENE, millis, say, seconds};
use super::process::wait_for;
use super::tree::{self, Difference};
use super::{Failure, observe};

/// Bytes a second that a mirror grows by on the slowest machine; large folders take longer.
const SLOWEST: u64 = 5 << 20;

/// All files arrived, and the statestored counts as many.
pub(crate) fn equal_the_source(cluster: &mut Cluster, started: Instant) -> Result<(), Failure> {
    let bytes: u64 = cluster.listing.values().sum();
    let limit = SCENE + Duration::from_secs(bytes / SLOWEST);
    wait_for("mirrors that equal the source", limit, || {
        cluster.expect_alive()?;
        Ok(differing(cluster)?.is_none().then_some(()))
    })?;
    say(&format!(
        "Both mirrors equal the source byte for byte, {} after the start: {} files, {bytes} \
         bytes, as topic {CATALOG}.",
        seconds(started.elapsed()),
        cluster.listing.len(),
    ));
    let topics = observe::topics(cluster.pages())?;
    let entries = topics.iter().find(|t| t.name == CATALOG).map(|t| t.entries);
    if entries != Some(cluster.listing.len() as u64) {
        return Err(Failure::Broken(format!(
            "the statestored counts {entries:?} entries in {CATALOG}, the source has {} files",
            cluster.listing.len()
        )));
    }
    Ok(())
}

/// A file of the source changes: until every mirror has it.
pub(crate) fn a_file_changes(cluster: &mut Cluster) -> Result<(), Failure> {
    let name = cluster.listing.keys().next().cloned().unwrap_or_default();
    let stamp = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let path = cluster.source.join(&name);
    fs::write(
        &path,
        format!("changed by the demonstration at {} ns\n", stamp.as_nanos()),
    )
    .map_err(|e| Failure::io("write", &path, e))?;
    let changed = Instant::now();
    say(&format!("Changed {} in the source.", name.display()));
    let mut waiting: Vec<(String, PathBuf)> = cluster
        .coordinators
        .iter()
        .map(|(agent, mirror)| (agent.name().to_owned(), mirror.join(&name)))
        .collect();
    wait_for("the changed file in every mirror", SCENE, || {
        waiting.retain(|(who, mirrored)| {
            let arrived = tree::same_bytes(&path, mirrored);
            if arrived {
                say(&format!(
                    "  {who} has it after {}",
                    millis(changed.elapsed())
                ));
            }
            !arrived
        });
        Ok(waiting.is_empty().then_some(()))
    })?;
    cluster.expect_alive()?;
    match differing(cluster)? {
        None => Ok(()),
        Some((who, difference)) => Err(Failure::Broken(format!(
            "{who} differs from the source: {difference:?}"
        ))),
    }
}

/// Says so once all mirrors equal the source.
pub(crate) fn are_equal(cluster: &Cluster, words: &str) -> Result<(), Failure> {
    wait_for("mirrors that equal the source", SCENE, || {
        Ok(differing(cluster)?.is_none().then_some(()))
    })?;
    say(words);
    Ok(())
}

fn differing(cluster: &Cluster) -> Result<Option<(String, Difference)>, Failure> {
    for (agent, mirror) in &cluster.coordinators {
        if !mirror.is_dir() {
            let missing = cluster.listing.len();
            let difference = Difference {
                missing,
                ..Difference::default()
            };
            return Ok(Some((agent.name().to_owned(), difference)));
        }
        let difference = tree::compare(&cluster.source, mirror)?;
        if !difference.is_none() {
            return Ok(Some((agent.name().to_owned(), difference)));
        }
    }
    Ok(None)
}
