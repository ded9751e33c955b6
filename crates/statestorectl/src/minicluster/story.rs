//! What the demonstration shows, in order, and what it asserts on the way.
//!
//! With `--once` it ends after the last scene; else the table goes on until Ctrl-C. Every number
//! that is printed was measured in the run that prints it.

use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::cluster::{CATALOG, Cluster, learned};
use super::process::wait_for;
use super::table::Board;
use super::tree::{self, Difference, LeftOut};
use super::{Failure, Options, failover, observe};

/// How long any scene may take before it counts as failed.
pub(crate) const SCENE: Duration = Duration::from_secs(30);
/// How long a statestored that was killed stays away when the story is over.
const PAUSE: Duration = Duration::from_secs(10);
/// Bytes a second that a mirror grows by on the slowest machine; large folders take longer.
const SLOWEST: u64 = 5 << 20;

/// Starts the cluster and tells the story.
pub(crate) fn tell(options: &Options) -> Result<(), Failure> {
    let root = Folder::create(options.keep)?;
    say(&format!(
        "Processes, logs and folders live in {}",
        root.path.display()
    ));
    let started = Instant::now();
    let mut cluster = Cluster::start(options, &root.path)?;
    let LeftOut {
        unreadable,
        unsuitable,
    } = cluster.left_out;
    if unreadable + unsuitable > 0 {
        say(&format!(
            "Left out of {}: {unreadable} that cannot be read, {unsuitable} too large or with \
             names that mirrors write in another way.",
            options.dir.display()
        ));
    }
    scene_everybody_is_here(&mut cluster, started)?;
    scene_mirrors_equal_the_source(&mut cluster, started)?;
    failover::everybody_hears_both(&mut cluster)?;
    scene_a_file_changes(&mut cluster)?;
    scene_an_executor_dies(&mut cluster)?;
    failover::the_primary_is_killed(&mut cluster)?;
    failover::the_primary_is_halted(&mut cluster)?;
    failover::the_two_are_cut_from_each_other(&mut cluster)?;
    failover::the_primary_keeps_a_minority(&mut cluster)?;
    failover::the_primary_is_alone(&mut cluster)?;
    mirrors_are_equal(&cluster, "In the end both mirrors equal the source.")?;
    draw_once(&cluster)?;
    say(&format!(
        "All as promised, in {}.",
        seconds(started.elapsed())
    ));
    match options.once {
        true => Ok(()),
        false => go_on(&mut cluster),
    }
}

/// The table, until Ctrl-C. A statestored that is killed is started again.
fn go_on(cluster: &mut Cluster) -> Result<(), Failure> {
    say(
        "The cluster goes on: change files in the source folder, open the pages, kill processes (a",
    );
    say(&format!(
        "statestored is started again after {} s). Ctrl-C ends it.",
        PAUSE.as_secs()
    ));
    say(&format!("source folder: {}", cluster.source.display()));
    let mut board = Board::default();
    let mut gone = [None, None];
    loop {
        board.draw(cluster)?;
        let drawn = Instant::now();
        wait_for("the next look", SCENE, || {
            Ok((drawn.elapsed() >= Duration::from_secs(1)).then_some(()))
        })?;
        for (it, gone) in cluster.pair.0.iter_mut().zip(&mut gone) {
            if !it.process.is_gone() {
                *gone = None;
            } else if gone.get_or_insert(drawn).elapsed() >= PAUSE {
                it.start_again()?;
            }
        }
    }
}

fn scene_everybody_is_here(cluster: &mut Cluster, started: Instant) -> Result<(), Failure> {
    let wanted = cluster.size();
    wait_for(&format!("{wanted} subscribers"), SCENE, || {
        cluster.expect_alive()?;
        let present = observe::subscribers(cluster.pages())?;
        Ok((present.len() == wanted).then_some(()))
    })?;
    say(&format!(
        "{wanted} subscribers registered {} after the start: a catalogd, {} coordinators, {} \
         executors.",
        seconds(started.elapsed()),
        cluster.coordinators.len(),
        cluster.executors.len()
    ));
    draw_once(cluster)
}

