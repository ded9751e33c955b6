//! From Impala's flags to a [`Config`] that cannot hold nonsense.
//!
//! Ranges are checked where a flag is declared (`tables`), so that a bad value ends the start
//! with gflags' own words; here is what concerns several flags, and the refusals: what somebody
//! asks for and does not get (TLS, Kerberos) must end the start, never be left out.
//!
//! Deliberately absent: reading a flag anywhere else. `now`, sockets and logs are not here either.

mod pair;
pub mod tables;

use statestore_core::config::{CatalogConfig, Config as CoreConfig, LaneConfig};
use statestore_daemon::debug_actions::{DebugActions, Known, Malformed};
use statestore_daemon::flags::Flags;
use std::time::Duration;
use thiserror::Error;

/// A label of `debug_actions` (flags.md section 10): before each heartbeat and each topic update;
/// a failure is only logged.
pub const DO_SUBSCRIBER_UPDATE: &str = "DO_SUBSCRIBER_UPDATE";
/// Before the first UpdateCatalogd of a round to each subscriber; a failure fails the call.
pub const SEND_UPDATE_CATALOGD: &str = "SEND_UPDATE_CATALOGD_RPC_FIRST_ATTEMPT";
/// The same for UpdateStatestoredRole.
pub const SEND_UPDATE_STATESTORED: &str = "SEND_UPDATE_STATESTORED_RPC_FIRST_ATTEMPT";
/// Before the first handshake of each round; a failure fails it.
pub const HANDSHAKE: &str = "STATESTORE_HA_HANDSHAKE_FIRST_ATTEMPT";
/// Writes to standard error each second.
pub const LOG_MAINTENANCE_STDERR: &str = "LOG_MAINTENANCE_STDERR";
/// The whole flag: plays a server of protocol V1 (wire.md section 8).
pub const START_IN_V1: &str = "START_STATESTORE_IN_PROTOCOL_V1";
/// The whole flag: SetStatestoreDebugAction acts (H-9).
pub const DISABLE_NETWORK: &str = "DISABLE_STATESTORE_NETWORK";

/// Longer than an answer needs to be read on the other side, shorter than anybody notices.
const FIRST_UPDATE_DELAY: Duration = Duration::from_millis(10);

const DEBUG_ACTIONS: Known = Known {
    labels: &[
        DO_SUBSCRIBER_UPDATE,
        SEND_UPDATE_CATALOGD,
        SEND_UPDATE_STATESTORED,
        HANDSHAKE,
        LOG_MAINTENANCE_STDERR,
    ],
    switches: &[START_IN_V1, DISABLE_NETWORK],
};

/// Everything that decides what a statestored does, beside the daemon's shared settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Host name or address to listen at; empty: all interfaces.
    pub interface: String,
    /// Port of StatestoreService; 0 lets the system choose.
    pub port: u16,
    /// Own name, as it is told to the peer.
    pub hostname: String,
    /// Port of StatestoreHaService, for one of a pair; 0 lets the system choose.
    pub ha_port: Option<u16>,
    /// What is not as the flags say, for the log.
    pub notes: Vec<String>,
    /// Largest request that StatestoreService reads, in bytes.
    pub max_request: u64,
    /// Largest reply that a subscriber may send, in bytes: a publication.
    pub max_reply: u64,
    /// Wait before StatestoreService opens (for tests).
    pub start_delay: Duration,
    /// Failures to inject (for tests).
    pub debug: DebugActions,
    /// The rules' own settings.
    pub core: CoreConfig,
}

