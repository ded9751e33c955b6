//! The scenes about the pair: the primary is killed, halted, cut off; and what must hold.
//!
//! Times are measured by looking every few milliseconds; who acted when is read from the logs.
//! Deliberately absent: the scenes that a single statestored could play (`story`).

use std::time::{Duration, Instant};

use super::Failure;
use super::cluster::Cluster;
use super::pair::LIMIT;
use super::process::wait_for;
use super::story::{SCENE, check_mirrors, millis, say};

/// What a log says when a role ends, and when one begins.
const ENDED: &str = "No longer the active statestored";
const BEGAN: &str = "Active statestored (epoch";

/// Both say who they are, and everybody hears both.
pub(crate) fn everybody_hears_both(cluster: &mut Cluster) -> Result<(), Failure> {
    wait_for("everybody registered with both", SCENE, || {
        cluster.expect_alive()?;
        let agreed = cluster.pair.0.iter().all(|it| {
            let size = cluster.size() as u64;
            it.standing().is_some_and(|it| it.electorate == size)
        });
        Ok((agreed && cluster.following().is_some()).then_some(()))
    })?;
    let primary = cluster.pair.primary().unwrap_or_default();
    say(&format!(
        "{} is the primary, {} stands by; all {} subscribers are registered with both and may \
         vote.",
        cluster.pair.0[primary].process.name(),
        cluster.pair.0[1 - primary].process.name(),
        cluster.size()
    ));
    Ok(())
}

/// `kill -9`: the standby takes over, everybody follows, nothing is lost.
pub(crate) fn the_primary_is_killed(cluster: &mut Cluster) -> Result<(), Failure> {
    let primary = primary_of(cluster)?;
    let process = &mut cluster.pair.0[primary].process;
    let (name, id) = (process.name().to_owned(), process.id());
    let killed = Instant::now();
    process.kill();
    say(&format!("Killed the primary, {name} (kill -9 {id})."));
    let other = 1 - primary;
    take_over(cluster, other, killed)?;
    check_mirrors(
        cluster,
        "After the failover both mirrors still equal the source.",
    )?;
    cluster.pair.0[primary].start_again()?;
    returns_as_standby(cluster, primary)
}

/// SIGSTOP longer than its lease: when it goes on, the first thing it does is to stop acting.
pub(crate) fn the_primary_is_halted(cluster: &mut Cluster) -> Result<(), Failure> {
    let primary = primary_of(cluster)?;
    let name = cluster.pair.0[primary].process.name().to_owned();
    let halted = Instant::now();
    cluster.pair.0[primary].process.halt(true)?;
    say(&format!(
        "Halted the primary, {name} (SIGSTOP): it is there, but does nothing."
    ));
    take_over(cluster, 1 - primary, halted)?;
    cluster.pair.0[primary].process.halt(false)?;
    say(&format!("{name} goes on (SIGCONT)."));
    let old = primary;
    wait_for("the old primary to step down", SCENE, || {
        Ok(cluster.pair.0[old].said(ENDED).map(|_| ()))
    })?;
    returns_as_standby(cluster, primary)
}

/// Alive, but cut off as H-9 has it (only handshakes are answered): it steps down by itself
/// before the other one takes over.
pub(crate) fn the_primary_is_cut_off(cluster: &mut Cluster) -> Result<(), Failure> {
    let primary = primary_of(cluster)?;
    let other = 1 - primary;
    let name = cluster.pair.0[primary].process.name().to_owned();
    let cut = Instant::now();
    cluster.pair.0[primary].cut_off(true)?;
    say(&format!(
        "Cut off the primary, {name}: alive, but it sends nothing, and answers handshakes only."
    ));
    take_over(cluster, other, cut)?;
    let ended = cluster.pair.0[primary].said(ENDED);
    let began = cluster.pair.0[other].said(BEGAN);
    let (Some(ended), Some(began)) = (ended, began) else {
        return Err(Failure::Broken(format!("{name} never stepped down")));
    };
    let between = began - ended;
    if between < 0 {
        return Err(Failure::Broken(format!(
            "both acted for {:.1} ms",
            -between as f64 / 1e3
        )));
    }
    say(&format!(
        "  {name} stepped down by itself {:.1} ms before the other one took over; two acted for \
         0 ms (by their logs).",
        between as f64 / 1e3
    ));
    cluster.pair.0[primary].cut_off(false)?;
    returns_as_standby(cluster, primary)
}

fn primary_of(cluster: &Cluster) -> Result<usize, Failure> {
    wait_for("a primary", SCENE, || Ok(cluster.pair.primary()))
}

/// Prints when the other one was lost, when `heir` took over, and when everybody followed.
fn take_over(cluster: &mut Cluster, heir: usize, since: Instant) -> Result<(), Failure> {
    let mut noticed: Option<Duration> = None;
    let took = wait_for("a takeover", SCENE, || {
        let Some(standing) = cluster.pair.0[heir].standing() else {
            return Ok(None);
        };
        if standing.lost * 2 > standing.voters {
            noticed.get_or_insert(since.elapsed());
        }
        Ok((standing.role == "active").then(|| since.elapsed()))
    })?;
    let noticed = noticed.unwrap_or(took);
    say(&format!(
        "  most subscribers had lost it after {}",
        millis(noticed)
    ));
    say(&format!(
        "  {} took over after {} (limits of {} s)",
        cluster.pair.0[heir].process.name(),
        millis(took),
        LIMIT.as_secs()
    ));
    let mut waiting = cluster.agents();
    wait_for("everybody to follow", SCENE, || {
        waiting.retain(|agent| {
            let follows = agent.follows(cluster.pair.0[heir].port);
            if follows {
                say(&format!(
                    "  {} followed after {}",
                    agent.name,
                    millis(since.elapsed())
                ));
            }
            !follows
        });
        Ok(waiting.is_empty().then_some(()))
    })?;
    cluster.look_at(heir);
    Ok(())
}

fn returns_as_standby(cluster: &mut Cluster, which: usize) -> Result<(), Failure> {
    let started = Instant::now();
    let size = cluster.size() as u64;
    wait_for("the old primary as standby with everybody", SCENE, || {
        cluster.expect_alive()?;
        let standing = cluster.pair.0[which].standing();
        let back = standing.is_some_and(|it| it.role == "standby" && it.electorate == size);
        Ok((back && cluster.pair.is_settled()).then_some(()))
    })?;
    say(&format!(
        "  {} is back, as standby with all {size} voters, after {}.",
        cluster.pair.0[which].process.name(),
        millis(started.elapsed())
    ));
    Ok(())
}
