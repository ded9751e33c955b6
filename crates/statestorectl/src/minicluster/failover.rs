//! The scenes about the pair: the primary is killed, halted, cut off; and what must hold.
//!
//! When something happened is read from the logs; whether two acted is looked at all the time
//! (`actives`). Deliberately absent: the scenes that a single statestored could play (`story`).

use std::time::{Duration, Instant, SystemTime};

use super::actives::Watch;
use super::agent::Agent;
use super::cluster::Cluster;
use super::narration::{SCENE, draw_once, millis, say};
use super::pair::{HEARTBEAT, LIMIT};
use super::process::wait_for;
use super::turns::Before;
use super::{Failure, mirrors};

/// What a log says when a role ends, and when one begins.
const ENDED: &str = "No longer the active statestored";
const BEGAN: &str = "Active statestored (epoch";

/// Both say who they are, and everybody hears both.
pub(crate) fn everybody_hears_both(cluster: &mut Cluster) -> Result<(), Failure> {
    let size = cluster.size();
    let primary = wait_for("everybody registered with both", SCENE, || {
        cluster.expect_alive()?;
        Ok(settled(cluster))
    })?;
    say(&format!(
        "{} is the primary, {} stands by; all {size} subscribers are registered with both, hear \
         both, and may vote.",
        cluster.pair.0[primary].name(),
        cluster.pair.0[1 - primary].name(),
    ));
    draw_once(cluster)
}

/// The place of the primary, once everybody hears both and may vote.
fn settled(cluster: &Cluster) -> Option<usize> {
    let size = cluster.size() as u64;
    let [one, other] = cluster.pair.0.each_ref().map(|it| it.standing());
    let (one, other) = (one?, other?);
    let agreed = one.electorate == size && other.electorate == size;
    let primary = usize::from(other.acts);
    let roles = [one.role.as_str(), other.role.as_str()];
    let as_pair = roles[primary] == "primary" && roles[1 - primary] == "standby";
    (agreed && as_pair && cluster.hears_both(primary)).then_some(primary)
}

/// `kill -9`: the standby takes over, everybody follows, nothing is lost.
pub(crate) fn the_primary_is_killed(cluster: &mut Cluster) -> Result<(), Failure> {
    let old = primary_of(cluster)?;
    let before = Before::note(cluster)?;
    let watch = watch(cluster);
    let process = &mut cluster.pair.0[old].process;
    let (name, id) = (process.name().to_owned(), process.id());
    let killed = SystemTime::now();
    process.kill();
    say(&format!("Killed the primary, {name} (kill -9 {id})."));
    let began = take_over(cluster, 1 - old, killed)?;
    nobody_acted_for("it was killed", since(killed, began));
    never_two(watch, old, None)?;
    before.everybody_turned_once(cluster)?;
    mirrors::are_equal(cluster, "After the failover both mirrors equal the source.")?;
    mirrors::a_file_changes(cluster)?;
    draw_once(cluster)?;
    let started = Instant::now();
    cluster.pair.0[old].start_again()?;
    say(&format!("Started {name} again."));
    returns_as_standby(cluster, old, started)
}

/// SIGSTOP longer than its lease: when it goes on, the first thing it does is to stop acting.
pub(crate) fn the_primary_is_halted(cluster: &mut Cluster) -> Result<(), Failure> {
    let old = primary_of(cluster)?;
    let before = Before::note(cluster)?;
    let watch = watch(cluster);
    let name = cluster.pair.0[old].name().to_owned();
    let halted = SystemTime::now();
    cluster.pair.0[old].process.halt(true)?;
    let from = Instant::now();
    say(&format!(
        "Halted the primary, {name} (kill -STOP): it is there, its ports are open, it does nothing."
    ));
    let began = take_over(cluster, 1 - old, halted)?;
    nobody_acted_for("it was halted", since(halted, began));
    let goes_on = SystemTime::now();
    let to = Instant::now();
    cluster.pair.0[old].process.halt(false)?;
    let ended = wait_for("the old primary to step down", SCENE, || {
        Ok(cluster.pair.0[old].said(goes_on, ENDED))
    })?;
    say(&format!(
        "{name} goes on (kill -CONT) and steps down {} later.",
        millis(since(goes_on, ended))
    ));
    returns_as_standby(cluster, old, to)?;
    never_two(watch, old, Some((from, to)))?;
    before.everybody_turned_once(cluster)
}

