//! The agent's flags: Impala's names for what a subscriber needs (flags.md section 5), and our
//! own for what an agent does.
//!
//! Deliberately absent: flags that every daemon has (`statestore_daemon::flags::tables`), and the
//! table of the others (`names`).
//!
//! Invariant: a [`Settings`] holds values that make sense together; an error names flag and
//! value.

use statestore_daemon::debug_actions::{DebugActions, Malformed};
use statestore_daemon::flags::{Flags, Value};
use statestore_subscriber::SHORTEST_PATIENCE;
use std::time::Duration;
use thiserror::Error;

use crate::args::{ArgError, Given, Tasks};
use crate::faults;
use crate::roles::Role;

mod names;

pub(crate) use names::{AGENT, SUBSCRIBER};

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
    #[error(
        "flag 'max_missed_heartbeat_request_num' is set to '{missed}': with \
         statestore_heartbeat_frequency_ms={period_ms} a statestored would be lost after {} ms, \
         the shortest is {} ms", patience.as_millis(), SHORTEST_PATIENCE.as_millis()
    )]
    TooShort {
        missed: u32,
        period_ms: i32,
        patience: Duration,
    },
    #[error(
        "flags 'state_store_2_host', 'state_store_2_port' name the first statestored again, \
         '{0}:{1}': the two of enable_statestored_ha have an address each"
    )]
    OneAddress(String, u16),
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
    /// One, or the two of a pair: host and port.
    pub(crate) statestores: Vec<(String, u16)>,
    pub(crate) subscriber_port: u16,
    pub(crate) timeout: Duration,
    /// 0 is no limit.
    pub(crate) max_missed_heartbeats: u32,
    pub(crate) attempts: u32,
    /// Only if the flag was set.
    pub(crate) retry_interval: Option<Duration>,
    pub(crate) use_resolved_address: bool,
    pub(crate) recovery_grace: Duration,
    /// Only if the flag was set.
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
        // What nobody set shrinks with short limits.
        let set_millis = |name: &str| flags.was_set(name).then(|| millis(name));
        let grace = flags.i64("statestore_subscriber_recovery_grace_period_ms");
        let timeout = flags.i32("statestore_subscriber_timeout_seconds");
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
            statestores: statestores(flags)?,
            subscriber_port: port(flags.i32("state_store_subscriber_port")),
            timeout: Duration::from_secs(unsigned(timeout).into()),
            max_missed_heartbeats: max_missed_heartbeats(flags)?,
            attempts: unsigned(flags.i32("statestore_subscriber_cnxn_attempts")),
            retry_interval: set_millis("statestore_subscriber_cnxn_retry_interval_ms"),
            use_resolved_address: flags.bool("statestore_subscriber_use_resolved_address"),
            recovery_grace: Duration::from_millis(grace.unsigned_abs()),
            call_timeout: set_millis("statestore_client_rpc_timeout_ms"),
            tolerate_startup_delay: flags.bool("tolerate_statestore_startup_delay"),
            heartbeat_period: millis("statestore_heartbeat_frequency_ms"),
            tasks,
            transient: transient(flags)?,
            max_message,
            debug: DebugActions::parse(flags.str("debug_actions"), faults::KNOWN)?,
        })
    }
}

/// One statestored, or the two of a pair.
fn statestores(flags: &Flags) -> Result<Vec<(String, u16)>, SettingsError> {
    let at = |host: &str, of: &str| (flags.str(host).to_owned(), port(flags.i32(of)));
    let first = at("state_store_host", "state_store_port");
    if !flags.bool("enable_statestored_ha") {
        return Ok(vec![first]);
    }
    let second = at("state_store_2_host", "state_store_2_port");
    if first == second {
        return Err(SettingsError::OneAddress(second.0, second.1));
    }
    Ok(vec![first, second])
}

fn max_missed_heartbeats(flags: &Flags) -> Result<u32, SettingsError> {
    let missed = unsigned(flags.i32("max_missed_heartbeat_request_num"));
    let period_ms = flags.i32("statestore_heartbeat_frequency_ms");
    let period = Duration::from_millis(unsigned(period_ms).into());
    let patience = period.saturating_mul(missed);
    if missed > 0 && patience < SHORTEST_PATIENCE {
        return Err(SettingsError::TooShort {
            missed,
            period_ms,
            patience,
        });
    }
    Ok(missed)
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
