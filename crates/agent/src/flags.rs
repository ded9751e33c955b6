//! The agent's flags: Impala's names for what a subscriber needs (flags.md section 5), and our
//! own for what an agent does.
//!
//! Deliberately absent: flags that every daemon has (`statestore_daemon::flags::tables`).
//!
//! Invariant: a [`Settings`] holds values that make sense together; an error names flag and
//! value.

use statestore_daemon::debug_actions::{DebugActions, Malformed};
use statestore_daemon::flags::{FlagDef, FlagTable, Flags, Value, tables};
use std::time::Duration;
use thiserror::Error;

use crate::args::{ArgError, Given, Tasks};
use crate::faults;
use crate::roles::Role;

const NAME: &str = "statestore/statestore-agent.rs";

/// Flags of Impala's subscribers.
pub(crate) static SUBSCRIBER: FlagTable = FlagTable {
    file: "statestore/statestore-subscriber.cc",
    flags: &[
        FlagDef::string("state_store_host", "localhost", "host of the statestored"),
        FlagDef::int32(
            "state_store_port",
            24000,
            "port of the statestored's service",
        )
        .checked(tables::is_port),
        FlagDef::string(
            "state_store_2_host",
            "localhost",
            "host of the second statestored, with enable_statestored_ha",
        ),
        FlagDef::int32(
            "state_store_2_port",
            24000,
            "port of the second statestored's service",
        )
        .checked(tables::is_port),
        FlagDef::bool(
            "enable_statestored_ha",
            false,
            "register with two statestoreds, of which one is active",
        ),
        FlagDef::int32(
            "state_store_subscriber_port",
            23000,
            "port on which statestored reaches this subscriber; 0 lets the system choose. If not \
             set: 23020 for a catalogd, 23030 for an admissiond, 0 for a custom role",
        )
        .checked(tables::is_port),
        FlagDef::int32(
            "statestore_subscriber_timeout_seconds",
            30,
            "no accepted heartbeat for longer means that the statestored is lost",
        )
        .checked(is_positive),
        FlagDef::int32(
            "statestore_subscriber_cnxn_attempts",
            10,
            "tries of each call of a registration; 0 is without limit",
        )
        .checked(tables::not_negative),
        FlagDef::int32(
            "statestore_subscriber_cnxn_retry_interval_ms",
            3000,
            "pause between those tries",
        )
        .checked(is_positive),
        FlagDef::bool(
            "statestore_subscriber_use_resolved_address",
            false,
            "register with the resolved address of the host name",
        ),
        FlagDef::int64(
            "statestore_subscriber_recovery_grace_period_ms",
            30000,
            "how long after a recovery members may be missing without being gone",
        )
        .hidden()
        .checked(tables::not_negative),
        FlagDef::int32(
            "statestore_client_rpc_timeout_ms",
            300000,
            "limit of a call of statestored",
        )
        .checked(is_positive),
        FlagDef::bool(
            "tolerate_statestore_startup_delay",
            true,
            "start although no statestored answers, and keep trying",
        ),
        FlagDef::string(
            "cluster_membership_topic_id",
            "",
            "prefix of the subscriber id and of the cluster's topics",
        ),
        FlagDef::bool("enable_catalogd_ha", false, "play one of two catalogds"),
        FlagDef::bool(
            "force_catalogd_active",
            false,
            "play a catalogd that wants to be active",
        ),
        FlagDef::int32(
            "statestore_heartbeat_frequency_ms",
            1000,
            "statestored's heartbeat period",
        )
        .checked(is_positive),
        FlagDef::int32(
            "max_missed_heartbeat_request_num",
            0,
            "missed heartbeats in a row after which a statestored is lost, even before \
             statestore_subscriber_timeout_seconds; 0 leaves it to that",
        )
        .checked(tables::not_negative),
    ],
};