/// The link between the two is cut, and nothing else: the primary goes on, as everybody hears it.
pub(crate) fn the_two_are_cut_from_each_other(cluster: &mut Cluster) -> Result<(), Failure> {
    let primary = primary_of(cluster)?;
    let before = Before::note(cluster)?;
    let watch = watch(cluster);
    let cut = Instant::now();
    cluster.pair.cut(true);
    let limit = LIMIT * 3 / 2;
    wait_for("longer than any limit", SCENE, || {
        cluster.expect_alive()?;
        Ok((cut.elapsed() >= limit).then_some(()))
    })?;
    let seen = watch.end();
    let ((looks, acted), other) = (seen.acting(primary), seen.acting(1 - primary));
    if acted != looks || other.1 != 0 || before.turns(cluster)? != 0 {
        return Err(Failure::Broken(format!(
            "cut from each other, the primary acted in {acted} of {looks} looks, the standby in {} \
             of {}",
            other.1, other.0
        )));
    }
    say(&format!(
        "Cut the link between the two for {} s: {} stays primary, as its subscribers hear it; {} \
         does not take over, as they have not lost it ({}).",
        limit.as_secs_f64(),
        cluster.pair.0[primary].name(),
        cluster.pair.0[1 - primary].name(),
        seen.looks()
    ));
    cluster.pair.cut(false);
    everybody_settles(cluster)
}

/// Cut off from the standby and from more than half of the subscribers, but not from all.
pub(crate) fn the_primary_keeps_a_minority(cluster: &mut Cluster) -> Result<(), Failure> {
    let majority = cluster.size() / 2 + 1;
    the_primary_is_cut_off(cluster, majority)
}

/// Cut off from everybody.
pub(crate) fn the_primary_is_alone(cluster: &mut Cluster) -> Result<(), Failure> {
    the_primary_is_cut_off(cluster, cluster.size())
}

/// Alive, but cut off from the standby and from the first so many subscribers: it steps down by
/// itself, before the other one takes over.
fn the_primary_is_cut_off(cluster: &mut Cluster, from: usize) -> Result<(), Failure> {
    let old = primary_of(cluster)?;
    let before = Before::note(cluster)?;
    let watch = watch(cluster);
    let name = cluster.pair.0[old].name().to_owned();
    let size = cluster.size();
    let cut = SystemTime::now();
    cut_off(cluster, old, from, true);
    say(&format!(
        "Cut the primary, {name}, off from the standby and from {from} of {size} subscribers (all \
         links between them lose everything); it is alive{}.",
        match size - from {
            0 => String::new(),
            rest => format!(", and still reaches {rest}"),
        }
    ));
    let began = take_over(cluster, 1 - old, cut)?;
    let ended = wait_for("the old primary to step down", SCENE, || {
        cluster.expect_alive()?;
        Ok(cluster.pair.0[old].over(cut, ENDED))
    })?;
    if ended > began {
        return Err(Failure::Broken(format!(
            "both acted for {}, by their logs",
            millis(since(began, ended))
        )));
    }
    say(&format!(
        "  {name} stepped down by itself after {}, {} before the other one took over",
        millis(since(cut, ended)),
        millis(since(ended, began))
    ));
    nobody_acted_for("it stepped down", since(ended, began));
    mirrors::a_file_changes(cluster)?;
    mirrors::are_equal(
        cluster,
        "Both mirrors equal the source, with the cut still there.",
    )?;
    let joined = Instant::now();
    cut_off(cluster, old, from, false);
    say("Joined all links again; what was under way arrives now, late.");
    returns_as_standby(cluster, old, joined)?;
    never_two(watch, old, None)?;
    before.everybody_turned_once(cluster)?;
    say(&format!(
        "  nobody followed it again; {} late messages of its epoch were refused.",
        before.refusals(cluster)?
    ));
    Ok(())
}

fn cut_off(cluster: &Cluster, which: usize, from: usize, cut: bool) {
    cluster.pair.cut(cut);
    let agents = cluster.agents().take(from);
    agents.for_each(|agent| agent.cut(&cluster.pair, which, cut));
}

fn primary_of(cluster: &Cluster) -> Result<usize, Failure> {
    wait_for("a primary", SCENE, || Ok(settled(cluster)))
}

fn everybody_settles(cluster: &mut Cluster) -> Result<(), Failure> {
    wait_for("one primary, one standby, and all with both", SCENE, || {
        cluster.expect_alive()?;
        Ok(settled(cluster).map(drop))
    })
}

