//! What subscribers count: how often another statestored became primary to them, and how many
//! messages of an epoch that was over they refused.
//!
//! Deliberately absent: times (`failover`).

use super::Failure;
use super::agent::Agent;
use super::cluster::Cluster;
use super::process::wait_for;
use super::story::SCENE;

/// What every subscriber had counted before a scene.
pub(crate) struct Before(Vec<(u64, u64)>);

impl Before {
    /// Before a scene.
    pub(crate) fn note(cluster: &Cluster) -> Result<Self, Failure> {
        counted(cluster).map(Self)
    }

    /// How often somebody followed another one since.
    pub(crate) fn turns(&self, cluster: &Cluster) -> Result<u64, Failure> {
        let turns = self.each(cluster, |(turns, _)| turns)?;
        Ok(turns.iter().sum())
    }

    /// Everybody followed the heir, and nobody ever went back.
    pub(crate) fn everybody_turned_once(&self, cluster: &Cluster) -> Result<(), Failure> {
        let turns = self.each(cluster, |(turns, _)| turns)?;
        match turns.iter().all(|turns| *turns == 1) {
            true => Ok(()),
            false => Err(Failure::Broken(format!(
                "each subscriber should have turned once: {turns:?}"
            ))),
        }
    }

    /// Messages of an old epoch that were refused since.
    pub(crate) fn refusals(&self, cluster: &Cluster) -> Result<u64, Failure> {
        let refusals = self.each(cluster, |(_, refused)| refused)?;
        Ok(refusals.iter().sum())
    }

    fn each(&self, cluster: &Cluster, of: impl Fn((u64, u64)) -> u64) -> Result<Vec<u64>, Failure> {
        let now = counted(cluster)?;
        let pairs = now.into_iter().zip(&self.0);
        Ok(pairs.map(|(now, then)| of(now) - of(*then)).collect())
    }
}

/// Failovers and refusals of each subscriber.
fn counted(cluster: &Cluster) -> Result<Vec<(u64, u64)>, Failure> {
    let count = |agent: &Agent| {
        let refused = agent.sees()?.iter().map(|seen| seen.refused).sum();
        Some((agent.failovers()?, refused))
    };
    let all = || Ok(cluster.agents().map(count).collect());
    wait_for("the counts of all subscribers", SCENE, all)
}
