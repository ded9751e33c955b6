//! The subscriber that the settings describe, and the tasks around it.
//!
//! Deliberately absent: flags, logs, web server (`main.rs`), and each task's own work.
//!
//! Invariant: everything that can be wrong with a task's files is found before the subscriber
//! joins the cluster.

use serde_json::json;
use statestore_subscriber::{
    Builder, CatalogRegistration, CatalogVersion, Handle, NetworkAddress, Subscriber,
    SubscriberType, Topic,
};
use std::num::NonZeroU32;
use std::sync::Arc;
use thiserror::Error;
use tokio::task::JoinSet;

use crate::flags::Settings;
use crate::follow::{self, FollowError};
use crate::mirror::{Mirror, MirrorError};
use crate::publish::{Entry, PublishError, Publisher};
use crate::roles::{self, Role};
use crate::standing::Standing;

/// Why the agent did not start, or ended by itself.
#[derive(Debug, Error)]
pub(crate) enum AgentError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error(transparent)]
    Start(#[from] statestore_subscriber::StartError),
    #[error("a task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A running agent.
pub(crate) struct Agent {
    pub(crate) handle: Handle,
    pub(crate) standing: Standing,
    tasks: JoinSet<Result<(), AgentError>>,
}

impl Agent {
    /// Joins the cluster and starts every task.
    pub(crate) async fn start(
        settings: &Settings,
        hostname: &str,
        max_message: u64,
    ) -> Result<Self, AgentError> {
        let tasks = &settings.tasks;
        let mut entries = tasks
            .publish
            .iter()
            .map(Entry::load)
            .collect::<Result<Vec<_>, _>>()?;
        Publisher::check(&tasks.folders)?;
        let mirrors = tasks
            .mirrors
            .iter()
            .map(|task| Ok((task.clone(), Mirror::open(&task.folder, &task.topic)?)))
            .collect::<Result<Vec<_>, MirrorError>>()?;
        if settings.role.is_member() {
            entries.push(membership(settings, hostname));
        }
        let handle = builder(settings, hostname)
            .max_message_size(max_message)
            .start()
            .await?;
        let standing = Standing::default();
        let publisher = Publisher {
            handle: handle.clone(),
            entries,
            folders: tasks.folders.clone(),
            only_as: (settings.role == Role::Catalogd)
                .then(|| catalogd_address(settings, hostname)),
            standing: standing.clone(),
        };
        let mut running = JoinSet::new();
        running.spawn(async { Ok(publisher.run().await?) });
        for task in tasks.follow.clone() {
            let printing = follow::print(handle.clone(), task);
            running.spawn(async { Ok(printing.await?) });
        }
        for (task, folder) in mirrors {
            let mirroring = follow::mirror(handle.clone(), task, folder);
            running.spawn(async { Ok(mirroring.await?) });
        }
        for task in tasks.commands.clone() {
            let commands = follow::run_command(handle.clone(), task);
            running.spawn(async { Ok(commands.await?) });
        }
        Ok(Self {
            handle,
            standing,
            tasks: running,
        })
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

    /// Stops answering; the statestored notices by missing heartbeats.
    pub(crate) async fn leave(mut self) {
        self.tasks.shutdown().await;
        self.handle.leave().await;
    }
}

fn builder(settings: &Settings, hostname: &str) -> Builder {
    let (host, port) = &settings.statestore;
    let mut builder = Subscriber::builder(settings.subscriber_id.as_str())
        .statestore(host, *port)
        .listen(settings.subscriber_port)
        .hostname(hostname)
        .kind(kind(settings.role))
        .follow_catalogd(settings.role.follows_catalogd(settings.enable_catalogd_ha))
        .timeout(settings.timeout)
        .attempts(NonZeroU32::new(settings.attempts))
        .retry_interval(settings.retry_interval)
        .use_resolved_address(settings.use_resolved_address)
        .recovery_grace(settings.recovery_grace)
        .call_timeout(settings.call_timeout)
        .tolerate_startup_delay(settings.tolerate_startup_delay)
        .heartbeat_period(settings.heartbeat_period);
    if settings.role == Role::Catalogd {
        builder = builder.catalogd_registration(CatalogRegistration {
            protocol: CatalogVersion::V2,
            address: catalogd_address(settings, hostname),
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

fn catalogd_address(settings: &Settings, hostname: &str) -> NetworkAddress {
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