fn watch(cluster: &Cluster) -> Watch {
    Watch::begin(cluster.pair.0.each_ref().map(|it| it.acts()))
}

/// Prints when the other one was lost, when `heir` took over, and when everybody followed; the
/// answer is when it took over.
fn take_over(cluster: &mut Cluster, heir: usize, event: SystemTime) -> Result<SystemTime, Failure> {
    let began = wait_for("a takeover", SCENE, || {
        cluster.expect_alive()?;
        Ok(cluster.pair.0[heir].said(event, BEGAN))
    })?;
    let turned = wait_for("everybody to follow", SCENE, || {
        let turned = |it: &Agent| Some((it.name().to_owned(), it.turned(event, heir)?));
        let turned: Option<Vec<(String, SystemTime)>> = cluster.agents().map(turned).collect();
        let follow = cluster.agents().all(|it| it.follows() == Some(heir));
        Ok(turned.filter(|_| follow))
    })?;
    let needed = cluster.size() / 2 + 1;
    let lost = cluster.agents().filter_map(|it| it.lost(event, 1 - heir));
    let mut lost: Vec<SystemTime> = lost.collect();
    lost.sort_unstable();
    // Whoever took over has heard it of them, before their own logs if need be.
    let found_out = lost.get(needed - 1).map_or(began, |at| began.min(*at));
    say(&format!(
        "  detection  {needed} of {} subscribers had lost it after {} (limit {} s, a heartbeat \
         every {} ms)",
        cluster.size(),
        millis(since(event, found_out)),
        LIMIT.as_secs(),
        HEARTBEAT.as_millis()
    ));
    say(&format!(
        "  takeover   {} acts after {}",
        cluster.pair.0[heir].name(),
        millis(since(event, began))
    ));
    let words = turned
        .iter()
        .map(|(name, at)| format!("{name} {}", millis(since(event, *at))));
    say(&format!(
        "  followed   {}",
        words.collect::<Vec<_>>().join(", ")
    ));
    Ok(began)
}

fn nobody_acted_for(what: &str, time: Duration) {
    say(&format!(
        "  nobody acted for {}, from when {what} to the takeover (by the logs)",
        millis(time)
    ));
}

/// Two must never have acted, as far as looks can tell, and the role must have gone from `old` to
/// the other one just once; `halted` is from when to when `old` was.
fn never_two(watch: Watch, old: usize, halted: Option<(Instant, Instant)>) -> Result<(), Failure> {
    let mut seen = watch.end();
    let looks = seen.looks();
    if let Some((from, to)) = halted {
        seen.halted(old, from, to);
    }
    let changes = (seen.changes(old), seen.changes(1 - old));
    if changes != (1, 1) {
        return Err(Failure::Broken(format!(
            "the old primary began or ceased to act {} times, the new one {} times, by {looks}",
            changes.0, changes.1
        )));
    }
    let (surely, possibly) = seen.both();
    if !surely.is_zero() {
        return Err(Failure::Broken(format!(
            "two acted for {}, possibly {}, by {looks}",
            millis(surely),
            millis(possibly)
        )));
    }
    let doubt = match (possibly.is_zero(), halted) {
        (true, _) => String::new(),
        (false, Some(_)) => format!(
            "; nothing is known of the {} from its going on to its first answer, which was no",
            millis(possibly)
        ),
        (false, None) => format!(
            "; nothing is known of {} between two looks",
            millis(possibly)
        ),
    };
    say(&format!(
        "  two acted for 0 ms, and the role went over once ({looks}{doubt})"
    ));
    Ok(())
}

fn returns_as_standby(
    cluster: &mut Cluster,
    which: usize,
    started: Instant,
) -> Result<(), Failure> {
    let primary = wait_for("one primary, one standby, and all with both", SCENE, || {
        cluster.expect_alive()?;
        Ok(settled(cluster))
    })?;
    let it = &cluster.pair.0[which];
    if primary == which {
        let roles = cluster.pair.0.each_ref().map(|it| it.standing());
        return Err(Failure::Broken(format!(
            "{} is no standby: {roles:?}",
            it.name()
        )));
    }
    say(&format!(
        "  {} is standby of all {} subscribers {} later.",
        it.name(),
        cluster.size(),
        millis(started.elapsed())
    ));
    Ok(())
}

fn since(earlier: SystemTime, later: SystemTime) -> Duration {
    // The clock is one, but its calendar may be set back.
    later.duration_since(earlier).unwrap_or_default()
}
