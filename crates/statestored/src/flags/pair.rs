//! From the flags of a pair to its settings (flags.md section 3, ha.md section 5).
//!
//! Impala's flags say how long a silence may be and how often to speak. Where they leave no time
//! to speak several times within a lease, we speak more often and say so once in the log; what
//! the reference accepts is never refused. Deliberately absent: what the settings do.

use super::{ConfigError, limit, millis, tables};
use statestore_core::config::{HaConfig, LaneConfig};
use statestore_core::pair::{self, Limits, limits, limits::SHORTEST_TIMEOUT};
use statestore_daemon::flags::Flags;
use statestore_wire::{NetworkAddress, Text};
use std::net::Ipv6Addr;
use std::time::Duration;

/// The pair's settings, and what was made shorter than the flags say.
pub(super) struct Pair {
    pub(super) config: HaConfig,
    pub(super) notes: Vec<String>,
}

/// Reads the flags of one of a pair.
pub(super) fn read(
    flags: &Flags,
    hostname: &str,
    heartbeat: LaneConfig,
) -> Result<Pair, ConfigError> {
    let ticks = flags.f64("statestore_ha_heartbeat_monitoring_frequency_ms");
    let tick = Duration::from_secs_f64((ticks / 1_000.0).min(3_600.0));
    let peer_timeout = timeout(
        flags,
        "statestore_peer_timeout_seconds",
        ("statestore_ha_heartbeat_monitoring_frequency_ms", tick),
    )?;
    let subscriber_timeout = timeout(
        flags,
        "statestore_subscriber_timeout_seconds",
        ("statestore_heartbeat_frequency_ms", heartbeat.period),
    )?;
    let wait = millis(flags.i64("statestore_ha_preemption_wait_period_ms"));
    let limits = Limits::new(peer_timeout, subscriber_timeout, wait);
    let mut notes: Vec<String> = own_peer(flags, hostname).into_iter().collect();
    notes.extend(hasty_heartbeats(flags, heartbeat, subscriber_timeout));
    let tick = tightened_tick(tick, limits.peer_lease, &mut notes);
    let config = HaConfig {
        pair: pair::Config {
            limits,
            address: Text::default(),
            force: flags.bool("statestore_force_active"),
            address_as_priority: flags.bool("use_network_address_as_statestore_priority"),
            max_missed: flags.i32("statestore_max_missed_heartbeats").unsigned_abs(),
        },
        peer: NetworkAddress {
            hostname: Text::from(peer_host(flags)?),
            port: flags.i32("state_store_peer_ha_port"),
            uds_address: None,
        },
        tick,
        hello_period: hello_period(flags, wait),
        call_timeout: call_timeout(flags, tick, limits.peer_lease, &mut notes),
        role_timeout: limit(flags.i32("statestore_update_statestore_tcp_timeout_seconds")),
        role_resend: millis(flags.i64("update_statestore_rpc_resend_interval_ms")),
    };
    Ok(Pair { config, notes })
}

/// What can be looked up, or is an address already: all else fails at every call.
fn peer_host(flags: &Flags) -> Result<&str, ConfigError> {
    let flag = "state_store_peer_host";
    let value = flags.str(flag);
    let host = bare(value);
    let address = host
        .split_once('%')
        .map_or(host, |(address, _zone)| address);
    if address.parse::<Ipv6Addr>().is_ok() {
        return Ok(host);
    }
    let in_names = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let why = if value.is_empty() {
        "it is empty"
    } else if value.contains(':') {
        "it may hold no port, which --state_store_peer_ha_port is for"
    } else if !value.chars().all(in_names) || !value.contains(char::is_alphanumeric) {
        "it is neither a host name nor an address"
    } else {
        return Ok(value);
    };
    Err(ConfigError::NoHost {
        flag,
        value: value.to_owned(),
        why,
    })
}

/// What somebody set who did not ask for a pair.
pub(super) fn unused(flags: &Flags) -> impl Iterator<Item = String> {
    let of_pair = |name| tables::PAIR.flags.iter().any(|flag| flag.name == name);
    let set = flags.listing().into_iter().filter(|flag| flag.changed);
    set.filter(move |flag| of_pair(flag.name)).map(|flag| {
        let name = flag.name;
        format!("flag {name} has no effect without --enable_statestored_ha")
    })
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    let inside = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inside.unwrap_or(host)
}

