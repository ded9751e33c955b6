//! [`Builder`]: every setting of a subscriber, each with the flag that Impala has for it.
//!
//! Deliberately absent: flags themselves, files and environment.

use crate::delivery::{Application, Audience};
use crate::driver::{self, Plan};
use crate::error::{ConfigError, StartError};
use crate::feed::Feed;
use crate::handle::Handle;
use crate::inject::Inject;
use crate::topic::Topic;
use statestore_core::subscriber::{Config, SHORTEST_PATIENCE};
use statestore_rpc::server::{Observer, Quiet};
use statestore_rpc::{Net, TcpNet};
use statestore_wire::{CatalogRegistration, NetworkAddress, SubscriberType, Text};
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Settings of a subscriber; the defaults are the reference's.
#[must_use = "nothing runs before start()"]
pub struct Builder {
    pub(crate) config: Config,
    pub(crate) topics: Vec<Topic>,
    pub(crate) interface: String,
    pub(crate) hostname: Option<String>,
    pub(crate) port: u16,
    pub(crate) resolve: bool,
    pub(crate) max_message: u64,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) inject: Option<Inject>,
}

impl Builder {
    pub(crate) fn new(id: Text) -> Self {
        Self {
            config: Config::new(id, NetworkAddress::default(), Vec::new()),
            topics: Vec::new(),
            interface: String::new(),
            hostname: None,
            port: 0,
            resolve: false,
            max_message: 64 << 30,
            observer: Arc::new(Quiet),
            inject: None,
        }
    }

    /// Adds a statestored. Flags `state_store_host`, `state_store_port`; the second one of an HA
    /// pair: `state_store_2_host`, `state_store_2_port` with `enable_statestored_ha`.
    pub fn statestore(mut self, host: &str, port: u16) -> Self {
        self.config.statestores.push(NetworkAddress {
            hostname: host.into(),
            port: i32::from(port),
            uds_address: None,
        });
        self
    }

    /// Port of the own server; 0, the default, is one that the system picks. Flag
    /// `state_store_subscriber_port` (impalad 23000, catalogd 23020, admissiond 23030).
    pub fn listen(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Interface of the own server; all by default.
    pub fn interface(mut self, host: &str) -> Self {
        self.interface = host.to_owned();
        self
    }

    /// Name under which statestoreds reach the own server; the system's host name by default.
    pub fn hostname(mut self, hostname: &str) -> Self {
        self.hostname = Some(hostname.to_owned());
        self
    }

    /// Registers with the first non-loopback IPv4 address of the host name, looked up anew each
    /// time. Flag `statestore_subscriber_use_resolved_address`.
    pub fn use_resolved_address(mut self, resolve: bool) -> Self {
        self.resolve = resolve;
        self
    }

    /// What kind of daemon this is; unknown by default.
    pub fn kind(mut self, kind: SubscriberType) -> Self {
        self.config.kind = kind;
        self
    }

    /// Wants to hear of the active catalogd; see `Handle::catalogd`.
    pub fn follow_catalogd(mut self, follow: bool) -> Self {
        self.config.follow_catalogd = follow;
        self
    }

    /// Registers as a catalogd.
    pub fn catalogd_registration(mut self, registration: CatalogRegistration) -> Self {
        self.config.catalogd = Some(registration);
        self
    }

    /// Adds a topic to follow or to publish into.
    pub fn topic(mut self, topic: Topic) -> Self {
        self.topics.push(topic);
        self
    }

    /// Silence after which a statestored counts as lost; longer than its longest pause. Flag
    /// `statestore_subscriber_timeout_seconds`, 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = timeout;
        self
    }

    /// How often statestored sends heartbeats, for counting missed ones; its flag
    /// `statestore_heartbeat_frequency_ms`, 1 s.
    pub fn heartbeat_period(mut self, period: Duration) -> Self {
        self.config.heartbeat_period = period;
        self
    }

    /// Missed heartbeats in a row that mean that a statestored is lost, even before
    /// [`timeout`](Self::timeout); 0, the default, leaves it to that. Flag
    /// `max_missed_heartbeat_request_num`.
    pub fn max_missed_heartbeats(mut self, most: u32) -> Self {
        self.config.max_missed_heartbeats = NonZeroU32::new(most);
        self
    }

    /// Tries of each registration call; `None` is for ever. Flag
    /// `statestore_subscriber_cnxn_attempts`, 10 (there 0 is for ever).
    pub fn attempts(mut self, attempts: Option<NonZeroU32>) -> Self {
        self.config.attempts = attempts;
        self
    }

    /// Pause between those tries. Flag `statestore_subscriber_cnxn_retry_interval_ms`; by default
    /// 3 s, or a tenth of the silence that means a loss if that is less.
    pub fn retry_interval(mut self, pause: Duration) -> Self {
        self.config.retry_interval = Some(pause);
        self
    }