/// Flags of the agent alone.
pub(crate) static AGENT: FlagTable = FlagTable {
    file: NAME,
    flags: &[
        FlagDef::string(
            "role",
            "custom",
            "what to be: catalogd, coordinator, executor, coordinator_executor, admissiond, custom",
        )
        .checked(is_role),
        FlagDef::string(
            "subscriber_id",
            "",
            "id in the cluster; by default as the role has it",
        ),
        FlagDef::int32(
            "catalog_service_port",
            26000,
            "a catalogd's service port: in its id",
        )
        .checked(tables::is_port),
        FlagDef::int32("krpc_port", 27000, "an impalad's service port: in its id")
            .checked(tables::is_port),
        FlagDef::string(
            "publish",
            "",
            "TOPIC:KEY=VALUE or TOPIC:KEY=@FILE: publish an entry",
        )
        .repeated(),
        FlagDef::string(
            "publish_dir",
            "",
            "TOPIC:DIR: publish every file as an entry",
        )
        .repeated(),
        FlagDef::string("follow", "", "TOPIC[:PREFIX]: print changes as JSON lines").repeated(),
        FlagDef::string(
            "mirror",
            "",
            "TOPIC[:PREFIX]:DIR: keep a folder equal to a topic",
        )
        .repeated(),
        FlagDef::string(
            "on_change",
            "",
            "TOPIC:COMMAND: run a shell command after changes",
        )
        .repeated(),
        FlagDef::string(
            "transient",
            "",
            "TOPIC: what is published there goes with this process",
        )
        .repeated(),
    ],
};

fn is_positive(value: &Value) -> bool {
    matches!(value, Value::Int32(1..))
}

fn is_role(value: &Value) -> bool {
    matches!(value, Value::Str(name) if Role::parse(name).is_some())
}

/// Why the flags make no agent: the operator's to mend.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    #[error(transparent)]
    Arg(#[from] ArgError),
    #[error("flag 'subscriber_id' is empty: --role=custom has no id of its own")]
    NoId,
    #[error("flag 'transient' has an empty value: wanted TOPIC")]
    NoTopic,
    #[error(
        "flag 'follow' prints to standard output, which redirect_stdout_stderr=true sends into \
         the log: unset one of them"
    )]
    NoOutput,
    #[error("--debug_actions: {0}")]
    DebugActions(#[from] Malformed),
    #[error("flag '{flag}' is set to '{value}': this version has no {what}")]
    Unsupported {
        flag: &'static str,
        value: String,
        what: &'static str,
    },
}

/// What the agent was asked to be and to do.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) role: Role,
    pub(crate) subscriber_id: String,
    pub(crate) catalog_service_port: u16,
    pub(crate) krpc_port: u16,
    pub(crate) membership_topic_id: String,
    pub(crate) enable_catalogd_ha: bool,
    pub(crate) force_catalogd_active: bool,
    /// One, or the two of a pair.
    pub(crate) statestores: Vec<(String, u16)>,
    pub(crate) subscriber_port: u16,
    pub(crate) timeout: Duration,
    pub(crate) max_missed_heartbeats: Option<u32>,
    pub(crate) attempts: u32,
    /// Only if somebody said so: by default it follows the timeout.
    pub(crate) retry_interval: Option<Duration>,
    pub(crate) use_resolved_address: bool,
    pub(crate) recovery_grace: Duration,
    /// Only if somebody said so: by default it follows the timeout.
    pub(crate) call_timeout: Option<Duration>,
    pub(crate) tolerate_startup_delay: bool,
    pub(crate) heartbeat_period: Duration,
    pub(crate) tasks: Tasks,
    pub(crate) transient: Vec<String>,
    /// Largest message taken from a statestored, in bytes.
    pub(crate) max_message: u64,
    pub(crate) debug: DebugActions,
}

/// Replaces defaults that are not every daemon's: ports by role, and standard output, which
/// belongs to `--follow` rather than to the log.
pub(crate) fn settle(flags: &mut Flags) {
    let role = Role::parse(flags.str("role")).unwrap_or(Role::Custom);
    let (own, web) = role.ports();
    flags.settle("state_store_subscriber_port", Value::Int32(own));
    flags.settle("webserver_port", Value::Int32(web));
    flags.settle("redirect_stdout_stderr", Value::Bool(false));
}

/// What Thrift allows when `thrift_rpc_max_message_size` is 0 or less.
const THRIFT_DEFAULT_MAX_MESSAGE: u64 = 100 << 20;