/// The core shortens heartbeats for each subscriber as its own timeout needs it; here it is said
/// for those that do not name one.
fn hasty_heartbeats(flags: &Flags, heartbeat: LaneConfig, timeout: Duration) -> Option<String> {
    let lease = limits::lease(timeout);
    (heartbeat.period + heartbeat.timeout >= lease / 2).then(|| {
        format!(
            "--statestore_heartbeat_frequency_ms={} and \
             --statestore_heartbeat_tcp_timeout_seconds={} do not fit twice into the lease of {} \
             ms that follows from --statestore_subscriber_timeout_seconds and \
             --max_missed_heartbeat_request_num: using {} ms and {} ms",
            flags.i32("statestore_heartbeat_frequency_ms"),
            flags.i32("statestore_heartbeat_tcp_timeout_seconds"),
            lease.as_millis(),
            heartbeat.period.min(lease / 5).as_millis(),
            heartbeat.timeout.min(lease / 4).as_millis()
        )
    })
}

/// W9: a pair needs two. The handshake finds out too, but says it later.
fn own_peer(flags: &Flags, hostname: &str) -> Option<String> {
    let host = bare(flags.str("state_store_peer_host"));
    let port = flags.i32("state_store_peer_ha_port");
    let here = [hostname, "localhost", "127.0.0.1", "::1"].contains(&host);
    let itself = here && port == flags.i32("state_store_ha_port");
    itself.then(|| {
        format!(
            "--state_store_peer_host={host} --state_store_peer_ha_port={port} point to this \
             statestored itself: it will find no peer"
        )
    })
}

/// The shorter of the time flag and of so many missed periods.
fn timeout(
    flags: &Flags,
    flag: &'static str,
    (period_flag, period): (&'static str, Duration),
) -> Result<Duration, ConfigError> {
    let by_time = Duration::from_secs(flags.i32(flag).unsigned_abs().into());
    let missed = flags.i32("max_missed_heartbeat_request_num").unsigned_abs();
    if missed == 0 {
        return Ok(by_time);
    }
    let by_count = period.saturating_mul(missed);
    if by_count < SHORTEST_TIMEOUT {
        return Err(ConfigError::TooShort {
            flag: "max_missed_heartbeat_request_num",
            value: missed,
            period_flag,
            period,
            shortest: SHORTEST_TIMEOUT,
        });
    }
    Ok(by_time.min(by_count))
}

/// Four HA heartbeats at least fit into a lease.
fn tightened_tick(tick: Duration, lease: Duration, notes: &mut Vec<String>) -> Duration {
    if tick < lease / 4 {
        return tick;
    }
    let shorter = lease / 5;
    notes.push(format!(
        "--statestore_ha_heartbeat_monitoring_frequency_ms={} is too long for the lease of {} ms \
         that follows from --statestore_peer_timeout_seconds and \
         --max_missed_heartbeat_request_num: using {} ms",
        tick.as_millis(),
        lease.as_millis(),
        shorter.as_millis()
    ));
    shorter
}

/// A call to the peer ends with its tick or soon after (W32).
fn call_timeout(
    flags: &Flags,
    tick: Duration,
    lease: Duration,
    notes: &mut Vec<String>,
) -> Duration {
    let most = (tick * 2).max(Duration::from_millis(100)).min(lease / 4);
    let said = [
        "statestore_ha_client_rpc_timeout_ms",
        "statestore_ha_client_rpc_conn_timeout_ms",
    ]
    .map(|flag| (flag, flags.i32(flag)))
    .into_iter()
    .filter(|(_, value)| *value > 0)
    .map(|(flag, value)| (flag, millis(value.into())))
    .min_by_key(|(_, time)| *time);
    match said {
        Some((_, time)) if time <= most => time,
        Some((flag, _)) if flags.was_set(flag) => {
            notes.push(format!(
                "--{flag}={} is longer than a call to the peer may take beside HA heartbeats: \
                 using {} ms",
                flags.i32(flag),
                most.as_millis()
            ));
            most
        }
        _ => most,
    }
}

/// H-1: so many attempts within the wait; 0 attempts are without end (W8).
fn hello_period(flags: &Flags, wait: Duration) -> Duration {
    match u32::try_from(flags.i32("statestore_peer_cnxn_attempts")) {
        Ok(attempts @ 1..) => wait / attempts,
        _ => millis(flags.i32("statestore_peer_cnxn_retry_interval_ms").into()),
    }
}
