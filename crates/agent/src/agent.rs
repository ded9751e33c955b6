//! The subscriber that the settings describe, and the tasks around it.
//!
//! Deliberately absent: flags, logs, web server (`main.rs`), and each task's own work.
//!
//! Invariant: everything that can be wrong with a task's files is found before the subscriber
//! joins the cluster.

use serde_json::json;
use statestore_daemon::rpc_statistics::ServiceStatistics;
use statestore_subscriber::{
    Builder, CatalogRegistration, CatalogVersion, Handle, NetworkAddress, Refused, StartError,
    Subscriber, SubscriberType, Topic,
};
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::args::{MirrorTopic, Tasks};
use crate::command::{self, Surroundings};
use crate::faults;
use crate::flags::Settings;
use crate::follow::{self, FollowError, Progress};
use crate::mirror::{Mirror, MirrorError};
use crate::output::Output;
use crate::publish::{Entry, PublishError, Publisher};
use crate::roles::{self, Role};
use crate::standing::Standing;

/// How long all of it may take to end: a process is to be gone in a second.
const FAREWELL: Duration = Duration::from_millis(600);

/// Why the agent did not start, or ended by itself.
#[derive(Debug, Error)]
pub(crate) enum AgentError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    #[error("{mirror}: {other} uses that folder too: name another")]
    Overlap { mirror: String, other: String },
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error("--follow: cannot use standard output: {0}")]
    Output(io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("--state_store_subscriber_port={port}: cannot listen: {source}")]
    Port { port: u16, source: io::Error },
    #[error(transparent)]
    Start(StartError),
    #[error("a task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl AgentError {
    /// Nobody reads what `--follow` prints: no failure, as for `tail -f`.
    pub(crate) fn is_nobody_reads(&self) -> bool {
        matches!(self, Self::Follow(FollowError::NobodyReads))
    }
}

impl From<StartError> for AgentError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Listen { port, source, .. } => Self::Port { port, source },
            other => Self::Start(other),
        }
    }
}

/// A running agent.
pub(crate) struct Agent {
    pub(crate) handle: Handle,
    pub(crate) standing: Standing,
    tasks: JoinSet<Result<(), AgentError>>,
    /// Those that need no time to end.
    abrupt: Vec<AbortHandle>,
    stop: watch::Sender<bool>,
}

impl Agent {
    /// Joins the cluster and starts every task.
    pub(crate) async fn start(
        settings: &Settings,
        hostname: &str,
        statistics: ServiceStatistics,
    ) -> Result<Self, AgentError> {
        let tasks = &settings.tasks;
        let mut prepared = Prepared::check(tasks)?;
        if settings.role.is_member() {
            prepared.entries.push(membership(settings, hostname));
        }
        let handle = builder(settings, hostname)
            .observer(Arc::new(statistics))
            .start()
            .await?;
        let mut agent = Self {
            handle,
            standing: Standing::default(),
            tasks: JoinSet::new(),
            abrupt: Vec::new(),
            stop: watch::Sender::new(false),
        };
        let only_as = (settings.role == Role::Catalogd).then(|| catalogd(settings, hostname));
        agent.run(settings, prepared, only_as);
        Ok(agent)
    }

    fn run(&mut self, settings: &Settings, prepared: Prepared, only_as: Option<NetworkAddress>) {
        let Self {
            handle,
            tasks,
            abrupt,
            ..
        } = self;
        let publisher = Publisher {
            handle: handle.clone(),
            entries: prepared.entries,
            folders: settings.tasks.folders.clone(),
            only_as,
            standing: self.standing.clone(),
        };
        abrupt.push(tasks.spawn(async { Ok(publisher.run().await?) }));
        for (task, output) in prepared.follow {
            let printing = follow::print(handle.clone(), task, output);
            abrupt.push(tasks.spawn(async { Ok(printing.await?) }));
        }
        let mut progress = Vec::new();
        for (task, folder) in prepared.mirrors {
            let grace = settings.recovery_grace;
            let (sender, receiver) = watch::channel(Progress::default());
            progress.push((task.topic.clone(), receiver));
            let mirroring = follow::mirror(handle.clone(), task, folder, grace, sender);
            abrupt.push(tasks.spawn(async { Ok(mirroring.await?) }));
        }
        for task in settings.tasks.commands.clone() {
            let of_topic = progress.iter().filter(|(topic, _)| *topic == task.topic);
            let around = Surroundings {
                mirrors: of_topic.map(|(_, mirror)| mirror.clone()).collect(),
                stop: self.stop.subscribe(),
            };
            let commands = command::run(handle.clone(), task, around);
            tasks.spawn(async { Ok(commands.await?) });
        }
    }