impl Settings {
    /// Reads the flags of a process that calls itself `hostname`.
    pub(crate) fn from_flags(flags: &Flags, hostname: &str) -> Result<Self, SettingsError> {
        refuse_unsupported(flags)?;
        let role = Role::parse(flags.str("role")).unwrap_or(Role::Custom);
        let membership_topic_id = flags.str("cluster_membership_topic_id").to_owned();
        let catalog_service_port = flags.i32("catalog_service_port");
        let krpc_port = flags.i32("krpc_port");
        let subscriber_id = match flags.str("subscriber_id") {
            "" => role
                .subscriber_id(
                    hostname,
                    krpc_port,
                    catalog_service_port,
                    &membership_topic_id,
                )
                .ok_or(SettingsError::NoId)?,
            id => id.to_owned(),
        };
        let millis = |name: &str| Duration::from_millis(unsigned(flags.i32(name)).into());
        let grace = flags.i64("statestore_subscriber_recovery_grace_period_ms");
        let timeout = flags.i32("statestore_subscriber_timeout_seconds");
        let if_set = |name: &str| flags.was_set(name).then(|| millis(name));
        let missed = unsigned(flags.i32("max_missed_heartbeat_request_num"));
        let max_message = match flags.i64("thrift_rpc_max_message_size") {
            ..=0 => THRIFT_DEFAULT_MAX_MESSAGE,
            bytes => bytes.unsigned_abs(),
        };
        let tasks = tasks(flags)?;
        if !tasks.follow.is_empty() && flags.bool("redirect_stdout_stderr") {
            return Err(SettingsError::NoOutput);
        }
        Ok(Self {
            role,
            subscriber_id,
            catalog_service_port: port(catalog_service_port),
            krpc_port: port(krpc_port),
            membership_topic_id,
            enable_catalogd_ha: flags.bool("enable_catalogd_ha"),
            force_catalogd_active: flags.bool("force_catalogd_active"),
            statestores: statestores(flags),
            subscriber_port: port(flags.i32("state_store_subscriber_port")),
            timeout: Duration::from_secs(unsigned(timeout).into()),
            max_missed_heartbeats: (missed > 0).then_some(missed),
            attempts: unsigned(flags.i32("statestore_subscriber_cnxn_attempts")),
            retry_interval: if_set("statestore_subscriber_cnxn_retry_interval_ms"),
            use_resolved_address: flags.bool("statestore_subscriber_use_resolved_address"),
            recovery_grace: Duration::from_millis(grace.unsigned_abs()),
            call_timeout: if_set("statestore_client_rpc_timeout_ms"),
            tolerate_startup_delay: flags.bool("tolerate_statestore_startup_delay"),
            heartbeat_period: millis("statestore_heartbeat_frequency_ms"),
            tasks,
            transient: transient(flags)?,
            max_message,
            debug: DebugActions::parse(flags.str("debug_actions"), faults::KNOWN)?,
        })
    }
}

fn statestores(flags: &Flags) -> Vec<(String, u16)> {
    let named = |host: &str, number: &str| (flags.str(host).to_owned(), port(flags.i32(number)));
    let first = named("state_store_host", "state_store_port");
    let second = flags
        .bool("enable_statestored_ha")
        .then(|| named("state_store_2_host", "state_store_2_port"));
    std::iter::once(first).chain(second).collect()
}

fn tasks(flags: &Flags) -> Result<Tasks, ArgError> {
    Tasks::parse(&Given {
        publish: &flags.list("publish"),
        publish_dir: &flags.list("publish_dir"),
        follow: &flags.list("follow"),
        mirror: &flags.list("mirror"),
        on_change: &flags.list("on_change"),
    })
}

fn transient(flags: &Flags) -> Result<Vec<String>, SettingsError> {
    let topics = flags.list("transient");
    match topics.iter().any(String::is_empty) {
        true => Err(SettingsError::NoTopic),
        false => Ok(topics),
    }
}

/// Never plain text where encryption was asked for.
fn refuse_unsupported(flags: &Flags) -> Result<(), SettingsError> {
    let all = [
        ("ssl_client_ca_certificate", "TLS"),
        ("ssl_server_certificate", "TLS"),
        ("ssl_private_key", "TLS"),
        ("principal", "Kerberos"),
        ("be_principal", "Kerberos"),
        ("keytab_file", "Kerberos"),
    ];
    for (flag, what) in all {
        let value = flags.str(flag);
        if !value.is_empty() {
            return Err(SettingsError::Unsupported {
                flag,
                value: value.to_owned(),
                what,
            });
        }
    }
    Ok(())
}

/// Validators have refused what is negative.
fn unsigned(value: i32) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

/// Validators have refused what is no port.
fn port(value: i32) -> u16 {
    u16::try_from(value).unwrap_or_default()
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;