    /// Pause between failed registrations; no flag. By default 5 s, or a sixth of the silence
    /// that means a loss if that is less.
    pub fn recovery_interval(mut self, pause: Duration) -> Self {
        self.config.recovery_interval = Some(pause);
        self
    }

    /// How long after a recovery or failover members may be missing without being gone. Flag
    /// `statestore_subscriber_recovery_grace_period_ms`, 30 s.
    pub fn recovery_grace(mut self, grace: Duration) -> Self {
        self.config.recovery_grace = grace;
        self
    }

    /// Limit of a whole call to statestored. Flag `statestore_client_rpc_timeout_ms`; by default
    /// 300 s, or ten times the silence that means a loss if that is less. Publications above
    /// 512 KiB for each second of it travel in several, and single values above half of that in the
    /// answers to updates.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.config.call_timeout = Some(timeout);
        self
    }

    /// How long leaving may take to tell the statestoreds; 0.5 s. They need not be told: it is
    /// only known sooner, and in a pair a subscriber that vanishes goes on counting as a voter.
    pub fn farewell(mut self, limit: Duration) -> Self {
        self.config.farewell = limit;
        self
    }

    /// Starts although no statestored answers, and keeps trying. Flag
    /// `tolerate_statestore_startup_delay`, true.
    pub fn tolerate_startup_delay(mut self, tolerate: bool) -> Self {
        self.config.tolerate_startup_delay = tolerate;
        self
    }

    /// Largest message taken from a statestored, in bytes. Flag `thrift_rpc_max_message_size`,
    /// 64 GiB.
    pub fn max_message_size(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// Hears what the own server does, for metrics.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Injects faults into registrations, for tests; flag `debug_actions`.
    pub fn inject(mut self, inject: Inject) -> Self {
        self.inject = Some(inject);
        self
    }

    /// Opens the own server and begins to register, on the runtime that it is called on.
    ///
    /// Returns at once if a start-up delay is tolerated; wait with `Handle::registered`.
    /// Otherwise returns when the first registration has succeeded or failed.
    pub async fn start(self) -> Result<Handle, StartError> {
        self.start_over(TcpNet, TcpNet).await
    }

    /// [`start`](Self::start) over other networks: one to be called through, one to call
    /// statestoreds through.
    pub async fn start_over<S: Net, C: Net>(
        self,
        server: S,
        client: C,
    ) -> Result<Handle, StartError> {
        self.check()?;
        let tolerant = self.config.tolerate_startup_delay;
        let (reins, failure) = driver::start(self.into_plan(), server, client).await?;
        let handle = Handle::new(reins);
        if tolerant {
            return Ok(handle);
        }
        tokio::select! {
            biased;
            Ok(error) = failure => {
                handle.leave().await;
                Err(error)
            }
            _ = handle.registered() => Ok(handle),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let config = &self.config;
        if config.id.is_empty() {
            return Err(ConfigError::EmptyId);
        }
        match config.statestores.len() {
            0 => return Err(ConfigError::NoStatestore),
            2 if config.statestores[0] == config.statestores[1] => {
                return Err(ConfigError::SameStatestore(config.statestores[0].clone()));
            }
            1 | 2 => {}
            more => return Err(ConfigError::TooManyStatestores(more)),
        }
        let mut names = BTreeSet::new();
        for topic in &self.topics {
            if !names.insert(&topic.config.name) {
                return Err(ConfigError::DuplicateTopic(topic.config.name.clone()));
            }
        }
        let positive = [
            ("timeout", config.timeout),
            ("heartbeat_period", config.heartbeat_period),
            ("recovery_interval", config.recovery_pause()),
            ("call_timeout", config.call_limit()),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, duration)| duration.is_zero()) {
            return Err(ConfigError::Zero(name));
        }
        let patience = config.patience();
        if patience < SHORTEST_PATIENCE {
            let name = match patience < config.timeout {
                true => "max_missed_heartbeats",
                false => "timeout",
            };
            return Err(ConfigError::TooShort { name, patience });
        }
        Ok(())
    }

    fn into_plan(mut self) -> Plan {
        let mut application = Application::default();
        for topic in self.topics {
            let name = topic.config.name.clone();
            let audience = Audience {
                feed: topic.is_mirrored().then(|| Feed::new(name.clone())),
                may_block: !topic.handlers.is_empty(),
                handlers: Mutex::new(topic.handlers),
            };
            self.config.topics.push(topic.config);
            application.topics.insert(name, audience);
        }
        Plan {
            config: self.config,
            application: Arc::new(application),
            interface: self.interface,
            hostname: self.hostname,
            port: self.port,
            resolve: self.resolve,
            max_message: self.max_message,
            observer: self.observer,
            inject: self.inject,
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("topics", &self.topics)
            .field("interface", &self.interface)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