    /// Returns when a task has failed; a task that is done is not missed.
    pub(crate) async fn failure(&mut self) -> AgentError {
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(error) => return error.into(),
            }
        }
        std::future::pending().await
    }

    /// Ends commands, stops answering and tells the statestoreds so.
    pub(crate) async fn leave(mut self) {
        self.stop.send_replace(true);
        self.abrupt.iter().for_each(AbortHandle::abort);
        let handle = self.handle.clone();
        // Side by side: commands may take their time, and so may a statestored that is stuck.
        let tasks = async { while self.tasks.join_next().await.is_some() {} };
        let orderly = futures::future::join(tasks, handle.leave());
        // Whoever still waits for somebody is cut off.
        let _ = tokio::time::timeout(FAREWELL, orderly).await;
    }
}

/// What the tasks need of files, found in order.
struct Prepared {
    entries: Vec<Entry>,
    mirrors: Vec<(MirrorTopic, Mirror)>,
    follow: Vec<(crate::args::Follow, Output)>,
}

impl Prepared {
    fn check(tasks: &Tasks) -> Result<Self, AgentError> {
        let entries = tasks.publish.iter().map(Entry::load);
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        Publisher::check(&tasks.folders)?;
        check_overlap(tasks)?;
        let mirrors = tasks.mirrors.iter();
        let mirrors = mirrors
            .map(|task| Ok((task.clone(), Mirror::open(task)?)))
            .collect::<Result<Vec<_>, MirrorError>>()?;
        let mut follow = Vec::new();
        if !tasks.follow.is_empty() {
            let output = Output::stdout().map_err(AgentError::Output)?;
            follow.extend(tasks.follow.iter().map(|it| (it.clone(), output.clone())));
        }
        Ok(Self {
            entries,
            mirrors,
            follow,
        })
    }
}

/// A mirror deletes what is not in its topic, so it shares its folder with nobody.
fn check_overlap(tasks: &Tasks) -> Result<(), AgentError> {
    let mirrors = tasks.mirrors.iter();
    let mirrors: Vec<(String, PathBuf)> = mirrors
        .map(|task| (task.to_string(), real(&task.folder)))
        .collect();
    let folders = tasks.folders.iter();
    let folders = folders.map(|task| (task.to_string(), real(&task.folder)));
    let all: Vec<(String, PathBuf)> = mirrors.iter().cloned().chain(folders).collect();
    for (number, (mirror, folder)) in mirrors.iter().enumerate() {
        let mut others = all.iter().skip(number + 1);
        let overlaps = |(_, other): &&(String, PathBuf)| {
            other.starts_with(folder) || folder.starts_with(other)
        };
        if let Some((other, _)) = others.find(overlaps) {
            return Err(AgentError::Overlap {
                mirror: mirror.clone(),
                other: other.clone(),
            });
        }
    }
    Ok(())
}

/// Without links, as far as the path exists.
fn real(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = whole.ancestors().find_map(|part| {
        let rest = whole.strip_prefix(part).ok()?;
        Some(part.canonicalize().ok()?.join(rest))
    });
    there.unwrap_or(whole)
}