/// Why the flags do not make a configuration. The operator's fault.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A flag asks for what this version cannot do.
    #[error("--{flag}={value} cannot be honoured: {why}")]
    Unsupported {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What is missing.
        why: &'static str,
    },
    /// So few missed heartbeats are no time at all.
    #[error(
        "--{flag}={value} with --{period_flag}={} leaves {} ms of silence, at least {} ms are \
         needed",
        period.as_millis(),
        (*period * *value).as_millis(),
        shortest.as_millis()
    )]
    TooShort {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: u32,
        /// The flag of the period that is counted.
        period_flag: &'static str,
        /// That period.
        period: Duration,
        /// The shortest silence that works.
        shortest: Duration,
    },
    /// What is to be called has to be somewhere.
    #[error("--{flag}={value} names no host: {why}")]
    NoHost {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// `debug_actions` is not in order.
    #[error("--debug_actions: {0}")]
    DebugActions(#[from] Malformed),
}

/// A limit for "no limit": long enough, and no clock overflows when it is added.
const NO_LIMIT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// What Thrift allows when `thrift_rpc_max_message_size` is 0 or less.
const THRIFT_DEFAULT_MAX_MESSAGE: u64 = 100 * 1024 * 1024;

/// TLS and Kerberos: plain text where encryption was asked for would be worse than no start.
const SECURITY: [&str; 6] = [
    "ssl_server_certificate",
    "ssl_private_key",
    "ssl_client_ca_certificate",
    "principal",
    "be_principal",
    "keytab_file",
];

impl Config {
    /// Reads the flags of a process that calls itself `hostname`; `hash_seed` is random.
    pub fn from_flags(flags: &Flags, hostname: &str, hash_seed: u64) -> Result<Self, ConfigError> {
        refuse_unsupported(flags)?;
        let mut core = core_config(flags, hash_seed);
        let mut notes = Vec::new();
        let mut ha_port = None;
        if flags.bool("enable_statestored_ha") {
            let pair = pair::read(flags, hostname, core.heartbeat)?;
            notes = pair.notes;
            core.ha = Some(pair.config);
            // Its validator allows nothing else.
            ha_port = u16::try_from(flags.i32("state_store_ha_port")).ok();
        } else {
            notes.extend(pair::unused(flags));
        }
        let max_reply = match flags.i64("thrift_rpc_max_message_size") {
            ..=0 => THRIFT_DEFAULT_MAX_MESSAGE,
            bytes => bytes.unsigned_abs(),
        };
        let max_request = flags.i64("statestore_max_request_bytes").unsigned_abs();
        let max_request = max_request.min(max_reply);
        core.max_publication = i64::try_from(max_request).ok();
        Ok(Self {
            interface: String::new(),
            // Its validator allows nothing else.
            port: u16::try_from(flags.i32("state_store_port")).unwrap_or_default(),
            max_request,
            max_reply,
            start_delay: millis(flags.i32("stress_statestore_startup_delay_ms").into()),
            debug: DebugActions::parse(flags.str("debug_actions"), DEBUG_ACTIONS)?,
            hostname: hostname.to_owned(),
            ha_port,
            notes,
            core,
        })
    }
}

fn refuse_unsupported(flags: &Flags) -> Result<(), ConfigError> {
    for flag in SECURITY {
        if !flags.str(flag).is_empty() {
            return Err(ConfigError::Unsupported {
                flag,
                value: flags.str(flag).to_owned(),
                why: "this version has no TLS and no Kerberos on its RPC ports",
            });
        }
    }
    Ok(())
}

/// This part of a period is slack: twelve milliseconds of a second are less than networks take now
/// and then.
const HEARTBEAT_SLACK: u32 = 80;
/// The same of updates: two milliseconds of a hundred.
const UPDATE_SLACK: u32 = 48;

fn core_config(flags: &Flags, hash_seed: u64) -> CoreConfig {
    let lane = |period: &str, timeout: &str, slack: u32| {
        let period = millis(flags.i32(period).into());
        LaneConfig {
            period,
            timeout: limit(flags.i32(timeout)),
            slack: period / slack,
        }
    };
    let update_timeout = "statestore_update_tcp_timeout_seconds";
    let update = |period| lane(period, update_timeout, UPDATE_SLACK);
    CoreConfig {
        heartbeat: lane(
            "statestore_heartbeat_frequency_ms",
            "statestore_heartbeat_tcp_timeout_seconds",
            HEARTBEAT_SLACK,
        ),
        priority: update("statestore_priority_update_frequency_ms"),
        bulk: update("statestore_update_frequency_ms"),
        push_coalesce: flags
            .bool("statestore_push_on_change")
            .then(|| millis(flags.i32("statestore_push_coalesce_ms").into())),
        max_missed_heartbeats: flags.i32("statestore_max_missed_heartbeats").unsigned_abs(),
        max_subscribers: flags.i32("statestore_max_subscribers").unsigned_abs() as usize,
        heartbeat_report_period: Duration::from_secs_f64(
            (flags.f64("heartbeat_monitoring_frequency_ms") / 1000.0).min(NO_LIMIT.as_secs_f64()),
        ),
        transient_grace: millis(flags.i32("statestore_transient_grace_ms").into()),
        catalog: CatalogConfig {
            ha: flags.bool("enable_catalogd_ha"),
            subscriber_id_as_priority: flags.bool("use_subscriber_id_as_catalogd_priority"),
            preemption_wait: millis(flags.i64("catalogd_ha_preemption_wait_period_ms")),
            resend: millis(flags.i64("update_catalogd_rpc_resend_interval_ms")),
            timeout: limit(flags.i32("statestore_update_catalogd_tcp_timeout_seconds")),
        },
        hash_seed,
        ha: None,
        first_update_delay: FIRST_UPDATE_DELAY,
        ..CoreConfig::default()
    }
}

fn millis(count: i64) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0)).min(NO_LIMIT)
}

/// A call's limit; the reference's sockets read 0 as "wait for ever".
fn limit(seconds: i32) -> Duration {
    match u64::try_from(seconds) {
        Ok(seconds @ 1..) => Duration::from_secs(seconds),
        _ => NO_LIMIT,
    }
}

#[cfg(test)]
mod tests;