fn scene_mirrors_equal_the_source(cluster: &mut Cluster, started: Instant) -> Result<(), Failure> {
    let bytes: u64 = cluster.listing.values().sum();
    let limit = SCENE + Duration::from_secs(bytes / SLOWEST);
    wait_for("mirrors that equal the source", limit, || {
        cluster.expect_alive()?;
        Ok(differing_mirror(cluster)?.is_none().then_some(()))
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

pub(crate) fn scene_a_file_changes(cluster: &mut Cluster) -> Result<(), Failure> {
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
    match differing_mirror(cluster)? {
        None => Ok(()),
        Some((who, difference)) => Err(Failure::Broken(format!(
            "{who} differs from the source: {difference:?}"
        ))),
    }
}

fn scene_an_executor_dies(cluster: &mut Cluster) -> Result<(), Failure> {
    let Some(mut victim) = cluster.executors.pop() else {
        return Err(Failure::Broken("there is no executor to kill".to_owned()));
    };
    let before = observe::subscribers(cluster.pages())?;
    let id = victim.id.clone();
    if !before.contains(&id) {
        return Err(Failure::Broken(format!(
            "{id} is not among the subscribers"
        )));
    }
    let process_id = victim.process.id();
    let killed = Instant::now();
    victim.process.kill();
    say(&format!(
        "Killed {} (kill -9 {process_id}), subscriber {id}.",
        victim.name()
    ));
    let mut waiting: Vec<String> = cluster.witnesses().map(|it| it.name().to_owned()).collect();
    wait_for("everybody learning of the death", SCENE, || {
        for witness in cluster.witnesses() {
            let at = learned(&witness.process, killed, &id, |line| {
                line.contains("\"deleted\":true")
            });
            let Some(at) = at else { continue };
            if let Some(place) = waiting.iter().position(|name| name == witness.name()) {
                let name = waiting.swap_remove(place);
                say(&format!(
                    "  {name} learned of it after {}",
                    millis(at - killed)
                ));
            }
        }
        Ok(waiting.is_empty().then_some(()))
    })?;
    let after = observe::subscribers(cluster.pages())?;
    if after.contains(&id) {
        return Err(Failure::Broken(format!(
            "{id} is still among the subscribers"
        )));
    }
    draw_once(cluster)?;
    cluster.expect_alive()
}

/// Says so once all mirrors equal the source.
pub(crate) fn mirrors_are_equal(cluster: &Cluster, words: &str) -> Result<(), Failure> {
    wait_for("mirrors that equal the source", SCENE, || {
        Ok(differing_mirror(cluster)?.is_none().then_some(()))
    })?;
    say(words);
    Ok(())
}

fn differing_mirror(cluster: &Cluster) -> Result<Option<(String, Difference)>, Failure> {
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

pub(crate) fn draw_once(cluster: &Cluster) -> Result<(), Failure> {
    Board::default().draw(cluster)
}

/// The folder of one run; removed at the end unless it is to be kept.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn create(keep: bool) -> Result<Self, Failure> {
        let parent = std::env::temp_dir();
        let id = std::process::id();
        // What a run that was killed left behind may have the same process id.
        let mut names = std::iter::once(format!("statestore-demo-{id}"))
            .chain((2..1_000).map(|n| format!("statestore-demo-{id}-{n}")));
        let path = loop {
            let path = parent.join(names.next().unwrap_or_default());
            // For the owner alone: what is copied into it may be private.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break path,
                Err(e) if e.kind() == ErrorKind::AlreadyExists && path != parent => {}
                Err(e) => return Err(Failure::io("create", &path, e)),
            }
        };
        Ok(Self { path, keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            remove(&self.path);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        say(&format!("cannot remove {}: {error}", path.display()));
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

pub(crate) fn say(line: &str) {
    // The processes must be ended and the folders removed also if nobody listens any more.
    let _ = writeln!(std::io::stdout(), "{line}");
}