fn builder(settings: &Settings, hostname: &str) -> Builder {
    let mut builder = Subscriber::builder(settings.subscriber_id.as_str())
        .listen(settings.subscriber_port)
        .hostname(hostname)
        .kind(kind(settings.role))
        .follow_catalogd(settings.role.follows_catalogd(settings.enable_catalogd_ha))
        .timeout(settings.timeout)
        .attempts(NonZeroU32::new(settings.attempts))
        .use_resolved_address(settings.use_resolved_address)
        .recovery_grace(settings.recovery_grace)
        .tolerate_startup_delay(settings.tolerate_startup_delay)
        .heartbeat_period(settings.heartbeat_period)
        .max_missed_heartbeats(settings.max_missed_heartbeats)
        .max_message_size(settings.max_message)
        .inject(faults::inject(settings.debug.clone()));
    for (host, port) in &settings.statestores {
        builder = builder.statestore(host, *port);
    }
    if let Some(pause) = settings.retry_interval {
        builder = builder.retry_interval(pause);
    }
    if let Some(limit) = settings.call_timeout {
        builder = builder.call_timeout(limit);
    }
    if settings.role == Role::Catalogd {
        builder = builder.catalogd_registration(CatalogRegistration {
            protocol: CatalogVersion::V2,
            address: catalogd(settings, hostname),
            enable_catalogd_ha: Some(settings.enable_catalogd_ha),
            force_catalogd_active: Some(settings.force_catalogd_active),
            registration_time: None,
        });
    }
    let plans = roles::topics(
        settings.role,
        &settings.membership_topic_id,
        &settings.tasks,
        &settings.transient,
    );
    plans.into_iter().fold(builder, |builder, (name, plan)| {
        let mut topic = Topic::new(name.as_str()).prefix(plan.prefix.as_str());
        if plan.transient {
            topic = topic.transient();
        }
        if plan.min_version {
            topic = topic.min_version();
        }
        builder.topic(topic)
    })
}

fn catalogd(settings: &Settings, hostname: &str) -> NetworkAddress {
    NetworkAddress {
        hostname: hostname.into(),
        port: settings.catalog_service_port.into(),
        uds_address: None,
    }
}

fn kind(role: Role) -> SubscriberType {
    match role {
        Role::Catalogd => SubscriberType::CATALOGD,
        Role::Coordinator => SubscriberType::COORDINATOR,
        Role::Executor => SubscriberType::EXECUTOR,
        Role::CoordinatorExecutor => SubscriberType::COORDINATOR_EXECUTOR,
        Role::Admissiond => SubscriberType::ADMISSIOND,
        Role::Custom => SubscriberType::UNKNOWN,
    }
}

/// What a member tells the others of itself.
fn membership(settings: &Settings, hostname: &str) -> Entry {
    let about = json!({
        "subscriber_id": settings.subscriber_id,
        "role": settings.role.name(),
        "hostname": hostname,
        "krpc_port": settings.krpc_port,
        "pid": std::process::id(),
    });
    let topic = roles::membership_topic(&settings.membership_topic_id);
    Entry::new(topic, settings.subscriber_id.clone(), about.to_string())
}

/// For metrics, which outlive no agent but are asked for before there is one.
pub(crate) type Shared = Arc<std::sync::OnceLock<(Handle, Standing)>>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args::PublishFolder;

    #[test]
    fn a_mirror_shares_its_folder_with_nobody() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir(at("real")).unwrap();
        std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
        let tasks = |mirrors: &[&str], folder: &str| Tasks {
            mirrors: mirrors
                .iter()
                .map(|name| MirrorTopic {
                    topic: "t".to_owned(),
                    prefix: None,
                    folder: at(name),
                })
                .collect(),
            folders: vec![PublishFolder {
                topic: "t".to_owned(),
                folder: at(folder),
            }],
            ..Tasks::default()
        };
        assert!(check_overlap(&tasks(&["a", "b"], "c")).is_ok());
        assert!(check_overlap(&tasks(&["a", "ab"], "abc")).is_ok());
        for (mirrors, folder) in [
            (&["a", "a"][..], "c"),
            (&["a", "a/x"], "c"),
            (&["link/new"], "real"),
            (&["real"], "link/sub"),
        ] {
            let error = check_overlap(&tasks(mirrors, folder)).unwrap_err();
            assert!(error.to_string().starts_with("--mirror=t:"), "{error}");
        }
    }
}
